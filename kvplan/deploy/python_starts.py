"""Calls in Python that start a program, and which of their arguments is its command."""

import ast
from collections.abc import Mapping

from kvplan.deploy.python_conditions import Value
from kvplan.deploy.python_functions import Function, parameters
from kvplan.deploy.python_places import dotted
from kvplan.deploy.python_values import Scope

# Their first argument is the command; the second of those that take the place of the program.
_IN_PLACE = frozenset({"execvp", "execv", "execvpe", "execve"})
# Those that are given each word apart, the last two with the environment behind them.
_WORDS_APART = {"execl": None, "execlp": None, "execle": -1, "execlpe": -1}
STARTS = frozenset({
    "Popen", "run", "call", "check_call", "check_output", "create_subprocess_exec", "create_subprocess_shell", "system",
    *_IN_PLACE, *_WORDS_APART,
})  # fmt: skip
# What makes an engine in the program's own process, its configurations, or starts its server there.
ENGINES = frozenset({
    "AsyncEngineArgs", "EngineArgs", "LLM", "Engine", "ServerArgs", "prepare_server_args", "parse_args", "serve", "pipeline",
    "options",
})  # fmt: skip


def runners_of(functions: Mapping[str, Function]) -> dict[str, str]:
    """Return the functions that run a command which they are given, with the argument that it is."""
    found: dict[str, str] = {}
    for name, function in functions.items():
        names = [each.arg for each in (*function.args.posonlyargs, *function.args.args)]
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and dotted(node.func).rpartition(".")[2] in STARTS and node.args:
                given = node.args[0]
                if isinstance(given, ast.Name) and given.id in names:
                    found.setdefault(name, given.id)
    return found


def command_of(
    node: ast.Call, name: str, scope: Scope, functions: Mapping[str, Function], runs: str | None
) -> tuple[Value, set[str]]:
    """Return the command of a call, and the names that it is made of.

    Args:
        node: the call.
        name: of the function, without what is before its last dot.
        scope: the names at that point.
        functions: of the file.
        runs: the argument that is the command, for one of those functions.

    """
    place, keyword = 1 if name in _IN_PLACE else 0, "args"
    if runs is not None:
        names = parameters(functions[dotted(node.func)], dotted(node.func))
        place, keyword = names.index(runs) if runs in names else len(node.args), runs
    given: ast.expr | None = None
    if runs is None and name in _WORDS_APART:
        given = ast.List(elts=node.args[1 : _WORDS_APART[name]], ctx=ast.Load())
    elif runs is None and name == "create_subprocess_exec":
        given = ast.List(elts=list(node.args), ctx=ast.Load())
    elif len(node.args) > place:
        given = node.args[place]
    else:
        given = next((each.value for each in node.keywords if each.arg == keyword), None)
    if given is None:
        return None, set()
    parts = (each for each in ast.walk(given) if isinstance(each, ast.Name | ast.Attribute))
    return scope.value(given), {dotted(each) for each in parts}
