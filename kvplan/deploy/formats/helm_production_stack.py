"""Values of the vLLM production-stack chart (vllm-project/production-stack, helm/templates/deployment-vllm-multi.yaml)."""

import re
from collections.abc import Iterator

from kvplan.deploy.file import File
from kvplan.deploy.helm import PRODUCTION_STACK, Block, blocks, image_of, is_off
from kvplan.deploy.keys import flag_for, flat
from kvplan.deploy.pods import Stream, container_workload, count_of, gpu_types, gpu_types_of_terms, quantity
from kvplan.deploy.tree import Node
from kvplan.deploy.uris import model_at
from kvplan.deploy.workload import Gpus, Workload, given, words
from kvplan.launch.words import Given, Word

# The keys of vllmConfig in the order in which the template writes them; extraArgs stand behind them and so win.
_FLAGS = (
    ("enableChunkedPrefill", "--enable-chunked-prefill"), ("maxModelLen", "--max-model-len"), ("dtype", "--dtype"),
    ("tensorParallelSize", "--tensor-parallel-size"), ("maxNumSeqs", "--max-num-seqs"),
    ("gpuMemoryUtilization", "--gpu-memory-utilization"), ("maxLoras", "--max-loras"), ("runner", "--runner"),
    ("convert", "--convert"),
)  # fmt: skip
# Only the script of a Ray cluster passes this one on.
_RAY_FLAGS = (*_FLAGS, ("pipelineParallelSize", "--pipeline-parallel-size"))
_NO_FLAGS = frozenset({"enablePrefixCaching", "extraArgs", "v0", "v1", "prometheusMultiprocDir", "env", "port"})
_PARTITION = re.compile(r"nvidia\.com/mig-(\d+g\.\d+gb)(?:\.\w+)*", re.ASCII)
# The chart's /dev/shm where a tensor-parallel size is given and no shmSize.
_SHARED_MEMORY = 20 * 2**30


def read(file: File) -> Iterator[Workload]:
    """Yield the entries of `servingEngineSpec.modelSpec`."""
    for block in blocks(file, PRODUCTION_STACK):
        serving = block.node.get("servingEngineSpec")
        if serving.get("enableEngine").typed is False:
            continue
        for model in serving.get("modelSpec").each():
            if model.kind == "map" and model.first("modelURL", "vllmConfig", "repository") and not is_off(model):
                yield _workload(model, serving, block)


def _workload(model: Node, serving: Node, block: Block) -> Workload:
    config, name = model.get("vllmConfig"), model.get("name")
    ray = model.get("raySpec")
    on_ray = bool(ray) and ray.get("enabled").typed is not False
    workload = container_workload(
        model,
        format="helm-production-stack",
        name=f"modelSpec {name.string or '(no name)'}",
        stream=Stream(),
        templated=block.document.templated,
    )
    workload.name = f"modelSpec {name.string or '(no name)'}"
    workload.place = (name or model).place
    workload.image = image_of(model)
    workload.engine = "vllm"
    workload.model = model_at(model.get("modelURL"))
    workload.command, workload.args = None, ()
    workload.words = flat(_flags(model, config, _RAY_FLAGS if on_ray else _FLAGS))
    workload.gpus = _gpus(model, serving, ray if on_ray else None, workload.gpus)
    workload.memory = _size(model.get("limitMemory")) or workload.memory
    workload.shared_memory = _size(model.get("shmSize")) if config.get("tensorParallelSize") else None
    if config.get("tensorParallelSize") and not model.get("shmSize"):
        workload.shared_memory = Given(_SHARED_MEMORY)
    workload.replicas = None if on_ray else given(model.get("replicaCount"))
    workload.half = "" if workload.model is not None else "the values file that names the model (modelURL)"
    ignored = _ignored(config, on_ray)
    workload.notes = (
        "read as values of the vLLM production-stack chart",
        *([f"the chart passes on no {', '.join(ignored)} of vllmConfig"] if ignored else []),
    )
    return workload


def _flags(model: Node, config: Node, known: tuple[tuple[str, str], ...]) -> Iterator[tuple[Word, ...]]:
    if model.get("enableLoRA").typed is True:
        yield flag_for("--enable-lora", model, "enableLoRA")
    for key, name in known:
        yield flag_for(name, config, key)
    if config:
        # The template writes the one or the other as soon as there is a vllmConfig.
        caching = flag_for("--enable-prefix-caching", config, "enablePrefixCaching")
        yield caching or (Word("--no-enable-prefix-caching", place=config.text),)
    yield words(config.get("extraArgs").each())
    yield flag_for("--revision", model, "modelRevision")
    if model.get("lmcacheConfig", "enabled").typed is True:
        yield _transfer(model.get("lmcacheConfig"))


def _transfer(lmcache: Node) -> tuple[Word, ...]:
    """Return the connector that LMCache is put in by."""
    role = lmcache.get("kvRole").string or "kv_both"
    place = lmcache.get("enabled").text
    value = f'{{"kv_connector":"LMCacheConnectorV1","kv_role":"{role}"}}'
    return (Word("--kv-transfer-config", place=place), Word(value, place=place))


def _ignored(config: Node, on_ray: bool) -> list[str]:
    known = {key for key, _ in (_RAY_FLAGS if on_ray else _FLAGS)} | _NO_FLAGS
    return [key.value[:60] for key, _ in config.entries() if key.value not in known][:5]


def _gpus(model: Node, serving: Node, ray: Node | None, own: Gpus) -> Gpus:
    """Return what a model asks for; with Ray, requestGPU is each worker's, and the head is one node more."""
    types = gpu_types(model) or gpu_types_of_terms(model.get("nodeSelectorTerms").each()) or gpu_types(serving)
    count, partition = own.count, own.partition
    if count is None:
        count = count_of(model.get("requestGPU"))
        kind = model.get("requestGPUType")
        if count is not None and (match := _PARTITION.fullmatch(kind.string)) is not None:
            partition = Given(match[1], (Word(kind.value, place=kind.text),))
    nodes = None
    if ray is not None:
        workers = given(model.get("replicaCount"), read=_number)
        if workers is not None and isinstance(workers.value, int):
            nodes = Given(workers.value + 1, workers.words)
        count = count or count_of(ray.get("headNode", "requestGPU"))
    return Gpus(count=count, types=types, nodes=nodes, partition=partition)


def _number(text: str) -> object:
    return int(text) if text.isdecimal() and len(text) < 6 else text


def _size(node: Node) -> Given | None:
    found, size = given(node), quantity(node.string)
    return Given(size, found.words) if found is not None and size is not None else None
