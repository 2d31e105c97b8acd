"""What a Python file starts: the calls of `subprocess` and their like, with the words that lead up to them."""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from kvplan.deploy.python_values import Scope, Value, dotted, joined, truth
from kvplan.launch.text import Text

_STARTS = frozenset({
    "Popen", "run", "call", "check_call", "check_output", "create_subprocess_exec", "create_subprocess_shell", "system", "execvp",
    "execv", "execvpe",
})  # fmt: skip
_Function = ast.FunctionDef | ast.AsyncFunctionDef
_MOST_STATEMENTS, _MOST_WORDS = 20_000, 2000


@dataclass(slots=True)
class Started:
    """A call that starts a program.

    Attributes:
        words: of its command, or None where it is a shell's text.
        script: the shell's text.
        scope: the names at that point.
        within: the functions and classes around it, the outer first.
        node: the call.
        partly: whether words may be missing that only some ways through the file add.

    """

    words: list[Value] | None
    script: Text | None
    scope: Scope
    within: tuple[ast.AST, ...]
    node: ast.AST
    partly: bool = False


@dataclass(slots=True)
class Walk:
    """One pass over a module, in the order in which its statements stand."""

    started: list[Started] = field(default_factory=list)
    mappings: list[tuple[ast.Dict, Scope]] = field(default_factory=list)
    configs: list[tuple[ast.Call, Scope]] = field(default_factory=list)
    expressions: dict[str, ast.expr] = field(default_factory=dict)
    settings: dict[str, tuple[Text, Text]] = field(default_factory=dict)
    left: int = _MOST_STATEMENTS
    partly: set[str] = field(default_factory=set)

    def module(self, scope: Scope, tree: ast.Module) -> None:
        """Follow a module: its own statements first, as functions see what all of them set."""
        functions: list[tuple[ast.AST, tuple[ast.AST, ...]]] = []
        self._body(tree.body, scope, (), functions, sure=True)
        while functions:
            node, within = functions.pop(0)
            inner: list[tuple[ast.AST, tuple[ast.AST, ...]]] = []
            own = Scope(scope.source, scope)
            if isinstance(node, _Function):
                self._arguments(node, own)
                self._body(node.body, own, (*within, node), inner, sure=True)
            elif isinstance(node, ast.ClassDef):
                self._body(node.body, own, (*within, node), inner, sure=True)
                scope.names |= {f"self.{name}": value for name, value in own.names.items() if name not in scope.names}
            functions += inner

    @staticmethod
    def _arguments(node: _Function, scope: Scope) -> None:
        """Give a function's arguments their defaults; others hide the names of the module."""
        positional = [*node.args.posonlyargs, *node.args.args]
        defaults: list[ast.expr | None] = [None] * (len(positional) - len(node.args.defaults)) + list(
            node.args.defaults
        )
        every = [
            *zip(positional, defaults, strict=True),
            *zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True),
        ]
        for argument, default in every:
            if default is not None and not (isinstance(default, ast.Constant) and default.value is None):
                scope.names[argument.arg] = scope.value(default)
            else:
                scope.names.pop(argument.arg, None)

    def _body(
        self,
        statements: Sequence[ast.stmt],
        scope: Scope,
        within: tuple[ast.AST, ...],
        functions: list[tuple[ast.AST, tuple[ast.AST, ...]]],
        *,
        sure: bool,
        depth: int = 0,
    ) -> None:
        for each in statements:
            self.left -= 1
            if self.left < 0 or depth > 30:
                return
            if isinstance(each, _Function | ast.ClassDef):
                functions.append((each, within))
                continue
            if isinstance(each, ast.If):
                taken = truth(scope.value(each.test)) if isinstance(each.test, ast.Name | ast.Constant) else None
                if taken is not False:
                    inside = taken is True or _is_main(each.test)
                    self._body(each.body, scope, within, functions, sure=sure and inside, depth=depth + 1)
                if taken is not True:
                    self._body(each.orelse, scope, within, functions, sure=sure and taken is False, depth=depth + 1)
                continue
            self._statement(each, scope, within, sure=sure)
            loop = isinstance(each, ast.For | ast.While | ast.AsyncFor)
            for part in ("body", "orelse", "finalbody"):
                inner = getattr(each, part, None)
                if isinstance(inner, list):
                    self._body(inner, scope, within, functions, sure=sure and not loop, depth=depth + 1)

    def _statement(self, node: ast.stmt, scope: Scope, within: tuple[ast.AST, ...], *, sure: bool) -> None:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                self._assign(target, node.value, scope, sure=sure)
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name) and isinstance(node.op, ast.Add):
            self._extend(node.target.id, scope.value(node.value), scope, sure=sure)
        for each in _own_expressions(node):
            for inner in ast.walk(each):
                if isinstance(inner, ast.Dict):
                    self.mappings.append((inner, scope))
                elif isinstance(inner, ast.Call):
                    if dotted(inner.func).endswith("LLMConfig"):
                        self.configs.append((inner, scope))
                    self._call(inner, scope, within, sure=sure)

    def _assign(self, target: ast.expr, value: ast.expr | None, scope: Scope, *, sure: bool) -> None:
        if isinstance(target, ast.Name) and value is not None:
            self.expressions.setdefault(target.id, value)
            known = scope.value(value)
            before = scope.names.get(target.id)
            if not sure and before is not None and not _same(before, known):
                # It depends on the way taken: what it stands for is not known from here on.
                scope.names[target.id] = [] if isinstance(before, list) else scope.written(value)
                self.partly.add(target.id)
            else:
                scope.names[target.id] = known
        elif isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and value is not None:
            scope.names[f"{target.value.id}.{target.attr}"] = scope.value(value)
        elif isinstance(target, ast.Subscript) and value is not None and dotted(target.value).endswith("environ"):
            name, own = scope.value(target.slice), scope.value(value)
            if isinstance(name, Text) and isinstance(own, Text):
                self.settings[name.value] = (name, own)

    def _extend(self, name: str, value: Value, scope: Scope, *, sure: bool) -> None:
        before = scope.names.get(name)
        if not sure:
            self.partly.add(name)
        elif isinstance(before, list) and isinstance(value, list):
            scope.names[name] = (before + value)[:_MOST_WORDS]
        elif isinstance(before, Text) and isinstance(value, Text):
            scope.names[name] = joined([before, value])
        elif isinstance(before, list):
            self.partly.add(name)

    def _call(self, node: ast.Call, scope: Scope, within: tuple[ast.AST, ...], *, sure: bool) -> None:
        function = node.func
        name = (
            function.attr
            if isinstance(function, ast.Attribute)
            else function.id
            if isinstance(function, ast.Name)
            else ""
        )
        owner = (
            function.value.id if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) else ""
        )
        if name in ("append", "extend") and owner and len(node.args) == 1:
            value = scope.value(node.args[0])
            self._extend(owner, [value] if name == "append" else value, scope, sure=sure)
        if name not in _STARTS:
            return
        given: ast.expr | None = (
            node.args[0] if node.args else next((each.value for each in node.keywords if each.arg == "args"), None)
        )
        if name in ("execvp", "execv", "execvpe"):
            given = node.args[1] if len(node.args) > 1 else None
        command: Value = scope.value(given)
        if name == "create_subprocess_exec":
            command = scope.value(ast.List(elts=list(node.args), ctx=ast.Load()))
        names = {each.id for each in ast.walk(given) if isinstance(each, ast.Name)} if given is not None else set()
        words = command if isinstance(command, list) else None
        script = command if isinstance(command, Text) else None
        if words or script is not None:
            self.started.append(Started(words, script, scope, within, node, bool(names & self.partly)))


def _own_expressions(node: ast.stmt) -> Iterator[ast.expr]:
    """Yield a statement's expressions, not those of statements in it."""
    for _, value in ast.iter_fields(node):
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, ast.expr):
                yield each
            elif isinstance(each, ast.withitem):
                yield each.context_expr


def _is_main(test: ast.expr) -> bool:
    return isinstance(test, ast.Compare) and isinstance(test.left, ast.Name) and test.left.id == "__name__"


def _same(first: Value, second: Value) -> bool:
    return isinstance(first, Text) and isinstance(second, Text) and first.value == second.value
