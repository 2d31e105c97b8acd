"""Expressions of GitHub's workflows, `${{ ... }}`: those that the file itself settles are put in, others are masked."""

import re
from collections.abc import Mapping

from kvplan.launch.text import MASK, Text, join

# Reading YAML masks what stands in double braces; the dollar sign before it belongs to it.
_MASKED = re.compile(rf"\$(?:{MASK})+")
_LOOKUP = re.compile(r"\$\{\{\s*((?:env|matrix|inputs|github\.event\.inputs)\.[\w-]+)\s*\}\}")


def settled(text: Text, known: Mapping[str, Text]) -> Text:
    """Return a text with its expressions put in or masked.

    Args:
        text: as YAML was read.
        known: values by the names that expressions have for them (`matrix.model`).

    """
    if MASK not in text.value:
        return text
    parts: list[Text] = []
    done = 0
    for match in _MASKED.finditer(text.value):
        own = text.cut(*match.span())
        place = own.place()
        lookup = _LOOKUP.fullmatch(place.text) if place is not None else None
        name = lookup[1].replace("github.event.", "") if lookup else ""
        parts += [text.cut(done, match.start()), known.get(name) or own.replaced(MASK * len(own.value))]
        done = match.end()
    parts.append(text.cut(done))
    return join(parts)
