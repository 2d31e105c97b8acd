"""What kvplan raises. "Does not fit" is a verdict, not an error.

KvplanError                     every error of kvplan (exit code 2 unless said otherwise)
├── UnknownNameError            a name no catalogue has; carries the nearest ones
│   ├── UnknownModelError
│   ├── UnknownGpuError
│   └── UnknownEngineError
├── SettingError                an engine argument, option or size that cannot be meant
├── ConfigError                 a model configuration that contradicts itself or is broken
├── CheckpointError             weight files that are broken, incomplete or contradict each other
├── UnsupportedArchitectureError  a configuration that no rule with a source establishes
├── SpecError                   a spec file of the catalogue that is not valid
└── HubError                    the hub did not give the file
    ├── HubNotFoundError
    ├── HubGatedError
    └── HubOfflineError
"""

from collections.abc import Sequence


class KvplanError(Exception):
    """A problem the user can settle.

    Args:
        message: one sentence: what is wrong, where, and what was expected.
        hint: the next thing to do, often a command; printed on a line of its own.

    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}" if self.hint else self.message


class UnknownNameError(KvplanError):
    """A name that no catalogue has. `nearest` holds the closest known names, best first."""

    def __init__(self, message: str, *, nearest: Sequence[str] = (), hint: str | None = None) -> None:
        if nearest and hint is None:
            hint = f"Did you mean {', '.join(nearest)}?"
        super().__init__(message, hint=hint)
        self.nearest = tuple(nearest)


class UnknownModelError(UnknownNameError):
    """No model of this name, path or hub id."""


class UnknownGpuError(UnknownNameError):
    """No GPU or instance type of this name."""


class UnknownEngineError(UnknownNameError):
    """No engine of this name, or one that is not built yet."""


class SettingError(KvplanError):
    """An option, engine argument or size that cannot be meant. `about` names the setting that is at fault, where one is."""

    def __init__(self, message: str, *, hint: str | None = None, about: str = "") -> None:
        super().__init__(message, hint=hint)
        self.about = about


class ConfigError(KvplanError):
    """A model configuration that is broken or contradicts itself; names the key."""


class CheckpointError(KvplanError):
    """Weight files that are broken, incomplete or contradict each other; names the file."""


class UnsupportedArchitectureError(KvplanError):
    """A configuration that no rule with a source establishes; kvplan refuses instead of guessing."""


class SpecError(KvplanError):
    """A spec file of the catalogue that is not valid; names the file and the key."""


class HubError(KvplanError):
    """The hub did not give the file."""


class HubNotFoundError(HubError):
    """No such repository, revision or file on the hub."""


class HubGatedError(HubError):
    """The repository asks for an account that was granted access."""


class HubOfflineError(HubError):
    """The hub cannot be reached, and no copy is cached."""
