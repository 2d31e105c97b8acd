"""The spec files that travel with kvplan: names and aliases to files, one file per model and per GPU.

`model_specs/` and `gpu_specs/` stand at the top of the repository and inside the wheel. A file's name is its id, and its
first lines are `id:` and `aliases: [..]` on one line each (a test holds them to it), so that a name is found by reading
text: parsing every YAML file would cost more than the estimate.
"""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from kvplan.errors import SpecError

_PACKAGE = Path(__file__).resolve().parent
# Wheel first; in a checkout (and an editable install) the folders stand beside the package.
_ROOTS = (_PACKAGE / "data", _PACKAGE.parent)


def normalise(name: str) -> str:
    """Return the spelling under which names are compared: letters and digits only, lower case, `.` kept between digits."""
    return re.sub(r"(?<!\d)\.|\.(?!\d)|[^a-z0-9.]+", "", name.lower())


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
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
        return {path.stem: _head(path) for path in sorted(self.root.glob("*.yaml"))}

    @cached_property
    def _by_name(self) -> dict[str, str]:
        names: dict[str, str] = {}
        for entry in self.entries.values():
            for alias in entry.aliases:
                names.setdefault(normalise(alias), entry.id)
        # An entry's own id wins over another's alias.
        return names | {normalise(name): name for name in self.entries}

    def find(self, name: str) -> Entry | None:
        """Return the entry of this id or alias, or None. Case and punctuation do not count."""
        path = self.root / f"{name}.yaml"
        if re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name) and path.is_file():
            return _head(path)
        entry_id = self._by_name.get(normalise(name))
        return self.entries[entry_id] if entry_id else None

    def nearest(self, name: str, count: int = 3) -> tuple[str, ...]:
        """Return the ids whose id or alias is closest to `name`, best first; names that hold it come before look-alikes."""
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
    """Read an entry's id and aliases from the first lines of its file."""
    aliases: list[str] = []
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.startswith("aliases:"):
                inside = line.removeprefix("aliases:").strip().strip("[]")
                aliases = [alias.strip().strip("'\"") for alias in inside.split(",") if alias.strip()]
                break
    return Entry(id=path.stem, aliases=tuple(aliases), path=path)


MODELS = Catalogue("model_specs")
GPUS = Catalogue("gpu_specs")
