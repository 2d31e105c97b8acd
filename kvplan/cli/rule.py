"""`kvplan rule`: what each rule of `kvplan check` looks at, why it matters, an example that breaks it, and its source."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from kvplan.cli import options, output
from kvplan.errors import SettingError, UnknownNameError

if TYPE_CHECKING:
    from rich.console import Console

    from kvplan.rules.rule import Rule


def rule(
    code: Annotated[str | None, typer.Argument(help="A rule's code or name: KVP102.", show_default=False)] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every rule in full.")] = False,
    format_: Annotated[str, typer.Option("--format", "-f", help="text or json.")] = "text",
    as_json: options.JsonOption = False,
) -> None:
    """Explain a rule of `kvplan check`, or list them all."""
    from kvplan.rules.catalogue import rules  # noqa: PLC0415  no part of other commands' start

    if format_ not in ("text", "json"):
        raise SettingError(f"--format {format_[:40]!r} is none of text and json.")
    if code is not None and all_:
        raise SettingError(f"--all means every rule; {code[:40]!r} was given beside it.", hint="Keep one of the two.")
    chosen = [_find(code)] if code is not None else list(rules().values())
    if as_json or format_ == "json":
        output.print_json(asdict(chosen[0]) if code is not None else {each.code: asdict(each) for each in chosen})
        return
    from kvplan.report.console import page  # noqa: PLC0415  rich costs 60 ms that --json does not need

    with page() as console:
        if code is None and not all_:
            _print_list(console, chosen)
            return
        for number, each in enumerate(chosen):
            if number:
                console.print()
            _print_page(console, each)


def _find(text: str) -> "Rule":
    """Return the rule of a code (`KVP102`, `kvp102`, `102`) or name.

    Raises:
        UnknownNameError: with the nearest codes.

    """
    from kvplan.rules.catalogue import rules  # noqa: PLC0415

    asked = text.strip()
    number = asked.upper().removeprefix("KVP")
    if (found := rules().get(f"KVP{number}")) is not None:
        return found
    named = {each.name: each for each in rules().values()}
    if asked.lower() in named:
        return named[asked.lower()]
    from difflib import get_close_matches  # noqa: PLC0415  on the way to an error

    near = (
        get_close_matches(f"KVP{number}", rules(), n=3, cutoff=0.6)
        or get_close_matches(asked.lower(), named, n=3)
        or [name for name in named if asked and asked.lower() in name][:3]
    )
    hint = None if near else "`kvplan rule` lists them."
    raise UnknownNameError(f"There is no rule {asked[:60]!r}.", nearest=near, hint=hint)


def _print_list(console: "Console", chosen: "list[Rule]") -> None:
    from rich.table import Table  # noqa: PLC0415  only for lists

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="bold")
    table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    for each in chosen:
        table.add_row(each.code, each.severity, each.summary)
    console.print(table)
    console.print(f"{len(chosen)} rules; `kvplan rule CODE` explains one, `kvplan rule --all` all.", style="dim")


def _print_page(console: "Console", each: "Rule") -> None:
    from rich.padding import Padding  # noqa: PLC0415  only for pages

    console.print(f"{each.code}  {each.name}", style="bold")
    console.print(f"{each.summary} ({each.severity}, since kvplan {each.since})")
    for title, text in (
        ("What it checks", each.what),
        ("Why it matters", each.why),
        ("Example", each.example),
        ("Fix", each.fix),
        ("Formula and source", each.formula_and_source),
    ):
        console.print(f"\n{title}", style="bold")
        if text is each.example:
            for line in text.splitlines():
                # A line to copy is never broken.
                console.print(f"  {line}", soft_wrap=True)
        else:
            for paragraph in text.splitlines():
                console.print(Padding(paragraph, (0, 0, 0, 2)))
