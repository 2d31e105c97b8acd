"""Documents of no known format: containers in custom resources, commands under keys that are called so, engines' settings.

Read only where no format claims anything of a document, so that a file's own format always has the say.
"""

import re
from collections.abc import Iterator, Sequence

from kvplan.deploy.custom_resources import named_engines
from kvplan.deploy.engine_maps import engines_in
from kvplan.deploy.file import File
from kvplan.deploy.mentions import mentions_engine
from kvplan.deploy.overlay import overlaid
from kvplan.deploy.placeholders import filled
from kvplan.deploy.pods import TYPE_LABELS, Stream, container_workload, gpu_types, resources, stream_of, title
from kvplan.deploy.tree import Document, Node
from kvplan.deploy.variables import listed
from kvplan.deploy.workload import Workload, given, words
from kvplan.launch.text import Place, join
from kvplan.launch.words import Given, Word

# Keys of what runs, whatever the tool (Ansible, Argo, test harnesses, CI systems).
_RUNS = re.compile(
    r"(?:.*[_-])?(?:cmds?|commands?|run|scripts?|exec|execute|start|launch|serve|entrypoint|shell)(?:[_-].*)?",
    re.IGNORECASE,
)
# A program that serves, where a command starts.
SERVES = re.compile(
    r"(?:^|[\n;&|({]|\bexec|\bnohup|\bsudo|\buv run|\bthen|\bdo)\s*(?:\w+=\S+\s+)*(?:\S*/)?"
    r"(?:vllm\s+serve|python[\d.]*\s+(?:-\w\s+)*-m\s+(?:vllm|sglang|dynamo)\b|sglang\s+serve|llama-server|trtllm-serve|ollama\s+serve"
    r"|lmdeploy\s+serve|text-generation-launcher|(?:docker|podman|nerdctl)\s+run)"
)
# Groups whose resources say what their containers run: Ray's start Ray, whatever their image would.
_READ = ("ray.io/",)
_MOST = 200
_VARIABLES = ("env", "envs", "environment", "environmentVariables", "env_vars")


def read(file: File, taken: Sequence[Workload]) -> Iterator[Workload]:
    """Yield what documents start in which no format found anything.

    Args:
        file: to read.
        taken: what its formats found.

    """
    stream = stream_of(file.documents)
    for document in file.documents:
        if document.root and not any(_within(workload.place, document.place) for workload in taken):
            found = list(_containers(document, stream)) or list(_commands(document))
            yield from found or list(engines_in(file, document)) or named_engines(file.documents, document)


def _within(place: Place, outer: Place) -> bool:
    return place.source is outer.source and outer.start <= place.start < outer.end


def _containers(document: Document, stream: Stream) -> Iterator[Workload]:
    """Yield maps of a resource that are containers by their keys."""
    for resource in resources(document.root):
        group = resource.get("apiVersion").string
        if not group or not resource.get("spec") or group.startswith(_READ):
            continue
        types = _types(resource)
        found = 0
        for node in resource.walk():
            image = node.get("image")
            if (
                node.kind != "map"
                or image.kind != "scalar"
                or not any(node.get(key) for key in ("args", "command", "resources", *_VARIABLES))
            ):
                continue
            containers = _alternatives(node)
            for container in containers:
                found += 1
                if found > _MOST:
                    return
                workload = container_workload(
                    container,
                    format="kubernetes",
                    name=title(resource),
                    stream=stream,
                    types=types,
                    templated=document.templated,
                )
                if len(containers) > 1 and workload.command is not None:
                    # What is found stands where its arguments do, not where the command that all share does.
                    workload.command = tuple(Word(each.text) for each in workload.command)
                if "env" not in {key.value for key, _ in node.entries()}:
                    workload.environment = _variables(node)
                workload.notes = (
                    f"{resource.get('kind').string or 'the resource'} is of no kind that is known: read by its containers",
                )
                yield workload


def _alternatives(container: Node) -> list[Node]:
    """Return a container once for each set of arguments that a list in it holds (`recommendedConfigs`), else itself."""
    if container.get("args") or not container.get("command"):
        return [container]
    lists = [value.items for _, value in container.entries() if value.kind == "list"]
    found = next((items for items in lists if items and all(each.get("args").kind == "list" for each in items)), [])
    return [overlaid(container, each) for each in found] or [container]


def _types(resource: Node) -> tuple[Given, ...]:
    """Return what any part of a resource says of the GPU: a node selector, or an instance type."""
    for node in resource.walk():
        if node.kind == "map" and (found := gpu_types(node)):
            return found
    for node in resource.walk():
        for label in ("instanceType", *TYPE_LABELS):
            if node.kind == "map" and (one := given(node.get(label))) is not None:
                return (one,)
    return ()


def _variables(node: Node) -> dict[str, Given]:
    return next((listed(node.get(key)) for key in _VARIABLES if node.get(key)), {})


def _commands(document: Document) -> Iterator[Workload]:
    """Yield texts that serve under keys of commands, each with the variables that stand beside it."""
    found = 0
    for node in document.root.walk():
        for key, value in node.entries() if node.kind == "map" else ():
            if not _RUNS.fullmatch(key.value) or found >= _MOST:
                continue
            beside = (node, document.root)
            workload = _of_text(key, value, beside) if value.kind == "scalar" else _of_list(key, value)
            if workload is not None:
                found += 1
                workload.environment = _variables(node)
                workload.templated = document.templated
                yield workload


def _of_text(key: Node, value: Node, beside: tuple[Node, ...]) -> Workload | None:
    if not mentions_engine(value.value) or not SERVES.search(value.value):
        return None
    script = filled(value.text, *beside)
    return Workload(format="yaml", name=f"{key.value}, {_heading(value)}", place=key.place, script=script)


def _of_list(key: Node, value: Node) -> Workload | None:
    """Return a list of a command's words, or of a script's lines."""
    items = [item for item in value.items if item.kind == "scalar"]
    if not items or len(items) != len(value.items) or not mentions_engine(*(item.value for item in items)):
        return None
    if any(re.search(r"\s", item.value.strip()) for item in items[:1]):
        whole = join(part for item in items for part in (item.text, "\n"))
        return (
            Workload(format="yaml", name=key.value, place=key.place, script=whole)
            if SERVES.search(whole.value)
            else None
        )
    if not SERVES.search(" ".join(item.value for item in items[:12])):
        return None
    return Workload(format="yaml", name=key.value, place=key.place, command=words(items))


def _heading(value: Node) -> str:
    """Return the first words of a command, which tell it from others of the file."""
    return " ".join(value.value.split()[:4])[:60]
