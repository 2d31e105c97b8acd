"""What a Python file starts: the calls of `subprocess` and their like, with the words that lead up to them."""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kvplan.deploy.python_calls import (
    Called,
    Function,
    Started,
    Within,
    functions_of,
    is_main,
    masked,
    opened,
    opened_text,
    own_expressions,
    same,
)
from kvplan.deploy.python_conditions import ABSENT, Value, decided
from kvplan.deploy.python_places import dotted
from kvplan.deploy.python_values import Scope, asks_environment, joined
from kvplan.launch.text import MASK, Text

_STARTS = frozenset({
    "Popen", "run", "call", "check_call", "check_output", "create_subprocess_exec", "create_subprocess_shell", "system", "execvp",
    "execv", "execvpe",
})  # fmt: skip
# Calls whose arguments describe an engine: Ray's, and those of SageMaker's SDK and of boto3.
_DESCRIBES = frozenset({
    "LLMConfig", "HuggingFaceModel", "DJLModel", "Model", "create_model", "deploy", "create_endpoint_config",
})  # fmt: skip
_MOST_STATEMENTS, _MOST_WORDS = 20_000, 2000
# Of a function that is called for what it returns: its statements; characters of all such calls together; how deep they go.
_MOST_OF_ONE, _MOST_OF_CALLS, _DEEPEST_CALL = 500, 500_000, 3
_MOST_ENTRIES = 500


@dataclass(slots=True)
class Walk:
    """One pass over a module, in the order in which its statements stand."""

    started: list[Started] = field(default_factory=list)
    mappings: list[tuple[ast.Dict, Scope]] = field(default_factory=list)
    called: list[Called] = field(default_factory=list)
    expressions: dict[str, ast.expr] = field(default_factory=dict)
    settings: dict[str, tuple[Text, Text]] = field(default_factory=dict)
    left: int = _MOST_STATEMENTS
    partly: set[str] = field(default_factory=set)
    chosen: set[str] = field(default_factory=set)
    aside: int = 0
    functions: dict[str, Function] = field(default_factory=dict)
    base: Scope | None = None
    depth: int = 0
    returns: list[Value] = field(default_factory=list)
    of_calls: list[int] = field(default_factory=lambda: [_MOST_OF_CALLS])

    def module(self, scope: Scope, tree: ast.Module) -> None:
        """Follow a module: its own statements first, as functions see what all of them set."""
        self.base, scope.returned = scope, self._returned
        self.functions = functions_of(tree)
        waiting: list[tuple[ast.AST, Within, Scope]] = []
        self._body(tree.body, scope, (), waiting, sure=True)
        while waiting:
            node, within, outer = waiting.pop(0)
            own = Scope(scope.source, outer)
            # What the methods before it have set, in the order in which they stand.
            own.names = {name: value for name, value in scope.names.items() if name.startswith("self.")} | own.names
            if isinstance(node, Function):
                self._arguments(node, own)
                self._body(node.body, own, (*within, node), waiting, sure=True)
            elif isinstance(node, ast.ClassDef):
                inner: list[tuple[ast.AST, Within, Scope]] = []
                self._body(node.body, own, (*within, node), inner, sure=True)
                scope.names |= {f"self.{name}": value for name, value in own.names.items() if name not in scope.names}
                waiting += [(each, around, outer) for each, around, _ in inner]

    @staticmethod
    def _arguments(node: Function, scope: Scope, given: Mapping[str, Value] | None = None) -> None:
        """Give a function's arguments their values, or their defaults; others hide the names of the module."""
        positional = [*node.args.posonlyargs, *node.args.args]
        defaults: list[ast.expr | None] = [None] * (len(positional) - len(node.args.defaults)) + list(
            node.args.defaults
        )
        every = [
            *zip(positional, defaults, strict=True),
            *zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True),
        ]
        hidden = [each for each in (node.args.vararg, node.args.kwarg) if each is not None]
        for argument in hidden:
            scope.names.pop(argument.arg, None)
        for argument, default in every:
            name = argument.arg
            if given is not None and name in given:
                scope.names[name] = given[name]
                continue
            value = scope.value(default) if default is not None else None
            # Whoever calls it may give another: None says no more than that it need not be given.
            if default is not None and (given is not None or value is not ABSENT):
                scope.names[name] = value
            else:
                scope.names.pop(name, None)

    def _returned(self, call: ast.Call, scope: Scope, depth: int) -> Value:
        """Return what a function of the file returns for its arguments; None where that is not known."""
        name = dotted(call.func)
        function = self.functions.get(name)
        if function is None or self.base is None or self.depth >= _DEEPEST_CALL or self.of_calls[0] <= 0 or depth > 20:
            return None
        names = [each.arg for each in (*function.args.posonlyargs, *function.args.args)]
        names = names[1:] if "." in name and names[:1] in (["self"], ["cls"]) else names
        if any(isinstance(each, ast.Starred) for each in call.args):
            return None
        given = {key: scope.value(each, depth + 1) for key, each in zip(names, call.args, strict=False)}
        given |= {key: value for key, (_, value) in scope.keywords(call, depth + 1).items()}
        start, end = scope.span(function)
        self.of_calls[0] -= end - start
        inner = Walk(
            functions=self.functions, base=self.base, left=_MOST_OF_ONE, depth=self.depth + 1, of_calls=self.of_calls
        )
        own = Scope(scope.source, self.base)
        own.returned = inner._returned
        self._arguments(function, own, given)
        inner._body(function.body, own, (function,), [], sure=True)
        if inner.partly:
            self.partly.add(name.rpartition(".")[2])
        first = inner.returns[0] if inner.returns else None
        return first if len(inner.returns) == 1 or all(same(first, each) for each in inner.returns) else None

    def _body(
        self,
        statements: Sequence[ast.stmt],
        scope: Scope,
        within: Within,
        waiting: list[tuple[ast.AST, Within, Scope]],
        *,
        sure: bool,
        depth: int = 0,
    ) -> bool:
        """Follow statements; return whether they surely end the function that they stand in."""
        for each in statements:
            self.left -= 1
            if self.left < 0 or depth > 30:
                return True
            if isinstance(each, Function | ast.ClassDef):
                waiting.append((each, within, scope))
                continue
            if isinstance(each, ast.If):
                taken = True if is_main(each.test) else decided(each.test, scope.value)
                if taken is not None and not self.depth and self._by_environment(each.test):
                    # What whoever starts it may choose otherwise is seen, and changes nothing.
                    self.aside += 1
                    other = each.orelse if taken else each.body
                    self._body(other, Scope(scope.source, scope), within, waiting, sure=False, depth=depth + 1)
                    self.aside -= 1
                ends = False
                if taken is not False:
                    ends = self._body(each.body, scope, within, waiting, sure=sure and taken is True, depth=depth + 1)
                if taken is not True:
                    ends = self._body(
                        each.orelse, scope, within, waiting, sure=sure and taken is False, depth=depth + 1
                    )
                if ends and sure and taken is not None and self.depth:
                    return True
                continue
            self._statement(each, scope, within, sure=sure)
            if isinstance(each, ast.Return):
                self.returns.append(scope.value(each.value))
                return True
            loop = isinstance(each, ast.For | ast.While | ast.AsyncFor)
            if isinstance(each, ast.For | ast.AsyncFor):
                for target in ast.walk(each.target):
                    if isinstance(target, ast.Name):
                        scope.names.pop(target.id, None)
            for part in ("body", "orelse", "finalbody"):
                inner = getattr(each, part, None)
                if isinstance(inner, list):
                    ends = self._body(inner, scope, within, waiting, sure=sure and not loop, depth=depth + 1)
                    if ends and isinstance(each, ast.With | ast.AsyncWith):
                        return True
        return False

    def _statement(self, node: ast.stmt, scope: Scope, within: Within, *, sure: bool) -> None:
        target = ""
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            target = dotted(targets[0])
            for each in targets:
                self._assign(each, node.value, scope, sure=sure)
        elif isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add) and (name := dotted(node.target)):
            self._extend(name, node.value, scope, sure=sure)
        elif isinstance(node, ast.AugAssign) and isinstance(node.op, ast.BitOr) and (name := dotted(node.target)):
            self._update(name, scope.value(node.value), scope, sure=sure)
        for expression in own_expressions(node):
            for inner in ast.walk(expression):
                if isinstance(inner, ast.Dict):
                    self.mappings.append((inner, scope))
                elif isinstance(inner, ast.Call):
                    self._call(inner, scope, within, target if inner is expression else "", sure=sure)

    def _assign(self, target: ast.expr, value: ast.expr | None, scope: Scope, *, sure: bool) -> None:
        if value is None:
            return
        if isinstance(target, ast.Name):
            self.expressions.setdefault(target.id, value)
            self._set(target.id, scope.value(value), value, scope, sure=sure)
        elif isinstance(target, ast.Attribute) and (name := dotted(target)):
            self._set(name, scope.value(value), value, scope, sure=sure)
            self._share(name, scope)
        elif isinstance(target, ast.Subscript):
            key, own = scope.value(target.slice), scope.value(value)
            name = dotted(target.value)
            if name.endswith("environ") and isinstance(key, Text) and isinstance(own, Text) and not self.aside:
                self.settings[key.value] = (key, own)
            elif isinstance(key, Text) and MASK not in key.value:
                before = scope.names.get(name)
                known = before.get(key.value) if isinstance(before, dict) else None
                if not sure and not (known is not None and same(known[1], own)):
                    own = scope.written(value)
                self._update(name, {key.value: (key, own)}, scope, sure=True)
        elif isinstance(target, ast.Tuple | ast.List) and isinstance(value, ast.Tuple | ast.List):
            for each, part in zip(target.elts, value.elts, strict=False):
                self._assign(each, part, scope, sure=sure)

    def _by_environment(self, expression: ast.expr) -> bool:
        """Return whether a variable of the environment has a say in an expression."""
        return any(
            asks_environment(each) or (isinstance(each, ast.Name | ast.Attribute) and dotted(each) in self.chosen)
            for each in ast.walk(expression)
        )

    def _set(self, name: str, known: Value, value: ast.expr, scope: Scope, *, sure: bool) -> None:
        before = scope.names.get(name)
        if not sure and before is not None and not same(before, known):
            # It depends on the way taken: what it stands for is not known from here on.
            scope.names[name] = [] if isinstance(before, list) else scope.written(value)
            self.partly.add(name)
        else:
            scope.names[name] = known
        if self._by_environment(value):
            self.chosen.add(name)
        if any(dotted(each) in self.partly for each in ast.walk(value) if isinstance(each, ast.Name | ast.Attribute)):
            self.partly.add(name)

    def _extend(self, name: str, value: ast.expr, scope: Scope, *, sure: bool, one: bool = False) -> None:
        """Put a value behind what a name holds; under a condition its flags are open."""
        before, after = scope.names.get(name), scope.value(value)
        if one:
            after = [after if isinstance(after, Text) else scope.written(value)]
        if not sure:
            self.partly.add(name)
        if isinstance(before, list):
            words = after if isinstance(after, list) else [scope.written(value)]
            scope.names[name] = (before + (words if sure else opened(words)))[:_MOST_WORDS]
        elif isinstance(before, Text) and isinstance(after, Text):
            scope.names[name] = joined([before, after if sure else opened_text(after)])
        self._share(name, scope)

    def _share(self, name: str, scope: Scope) -> None:
        """Let the methods after it see what one has set of its object."""
        if self.base is None or self.depth or self.aside:
            return
        if name.startswith("self.") and name in scope.names:
            self.base.names[name] = scope.names[name]

    def _update(self, name: str, value: Value, scope: Scope, *, sure: bool) -> None:
        before = scope.names.get(name)
        if isinstance(before, dict) and isinstance(value, dict) and len(before) < _MOST_ENTRIES:
            if not sure:
                value = {key: (label, masked(each)) for key, (label, each) in value.items()}
            scope.names[name] = before | value
            self._share(name, scope)

    def _call(self, node: ast.Call, scope: Scope, within: Within, target: str, *, sure: bool) -> None:
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else dotted(function)
        inner = function.value if isinstance(function, ast.Attribute) else None
        owner = dotted(inner) if inner is not None else ""
        if name in ("append", "extend") and owner and len(node.args) == 1:
            self._extend(owner, node.args[0], scope, sure=sure, one=name == "append")
        elif name == "update" and owner:
            given = scope.value(node.args[0]) if node.args else None
            keywords = scope.keywords(node)
            self._update(owner, given | keywords if isinstance(given, dict) else keywords, scope, sure=sure)
        if name in _DESCRIBES and len(self.called) < _MOST_WORDS:
            known = {key: value for key, (_, value) in scope.keywords(node).items()}
            whose = inner if isinstance(inner, ast.Call) else owner
            self.called.append(Called(node, name, whose, target, known, scope))
        if name not in _STARTS:
            return
        given_node: ast.expr | None = (
            node.args[0] if node.args else next((each.value for each in node.keywords if each.arg == "args"), None)
        )
        if name in ("execvp", "execv", "execvpe"):
            given_node = node.args[1] if len(node.args) > 1 else None
        command: Value = scope.value(given_node)
        if name == "create_subprocess_exec":
            command = scope.value(ast.List(elts=list(node.args), ctx=ast.Load()))
        names = (
            {dotted(each) for each in ast.walk(given_node) if isinstance(each, ast.Name | ast.Attribute)}
            if given_node is not None
            else set()
        )
        words = command if isinstance(command, list) else None
        script = command if isinstance(command, Text) else None
        if words or script is not None:
            self.started.append(Started(words, script, scope, within, node, bool(names & self.partly)))
