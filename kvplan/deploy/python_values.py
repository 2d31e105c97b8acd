"""Values of Python's expressions as far as literals, names and f-strings tell; files are parsed, never run."""

import ast
import operator
import re
from collections.abc import Callable, Iterable

from kvplan.deploy.python_conditions import ABSENT, Number, Value, as_number, decided, truth
from kvplan.deploy.python_places import Places, dotted
from kvplan.deploy.sagemaker_containers import looked_up
from kvplan.launch.text import MASK, Source, Text, join

_DEEPEST = 40
_MOST_ITEMS = 2000
# Of a text that is put together: characters, and parts of the file.
_LONGEST, _MOST_PARTS = 20_000, 500

# Words that a shell takes as they are.
_PLAIN = re.compile(rf"[\w@%+=:,./{MASK}-]+")
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
        returned: what a function of the file returns for a call; None where that is not known.

    """

    def __init__(self, source: Source, outer: "Scope | None" = None) -> None:
        super().__init__(source)
        self.names: dict[str, Value] = dict(outer.names) if outer is not None else {}
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
            taken = decided(node.test, lambda each: self.value(each, depth + 1))
            return self.written(node) if taken is None else self.value(node.body if taken else node.orelse, depth + 1)
        if isinstance(node, ast.Compare | ast.UnaryOp):
            return self._condition(node, depth)
        if isinstance(node, ast.BoolOp):
            return self._either(node, depth)
        if isinstance(node, ast.ListComp | ast.GeneratorExp):
            return self._each(node, depth)
        if isinstance(node, ast.Call):
            return self._call(node, depth)
        if isinstance(node, ast.Attribute):
            name = dotted(node)
            if name == "sys.executable":
                return self.literal(node, "python")
            found = next((each for each in (name, f"self.{node.attr}") if each in self.names), None)
            return self.written(node) if found is None else self.names[found]
        return self.written(node)

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
        text = self.literal(node, str(found))
        return Number(text.value, text.runs)

    def _condition(self, node: ast.Compare | ast.UnaryOp, depth: int) -> Text:
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            value = self.value(node.operand, depth + 1)
            known = isinstance(value, Number) and value.value[:1].isdigit()
            text = self.literal(node, f"-{value.value}") if known and isinstance(value, Text) else self.written(node)
            return Number(text.value, text.runs)
        taken = decided(node, lambda each: self.value(each, depth + 1))
        if taken is None:
            return self.written(node)
        text = self.literal(node, str(taken))
        return Number(text.value, text.runs)

    def _either(self, node: ast.BoolOp, depth: int) -> Value:
        """Return the part of `a or b`, `a and b` that it comes to; a variable without a default is taken not to be set."""
        wanted = isinstance(node.op, ast.Or)
        for each in node.values[:-1]:
            value = self.value(each, depth + 1)
            taken = truth(value)
            if taken is None and not (wanted and asks_environment(each)):
                return self.written(node)
            if taken is wanted:
                return value
        return self.value(node.values[-1], depth + 1)

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
        return [_quoted(each) for each in items] if "quote" in names else items

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
                value = self.value(each.value, depth + 1)
                plain = each.format_spec is None and each.conversion in (-1, ord("s"))
                parts.append(value if isinstance(value, Text) and plain else self.written(node))
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

    def _call(self, node: ast.Call, depth: int) -> Value:
        """Return what a few functions return: `str(n)`, `" ".join(list)`, `os.environ.get("X", "default")`, `"a b".split()`."""
        whole = dotted(node.func)
        name = node.func.attr if isinstance(node.func, ast.Attribute) else whole
        first = node.args[0] if len(node.args) == 1 else None
        if whole in ("str", "int", "float", "list", "tuple", "json.dumps", "dumps") and first is not None:
            return self._converted(whole, node, first, depth)
        if name == "quote" and first is not None:
            return _quoted(self.value(first, depth + 1))
        if whole == "map" and len(node.args) == 2 and dotted(node.args[0]) == "str":
            return self.value(node.args[1], depth + 1)
        if name == "dict" and isinstance(node.func, ast.Name) and not node.args:
            return self.keywords(node, depth + 1)
        if name in ("get", "getenv") and len(node.args) == 2:
            known = dotted(node.func).endswith(("environ.get", "getenv"))
            return self.value(node.args[1], depth + 1) if known else self.written(node)
        if name == "join" and len(node.args) == 1 and isinstance(node.func, ast.Attribute):
            items = self.value(node.args[0], depth + 1)
            between = " " if isinstance(node.func.value, ast.Name) else _text(self.value(node.func.value, depth + 1))
            if isinstance(items, list) and between is not None:
                return _together(items, between)
        if name == "split" and isinstance(node.func, ast.Attribute):
            text = self.value(
                node.args[0] if isinstance(node.func.value, ast.Name) and node.args else node.func.value, depth + 1
            )
            if isinstance(text, Text):
                return [text.cut(*match.span()) for match in re.finditer(r"\S+", text.value)]
        if name == "copy" and isinstance(node.func, ast.Attribute):
            return self.value(node.func.value, depth + 1)
        if self.returned is not None and (found := self.returned(node, self, depth)) is not None:
            return found
        if name in ("retrieve", "get_huggingface_llm_image_uri"):
            args = [self.value(each, depth + 1) for each in node.args[:8]]
            named = {key: value for key, (_, value) in self.keywords(node, depth + 1).items()}
            return looked_up(whole, args, named, self.source.piece(*self.span(node))) or self.written(node)
        return self.written(node)

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

    def _converted(self, name: str, node: ast.Call, first: ast.expr, depth: int) -> Value:
        """Return `str(n)`, `int("4")`, `json.dumps(4)`; what JSON writes otherwise than `str` is not known."""
        value = self.value(first, depth + 1)
        if name.endswith("dumps"):
            plain = isinstance(value, Number) and as_number(value) is not None
            return Text(value.value, value.runs) if plain and isinstance(value, Number) else self.written(node)
        if isinstance(value, Text):
            return Number(value.value, value.runs) if name in ("int", "float") else Text(value.value, value.runs)
        return value


def joined(texts: list[Text]) -> Text | None:
    """Return texts one behind the other; None for more than a command holds."""
    if sum(len(each.value) for each in texts) > _LONGEST or sum(len(each.runs) for each in texts) > _MOST_PARTS:
        return None
    return join(texts)


def asks_environment(node: ast.AST) -> bool:
    """Return whether an expression is a variable of the environment."""
    return isinstance(node, ast.Call) and dotted(node.func).endswith(("environ.get", "getenv"))


def _quoted(value: Value) -> Value:
    """Return a text as `shlex.quote` does."""
    if not isinstance(value, Text) or _PLAIN.fullmatch(value.value) or "'" in value.value:
        return value
    return join(["'", value, "'"])


def _text(value: Value) -> str | None:
    return value.value if isinstance(value, Text) and MASK not in value.value else None


def _together(items: list[Value], between: str) -> Text | None:
    parts: list[Text] = []
    for index, each in enumerate(items):
        if not isinstance(each, Text):
            return None
        parts += [Text(between), each] if index else [each]
    return joined(parts)
