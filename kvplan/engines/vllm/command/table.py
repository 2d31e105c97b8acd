"""Which flags `vllm serve` has in which release, and what follows each. The data: flags.json, by tools/extract_vllm_flags.py."""

import json
from functools import cache, cached_property, lru_cache
from pathlib import Path

from kvplan.engines.vllm.changes import version_tuple

GONE = "gone"
# Kinds of flags that take no value.
BARE = ("flag", "switch")


@cache
def _data() -> tuple[dict[str, str], tuple[int, ...]]:
    content = json.loads((Path(__file__).parent / "flags.json").read_text(encoding="utf-8"))
    return content["flags"], padded(content["disable_forms_since"])


@cache
def padded(version: str) -> tuple[int, ...]:
    """Return `0.19` as (0, 19, 0)."""
    parts = version_tuple(version)
    return (*parts, 0, 0)[:3]


def spans(name: str) -> list[tuple[str, str]]:
    """Return the releases at which a flag came, changed or went, each with what it is from there on; none for no flag."""
    text = _data()[0].get(name)
    return [(span.split(" ", 1)[0], span.split(" ", 1)[1]) for span in text.split(", ")] if text else []


@lru_cache(maxsize=64)
def flags_of(version: str) -> "FlagTable":
    """Return the flags of a release, each read once."""
    return FlagTable(version)


class FlagTable:
    """The flags of one release.

    Args:
        version: `0.11.2`; one older than the data is read as the oldest there.

    """

    def __init__(self, version: str) -> None:
        self.version = version
        self.number = padded(version)

    def kind(self, name: str) -> str | None:
        """Return what follows a flag in this release, or the flag it is another name of; None where it has none."""
        meaning = None
        for index, (since, what) in enumerate(spans(name)):
            if index and padded(since) > self.number:
                break
            if index or padded(since) <= max(self.number, padded("0.8.1")):
                meaning = what
        return None if meaning == GONE else meaning

    @cached_property
    def options(self) -> dict[str, tuple[str, str, bool]]:
        """Every spelling of this release: to the flag's main name, its kind, and whether it says no."""
        found: dict[str, tuple[str, str, bool]] = {}
        pairs = self.number >= _data()[1]
        for name in _data()[0]:
            kind = self.kind(name)
            if kind is None:
                continue
            main = kind if kind.startswith("-") else name
            found[name] = (main, self.kind(main) or "text", False)
            if kind == "switch":
                found.setdefault(f"--no-{name[2:]}", (name, kind, True))
        if pairs:
            # EnableDisableAction (utils/argparse_utils.py): --enable-x and --disable-x are each other's opposite.
            for name, (main, kind, _) in list(found.items()):
                for prefix, opposite in (("--enable-", "--disable-"), ("--disable-", "--enable-")):
                    if kind == "switch" and name.startswith(prefix):
                        found.setdefault(opposite + name.removeprefix(prefix), (main, kind, True))
        found["-h"] = found["--help"] = ("--help", "flag", False)
        return found

    def starting_with(self, prefix: str) -> list[str]:
        """Return the spellings that an abbreviation may stand for."""
        return [name for name in self.options if name.startswith(prefix)]

    def elsewhere(self, name: str) -> tuple[str, str, bool, str] | None:
        """Return what a flag of other releases is: its main name, kind, whether it says no, and when it came or went."""
        for plain, negative in ((name, False), (f"--{name.removeprefix('--no-')}", name.startswith("--no-"))):
            history = spans(plain)
            if not history or (negative and not any(what == "switch" for _, what in history)):
                continue
            if negative:
                # Only switches have a form that says no.
                history = [(since, what if what == "switch" else GONE) for since, what in history]
            before = [what for since, what in history if padded(since) <= self.number and what != GONE]
            kind = before[-1] if before else next(what for _, what in history if what != GONE)
            main = plain
            if kind.startswith("-"):
                main = kind
                kind = next((what for _, what in reversed(spans(main)) if what != GONE), "text")
            if not before:
                came = next(since for since, what in history if what != GONE)
                return main, kind, negative, f"it came in {came}"
            went = next(since for since, what in reversed(history) if what == GONE and padded(since) <= self.number)
            return main, kind, negative, f"it was removed in {went}"
        return None
