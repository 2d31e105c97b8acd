"""GPUs as `NAME:COUNT`, and sizes as Docker writes them."""

import re
from collections.abc import Sequence

from kvplan.deploy.tree import Node
from kvplan.launch.text import MASK, Text
from kvplan.launch.words import Given, Word

# Their catalogues list the larger ones as A100-80GB and V100-32GB.
_SMALLEST = {"A100": "A100-40GB", "V100": "V100-16GB"}
_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)\s*([kmgtp]?)i?b?", re.ASCII | re.IGNORECASE)
# Docker's sizes are binary, whatever their letters (docker/go-units RAMInBytes).
_BINARY = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40, "p": 2**50}


def whole(text: Text) -> Given:
    """Return a text as a number where it is one, else as it is written."""
    plain = text.value.strip()
    number = re.fullmatch(r"\d{1,6}(?:\.0+)?", plain, re.ASCII)
    return Given(int(plain.partition(".")[0]) if number else plain, (Word(text.value, place=text),))


def named(text: Text) -> tuple[Given | None, Given | None]:
    """Return the GPU and the count of `H100:8`; one GPU where there is no count."""
    value = text.value.rstrip()
    name, colon, _ = value.rpartition(":")
    own = text.cut(0, len(name)) if colon else text.cut(0, len(value))
    if not own.value.strip():
        return None, None
    kind = Given(own.value.strip(), (Word(own.value, place=own),))
    return kind, whole(text.cut(len(name) + 1, len(value))) if colon else Given(1, kind.words)


def smallest(kind: Given) -> Given:
    """Return a GPU as SkyPilot and Modal mean its bare name: the smaller of two that are sold under it."""
    return Given(_SMALLEST.get(str(kind.value).upper(), kind.value), kind.words)


def common(counts: Sequence[Given | None]) -> tuple[Given | None, str]:
    """Return the count that alternatives agree on, and what to say where they do not."""
    known = [each for each in counts if each is not None]
    if not known:
        return None, ""
    if len({str(each.value) for each in known}) == 1:
        return known[0], ""
    shown = ", ".join(dict.fromkeys(str(each.value) for each in known))
    return None, f"the alternatives ask for different numbers of GPUs: {shown}"


def size(text: Text) -> Given | None:
    """Return the bytes that Docker reads in a size (`16g`, `16gb` and `16GiB` are the same); None where it is none."""
    match = _SIZE.fullmatch(text.value.strip())
    if match is None or MASK in text.value:
        return None
    number, _, fraction = match[1].partition(".")
    amount = int(number + fraction) * _BINARY[match[2].lower()] // 10 ** len(fraction)
    return Given(amount, (Word(text.value, place=text),)) if amount > 0 else None


def span(node: Node) -> Text:
    """Return a node as it stands in the file, whatever it holds."""
    place = node.place
    return place.source.piece(place.start, place.end)
