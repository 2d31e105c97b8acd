"""Container images: which engine one holds, in which version."""

import re
from dataclasses import dataclass

# Parts of image names, the more telling first, to the engine inside (the contract's names).
_ENGINES = (
    ("text-generation-inference", "tgi"),
    ("tgi-inference", "tgi"),
    ("tgi-gaudi", "tgi"),
    ("/nim/", "nim"),
    ("sglang", "sglang"),
    ("tensorrt-llm", "tensorrt-llm"),
    ("tensorrtllm", "tensorrt-llm"),
    ("trtllm", "tensorrt-llm"),
    ("lmdeploy", "lmdeploy"),
    ("ollama", "ollama"),
    ("llama.cpp", "llama.cpp"),
    ("llama-cpp", "llama.cpp"),
    ("llamacpp", "llama.cpp"),
    ("djl-inference", "vllm"),
    ("djl-serving", "vllm"),
    ("vllm", "vllm"),
)
# vLLM on these has other rules of memory than on CUDA and ROCm.
_OTHER_DEVICES = re.compile(r"(?:^|[-_/:.])(cpu|tpu|neuron|xpu|hpu|gaudi|habana|ascend|npu|arm64-cpu)(?:$|[-_/:.\d])")
# Services of NIM that serve no language model; vLLM's own router and helpers.
_OTHER_MODELS = re.compile(
    r"embed|rerank|riva|parakeet|whisper|maxine|(?<![a-z])(?:tts|asr)(?![a-z])|ocr|clip|retriev|vllm-(?:router|operator|sr)"
)
# What stands beside an engine and is called after it.
_HELPERS = re.compile(
    r"router|operator|gateway|proxy|exporter|web-?ui|frontend|(?<!tensorrtllm_)(?<!trtllm_)backend|client|loader|download|bench"
    r"|mlops|monitor|dashboard|simulator|-sim\b|mock|gradio|streamlit|chainlit|chatbot|(?<![a-z])rag(?![a-z])"
)
_RELEASE = r"(\d+\.\d+\.\d+(?:\.?(?:post|rc|dev)\d+)?|\d+\.\d+)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A container image.

    Attributes:
        name: as written.
        engine: by the contract's name; None where the name tells none.
        version: of the engine, from the tag; None where that tells none (`latest`, a digest, a build's name).
        starts_engine: whether its entry point is the engine, so that only flags follow.
        device: `cpu`, `tpu` and the like where it is for another device than a GPU.

    """

    name: str
    engine: str | None
    version: str | None
    starts_engine: bool
    device: str | None


def read_image(name: str) -> Image:
    """Return what an image's name tells: `docker.io/vllm/vllm-openai:v0.11.0-cu128@sha256:...` is vLLM 0.11.0.

    The entry point of vllm/vllm-openai is `vllm serve`, in older ones the module vllm.entrypoints.openai.api_server;
    rocm/vllm and nvcr.io/nvidia/vllm start a shell.
    """
    plain, _, _ = name.partition("@")
    path, colon, tag = plain.rpartition(":")
    if not colon or "/" in tag:
        path, tag = plain, ""  # a port of the registry, no tag
    low = path.lower()
    last = low.rpartition("/")[2]
    engine = next((engine for part, engine in _ENGINES if part in low), None)
    if "semantic-router" in low:
        engine = None
    if (engine in ("nim", "vllm") and _OTHER_MODELS.search(last)) or (engine is not None and _HELPERS.search(last)):
        engine = None
    version = None
    if engine == "vllm":
        found = re.match(rf"v?{_RELEASE}(?=$|[-_+.])", tag) if "vllm-openai" in last else None
        found = found or re.search(rf"vllm[-_]?v?{_RELEASE}(?=$|[-_+.])", tag)
        version = found[1] if found else None
    elif engine is not None:
        # SageMaker's tags begin with PyTorch's version: 2.1.1-tgi2.0.0-gpu-py310.
        own = re.search(rf"tgi{_RELEASE}(?=$|[-_+.])", tag) if engine == "tgi" else None
        found = (
            own
            or re.match(rf"v?{_RELEASE}(?=$|[-_+.])", tag)
            or (re.match(r"(?:server-(?:\w+-)?|full-(?:\w+-)?)?(b\d{4,5})$", tag) if engine == "llama.cpp" else None)
        )
        version = found[1] if found else None
    device = _OTHER_DEVICES.search(last) or (_OTHER_DEVICES.search(tag.lower()) if engine == "vllm" else None)
    return Image(
        name=name,
        engine=engine,
        version=version,
        starts_engine=_starts(engine, last, tag),
        device=device[1] if device else None,
    )


def called_after(name: str) -> str | None:
    """Return the engine that a service or container of one's own is called after: `vllm_server`, `ollama`; None for others."""
    low = name.lower()
    if _HELPERS.search(low) or _OTHER_MODELS.search(low) or _BESIDE.search(low):
        return None
    return _WORDS.get(re.split(r"[-_]", low)[0]) or _WORDS.get(re.sub(r"[-_.]", "", low))


_BESIDE = re.compile(
    r"(?:^|[-_])(?:g?ui|test\w*|cli|init|pull\w*|setup|config|db|redis|cache|network|data|ctl)(?:$|[-_])"
)
# What names are called after, in one word.
_WORDS = {"vllm": "vllm", "sglang": "sglang", "tgi": "tgi", "ollama": "ollama", "llamacpp": "llama.cpp", "trtllm": "tensorrt-llm",
          "lmdeploy": "lmdeploy"}  # fmt: skip


def _starts(engine: str | None, last: str, tag: str) -> bool:
    """Whether an image's entry point is the engine: of vllm-openai, TGI, Ollama, NIM and llama.cpp's server images."""
    if engine == "vllm":
        return "vllm-openai" in last or last.startswith("vllm-cpu")
    if engine == "llama.cpp":
        return "server" in tag or "server" in last
    return engine in ("tgi", "ollama", "nim")
