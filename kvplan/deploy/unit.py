"""An engine that a file starts: what the file says of it, and where; what was settled from outside; its plan."""

from dataclasses import dataclass, field
from typing import Any, Literal

from kvplan.deploy.workload import Workload
from kvplan.launch.peel import Launch
from kvplan.launch.text import Place, Text
from kvplan.launch.words import Given, Word
from kvplan.plan import Plan

Verdict = Literal["fits", "tight", "does_not_fit", "unknown"]
Origin = Literal["given", "default", "option", "environment", "image", "format", "unresolved", "not stated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One setting of a unit.

    Attributes:
        value: as the engine reads it; None: not stated and no default known, or not settled.
        origin: `given` in the file (flags and keys), `environment` (a variable in the file), `image` (its tag), `option` (from
            outside: --gpu, --model-map, kvplan.toml), `default` (of this engine's version), `unresolved` (a variable or template
            that nothing settles), `not stated`.
        place: where, for what the file says.
        label: where its flag or key stands, if elsewhere than the value.
        written: as it stands in the file, where that is not the value (`${LEN}`, `32k`).

    """

    value: Any
    origin: Origin
    place: Place | None = None
    label: Place | None = None
    written: str = ""


@dataclass(frozen=True, slots=True)
class Open:
    """Something that no one said, which the verdict needs.

    Attributes:
        what: it is, in words.
        settle: the option that would settle it; "" for none.
        code: of the rule that says so; "" where another rule says more.
        place: where.

    """

    what: str
    settle: str
    code: str = ""
    place: Place | None = None


@dataclass(slots=True, kw_only=True)
class Unit:
    """An engine that a file starts.

    Attributes:
        workload: that starts it.
        launch: its words and variables; None where only the format's keys say that there is one.
        name: tells it from the others of the file.
        place: where its command or block starts.
        engine: by the contract's name; None where nothing tells.
        version: planned for.
        inputs: by the contract's names.
        open: what is not known.
        plan: None where there is none.
        verdict: of the plan; `unknown` without one.
        margin_bytes: what is left of the budget once all that was asked for is held, negative where it is not; None: unknown.

    """

    workload: Workload
    launch: Launch | None
    name: str
    place: Place
    engine: str | None
    version: str | None = None
    inputs: dict[str, Input] = field(default_factory=dict)
    open: list[Open] = field(default_factory=list)
    plan: Plan | None = None
    verdict: Verdict = "unknown"
    margin_bytes: int | None = None


def place_of(value: Given | Word | None) -> Place | None:
    """Return where a value stands: its last word's place."""
    if isinstance(value, Given):
        value = value.words[-1] if value.words else None
    return value.place.place() if value is not None and isinstance(value.place, Text) else None
