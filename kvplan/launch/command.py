"""A pasted command, read: kvplan's own arguments, each with the words it came from."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kvplan.errors import SettingError
from kvplan.launch.peel import Launch, find_launch
from kvplan.launch.text import Text
from kvplan.launch.words import Given, Word, joined, split
from kvplan.models.spec import ModelSpec, Note

_LARGEST_FILE = 1_000_000


Spans = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Changed:
    """A command with changes in it.

    Attributes:
        flags: what is new, as flags.
        before: what stood in their place; empty where nothing did.
        without: what was taken out, as this release does not start with it.
        text: the whole command, the user's own spelling but for the changes.
        spans: where the changes stand in it.

    """

    flags: str
    before: str
    without: str
    text: str
    spans: Spans


@dataclass(slots=True, kw_only=True)
class Command:
    """What a command asks for.

    Attributes:
        text: the command, as typed or joined from its words.
        words: the engine's own, in their places.
        engine: by the contract's name.
        version: of the engine; the image's or package's, or the one that was asked for.
        release: of the engine that is planned for, whoever says so.
        settings: by the names of `kvplan.estimate` (`model`, `context`, `tensor_parallel` ...).
        engine_args: the engine's own settings that count, by its own names.
        config: what it changes in the model's configuration (`hf_overrides`).
        format_of: returns the weight format that it asks for, given the model; None: it asks for none.
        changed: returns it with a plan's changes made, given these and the engine's arguments before them; None where no
            flag makes them.
        longest: the longest sequence that the changed configuration means to this release; None: as it is read.
        longest_is_free: whether lengths beyond the model's own maximum are let in.
        beside: what is planned for beside it, by the names of `kvplan.estimate`: the command itself does not say it.
        gpus: how many GPUs it may use; None: not said.
        several_nodes: whether other machines share the work, so that its own GPUs are not all.
        left_out: what its release does not have, and does not start with.
        notes: what it says that counts and is not modelled, and what was assumed.
        warnings: what the engine itself would refuse, or would not do as it looks.

    """

    text: str
    words: tuple[Word, ...]
    engine: str
    version: Given | None
    release: str
    settings: dict[str, Given] = field(default_factory=dict)
    engine_args: dict[str, Given] = field(default_factory=dict)
    config: dict[str, Given] = field(default_factory=dict)
    format_of: Callable[[ModelSpec], str | None] | None = None
    changed: Callable[[Mapping[str, Any], Mapping[str, Any]], Changed | None] = lambda _changes, _before: None
    longest: int | None = None
    longest_is_free: bool = False
    beside: dict[str, Any] = field(default_factory=dict)
    gpus: Given | None = None
    several_nodes: bool = False
    left_out: list[Given] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Keep what a plan has to say of the command."""
        note = Note(text, "the command")
        if note not in self.notes:
            self.notes.append(note)


def read_command(
    given: str | Sequence[str],
    *,
    version: str | None = None,
    environment: Mapping[str, Given] | None = None,
    read_file: Callable[[str], str | Text] | None = None,
) -> Command:
    """Return what a command says.

    Args:
        given: the command as one text, or its words as a shell hands them over (one word with blanks is such a text).
        version: of the engine, where the command itself does not say; None: the newest that kvplan plans.
        environment: variables that are set around it.
        read_file: returns the text of a file that it names; None: files of this machine.

    Raises:
        SettingError: no engine, more than one, or words that cannot be meant.
        UnknownEngineError: an engine that is not built.

    """
    texts = [given] if isinstance(given, str) else list(given)
    if len(texts) == 1 and any(char.isspace() for char in texts[0].strip()):
        text = texts[0]
        words = split(text)
    else:
        # Blank words are the backslashes of a pasted command whose line ends were lost.
        text, words = joined([each for each in texts if each.strip() and each.strip() != "\\"])
    if not words:
        raise SettingError(
            "The command after -- is empty.", hint="For example: kvplan estimate --gpu h100 -- vllm serve MODEL"
        )
    reader = read_file or read_text
    launch = find_launch(words, reader, dict(environment or {}))
    return read_launch(launch, text, version=version, read_file=reader)


def read_launch(
    launch: Launch, text: str = "", *, version: str | None = None, read_file: Callable[[str], str | Text] | None = None
) -> Command:
    """Return what an engine's own words say, in the version that the launch or else `version` names."""
    from kvplan.engines.vllm.command.meaning import read_vllm  # noqa: PLC0415  the one engine whose words are read

    return read_vllm(launch, text, version=version, read_file=read_file or read_text)


def read_text(name: str) -> str:
    """Return the text of a file of this machine that a command names.

    Raises:
        SettingError: it cannot be read, or is too large to hold settings.

    """
    try:
        path = Path(os.path.expanduser(name))  # noqa: PTH111  Path's own raises for a user there is not
        if path.stat().st_size > _LARGEST_FILE or not path.is_file():
            raise SettingError(f"{name} holds no settings: it is no file, or larger than 1 MB.")
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise SettingError(
            f"The command names {name!r}, which cannot be read here: {reason}.",
            hint="Run kvplan where the file is, or write its settings as flags.",
        ) from error


def shown(value: Any) -> str:
    """Return a value as messages give it, shortened."""
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
