"""NVIDIA Dynamo's graphs: services (v1alpha1) or components (v1beta1), of which frontends and planners are no engines."""

from collections.abc import Iterator

from kvplan.deploy.file import File
from kvplan.deploy.overlay import joined_lists, mapping_of, overlaid
from kvplan.deploy.pods import Stream, container_workload, count_of, gpu_types, quantity, resources, stream_of, title
from kvplan.deploy.tree import Document, Node
from kvplan.deploy.workload import Workload, given
from kvplan.launch.words import Given

_FRAMEWORKS = {"vllm": "vllm", "sglang": "sglang", "trtllm": "tensorrt-llm"}
_NO_ENGINES = frozenset({"frontend", "planner", "router", "epp", "processor", "profiler"})


def read(file: File) -> Iterator[Workload]:
    """Yield the workers of a graph, and of a component that is deployed alone."""
    stream = stream_of(file.documents)
    for document in file.documents:
        for resource in resources(document.root):
            kind, spec, name = resource.get("kind").string, resource.get("spec"), title(resource)
            if kind == "DynamoGraphDeployment":
                for key, service in spec.get("services").entries():
                    yield from _service(service, spec, f"{name}, service {key.value}", stream, document, key)
                for component in spec.get("components").each():
                    own = component.get("name")
                    yield from _service(component, spec, f"{name}, component {own.string}", stream, document, own)
            elif kind == "DynamoComponentDeployment":
                yield from _service(spec, spec, name, stream, document, resource.get("metadata", "name"))


def _service(
    service: Node, graph: Node, name: str, stream: Stream, document: Document, label: Node
) -> Iterator[Workload]:
    if service.first("componentType", "type").string.lower() in _NO_ENGINES or service.kind != "map":
        return
    for container, pod in _containers(service, graph):
        workload = container_workload(
            container,
            format="dynamo",
            name=name,
            stream=stream,
            pod=pod,
            types=gpu_types(pod),
            templated=document.templated,
        )
        workload.place = label.place if label else service.place
        workload.replicas = given(service.get("replicas"))
        workload.engine = _FRAMEWORKS.get(graph.get("backendFramework").string.lower())
        workload.gpus.nodes = count_of(service.get("multinode", "nodeCount"))
        size = given(service.get("sharedMemorySize") or service.get("sharedMemory", "size"))
        if size is not None and (bytes_ := quantity(str(size.value))) is not None:
            workload.shared_memory = Given(bytes_, size.words)
        yield workload


def _containers(service: Node, graph: Node) -> Iterator[tuple[Node, Node]]:
    """Yield the containers of a service with what the service says of them put in, and the pod around each."""
    variables = mapping_of(service, env=joined_lists(graph.first("envs", "env"), service.get("envs")))
    asked = mapping_of(service, resources=service.get("resources"))
    pod = service.get("extraPodSpec")
    if pod.get("mainContainer") or asked.pairs:
        yield overlaid(overlaid(variables, pod.get("mainContainer")), asked), pod
    template = service.get("podTemplate", "spec")
    for container in template.get("containers").each():
        if container.kind == "map":
            yield overlaid(variables, container), template
