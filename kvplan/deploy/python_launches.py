"""What a Python file starts: the calls of `subprocess` and their like, with the words that lead up to them."""

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field

from kvplan.deploy.python_arguments import add_argument, fields_of, set_defaults
from kvplan.deploy.python_builtins import asks_environment, joined
from kvplan.deploy.python_calls import (
    Called,
    Started,
    Within,
    is_main,
    masked,
    opened,
    opened_text,
    own_expressions,
    same,
)
from kvplan.deploy.python_conditions import Fields, Value, decided
from kvplan.deploy.python_functions import (
    Function,
    adders_of,
    call_of,
    called_once,
    functions_of,
    give_arguments,
    given_to,
)
from kvplan.deploy.python_places import dotted
from kvplan.deploy.python_starts import ENGINES, STARTS, command_of, runners_of
from kvplan.deploy.python_values import Scope
from kvplan.launch.text import MASK, Text

# Calls whose arguments describe an engine: Ray's, those of SageMaker's SDK and of boto3, and the engines' own.
_DESCRIBES = frozenset({
    "LLMConfig", "HuggingFaceModel", "DJLModel", "Model", "create_model", "deploy", "create_endpoint_config", "upload",
    *ENGINES,
})  # fmt: skip
_MOST_STATEMENTS, _MOST_WORDS = 20_000, 2000
# Of a function that is called for what it returns: its statements; characters of all such calls together; how deep they go.
_MOST_OF_ONE, _MOST_OF_CALLS, _DEEPEST_CALL = 500, 500_000, 3
_MOST_ENTRIES = 500
_MOST_VALUES = 8


_Waiting = tuple[ast.AST, Within, Scope]


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
    classes: dict[str, ast.ClassDef] = field(default_factory=dict)
    once: dict[int, Function] = field(default_factory=dict)
    runners: dict[str, str] = field(default_factory=dict)
    adders: frozenset[str] = frozenset()
    bound: dict[int, dict[str, Value]] = field(default_factory=dict)
    later: dict[int, _Waiting] = field(default_factory=dict)
    ready: list[_Waiting] = field(default_factory=list)

    def module(self, scope: Scope, tree: ast.Module) -> None:
        """Follow a module: its own statements first, as functions see what all of them set."""
        self.base, scope.returned = scope, self._returned
        self.functions = functions_of(tree)
        self.classes = {each.name: each for each in tree.body if isinstance(each, ast.ClassDef)}
        self.runners = runners_of(self.functions)
        self.adders = adders_of(self.functions)
        self.once = called_once(tree, self.functions)
        awaited = {id(each) for each in self.once.values()}
        waiting: list[_Waiting] = []
        self._body(tree.body, scope, (), waiting, sure=True)
        while self.ready or waiting or self.later:
            if not self.ready and not waiting:
                first = next(iter(self.later))
                awaited.discard(first)
                self.ready.append(self.later.pop(first))
            node, within, outer = (self.ready or waiting).pop(0)
            key = self._told_by_call(node)
            if key in awaited and key not in self.bound:
                self.later[key] = (node, within, outer)
                continue
            own = Scope(scope.source, outer)
            # What the methods before it have set, in the order in which they stand.
            own.names = {name: value for name, value in scope.names.items() if name.startswith("self.")} | own.names
            if isinstance(node, Function):
                give_arguments(node, own, self.bound.get(id(node)))
                self._body(node.body, own, (*within, node), waiting, sure=True)
            elif isinstance(node, ast.ClassDef):
                inner: list[_Waiting] = []
                self._body(node.body, own, (*within, node), inner, sure=True)
                scope.names |= {f"self.{name}": value for name, value in own.names.items() if name not in scope.names}
                waiting += [(each, around, outer) for each, around, _ in inner]

    def _told_by_call(self, node: ast.AST) -> int:
        """Return the function whose one call has to be seen before a function or class is followed; 0 for none."""
        if isinstance(node, ast.ClassDef) and self.classes.get(node.name) is not node:
            return 0
        function = self.functions.get(f"{node.name}.__init__") if isinstance(node, ast.ClassDef) else node
        # Methods are followed where they stand, behind what those before them set.
        if not isinstance(function, Function) or (node is function and self.functions.get(function.name) is not node):
            return 0
        given = function.args
        return id(function) if len(given.args) > (node is not function) or given.kwonlyargs or given.kwarg else 0

    def _returned(self, call: ast.Call, scope: Scope, depth: int) -> Value:
        """Return what a function of the file returns for its arguments; None where that is not known."""
        name = dotted(call.func)
        function, made = self.functions.get(name), self.classes.get(name)
        if self.base is None or self.depth >= _DEEPEST_CALL or self.of_calls[0] <= 0 or depth > 20:
            return None
        if made is not None:
            self._pay(made, scope)
            return fields_of(made, call, scope, self.base, depth)
        given = given_to(function, call, scope, depth) if function is not None else None
        if function is None or given is None:
            return None
        self._pay(function, scope)
        inner = Walk(
            functions=self.functions,
            classes=self.classes,
            base=self.base,
            left=_MOST_OF_ONE,
            depth=self.depth + 1,
            of_calls=self.of_calls,
        )
        own = Scope(scope.source, self.base)
        own.returned = inner._returned
        give_arguments(function, own, given)
        inner._body(function.body, own, (function,), [], sure=True)
        if inner.partly:
            self.partly.add(name.rpartition(".")[2])
        first = inner.returns[0] if inner.returns else None
        return first if len(inner.returns) == 1 or all(same(first, each) for each in inner.returns) else None

    def _pay(self, node: ast.AST, scope: Scope) -> None:
        """Count what it costs to follow a function or class: its text, and a copy of the names that it sees."""
        start, end = scope.span(node)
        self.of_calls[0] -= end - start + (len(self.base.names) if self.base is not None else 0)

    def _body(
        self,
        statements: Sequence[ast.stmt],
        scope: Scope,
        within: Within,
        waiting: list[_Waiting],
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
                if taken is not None and not self.depth and self._by_environment(each.test, scope):
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
        elif isinstance(target, ast.Attribute) and isinstance(owner := scope.value(target.value), Fields):
            own = scope.value(value)
            before = owner[target.attr][1] if target.attr in owner else None
            if not sure and (target.attr not in owner or (before is not None and not same(before, own))):
                own = scope.written(value)
            label = owner[target.attr][0] if target.attr in owner else scope.literal(target, target.attr)
            self._update(dotted(target.value), {target.attr: (label, own)}, scope, sure=True)
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
        elif isinstance(target, ast.Tuple | ast.List) and isinstance(values := scope.value(value), list):
            for each, item in zip(target.elts, values, strict=False):
                if isinstance(each, ast.Name):
                    self._set(each.id, item, value, scope, sure=sure)

    def _by_environment(self, expression: ast.expr, scope: Scope) -> bool:
        """Return whether a variable of the environment or an argument of the program has a say in an expression."""
        return any(
            asks_environment(each)
            or (isinstance(each, ast.Name | ast.Attribute) and dotted(each) in self.chosen)
            or (isinstance(each, ast.Attribute) and dotted(each) and isinstance(scope.value(each.value), Fields))
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
        if self._by_environment(value, scope):
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
            scope.names[name] = Fields(before | value) if isinstance(before, Fields) else before | value
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
        if name in _DESCRIBES and len(self.called) < _MOST_WORDS and not (self.aside and name in ENGINES):
            told = scope.keywords(node)
            known, labels = (
                {key: each for key, (_, each) in told.items()},
                {key: each for key, (each, _) in told.items()},
            )
            whose = inner if isinstance(inner, ast.Call) else owner
            values = [scope.value(each) for each in node.args[:_MOST_VALUES]] if name in ENGINES else []
            self.called.append(Called(node, name, whose, target, known, scope, labels, values, within))
        if name in ("add_argument", "set_defaults") and isinstance(parser := scope.value(inner), Fields):
            (add_argument if name == "add_argument" else set_defaults)(parser, node, scope)
        if dotted(function) in self.adders and any(isinstance(scope.value(each), Fields) for each in node.args):
            scope.value(node)
        runs = self.runners.get(dotted(function))
        called = self.once.get(id(node))
        if called is not None and runs is None and not self.depth:
            if (arguments := given_to(called, call_of(node), scope)) is not None:
                self.bound[id(called)] = arguments
            if (waits := self.later.pop(id(called), None)) is not None:
                self.ready.append(waits)
        if name in STARTS or runs is not None:
            command, names = command_of(node, name, scope, self.functions, runs)
            words = command if isinstance(command, list) else None
            script = command if isinstance(command, Text) else None
            if words or script is not None:
                self.started.append(Started(words, script, scope, within, node, bool(names & self.partly)))
