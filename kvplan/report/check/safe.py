"""Texts of files as each kind of output takes them: nothing in a file can act on a terminal, a CI log, a page or a document.

`line` is for people; the others are for the format that they are named for. Secrets are masked by `line`, `json` and `xml`.
"""

import json as standard
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from kvplan.report.check.secrets import MASKED, is_secret, masked

# What messages quote of a file is short; this is for what slips through.
_MOST = 1_000
_DEEPEST = 30
# Bits of a whole number: Python refuses to write out what is much longer.
_LONGEST = 1_024
# GitHub and Azure look for these anywhere in a line of a log, TeamCity too; GitHub for `::` where a line starts.
_COMMANDS = re.compile(r"(?<=#)#(?=\[|vso\[|teamcity\[)", re.IGNORECASE)
_LEADING = re.compile(r"^([^\S\n]*):(?=:)", re.MULTILINE)
# Look like what they replace and are as wide.
_SHARP, _COLON = "\N{MUSIC SHARP SIGN}", "\N{MODIFIER LETTER COLON}"
# Of Markdown and HTML, with `@` and `#` that GitHub makes into mentions and references.
_MARKUP = re.compile(r"[&<>\"'`*_\[\]{}#!|~@\\$]|:(?=//)|(?<=www)\.|(?<=GH)-")
_REFERS = re.compile(r"(&#(?:35|64|45);)(?=\w)")


def character(one: str) -> str:
    """Return a character that can be shown: control characters as their pictures, what is invisible or turns the text as `�`."""
    if one.isprintable():
        return one
    code = ord(one)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\N{SYMBOL FOR DELETE}"
    return " " if unicodedata.category(one) == "Zs" else "\ufffd"


def printable(text: str) -> str:
    """Return a text as one line of characters that can be shown, one for one."""
    return text if text.isprintable() else "".join(map(character, text))


def line(text: object) -> str:
    """Return a text as one line for people: no secrets, nothing that acts, not endless."""
    if isinstance(text, int) and text.bit_length() > _LONGEST:
        return "…"
    shown = printable(masked(str(text)[: 4 * _MOST]))
    return shown if len(shown) <= _MOST else f"{shown[: _MOST - 1]}…"


def log(text: str) -> str:
    """Return a finished output in which no line is a command to the CI that shows it."""
    return _LEADING.sub(rf"\1{_COLON}", commandless(text))


def commandless(text: str) -> str:
    """Return an output without `##[…]` commands; `::` ones, which are GitHub's own way to say a finding, stay."""
    return _COMMANDS.sub(_SHARP, text)


def plain(value: Any, depth: int = 0) -> Any:
    """Return a value as JSON can hold it, secrets masked."""
    if isinstance(value, str):
        return masked(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if value.bit_length() <= _LONGEST else None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if depth > _DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        return {masked(str(key)): _of_key(str(key), each, depth + 1) for key, each in value.items()}
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, bytes | bytearray):
        return [plain(each, depth + 1) for each in value]
    return masked(str(value))


def _of_key(key: str, value: Any, depth: int) -> Any:
    if is_secret(key) and isinstance(value, str) and value:
        return MASKED
    if is_secret(key) and isinstance(value, Mapping) and isinstance(value.get("value"), str):
        value = {**value, "value": MASKED}
    return plain(value, depth)


def json(document: Any) -> str:
    """Return a JSON text: what cannot be shown, and what a CI log would act on, as escapes that stand for the same characters."""
    text = standard.dumps(plain(document), indent=2, ensure_ascii=False, allow_nan=False)
    text = "".join(one if one == "\n" or one.isprintable() else _escape(one) for one in text)
    return _COMMANDS.sub(r"\\u0023", text) + "\n"


def _escape(one: str) -> str:
    octets = one.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{octets[at]:02x}{octets[at + 1]:02x}" for at in range(0, len(octets), 2))


def xml(text: object) -> str:
    """Return a text for an XML document's values: without what XML 1.0 cannot hold and what acts where it is shown."""
    return "".join(one for one in masked(str(text)) if one == "\n" or one.isprintable())


def github_data(text: str) -> str:
    """Return a workflow command's message."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def github_property(text: str) -> str:
    """Return a workflow command's property."""
    return github_data(text).replace(":", "%3A").replace(",", "%2C")


def markdown(text: object) -> str:
    """Return a text for a line or a table's cell of Markdown: nothing in it is markup, a mention, a reference or a link."""
    escaped = _MARKUP.sub(lambda match: f"&#{ord(match[0])};", line(text))
    return _REFERS.sub(r"\1&#8203;", escaped)


def fenced(text: str, language: str = "") -> str:
    """Return a block of text for Markdown, in a fence that it cannot close."""
    longest = max(map(len, re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}{'' if text.endswith(chr(10)) else chr(10)}{fence}"


def uri(path: str) -> str:
    """Return a path as a URI reference: relative ones percent-encoded, whole ones with their scheme."""
    try:
        octets = path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        octets = path.encode("utf-8", "surrogatepass")
    encoded = quote(octets, safe="/")
    return f"file://{encoded}" if encoded.startswith("/") else encoded


def utf16(text: str) -> int:
    """Return how many UTF-16 code units a text takes."""
    return sum(1 + (ord(one) > 0xFFFF) for one in text)
