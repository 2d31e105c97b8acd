"""Texts for `kvplan check` that no one would write: the words of its formats, and seeds mutated along their structure.

`tools/fuzz_check.py` and `tests/deploy/test_any_file.py` draw from here.
"""

import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path

SEEDS = Path(__file__).resolve().parents[1] / "tests" / "deploy" / "fuzz_seeds"

# A file's name decides which readers look at it.
NAMES = (
    "deploy.yaml", "values.yaml", "ms-values.yaml", "config.yaml", "docker-compose.yml", "compose.yaml", "Dockerfile",
    "a.dockerfile", "serve.sh", "run", "Makefile", "job.sbatch", "a.ps1", "a.txt", "a.j2", "vllm.service",
    "vllm.container", ".env", "tgi.env", "serving.properties", ".gitlab-ci.yml", ".github/workflows/a.yml",
    "job.nomad", "main.tf", "deploy.py", ".dstack.yml", "a.json", "a.toml", "a.bat", "charts/a/templates/b.yaml", "-",
    "engine_config.yaml", "a b\tc\x1b[0m.yaml", "", "..", "a/../../b.yaml",
)  # fmt: skip

KEYS = (
    "apiVersion", "kind", "metadata", "name", "namespace", "annotations", "labels", "spec", "template", "containers",
    "initContainers", "image", "command", "args", "env", "value", "valueFrom", "configMapKeyRef", "key", "envFrom",
    "configMapRef", "resources", "limits", "requests", "nvidia.com/gpu", "nvidia.com/gpu.product", "memory",
    "nodeSelector", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms",
    "matchExpressions", "values", "volumes", "volumeMounts", "emptyDir", "medium", "sizeLimit", "mountPath",
    "configMap", "items", "path", "data", "stringData", "jobTemplate", "replicas", "services", "deploy",
    "reservations", "devices", "count", "device_ids", "driver", "capabilities", "environment", "env_file",
    "entrypoint", "shm_size", "extends", "gpus", "profiles", "x-a", "<<", "predictor", "model", "modelFormat",
    "storageUri", "runtime", "workerSpec", "supportedModelFormats", "multiModel", "leaderWorkerTemplate", "size",
    "leaderTemplate", "workerTemplate", "parallelism", "tensor", "dataLocal", "prefill", "worker", "extraPodSpec",
    "mainContainer", "componentType", "multinode", "nodeCount", "sharedMemory", "envs", "run", "setup",
    "accelerators", "any_of", "ordered", "num_nodes", "service", "commands", "gpu", "vendor", "type", "jobs", "steps",
    "on", "matrix", "include", "exclude", "strategy", "container", "script", "before_script", "variables", "models",
    "cmd", "macros", "groups", "members", "docker_server", "start_command", "accelerator", "base_image", "trt_llm",
    "build", "applications", "llm_configs", "engine_kwargs", "accelerator_type", "model_loading_config", "model_id",
    "model_source", "placement_group_config", "serveConfigV2", "servingEngineSpec", "modelSpec", "vllmConfig",
    "requestGPU", "repository", "tag", "modelURL", "catalog", "url", "engine", "resourceProfile", "features",
    "modelArtifacts", "decode", "decoder", "engineConfig", "runner", "leader", "instanceType", "inference", "preset",
    "resource", "max_model_len", "max-model-len", "tensor-parallel-size", "gpu_memory_utilization", "kv_cache_config",
    "free_gpu_memory_fraction", "max_seq_len", "backend", "vllm_config", "gpu_type", "gpus_per_node", "decode_nodes",
    "decode_workers", "base", "overrides", "LLM_MODEL_ID", "extraCmdArgs", "accelDevice", "multiNode", "storage",
    "uri", "vllm", "sglang", "extraArgs", "baseRefs", "kvplan.dev/ignore",
)  # fmt: skip

TEXTS = (
    "", "~", "null", "true", "no", "0", "1", "2", "8", "-1", "010", "0x10", "1e3", ".5", ".nan", ".inf", "9" * 40,
    "1_000", "12:30:45", "8192", "8k", "64Gi", "1gb", "all", "8.0", "a", "é", "😀", "\ue000", "\ue000" * 3, "\u2028",
    "\u0085", "\x00", "\x1b[31m", "\ud800", "\ufeff", "meta-llama/Llama-3.1-8B-Instruct", "Qwen/Qwen3-32B",
    "org/none", "../../etc/passwd", "hf://a/b", "pvc://a/b", "s3://a", "/mnt/models", "L4", "H100",
    "NVIDIA-H100-80GB-HBM3", "nvidia-l4", "A100:80GB:2", "24GB..80GB:2", "H100:8", "p4d.24xlarge", "MI300X", "${A}",
    "${A:-b}", "${A:?x}", "${A:-${B:-${C}}}", "$(A)", "$((1+1))", "$((2**9999))", "$A", "$$", "$", "${", "$(", "`a`",
    "${A[@]}", "${#A}", "${A%%b*}", "${A//b/c}", "${!A}", "{{ .Values.a }}", "{{", "}}", "{%", "{% if a %}",
    "{{- range $i, $e := .Values.a }}", "{{ end }}", "${{ env.A }}", "${{ matrix.a }}", "%n", "%%", "<<EOF", "<<-'E'",
    "EOF", "&&", "||", ";", "|", "&", ">", "2>&1", "(", ")", "{", "}", "[[", "]]", "if true; then", "fi",
    "for i in 1 2; do", "done", "case a in", "esac", "f() {", "while", "function a", "exec", "eval", "source", "sudo",
    "export A=b", "A=(a b)", "A+=(c)", "set --", "env", "bash -c", "sh -c 'a'", "ssh a", "srun", "mpirun -np 2",
    "docker run", "nohup", "timeout 5", "podman run --gpus all", "vllm serve", "vllm serve a/b",
    "python3 -m vllm.entrypoints.openai.api_server", "python -m sglang.launch_server", "trtllm-serve",
    "text-generation-launcher", "llama-server", "ollama serve", "lmdeploy serve api_server",
    "vllm/vllm-openai:v0.11.0", "vllm/vllm-openai:latest", "vllm/vllm-openai@sha256:" + "a" * 64,
    "ghcr.io/huggingface/text-generation-inference:3.0", "lmsysorg/sglang", "--model", "--model=a/b",
    "--max-model-len", "--max-model-len=8192", "--max-model-len 1M", "--tensor-parallel-size", "-tp", "-tp=2", "--tp",
    "--gpu-memory-utilization", "--gpu-memory-utilization=0.9", "--kv-cache-dtype", "fp8", "--quantization", "awq",
    "--max-num-seqs", "--max-num-s", "--speculative-config", "--hf-overrides", '{"a": {"b": [1, 2]}}', '{"a"',
    "--config", "-pp", "-dp", "--no-a", "--cpu-offload-gb", "-O3", "'", '"', "''", '""', "\\", "\\\n", "\\\\",
    "\\u0041", "# a", "# kvplan: gpu=L4", "# kvplan: users=9", "# kvplan: ignore[KVP103] x", "#cloud", "- a", "- ",
    "-", ":", ": ", "? ", "!!binary a", "!a", "&a", "*a", "&a [*a]", "|", ">-", "|2", "---", "...", "--- a",
    "%YAML 1.2", "@a", "\t", ",", "[", "]", "[a, b]", "{a: b}", "[[[[", "{{{{", "FROM a AS b", "ENV A=b", 'CMD ["a"]',
    "ENTRYPOINT a", "ARG A", "RUN <<E", "COPY --from=0 a b", "[Service]", "ExecStart=", "Environment=A=b",
    'resource "a" "b" {', "jsonencode({", "<<-E", "merge(", "/* a */", "// a", "subprocess.run([", "def f():",
    "f'{a}'", "import modal", "*args", "**a", "lambda: 0", "@app.function(gpu='L4')", "\r\n", "\r", "\n", "\n\n",
    "\x0c", "\u00a0",
)  # fmt: skip


def read_seeds(folder: Path) -> list[tuple[str, str]]:
    """Return name and text of every file below a folder, in the order of their paths."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.stat().st_size <= 100_000]
    return [(path.name, path.read_text(encoding="utf-8", errors="replace")) for path in paths]


# -- mutations: each takes a text, and texts to take parts of ----------------------------------------------------------

_WORD = re.compile(r"[\w./$@%+*-]+|[^\w\s]")
_VALUE = re.compile(r"(?<=[:=] )[^\s,\]}][^\n,\]}]*|(?<=- )[^\n]+")


def mutated(text: str, draw: random.Random, others: Sequence[tuple[str, str]], *, most: int = 20_000) -> str:
    """Return a text changed once to four times."""
    for _ in range(draw.choice((1, 1, 1, 2, 2, 3, 4))):
        text = draw.choice(_MUTATIONS)(text, draw, draw.choice(others)[1] if others else text)
    return text[:most]


def _word(text: str, draw: random.Random, _: str) -> str:
    """Put a word of the formats in the place of one."""
    return _replaced(text, draw, _WORD, draw.choice((KEYS, TEXTS, TEXTS)))


def _value(text: str, draw: random.Random, _: str) -> str:
    """Put something else where a value stands."""
    return _replaced(text, draw, _VALUE, TEXTS)


def _replaced(text: str, draw: random.Random, pattern: re.Pattern[str], words: Sequence[str]) -> str:
    matches = list(pattern.finditer(text))
    if not matches:
        return text + draw.choice(words)
    match = draw.choice(matches)
    return text[: match.start()] + draw.choice(words) + text[match.end() :]


def _put_in(text: str, draw: random.Random, _: str) -> str:
    """Put something in between two characters."""
    at = draw.randint(0, len(text))
    return text[:at] + draw.choice((" ", "", "\n")) + draw.choice((KEYS, TEXTS)[draw.random() < 0.7]) + text[at:]


def _cut(text: str, draw: random.Random, _: str) -> str:
    """Leave out a stretch."""
    at = draw.randint(0, len(text))
    return text[:at] + text[at + draw.choice((1, 2, 5, 20, 100)) :]


def _ends(text: str, draw: random.Random, _: str) -> str:
    """Leave out all from somewhere on."""
    return text[: draw.randint(0, len(text))]


def _lines(text: str, draw: random.Random, other: str) -> str:
    """Repeat, leave out, move, shift or take from elsewhere some lines."""
    lines = text.split("\n")
    at, size = draw.randrange(len(lines)), draw.choice((1, 1, 2, 4, 10))
    part = lines[at : at + size]
    how = draw.randrange(6)
    if how == 0:
        lines[at:at] = part * draw.choice((1, 1, 3, 30))
    elif how == 1:
        del lines[at : at + size]
    elif how == 2:
        del lines[at : at + size]
        to = draw.randint(0, len(lines))
        lines[to:to] = part
    elif how == 3:
        shift = draw.choice((1, 2, 4, -1, -2))
        lines[at : at + size] = [" " * shift + line if shift > 0 else line[-shift:] for line in part]
    else:
        theirs = other.split("\n")
        first = draw.randrange(len(theirs))
        lines[at : at + (size if how == 4 else 0)] = theirs[first : first + draw.choice((1, 2, 5, 20))]
    return "\n".join(lines)


def _wrapped(text: str, draw: random.Random, other: str) -> str:
    """Put all of it inside something: a text in YAML, a here-document, a template's branch, a stream."""
    inner = "\n".join(f"  {line}" for line in text.split("\n"))
    return draw.choice(
        (
            f"a: |\n{inner}", f"- {inner.lstrip()}",
            f"kind: ConfigMap\nmetadata: {{name: a}}\ndata:\n  a.yaml: |\n{inner.replace('  ', '    ')}",
            f"cat <<EOF > a.yaml\n{text}\nEOF\nkubectl apply -f a.yaml", f"{{{{- if .Values.a }}}}\n{text}\n{{{{- end }}}}\n",
            f"{other}\n---\n{text}", f"{text}\n---\n{other}", f"kind: List\nitems:\n- {inner.lstrip()}", text.replace("\n", "\r\n"),
            "\ufeff" + text, f"sh -c '{text}'", text + text, f"f() {{\n{text}\n}}\nf", f"if a; then\n{text}\nfi\n",
        )
    )  # fmt: skip


def _anchored(text: str, draw: random.Random, _: str) -> str:
    """Name a value, and point at it elsewhere."""
    matches = list(_VALUE.finditer(text))
    if len(matches) < 2:
        return text
    one, two = sorted(draw.sample(matches, 2), key=lambda match: match.start())
    pointed = draw.choice(("*a", "{<<: *a}", "[*a, *a]"))
    return f"{text[: one.start()]}&a {one[0]}{text[one.end() : two.start()]}{pointed}{text[two.end() :]}"


def _swapped(text: str, draw: random.Random, _: str) -> str:
    """Change one character for another everywhere."""
    old, new = draw.choice(
        (
            (" ", "  "),
            ("'", '"'),
            ('"', "'"),
            (": ", "="),
            ("=", " "),
            ("-", "_"),
            ("\n", " "),
            ("\n", "\\\n"),
            ("[", "{"),
            ("  ", "\t"),
        )
    )
    return text.replace(old, new, draw.choice((1, 3, -1)))


def _deepened(text: str, draw: random.Random, _: str) -> str:
    """Nest something many times."""
    count = draw.choice((5, 50, 300))
    opened, closed = draw.choice(
        (
            "[]",
            "{}",
            "()",
            ("{a: ", "}"),
            ("$(", ")"),
            ("${A:-", "}"),
            ("'", "'"),
            ("\\", ""),
            ("- ", ""),
            ("sh -c '", "'"),
        )
    )
    at = draw.randint(0, len(text))
    return text[:at] + opened * count + "a" + closed * count + text[at:]


_MUTATIONS: tuple[Callable[[str, random.Random, str], str], ...] = (
    _word, _word, _value, _value, _value, _put_in, _put_in, _cut, _ends, _lines, _lines, _lines, _wrapped, _anchored,
    _swapped, _deepened,
)  # fmt: skip
