"""Helm releases of Terraform: values as YAML or mappings, and single ones that are set, laid one over the other."""

import re
from collections.abc import Iterator
from dataclasses import replace

from kvplan.deploy import formats
from kvplan.deploy.file import File
from kvplan.deploy.hcl_values import Values
from kvplan.deploy.overlay import mapping
from kvplan.deploy.tree import NOTHING, Document, Node
from kvplan.deploy.workload import Gpus, Workload
from kvplan.launch.text import Source
from kvplan.launch.words import Given, Word

_MOST_NODES, _DEEPEST = 20_000, 50
_MOST_SET, _MOST_ITEMS = 500, 100
# `a.b[0].c`; a backslash takes a dot into the name.
_STEP = re.compile(r"((?:[^.\[\]\\]|\\.)+)|\[(\d{1,3})\]")
# Charts that start an engine without a word of values (otwld/ollama-helm), by their last name.
_ENGINES = {"ollama": "ollama"}


def release(name: Node, body: Node, values: Values) -> Iterator[Workload]:
    """Yield what the values of a `helm_release` start."""
    title = f"helm_release {name.value}"
    texts = [values.node(each) for each in values.node(body.get("values")).each()]
    layers = [each for each in texts if each.kind == "map" or (each.kind == "scalar" and not each.plain)]
    settings = list(_settings(body, values))
    if len(layers) == 1 and not settings:
        found = list(inner(title, "values.yaml", layers, values))
    else:
        found = list(_laid_over(title, body, layers, settings, values))
    chart = values.text(body.get("chart")).value.rstrip("/").rpartition("/")[2]
    if not found and chart in _ENGINES:
        found = [_of_chart(title, name, _ENGINES[chart], settings)]
    yield from found


def inner(name: str, path: str, nodes: list[Node], values: Values) -> Iterator[Workload]:
    """Yield what YAML inside starts, as the formats read it; a mapping stands for the YAML that it is made into."""
    for node in nodes:
        whole = values.node(node)
        if whole.kind == "map":
            file = File(Source(path, ""))
            file.documents = [Document(settled(whole, values, [_MOST_NODES]), whole.place)]
        elif whole.kind == "scalar" and not whole.plain and values.affords(len(whole.value)):
            file = File.of(values.put_in(whole.text), path)
        else:
            continue
        for workload in formats.workloads(file):
            yield replace(workload, name=f"{name}, {workload.name}")


def settled(node: Node, values: Values, left: list[int], depth: int = 0) -> Node:
    """Return a mapping with its references put in; what goes on without end is left out."""
    node = values.node(node)
    left[0] -= 1
    if depth > _DEEPEST or left[0] < 0 or not values.affords(1):
        return NOTHING
    copy = Node(node.kind, node.source, node.start, node.end, value=node.value, style=node.style, plain=node.plain)
    copy.pairs = [(key, settled(value, values, left, depth + 1)) for key, value in node.pairs]
    copy.index = {key.value: (key, value) for key, value in copy.pairs}
    copy.items = [settled(each, values, left, depth + 1) for each in node.items]
    if node.kind == "scalar":
        copy.text = values.text(node)
        copy.value = copy.text.value
    return copy


def _laid_over(
    title: str, body: Node, layers: list[Node], settings: list[tuple[Node, Node]], values: Values
) -> Iterator[Workload]:
    """Yield what several layers start together: later ones go before earlier ones, and what is set goes before all."""
    whole, templated = mapping(body, []), False
    for each in layers:
        if each.kind == "map":
            whole = _over(whole, settled(each, values, [_MOST_NODES]))
            continue
        if not values.affords(len(each.value)):
            return
        documents = File.of(values.put_in(each.text), "values.yaml").documents
        templated = templated or any(document.templated for document in documents)
        whole = _over(whole, documents[0].root if documents else NOTHING)
    for name, value in settings:
        whole = _over(whole, _path(name, value))
    whole.start, whole.end = body.start, body.end
    file = File(Source("values.yaml", ""))
    file.documents = [Document(whole, body.place, templated=templated)]
    for workload in formats.workloads(file):
        yield replace(workload, name=f"{title}, {workload.name}")


def _settings(body: Node, values: Values) -> Iterator[tuple[Node, Node]]:
    """Yield names and values of `set { ... }` and `set = [{ ... }]`; secret ones are no settings of an engine."""
    found = [each for key, value in body.pairs if key.value == "set" for each in values.node(value).each()]
    for each in found[:_MOST_SET]:
        name, value = values.node(each).get("name"), values.node(each).get("value")
        if name.kind != "scalar" or not value:
            continue
        own = settled(value, values, [1])
        # Helm reads what is set as YAML would, unless it is said to be a text.
        own.plain = values.text(values.node(each).get("type")).value != "string"
        yield name, own


def _path(name: Node, value: Node) -> Node:
    """Return the mapping that has a value under `a.b[0].c`."""
    for match in reversed(list(_STEP.finditer(name.value))[:_DEEPEST]):
        if match[2]:
            whole = Node("list", value.source, value.start, value.end)
            number = int(match[2])
            whole.items = [*([NOTHING] * min(number, _MOST_ITEMS)), value]
        else:
            key = Node("scalar", name.source, name.start, name.end, value=re.sub(r"\\(.)", r"\1", match[1]))
            key.text = name.text.cut(*match.span())
            whole = mapping(value, [(key, value)])
        value = whole
    return value


def _over(base: Node, top: Node, depth: int = 0) -> Node:
    """Return mappings put together; of everything else the one on top holds, of a list that is set item by item each item."""
    if depth > _DEEPEST or not base or not top or base.kind != top.kind or base.kind == "scalar":
        return top or base
    if base.kind == "list":
        if NOTHING not in top.items[:1] and len(top.items) >= len(base.items):
            return top
        whole = Node("list", top.source, top.start, top.end)
        count = max(len(base.items), len(top.items))
        both = [(_at(base, index), _at(top, index)) for index in range(min(count, _MOST_ITEMS))]
        whole.items = [_over(*each, depth + 1) for each in both]
        return whole
    pairs = dict(base.index)
    for key, value in top.entries():
        pairs[key.value] = (key, _over(pairs[key.value][1], value, depth + 1) if key.value in pairs else value)
    return mapping(base, pairs.values())


def _at(node: Node, index: int) -> Node:
    return node.items[index] if index < len(node.items) else NOTHING


def _of_chart(title: str, name: Node, engine: str, settings: list[tuple[Node, Node]]) -> Workload:
    """Return the engine that a chart starts by itself, on the GPUs that are set."""
    whole = NOTHING
    for key, value in settings:
        whole = _over(whole, _path(key, value))
    number = whole.get(engine, "gpu", "number")
    count: Given | None = None
    if number:
        word = Word(number.value, place=number.text)
        count = Given(number.number if number.number is not None else number.value, (word,))
    return Workload(
        format="terraform",
        name=title,
        place=name.place,
        words=(),
        engine=engine,
        gpus=Gpus(count=count),
    )
