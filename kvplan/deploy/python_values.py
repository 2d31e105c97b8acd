"""Values of Python's expressions as far as literals, names and f-strings tell; files are parsed, never run."""

import ast
import operator
from collections.abc import Callable, Iterable

from kvplan.deploy.python_builtins import asks_environment, called, formatted, joined, quoted
from kvplan.deploy.python_conditions import ABSENT, Fields, Number, Value, as_number, decided, truth
from kvplan.deploy.python_places import Places, dotted
from kvplan.launch.text import MASK, Source, Text

_DEEPEST = 40
_MOST_ITEMS = 2000
_LARGEST = 10**15
_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Div: operator.truediv,
}


class Scope(Places):
    """Names and what they hold at one point of a file.

    Args:
        source: the file.
        outer: whose names hold where there are none of its own.

    Attributes:
        optional: arguments of the function that are None where they are not given.
        returned: what a function or class of the file returns for a call; None where that is not known.

    """

    def __init__(self, source: Source, outer: "Scope | None" = None) -> None:
        super().__init__(source)
        self.names: dict[str, Value] = dict(outer.names) if outer is not None else {}
        self.optional: set[str] = set()
        self.returned: Callable[[ast.Call, Scope, int], Value] | None = outer.returned if outer is not None else None

    # -- expressions -------------------------------------------------------------------------------------------------

    def value(self, node: ast.expr | None, depth: int = 0) -> Value:
        """Return what an expression stands for; unknown parts of it are masked, None where it is no text, list or mapping."""
        if node is None or depth > _DEEPEST:
            return None
        if isinstance(node, ast.Constant):
            return self._constant(node)
        if isinstance(node, ast.Name):
            return self.names[node.id] if node.id in self.names else self.written(node)
        if isinstance(node, ast.JoinedStr):
            return self._joined(node, depth)
        if isinstance(node, ast.List | ast.Tuple):
            return self._items(node.elts, depth)
        if isinstance(node, ast.Dict):
            return self._entries(node, depth)
        if isinstance(node, ast.BinOp):
            return self._sum(node, depth)
        if isinstance(node, ast.IfExp):
            return self._chosen(node, depth)
        if isinstance(node, ast.Compare | ast.UnaryOp):
            return self._condition(node, depth)
        if isinstance(node, ast.BoolOp):
            return self._either(node, depth)
        if isinstance(node, ast.ListComp | ast.GeneratorExp):
            return self._each(node, depth)
        if isinstance(node, ast.Call):
            return called(self, node, depth)
        if isinstance(node, ast.Attribute):
            name = dotted(node)
            if name == "sys.executable":
                return self.literal(node, "python")
            if name in self.names:
                return self.names[name]
            owner = self.value(node.value, depth + 1)
            if isinstance(owner, Fields):
                return self.held(owner, node.attr, node)
            return self.names.get(f"self.{node.attr}", self.written(node))
        if isinstance(node, ast.Subscript):
            return self._item(node, depth)
        if isinstance(node, ast.Await):
            return self.value(node.value, depth + 1)
        return self.written(node)

    def held(self, owner: dict[str, tuple[Text, Value]], name: str, node: ast.expr) -> Value:
        """Return what a mapping or an object holds under a name."""
        found = owner[name][1] if name in owner else None
        return self.written(node) if found is None else found

    def _item(self, node: ast.Subscript, depth: int) -> Value:
        """Return `mapping["key"]`, `list[0]`; behind words that are not known a list's places are not known either."""
        if dotted(node.value) == "sys.argv" and isinstance(node.slice, ast.Slice):
            return []  # nobody gives the program more
        owner, key = self.value(node.value, depth + 1), self.value(node.slice, depth + 1)
        if not isinstance(key, Text):
            return self.written(node)
        if isinstance(owner, dict):
            return self.held(owner, key.value, node)
        if isinstance(owner, list) and isinstance(key, Number) and key.value.isdecimal() and len(key.value) < 5:
            before = owner[: int(key.value) + 1]
            sure = len(before) > int(key.value) and all(
                truth(each) is not None or each is before[-1] for each in before
            )
            found = before[-1] if sure else None
            return self.written(node) if found is None else found
        return self.written(node)

    def number(self, node: ast.AST, value: str) -> Number:
        """Return a number or a truth value that an expression stands for."""
        text = self.literal(node, value)
        return Number(text.value, text.runs)

    def _constant(self, node: ast.Constant) -> Value:
        if node.value is None:
            return ABSENT
        if not isinstance(node.value, str | int | float):
            return None
        text = self.literal(node, self.constant(node.value))
        return text if isinstance(node.value, str) else Number(text.value, text.runs)

    def _sum(self, node: ast.BinOp, depth: int) -> Value:
        """Return lists, texts or mappings put together, or the result of numbers."""
        left, right = self.value(node.left, depth + 1), self.value(node.right, depth + 1)
        if isinstance(node.op, ast.BitOr) and isinstance(left, dict) and isinstance(right, dict):
            return left | right
        if isinstance(left, Number) and isinstance(right, Number):
            return self._result(node, left, right)
        if not isinstance(node.op, ast.Add):
            return self.written(node)
        if isinstance(left, list) or isinstance(right, list):
            # What is not known of the words of a list is one masked word.
            words: list[Value] = left if isinstance(left, list) else [self.written(node.left)]
            more: list[Value] = right if isinstance(right, list) else [self.written(node.right)]
            return (words + more)[:_MOST_ITEMS]
        if isinstance(left, Text) and isinstance(right, Text) and not isinstance(left, Number):
            return joined([left, right]) or self.written(node)
        return self.written(node)

    def _result(self, node: ast.BinOp, left: Number, right: Number) -> Text:
        first, second = as_number(left), as_number(right)
        compute = _OPERATORS.get(type(node.op))
        if first is None or second is None or compute is None or max(abs(first), abs(second)) > _LARGEST:
            return self.written(node)
        try:
            found = compute(first, second)
        except ArithmeticError:
            return self.written(node)
        return self.number(node, str(found))

    def _condition(self, node: ast.Compare | ast.UnaryOp, depth: int) -> Text:
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            value = self.value(node.operand, depth + 1)
            known = isinstance(value, Number) and value.value[:1].isdigit()
            text = self.literal(node, f"-{value.value}") if known and isinstance(value, Text) else self.written(node)
            return Number(text.value, text.runs)
        taken = decided(node, lambda each: self.value(each, depth + 1))
        if taken is None:
            return self.written(node)
        return self.number(node, str(taken))

    def _either(self, node: ast.BoolOp, depth: int) -> Value:
        """Return the part of `a or b`, `a and b` that it comes to; a variable without a default is taken not to be set."""
        wanted = isinstance(node.op, ast.Or)
        for each in node.values[:-1]:
            value = self.value(each, depth + 1)
            taken = truth(value)
            if taken is None and not (wanted and (asks_environment(each) or self.is_open(each))):
                return self.written(node)
            if taken is wanted:
                return value
        return self.value(node.values[-1], depth + 1)

    def _chosen(self, node: ast.IfExp, depth: int) -> Value:
        """Return the part of `a if b else c` that it comes to; `x if x else d` is `d` where nobody has to give `x`."""
        taken = decided(node.test, lambda each: self.value(each, depth + 1))
        if taken is not None:
            return self.value(node.body if taken else node.orelse, depth + 1)
        test = node.test
        if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.IsNot):
            test = test.left
        if dotted(test) and self.is_open(test):
            value = self.value(node.orelse, depth + 1)
            return value if isinstance(value, Text) else self.written(node)
        return self.written(node)

    def is_open(self, node: ast.expr) -> bool:
        """Return whether an expression is an argument of the program, or of a function, that need not be given."""
        if isinstance(node, ast.Name):
            return node.id in self.optional and node.id not in self.names
        owner = self.value(node.value) if isinstance(node, ast.Attribute) and dotted(node) else None
        own = owner.get(node.attr) if isinstance(owner, Fields) and isinstance(node, ast.Attribute) else None
        return own is not None and own[1] is None

    def _each(self, node: ast.ListComp | ast.GeneratorExp, depth: int) -> Value:
        """Return the words of `[str(each) for each in words]`."""
        only = node.generators[0]
        if len(node.generators) > 1 or only.ifs or not isinstance(only.target, ast.Name):
            return self.written(node)
        items = self.value(only.iter, depth + 1)
        inner, names = node.elt, set[str]()
        while isinstance(inner, ast.Call) and len(inner.args) == 1 and not inner.keywords and len(names) < 2:
            names.add(dotted(inner.func).rpartition(".")[2])
            inner = inner.args[0]
        own = isinstance(inner, ast.Name) and inner.id == only.target.id
        if not isinstance(items, list) or not own or not names <= {"str", "quote"}:
            return self.written(node)
        return [quoted(each) for each in items] if "quote" in names else items

    @staticmethod
    def constant(value: object) -> str:
        """Return a constant as `str` writes it; longer numbers than Python writes are nothing."""
        try:
            return str(value)
        except ValueError:
            return MASK

    def _joined(self, node: ast.JoinedStr, depth: int) -> Text:
        """Return an f-string; one part that is not known is masked, the others hold."""
        parts: list[Text] = []
        for each in node.values:
            if isinstance(each, ast.Constant):
                own = self.literal(each, str(each.value))
                # Up to Python 3.11 parts have the place of the whole.
                parts.append(own)
            elif isinstance(each, ast.FormattedValue):
                value = formatted(self.value(each.value, depth + 1), each)
                parts.append(value if isinstance(value, Text) else self.written(node))
        return joined(parts) or self.written(node)

    def _items(self, nodes: Iterable[ast.expr], depth: int) -> list[Value]:
        found: list[Value] = []
        for each in nodes:
            if isinstance(each, ast.Starred):
                value = self.value(each.value, depth + 1)
                found += value if isinstance(value, list) else [self.written(each)]
            else:
                found.append(self.value(each, depth + 1))
            if len(found) > _MOST_ITEMS:
                return found[:_MOST_ITEMS]
        return found

    def _entries(self, node: ast.Dict, depth: int) -> dict[str, tuple[Text, Value]]:
        found: dict[str, tuple[Text, Value]] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            own = self.value(value, depth + 1)
            if key is None:
                found |= own if isinstance(own, dict) else {}
            elif isinstance(name := self.value(key, depth + 1), Text) and MASK not in name.value:
                found[name.value] = (name, own)
        return found

    def keywords(self, node: ast.Call, depth: int = 0) -> dict[str, tuple[Text, Value]]:
        """Return a call's arguments by their names, those of mappings behind `**` included."""
        found: dict[str, tuple[Text, Value]] = {}
        for each in node.keywords:
            own = self.value(each.value, depth + 1)
            if each.arg is not None:
                found[each.arg] = (self.literal(each, each.arg), own)
            elif isinstance(own, dict):
                found |= own
        return found
