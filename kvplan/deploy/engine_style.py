"""Containers that are told an engine's flags by variables: SageMaker's SM_VLLM_*, DJL's OPTION_*, RunPod's upper case."""

from collections.abc import Mapping
from types import MappingProxyType

from kvplan.errors import SettingError
from kvplan.launch.peel import Launch
from kvplan.launch.variables import text_of
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
_MODELS = ("MODEL_NAME", "MODEL_ID", "MODEL", "MODEL_PATH")
_OTHER_NAMES = {
    "MAX_NUM_SEQ": "--max-num-seqs",
    "TENSOR_PARALLELISM": "--tensor-parallel-size",
    "PIPELINE_PARALLELISM": "--pipeline-parallel-size",
}  # KubeRay's sample (config/samples/vllm/serve.py)
_BARE = ("ENFORCE_EAGER", "TRUST_REMOTE_CODE", "ENABLE_PREFIX_CACHING", "ENABLE_EXPERT_PARALLEL")
_ADDED = ("VLLM_ADDITIONAL_ARGS", "VLLM_EXTRA_ARGS", "VLLM_ARGS", "VLLM_SERVE_ARGS")


def style_words(launch: Launch) -> list[Word]:
    """Return the engine's flags that the variables of a container stand for, in the order of the variables."""
    if launch.engine == "sglang":
        return [word for name, given in launch.environment.items() for word in _of_sagemaker("SM_SGLANG_", name, given)]
    if launch.engine != "vllm":
        return []
    found: list[Word] = []
    image = str(launch.image.value).lower() if launch.image is not None else ""
    runpod = ("worker" in image and "vllm" in image) or _looks_like_runpod(launch)
    for name, given in launch.environment.items():
        if name.startswith("SM_VLLM_"):
            found += _of_sagemaker("SM_VLLM_", name, given)
        elif name.startswith("OPTION_"):
            key = name.removeprefix("OPTION_")
            if key in _DJL:
                found += (
                    _flag(_DJL[key], given) if str(given.value) != "max" else _of_all_gpus(_DJL[key], given, launch)
                )
            elif key in _DJL_SAME:
                found += _flag("--" + key.lower().replace("_", "-").removesuffix("-per-gpu"), given)
            elif key in _BARE:
                found += _bare(key, given)
        elif name == "TENSOR_PARALLEL_DEGREE" and "djl" in image:
            found += _flag(_DJL[name], given) if str(given.value) != "max" else _of_all_gpus(_DJL[name], given, launch)
        elif name == "HF_MODEL_ID" and "OPTION_MODEL_ID" in launch.environment:
            continue  # DJL's own name for it wins
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
        elif name.removeprefix("VLLM_") in _RUNPOD and name.startswith("VLLM_") and not launch.words:
            # A start script of one's own, which calls them so.
            found += _flag("--" + name.removeprefix("VLLM_").lower().replace("_", "-"), given)
        elif name in _ADDED:
            found += _more(given)
    return found


def _of_sagemaker(prefix: str, name: str, given: Given) -> list[Word]:
    """Return the flag that SageMaker's entry point makes of a variable (vllm, examples/online_serving/sagemaker-entrypoint.sh).

    An empty value makes a bare flag, and so do truth values, as whoever writes them means.
    """
    if not name.startswith(prefix):
        return []
    flag = f"--{name.removeprefix(prefix).lower().replace('_', '-')}"
    text = str(given.value).strip().lower()
    if text in ("", "true", "false"):
        return [] if text == "false" else [Word(flag, place=given.words[0].place if given.words else None)]
    return _flag(flag, given)


def _of_all_gpus(flag: str, given: Given, launch: Launch) -> list[Word]:
    """Return a flag for as many GPUs as there are (`max`); open where the container's number is not known."""
    place = given.words[-1].place if given.words else None
    count = launch.gpus.value if launch.gpus is not None else None
    return [
        Word(flag, place=place),
        Word(str(count) if isinstance(count, int) else "${GPUS}", place=place),
    ]


def _has(launch: Launch, *prefixes: str) -> bool:
    return any(name.startswith(prefixes) for name in launch.environment)


def _looks_like_runpod(launch: Launch) -> bool:
    """Whether nothing but variables tells the engine anything."""
    named = any(name in launch.environment for name in _MODELS)
    own = (*_RUNPOD, *_OTHER_NAMES, *(f"VLLM_{name}" for name in _RUNPOD))
    image = str(launch.image.value).rpartition("/")[2].partition(":")[0] if launch.image is not None else ""
    enough = 1 if image == "vllm" else 2  # an image of one's own that is called so is no other program's
    return not launch.words and named and sum(name in launch.environment for name in own) >= enough


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
    try:
        return [word for word in split(text_of(given)) if not word.operator]
    except SettingError:
        return []
