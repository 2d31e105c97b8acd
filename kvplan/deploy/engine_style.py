"""Containers that are told an engine's flags by variables: SageMaker's SM_VLLM_*, DJL's OPTION_*, RunPod's upper case, KServe's env."""

from collections.abc import Mapping
from types import MappingProxyType

from kvplan.launch.peel import Launch
from kvplan.launch.words import Given, Word, split

# DJL serving's names that are not vLLM's (docs.djl.ai, serving/docs/lmi/user_guides/vllm_user_guide).
_DJL: Mapping[str, str] = MappingProxyType(
    {
        "MODEL_ID": "--model",
        "TENSOR_PARALLEL_DEGREE": "--tensor-parallel-size",
        "PIPELINE_PARALLEL_DEGREE": "--pipeline-parallel-size",
        "MAX_ROLLING_BATCH_SIZE": "--max-num-seqs",
        "MAX_ROLLING_BATCH_PREFILL_TOKENS": "--max-num-batched-tokens",
        "QUANTIZE": "--quantization",
        "DTYPE": "--dtype",
        "REVISION": "--revision",
    }
)
_DJL_SAME = (
    "MAX_MODEL_LEN", "GPU_MEMORY_UTILIZATION", "MAX_NUM_SEQS", "MAX_NUM_BATCHED_TOKENS", "KV_CACHE_DTYPE", "QUANTIZATION",
    "BLOCK_SIZE", "CPU_OFFLOAD_GB_PER_GPU", "SPECULATIVE_CONFIG",
)  # fmt: skip
# RunPod's worker (worker-vllm, src/engine_args.py): vLLM's names in upper case, and MODEL_NAME.
_RUNPOD = (
    "MAX_MODEL_LEN", "GPU_MEMORY_UTILIZATION", "TENSOR_PARALLEL_SIZE", "PIPELINE_PARALLEL_SIZE", "QUANTIZATION", "KV_CACHE_DTYPE",
    "MAX_NUM_SEQS", "MAX_NUM_BATCHED_TOKENS", "DTYPE", "BLOCK_SIZE", "CPU_OFFLOAD_GB",
)  # fmt: skip
_MODELS = ("MODEL_NAME", "MODEL_ID", "MODEL")
_OTHER_NAMES = {"MAX_NUM_SEQ": "--max-num-seqs", "TENSOR_PARALLELISM": "--tensor-parallel-size"}
_BARE = ("ENFORCE_EAGER", "TRUST_REMOTE_CODE", "ENABLE_PREFIX_CACHING", "ENABLE_EXPERT_PARALLEL")
_ADDED = ("VLLM_ADDITIONAL_ARGS", "VLLM_EXTRA_ARGS")


def style_words(launch: Launch) -> list[Word]:
    """Return the engine's flags that the variables of a container stand for, in the order of the variables."""
    if launch.engine == "nim":
        return []
    if launch.engine != "vllm":
        return []
    found: list[Word] = []
    image = str(launch.image.value).lower() if launch.image is not None else ""
    runpod = "worker" in image and "vllm" in image or _looks_like_runpod(launch)
    for name, given in launch.environment.items():
        if name.startswith("SM_VLLM_"):
            found += _flag("--" + name.removeprefix("SM_VLLM_").lower().replace("_", "-"), given)
        elif name.startswith("OPTION_"):
            key = name.removeprefix("OPTION_")
            if key in _DJL:
                if str(given.value) != "max":
                    found += _flag(_DJL[key], given)
            elif key in _DJL_SAME:
                found += _flag("--" + key.lower().replace("_", "-").removesuffix("-per-gpu"), given)
            elif key in _BARE:
                found += _bare(key, given)
        elif name == "HF_MODEL_ID" and ("djl" in image or "sagemaker" in image or _has(launch, "OPTION_", "SM_VLLM_")):
            found += _flag("--model", given)
        elif runpod and name in _RUNPOD:
            found += _flag("--" + name.lower().replace("_", "-"), given)
        elif runpod and name in _OTHER_NAMES:
            found += _flag(_OTHER_NAMES[name], given)
        elif runpod and name in _MODELS and "--model" not in {word.text for word in found}:
            found += _flag("--model", given)
        elif runpod and name in _BARE:
            found += _bare(name, given)
        elif name in _ADDED:
            found += _more(given)
    return found


def _has(launch: Launch, *prefixes: str) -> bool:
    return any(name.startswith(prefixes) for name in launch.environment)


def _looks_like_runpod(launch: Launch) -> bool:
    """Whether nothing but variables tells the engine anything."""
    named = any(name in launch.environment for name in _MODELS)
    return not launch.words and named and sum(name in launch.environment for name in (*_RUNPOD, *_OTHER_NAMES)) > 1


def _flag(name: str, given: Given) -> list[Word]:
    value = given.words[-1] if given.words else None
    text = str(given.value)
    if value is None or value.place is None or not value.text.endswith(text):
        return [Word(name), Word(text)]
    label = given.words[0] if len(given.words) > 1 else value
    cut = value.place.cut(len(value.text) - len(text))
    return [Word(name, place=label.place), Word(text, place=cut)]


def _bare(key: str, given: Given) -> list[Word]:
    if str(given.value).strip().lower() not in ("1", "true", "yes", "on"):
        return []
    return [Word("--" + key.lower().replace("_", "-"), place=given.words[-1].place if given.words else None)]


def _more(given: Given) -> list[Word]:
    from kvplan.errors import SettingError  # noqa: PLC0415  only for variables that hold flags
    from kvplan.launch.variables import text_of  # noqa: PLC0415

    try:
        return [word for word in split(text_of(given)) if not word.operator]
    except SettingError:
        return []
