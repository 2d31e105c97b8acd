"""`kvplan.toml`, or `[tool.kvplan]` of pyproject.toml: what files cannot tell, and how findings count."""

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NoReturn, get_args

from kvplan.deploy.outside import Facts, names_a_path
from kvplan.deploy.patterns import meets
from kvplan.errors import KvplanError, SettingError
from kvplan.rules.finding import SEVERITIES, Severity
from kvplan.units import parse_tokens

FailOn = Literal["misfit", "risk", "unknown", "never"]
FAIL_ON: tuple[FailOn, ...] = get_args(FailOn)
NAMES = ("kvplan.toml", ".kvplan.toml")
_LARGEST = 1_000_000
_MOST = 10**10


@dataclass(frozen=True, slots=True)
class Deployment:
    """Facts of the files that a pattern meets."""

    match: tuple[str, ...]
    facts: Facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """A configuration's settings.

    Attributes:
        folder: of the file, from which its patterns and paths are seen; None: there is no file.
        facts: of all files.
        deployments: facts of some; later ones win.
        fail_on, select, ignore: as the options of the same names.
        exclude: patterns of files that are not checked.
        severity: of rules, by their codes or beginnings of codes.
        baseline: path of one.

    """

    folder: Path | None = None
    facts: Facts = field(default_factory=Facts)
    deployments: tuple[Deployment, ...] = ()
    fail_on: tuple[FailOn, ...] = ()
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    severity: Mapping[str, Severity] = field(default_factory=dict)
    baseline: Path | None = None

    def facts_of(self, path: str) -> Facts:
        """Return the facts of a file: those of deployments that it is one of, then those of all."""
        found = self.facts
        for each in self.deployments:
            if self._meets(path, each.match):
                found = each.facts.over(found)
        return found

    def excludes(self, path: str) -> bool:
        """Whether a file is not to be checked."""
        return self._meets(path, self.exclude)

    def _meets(self, path: str, patterns: tuple[str, ...]) -> bool:
        return bool(patterns) and any(meets(_from(path, self.folder), pattern) for pattern in patterns)


@lru_cache(maxsize=4)
def _from(path: str, folder: Path | None) -> str:
    """Return a path as it is seen from a configuration's folder."""
    return path if folder is None or path == "-" else os.path.relpath(path, folder).replace(os.sep, "/")


def find_configuration(folder: Path) -> Configuration:
    """Return the configuration of a folder or of one above it, up to the repository's root; an empty one where there is none.

    Raises:
        SettingError: it is broken.

    """
    for each in (folder, *folder.parents):
        for name in NAMES:
            if (each / name).is_file():
                return read_configuration(each / name)
        if (each / "pyproject.toml").is_file():
            section = _section(_toml(each / "pyproject.toml"))
            if section is not None:
                return _Reading(each / "pyproject.toml", "tool.kvplan.").configuration(section)
        if (each / ".git").exists():
            break
    return Configuration()


def read_configuration(path: Path) -> Configuration:
    """Return the configuration in a file.

    Raises:
        SettingError: it cannot be read, is no TOML, or holds a key or value that is none.

    """
    content = _toml(path)
    if path.name == "pyproject.toml":
        return _Reading(path, "tool.kvplan.").configuration(_section(content) or {})
    return _Reading(path).configuration(content)


def _section(content: Mapping[str, Any]) -> Any:
    tool = content.get("tool")
    return tool.get("kvplan") if isinstance(tool, Mapping) else None


def _toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            content = stream.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise SettingError(f"{path} is larger than 1 MB; no configuration is.")
        return tomllib.loads(content.decode("utf-8"))
    except OSError as error:
        raise SettingError(f"{path} cannot be read: {error.strerror}.", hint="Check --config.") from error
    except (ValueError, RecursionError) as error:
        raise SettingError(f"{path} is not TOML: {error}.") from error


@dataclass(frozen=True, slots=True)
class _Reading:
    """A configuration's values to its settings; what is none is refused with the file, the key and what it takes."""

    path: Path
    above: str = ""

    def configuration(self, content: Any) -> Configuration:
        known = self._read(content, _SETTINGS, self.above.rstrip("."), self.above)
        facts = {name: known.pop(name) for name in _FACTS if name in known}
        return Configuration(folder=self.path.resolve().parent, facts=Facts(**facts), **known)

    def _read(self, content: Any, known: Mapping[str, "_Read"], name: str, above: str) -> dict[str, Any]:
        if not isinstance(content, Mapping):
            self.refuse(name, "a table", content)
        found = {}
        for key, value in content.items():
            attribute = key.replace("-", "_")
            if attribute not in known:
                near = get_close_matches(attribute, known, 1)
                keys = ", ".join(each.replace("_", "-") for each in known)
                hint = f"Did you mean {near[0].replace('_', '-')}? " if near else ""
                raise SettingError(
                    f"{self.path}: {above}{key[:60]} is no setting of kvplan.", hint=f"{hint}It takes {keys}."
                )
            found["deployments" if attribute == "deployment" else attribute] = known[attribute](
                self, f"{above}{key}", value
            )
        return found

    def refuse(self, name: str, takes: str, value: Any) -> NoReturn:
        raise SettingError(f"{self.path}: {name} takes {takes}, not {_shown(value)}.")

    # -- kinds of values ---------------------------------------------------------------------------------------------

    def text(self, name: str, value: Any) -> str:
        return value if isinstance(value, str) and value else self.refuse(name, "a text", value)

    def texts(self, name: str, value: Any) -> tuple[str, ...]:
        listed = [value] if isinstance(value, str) else value
        if not isinstance(listed, list) or not all(isinstance(each, str) and each for each in listed):
            self.refuse(name, "texts", value)
        return tuple(listed)

    def count(self, name: str, value: Any) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _MOST:
            return value
        return self.refuse(name, "a whole number from 1", value)

    def tokens(self, name: str, value: Any) -> int:
        if not isinstance(value, str):
            return self.count(name, value)
        try:
            return parse_tokens(value)
        except KvplanError:
            self.refuse(name, "a number of tokens (8192, 32k)", value)

    def model(self, name: str, value: Any) -> str:
        """Return a model's name; a path must stay in the configuration's folder, for whoever changes files may change this one."""
        text = self.text(name, value)
        folder = self.path.resolve().parent
        if not names_a_path(text) and not os.path.exists(folder / text):  # noqa: PTH110  Path's raises for long names
            return text
        try:
            path = (folder / text).resolve()
        except (OSError, ValueError, RuntimeError):
            path = folder.parent
        if not path.is_relative_to(folder):
            self.refuse(name, "a model's name, or a path below the configuration (others by --model-map)", value)
        return str(path)

    def models(self, name: str, value: Any) -> dict[str, str]:
        if not isinstance(value, Mapping):
            self.refuse(name, 'a table of names ("/models/x" = "org/name")', value)
        return {key: self.model(f"{name}.{key}", each) for key, each in value.items()}

    def variables(self, name: str, value: Any) -> dict[str, str]:
        if not isinstance(value, Mapping):
            self.refuse(name, "a table of values (LEN = 8192)", value)
        found = {}
        for key, each in value.items():
            if not isinstance(each, str | int | float):
                self.refuse(f"{name}.{key}", "a text or a number", each)
            found[key] = str(each).lower() if isinstance(each, bool) else str(each)
        return found

    def fail_on(self, name: str, value: Any) -> tuple[str, ...]:
        found = self.texts(name, value)
        return found if set(found) <= {*FAIL_ON} else self.refuse(name, f"any of {', '.join(FAIL_ON)}", value)

    def severity(self, name: str, value: Any) -> dict[str, str]:
        if not isinstance(value, Mapping):
            self.refuse(name, 'a table of rules (KVP103 = "warning")', value)
        for code, each in value.items():
            if each not in SEVERITIES:
                self.refuse(f"{name}.{code}", f"one of {', '.join(SEVERITIES)}", each)
        return {code.upper(): each for code, each in value.items()}

    def baseline(self, name: str, value: Any) -> Path:
        return self.path.resolve().parent / self.text(name, value)

    def deployments(self, name: str, value: Any) -> tuple[Deployment, ...]:
        if not isinstance(value, list):
            self.refuse(name, "tables ([[deployment]])", value)
        found = []
        for number, each in enumerate(value, 1):
            facts = self._read(each, _DEPLOYMENT, f"{name}[{number}]", f"{name}[{number}].")
            if "match" not in facts:
                raise SettingError(
                    f"{self.path}: {name}[{number}] has no match, the files that it is for.",
                    hint='For example: match = "k8s/**".',
                )
            found.append(Deployment(facts.pop("match"), Facts(**facts)))
        return tuple(found)


_Read = Callable[[_Reading, str, Any], Any]
_FACTS: dict[str, _Read] = {
    "gpu": _Reading.text,
    "engine": _Reading.text,
    "model": _Reading.model,
    "users": _Reading.count,
    "context": _Reading.tokens,
    "models": _Reading.models,
    "variables": _Reading.variables,
}
_DEPLOYMENT = {"match": _Reading.texts, **_FACTS}
_SETTINGS = {
    **_FACTS,
    "deployment": _Reading.deployments,
    "fail_on": _Reading.fail_on,
    "select": _Reading.texts,
    "ignore": _Reading.texts,
    "exclude": _Reading.texts,
    "severity": _Reading.severity,
    "baseline": _Reading.baseline,
}


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list):
        return "a list"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
