"""OME's runtimes, which are halves of an engine, and its InferenceService, which names the model and may hold an engine."""

import re
from collections.abc import Iterator

from kvplan.deploy.file import File
from kvplan.deploy.groups import is_one, put_in_group
from kvplan.deploy.overlay import mapping_of, overlaid
from kvplan.deploy.pods import Stream, container_workload, gpu_types, pod_workloads, resources, stream_of, title
from kvplan.deploy.tree import NOTHING, Document, Node
from kvplan.deploy.uris import model_at
from kvplan.deploy.workload import Workload, given
from kvplan.launch.words import Given

_GROUP = "ome.io/"
# OME calls its runtimes after the engine: srt is SGLang's runtime (ome, config/runtimes).
_CALLED = (("srt", "sglang"), ("sglang", "sglang"), ("vllm", "vllm"))
_HALF = "this is a runtime; the InferenceService that uses it names the model"


def read(file: File) -> Iterator[Workload]:
    """Yield the engine and the decoder of each runtime, and of services that bring their own."""
    stream = stream_of(file.documents)
    found = [(document, each) for document in file.documents for each in resources(document.root)]
    found = [(document, each) for document, each in found if each.get("apiVersion").string.startswith(_GROUP)]
    models = {
        each.get("metadata", "name").string: each.get("spec", "storage", "storageUri")
        for _, each in found
        if each.get("kind").string in ("BaseModel", "ClusterBaseModel")
    }
    kinds = ("ServingRuntime", "ClusterServingRuntime")
    runtimes = {each.get("metadata", "name").string: each for _, each in found if each.get("kind").string in kinds}
    used: set[str] = set()
    for document, resource in found:
        if resource.get("kind").string == "InferenceService":
            name = resource.get("spec", "runtime", "name").string
            used.add(name)
            yield from _service(resource, runtimes.get(name, NOTHING), models, stream, document)
    for document, resource in found:
        if resource.get("kind").string in kinds and resource.get("metadata", "name").string not in used:
            for workload in _parts(resource, resource.get("spec"), stream, document):
                workload.half = _HALF
                yield workload


def _service(
    resource: Node, runtime: Node, models: dict[str, Node], stream: Stream, document: Document
) -> Iterator[Workload]:
    spec = resource.get("spec")
    name = spec.get("model", "name") or spec.get("predictor", "model", "baseModel")
    base = runtime.get("spec")
    holder = mapping_of(
        resource,
        engineConfig=_laid(base.get("engineConfig"), spec.get("engine")),
        decoderConfig=_laid(base.get("decoderConfig"), spec.get("decoder")),
    )
    asked = spec.get("runtime", "name").string
    found = list(_parts(resource, holder, stream, document))
    for workload in found or ([] if base else _by_name(resource, asked)):
        workload.model = model_at(models.get(name.string, NOTHING)) or given(name)
        workload.replicas = given(spec.get("engine", "minReplicas"))
        if not base:
            workload.half = f"its runtime {asked} is in another file" if asked else "OME chooses its runtime"
        yield workload


def _by_name(resource: Node, runtime: str) -> Iterator[Workload]:
    """Yield the roles of a service whose runtime is in another file and is called after its engine, as OME's own are."""
    engine = next((engine for part, engine in _CALLED if re.search(rf"(?:^|-){part}(?:-|$)", runtime)), "")
    for role in ("engine", "decoder") if engine else ():
        part = resource.get("spec", role)
        if part.kind == "map":
            yield Workload(format="ome", name=f"{title(resource)}, {role}", place=part.place, words=(), engine=engine)


def _laid(base: Node, own: Node) -> Node:
    """Return a part of a runtime with a service's own settings over it, containers and all."""
    pods = {name: _laid(base.get(name), own.get(name)) for name in ("leader", "worker") if base or own}
    pods["runner"] = overlaid(base.get("runner"), own.get("runner"))
    return overlaid(overlaid(base, own), mapping_of(own or base, **pods))


def _parts(resource: Node, spec: Node, stream: Stream, document: Document) -> Iterator[Workload]:
    name = title(resource)
    yield from pod_workloads(spec, format="ome", name=name, stream=stream, templated=document.templated)
    for config, label in (("engineConfig", "engine"), ("decoderConfig", "decoder")):
        part = spec.get(config)
        leader, worker = part.get("leader"), part.get("worker")
        workers = worker.get("size").number if worker else 0
        written = given(worker.get("size"))
        size = Given(1 + (1 if workers is None else workers), written.words if written is not None else ())
        for pod, role in ((part, ""), (leader, ", leader"), (worker, ", worker")):
            runner = pod.get("runner")
            if runner.kind != "map":
                continue
            workload = container_workload(
                runner,
                format="ome",
                name=f"{name}, {label}{role}",
                stream=stream,
                pod=pod,
                types=gpu_types(pod) or gpu_types(part),
                templated=document.templated,
            )
            nodes = size if role and not is_one(size) else None
            group = f"{name}, {label}" if nodes is not None else ""
            yield put_in_group(workload, group, nodes, _variables(workload, nodes))


def _variables(workload: Workload, nodes: Given | None) -> dict[str, Given]:
    """Return what OME sets: the pods of the group, and all of its GPUs."""
    pods = nodes.value if nodes is not None else 1
    found = {"LWS_GROUP_SIZE": Given(str(pods), nodes.words if nodes is not None else ())}
    count = workload.gpus.count
    if count is not None and isinstance(count.value, int):
        found["PARALLELISM_SIZE"] = Given(str(count.value * pods))
    return found
