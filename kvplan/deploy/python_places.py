"""Python files as trees, and where their expressions stand; they are parsed, never run."""

import ast
import re
import warnings

from kvplan.launch.text import MASK, Run, Source, Text

_QUOTED = re.compile(r"([A-Za-z]{0,2})(\"\"\"|'''|\"|')")


def parsed(text: str) -> ast.Module | None:
    """Return a module's tree; None where it is no Python of this version."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of escapes that are none, in files of others
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


class Places:
    """Where the expressions of a file stand.

    Args:
        source: the file.

    """

    def __init__(self, source: Source) -> None:
        self.source = source

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


def dotted(node: ast.expr) -> str:
    """Return `a.b.c` for a name with attributes; "" for other expressions and longer ones."""
    names: list[str] = []
    while isinstance(node, ast.Attribute) and len(names) < 5:
        names.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(names)]) if isinstance(node, ast.Name) else ""
