"""dstack's services, tasks and development environments: `resources.gpu` and a list of commands."""

import re
from collections.abc import Iterator

from kvplan.deploy.accelerators import size, whole
from kvplan.deploy.file import File
from kvplan.deploy.tree import NOTHING, Node
from kvplan.deploy.variables import listed
from kvplan.deploy.workload import Gpus, Workload, given, word
from kvplan.launch.text import Text, join
from kvplan.launch.words import Given, Word

_TYPES = ("service", "task", "dev-environment")
_MAKERS = ("nvidia", "amd", "google", "tpu", "intel", "tenstorrent")
_MEMORY = re.compile(
    r"\d+(?:\.\d+)?\s*(?:[MGT]B)?(?:\.\.)?(?:\d+(?:\.\d+)?\s*(?:[MGT]B)?)?|\.\.\d+(?:\.\d+)?\s*[MGT]B", re.IGNORECASE
)
_COUNT = re.compile(r"\d+|\d+\.\.\d*|\.\.\d+")
_ONE_SIZE = re.compile(r"\d+(?:\.\d+)?\s*[MGT]B", re.IGNORECASE)


def read(file: File) -> Iterator[Workload]:
    """Yield the run of each configuration; one with groups of replicas is several."""
    for document in file.documents:
        root = document.root
        if root.get("type").string not in _TYPES or root.get("apiVersion") or root.get("kind"):
            continue
        if not root.get("commands") and (root.get("type").string == "dev-environment" or not _has_image(root)):
            continue  # a development environment starts nothing by itself
        groups = [each for each in root.get("replicas").items if each.kind == "map"]
        for index, group in enumerate(groups or [NOTHING]):
            yield _workload(root, group, index if groups else None, templated=document.templated)


def _has_image(root: Node) -> bool:
    return bool(root.get("image")) or root.get("replicas").kind == "list"


def _workload(root: Node, group: Node, index: int | None, *, templated: bool) -> Workload:
    name = root.get("name").string
    commands = (group.get("commands") or root.get("commands")).each()
    gpus, note = _gpus((group.get("resources") or root.get("resources")).get("gpu"))
    nodes = root.get("nodes")
    gpus.nodes = whole(nodes.text) if nodes.kind == "scalar" and not nodes.is_null else None
    environment = listed(root.get("env")) | listed(group.get("env"))
    return Workload(
        format="dstack",
        name=(f"{root.get('type').string} {name}" if name else root.get("type").string)
        + ("" if index is None else f", replicas {group.get('name').string or index + 1}"),
        place=(group or root.get("name") or root.get("type")).place,
        image=word(group.get("image") or root.get("image")),
        script=join(part for each in commands if each.kind == "scalar" for part in (each.text, "\n"))
        if commands
        else None,
        environment=environment | _own(gpus),
        gpus=gpus,
        shared_memory=_size((group.get("resources") or root.get("resources")).get("shm_size")),
        replicas=given(group.get("count")) if group else given(root.get("replicas")),
        notes=(note,) if note else (),
        templated=templated,
    )


def _size(node: Node) -> Given | None:
    return size(node.text) if node.kind == "scalar" else None


def _own(gpus: Gpus) -> dict[str, Given]:
    """Return the variables that dstack sets, as the first of the nodes sees them."""
    found = {"DSTACK_NODE_RANK": Given("0", (Word("0", origin="dstack"),))}
    nodes = gpus.nodes.value if gpus.nodes is not None else 1
    if gpus.nodes is None:
        found["DSTACK_NODES_NUM"] = Given("1", (Word("1", origin="dstack"),))
    else:
        found["DSTACK_NODES_NUM"] = Given(str(nodes), gpus.nodes.words)
    if gpus.count is not None and isinstance(gpus.count.value, int) and isinstance(nodes, int):
        found["DSTACK_GPUS_PER_NODE"] = Given(str(gpus.count.value), gpus.count.words)
        found["DSTACK_GPUS_NUM"] = Given(str(gpus.count.value * nodes), gpus.count.words)
    return found


def _gpus(node: Node) -> tuple[Gpus, str]:
    """Return what `gpu` asks for: a number, `H100:80GB:2`, `24GB..80GB:2`, `{name: [A100, H100], memory: 40GB.., count: 4}`."""
    if node.kind == "map":
        count = node.get("count")
        found = [each for name in node.get("name").each() for each in _named(name.text)]
        memory = node.get("memory")
        if memory.kind == "scalar" and _ONE_SIZE.fullmatch(memory.value.strip()):
            found = [_sized(each, memory.text) for each in found] or [_given(memory.text)]
        number = _count(count.text) if count.kind == "scalar" else Given(1, found[0].words if found else ())
        return Gpus(count=number, types=tuple(found)), _ranged(number)
    if node.kind != "scalar" or node.is_null:
        return Gpus(), ""
    names: list[Given] = []
    sizes: list[Text] = []
    asked: Given | None = None
    for match in re.finditer(r"[^:]+", node.value):
        part = node.text.cut(*match.span())
        plain = match[0].strip()
        if plain.lower() in _MAKERS:
            continue
        if _COUNT.fullmatch(plain):
            asked = _count(part)
        elif _MEMORY.fullmatch(plain):
            sizes.append(part)
        else:
            names += _named(part)
    if asked is None and (names or sizes):
        asked = Given(1, (Word(node.value, place=node.text),))
    if sizes and _ONE_SIZE.fullmatch(sizes[0].value.strip()):
        names = [_sized(each, sizes[0]) for each in names] or [_given(sizes[0])]
    elif sizes and not names:
        names = [_given(sizes[0])]
    return Gpus(count=asked, types=tuple(names)), _ranged(asked)


def _named(text: Text) -> list[Given]:
    return [_given(text.cut(*match.span())) for match in re.finditer(r"[^,\s][^,]*", text.value)]


def _given(text: Text) -> Given:
    return Given(text.value.strip(), (Word(text.value, place=text),))


def _sized(kind: Given, memory: Text) -> Given:
    """Return a GPU of a memory size: some are sold in several."""
    return Given(f"{kind.value}:{memory.value.strip()}", (*kind.words, Word(memory.value, place=memory)))


def _count(text: Text) -> Given:
    """Return a number of GPUs; a range is one only where both its ends are the same."""
    first, dots, last = text.value.strip().partition("..")
    if dots and first == last and first.isdecimal():
        return Given(int(first), (Word(text.value, place=text),))
    return whole(text)


def _ranged(count: Given | None) -> str:
    return f"any of {count.value} GPUs may be given" if count is not None and ".." in str(count.value) else ""
