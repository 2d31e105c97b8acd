"""A plan on one screen: the verdict first, then where the memory goes and what it holds."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from kvplan.engines.base import CacheGroup
from kvplan.launch.words import split
from kvplan.plan import Plan, Verdict
from kvplan.report.explain import derive
from kvplan.units import format_bytes

if TYPE_CHECKING:
    from kvplan.launch.command import Changed

_VERDICTS: dict[Verdict, tuple[str, str]] = {
    "fits": ("FITS", "bold green"),
    "tight": ("TIGHT", "bold yellow"),
    "does_not_fit": ("DOES NOT FIT", "bold red"),
    "unknown": ("NO VERDICT", "bold cyan"),
}
# Each part of the bar has a letter of its own, so that it reads without colour.
_PARTS = (
    ("weights", "weights", "W", "blue"),
    ("activation", "activation peak", "A", "magenta"),
    ("cuda_graph", "CUDA graphs", "G", "yellow"),
    ("runtime", "runtime", "R", "cyan"),
)
_CONTEXTS = (2_048, 8_192, 32_768, 131_072, 1_048_576)
_MOST_ASSUMPTIONS = 4
# Of a command's line, so that with its indent and the backslash it keeps within 80 columns.
_COMMAND_WIDTH = 70


def print_plan(plan: Plan, console: Console, *, explain: bool = False) -> None:
    """Print a plan; with `explain` also how each figure comes about."""
    console.print(_head(plan))
    for title, body in _sections(plan):
        console.print()
        console.print(Text(title, style="bold"))
        console.print(Padding(body, (0, 0, 0, 2)))
    if explain:
        console.print()
        console.print(Text("How each figure comes about", style="bold"))
        console.print(Padding(_derivations(plan), (0, 0, 0, 2)))


def _head(plan: Plan) -> Group:
    word, style = _VERDICTS[plan.verdict]
    deployment = plan.deployment
    engine = f"{deployment.engine.name} {deployment.settings.version}".strip()
    line = Text.assemble((word, style), "  ", (deployment.model.id, "bold"))
    if deployment.group is not None:
        line.append(f" on {deployment.parallel.gpus} x {deployment.group.gpu.id}")
    line.append(f", {engine}")
    return Group(line, *(Text(reason) for reason in plan.reasons))


def _sections(plan: Plan) -> Iterator[tuple[str, RenderableType]]:
    if plan.budget is not None:
        yield _memory_title(plan), _memory(plan)
    if plan.layout.groups:
        yield _cache_title(plan), _cache(plan)
    if plan.kv_cache_bytes is not None and plan.layout.groups:
        yield "What fits", _capacity(plan)
    if plan.remedies:
        yield "To make it fit", _remedies(plan)
        if (best := next((remedy.command for remedy in plan.remedies if remedy.command), None)) is not None:
            without = f", without {best.without}" if best.without else ""
            yield f"The command with {best.flags}{without}", _command(best)
    if plan.assumptions:
        yield "Assumed", _assumptions(plan)


def _memory_title(plan: Plan) -> str:
    group, parallel = plan.deployment.group, plan.deployment.parallel
    if group is None or plan.budget is None:
        return "Memory"
    which = f"one of {parallel.gpus} GPUs (the fullest)" if parallel.gpus > 1 else "the GPU"
    return f"Memory of {which}: {group.gpu.name}, {format_bytes(plan.budget.total_bytes)}"


def _memory(plan: Plan) -> Group:
    budget = plan.budget
    if budget is None:
        return Group()
    cache = plan.kv_cache_bytes or 0
    rows = [(label, letter, style, budget.used_by(name), _spread(plan, name)) for name, label, letter, style in _PARTS]
    rows.append(("KV cache", "K", "green", cache, _cache_spread(plan)))
    left = budget.total_bytes - sum(row[3] for row in rows)
    rows = [row for row in rows if row[3]]
    if left > 0:
        rows.append(
            ("left alone", ".", "dim", left, "outside the budget" if budget.budget_bytes < budget.total_bytes else "")
        )
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style="dim", overflow="fold")
    for label, letter, style, size, note in rows:
        table.add_row(Text.assemble((letter, style), f" {label}"), format_bytes(size), note)
    if left < 0:
        table.add_row(Text("! missing", style="red"), format_bytes(-left), "more than the GPU has")
    return Group(_bar([(letter, style, size) for _, letter, style, size, _ in rows], budget.total_bytes), table)


def _bar(parts: list[tuple[str, str, int]], total: int, width: int = 72) -> Text:
    """Return a bar whose cells are shares of the GPU, or of what would be needed, with the GPU's end marked."""
    whole = max(total, sum(size for _, _, size in parts))
    bar, start, drawn = Text("["), 0, 0
    end = round(width * total / whole)
    for letter, style, size in parts:
        start += size
        upto = round(width * start / whole)
        for cell in range(drawn, upto):
            if cell == end:
                bar.append("|", "bold red")
            bar.append(letter, style)
        drawn = upto
    bar.append("]")
    return bar


def _spread(plan: Plan, name: str) -> str:
    items = [item for item in plan.budget.items if item.name == name] if plan.budget else []
    if not items:
        return ""
    item = items[0]
    if name == "weights" and plan.weights is not None:
        return plan.weights.items[0].formula  # what a reader can check; its bounds are in the cache's
    return item.formula if item.low == item.high else f"{format_bytes(item.low)} to {format_bytes(item.high)}"


def _cache_spread(plan: Plan) -> str:
    budget = plan.budget
    if budget is None or plan.deployment.kv_cache_memory is not None:
        return "given"
    if budget.kv_cache_low == budget.kv_cache_high:
        return ""
    return f"{format_bytes(max(budget.kv_cache_low, 0))} to {format_bytes(max(budget.kv_cache_high, 0))}"


def _cache_title(plan: Plan) -> str:
    blocks = f", blocks of {plan.layout.block_tokens:,} tokens" if plan.layout.block_tokens else ""
    per_gpu = " per GPU" if plan.deployment.parallel.gpus > 1 else ""
    return f"KV cache{per_gpu}: {plan.deployment.settings.kv_dtype.name}{blocks}"


def _cache(plan: Plan) -> Group:
    table = Table.grid(padding=(0, 2))
    for justify in ("right", "left", "left", "right", "left"):
        table.add_column(justify=justify)
    table.add_row(*(Text(word, style="dim") for word in ("layers", "kind", "heads x dim", "per token", "keeps")))
    for group in plan.layout.groups:
        table.add_row(
            str(group.layers),
            group.kind.replace("_", " "),
            f"{group.kv_heads} x {group.head_dim}" if group.kv_heads else "",
            format_bytes(group.bytes_per_token) if group.bytes_per_token else "",
            _keeps(group),
        )
    shared = sum(layer.shares_cache_of is not None for layer in plan.deployment.stages[plan.stage].layers)
    sharing = [Text(f"{shared} layers more read another layer's cache and keep none.")] if shared else []
    request = (
        f"One request of {plan.request.context_tokens:,} tokens reserves {format_bytes(plan.bytes_per_request)}"
        f", then {format_bytes(plan.layout.bytes_per_token)} more per token."
    )
    if plan.live_bytes_per_request != plan.bytes_per_request:
        request += f" While it decodes it holds {format_bytes(plan.live_bytes_per_request)}."
    return Group(table, *sharing, Text(request))


def _keeps(group: CacheGroup) -> str:
    if group.fixed_bytes:
        return f"{format_bytes(group.fixed_bytes)} of state"
    if group.kind == "cross_attention":
        return "the encoder's positions"
    return f"the last {group.window_tokens:,}" if group.window_tokens else "every token"


def _capacity(plan: Plan) -> Group:
    lines: list[RenderableType] = []
    capacity, interval = plan.capacity, plan.interval
    if capacity.limited_by == "weights":
        return Group(Text("No request: there is no room for a cache."))
    if capacity.max_context_tokens is not None:
        low, high = interval["max_context_tokens"] if interval else (None, None)
        sure = f" (surely {low:,.0f})" if low is not None and low != high else ""
        own = plan.deployment.model.max_context_tokens
        limit = ", the model's own maximum" if capacity.max_context_tokens == own else ""
        lines.append(Text(f"Longest request: {capacity.max_context_tokens:,} tokens{sure}{limit}."))
    else:
        lines.append(Text("Longest request: nothing in the model or the memory bounds it."))
    if capacity.kv_cache_tokens is not None:
        blocks = f" in {capacity.kv_cache_blocks:,} blocks" if capacity.kv_cache_blocks is not None else ""
        lines.append(Text(f"Cache: {capacity.kv_cache_tokens:,} tokens{blocks}."))
    lines.append(_concurrency(plan))
    replicas = f" Each of {capacity.replicas} replicas holds this much." if capacity.replicas > 1 else ""
    words = {
        "kv_cache": "The cache memory is what limits it.",
        plan.deployment.engine.batch_arg: f"{plan.deployment.engine.batch_arg} lets no more requests into a batch.",
        "model": "Nothing in the cache limits it.",
    }
    lines.append(Text(words.get(capacity.limited_by or "", "") + replicas))
    return Group(*lines)


def _concurrency(plan: Plan) -> Table:
    """Return the requests at once for several contexts."""
    deployment, own = plan.deployment, plan.deployment.model.max_context_tokens or 0
    asked = plan.request.context_tokens
    contexts = sorted({asked, *(n for n in _CONTEXTS if n <= max(own, asked))})
    if len(contexts) > 5:
        contexts = [n for n in contexts if n != contexts[0] or n == asked][-5:]
    table = Table.grid(padding=(0, 2))
    heads, held = [Text("Requests of", style="dim")], [Text("at once")]
    for context in contexts:
        stage = deployment.deciding_stage(context)
        share = deployment.share(stage, context)
        requests = deployment.layouts[stage].concurrency(
            max(share.bytes, 0) if share else 0, context, deployment.encoder_tokens(context)
        )
        heads.append(Text(f"{context:,}", style="bold" if context == asked else "dim"))
        held.append(
            Text("any" if requests == float("inf") else f"{requests:,.2f}" if requests < 100 else f"{requests:,.0f}")
        )
    table.add_column()
    for _ in contexts:
        table.add_column(justify="right")
    table.add_row(*heads)
    table.add_row(*held)
    return table


def _remedies(plan: Plan) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for remedy in plan.remedies:
        words = remedy.words
        if remedy.command is not None and remedy.command.before:
            words = f"{words} (was {remedy.command.before})"
        elif plan.command is not None and remedy.command is None and "quantization" in remedy.changes:
            # Into this format the engine turns no checkpoint while it loads: it takes one that is published so.
            form = remedy.changes["quantization"]
            words = words.replace(f"--quantization {form}", f"a checkpoint in {form}")
        table.add_row(words, remedy.effect)
    return table


def _command(changed: "Changed") -> Text:
    """Return the command with what changed marked, broken at words into lines that a shell takes as one."""
    text = Text(changed.text, no_wrap=True, overflow="ignore")
    for start, end in changed.spans:
        text.stylize("bold green", start, end)
    if "\n" in changed.text:
        return text
    lines, start, last = Text(no_wrap=True, overflow="ignore"), 0, 0
    words = split(changed.text)
    for index, word in enumerate(words):
        # A flag and its values stay together where a line holds them.
        ends = [word.end]
        if word.text.startswith("-"):
            ends += [each.end for each in words[index + 1 : index + 2] if not each.text.startswith("-")]
        if ends[-1] - start > _COMMAND_WIDTH and word.start > start:
            lines.append_text(text[start:last]).append(" \\\n    ")
            start = word.start
        last = word.end
    return lines.append_text(text[start:])


def _assumptions(plan: Plan) -> Group:
    shown = [Text(f"- {note.text} ({note.source})") for note in plan.assumptions[:_MOST_ASSUMPTIONS]]
    more = len(plan.assumptions) - len(shown)
    return Group(*shown, *([Text(f"- and {more} more: --json lists them", style="dim")] if more > 0 else []))


def _derivations(plan: Plan) -> Group:
    lines: list[RenderableType] = []
    for step in derive(plan):
        lines.append(Text.assemble((step.figure, "bold"), " = ", (step.result, "bold")))
        lines.append(Padding(Text(step.formula), (0, 0, 0, 2)))
        lines.append(Padding(Text(f"from: {step.source}", style="dim"), (0, 0, 0, 2)))
    return Group(*lines)
