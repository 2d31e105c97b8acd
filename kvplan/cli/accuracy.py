"""`kvplan accuracy`: the error over the field corpus."""

from enum import StrEnum
from typing import Annotated

import typer

from kvplan.cli import options, output
from kvplan.errors import SettingError


class By(StrEnum):
    """What the errors are broken down by."""

    VERSION = "version"
    GPU = "gpu"
    FAMILY = "family"
    ALL = "all"


def accuracy(
    as_json: options.JsonOption = False,
    by: Annotated[By, typer.Option("--by", help="Break the errors down.")] = By.ALL,
    worst: Annotated[
        int, typer.Option("--worst", "--rows", min=0, help="Name this many of the rows furthest off, and why.")
    ] = 0,
    engine: Annotated[str, typer.Option("--engine", "-e", help="Whose logs: vllm.")] = "vllm",
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print the table as Markdown.")] = False,
) -> None:
    """Score this kvplan against published start-up logs of real GPUs."""
    if engine != "vllm":
        raise SettingError(
            f"There are no logs of {engine!r} to score against; vllm was expected.", hint="Leave --engine out."
        )
    if as_json and as_markdown:
        raise SettingError("--json and --markdown are two documents; one was expected.", hint="Keep one of the two.")
    if as_markdown and (worst or by is not By.ALL):
        raise SettingError(
            "--markdown prints the one table; --by and --worst change nothing in it.", hint="Leave them out."
        )
    # The corpus and what scores it are no part of other commands' start.
    from kvplan.accuracy.scoring import score  # noqa: PLC0415

    scored = score()
    if as_json:
        from kvplan import __version__  # noqa: PLC0415
        from kvplan.accuracy.document import to_document  # noqa: PLC0415

        output.print_json(to_document(scored, version=__version__))
        return
    from kvplan.report import accuracy as report  # noqa: PLC0415

    if as_markdown:
        typer.echo(report.markdown(scored))
        return
    from kvplan.report.console import page  # noqa: PLC0415

    with page() as console:
        report.print_accuracy(console, scored, by=None if by is By.ALL else by.value, worst=worst)
