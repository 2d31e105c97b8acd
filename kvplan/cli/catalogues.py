"""`kvplan models`, `kvplan gpus`, `kvplan engines`: the catalogues, searched and shown."""

from typing import TYPE_CHECKING, Annotated

import typer

from kvplan.catalogue import GPUS, MODELS, Catalogue, Entry
from kvplan.cli import options, output
from kvplan.engines import built, find_engine
from kvplan.engines.base import Engine
from kvplan.errors import UnknownGpuError, UnknownModelError
from kvplan.gpus import GpuSpec, find_gpu
from kvplan.models.source import load_model
from kvplan.models.spec import ModelSpec
from kvplan.units import format_bytes

if TYPE_CHECKING:
    from rich.console import Console

NameArgument = Annotated[list[str] | None, typer.Argument(help="A name to show in full, or words to search for.")]


def models(name: NameArgument = None, as_json: options.JsonOption = False) -> None:
    """List, search and show the models of the catalogue."""
    entry = MODELS.find(" ".join(name)) if name else None
    if entry is None:
        _print_list(MODELS, _matching(MODELS, name, UnknownModelError, "model"), as_json)
    elif as_json:
        output.print_json(MODELS.read(entry))
    else:
        from kvplan.report.console import page  # noqa: PLC0415  rich costs 60 ms that --json does not need

        with page() as console:
            _print_model(console, entry, load_model(entry.id))


def gpus(name: NameArgument = None, as_json: options.JsonOption = False) -> None:
    """List, search and show the GPUs of the catalogue."""
    entry = GPUS.find(" ".join(name)) if name else None
    if entry is None:
        _print_list(GPUS, _matching(GPUS, name, UnknownGpuError, "GPU"), as_json)
    elif as_json:
        output.print_json(GPUS.read(entry))
    else:
        from kvplan.report.console import page  # noqa: PLC0415  rich costs 60 ms that --json does not need

        with page() as console:
            _print_gpu(console, entry, find_gpu(entry.id).gpu)


def engines(
    name: Annotated[str | None, typer.Argument(help="An engine to show in full.")] = None,
    changes: Annotated[bool, typer.Option("--changes", help="What changed between its versions, and where.")] = False,
) -> None:
    """List the engines, the arguments that count for each, and what changed between their versions."""
    from kvplan.report.console import page  # noqa: PLC0415  rich is not needed by the other commands' JSON

    with page() as console:
        for known in [name] if name else built():
            engine, version = find_engine(known)
            console.print(f"{engine.name} {version}".strip(), style="bold")
            console.print(f"  {engine.title}")
            if changes:
                _print_history(console, engine)
                continue
            for argument, spec in engine.args.items() if name else ():
                default = "" if spec.default in (None, "") else f" (default {spec.default})"
                console.print(f"  {argument}  {spec.meaning}{default}")


def _print_history(console: "Console", engine: Engine) -> None:
    from rich.table import Table  # noqa: PLC0415  only for histories

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    for since, what, source in engine.history():
        table.add_row(since, what)
        table.add_row("", source, style="dim")
    console.print(table)


def _print_model(console: "Console", entry: Entry, spec: ModelSpec) -> None:
    content = MODELS.read(entry)
    console.print(f"{content.get('name', entry.id)}  ({entry.id})", style="bold")
    parameters = f"{spec.parameters:,}" if spec.parameters else "unknown"
    console.print(f"{parameters} parameters, {len(spec.layers)} layers, model type {spec.model_type}")
    longest = f"{spec.max_context_tokens:,} tokens" if spec.max_context_tokens else "unbounded"
    console.print(f"longest context {longest}, published in {spec.dtype}")
    if spec.cacheless:
        console.print(f"no language-model cache: {spec.cacheless}")
    for cache, layers in spec.caches:
        console.print(f"  {layers} x {cache.kind.replace('_', ' ')}")
    for checkpoint in spec.checkpoints:
        size = checkpoint.get("bytes")
        name = checkpoint.get("hub") or "a published file"
        console.print(f"  {name}  {checkpoint.get('format')}  {format_bytes(size) if size else ''}")
    console.print(f"names: {', '.join((entry.id, *entry.aliases))}")
    console.print(f"source: {content.get('source')} ({content.get('confidence')})")
    console.print(f"plan it: kvplan estimate --model {entry.id} --gpu h100", style="dim")


def _print_gpu(console: "Console", entry: Entry, gpu: GpuSpec) -> None:
    console.print(f"{gpu.name}  ({gpu.id})", style="bold")
    measured = "read on a real machine" if gpu.driver_is_measured else gpu.driver_origin
    console.print(f"driver total  {format_bytes(gpu.driver_bytes)}  ({measured})")
    seen = "read on a real machine" if gpu.torch_bytes_is_measured else gpu.torch_origin
    console.print(f"torch total   {format_bytes(gpu.torch_bytes)}  ({seen})")
    if gpu.unified:
        console.print(f"memory shared with the CPU; {gpu.usable_fraction:.0%} of it is the GPU's to use")
    if gpu.bandwidth_bytes_per_s:
        console.print(f"bandwidth     {gpu.bandwidth_bytes_per_s / 1e9:,.0f} GB/s")
    if gpu.compute_capability:
        console.print(f"compute capability {gpu.compute_capability[0]}.{gpu.compute_capability[1]}")
    words = {True: "yes", False: "no", None: "unknown"}
    console.print(f"fp8 {words[gpu.fp8]}, fp4 {words[gpu.fp4]}, {gpu.interconnect or 'interconnect unknown'}")
    for note in gpu.notes:
        console.print(f"note: {note}")
    console.print(f"names: {', '.join((entry.id, *entry.aliases))}")


def _matching(
    catalogue: Catalogue, words: list[str] | None, error: type[UnknownModelError | UnknownGpuError], what: str
) -> list[Entry]:
    if not words:
        return list(catalogue.entries.values())
    found = catalogue.search(words)
    if not found:
        raise error(f"No {what} is called {' '.join(words)[:60]!r}.", nearest=catalogue.nearest(" ".join(words)))
    return found


def _print_list(catalogue: Catalogue, entries: list[Entry], as_json: bool) -> None:
    if as_json:
        output.print_json({entry.id: list(entry.aliases) for entry in entries})
        return
    from rich.columns import Columns  # noqa: PLC0415  only for lists

    from kvplan.report.console import page  # noqa: PLC0415

    noun = catalogue.root.name.removesuffix("_specs")
    with page() as console:
        console.print(Columns([entry.id for entry in entries], padding=(0, 3), column_first=True))
        console.print(
            f"{len(entries)} {noun}s; `kvplan {noun}s NAME` shows one, `kvplan {noun}s WORD` searches.", style="dim"
        )
