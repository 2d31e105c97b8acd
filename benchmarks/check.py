"""Seconds and peak memory of `kvplan check` over 1,000 files of its own making, and the time for each kind of file.

    python benchmarks/check.py [FILES]

Three files in four deploy an engine, in ten formats; the others are what lies beside them in a repository. Every 20th engine
does not fit, every tenth is unknown. Target: 1,000 files in under 10 s on 2 cores and 300 MB.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

MODELS = (
    "Qwen/Qwen3-8B",
    "meta-llama/Llama-3.1-8B-Instruct",
    "Qwen/Qwen3-32B",
    "openai/gpt-oss-20b",
    "mistralai/Mistral-7B-Instruct-v0.3",
)
GPUS = ("nvidia-h100-80gb", "nvidia-l4", "nvidia-a100-80gb", "nvidia-h200-141gb")
VERSIONS = ("0.9.2", "0.10.2", "0.11.0", "0.12.0")


def parts(number: int) -> dict[str, object]:
    """Return the settings of one engine of many."""
    large = number % 20 == 0
    return {
        "name": f"llm-{number}",
        "model": MODELS[2] if large else MODELS[number % 2],
        "gpu": GPUS[1] if large else GPUS[number % len(GPUS) // 2 * 2],
        "version": VERSIONS[number % len(VERSIONS)],
        "length": (4096, 8192, 16384, 32768)[number % 4],
        "selector": ""
        if number % 10 == 5
        else f"      nodeSelector: {{cloud.google.com/gke-accelerator: {GPUS[1] if large else GPUS[0]}}}\n",
        "fraction": (0.9, 0.85, 0.92)[number % 3],
    }


def deployment(number: int) -> tuple[str, str]:
    """Return a Deployment with its Service and ConfigMap."""
    text = """\
apiVersion: v1
kind: ConfigMap
metadata: {{name: {name}, namespace: serving}}
data:
  MAX_MODEL_LEN: "{length}"
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
  namespace: serving
  labels: {{app: {name}}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
{selector}      containers:
      - name: vllm
        image: vllm/vllm-openai:v{version}
        envFrom: [{{configMapRef: {{name: {name}}}}}]
        env:
        - {{name: HF_TOKEN, valueFrom: {{secretKeyRef: {{name: hf, key: token}}}}}}
        args:
        - --model={model}
        - --max-model-len=$(MAX_MODEL_LEN)
        - --gpu-memory-utilization={fraction}
        - --enable-prefix-caching
        ports: [{{containerPort: 8000}}]
        readinessProbe: {{httpGet: {{path: /health, port: 8000}}, periodSeconds: 5}}
        resources: {{limits: {{nvidia.com/gpu: 1, memory: 64Gi}}, requests: {{nvidia.com/gpu: 1, cpu: 8}}}}
        volumeMounts: [{{name: shm, mountPath: /dev/shm}}]
      volumes: [{{name: shm, emptyDir: {{medium: Memory, sizeLimit: 8Gi}}}}]
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: serving}}
spec: {{selector: {{app: {name}}}, ports: [{{port: 80, targetPort: 8000}}]}}
"""
    return f"k8s/{number}.yaml", text.format(**parts(number))


def shell_pod(number: int) -> tuple[str, str]:
    """Return a StatefulSet whose shell text starts the engine."""
    text = """\
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: {name}}}
spec:
  serviceName: {name}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
{selector}      containers:
      - name: server
        image: vllm/vllm-openai:v{version}
        command: ["/bin/bash", "-c"]
        args:
        - |
          set -euo pipefail
          export VLLM_LOGGING_LEVEL=INFO
          python3 -c 'print("ready")'
          exec vllm serve {model} \\
            --max-model-len ${{MAX_LEN:-{length}}} \\
            --gpu-memory-utilization {fraction} \\
            --max-num-seqs 64
        resources: {{limits: {{nvidia.com/gpu: "1"}}}}
"""
    return f"stateful/{number}.yaml", text.format(**parts(number))


def compose(number: int) -> tuple[str, str]:
    """Return a compose file with an engine and what stands around it."""
    text = """\
services:
  proxy:
    image: nginx:1.27
    ports: ["80:80"]
  {name}:
    image: vllm/vllm-openai:v{version}
    # kvplan: gpu=h100
    command: >
      --model {model}
      --max-model-len {length}
      --gpu-memory-utilization {fraction}
    ipc: host
    deploy: {{resources: {{reservations: {{devices: [{{driver: nvidia, count: 1, capabilities: [gpu]}}]}}}}}}
  redis:
    image: redis:7
"""
    return f"compose/{number}/compose.yaml", text.format(**parts(number))


def script(number: int) -> tuple[str, str]:
    """Return a script that starts a container."""
    text = """\
#!/usr/bin/env bash
# kvplan: gpu=h100
set -e
MODEL="${{1:-{model}}}"
if ! command -v docker >/dev/null; then
  echo "no docker" >&2
  exit 1
fi
docker run -d --name {name} --gpus 1 --ipc=host \\
  -v ~/.cache/huggingface:/root/.cache/huggingface \\
  -p 8000:8000 \\
  vllm/vllm-openai:v{version} \\
  --model {model} \\
  --max-model-len {length} \\
  --gpu-memory-utilization {fraction}
until curl -sf localhost:8000/health; do sleep 1; done
"""
    return f"scripts/{number}.sh", text.format(**parts(number))


def systemd(number: int) -> tuple[str, str]:
    """Return a unit of systemd."""
    text = """\
# kvplan: gpu=h100 engine=vllm@{version}
[Unit]
Description={name}
[Service]
Environment=LEN={length}
ExecStart=/opt/venv/bin/vllm serve {model} --max-model-len ${{LEN}} --gpu-memory-utilization {fraction}
Restart=always
[Install]
WantedBy=multi-user.target
"""
    return f"systemd/{number}.service", text.format(**parts(number))


def dockerfile(number: int) -> tuple[str, str]:
    """Return a Dockerfile."""
    text = """\
FROM vllm/vllm-openai:v{version}
ENV HF_HOME=/models
# kvplan: gpu=h100
CMD ["--model", "{model}", "--max-model-len", "{length}"]
"""
    return f"images/{number}/Dockerfile", text.format(**parts(number))


def values(number: int) -> tuple[str, str]:
    """Return values of the production-stack chart."""
    text = """\
servingEngineSpec:
  runtimeClassName: ""
  modelSpec:
  - name: {name}
    # kvplan: gpu=h100
    repository: vllm/vllm-openai
    tag: v{version}
    modelURL: {model}
    replicaCount: 1
    requestCPU: 6
    requestMemory: 32Gi
    requestGPU: 1
    vllmConfig: {{maxModelLen: {length}, gpuMemoryUtilization: {fraction}, extraArgs: ["--disable-log-requests"]}}
routerSpec: {{enableRouter: true}}
"""
    return f"charts/{number}/values.yaml", text.format(**parts(number))


def engine_yaml(number: int) -> tuple[str, str]:
    """Return a configuration of vLLM."""
    text = "# kvplan: gpu=h100 engine=vllm@{version}\nmodel: {model}\nmax-model-len: {length}\ngpu-memory-utilization: {fraction}\n"
    return f"config/vllm-{number}.yaml", text.format(**parts(number))


def sglang(number: int) -> tuple[str, str]:
    """Return a pod of an engine without a plan yet."""
    text = """\
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  containers:
  - name: sglang
    image: lmsysorg/sglang:v0.5.3
    command: [python3, -m, sglang.launch_server]
    args: [--model-path, {model}, --context-length, "{length}", --mem-fraction-static, "{fraction}"]
    resources: {{limits: {{nvidia.com/gpu: 1}}}}
"""
    return f"sglang/{number}.yaml", text.format(**parts(number))


def workflow(number: int) -> tuple[str, str]:
    """Return a GitHub workflow that starts an engine."""
    text = """\
name: {name}
on: push
jobs:
  test:
    runs-on: ubuntu-latest
    steps:
    - uses: actions/checkout@v4
    - run: |
        # kvplan: gpu=h100
        pip install vllm=={version}
        vllm serve {model} --max-model-len {length} &
"""
    return f".github/workflows/{number}.yml", text.format(**parts(number))


def other(number: int) -> tuple[str, str]:
    """Return a file that deploys no engine."""
    service = f"apiVersion: v1\nkind: Service\nmetadata: {{name: s{number}}}\nspec: {{ports: [{{port: 80}}]}}\n"
    python = "".join(f"def f{line}(x):\n    return x + {line}\n\n\n" for line in range(150))
    dashboard = json.dumps(
        {"title": f"vllm {number}", "panels": [{"id": n, "expr": "vllm:num_requests_running"} for n in range(300)]},
        indent=1,
    )
    return (
        (f"other/{number}.yaml", service * 20),
        (f"other/{number}.py", python),
        (f"other/{number}.json", dashboard),
    )[number % 3]


KINDS: tuple[Callable[[int], tuple[str, str]], ...] = (
    deployment, shell_pod, compose, script, systemd, dockerfile, values, engine_yaml, sglang, workflow,
)  # fmt: skip


def made(number: int) -> tuple[str, str, str]:
    """Return a file's kind, name and text."""
    kind = other if number % 4 == 3 else KINDS[number % len(KINDS)]
    return kind.__name__, *kind(number)


def main() -> None:
    """Write the files, check them in a process of its own, then each kind in this one."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    files = [made(number) for number in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        for _, name, text in files:
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        start = time.perf_counter()
        command = [sys.executable, "-m", "kvplan", "check", ".", "--all-files", "--json"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603  kvplan itself
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        if done.returncode not in (0, 1):
            sys.exit(done.stderr)
        summary = json.loads(done.stdout)["summary"]
        print(
            f"{count:,} files on {os.cpu_count()} cores: {seconds:.2f} s, {1000 * seconds / count:.2f} ms a file,"
            f" peak {peak:.0f} MiB"
        )
        print(", ".join(f"{number:,} {name.replace('_', ' ')}" for name, number in summary.items()))
        each_kind(files)


def each_kind(files: list[tuple[str, str, str]]) -> None:
    """Print the milliseconds that a file of each kind takes once kvplan runs."""
    from kvplan import check  # noqa: PLC0415  not part of what is measured above

    check("warm.yaml", text=files[0][2])
    spent: dict[str, list[float]] = {}
    for kind, name, text in files:
        start = time.perf_counter()
        check(name, text=text)
        spent.setdefault(kind, []).append(time.perf_counter() - start)
    for kind, times in sorted(spent.items(), key=lambda item: -max(item[1])):
        mean, most = 1000 * sum(times) / len(times), 1000 * max(times)
        print(f"  {kind:12} {mean:6.2f} ms on average, {most:6.2f} ms at most, {len(times):,} files")


if __name__ == "__main__":
    main()
