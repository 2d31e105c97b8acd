"""The rules by code, from rules.yaml beside this file."""

from functools import cache
from pathlib import Path

import yaml

from kvplan.rules.rule import Rule


@cache
def rules() -> dict[str, Rule]:
    """Return every rule by its code, in the order of the codes."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    content = yaml.load((Path(__file__).parent / "rules.yaml").read_text(encoding="utf-8"), Loader=loader)  # noqa: S506  safe loaders both
    return {code: Rule(code=code, **{name: str(text).strip() for name, text in entry.items()}) for code, entry in sorted(content.items())}
