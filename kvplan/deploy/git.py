"""git, asked for names and contents only: nothing that a repository configures is run, and nothing is fetched."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from kvplan.errors import SettingError

_PATIENCE_S = 120
# What a repository's own configuration could have git run: monitors and hooks.
_SETTINGS = ("core.fsmonitor=false", f"core.hooksPath={os.devnull}")
# No lock, no question, and no transfer where a partial clone lacks something (which may name a program: `ext::`).
_ENVIRONMENT = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",
    "LC_ALL": "C",
}


def ask(words: Sequence[str], folder: Path, given: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    """Return what git answers in a folder; only commands that touch neither files nor filters are asked.

    Args:
        words: the command and its arguments.
        folder: to run it in.
        given: its input.

    Raises:
        SettingError: git is not there, or does not answer.

    """
    settings = [word for setting in _SETTINGS for word in ("-c", setting)]
    command = ["git", "-C", os.fspath(folder), *settings, *words]
    try:
        return subprocess.run(  # noqa: S603  fixed words, no shell
            command,
            input=given,
            capture_output=True,
            check=False,
            timeout=_PATIENCE_S,
            env=os.environ | _ENVIRONMENT,
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise SettingError("git cannot be run.", hint="Is it installed?") from error


def names(output: bytes) -> list[str]:
    """Return the names of a list that git ends with NULs (`-z`)."""
    return [name for name in output.decode("utf-8", "surrogateescape").split("\0") if name]
