"""Custom resources of operators that kvplan does not know, by what they say: an engine's name and a model (AI Runway, llmaz)."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kvplan.deploy import chart
from kvplan.deploy.gpu_resources import asked_for
from kvplan.deploy.helm import ENGINE_KEYS, ENGINES, OTHER, Block
from kvplan.deploy.overlay import mapping_of
from kvplan.deploy.pods import gpu_types, resources, title
from kvplan.deploy.tree import NOTHING, Document, Node
from kvplan.deploy.uris import model_at
from kvplan.deploy.workload import Workload, given
from kvplan.launch.words import Given

_KEYS = (*ENGINE_KEYS, "backendName", "engineType", "engineName", "inferenceFramework", "servingFramework")
_ARGUMENTS = re.compile(r"(vllm|sglang|tgi|lmdeploy|trtllm|llamacpp)(?:Extra)?Args")
_DEEPEST = 3
# Resources that ask an engine for something, or watch it.
_OTHERS = (
    "route",
    "pool",
    "gateway",
    "monitor",
    "policy",
    "secret",
    "config",
    "benchmark",
    "eval",
    "job",
    "claim",
    "crd",
)
# Keys of what routes to engines that run elsewhere.
_ASKS = ("workloadSelector", "selector", "url", "targetRefs", "backendRefs")


@dataclass(slots=True)
class _Named:
    """An engine that a resource names, and the map that may hold its settings."""

    engine: str
    settings: Node


def named_engines(documents: Sequence[Document], document: Document) -> Iterator[Workload]:
    """Yield what a document's resources start by their own words; nothing where they name no engine or no model.

    Args:
        documents: of the whole stream, which may hold the models that are named.
        document: one of them.

    """
    for resource in resources(document.root):
        group, kind = resource.get("apiVersion").string, resource.get("kind").string.lower()
        spec = resource.get("spec")
        if "." not in group or spec.kind != "map" or any(part in kind for part in _OTHERS) or spec.first(*_ASKS):
            continue
        named = _engine(spec, 0)
        asked = spec.get("modelClaim", "modelName") or spec.get("modelClaims", "models").each()[:1]
        claimed = _claimed(documents, asked.string if isinstance(asked, Node) else "")
        if named is not None and (claimed is not None or chart.model_of((named.settings, spec)) is not None):
            yield _workload(resource, spec, named, claimed, document)


def _engine(node: Node, depth: int) -> _Named | None:
    for key in _KEYS:
        value = node.get(key)
        text = (value.string or value.first("type", "name").string).lower()
        if text in ENGINES:
            return _Named(ENGINES[text], value if value.kind == "map" else node if depth else NOTHING)
    for name, value in node.entries():
        if value.kind == "map" and name.value.lower() in ENGINES:
            return _Named(ENGINES[name.value.lower()], value)
        if value.kind == "list" and (match := _ARGUMENTS.fullmatch(name.value)) is not None:
            return _Named(ENGINES[match[1]], node)
    for _, value in node.entries() if depth < _DEEPEST else ():
        if value.kind == "map" and (found := _engine(value, depth + 1)) is not None:
            return found
    return None


def _claimed(documents: Sequence[Document], name: str) -> Node | None:
    """Return llmaz's model of that name (`OpenModel`), where the stream holds it."""
    for document in documents if name else ():
        for resource in resources(document.root):
            if resource.get("kind").string == "OpenModel" and resource.get("metadata", "name").string == name:
                return resource.get("spec")
    return None


def _workload(resource: Node, spec: Node, named: _Named, claimed: Node | None, document: Document) -> Workload:
    from kvplan.deploy.formats.helm_values import workload_of  # noqa: PLC0415  a format's, which are read before this

    block = Block(OTHER, title(resource), spec, spec, document, named.engine)
    workload = workload_of(block, "", tuple(each for each in (named.settings, spec) if each))
    workload.format, workload.name = "kubernetes", title(resource)
    version = given(named.settings.get("version"))
    if version is not None and workload.image is None:
        workload.version = Given(str(version.value).removeprefix("v"), version.words)
    workload.place = (resource.get("metadata", "name") or spec).place
    if claimed is not None:
        flavors = claimed.get("inferenceConfig", "flavors").items
        workload.model = model_at(claimed.get("source", "modelHub", "modelID")) or given(claimed.get("source", "uri"))
        if len(flavors) == 1 and workload.gpus.count is None:
            limits = mapping_of(flavors[0], limits=flavors[0].get("limits"))
            workload.gpus = asked_for(limits, gpu_types(flavors[0]))
    workload.notes = (f"{resource.get('kind').string} is of no kind that is known: read by the engine that it names",)
    return workload
