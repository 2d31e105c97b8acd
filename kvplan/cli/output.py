"""Where results, warnings and documents go."""

import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from kvplan.plan import Plan

# Wide enough for the tables, and not so wide that lines are hard to follow; a pipe gets the classic 80.
_WIDEST, _PIPE = 100, 80


def console() -> "Console":
    """Return the console for results: coloured on a terminal, plain in a pipe or under NO_COLOR."""
    from rich.console import Console  # noqa: PLC0415  60 ms that --json does not need

    width = min(shutil.get_terminal_size((_PIPE, 24)).columns, _WIDEST) if sys.stdout.isatty() else _PIPE
    return Console(width=max(width, 60), highlight=False, soft_wrap=False, markup=False, emoji=False)


def print_json(document: Mapping[str, Any]) -> None:
    """Print one JSON document to stdout."""
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))


def warn(text: str) -> None:
    """Print a warning to stderr."""
    typer.echo(f"kvplan: warning: {text}", err=True)


def derivations(plan: "Plan") -> list[dict[str, str]]:
    """Return the derivations of a plan's figures as JSON values."""
    from kvplan.report.explain import derive  # noqa: PLC0415  only with --explain

    return [asdict(step) for step in derive(plan)]
