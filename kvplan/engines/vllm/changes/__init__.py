"""What changed between releases of vLLM: layout and count of caches, memory taken from them, defaults; one dated entry a rule.

Found by reading the releases' sources one against the next, from 0.8.1 to 0.33.0. A release that no entry names keeps the
rules of the one before it. `kvplan engines vllm --changes` prints them. Entries stand in the files beside this one, by subject.
"""

import re
from functools import cache
from typing import Final

from kvplan.engines.vllm.changes import groups, kernels, memory, start, states, weights
from kvplan.engines.vllm.changes.change import Change, Version
from kvplan.errors import SettingError

__all__ = ["CHANGES", "NEWEST", "OLDEST", "Change", "Version", "applies", "since", "version_tuple"]

# The releases whose rules are read here; older and newer ones are planned with the nearest.
OLDEST: Final[Version] = (0, 8)
NEWEST: Final[Version] = (0, 33)
CHANGES: Final[tuple[Change, ...]] = (
    *start.CHANGES,
    *groups.CHANGES,
    *kernels.CHANGES,
    *states.CHANGES,
    *weights.CHANGES,
    *memory.CHANGES,
)

_SINCE: Final[dict[str, Version]] = {change.key: change.since for change in CHANGES}


def applies(key: str, version: Version) -> bool:
    """Whether a release has the rule.

    Raises:
        KeyError: no entry has this key.

    """
    return version >= _SINCE[key]


def since(key: str) -> Version:
    """Return the first release with the rule.

    Raises:
        KeyError: no entry has this key.

    """
    return _SINCE[key]


@cache
def version_tuple(version: str) -> Version:
    """Return `0.19.1` as (0, 19, 1); builds between releases count as the release before them.

    Raises:
        SettingError: it is no version.

    """
    match = re.fullmatch(
        r"v?(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?(?:[.+-]?(?:rc|dev|post|a|b|alpha|beta|nightly)[\w.+-]*|\+[\w.+-]+)?",
        version,
    )
    if not match:
        raise SettingError(f"{version[:40]!r} is not a vLLM version.", hint="Write it as vllm@0.19 or vllm@0.11.2.")
    return tuple(int(part) for part in match.groups() if part is not None)
