"""Which engine a set of environment variables configures, by the names that only it reads."""

from collections.abc import Collection

# TGI reads every flag as a variable; these are its own, MODEL_ID is not (text-generation-inference, launcher/src/main.rs).
_TGI = frozenset({
    "MAX_TOTAL_TOKENS", "MAX_INPUT_TOKENS", "MAX_INPUT_LENGTH", "MAX_BATCH_PREFILL_TOKENS", "MAX_BATCH_TOTAL_TOKENS",
    "NUM_SHARD", "MAX_CONCURRENT_REQUESTS", "CUDA_MEMORY_FRACTION", "MAX_WAITING_TOKENS",
})  # fmt: skip
# What RunPod's worker passes to vLLM under these names (worker-vllm, src/engine_args.py).
_RUNPOD = frozenset({
    "MAX_MODEL_LEN", "TENSOR_PARALLEL_SIZE", "GPU_MEMORY_UTILIZATION", "MAX_NUM_SEQS", "KV_CACHE_DTYPE", "ENFORCE_EAGER",
    "PIPELINE_PARALLEL_SIZE", "MAX_NUM_BATCHED_TOKENS", "CPU_OFFLOAD_GB", "QUANTIZATION",
})  # fmt: skip
# Names beside RunPod's that show that a script of one's own reads them all.
_NOT_RUNPOD = frozenset({"TP_SIZE", "TP", "VLLM_PORT", "VLLM_HOST", "VLLM_IMAGE", "TGI_VERSION"})
# Of the server's own, those that change what it holds; many clients have variables that begin so (ollama, envconfig/config.go).
_OLLAMA = frozenset({
    "OLLAMA_CONTEXT_LENGTH", "OLLAMA_NUM_PARALLEL", "OLLAMA_MAX_LOADED_MODELS", "OLLAMA_KV_CACHE_TYPE", "OLLAMA_FLASH_ATTENTION",
    "OLLAMA_GPU_OVERHEAD", "OLLAMA_SCHED_SPREAD", "OLLAMA_MAX_QUEUE", "OLLAMA_NEW_ENGINE", "OLLAMA_LLM_LIBRARY",
})  # fmt: skip
# NIM for LLMs (docs.nvidia.com/nim/large-language-models, configuration).
_NIM = frozenset({
    "NIM_MODEL_NAME", "NIM_MODEL_PROFILE", "NIM_MAX_MODEL_LEN", "NIM_TENSOR_PARALLEL_SIZE", "NIM_PIPELINE_PARALLEL_SIZE",
    "NIM_KVCACHE_PERCENT", "NIM_RELAX_MEM_CONSTRAINTS", "NIM_LOW_MEMORY_MODE", "NIM_ENABLE_KV_CACHE_REUSE",
    "NIM_KV_CACHE_DTYPE", "NIM_MAX_BATCH_SIZE", "NIM_PEFT_SOURCE",
})  # fmt: skip
# Of DJL's OPTION_*, those that say that a model is served; other tools have options too.
_DJL = frozenset({
    "OPTION_MODEL_ID", "OPTION_ROLLING_BATCH", "OPTION_TENSOR_PARALLEL_DEGREE", "OPTION_MAX_MODEL_LEN",
    "OPTION_GPU_MEMORY_UTILIZATION", "OPTION_MAX_ROLLING_BATCH_SIZE",
})  # fmt: skip
_PREFIXES = (("SM_VLLM_", "vllm"), ("SM_SGLANG_", "sglang"), ("LLAMA_ARG_", "llama.cpp"))
_ADDRESSES = ("_HOST", "_PORT", "_API_KEY", "_URL")


def engine_of(names: Collection[str]) -> str:
    """Return the engine (the contract's name) that variables clearly configure; "" where they configure none, or several.

    OPTION_* counts as vLLM's, which DJL's containers start unless OPTION_ROLLING_BATCH says otherwise.
    """
    own = set(names)
    found = {engine for engine, part in (("ollama", _OLLAMA), ("nim", _NIM)) if own & part}
    for prefix, engine in _PREFIXES:
        if any(name.startswith(prefix) and not name.endswith(_ADDRESSES) for name in own):
            found.add(engine)
    if len(own & _DJL) > 1 or (own & _DJL and "HF_MODEL_ID" in own):
        found.add("vllm")
    if own & {"MODEL_ID", "HF_MODEL_ID"} and own & _TGI:
        found.add("tgi")
    prefixed = own & {f"VLLM_{name}" for name in _RUNPOD}
    if own & {"MODEL_ID", "MODEL_NAME", "MODEL_PATH", "MODEL"} and prefixed and len(prefixed) + len(own & _RUNPOD) > 1:
        found.add("vllm")  # read by a start script of one's own
    if "MODEL_NAME" in own and len(own & _RUNPOD) > 1 and not own & (_TGI | _NOT_RUNPOD):
        found.add("vllm")
    return found.pop() if len(found) == 1 else ""


def settings_among(names: Collection[str]) -> int:
    """Return how many of the variables are an engine's settings."""
    known = _TGI | _RUNPOD | _OLLAMA | _NIM | _DJL | {"MODEL_ID", "HF_MODEL_ID", "MODEL_NAME"}
    prefixes = (*(prefix for prefix, _ in _PREFIXES), "OPTION_", "OLLAMA_", "NIM_")
    return sum(name in known or name.startswith(prefixes) for name in names)
