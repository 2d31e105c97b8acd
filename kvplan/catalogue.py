"""The spec files that travel with kvplan: names and aliases to files, one file per model and per GPU.

`model_specs/` and `gpu_specs/` stand at the top of the repository and inside the wheel. A file's name is its id, and
its first lines are `id:` and `aliases: [..]` on one line each (a test holds them to it), so that a name is found by
reading text: parsing every YAML file would cost more than the estimate.
"""

import re
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from kvplan.errors import SpecError

_PACKAGE = Path(__file__).resolve().parent
# Wheel first; in a checkout (and an editable install) the folders stand beside the package.
_ROOTS = (_PACKAGE / "data", _PACKAGE.parent)
_ALIASES = re.compile(rb"^aliases: \[(.*)\]$", re.MULTILINE)
_CHECKPOINT = re.compile(r"^  - \{hub: ([^,}]+), format: ([^,}]+)", re.MULTILINE)
_HEAD_BYTES = 4096  # id and aliases stand in the first bytes of a file; a test holds every file to it


def normalise(name: str) -> str:
    """Return the spelling under which names are compared: lower-case letters and digits, `.` kept between digits."""
    return re.sub(r"(?<!\d)\.|\.(?!\d)|[^a-z0-9.]+", "", name.lower())


class Entry(NamedTuple):
    """One spec file: its id, the other names it goes by, and where it is."""

    id: str
    aliases: tuple[str, ...]
    path: Path


class Catalogue:
    """The spec files of one folder, found by id or alias in any usual spelling."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    @cached_property
    def root(self) -> Path:
        """The folder with the files."""
        for root in _ROOTS:
            if (root / self._folder).is_dir():
                return root / self._folder
        raise SpecError(
            f"The folder {self._folder}/ is not installed with kvplan.",
            hint="Reinstall kvplan: pip install --force-reinstall kvplan",
        )

    @cached_property
    def entries(self) -> dict[str, Entry]:
        """Every entry by its id, sorted."""
        return {path.stem: _head(path) for path in sorted(self.root.glob("*.yaml"), key=lambda path: path.stem)}

    @cached_property
    def _by_name(self) -> dict[str, str]:
        names: dict[str, str] = {}
        for entry in self.entries.values():
            for alias in entry.aliases:
                names.setdefault(normalise(alias), entry.id)
        # An entry's own id wins over another's alias.
        return names | {normalise(name): name for name in self.entries}

    @cached_property
    def _by_checkpoint(self) -> dict[str, tuple[str, str]]:
        texts = ((entry.id, entry.path.read_text(encoding="utf-8")) for entry in self.entries.values())
        listed = [(hub, (name, form)) for name, text in texts for hub, form in _CHECKPOINT.findall(text)]
        names: dict[str, set[tuple[str, str]]] = {}
        for hub, found in listed:
            names.setdefault(normalise(hub.split("/")[-1]), set()).add(found)
        # Without its organisation a repository is found where all of that name are the same.
        short = {name: found.pop() for name, found in names.items() if len(found) == 1}
        return short | {normalise(hub): found for hub, found in listed}

    def find(self, name: str) -> Entry | None:
        """Return the entry of this id or alias, or None. Case and punctuation do not count."""
        path = self.root / f"{name}.yaml"
        # No file system takes longer names.
        if re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,200}", name) and path.is_file():
            return _head(path)
        entry_id = self._by_name.get(normalise(name))
        return self.entries[entry_id] if entry_id else None

    def find_checkpoint(self, name: str) -> tuple[Entry, str] | None:
        """Return the entry that lists this repository (its organisation may be left out) beside its own, and its format.

        A quantised repository is no alias: its entry's configuration is that of the unquantised model. `format` is a
        word of `--quantization`, or `native` for what the entry's own configuration describes.
        """
        found = self._by_checkpoint.get(normalise(name))
        return (self.entries[found[0]], found[1]) if found else None

    def nearest(self, name: str, count: int = 3) -> tuple[str, ...]:
        """Return the ids whose name is closest to `name`, best first; names that hold it come before look-alikes."""
        import difflib  # noqa: PLC0415  only a name that was not found needs it

        wanted = normalise(name)
        found = [self._by_name[known] for known in self._by_name if len(wanted) > 2 and wanted in known]
        found += [
            self._by_name[close] for close in difflib.get_close_matches(wanted, self._by_name, n=3 * count, cutoff=0.5)
        ]
        return tuple(dict.fromkeys(found))[:count]

    def search(self, words: Iterable[str]) -> list[Entry]:
        """Return the entries whose id or one alias holds every word."""
        wanted = [normalise(word) for word in words]
        return [
            e for e in self.entries.values() if any(all(w in normalise(n) for w in wanted) for n in (e.id, *e.aliases))
        ]

    def read(self, entry: Entry) -> dict[str, Any]:
        """Return the content of an entry's file.

        Raises:
            SpecError: the file is not a YAML mapping.

        """
        import yaml  # noqa: PLC0415  40 ms that a plan from a configuration file does not need

        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        try:
            content = yaml.load(entry.path.read_bytes(), loader)  # noqa: S506  both loaders are the safe ones
        except yaml.YAMLError as error:
            raise SpecError(f"{entry.path.name} is not readable YAML: {error}") from error
        if not isinstance(content, dict):
            raise SpecError(f"{entry.path.name} holds no mapping.")
        return content


def _head(path: Path) -> Entry:
    """Read an entry's id and aliases from the first bytes of its file."""
    with path.open("rb") as file:
        found = _ALIASES.search(file.read(_HEAD_BYTES))
    inside = found[1].decode() if found else ""
    aliases = tuple(alias.strip().strip("'\"") for alias in inside.split(",") if alias.strip())
    return Entry(id=path.stem, aliases=aliases, path=path)


MODELS = Catalogue("model_specs")
GPUS = Catalogue("gpu_specs")
