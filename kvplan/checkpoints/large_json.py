"""Members of a large JSON object one at a time, so that a hostile file costs no more memory than its text."""

import json
from collections.abc import Iterator
from typing import Any, NoReturn

from kvplan.errors import CheckpointError

_SPACE = " \t\n\r"
_SHOWN = 100


def shown(name: object) -> str:
    """Return a name from a file as it may be printed: on one line, and cut where it is long."""
    text = "".join(char if char.isprintable() else repr(char)[1:-1] for char in str(name)[:_SHOWN])
    return f"{text}…" if len(str(name)) > _SHOWN else text


class JsonObject:
    """A text that is one JSON object, read from its start: `members`, and after each name the caller takes its value.

    A parser that builds the whole value at once would make some 80 bytes of `[[],[],…` out of 3, so only the values that are
    asked for are built, each of a limited length.

    Args:
        content: UTF-8.
        where: the file, for messages.

    Raises:
        CheckpointError: from every method: this is not the JSON that was expected here; or a name stands twice.

    """

    def __init__(self, content: bytes, *, where: str) -> None:
        self._where = where
        try:
            self._text = content.decode()
        except UnicodeDecodeError as error:
            raise CheckpointError(f"{where}: its header is not UTF-8 text (byte {error.start:,}).") from error
        self._at = 0
        self._json = json.JSONDecoder(object_pairs_hook=self._unique, parse_constant=self._no_constant)

    def members(self) -> Iterator[str]:
        """Yield the names of the object that starts here; the caller takes each value before it asks for the next name."""
        seen: set[str] = set()
        self._take("{")
        if self._at_next() == "}":
            self._at += 1
            return
        while True:
            name = self.string("a name")
            if name in seen:
                self.fail(f"{shown(name)} stands twice")
            seen.add(name)
            self._take(":")
            yield name
            if self._at_next() == "}":
                self._at += 1
                return
            self._take(",")

    def string(self, what: str) -> str:
        """Return the string that starts here."""
        if self._at_next() != '"':
            self.fail(f"{what} is not a string, at character {self._at:,}")
        value = self._decode(self._text, self._at, what)
        if not isinstance(value, str):
            self.fail(f"{what} is not a string")
        if not value.isascii() and not _is_text(value):
            self.fail(f"{what} is not text")
        return value

    def value(self, what: str, *, limit: int) -> Any:
        """Return the value that starts here, whatever it is, if it is at most `limit` characters long."""
        self._at_next()
        start = self._at
        value = self._decode(self._text[start : start + limit], 0, what)
        self._at += start
        return value

    def end(self) -> None:
        """Check that nothing but white space follows."""
        if self._at_next():
            self.fail(f"there is more behind its end, at character {self._at:,}")

    def fail(self, problem: str) -> NoReturn:
        """Raise the error of this text."""
        raise CheckpointError(f"{self._where}: {problem}.")

    def _decode(self, text: str, at: int, what: str) -> Any:
        try:
            value, self._at = self._json.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            # A number of thousands of digits is a ValueError too.
            message = error.msg if isinstance(error, json.JSONDecodeError) else str(error).split(":", maxsplit=1)[0]
            self.fail(f"{shown(what)} is not JSON as expected there ({shown(message)})")
        return value

    def _at_next(self) -> str:
        """Go to the next character that is no white space and return it; nothing at the end."""
        text, at = self._text, self._at
        while (char := text[at : at + 1]) and char in _SPACE:
            at += 1
        self._at = at
        return char

    def _take(self, char: str) -> None:
        if self._at_next() != char:
            self.fail(f"it is not a JSON object: {char!r} is missing at character {self._at:,}")
        self._at += 1

    def _unique(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, value in pairs:
            if name in values:
                raise ValueError(f"{name!r} stands twice")
            values[name] = value
        return values

    def _no_constant(self, name: str) -> NoReturn:
        raise ValueError(f"{name} is no JSON")


def _is_text(value: str) -> bool:
    r"""Whether a string can be written down: JSON spells halves of a character (`\ud800`) that cannot."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
