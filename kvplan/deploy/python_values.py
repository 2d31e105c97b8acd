"""Values of Python's expressions as far as literals, names and f-strings tell; files are parsed, never run."""

import ast
import re
import warnings
from collections.abc import Iterable

from kvplan.launch.text import MASK, Run, Source, Text, join

_QUOTED = re.compile(r"([A-Za-z]{0,2})(\"\"\"|'''|\"|')")
_DEEPEST = 40
_MOST_ITEMS = 2000
# Of a text that is put together: characters, and parts of the file.
_LONGEST, _MOST_PARTS = 20_000, 500

Value = Text | list["Value"] | dict[str, tuple[Text, "Value"]] | None


def parsed(text: str) -> ast.Module | None:
    """Return a module's tree; None where it is no Python of this version."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of escapes that are none, in files of others
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


class Scope:
    """Names and what they hold at one point of a file.

    Args:
        source: the file.
        outer: whose names hold where there are none of its own.

    """

    def __init__(self, source: Source, outer: "Scope | None" = None) -> None:
        self.source = source
        self.names: dict[str, Value] = dict(outer.names) if outer is not None else {}

    # -- places ------------------------------------------------------------------------------------------------------

    def span(self, node: ast.AST) -> tuple[int, int]:
        """Return the offsets of an expression; Python counts its columns in bytes."""
        line, column = getattr(node, "lineno", 1), getattr(node, "col_offset", 0)
        last, end = getattr(node, "end_lineno", None) or line, getattr(node, "end_col_offset", None) or column
        return self._offset(line, column), self._offset(last, end)

    def _offset(self, line: int, column: int) -> int:
        if not 0 < line <= self.source.lines:
            return len(self.source.text)
        own = self.source.line(line)
        characters = column if own.isascii() else len(own.encode("utf-8", "replace")[:column].decode("utf-8", "ignore"))
        return self.source.start_of(line) + characters

    def written(self, node: ast.AST) -> Text:
        """Return an expression as it is written, masked: what it stands for is not known."""
        start, end = self.span(node)
        text = self.source.piece(start, end)
        return text.replaced(MASK * len(text.value))

    def literal(self, node: ast.AST, value: str) -> Text:
        """Return a literal's value at its place."""
        start, end = self.span(node)
        raw = self.source.text[start:end]
        if raw == value:
            return self.source.piece(start, end)
        match = _QUOTED.match(raw)
        if match is not None and raw[match.end() : len(raw) - len(match[2])] == value:
            return self.source.piece(start + match.end(), end - len(match[2]))
        # A stretch of the same length would be taken for the same characters.
        end = end + 1 if end - start == len(value) and end < len(self.source.text) else end
        return Text(value, (Run(0, len(value), self.source, start, end),))

    # -- expressions -------------------------------------------------------------------------------------------------

    def value(self, node: ast.expr | None, depth: int = 0) -> Value:
        """Return what an expression stands for; unknown parts of it are masked, None where it is no text, list or mapping."""
        if node is None or depth > _DEEPEST:
            return None
        if isinstance(node, ast.Constant):
            known = isinstance(node.value, str | int | float)
            return self.literal(node, self.constant(node.value)) if known else None
        if isinstance(node, ast.Name):
            return self.names[node.id] if node.id in self.names else self.written(node)
        if isinstance(node, ast.JoinedStr):
            return self._joined(node, depth)
        if isinstance(node, ast.List | ast.Tuple):
            return self._items(node.elts, depth)
        if isinstance(node, ast.Dict):
            return self._entries(node, depth)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            left, right = self.value(node.left, depth + 1), self.value(node.right, depth + 1)
            if isinstance(left, list) and isinstance(right, list):
                return (left + right)[:_MOST_ITEMS]
            if isinstance(left, Text) and isinstance(right, Text):
                return joined([left, right]) or self.written(node)
        if (
            isinstance(node, ast.IfExp)
            and isinstance(node.test, ast.Name)
            and (taken := truth(self.value(node.test))) is not None
        ):
            return self.value(node.body if taken else node.orelse, depth + 1)
        if isinstance(node, ast.Call):
            return self._call(node, depth)
        if isinstance(node, ast.Attribute):
            name = dotted(node)
            if name == "sys.executable":
                return self.literal(node, "python")
            return self.names.get(name) or self.names.get(f"self.{node.attr}") or self.written(node)
        return self.written(node)

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
        name = (
            node.func.attr
            if isinstance(node.func, ast.Attribute)
            else node.func.id
            if isinstance(node.func, ast.Name)
            else ""
        )
        if name in ("str", "int", "list", "tuple", "dumps") and len(node.args) == 1 and isinstance(node.func, ast.Name):
            return self.value(node.args[0], depth + 1)
        if name == "dict" and isinstance(node.func, ast.Name) and not node.args:
            return {
                each.arg: (self.literal(each, each.arg), self.value(each.value, depth + 1))
                for each in node.keywords
                if each.arg is not None
            }
        if name in ("get", "getenv") and len(node.args) == 2:
            known = dotted(node.func).endswith(("environ.get", "getenv"))
            return self.value(node.args[1], depth + 1) if known else self.written(node)
        if name == "join" and len(node.args) == 1 and isinstance(node.func, ast.Attribute):
            items = self.value(node.args[0], depth + 1)
            between = " " if isinstance(node.func.value, ast.Name) else _text(self.value(node.func.value, depth + 1))
            if isinstance(items, list) and between is not None:
                return _together(items, between)
        if name == "split" and isinstance(node.func, ast.Attribute):
            whole = self.value(
                node.args[0] if isinstance(node.func.value, ast.Name) and node.args else node.func.value, depth + 1
            )
            if isinstance(whole, Text):
                return [whole.cut(*match.span()) for match in re.finditer(r"\S+", whole.value)]
        if name == "copy" and isinstance(node.func, ast.Attribute):
            return self.value(node.func.value, depth + 1)
        return self.written(node)


def truth(value: Value) -> bool | None:
    """Return whether a value is one of Python's truth values, and which."""
    return value.value == "True" if isinstance(value, Text) and value.value in ("True", "False") else None


def dotted(node: ast.expr) -> str:
    """Return `a.b.c` for a name with attributes; "" for other expressions and longer ones."""
    names: list[str] = []
    while isinstance(node, ast.Attribute) and len(names) < 5:
        names.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(names)]) if isinstance(node, ast.Name) else ""


def joined(texts: list[Text]) -> Text | None:
    """Return texts one behind the other; None for more than a command holds."""
    if sum(len(each.value) for each in texts) > _LONGEST or sum(len(each.runs) for each in texts) > _MOST_PARTS:
        return None
    return join(texts)


def _text(value: Value) -> str | None:
    return value.value if isinstance(value, Text) and MASK not in value.value else None


def _together(items: list[Value], between: str) -> Text | None:
    parts: list[Text] = []
    for index, each in enumerate(items):
        if not isinstance(each, Text):
            return None
        parts += [Text(between), each] if index else [each]
    return joined(parts)
