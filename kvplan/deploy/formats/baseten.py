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
from kvplan.launch.words import Word  # noqa: TC001

# Keys of `trt_llm.build` and `.runtime`, and the flags of trtllm-serve that say the same.
_FLAGS = (
    ("--max_seq_len", "build", ("max_seq_len",)),
    ("--max_batch_size", "build", ("max_batch_size",)),
    ("--max_num_tokens", "build", ("max_num_tokens",)),
    ("--max_beam_width", "build", ("max_beam_width",)),
    ("--tp_size", "build", ("tensor_parallel_count",)),
    ("--pp_size", "build", ("pipeline_parallel_count",)),
    ("--kv_cache_free_gpu_memory_fraction", "runtime", ("kv_cache_free_gpu_mem_fraction",)),
)


def read(file: File) -> Iterator[Workload]:
    """Yield the server of a Truss."""
    for document in file.documents:
        root = document.root
        server = root.get("docker_server")
        if server.get("start_command").kind == "scalar" and (root.get("resources") or root.get("base_image")):
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
        place=start.place,
        image=word(root.get("base_image", "image")),
        command=split_text(filled(start.text)),
        environment=listed(root.get("environment_variables")),
        gpus=_gpus(root),
        templated=document.templated,
    )


def _built(document: Document) -> Workload:
    root = document.root
    build = root.get("trt_llm", "build")
    model = word(build.get("checkpoint_repository", "repo"))
    flags = [flag_for(name, root.get("trt_llm", part), *keys) for name, part, keys in _FLAGS]
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
