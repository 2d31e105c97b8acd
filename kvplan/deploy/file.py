"""One file that may deploy an engine: its text as data, its YAML documents, and the files beside it that it names."""

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import PurePosixPath

from kvplan.deploy.tree import Document, documents
from kvplan.launch.text import Source, Text


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
        """Its base name in small letters."""
        return self.path.name.lower()

    @property
    def text(self) -> Text:
        """All of its text."""
        return self.source.whole()

    @cached_property
    def is_yaml(self) -> bool:
        """Whether it is to be read as YAML: by its name, or for want of one by its first words."""
        suffix = self.path.suffix.lower()
        if suffix in (".yaml", ".yml", ".json"):
            return True
        if self.source.path in ("-", "<stdin>") or (not suffix and not self.name.startswith(("dockerfile", "containerfile"))):
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
