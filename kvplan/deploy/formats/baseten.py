"""Baseten's Truss (config.yaml): a server's start command, or a build of TensorRT-LLM."""

from collections.abc import Iterator

from kvplan.deploy.accelerators import named
from kvplan.deploy.file import File
from kvplan.deploy.keys import flag_for
from kvplan.deploy.placeholders import filled
from kvplan.deploy.splitting import split_text
from kvplan.deploy.tree import Document, Node
from kvplan.deploy.variables import listed
from kvplan.deploy.workload import Gpus, Workload, word
from kvplan.launch.words import Word

# Keys of `trt_llm.runtime` (inference stack v2) and `trt_llm.build` (v1), and the flags of trtllm-serve that say the same.
_FLAGS = (
    ("--max_seq_len", ("max_seq_len",)),
    ("--max_batch_size", ("max_batch_size",)),
    ("--max_num_tokens", ("max_num_tokens",)),
    ("--max_beam_width", ("max_beam_width",)),
    ("--tp_size", ("tensor_parallel_size", "tensor_parallel_count")),
    ("--pp_size", ("pipeline_parallel_size", "pipeline_parallel_count")),
    ("--kv_cache_free_gpu_memory_fraction", ("kv_cache_free_gpu_mem_fraction",)),
)
# `quantization_type: fp8_kv` makes weights and cache FP8; the cache of `fp4_kv` is FP8 as well.
_FP8_CACHE = frozenset({"fp8_kv", "fp4_kv"})


def read(file: File) -> Iterator[Workload]:
    """Yield the server of a Truss."""
    for document in file.documents:
        root = document.root
        server = root.get("docker_server")
        starts = server.get("start_command").kind == "scalar" or server.get("no_build").typed is True
        if starts and (root.get("resources") or root.get("base_image")):
            yield _server(document, server)
        elif root.get("trt_llm", "build").kind == "map" and root.get("resources"):
            yield _built(document)


def _gpus(root: Node) -> Gpus:
    accelerator = root.get("resources", "accelerator")
    if accelerator.kind != "scalar" or accelerator.is_null:
        return Gpus()
    kind, count = named(accelerator.text)
    return Gpus(count=count, types=() if kind is None else (kind,))


def _name(root: Node) -> str:
    return root.get("model_name").string or "model"


def _server(document: Document, server: Node) -> Workload:
    root = document.root
    start = server.get("start_command")
    return Workload(
        format="baseten",
        name=_name(root),
        place=(start or server).place,
        image=word(root.get("base_image", "image")),
        command=split_text(filled(start.text)) if start.string else None,
        environment=listed(root.get("environment_variables")),
        gpus=_gpus(root),
        templated=document.templated,
    )


def _built(document: Document) -> Workload:
    root = document.root
    build = root.get("trt_llm", "build")
    model = word(build.get("checkpoint_repository", "repo"))
    parts = (root.get("trt_llm", "runtime"), build)
    flags = [next((found for part in parts if (found := flag_for(name, part, *keys))), ()) for name, keys in _FLAGS]
    quantization = build.get("quantization_type")
    if quantization.string.lower() in _FP8_CACHE:
        flags.append((Word("--kv_cache_dtype", place=quantization.text), Word("fp8", place=quantization.text)))
    words: list[Word] = [model] if model is not None else []
    return Workload(
        format="baseten",
        name=_name(root),
        place=build.place,
        words=(*words, *(each for one in flags for each in one)),
        engine="tensorrt-llm",
        environment=listed(root.get("environment_variables")),
        gpus=_gpus(root),
        templated=document.templated,
    )
