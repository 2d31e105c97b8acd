"""SkyPilot tasks: `resources.accelerators` and a script under `run`."""

from collections.abc import Iterator
from math import ceil

from kvplan.deploy.accelerators import common, named, smallest
from kvplan.deploy.file import File
from kvplan.deploy.installs import pinned
from kvplan.deploy.tree import Document, Node
from kvplan.deploy.variables import listed
from kvplan.deploy.workload import Gpus, Workload, given, word
from kvplan.launch.text import Text
from kvplan.launch.words import Given, Word

_DOCKER = "docker:"


def read(file: File) -> Iterator[Workload]:
    """Yield the tasks of a file; several documents are the stages of a pipeline."""
    for document in file.documents:
        root = document.root
        run = root.get("run")
        if run.kind == "scalar" and not run.is_null and _is_task(root):
            yield _task(document, run)


def _is_task(root: Node) -> bool:
    if root.get("apiVersion") or root.get("kind") or root.get("type"):
        return False
    return root.get("resources").kind == "map" or bool(
        root.get("num_nodes") or (root.get("setup") and root.get("envs"))
    )


def _task(document: Document, run: Node) -> Workload:
    root = document.root
    resources = root.get("resources")
    types, counts = _accelerators(resources)
    count, note = common(counts)
    nodes = given(root.get("num_nodes"))
    if nodes is not None and root.get("num_nodes").number is not None:
        nodes = Given(root.get("num_nodes").number, nodes.words)
    environment = listed(root.get("envs")) | listed(root.get("secrets"))
    environment |= _own(count, nodes)
    image = word(resources.get("image_id"))
    if image is not None and isinstance(image.place, Text) and image.text.startswith(_DOCKER):
        image = Word(image.text.removeprefix(_DOCKER), place=image.place.cut(len(_DOCKER)))
    else:
        image = None  # a machine's image
    service = root.get("service")
    name = root.get("name").string
    return Workload(
        format="skypilot",
        name=f"task {name}" if name else "task",
        place=(root.get("name") or run).place,
        image=image,
        script=run.text,
        version=pinned(root.get("setup").text) if root.get("setup").kind == "scalar" else None,
        environment=environment,
        gpus=Gpus(count=count, types=types, nodes=nodes),
        replicas=given(service.first("replicas") or service.get("replica_policy", "min_replicas")),
        notes=(note,) if note else (),
        templated=document.templated,
    )


def _own(count: Given | None, nodes: Given | None) -> dict[str, Given]:
    """Return the variables that SkyPilot sets, as the first of the nodes sees them."""
    found = {"SKYPILOT_NODE_RANK": Given("0", (Word("0", origin="SkyPilot"),))}
    found["SKYPILOT_NUM_NODES"] = Given("1", (Word("1", origin="SkyPilot"),)) if nodes is None else _text(nodes)
    if count is not None:
        found["SKYPILOT_NUM_GPUS_PER_NODE"] = _text(count)
    return found


def _text(value: Given) -> Given:
    return Given(str(value.value), value.words)


def _accelerators(resources: Node) -> tuple[tuple[Given, ...], list[Given | None]]:
    """Return the GPUs that a task may run on, and how many of each."""
    types: dict[str, Given] = {}
    counts: list[Given | None] = []
    alternatives = [*resources.get("any_of").each(), *resources.get("ordered").each()]
    for part in [resources, *alternatives]:
        found = list(_named(part.get("accelerators")))
        if part.get("accelerators").kind == "nothing" and (machine := given(part.get("instance_type"))) is not None:
            found = [(machine, None)]
        for kind, count in found:
            if kind is not None:
                types.setdefault(str(kind.value), smallest(kind))
            counts.append(count)
    return tuple(types.values()), counts


def _named(node: Node) -> Iterator[tuple[Given | None, Given | None]]:
    """Yield name and count of `H200:8`, `[A100:8, H100:8]`, `{A100:8, H100:8}` (keys without values) and `{A100: 8}`."""
    if node.kind == "map":
        for key, value in node.entries():
            if value.kind == "scalar" and not value.is_null:
                kind, _ = named(key.text)
                yield (
                    kind,
                    _whole(
                        Given(
                            value.number if value.number is not None else value.value,
                            (Word(value.value, place=value.text),),
                        )
                    ),
                )
            else:
                yield named(key.text)
        return
    for item in node.each():
        if item.kind == "scalar" and not item.is_null:
            kind, count = named(item.text)
            yield kind, None if count is None else _whole(count)
        elif item.kind == "map":
            yield from _named(item)


def _whole(count: Given) -> Given:
    """Return a count as SkyPilot tells the task: half a GPU is one."""
    try:
        return Given(ceil(float(str(count.value))), count.words)
    except (ValueError, OverflowError):
        return count
