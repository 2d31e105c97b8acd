"""Patterns of paths as .gitignore means them."""

import re
from fnmatch import translate
from functools import lru_cache


def meets(path: str, pattern: str) -> bool:
    """Whether a path, or a folder above it, meets a pattern: `*` stays in a folder, `**` does not, a bare name is met anywhere."""
    parts = _compiled(pattern)
    if not parts:
        return False
    names = path.removeprefix("./").split("/")
    # Where in the path the parts so far may have ended: one pass over both, whatever the pattern.
    ends = {0}
    for part in parts:
        if part is None:
            ends = set(range(min(ends), len(names) + 1))
        else:
            ends = {end + 1 for end in ends if end < len(names) and part.match(names[end])}
        if not ends:
            return False
    # A pattern that ends in `**` means what is in a folder, not the folder.
    return parts[-1] is not None or max(ends) > len(parts) - parts.count(None)


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> tuple[re.Pattern[str] | None, ...]:
    """Return a pattern's parts between slashes; None: any number of folders."""
    anchored = "/" in pattern.rstrip("/")
    parts = [part for part in pattern.removeprefix("./").split("/") if part not in ("", ".")]
    found = [None if part == "**" else re.compile(translate(part)) for part in parts]
    return (*(() if anchored else (None,)), *found) if found else ()
