"""`kvplan check`: the gate over deployment files."""

import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kvplan.cli import options, output
from kvplan.errors import SettingError

if TYPE_CHECKING:
    from kvplan import checking
    from kvplan.report.check import Render
    from kvplan.rules.finding import Checked

EXAMPLES = """Examples:\n
  kvplan check                                   every file that git tracks here\n
  kvplan check k8s/ --gpu l4 --fail-on unknown   a strict gate\n
  helm template . | kvplan check - --gpu h100    a rendered chart\n
  kvplan check deploy.yaml --fix                 write the smallest change that fits\n
  kvplan check --against main --max-loss 10      what a change does to capacity\n
\n
Exit code: 0 nothing to fail on, 1 findings, 2 the input or the usage is wrong, 3 kvplan failed."""
_LARGEST_INPUT = 50_000_000
# Columns where no terminal says how many it has.
_WIDTH = 100
# Of fixes, each of which opened the way for the next.
_ROUNDS = 5


def check(
    paths: Annotated[
        list[str] | None,
        typer.Argument(help="Files and folders; `-` reads a stream. None: the current folder.", metavar="PATHS"),
    ] = None,
    gpu: options.GpuOption = None,
    engine: Annotated[
        str | None, typer.Option("--engine", "-e", help="The engine's version where a file names none: vllm@0.11.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="The model of every engine, whatever the files call it.")
    ] = None,
    model_map: Annotated[
        list[str] | None,
        typer.Option("--model-map", help="What a name or path in files stands for: /models/x=org/name."),
    ] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="A variable's value: NAME=VALUE.")] = None,
    env_file: Annotated[list[str] | None, typer.Option("--env-file", help="A file of variables.")] = None,
    context: options.ContextOption = None,
    users: options.UsersOption = None,
    config: Annotated[
        str | None, typer.Option("--config", help="Settings; default: kvplan.toml or [tool.kvplan] above.")
    ] = None,
    format_: Annotated[
        str, typer.Option("--format", "-f", help="full, concise, json, sarif, junit, github, gitlab or markdown.")
    ] = "full",
    as_json: options.JsonOption = False,
    output_: Annotated[
        list[str] | None, typer.Option("--output", "-o", help="Another format into a file: sarif=kvplan.sarif.")
    ] = None,
    fail_on: Annotated[
        list[str] | None, typer.Option("--fail-on", help="misfit (default), risk, unknown or never; repeatable.")
    ] = None,
    select: Annotated[list[str] | None, typer.Option("--select", help="Only these rules: KVP1,KVP201.")] = None,
    ignore: Annotated[list[str] | None, typer.Option("--ignore", help="Not these rules.")] = None,
    baseline: Annotated[
        str | None, typer.Option("--baseline", help="Findings that were there before do not count.")
    ] = None,
    write_baseline: Annotated[
        str | None, typer.Option("--write-baseline", help="Write what is found as a baseline.")
    ] = None,
    against: Annotated[str | None, typer.Option("--against", help="Compare capacity with a git revision.")] = None,
    max_loss: Annotated[
        float | None, typer.Option("--max-loss", min=0, max=100, help="With --against: fail on a loss of more percent.")
    ] = None,
    fix: Annotated[bool, typer.Option("--fix", help="Write the smallest changes that fit into the files.")] = False,
    online: Annotated[
        bool, typer.Option("--online", help="Ask the hub for models that the catalogue does not have.")
    ] = False,
    all_files: Annotated[
        bool, typer.Option("--all-files", help="In folders, files that git does not track, too.")
    ] = False,
    stdin_filename: Annotated[str, typer.Option("--stdin-filename", help="What to call the stream in messages.")] = "-",
) -> None:
    """Say of every engine in deployment files whether it fits, on the line that decides."""
    from kvplan import checking  # noqa: PLC0415  no part of other commands' start
    from kvplan.hub import without_network  # noqa: PLC0415

    formats = _formats("json" if as_json else format_, output_ or ())
    if max_loss is not None and against is None:
        raise SettingError("--max-loss needs --against.", hint="For example: --against main --max-loss 10.")
    asked = checking.options(
        gpu=gpu,
        engine=engine,
        model=model,
        models=dict(_pair(text, "--model-map", "NAME=MODEL") for text in model_map or ()),
        variables=dict(_pair(text, "--set", "NAME=VALUE", empty=True) for text in set_ or ()),
        env_files=env_file or (),
        context=options.tokens(context),
        users=users,
        config=config,
        fail_on=fail_on or (),
        select=select or (),
        ignore=ignore or (),
        baseline=baseline,
        without_baseline=write_baseline is not None,
        all_files=all_files,
    )
    with nullcontext() if online else without_network():
        if "-" in (paths or ()):
            checked = _of_stream(paths or [], asked, stdin_filename, alone=not fix and against is None)
        else:
            checked = _of_paths(paths or ["."], asked, fix=fix, against=against, max_loss=max_loss)
    if write_baseline is not None:
        from kvplan.rules.suppress import write_baseline as baseline_of  # noqa: PLC0415  only with the option

        _write(write_baseline, baseline_of(checked.findings))
        output.warn(f"{_many(len(checked.open), 'finding')} written; --baseline {write_baseline} leaves them out.")
        return
    for path, render in formats.items():
        _say(render, checked, path)
    if checked.exit_code:
        raise typer.Exit(checked.exit_code)


def _formats(printed: str, others: Sequence[str]) -> "dict[str | None, Render]":
    """Return how the check is said, by the file that it is written into; None: it is printed."""
    from kvplan.report.check import formats  # noqa: PLC0415  no part of other commands' start

    asked: dict[str | None, str] = {}
    for text in others:
        name, path = _pair(text, "--output", "FORMAT=FILE")
        asked[path] = name
    asked[None] = printed
    for name in asked.values():
        if name not in formats():
            raise SettingError(f"There is no format {name[:40]!r}.", hint=f"There are {', '.join(sorted(formats()))}.")
    return {path: formats()[name] for path, name in asked.items()}


def _say(render: "Render", checked: "Checked", path: str | None) -> None:
    from kvplan.rules.catalogue import rules  # noqa: PLC0415  no part of other commands' start

    if path is not None:
        _write(path, render(checked, rules=rules()))
        return
    terminal = sys.stdout.isatty()
    colour = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    width = shutil.get_terminal_size().columns if terminal else _WIDTH
    sys.stdout.write(render(checked, rules=rules(), colour=colour, width=width))
    sys.stdout.flush()


def _of_stream(paths: list[str], asked: "checking.Options", name: str, *, alone: bool) -> "Checked":
    from kvplan import checking  # noqa: PLC0415  as above
    from kvplan.deploy.files import decoded  # noqa: PLC0415

    if len(paths) > 1:
        raise SettingError("`-` is the whole input; other paths stand beside it.", hint="Keep one of the two.")
    if not alone:
        raise SettingError("--fix and --against need files; the input is a stream.")
    stream = getattr(sys.stdin, "buffer", None)
    content = b"" if stream is None else stream.read(_LARGEST_INPUT + 1)
    if len(content) > _LARGEST_INPUT:
        raise SettingError("The input is larger than 50 MB.")
    text, why = decoded(content)
    if text is None:
        raise SettingError(f"The input cannot be read: {why}.")
    return checking.check_text(text, name, asked)


def _of_paths(
    paths: list[str], asked: "checking.Options", *, fix: bool, against: str | None, max_loss: float | None
) -> "Checked":
    from kvplan import checking  # noqa: PLC0415  as above

    checked = checking.check_paths(paths, asked)
    if fix:
        checked = _fixed(checked, paths, asked)
    if against is not None:
        from kvplan.against import compare  # noqa: PLC0415  only with the option

        compare(checked, paths, against, asked, max_loss=max_loss)
    return checked


def _fixed(checked: "Checked", paths: list[str], asked: "checking.Options") -> "Checked":
    """Write fixes until none is left to write: one may open the way for the next."""
    from kvplan import checking  # noqa: PLC0415  as above
    from kvplan.fixing import write_fixes  # noqa: PLC0415  only with the option

    number = 0
    files: set[str] = set()
    for _ in range(_ROUNDS):
        done = write_fixes(checked)
        number += done.fixes
        files |= done.files
        if not done.fixes:
            break
        checked = checking.check_paths(paths, asked)
    for why in done.left:
        output.warn(why)
    said = f"{_many(number, 'fix')} written into {_many(len(files), 'file')}."
    output.warn(said if number else "Nothing here can be fixed by an edit.")
    return checked


def _many(number: int, word: str) -> str:
    ending = "" if number == 1 else "es" if word.endswith("x") else "s"
    return f"{number:,} {word}{ending}"


def _pair(text: str, option: str, form: str, *, empty: bool = False) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name or not (value or empty):
        raise SettingError(f"{option} {text[:60]!r} is not of the form {form}.")
    return name, value


def _write(path: str, text: str) -> None:
    try:
        Path(path).write_text(text, encoding="utf-8", errors="replace", newline="")
    except (OSError, ValueError) as error:
        raise SettingError(f"{path} cannot be written: {getattr(error, 'strerror', None) or error}.") from error
