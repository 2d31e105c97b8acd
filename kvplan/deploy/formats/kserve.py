"""KServe's InferenceService, and its ServingRuntime and ClusterServingRuntime, which are the halves that it is made of."""

import re
from collections.abc import Iterator

from kvplan.deploy.engine_settings import OWN
from kvplan.deploy.file import File
from kvplan.deploy.gpu_resources import count_of
from kvplan.deploy.keys import flag_for
from kvplan.deploy.overlay import overlaid
from kvplan.deploy.pods import (
    Stream,
    container_workload,
    gpu_types,
    pod_workloads,
    resources,
    stream_of,
    title,
)
from kvplan.deploy.settings import plain
from kvplan.deploy.tree import NOTHING, Document, Node
from kvplan.deploy.uris import model_at
from kvplan.deploy.workload import Workload, given
from kvplan.launch.text import Text
from kvplan.launch.words import Given, Word

_GROUP = "serving.kserve.io/"
_RUNTIMES = ("ServingRuntime", "ClusterServingRuntime")
# Parts of the names of model formats, runtimes and images that tell the engine, the more telling first.
_ENGINES = (
    ("nvidia-nim", "nim"), ("nvcr.io/nim", "nim"), ("sglang", "sglang"), ("trtllm", "tensorrt-llm"),
    ("tensorrt-llm", "tensorrt-llm"), ("tgi", "tgi"), ("text-generation-inference", "tgi"), ("ollama", "ollama"),
    ("llamacpp", "llama.cpp"), ("llama-cpp", "llama.cpp"), ("llama.cpp", "llama.cpp"), ("vllm", "vllm"), ("huggingface", "vllm"),
)  # fmt: skip
# Flags of KServe's own server that are none of vLLM's: which of them take a value, and which name the model.
_OWN_FLAGS = {
    "--model_name", "--model-name", "--model_id", "--model-id", "--model_dir", "--model-dir", "--model_revision",
    "--model-revision", "--tokenizer_revision", "--backend", "--task", "--max_length", "--return_probabilities",
    "--predictor_config", "--http_port", "--grpc_port", "--workers", "--max_threads", "--log_config_file",
}  # fmt: skip
_MODEL_FLAGS = ("--model_id", "--model-id")
# Tasks that the server does not run in vLLM.
_NO_GENERATION = ("classification", "fill_mask", "fill-mask", "embedding")
# Its images for CPUs run models in Transformers; those for GPUs say so in their tags, which KServe itself adds on GPUs.
_TAG = re.compile(r"huggingfaceserver:([\w][\w.-]*)", re.ASCII)
_OF_VLLM = frozenset(plain(each) for each in OWN["vllm"])


def read(file: File) -> Iterator[Workload]:
    """Yield the predictors of inference services, and the runtimes that no service of the file uses."""
    stream = stream_of(file.documents)
    found = [(document, each) for document in file.documents for each in resources(document.root)]
    runtimes = {each.get("metadata", "name").string: each for _, each in found if _is_runtime(each)}
    used: set[str] = set()
    for document, resource in found:
        if resource.get("kind").string == "InferenceService" and _is_kserve(resource):
            name = _runtime_name(resource.get("spec", "predictor"))
            used.add(name)
            yield from _service(resource, runtimes.get(name, NOTHING), stream, document)
    for document, resource in found:
        if _is_runtime(resource) and resource.get("metadata", "name").string not in used:
            yield from _runtime(resource, stream, document)


def _is_kserve(resource: Node) -> bool:
    version = resource.get("apiVersion").string
    return version.startswith((_GROUP, "serving.kubeflow.org/")) or (
        not version and bool(resource.get("spec", "predictor"))
    )


def _is_runtime(resource: Node) -> bool:
    return resource.get("kind").string in _RUNTIMES and resource.get("apiVersion").string.startswith(_GROUP)


def _runtime_name(predictor: Node) -> str:
    return predictor.get("model", "runtime").string


def _service(resource: Node, runtime: Node, stream: Stream, document: Document) -> Iterator[Workload]:
    predictor = resource.get("spec", "predictor")
    name = title(resource)
    found = list(pod_workloads(predictor, format="kserve", name=name, stream=stream, templated=document.templated))
    model = predictor.get("model")
    if model.kind == "map":
        found += _with_model(model, predictor, runtime, name, stream, document)
    for workload in found:
        workload.replicas = given(predictor.get("minReplicas"))
        workload.model = workload.model or _address(workload)
        yield workload


def _with_model(
    model: Node, predictor: Node, runtime: Node, name: str, stream: Stream, document: Document
) -> Iterator[Workload]:
    """Yield the engine of a predictor that names a model and its format; the runtime gives the command."""
    base = _first_container(runtime.get("spec"))
    engine = _engine_of(model, base)
    if engine is None:
        return
    workload = container_workload(
        overlaid(base, model),
        format="kserve",
        name=name,
        stream=stream,
        pod=overlaid(runtime.get("spec"), predictor),
        types=gpu_types(predictor) or gpu_types(runtime.get("spec")),
        templated=document.templated,
    )
    workload.place = model.place
    workload.model = model_at(model.get("storageUri"))
    workload.engine = engine or None
    asked = _runtime_name(predictor)
    own_server = asked.startswith("kserve-huggingfaceserver") or (
        not asked and model.get("modelFormat", "name").string.lower() == "huggingface"
    )
    generates = _own_server(workload) if base else _as_flags(workload) if engine == "vllm" else True
    if not base and not own_server:
        workload.half = (
            f"its runtime {asked} is in another file" if asked else "the cluster's runtime for its format is not here"
        )
    _several_nodes(workload, predictor.get("workerSpec"))
    if generates:
        yield workload


def _engine_of(model: Node, base: Node) -> str | None:
    """Return the engine that a format, a runtime or an image tells; "" where it is open; None where it is no language model's."""
    names = (model.get("modelFormat", "name"), model.get("runtime"), model.get("image"), base.get("image"))
    for each in names:
        low = each.string.lower()
        found = next((engine for part, engine in _ENGINES if part in low), None)
        if found:
            return found
    texts = [each.string for each in (*model.get("args").each(), *base.get("command").each(), *base.get("args").each())]
    return "" if any("vllm" in text or "sglang" in text or "--max-model-len" in text for text in texts) else None


def _first_container(spec: Node) -> Node:
    containers = [each for each in spec.get("containers").each() if each.kind == "map"]
    named = (each for each in containers if each.get("name").string == "kserve-container")
    return next(named, containers[0] if containers else NOTHING)


def _runtime(resource: Node, stream: Stream, document: Document) -> Iterator[Workload]:
    spec = resource.get("spec")
    for workload in pod_workloads(
        spec, format="kserve", name=title(resource), stream=stream, templated=document.templated
    ):
        workload.half = "this is a runtime; the InferenceService that uses it names the model and may add flags"
        _several_nodes(workload, spec.get("workerSpec"))
        if _own_server(workload):
            yield workload


def _own_server(workload: Workload) -> bool:
    """Read the arguments of KServe's Hugging Face server, if that is what runs; return whether it generates text in vLLM."""
    image = workload.image.text if workload.image is not None else ""
    return _as_flags(workload) if "huggingfaceserver" in image and workload.command is None else True


def _on_cpu(workload: Workload) -> bool:
    """Whether an image is known to be the one for CPUs, on a machine without a GPU."""
    tag = _TAG.search(workload.image.text) if workload.image is not None else None
    return (
        tag is not None
        and "gpu" not in tag[1].lower()
        and (workload.gpus.count is None or workload.gpus.count.value == 0)
    )


def _as_flags(workload: Workload) -> bool:
    """Take a container's arguments for vLLM's flags, without those of KServe's server; return whether it generates text in vLLM."""
    flags: list[Word] = []
    words = list(workload.args)
    task = backend = ""
    while words:
        word = words.pop(0)
        name, equals, _ = word.text.partition("=")
        if name not in _OWN_FLAGS:
            flags.append(word)
            continue
        value = _after_equals(word) if equals else words.pop(0) if words else None
        if value is None:
            continue
        if name in _MODEL_FLAGS:
            workload.model = Given(value.text, (word, value) if not equals else (value,))
        task = value.text if name == "--task" else task
        backend = value.text if name == "--backend" else backend
    workload.args = ()
    workload.command = None
    workload.words = tuple(flags)
    workload.engine = "vllm"
    if backend == "huggingface" or any(part in task for part in _NO_GENERATION):
        return False
    return backend == "vllm" or not _on_cpu(workload) or any(_is_of_vllm(word) for word in flags)


def _is_of_vllm(word: Word) -> bool:
    return word.text.startswith("--") and plain(word.text.partition("=")[0]) in _OF_VLLM


def _after_equals(word: Word) -> Word:
    at = word.text.index("=") + 1
    if isinstance(word.place, Text) and len(word.place.value) == len(word.text):
        return Word(word.text[at:], place=word.place.cut(at))
    return Word(word.text[at:], place=word.place)


def _several_nodes(workload: Workload, worker: Node) -> None:
    """Add what a worker's entry says: pipeline stages are machines, tensor ranks the GPUs of each."""
    if worker.kind != "map":
        return
    workload.gpus.nodes = count_of(worker.get("pipelineParallelSize"))
    flags = (
        flag_for("--pipeline-parallel-size", worker, "pipelineParallelSize"),
        flag_for("--tensor-parallel-size", worker, "tensorParallelSize"),
    )
    workload.adds += tuple(each for each in flags if each)


def _address(workload: Workload) -> Given | None:
    """Return the model that a container's STORAGE_URI has KServe put at /mnt/models."""
    uri = workload.environment.get("STORAGE_URI")
    if uri is None or not uri.words:
        return None
    match = re.fullmatch(r"hf://([^:@\s]+).*", str(uri.value))
    return Given(match[1], uri.words) if match else uri
