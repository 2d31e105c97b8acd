"""The commands, one thin file each."""

from typing import Annotated

import typer

from kvplan.cli import accuracy, catalogues, check, estimate, rule

app = typer.Typer(
    name="kvplan",
    help="How much memory serving a language model takes, the longest context and the requests that fit: without a GPU.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("estimate", epilog=estimate.EXAMPLES, context_settings=estimate.CONTEXT)(estimate.estimate)
app.command("check", epilog=check.EXAMPLES)(check.check)
app.command("models")(catalogues.models)
app.command("gpus")(catalogues.gpus)
app.command("engines")(catalogues.engines)
app.command("rule")(rule.rule)
app.command("accuracy")(accuracy.accuracy)


def _version(asked: bool) -> None:
    if asked:
        from kvplan import __version__  # noqa: PLC0415  only for this answer

        typer.echo(f"kvplan {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Hold the options that stand before a command."""
