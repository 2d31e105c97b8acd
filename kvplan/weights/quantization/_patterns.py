"""Regular expressions from files, held to what cannot hang us.

Python's `re` tries every way of splitting a text among its repeats. Refused are a repeat of something that itself repeats,
`(a+)+`, and many repeats in a row with no letter between them, `.*.*.*`: on names of at most some hundred letters the rest
ends at once. Globs are no danger one by one: `fnmatch` translates them to expressions that never go back (Python 3.11).
"""

import re
from collections.abc import Sequence

from kvplan.errors import ConfigError
from kvplan.weights.scheme import Rule

_LONGEST = 4_000
_MOST_IN_A_ROW = 2
_MOST_REPEATS = 24
_MOST_GENERAL, _MOST_BY_NUMBER = 512, 64
_MOST_REPETITIONS = 1_000
_TOKEN = re.compile(
    r"(?P<escape>\\.)|(?P<set>\[\^?\]?(?:\\.|[^\]\\])*\])|(?P<open>\((?:\?(?:P<\w+>|<?[=!]|[:>]|[aiLmsux-]+[:)]))?)"
    r"|(?P<close>\))|(?P<repeat>(?:[*+?]|\{\d*(?:,\d*)?\})[?+]?)|(?P<other>.)",
    re.DOTALL,
)


def check_regex(pattern: str, where: str, key: str) -> None:
    """Refuse an expression that Python cannot compile, or that could take forever.

    Raises:
        ConfigError: names `where` and the key.

    """
    shown = pattern if len(pattern) <= 60 else pattern[:57] + "..."
    reason = _danger(pattern)
    if reason is None:
        try:
            re.compile(pattern)
        except (re.error, RecursionError, OverflowError, MemoryError, ValueError) as error:
            reason = f"cannot be read ({error})"
    if reason is not None:
        raise ConfigError(f"{where}: the pattern {shown!r} under {key} of the quantisation section {reason}.")


def _danger(pattern: str) -> str | None:
    """Return why an expression could take forever, or None."""
    if len(pattern) > _LONGEST:
        return f"is longer than {_LONGEST} characters"
    groups: list[bool] = []  # for each open group, whether something in it repeats
    closed = False  # whether the group that ended just now repeats something
    in_a_row = repeats = 0
    plain = False  # whether the last item is a plain letter, not yet known to be repeated
    for token in _TOKEN.finditer(pattern):
        kind, text = token.lastgroup, token.group()
        if kind == "repeat":
            many = not text.startswith("?") and text not in ("{1}", "{0,1}")
            if many and closed:
                return "repeats a group that itself repeats something, which could take forever"
            if any(int(number) > _MOST_REPETITIONS for number in re.findall(r"\d{1,9}", text)):
                return f"repeats something more than {_MOST_REPETITIONS} times"
            repeats += 1
            in_a_row += 1
            if in_a_row > _MOST_IN_A_ROW or repeats > _MOST_REPEATS:
                return "repeats too much in a row, which could take forever"
            if groups:
                groups[-1] = True
            plain = closed = False
            continue
        if plain:
            in_a_row = 0
        plain = closed = False
        if kind == "open":
            groups.append(False)
        elif kind == "close":
            closed = groups.pop() if groups else False
            if groups and closed:
                groups[-1] = True
        elif kind == "escape":
            plain = not text[1].isalnum()
            if text[1].isdecimal():
                return "refers back to a group, which could take forever"
        elif kind == "other":
            plain = text not in "|^$."
    return None


def check_number(rules: Sequence[Rule], where: str, key: str) -> None:
    """Refuse more wildcards than can be held against every module; those that name their layer are free.

    Raises:
        ConfigError: names `where` and the key.

    """
    general = sum(rule.is_general for rule in rules)
    if general > _MOST_GENERAL or (general > _MOST_BY_NUMBER and sum(r.reads_numbers for r in rules) > _MOST_BY_NUMBER):
        raise ConfigError(
            f"{where}: {key} of the quantisation section has {general} patterns that name no layer, more than can be "
            "held against all modules."
        )
