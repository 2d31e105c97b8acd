"""NVIDIA Dynamo's graphs: services (v1alpha1) or components (v1beta1), of which frontends and planners are no engines."""

import re
from collections.abc import Iterator

from kvplan.deploy import dynamo_services
from kvplan.deploy.file import File
from kvplan.deploy.gpu_resources import count_of
from kvplan.deploy.overlay import joined_lists, mapping_of, overlaid
from kvplan.deploy.pods import Stream, container_workload, gpu_types, quantity, resources, stream_of, title
from kvplan.deploy.tree import NOTHING, Document, Node, documents
from kvplan.deploy.uris import model_at
from kvplan.deploy.workload import Workload, given
from kvplan.launch.text import Text, join
from kvplan.launch.words import Given

_FRAMEWORKS = {"vllm": "vllm", "sglang": "sglang", "trtllm": "tensorrt-llm"}
# The older graphs hold the configuration of all services in this variable; their commands may name a file of it.
_CONFIGURATION = "DYN_DEPLOYMENT_CONFIG"
_BACKEND = re.compile(r"/backends/(vllm|sglang|trtllm)\b")
_SERVES = re.compile(r"\bdynamo\s+serve\s+\S+?:(\w+)[^\n;&|]*")
_OF_SERVE = re.compile(r"(?:\s|^)(--service-name|-f|--file)[\s=]+([^\s\"']+)")
_NO_ENGINES = frozenset({"frontend", "planner", "router", "epp", "processor", "profiler"})


def read(file: File) -> Iterator[Workload]:
    """Yield the workers of a graph, and of a component that is deployed alone."""
    older = _Configurations()
    for label, workload in _workers(file):
        older.put_in(workload, label.string)
        yield workload


def _workers(file: File) -> Iterator[tuple[Node, Workload]]:
    stream = stream_of(file.documents)
    for document in file.documents:
        for resource in resources(document.root):
            kind, spec, name = resource.get("kind").string, resource.get("spec"), title(resource)
            found: list[tuple[Node, Node, str]] = []
            if kind == "DynamoGraphDeployment":
                found += [(key, each, f"{name}, service {key.value}") for key, each in spec.get("services").entries()]
                components = [(each.get("name"), each) for each in spec.get("components").each()]
                found += [(own, each, f"{name}, component {own.string}") for own, each in components]
            elif kind == "DynamoComponentDeployment":
                found.append((resource.get("metadata", "name"), spec, name))
            for label, service, own_name in found:
                for workload in _service(service, spec, own_name, stream, document, label):
                    yield label, workload


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
        _name_by_folder(workload, container)
        workload.gpus.nodes = count_of(service.get("multinode", "nodeCount"))
        size = given(service.get("sharedMemorySize") or service.get("sharedMemory", "size"))
        if size is not None and (bytes_ := quantity(str(size.value))) is not None:
            workload.shared_memory = Given(bytes_, size.words)
        yield workload


def _name_by_folder(workload: Workload, container: Node) -> None:
    """Name the engine by the folder of Dynamo's that the container starts in, where its command is to be filled in."""
    match = _BACKEND.search(container.get("workingDir").string)
    engine = _FRAMEWORKS.get(match[1]) if match is not None else None
    texts = [each.text for each in workload.args]
    if engine is not None and workload.engine is None and texts and all(text.startswith("$") for text in texts):
        workload.engine, workload.words, workload.command, workload.args = engine, (), None, ()
        workload.half = f"its command is {texts[-1][:60]}"


class _Configurations:
    """The older configurations of all services, each read once however many services it is given to."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], tuple[Node, dict[str, tuple[Node, str]]]] = {}

    def put_in(self, workload: Workload, service: str) -> None:
        """Put in what the configuration says of a service, where the graph holds it or its pod mounts it."""
        program = _dynamo_serve(workload)
        if program is None and workload.command is not None:
            return
        said = workload.environment.get(_CONFIGURATION)
        text = said.words[-1].place if said is not None and said.words else None
        if program is not None:
            match = _SERVES.match(program.value)
            options = dict(_OF_SERVE.findall(program.value))
            service = options.get("--service-name") or (match[1] if match else service)
            text = text or workload.files.get(options.get("-f") or options.get("--file") or "")
        if not isinstance(text, Text):
            return
        root, services = self._read(text)
        if service in services:
            settings, engine = services[service]
            workload.engine = engine
            workload.words = dynamo_services.settings_of(root, settings, engine)
            workload.model = model_at(dynamo_services.model_of(root, settings))
            workload.place = (program.place() if program is not None else None) or workload.place

    def _read(self, text: Text) -> tuple[Node, dict[str, tuple[Node, str]]]:
        key = (text.value, text.runs[0].start if text.runs else -1)
        if key not in self._known:
            root = next((each.root for each in documents(text)), NOTHING)
            services = {name.value: (settings, engine) for name, settings, engine in dynamo_services.services(root)}
            self._known[key] = root, services
        return self._known[key]


def _dynamo_serve(workload: Workload) -> Text | None:
    """Return the command `dynamo serve ...` of a container, in a shell's text or as words of its own."""
    words = (*(workload.command or ()), *workload.args)
    for text in (
        *(each.place for each in words),
        join(part for each in words for part in (each.place or each.text, " ")),
    ):
        if isinstance(text, Text) and (match := _SERVES.search(text.value)) is not None:
            return text.cut(*match.span())
    return None


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
