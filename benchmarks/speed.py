"""How fast kvplan answers: CPU time of the command against `import typer`, and estimates a second from Python.

Run it with the environment's Python: `python benchmarks/speed.py`. Timings are the least of several runs, in CPU seconds, so
that other work on the machine counts little.
"""

import resource
import subprocess
import sys
import time

import kvplan
from kvplan.weights.quantization import read_scheme

MODEL, GPU, RUNS = "llama-3-70b", "rtx4090", 15


def cpu_seconds(*command: str) -> float:
    """Return the least CPU time, user and system, of several runs of a command."""
    times = []
    for _ in range(RUNS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)  # noqa: S603  our own
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(times)


def estimates_per_second(seconds: float = 2.0) -> float:
    """Return how many plans one core makes of a model that is read already, at 64 lengths."""
    model = kvplan.load_model(MODEL)
    kvplan.estimate(model, "h100", context=1024)
    count, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < seconds:
        kvplan.estimate(model, "h100", context=1024 + count % 64)
        count += 1
    return count / passed


def section_seconds() -> float:
    """Return the least time of reading a quantisation section that names 5,000 modules, as those of large models do."""
    names = [f"model.layers.{n % 100}.mlp.experts.{n}.gate_proj" for n in range(5_000)]
    section = {"quant_method": "fp8", "weight_block_size": [128, 128], "modules_to_not_convert": names}
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        read_scheme(section, config={}, plain_bytes=2, where="a benchmark")
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Print the figures with their limits."""
    python = sys.executable
    base = cpu_seconds(python, "-c", "import typer")
    command = (python, "-m", "kvplan", "estimate", "--model", MODEL, "--gpu", GPU)
    as_json, as_table = cpu_seconds(*command, "--json"), cpu_seconds(*command)
    print(f"import typer          {base:.3f} s CPU")
    print(f"kvplan estimate --json {as_json:.3f} s CPU, {as_json / base:.2f} x import typer (limit 2.5)")
    print(f"kvplan estimate       {as_table:.3f} s CPU, {as_table / base:.2f} x import typer (limit 4)")
    print(f"kvplan.estimate       {estimates_per_second():,.0f} a second on one core (at least 20,000)")
    print(f"5,000 modules by name {1000 * section_seconds():.1f} ms (limit 50)")


if __name__ == "__main__":
    main()
