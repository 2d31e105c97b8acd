"""One dated entry."""

from typing import NamedTuple

Version = tuple[int, ...]


class Change(NamedTuple):
    """A rule that changed.

    Attributes:
        key: what the code calls it.
        since: the first release with the new rule.
        what: the rule, and what it replaced.
        source: vLLM's file and function.

    """

    key: str
    since: Version
    what: str
    source: str
