"""Installations that tell an engine's version: `pip install vllm==0.11.0`."""

import re

from kvplan.launch.text import Text
from kvplan.launch.words import Given, Word

_PINNED = re.compile(
    r"""(?<![\w./-])(vllm|sglang|tensorrt[-_]llm|lmdeploy)(?:\[[\w,-]*\])?\s*==\s*v?(\d+(?:\.\w+)+)""", re.ASCII
)


def pinned(text: Text, engine: str = "") -> Given | None:
    """Return the one version of an engine that a text installs; None where it installs none, or several."""
    found = {match[2]: match for match in _PINNED.finditer(text.value) if engine in ("", match[1])}
    if len(found) != 1 or len({match[1] for match in _PINNED.finditer(text.value)}) != 1:
        return None
    ((version, match),) = found.items()
    own = text.cut(*match.span(2))
    return Given(version, (Word(own.value, place=own),))
