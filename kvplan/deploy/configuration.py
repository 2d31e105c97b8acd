"""`kvplan.toml`, or `[tool.kvplan]` of pyproject.toml: what files cannot tell, and how findings count."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from kvplan.deploy.outside import Facts
from kvplan.errors import KvplanError, SettingError
from kvplan.units import parse_tokens

_LARGEST = 1_000_000
NAMES = ("kvplan.toml", ".kvplan.toml")


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _tokens(value: Any) -> Any:
    return parse_tokens(value, name="context") if isinstance(value, str) else value


Listed = Annotated[list[str], BeforeValidator(_listed)]
FailOn = Literal["misfit", "risk", "unknown", "never"]


class _Facts(BaseModel):
    """Facts from outside a file."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    gpu: str | None = None
    engine: str | None = None
    model: str | None = None
    users: Annotated[int, Field(ge=1, le=10**9)] | None = None
    context: Annotated[int, Field(ge=1, le=10**10), BeforeValidator(_tokens)] | None = None
    models: dict[str, str] = {}
    variables: dict[str, str | int | float | bool] = {}

    def facts(self) -> Facts:
        """Return them as the check takes them."""
        return Facts(
            gpu=self.gpu, engine=self.engine, model=self.model, users=self.users, context=self.context, models=self.models,
            variables={name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in self.variables.items()},
        )  # fmt: skip


class Deployment(_Facts):
    """Facts of the files that a pattern meets."""

    match: Listed


class Configuration(_Facts):
    """The file's settings."""

    fail_on: Annotated[list[FailOn], BeforeValidator(_listed), Field(alias="fail-on")] = []
    select: Listed = []
    ignore: Listed = []
    exclude: Listed = []
    severity: dict[str, Literal["error", "warning", "note"]] = {}
    baseline: str | None = None
    deployment: list[Deployment] = []

    def facts_of(self, path: str) -> Facts:
        """Return the facts of a file: its own deployment's, later ones over earlier, then those for all."""
        found = self.facts()
        for each in self.deployment:
            if any(matches(path, pattern) for pattern in each.match):
                found = each.facts().over(found)
        return found


def matches(path: str, pattern: str) -> bool:
    """Whether a path meets a pattern as .gitignore means it: `*` stays in a folder, `**` does not, a bare name is met anywhere."""
    import re  # noqa: PLC0415  only with patterns

    path = path.removeprefix("./")
    anchored = "/" in pattern.rstrip("/")
    parts: list[str] = []
    at = 0
    text = pattern.removeprefix("./").strip("/")
    while at < len(text):
        if text.startswith("**/", at):
            parts.append("(?:.*/)?")
            at += 3
        elif text.startswith("**", at):
            parts.append(".*")
            at += 2
        elif text[at] == "*":
            parts.append("[^/]*")
            at += 1
        elif text[at] == "?":
            parts.append("[^/]")
            at += 1
        else:
            parts.append(re.escape(text[at]))
            at += 1
    head = "" if anchored else "(?:.*/)?"
    return re.fullmatch(f"{head}{''.join(parts)}(?:/.*)?", path) is not None


def find_configuration(folder: Path) -> tuple[Configuration, Path | None]:
    """Return the configuration of a folder or of one above it, up to the repository's root; an empty one where there is none.

    Raises:
        SettingError: it is broken.

    """
    for each in (folder, *folder.parents):
        for name in NAMES:
            if (each / name).is_file():
                return read_configuration(each / name), each / name
        pyproject = each / "pyproject.toml"
        if pyproject.is_file():
            content = _toml(pyproject)
            section = content.get("tool", {}).get("kvplan") if isinstance(content.get("tool"), Mapping) else None
            if section is not None:
                return _read(section, pyproject), pyproject
        if (each / ".git").exists():
            break
    return Configuration(), None


def read_configuration(path: Path) -> Configuration:
    """Return the configuration in a file.

    Raises:
        SettingError: it cannot be read, is no TOML, or holds a key or value that is none.

    """
    return _read(_toml(path), path)


def _toml(path: Path) -> dict[str, Any]:
    try:
        content = path.read_bytes()[: _LARGEST + 1]
        if len(content) > _LARGEST:
            raise SettingError(f"{path} is larger than 1 MB; no configuration is.")
        return tomllib.loads(content.decode("utf-8"))
    except OSError as error:
        raise SettingError(f"{path} cannot be read: {error.strerror}.", hint="Check --config.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SettingError(f"{path} is not TOML: {error}.") from error


def _read(content: Any, path: Path) -> Configuration:
    try:
        return Configuration.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        known = ", ".join(sorted(field.alias or name for name, field in Configuration.model_fields.items()))
        hint = f"It takes {known}." if first["type"] == "extra_forbidden" else None
        what = "is no setting of kvplan" if first["type"] == "extra_forbidden" else first["msg"][:1].lower() + first["msg"][1:]
        raise SettingError(f"{path}: {where} {what}.", hint=hint) from error
    except KvplanError as error:
        raise SettingError(f"{path}: {error.message}", hint=error.hint) from error
