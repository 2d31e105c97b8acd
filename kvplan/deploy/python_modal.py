"""Functions and classes that Modal runs: their GPUs, images, and what those install and set."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from kvplan.deploy.accelerators import common, named, smallest, whole
from kvplan.deploy.installs import pinned
from kvplan.deploy.python_calls import word_of
from kvplan.deploy.python_launches import Walk
from kvplan.deploy.python_places import dotted
from kvplan.deploy.python_values import Scope
from kvplan.deploy.variables import value_of
from kvplan.deploy.workload import Gpus
from kvplan.launch.images import read_image
from kvplan.launch.text import Text
from kvplan.launch.words import Given, Word

_MOST_IMAGES = 8


@dataclass(frozen=True, slots=True)
class Placed:
    """Where Modal runs something.

    Attributes:
        gpus: what it asks for.
        image: the base of its image.
        version: of the engine, where the image installs it or is the engine's.
        environment: variables that the image sets.
        note: what was assumed; "" for nothing.

    """

    gpus: Gpus
    image: Word | None
    version: Given | None
    environment: dict[str, Given]
    note: str


def placed(holder: ast.AST | None, decorator: ast.Call, walk: Walk, module: Scope) -> Placed:
    """Return where Modal runs a function or class by its decorator."""
    keywords = {keyword.arg: keyword.value for keyword in decorator.keywords if keyword.arg}
    gpus, note = _gpus(keywords.get("gpu"), module)
    gpus.nodes = _clustered(holder, module)
    image, version, environment = _image(keywords.get("image"), walk, module)
    if version is None and image is not None and (release := read_image(image.text).version):
        version = Given(release, (image,))
    return Placed(gpus, image, version, environment, note)


def decorator_of(within: tuple[ast.AST, ...]) -> tuple[ast.AST | None, ast.Call | None]:
    """Return the function or class that Modal runs, and the call that says how."""
    for node in reversed(within):
        for each in getattr(node, "decorator_list", []):
            if (
                isinstance(each, ast.Call)
                and isinstance(each.func, ast.Attribute)
                and each.func.attr in ("function", "cls")
            ):
                return node, each
    return None, None


def _gpus(node: ast.expr | None, scope: Scope) -> tuple[Gpus, str]:
    """Return what `gpu=` asks for: `"H100:2"`, a list of alternatives, or the older `modal.gpu.H100(count=2)`."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        own = scope.literal(node.func, node.func.attr)
        keywords = {keyword.arg: scope.value(keyword.value) for keyword in node.keywords}
        number, memory = keywords.get("count"), keywords.get("size") or keywords.get("memory")
        name = f"{own.value}-{memory.value}" if isinstance(memory, Text) else own.value
        kind = Given(name, (Word(own.value, place=own),))
        return Gpus(count=whole(number) if isinstance(number, Text) else Given(1, kind.words), types=(kind,)), ""
    value = scope.value(node)
    if isinstance(value, Text) and value.value == "any":
        return Gpus(count=Given(1, (word_of(value),))), ""
    found = [named(each) for each in (value if isinstance(value, list) else [value]) if isinstance(each, Text)]
    # `H100!` is that GPU and no better one.
    kinds = [smallest(Given(str(kind.value).rstrip("!"), kind.words)) for kind, _ in found if kind is not None]
    count, note = common([count for _, count in found])
    return Gpus(count=count, types=tuple(kinds)), note


def _clustered(holder: ast.AST | None, scope: Scope) -> Given | None:
    """Return the number of containers that share an engine (`@modal.experimental.clustered(size=2)`)."""
    for each in getattr(holder, "decorator_list", []):
        if isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute) and each.func.attr == "clustered":
            given = each.args[0] if each.args else next((k.value for k in each.keywords if k.arg == "size"), None)
            value = scope.value(given)
            return whole(value) if isinstance(value, Text) else None
    return None


def _image(node: ast.expr | None, walk: Walk, scope: Scope) -> tuple[Word | None, Given | None, dict[str, Given]]:
    """Return a Modal image's base, the engine's version that it installs, and the variables that it sets."""
    image: Word | None = None
    version: Given | None = None
    environment: dict[str, Given] = {}
    for each in _chain(node, walk):
        if not (isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute)):
            continue
        first = scope.value(each.args[0]) if each.args else None
        if each.func.attr in ("from_registry", "from_dockerhub") and isinstance(first, Text):
            image = word_of(first)
        elif each.func.attr == "env" and isinstance(first, dict):
            environment |= {
                name: value_of(key, value) for name, (key, value) in first.items() if isinstance(value, Text)
            }
        elif "install" in each.func.attr or each.func.attr == "run_commands":
            for part in each.args:
                value = scope.value(part)
                for text in value if isinstance(value, list) else [value]:
                    version = version or (pinned(text) if isinstance(text, Text) else None)
    return image, version, environment


def _chain(node: ast.expr | None, walk: Walk) -> Iterator[ast.AST]:
    """Yield what a Modal image is made by: its own calls, after those of the image or function that it goes out from."""
    made: list[ast.AST] = []
    while node is not None and len(made) < _MOST_IMAGES:
        made.append(node)
        root = node
        while isinstance(root, ast.Call | ast.Attribute):
            if isinstance(root, ast.Call) and (function := walk.functions.get(dotted(root.func))) is not None:
                made.append(function)
            root = root.func if isinstance(root, ast.Call) else root.value
        node = walk.expressions.get(root.id) if isinstance(root, ast.Name) else None
        node = None if node in made else node
    for each in reversed(made):
        yield from ast.walk(each)
