"""The rules by code, from rules.yaml beside this file."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from kvplan.rules.rule import Rule


@cache
def rules() -> dict[str, Rule]:
    """Return every rule by its code, in the order of the codes."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    text = (Path(__file__).parent / "rules.yaml").read_text(encoding="utf-8")
    content: dict[str, dict[str, Any]] = yaml.load(text, Loader=loader)  # noqa: S506  both are safe loaders
    return {code: Rule(code=code, **entry) for code, entry in sorted(content.items())}
