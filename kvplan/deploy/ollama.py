"""The model that Ollama is told to load beside its server's own command: by a hook of its container, or by a sibling that pulls."""

import re
from collections.abc import Mapping, Sequence

from kvplan.deploy.workload import Workload
from kvplan.launch.images import read_image
from kvplan.launch.text import Text, join
from kvplan.launch.words import Given, Word

_PULLS = re.compile(
    r"\bollama\s+(?:pull|run)\s+(?:--keepalive[\s=]+\S+\s+|(?!--keepalive\b)-{1,2}[A-Za-z][\w-]*(?:=\S+)?\s+)*"
    r"(?:\"([^\"\s]+)\"|'([^'\s]+)'|([^\s\"'`;&|()<>]+))"
    r"|/api/pull\b[^\n]{0,200}?\\?\"(?:name|model)\\?\"\s*:\s*\\?\"([^\"\\]+)",
)
_SERVES = re.compile(r"\bollama\s+serve\b")
# What stands before it on its line and keeps it from being run.
_SAID = re.compile(r"(?:^|\s)#|\b(?:echo|printf)\b[^;&|]*$")
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::?-([^}]*))?\}|(\w+))", re.ASCII)
_MOST, _LONGEST_LINE = 100, 500


def loaded(words: Sequence[Word], environment: Mapping[str, Given]) -> Given | None:
    """Return the one model that a command has Ollama load; None where it loads none, several, or what a loop names."""
    found = list(_all_loaded(words, environment).values())
    return found[0] if len(found) == 1 else None


def put_pulled(found: Sequence[Workload]) -> None:
    """Give the one Ollama server among services the model that another of them pulls, where that is one."""
    pulled: dict[str, Given | None] = {}
    servers: list[Workload] = []
    for workload in found:
        words = (*(workload.command or ()), *workload.args)
        own = _all_loaded(words, workload.environment)
        if own and not any(_SERVES.search(word.text) for word in words):
            pulled |= own
        elif workload.image is not None and read_image(workload.image.text).engine == "ollama":
            servers.append(workload)
    if len(servers) == len(pulled) == 1:
        servers[0].model = servers[0].model or next(iter(pulled.values()))


def _all_loaded(words: Sequence[Word], environment: Mapping[str, Given]) -> dict[str, Given | None]:
    """Return the models that a command has Ollama load, by what it writes; None for one that is not known."""
    if not any("ollama" in word.text or "/api/pull" in word.text for word in words):
        return {}
    whole = join(part for word in words for part in (word.place or word.text, " "))
    found: dict[str, Given | None] = {}
    for match in list(_PULLS.finditer(whole.value))[:_MOST]:
        line = whole.value[whole.value.rfind("\n", 0, match.start()) + 1 : match.start()]
        if match.lastindex is not None and not _SAID.search(line[-_LONGEST_LINE:]):
            name = match[match.lastindex]
            # One that is made there and then (a Modelfile's) is no name that stands for a model elsewhere.
            made = re.search(rf"\bollama\s+create\s+{re.escape(name)}(?!\S)", whole.value[: match.start()]) is not None
            model = None if made else _model(whole.cut(*match.span(match.lastindex)), environment)
            found[name if model is None else str(model.value)] = model
    return found


def _model(text: Text, environment: Mapping[str, Given]) -> Given | None:
    variable = _VARIABLE.fullmatch(text.value)
    if variable is None:
        return None if "$" in text.value else Given(text.value, (Word(text.value, place=text),))
    known = environment.get(variable[1] or variable[3])
    if known is not None and known.value:
        return known
    if not variable[2]:
        return None
    default = text.cut(*variable.span(2))
    return Given(default.value, (Word(default.value, place=default),))
