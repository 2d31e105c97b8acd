"""llama-swap's configuration: the command of each model, with its macros put in."""

import re
from collections.abc import Iterator, Mapping

from kvplan.deploy.file import File
from kvplan.deploy.splitting import split_text
from kvplan.deploy.tree import Node
from kvplan.deploy.variables import listed
from kvplan.deploy.workload import Workload
from kvplan.launch.text import Text, join
from kvplan.launch.words import MOST_CHARACTERS

_MACRO = re.compile(r"\$\{([\w.-]+)\}", re.ASCII)
_DEEPEST = 20
_FIRST_PORT = "5800"  # llama-swap's default of startPort


def read(file: File) -> Iterator[Workload]:
    """Yield the models of a configuration, each with its own command."""
    for document in file.documents:
        root = document.root
        models = [(key, node) for key, node in root.get("models").entries() if node.get("cmd").kind == "scalar"]
        together = _together(root)
        common = _macros(root.get("macros"))
        common.setdefault("PORT", Text(root.get("startPort").string or _FIRST_PORT))
        for key, node in models:
            macros = _Macros(common | {"MODEL_ID": key.text} | _macros(node.get("macros")))
            beside = [name for group in together if key.value in group for name in group if name != key.value]
            shown = ", ".join(dict.fromkeys(beside))
            yield Workload(
                format="llama-swap",
                name=f"model {key.value}",
                place=key.place,
                command=split_text(macros.put_in(_without_comments(node.get("cmd").text)), comments=True),
                environment=listed(node.get("env"), macros.put_in),
                notes=(f"may run at the same time as {shown}",) if shown else (),
                templated=document.templated,
            )


def _macros(node: Node) -> dict[str, Text]:
    """Return macros: a mapping, or a list of mappings."""
    found: dict[str, Text] = {}
    for part in node.each():
        found |= {key.value: value.text for key, value in part.entries() if value.kind == "scalar"}
    return found


def _together(root: Node) -> list[list[str]]:
    """Return the models that stay loaded beside each other: groups that do not swap."""
    found: list[list[str]] = []
    for _, group in root.get("groups").entries():
        if group.get("swap").typed is False:
            found.append([member.string for member in group.get("members").each() if member.string])
    return found


def _without_comments(text: Text) -> Text:
    """Return a command without the lines that are comments; macros in them would be put in."""
    parts: list[Text] = []
    done = 0
    for match in re.finditer(r"^[ \t]*#[^\n]*(?:\n|$)", text.value, re.MULTILINE):
        parts.append(text.cut(done, match.start()))
        done = match.end()
    parts.append(text.cut(done))
    return join(parts)


class _Macros:
    """Macros of a model; each is worked out once, with those that it names put in."""

    def __init__(self, written: Mapping[str, Text]) -> None:
        self.written = written
        self.done: dict[str, Text | None] = {}

    def value(self, name: str, depth: int) -> Text | None:
        """Return what a macro stands for; None where it is not known, or leads back to itself."""
        if name not in self.done and name in self.written and depth < _DEEPEST:
            self.done[name] = None
            self.done[name] = self.put_in(self.written[name], depth + 1)
        return self.done.get(name)

    def put_in(self, text: Text, depth: int = 0) -> Text:
        """Return a text with its macros put in; those that are not known stay."""
        parts: list[Text] = []
        done, left = 0, MOST_CHARACTERS
        for match in _MACRO.finditer(text.value):
            known = self.value(match[1], depth)
            if known is None or (left := left - len(known.value)) < 0:
                continue
            parts += [text.cut(done, match.start()), known]
            done = match.end()
        parts.append(text.cut(done))
        return join(parts)
