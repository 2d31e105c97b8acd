"""Conditions of a shell's text: what `[ ... ]`, `[[ ... ]]` and `case` come to, as far as their words tell."""

import re
from fnmatch import fnmatchcase
from typing import Final, Literal

from kvplan.launch.text import MASK

# Of a command that most likely succeeds, as those do that prepare something: what `||` brings is for when it does not.
LIKELY: Final = "likely"
Outcome = bool | None | Literal["likely"]
_UNSETTLED = re.compile(rf"\$(?:[\w{{(@*#]|$)|`|{MASK}")
# Commands that ask, and fail where the answer is no.
_ASK = frozenset({
    "command", "which", "type", "hash", "grep", "egrep", "pgrep", "pidof", "curl", "wget", "nvidia-smi", "rocm-smi",
    "diff", "cmp", "lsof", "nc", "ping", "mountpoint", "getent", "ss", "netstat", "read", "getopts",
})  # fmt: skip
_COMPARE = {"-eq": (0,), "-ne": (-1, 1), "-gt": (1,), "-ge": (0, 1), "-lt": (-1,), "-le": (-1, 0)}


def outcome_of(name: str) -> Outcome:
    """Return how a command ends: known for `true` and `false`, open where it asks something."""
    if name in ("true", ":", "false"):
        return name != "false"
    return None if name in _ASK else LIKELY


def negated(outcome: Outcome) -> Outcome:
    """Return how `! command` ends."""
    return None if outcome is None or outcome == LIKELY else not outcome


def either(first: bool | None, second: bool | None) -> bool | None:
    """Return whether one of two conditions holds, as far as known."""
    if first or second:
        return True
    return None if first is None or second is None else False


def met(word: str | None, patterns: list[str]) -> bool | None:
    """Return whether a word matches one of a shell's patterns; None where the word is not known, or a pattern is odd."""
    if word is None:
        return True if "*" in patterns else None
    for pattern in patterns:
        if len(pattern) > 200 or pattern.count("*") > 5 or _UNSETTLED.search(pattern):
            return None
        if fnmatchcase(word, pattern):
            return True
    return False


def truth(words: list[str]) -> bool | None:
    """Return what `[ ... ]`, `[[ ... ]]` or `test ...` comes to; None where it depends on what is not known."""
    double = words[0] == "[["
    inner = words[1:-1] if words[-1] in ("]", "]]") else words[1:]
    if any(_UNSETTLED.search(word) for word in inner) and not double:
        return None
    if double:
        return _any_of(inner)
    return None if "-a" in inner or "-o" in inner else _one(inner, patterns=False)


def _any_of(words: list[str]) -> bool | None:
    """Return what tests come to that `&&` and `||` join."""
    if "(" in words or ")" in words:
        return None
    found: bool | None = False
    every: bool | None = True
    one: list[str] = []
    for word in [*words, "||"]:
        if word not in ("&&", "||"):
            one.append(word)
            continue
        result = _one(one, patterns=True)
        every = False if every is False or result is False else None if every is None or result is None else True
        one = []
        if word == "||":
            found, every = either(found, every), True
    return found


def _one(words: list[str], *, patterns: bool) -> bool | None:
    if any(_UNSETTLED.search(word) for word in words):
        return None
    if words[:1] == ["!"] and len(words) > 1:
        inner = _one(words[1:], patterns=patterns)
        return None if inner is None else not inner
    if len(words) == 1:
        return bool(words[0])
    if len(words) == 2 and words[0] in ("-n", "-z"):
        return (words[0] == "-n") == bool(words[1])
    if len(words) != 3:
        return None
    left, how, right = words
    if how in ("=", "==", "!="):
        same = met(left, [right]) if patterns else left == right
        return None if same is None else same == (how != "!=")
    if how in _COMPARE and all(re.fullmatch(r"-?\d{1,12}", each, re.ASCII) for each in (left, right)):
        return (int(left) > int(right)) - (int(left) < int(right)) in _COMPARE[how]
    return None
