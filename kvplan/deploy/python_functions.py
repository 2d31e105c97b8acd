"""Functions of a Python file: which it has, where they are called, and what their arguments are."""

import ast
from collections.abc import Mapping

from kvplan.deploy.python_arguments import default_of, options
from kvplan.deploy.python_conditions import ABSENT, Value
from kvplan.deploy.python_places import dotted
from kvplan.deploy.python_values import Scope

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions_of(tree: ast.Module) -> dict[str, Function]:
    """Return the functions of a module, methods as `self.name`; several of one name are none."""
    found: dict[str, Function] = {}
    several: set[str] = set()
    for node in tree.body:
        inside = node.body if isinstance(node, ast.ClassDef) else []
        for name, each in [
            ("", node),
            *((owner, part) for part in inside for owner in ("self.", f"{getattr(node, 'name', '')}.")),
        ]:
            if isinstance(each, Function):
                if f"{name}{each.name}" in found:
                    several.add(f"{name}{each.name}")
                found[f"{name}{each.name}"] = each
    return {name: each for name, each in found.items() if name not in several}


def called_once(tree: ast.Module, functions: Mapping[str, Function]) -> dict[int, Function]:
    """Return the functions that a module calls at one place alone, by that call (its id); classes are their `__init__`."""
    found: dict[int, list[ast.Call]] = {}
    for node in ast.walk(tree):
        name = dotted(call_of(node).func) if isinstance(node, ast.Call) else ""
        function = functions.get(name) or functions.get(f"{name}.__init__")
        if isinstance(node, ast.Call) and name and function is not None:
            found.setdefault(id(function), []).append(node)
    own = {id(each): each for each in functions.values()}
    return {id(calls[0]): own[key] for key, calls in found.items() if len(calls) == 1}


def call_of(node: ast.Call) -> ast.Call:
    """Return the call that a call stands for: `Thread(target=f, args=(x,))`, `Class.bind(x)` (Ray Serve); else itself."""
    keywords = {each.arg: each.value for each in node.keywords}
    target, given = keywords.get("target"), keywords.get("args")
    if isinstance(target, ast.Name | ast.Attribute) and isinstance(given, ast.Tuple | ast.List):
        return ast.copy_location(ast.Call(target, given.elts, []), node)
    if isinstance(node.func, ast.Attribute) and node.func.attr == "bind":
        owner = node.func.value
        if isinstance(owner, ast.Call) and isinstance(owner.func, ast.Attribute) and owner.func.attr == "options":
            owner = owner.func.value
        return ast.copy_location(ast.Call(owner, node.args, node.keywords), node)
    if isinstance(node.func, ast.Attribute) and node.func.attr == "set_defaults":
        named = next((each for each in keywords.values() if isinstance(each, ast.Name)), None)
        return ast.copy_location(ast.Call(named, [node.func.value], []), node) if named is not None else node
    return node


def adders_of(functions: Mapping[str, Function]) -> frozenset[str]:
    """Return the functions that give a parser arguments."""
    return frozenset(
        name
        for name, function in functions.items()
        if function.args.args
        and any(isinstance(each, ast.Attribute) and each.attr == "add_argument" for each in ast.walk(function))
    )


def parameters(function: Function, name: str) -> list[str]:
    """Return the names of a function's arguments by their order in a call of it by that name."""
    names = [each.arg for each in (*function.args.posonlyargs, *function.args.args)]
    bound = function.name == "__init__" or "." in name
    return names[1:] if bound and names[:1] in (["self"], ["cls"]) else names


def give_arguments(node: Function, scope: Scope, given: Mapping[str, Value] | None = None) -> None:
    """Give a function's arguments their values, or their defaults; others hide the names of the module."""
    positional = [*node.args.posonlyargs, *node.args.args]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(node.args.defaults)) + list(node.args.defaults)
    every = [
        *zip(positional, defaults, strict=True),
        *zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True),
    ]
    hidden = [each for each in (node.args.vararg, node.args.kwarg) if each is not None]
    for argument in hidden:
        scope.names.pop(argument.arg, None)
    if node.args.kwarg is not None and given is not None and node.args.kwarg.arg in given:
        scope.names[node.args.kwarg.arg] = given[node.args.kwarg.arg]
    told = options(node, scope)
    for argument, default in every:
        name = argument.arg
        if given is not None and name in given:
            scope.names[name] = given[name]
            continue
        value = default_of(default, scope) if default is not None else told.get(name)
        # Whoever calls it may give another: None says no more than that it need not be given.
        if (default is not None or name in told) and (given is not None or value is not ABSENT):
            scope.names[name] = value
        else:
            scope.names.pop(name, None)
            scope.optional |= {name} if value is ABSENT else set()


def given_to(function: Function, call: ast.Call, scope: Scope, depth: int = 0) -> dict[str, Value] | None:
    """Return what a call gives a function's arguments; None where `*` gives an unknown number of them."""
    if any(isinstance(each, ast.Starred) for each in call.args):
        return None
    found: dict[str, Value] = {}
    for each in call.keywords:
        if each.arg is None and isinstance(more := scope.value(each.value, depth + 1), dict):
            found |= {key: value for key, (_, value) in more.items()}
    nodes = list(zip(parameters(function, dotted(call.func)), call.args, strict=False))
    for key, node in [*nodes, *((each.arg, each.value) for each in call.keywords if each.arg is not None)]:
        value = scope.value(node, depth + 1)
        found[key] = scope.written(node) if value is None else value
    if function.args.kwarg is not None:
        own = {each.arg for each in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)}
        found[function.args.kwarg.arg] = {
            key: (label, value) for key, (label, value) in scope.keywords(call, depth + 1).items() if key not in own
        }
    return found
