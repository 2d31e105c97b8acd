"""Where results, warnings and documents go."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from kvplan.plan import Plan


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
