"""Defaults of what a Python program is told: its arguments (argparse, click, typer), and fields of its classes."""

import ast

from kvplan.deploy.python_calls import same
from kvplan.deploy.python_conditions import ABSENT, Fields, Value
from kvplan.deploy.python_places import dotted
from kvplan.deploy.python_values import Scope
from kvplan.launch.text import MASK, Text

_FLAGS = {"store_true": "False", "store_false": "True"}
# What stands for a default: of dataclasses, pydantic, attrs, typer, click.
_FIELDS = ("field", "Field", "ib", "Option", "Argument", "Param")
_MOST_FIELDS = 500
# What one object in another adds to the depth of an expression.
_DEEPER = 5


def add_argument(parser: Fields, node: ast.Call, scope: Scope) -> None:
    """Give a parser the argument of `add_argument(...)`; what has no default is open, and so is what has several."""
    keywords = {each.arg: each.value for each in node.keywords if each.arg}
    names = [each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    name = _name(names)
    if "dest" in keywords:
        own = scope.value(keywords["dest"])
        name = own.value if isinstance(own, Text) and MASK not in own.value else ""
    if not name or len(parser) >= _MOST_FIELDS:
        return
    action = keywords.get("action")
    flag = _FLAGS.get(action.value) if isinstance(action, ast.Constant) and isinstance(action.value, str) else None
    needed = keywords.get("required")
    required = isinstance(needed, ast.Constant) and needed.value is True
    value: Value = None
    if "default" in keywords and not required:
        value = scope.value(keywords["default"])
    elif flag is not None:
        value = scope.number(node, flag)
    _put(parser, name, scope.literal(node, name), None if value is ABSENT else value)


def needed(tree: ast.Module) -> set[str]:
    """Return the arguments without which a program does not start, by the names under which their values are kept."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "add_argument":
            said = {each.arg: each.value for each in node.keywords}
            names = [each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
            own = said.get("required")
            bare = bool(names) and not names[0].startswith("-") and not {"nargs", "default"} & set(said)
            if bare or (isinstance(own, ast.Constant) and own.value is True):
                dest = said.get("dest")
                known = isinstance(dest, ast.Constant) and isinstance(dest.value, str)
                found.add(str(dest.value) if known and isinstance(dest, ast.Constant) else _name(names))
    return found


def set_defaults(parser: Fields, node: ast.Call, scope: Scope) -> None:
    """Give a parser what `set_defaults(...)` says."""
    parser |= scope.keywords(node)


def _put(parser: Fields, name: str, label: Text, value: Value) -> None:
    differs = name in parser and not same(parser[name][1], value)
    parser[name] = (label, None if differs else value)


def _name(names: list[str]) -> str:
    """Return the name under which an argument's value is kept: that of its first long option."""
    long = next((each for each in names if each.startswith("--")), None)
    first = long or (names[0] if names else "")
    return first.partition("/")[0].lstrip("-").replace("-", "_")


def default_of(node: ast.expr | None, scope: Scope, depth: int = 0) -> Value:
    """Return a default, also as `Field(default=...)`, `typer.Option(...)` and their like say it; None where none is known."""
    if isinstance(node, ast.Call) and dotted(node.func).rpartition(".")[2] in _FIELDS:
        keywords = {each.arg: each.value for each in node.keywords}
        made = keywords.get("default_factory")
        if isinstance(made, ast.Lambda):
            return scope.value(made.body, depth)
        if isinstance(made, ast.Name):
            return scope.value(ast.copy_location(ast.Call(made, [], []), made), depth)
        node = keywords.get("default") or (node.args[0] if node.args and made is None else None)
    if node is None or (isinstance(node, ast.Constant) and node.value is ...):
        return None
    return scope.value(node, depth)


def options(node: ast.FunctionDef | ast.AsyncFunctionDef, scope: Scope) -> dict[str, Value]:
    """Return the defaults that click's decorators give a function's arguments."""
    found: dict[str, Value] = {}
    for each in node.decorator_list:
        if not isinstance(each, ast.Call) or dotted(each.func).rpartition(".")[2] not in ("option", "argument"):
            continue
        names = [part.value for part in each.args if isinstance(part, ast.Constant) and isinstance(part.value, str)]
        name = next((own for own in names if own.isidentifier()), _name(names).lower())
        keywords = {own.arg: own.value for own in each.keywords}
        flag = isinstance(said := keywords.get("is_flag"), ast.Constant) and said.value is True
        value = scope.value(keywords["default"]) if "default" in keywords else None
        if flag and "default" not in keywords:
            value = scope.number(each, "False")
        if name and value is not None and value is not ABSENT:
            found[name] = value
    return found


def fields_of(node: ast.ClassDef, call: ast.Call, scope: Scope, outer: Scope, depth: int) -> Fields | None:
    """Return an object of a class that only has fields; None for classes that are made otherwise.

    Args:
        node: the class.
        call: that makes the object.
        scope: the names at the call.
        outer: the names that the class sees.
        depth: of the call.

    """
    if any(isinstance(each, ast.FunctionDef) and each.name == "__init__" for each in node.body):
        return None
    own = Scope(scope.source, outer)
    own.returned = scope.returned  # as deep in calls as the call is
    found = Fields()
    order: list[str] = []
    for each in node.body[:_MOST_FIELDS]:
        if not isinstance(each, ast.AnnAssign | ast.Assign):
            continue
        target = each.target if isinstance(each, ast.AnnAssign) else each.targets[0]
        if not isinstance(target, ast.Name):
            continue
        value = default_of(each.value, own, depth + _DEEPER)
        found[target.id] = (scope.literal(target, target.id), None if value is ABSENT else value)
        own.names[target.id] = value
        order += [target.id] if isinstance(each, ast.AnnAssign) else []
    if not order:
        return None
    for name, given in zip(order, call.args, strict=False):
        if isinstance(given, ast.Starred):
            return None
        found[name] = (scope.literal(given, name), scope.value(given, depth + 1))
    return Fields(found | scope.keywords(call, depth + 1))
