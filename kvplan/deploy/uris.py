"""Where a resource says that a model is: `hf://org/model` is a model of the Hub, other addresses stay as they are written."""

import re

from kvplan.deploy.tree import Node
from kvplan.launch.text import Text
from kvplan.launch.words import Given, Word

# KServe, KubeAI and OME write a revision behind a colon or an @.
_HUB = re.compile(r"hf://(?P<name>[\w.-]+(?:/[\w.-]+)?)(?:[:@?].*)?", re.ASCII)
_SCHEME = re.compile(r"ollama://(?P<name>[^?\s]+).*")


def model_at(node: Node) -> Given | None:
    """Return the model that an address names, placed where the name stands; None where there is no address."""
    if not node.string.strip():
        return None
    match = _HUB.fullmatch(node.value) or _SCHEME.fullmatch(node.value)
    text = node.text.cut(match.start("name"), match.end("name")) if match else node.text
    return named(text)


def named(text: Text) -> Given:
    """Return a text as a value."""
    return Given(text.value, (Word(text.value, place=text),))
