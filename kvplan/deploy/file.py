"""One file that may deploy an engine: its text as data, its YAML documents, and the files beside it that it names."""

import re
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import PurePosixPath

from kvplan.deploy.tree import Document, documents
from kvplan.launch.text import MASK, Source, Text

# What follows the name that says what a template or an example becomes: `vllm.yaml.j2`, `values.yaml.gotmpl`.
_TEMPLATE = r"\.(?:j2|jinja2?|tpl|tmpl|template|tftpl|gotmpl|erb|example|sample|dist|in)"
_MADE_OF = re.compile(
    rf"(?<=[^.])(\.(?:ya?ml|json|sh|bash|slurm|sbatch|tf|hcl|nomad|service|container|env|dockerfile)){_TEMPLATE}"
)
_JINJA = (".j2", ".jinja", ".jinja2")
_STATEMENT = re.compile(r"\{[%#].{0,2000}?[%#]\}", re.DOTALL)
_EXPRESSION = re.compile(r"\{\{.{0,2000}?\}\}", re.DOTALL)
_ONLY_TEMPLATE = re.compile(_TEMPLATE)


class File:
    """A file's text, read once.

    Attributes:
        source: its path and text.
        beside: returns the file that a path in it means, seen from its folder; None where there is none, where it is not
            text, or where the path leads out of the tree that is checked.
        variables: what is set outside, for formats that put variables in themselves (compose files).

    """

    def __init__(self, source: Source, beside: Callable[[str], "File | None"] = lambda _: None) -> None:
        self.source = source
        self.beside = beside
        self.variables: Mapping[str, str] = {}

    @classmethod
    def of(cls, text: Text, name: str) -> "File":
        """Return a text inside a file as a file of its own, whose places are those in the outer one."""
        return _Inner(text, name)

    @property
    def path(self) -> PurePosixPath:
        """Its path."""
        return PurePosixPath(self.source.path)

    @property
    def name(self) -> str:
        """Its base name in small letters, without the suffix of a template or an example."""
        name = self.path.name.lower()
        made = _MADE_OF.search(name)
        return name[: made.end(1)] if made is not None and made.end() == len(name) else name

    @cached_property
    def text(self) -> Text:
        """All of its text; of a template of Jinja without its statements, and with its expressions masked."""
        whole = self.source.whole()
        if "{%" not in whole.value and not (self.path.suffix.lower() in _JINJA and "{{" in whole.value):
            return whole
        plain = _STATEMENT.sub(lambda match: re.sub(r"[^\r\n]", " ", match[0]), whole.value)
        return whole.replaced(_EXPRESSION.sub(lambda match: re.sub(r"[^\r\n]", MASK, match[0]), plain))

    @cached_property
    def is_yaml(self) -> bool:
        """Whether it is to be read as YAML: by its name, or for want of one by its first words."""
        if self.name.endswith((".yaml", ".yml", ".json")):
            return True
        suffix = self.path.suffix.lower()
        if _ONLY_TEMPLATE.fullmatch(suffix):
            return re.search(r"^(?:apiVersion|kind|services):", self.source.text[:4000], re.MULTILINE) is not None
        if self.source.path in ("-", "<stdin>") or (
            not suffix and not self.name.startswith(("dockerfile", "containerfile"))
        ):
            head = self.source.text[:4000]
            return not head.startswith("#!") and any(
                line.startswith(("apiVersion:", "kind:", "services:", "---", "{")) for line in head.splitlines()
            )
        return False

    @cached_property
    def documents(self) -> list[Document]:
        """Its YAML documents; none where it is no YAML."""
        return documents(self.source) if self.is_yaml else []


class _Inner(File):
    """A text inside a file: a here-document, a block of Terraform."""

    def __init__(self, text: Text, name: str) -> None:
        super().__init__(Source(name, text.value))
        self._text = text

    @property
    def text(self) -> Text:
        """All of its text."""
        return self._text

    @cached_property
    def documents(self) -> list[Document]:
        """Its YAML documents."""
        return documents(self._text)
