"""How a check is said, one file a format. The folder is the registry: every module with a `NAME` holds `render`.

All that comes from files goes through `safe` on its way out, and `secrets` keeps back what no log may hold.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from typing import Protocol

from kvplan.rules.finding import Checked
from kvplan.rules.rule import Rule


class Render(Protocol):
    """Gives a check's text in one format, line feed at the end."""

    def __call__(self, checked: Checked, *, rules: Mapping[str, Rule], colour: bool = False, width: int = 100) -> str:
        """Return the text."""
        ...


@cache
def formats() -> dict[str, Render]:
    """Return the formats by name."""
    modules = [importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    return {module.NAME: module.render for module in modules if hasattr(module, "NAME")}
