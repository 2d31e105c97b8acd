"""Which engine a mapping of settings is for, by the keys that are its own, and the settings as the engine's words."""

from collections.abc import Iterator
from dataclasses import dataclass

from kvplan.deploy.keys import flags_of, flat, json_text
from kvplan.deploy.settings import flag_names, plain
from kvplan.deploy.tree import Node
from kvplan.deploy.workload import word
from kvplan.launch.words import Word

# Keys that one engine has and no other, each enough to tell it where a model stands beside it.
OWN = {
    "vllm": frozenset({
        "max-model-len", "gpu-memory-utilization", "max-num-seqs", "max-num-batched-tokens", "enforce-eager",
        "enable-prefix-caching", "no-enable-prefix-caching", "kv-cache-memory-bytes", "compilation-config", "swap-space",
        "limit-mm-per-prompt", "kv-transfer-config", "enable-expert-parallel", "data-parallel-size-local", "hf-overrides",
        "max-seq-len-to-capture", "disable-log-requests", "max-cudagraph-capture-size", "async-scheduling",
        "enable-auto-tool-choice", "num-gpu-blocks-override", "max-lora-rank", "kv-offloading-size",
    }),
    "sglang": frozenset({
        "model-path", "mem-fraction-static", "max-running-requests", "chunked-prefill-size", "cuda-graph-max-bs",
        "enable-dp-attention", "disable-radix-cache", "moe-runner-backend", "max-prefill-tokens", "disable-cuda-graph",
        "schedule-policy", "disaggregation-mode", "enable-torch-compile", "speculative-algorithm", "moe-dense-tp-size",
        "swa-full-tokens-ratio", "mamba-full-memory-ratio", "max-total-tokens", "enable-hierarchical-cache", "context-length",
    }),
    "tensorrt-llm": frozenset({
        "kv-cache-config", "cuda-graph-config", "enable-attention-dp", "disable-overlap-scheduler", "moe-config",
        "cache-transceiver-config", "print-iter-log", "attention-dp-config", "pytorch-backend-config", "build-config",
        "enable-autotuner", "stream-interval", "moe-expert-parallel-size", "enable-iter-perf-stats", "torch-compile-config",
        "kv-cache-free-gpu-mem-fraction", "kv-connector-config",
    }),
    "lmdeploy": frozenset({
        "session-len", "cache-max-entry-count", "quant-policy", "cache-block-seq-len", "max-prefill-token-num",
    }),
}  # fmt: skip
# TensorRT-LLM's further options (tensorrt_llm/llmapi/llm_args.py): no flags, so in no table of flags.
TRTLLM = frozenset({
    "model", "tensor-parallel-size", "pipeline-parallel-size", "context-parallel-size", "max-seq-len", "max-num-tokens",
    "max-batch-size", "max-input-len", "max-beam-width", "enable-chunked-prefill", "speculative-config", "backend", "dtype",
    "trust-remote-code", "load-format", "allreduce-strategy", "scheduler-config", "num-postprocess-workers", "attn-backend",
    "gpus-per-node", "moe-tensor-parallel-size", "moe-cluster-parallel-size", "guided-decoding-backend", "lora-config",
    "enable-lm-head-tp-in-adp", "use-cuda-graph", "tp-size", "pp-size", "ep-size", "model-kwargs", "sparse-attention-config",
    "batch-wait-timeout-ms", "perf-metrics-max-requests", "return-perf-metrics", "llm-api-args", "attention-backend",
    "enable-min-latency", "enable-iter-req-stats", "reasoning-parser", "decoding-config", "max-stats-len", "orchestrator-type",
    "disable-flashinfer-sampling", "sampler-type", "mm-encoder-only", "prometheus-metrics-config", "hostname", "host", "port",
    "enable-layerwise-nvtx-marker", "peft-cache-config", "quant-config", "extended-runtime-perf-knob-config", "tokenizer",
    "free-gpu-memory-fraction", "kv-cache-dtype", "garbage-collection-gen0-threshold", "nvfp4-gemm-config", "env-overrides",
})  # fmt: skip
# Of a file's keys, so many must be the engine's: it stops at others, and configurations of other programs have more. Where
# several are this engine's alone, there may be some that the tables lack.
_KNOWN, _KNOWN_OF_SEVERAL = 0.8, 0.65
PROGRAMS = {
    "vllm": "vllm serve",
    "sglang": "sglang's launch_server",
    "tensorrt-llm": "trtllm-serve",
    "lmdeploy": "lmdeploy serve",
}
MODEL_KEYS = ("model", "model-path", "model_path", "model_tag", "model-tag")


@dataclass(frozen=True, slots=True)
class Recognised:
    """An engine that a mapping configures, and the keys that tell it."""

    engine: str
    by: tuple[str, ...]


def recognised(root: Node) -> Recognised | None:
    """Return the engine whose settings a mapping's keys are; None where they are not clearly one's."""
    if root.kind != "map" or root.get("apiVersion"):
        return None
    keys = {key.value.strip().lstrip("-").replace("_", "-") for key, _ in root.entries()}
    inner = {key.value.replace("_", "-") for key, _ in root.get("llm_api_args").entries()}
    best: Recognised | None = None
    for engine, own in OWN.items():
        telling = tuple(sorted((keys | inner) & own))
        if telling and (best is None or len(telling) > len(best.by)):
            best = Recognised(engine, telling)
    if best is None or len(keys | inner) < 2:
        return None
    known = flag_names(best.engine)
    extra = TRTLLM | OWN["tensorrt-llm"] if best.engine == "tensorrt-llm" else OWN[best.engine] | {"model"}
    unknown = [key for key in keys | inner if plain(key) not in known and key not in extra]
    share = _KNOWN if len(best.by) < 2 else _KNOWN_OF_SEVERAL
    return best if len(unknown) <= (1 - share) * len(keys | inner) else None


def words_of(root: Node, engine: str) -> tuple[Word, ...]:
    """Return settings as an engine's words: its flags, or TensorRT-LLM's options by their paths (`--kv_cache_config.dtype fp8`)."""
    if engine == "tensorrt-llm":
        inner = root.get("llm_api_args")
        return (*_paths(root, "", {"model", "llm_api_args"}), *_paths(inner, "", {"model"}))
    skip = {name.replace("-", "_") for name in MODEL_KEYS}
    flags = flags_of(root, skip=skip)
    if engine != "vllm":
        # False is what these engines do without the flag; they have none that says no.
        flags = tuple(each for each in flags if not (len(each) == 1 and each[0].text.startswith("--no-")))
    return flat(flags)


def _paths(node: Node, before: str, skip: set[str], depth: int = 0) -> Iterator[Word]:
    for key, value in node.entries():
        if key.value in skip and not before:
            continue
        name = f"{before}{key.value}"
        if value.kind == "map" and depth < 8:
            yield from _paths(value, f"{name}.", skip, depth + 1)
            continue
        only = word(value)
        text = json_text(value) if value.kind == "list" else None
        if text is not None:
            only = Word(text.value, place=text)
        if only is not None:
            yield Word(f"--{name}", place=key.text)
            yield only
