"""Containers in Terraform's resources: Docker's provider, ECS, Cloud Run, Azure, Vertex AI, and Kubernetes' blocks."""

from collections.abc import Iterator

from kvplan.deploy.file import File
from kvplan.deploy.hcl import blocks
from kvplan.deploy.hcl_values import Values
from kvplan.deploy.pods import TYPE_LABELS
from kvplan.deploy.tree import NOTHING, Node
from kvplan.deploy.variables import assigned, value_of
from kvplan.deploy.workload import Gpus, Workload
from kvplan.launch.text import Text
from kvplan.launch.words import Given, Word
from kvplan.units import MIB

# Resources whose blocks hold containers, by the start of their name.
_HOLDS = ("kubernetes_", "google_cloud_run", "google_vertex_ai", "azurerm_container", "docker_service")
# Of these the value is a resource of Kubernetes in its own words, read elsewhere.
_MANIFESTS = ("kubernetes_manifest",)
_BLOCKS = ("container", "containers", "container_spec")
_COUNTS = ('"nvidia.com/gpu"', "nvidia.com/gpu", "amd.com/gpu")
_MOST = 200


def containers(kind: str, name: Node, body: Node, values: Values) -> Iterator[Workload]:
    """Yield the containers of a resource."""
    if kind == "docker_container":
        yield _of_docker(name, body, values)
    elif kind == "aws_ecs_task_definition":
        yield from _of_ecs(name, body, values)
    elif kind.startswith(_HOLDS) and kind not in _MANIFESTS:
        found = [each for node in body.walk() for key in _BLOCKS for _, each in blocks(node, key)]
        machine = next(
            (node for each in body.walk() for _, node in blocks(each, "machine_spec")), NOTHING
        )  # of Vertex AI
        kinds = _type(machine.first("accelerator_type", "machine_type"), values) or _selected(body, values)
        for each in found[:_MOST]:
            if each.first("image", "image_uri").kind == "scalar":
                workload = _of_block(f"{kind} {name.value}", each, values)
                workload.gpus.types = workload.gpus.types or kinds
                workload.gpus.count = workload.gpus.count or values.number(machine.get("accelerator_count"))
                workload.replicas = values.number(body.get("spec", "replicas"))
                yield workload


def _of_block(name: str, container: Node, values: Values) -> Workload:
    limits = container.get("resources", "limits")
    count = next((limits.get(key) for key in _COUNTS if limits.get(key)), NOTHING)
    own = values.word(container.get("name"))
    command = container.first("command", "commands")
    gpu = container.first("gpu", "gpu_limit")  # of Azure
    return Workload(
        format="terraform",
        name=f"{name}, container {own.text}" if own is not None else name,
        place=container.place,
        image=values.word(container.first("image", "image_uri")),
        command=values.words(command) if command else None,
        args=values.words(container.get("args")),
        environment=_variables(container, values),
        gpus=Gpus(count=values.number(count) or values.number(gpu.get("count")), types=_type(gpu.get("sku"), values)),
    )


def _type(node: Node, values: Values) -> tuple[Given, ...]:
    word = values.word(node)
    return (Given(word.text, (word,)),) if word is not None else ()


def _variables(container: Node, values: Values) -> dict[str, Given]:
    """Return variables as blocks with a name and a value, as a mapping, or as a list of `NAME=value`."""
    found: dict[str, Given] = {}
    for key in ("env", "environment", "environment_variables"):
        for _, entry in blocks(container, key):
            label = values.word(entry.get("name"))
            if entry.kind == "map" and label is not None and entry.get("value"):
                found[label.text] = Given(
                    values.text(entry.get("value")).value, (label, _word(values, entry.get("value")))
                )
            elif entry.kind == "map" and label is None:
                found |= values.mapping(entry)
        for word in values.words(container.get(key)) if container.get(key).kind != "map" else ():
            pair = assigned(word.place) if isinstance(word.place, Text) else None
            if pair is not None:
                found[pair[0].value] = value_of(*pair)
    return found


def _word(values: Values, node: Node) -> Word:
    text = values.text(node)
    return Word(text.value, place=text)


def _selected(body: Node, values: Values) -> tuple[Given, ...]:
    """Return the GPU that a node selector names."""
    for node in body.walk():
        for key, value in node.get("node_selector").entries():
            if key.value.strip('"') in TYPE_LABELS and (word := values.word(value)) is not None:
                return (Given(word.text, (word,)),)
    return ()


def _of_docker(name: Node, body: Node, values: Values) -> Workload:
    requests = [each for _, each in blocks(body, "device_requests")]
    counts = [values.number(each.get("count")) for each in requests]
    return Workload(
        format="terraform",
        name=f"docker_container {name.value}",
        place=name.place,
        image=values.word(body.get("image")),
        command=values.words(body.get("entrypoint")) if body.get("entrypoint") else None,
        args=values.words(body.get("command")),
        environment=_variables(body, values),
        gpus=Gpus(count=next((each for each in counts if each is not None), None)),
        memory=_times(values.number(body.get("memory")), MIB),
        shared_memory=_times(values.number(body.get("shm_size")), MIB),
    )


def _of_ecs(name: Node, body: Node, values: Values) -> Iterator[Workload]:
    """Yield the containers of a task, which are a list or JSON."""
    whole = values.node(body.get("container_definitions"))
    items, title = whole.items, f"aws_ecs_task_definition {name.value}"
    if whole.kind == "scalar" and not whole.plain and values.affords(len(whole.value)):
        items = [
            each
            for document in File.of(values.put_in(whole.text), "task.json").documents
            for each in document.root.items
        ]
    for item in items[:_MOST]:
        container = values.node(item)
        if container.get("image").kind != "scalar":
            continue
        own = values.word(container.get("name"))
        entry = container.get("entryPoint")
        memory = container.first("memory", "memoryReservation")
        counts = [
            values.number(each.get("value"))
            for each in values.node(container.get("resourceRequirements")).each()
            if values.text(each.get("type")).value == "GPU"
        ]
        yield Workload(
            format="terraform",
            name=f"{title}, container {own.text}" if own is not None else title,
            place=container.place,
            image=values.word(container.get("image")),
            command=values.words(entry) if values.node(entry).items else None,
            args=values.words(container.get("command")),
            environment={
                label.text: Given(values.text(each.get("value")).value, (label, _word(values, each.get("value"))))
                for each in values.node(container.get("environment")).each()
                if (label := values.word(each.get("name"))) is not None
            },
            gpus=Gpus(count=next((each for each in counts if each is not None), None)),
            memory=_times(values.number(memory), MIB),
            shared_memory=_times(values.number(container.get("linuxParameters", "sharedMemorySize")), MIB),
        )


def _times(number: Given | None, unit: int) -> Given | None:
    return Given(number.value * unit, number.words) if number is not None and isinstance(number.value, int) else None
