"""KServe's LLMInferenceService: vLLM by the operator's own command, parallel sizes by keys, flags in a variable."""

from collections.abc import Iterator

from kvplan.deploy.file import File
from kvplan.deploy.keys import flag_for, flat, words_in
from kvplan.deploy.pods import Stream, container_workload, gpu_types, resources, stream_of, title, value_text
from kvplan.deploy.tree import Document, Node
from kvplan.deploy.uris import model_at
from kvplan.deploy.workload import Workload, given
from kvplan.launch.words import Given, Word

_FLAGS = (
    ("tensor", "--tensor-parallel-size"),
    ("pipeline", "--pipeline-parallel-size"),
    ("data", "--data-parallel-size"),
    ("dataLocal", "--data-parallel-size-local"),
    ("expert", "--enable-expert-parallel"),
)
_VARIABLE = "VLLM_ADDITIONAL_ARGS"


def read(file: File) -> Iterator[Workload]:
    """Yield the engines of a service: the one of its template, and the one of its prefill part."""
    stream = stream_of(file.documents)
    for document in file.documents:
        for resource in resources(document.root):
            kind = resource.get("kind").string
            if kind == "LLMInferenceService" or (kind == "LLMInferenceServiceConfig" and _has_engine(resource)):
                yield from _service(resource, stream, document)


def _has_engine(resource: Node) -> bool:
    """Whether a preset holds an engine's container, and not only a scheduler or a route."""
    spec = resource.get("spec")
    parts = (spec, spec.get("prefill"))
    return any(_main(part.get(place)) for part in parts for place in ("template", "worker"))


def _service(resource: Node, stream: Stream, document: Document) -> Iterator[Workload]:
    spec, name = resource.get("spec"), title(resource)
    is_config = resource.get("kind").string == "LLMInferenceServiceConfig"
    for part, label in ((spec, ""), (spec.get("prefill"), ", prefill")):
        if part.kind != "map" or (is_config and not _main(part.first("template", "worker"))):
            continue
        workload = _engine(part, name + label, stream, document, resource if part is spec else part)
        workload.model = model_at(spec.get("model", "uri"))
        workload.half = _half(spec, is_config=is_config)
        yield workload


def _half(spec: Node, *, is_config: bool) -> str:
    if is_config:
        return "this is a preset; the LLMInferenceService that uses it names the model"
    names = [each.get("name").string for each in spec.get("baseRefs").each() if each.get("name").string]
    return f"it is based on {', '.join(names)}, which may set more" if names else ""


def _main(pod: Node) -> Node:
    """Return the container of an engine: the one named `main`."""
    containers = pod.get("containers").each()
    return next((each for each in containers if each.get("name").string == "main"), pod.get("containers").get(""))


def _engine(part: Node, name: str, stream: Stream, document: Document, block: Node) -> Workload:
    pod = part.first("template", "worker")
    main = _main(pod)
    workload = container_workload(
        main, format="kserve-llm", name=name, stream=stream, pod=pod, types=gpu_types(pod), templated=document.templated
    )
    workload.place = main.place if main else block.place
    workload.replicas = given(part.get("replicas"))
    parallelism = part.get("parallelism")
    flags = [each for key, flag in _FLAGS if (each := flag_for(flag, parallelism, key)) and each[0].text == flag]
    workload.gpus.nodes = _nodes(parallelism, several=bool(part.get("worker")))
    if workload.command is None:
        # The operator's command is `vllm serve /mnt/models`, these flags, the variable's, and the container's own.
        workload.words = (*flat(flags), *_additional(workload), *workload.args)
        workload.args = ()
        workload.engine = "vllm"
    return workload


def _additional(workload: Workload) -> tuple[Word, ...]:
    value = workload.environment.get(_VARIABLE)
    return words_in(value_text(value)) if value is not None else ()


def _nodes(parallelism: Node, *, several: bool) -> Given | None:
    """Return the machines of one engine: data-parallel ranks by those of one machine, or pipeline stages."""
    data, local = parallelism.get("data"), parallelism.get("dataLocal")
    if data.number and local.number:
        found = given(data)
        return Given(max(1, data.number // local.number), found.words) if found is not None else None
    pipeline = parallelism.get("pipeline")
    if several and pipeline.number and (found := given(pipeline)) is not None:
        return Given(pipeline.number, found.words)
    return None
