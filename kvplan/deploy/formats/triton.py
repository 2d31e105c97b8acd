"""Triton's model configurations for TensorRT-LLM (`config.pbtxt`): the backend's parameters, as text protobuf writes them."""

import re
from collections.abc import Iterator

from kvplan.deploy.file import File
from kvplan.deploy.workload import Workload
from kvplan.launch.text import Place, Text
from kvplan.launch.words import Given, Word

_BACKEND = re.compile(r"""\b(?:backend|platform)\s*:\s*"tensorrt_?llm\"""")
_BATCH = re.compile(r"^\s*max_batch_size\s*:\s*(\d{1,9})", re.MULTILINE)
_PARAMETER = re.compile(
    r"""parameters\s*(?::\s*)?[{\[]\s*\{?\s*key\s*:\s*"(\w+)"\s*,?\s*value\s*:?\s*\{\s*string_value\s*:\s*"([^"\n]*)\""""
)
# The backend's names (triton-inference-server/tensorrtllm_backend, all_models/inflight_batcher_llm/tensorrt_llm/config.pbtxt), and
# trtllm-serve's for the same.
_FLAGS = {"kv_cache_free_gpu_mem_fraction": "--free_gpu_memory_fraction", "max_num_tokens": "--max_num_tokens"}
_MODEL = "gpt_model_path"


def read(file: File) -> Iterator[Workload]:
    """Yield the engine that a model's configuration describes; its parallel sizes are those it was built with."""
    if not file.name.endswith(".pbtxt") or (backend := _BACKEND.search(file.source.text)) is None:
        return
    text = file.text
    words: list[Word] = []
    model: Given | None = None
    if (batch := _BATCH.search(text.value)) is not None:
        words += _flag("--max_batch_size", text.cut(*batch.span(1)))
    for match in _PARAMETER.finditer(text.value):
        value = text.cut(*match.span(2))
        if match[1] in _FLAGS and value.value and "$" not in value.value:
            words += _flag(_FLAGS[match[1]], value)
        elif match[1] == _MODEL and value.value:
            model = Given(value.value, (Word(value.value, place=value),))
    yield Workload(
        format="triton",
        name=f"model {file.path.parent.name or file.path.name}",
        place=Place(file.source, backend.start(), backend.end()),
        words=tuple(words),
        engine="tensorrt-llm",
        model=model,
        sets_parallelism="the engine that was built",
    )


def _flag(name: str, value: Text) -> list[Word]:
    return [Word(name, place=value), Word(value.value, place=value)]
