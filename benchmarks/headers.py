"""How long the headers of a checkpoint of 200 files take over a server with 50 ms latency, and how much memory.

Run it with the environment's Python: `python benchmarks/headers.py`. The server runs here, the reader in a process of its own,
whose peak memory counts everything: Python, kvplan and the hub's client.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "checkpoints"))
from fake_hub import FakeHub, serving, sharded

SHARDS, LATENCY, LAYERS = 200, 0.05, (1, 10)
READER = """
import json, resource, time
from kvplan.checkpoints.hub import read_hub
start = time.perf_counter()
checkpoint = read_hub("acme/large")
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps([seconds, peak, len(checkpoint.tensors), checkpoint.total_bytes]))
"""


def measure(layers: int) -> None:
    """Print time, memory and bytes of one checkpoint."""
    hub = FakeHub(sharded("acme/large", SHARDS, layers), latency=LATENCY)
    headers = sum(len(file.start) for name, file in hub.files.items() if name.endswith(".safetensors"))
    with serving(hub) as address, tempfile.TemporaryDirectory() as home:
        env = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        env |= {"HF_HOME": home, "HF_ENDPOINT": address}
        done = subprocess.run([sys.executable, "-c", READER], env=env, capture_output=True, text=True, check=True)  # noqa: S603  our own
    seconds, peak, tensors, total = json.loads(done.stdout)
    sent = sum(size for name, size in hub.sent.items() if name.endswith(".safetensors"))
    print(f"{SHARDS} files, {tensors:,} tensors, {total / 2**30:,.0f} GiB of weights, {LATENCY * 1000:.0f} ms latency")
    print(f"  time              {seconds:.2f} s (limit 3)")
    print(f"  peak memory       {peak / 1e6:.0f} MB (limit 100)")
    print(f"  bytes transferred {sent:,} in {len(hub.requests)} requests; the headers have {headers:,}")


def main() -> None:
    """Measure a checkpoint with few tensors in each file, and one with many."""
    for layers in LAYERS:
        measure(layers)


if __name__ == "__main__":
    main()
