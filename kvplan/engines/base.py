"""What an engine answers: a cache layout and a memory budget, from a model's layers and the engine's own settings.

An engine is a folder with a class that derives from `Engine`: `layout` says how it pages the cache (groups, pages,
padding, what one request reserves), `budget` how it divides a GPU. The folder is the registry.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from kvplan.dtypes import Dtype
from kvplan.errors import SettingError
from kvplan.gpus import GpuSpec
from kvplan.models.config import show
from kvplan.models.spec import Layer, ModelSpec, Note
from kvplan.parallel import Parallelism
from kvplan.units import LARGEST_SIZE, format_bytes, parse_size
from kvplan.weights.figure import WeightItem, Weights
from kvplan.weights.ranks import RankParts, Ranks

if TYPE_CHECKING:
    from kvplan.checkpoints.adapters import Adapter


class Setting(NamedTuple):
    """A setting that counts: its value and where it comes from (`given`, `default of vLLM 0.33`, `from the model`)."""

    value: Any
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """An engine's settings for one plan, defaults included.

    Attributes:
        version: of the engine; empty where versions do not matter.
        version_named: whether it was asked for; else it is the latest, and intervals cover what other versions would do.
        args: every setting that counts, by the engine's own name.
        kv_dtype: the number format of the cache.
        model_dtype: the model's own format, which states and activations keep.
        notes: what was assumed.

    """

    version: str
    args: Mapping[str, Setting]
    kv_dtype: Dtype
    model_dtype: Dtype
    notes: tuple[Note, ...] = ()
    version_named: bool = True

    def __getitem__(self, name: str) -> Any:
        return self.args[name].value


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheGroup:
    """Layers that are paged alike, as the engine lays them out on one rank.

    Attributes:
        kind: of the cache.
        layers: how many.
        kv_heads, head_dim: on this rank; None where the kind has none.
        dtype: number format.
        window_tokens: positions kept at most; None: all.
        bytes_per_token: growth of all these layers per token once windows are full (0 for windows and states).
        fixed_bytes: of all these layers per request, whatever its length.
        page_bytes: one page of one layer, padding included.
        block_tokens: positions of one page; None where the engine does not page.
        formula: the bytes of one layer, in figures, for `--explain`.

    """

    kind: str
    layers: int
    kv_heads: int | None
    head_dim: int | None
    dtype: str
    window_tokens: int | None
    bytes_per_token: int
    fixed_bytes: int
    page_bytes: int
    block_tokens: int | None = None
    formula: str = ""


class CacheLayout(ABC):
    """How an engine lays the cache of one rank out, and what that means for requests.

    Attributes:
        groups: for people and reports; the arithmetic is the methods'.
        block_tokens: positions of a block; None where the engine does not page.
        bytes_per_block: bytes of one block over all layers; None where blocks do not have one size.
        host_bytes: host memory beside this rank's GPU that keeps the caches of idle requests.

    """

    groups: tuple[CacheGroup, ...]
    block_tokens: int | None = None
    bytes_per_block: int | None = None
    host_bytes: int = 0

    @abstractmethod
    def request_bytes(self, tokens: int, encoder_tokens: int) -> int:
        """Return what the engine reserves for one request of `tokens`; never falls as `tokens` grows."""

    def live_bytes(self, tokens: int, encoder_tokens: int) -> int:
        """Return what the cache of a request of `tokens` occupies while it decodes."""
        return self.request_bytes(tokens, encoder_tokens)

    @property
    def bytes_per_token(self) -> int:
        """Growth per token once every window is full."""
        return sum(group.bytes_per_token for group in self.groups)

    def blocks(self, cache_bytes: int) -> int | None:
        """Return the blocks of a cache of `cache_bytes`; None where the engine does not page."""
        return cache_bytes // self.bytes_per_block if self.bytes_per_block else None

    def concurrency(self, cache_bytes: int, tokens: int, encoder_tokens: int) -> float:
        """Return how many requests of `tokens` a cache of `cache_bytes` holds; infinite where they keep nothing."""
        request = self.request_bytes(tokens, encoder_tokens)
        return max(cache_bytes, 0) / request if request else float("inf")

    def admits(self, cache_bytes: int, tokens: int, encoder_tokens: int) -> bool:
        """Whether one request of `tokens` is let in."""
        return self.request_bytes(tokens, encoder_tokens) <= cache_bytes

    def refusal(self, cache_bytes: int, tokens: int, encoder_tokens: int) -> str | None:  # noqa: ARG002
        """Return what the engine says when it does not start for requests of `tokens`; None where it starts."""
        return None

    def parked(self, tokens: int, encoder_tokens: int) -> int | None:
        """Return how many idle requests of `tokens` host memory keeps, without rounding; None where they keep nothing."""
        held = self.live_bytes(tokens, encoder_tokens)
        return self.host_bytes // held if held else None

    def printed_tokens(self, cache_bytes: int, tokens: int, encoder_tokens: int) -> int | None:
        """Return the capacity in tokens as the engine prints it; None where nothing bounds it."""
        requests = self.concurrency(cache_bytes, tokens, encoder_tokens)
        return None if requests == float("inf") else int(requests * tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetItem:
    """One use of a GPU's memory.

    Attributes:
        name: as the contract's JSON calls it, without `_bytes`.
        bytes: the figure.
        low, high: its 5 % and 95 % bounds.
        formula: how it comes about, in figures.
        source: where the formula or constant is from.
        fit: of which fit it is a figure; empty: it is counted, not fitted.
        units: how often the fit's constant is in it.

    """

    name: str
    bytes: int
    low: int
    high: int
    formula: str
    source: str
    fit: str = ""
    units: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryBudget:
    """How an engine divides one GPU.

    Attributes:
        total_bytes: what the driver reports.
        budget_bytes: what the engine lets itself use.
        items: weights, activation, cuda_graph and runtime, in this order; missing ones are zero.
        kv_cache_bytes: what is left for the cache; negative where the rest does not fit.
        kv_cache_low, kv_cache_high: its bounds.
        formula, source: of `budget_bytes`.
        refusal: why the engine does not start on this GPU whatever the request; None: it does.

    """

    total_bytes: int
    budget_bytes: int
    items: tuple[BudgetItem, ...]
    kv_cache_bytes: int
    kv_cache_low: int
    kv_cache_high: int
    formula: str = ""
    source: str = ""
    refusal: str | None = None

    def used_by(self, name: str) -> int:
        """Return the bytes of one item; 0 where the engine has none of that name."""
        return next((item.bytes for item in self.items if item.name == name), 0)


def divide(
    *,
    total_bytes: int,
    budget_bytes: int,
    items: Sequence[BudgetItem],
    formula: str,
    source: str,
    budget_low: int | None = None,
    budget_high: int | None = None,
    calibration: float | None = None,
) -> MemoryBudget:
    """Return the budget whose cache gets what the items leave.

    Args:
        total_bytes: what the driver reports.
        budget_bytes: what the engine lets itself use.
        items: what is taken from it.
        formula: of `budget_bytes`.
        source: of the formula.
        budget_low: the least that the engine may let itself use; None: exactly `budget_bytes`.
        budget_high: the most.
        calibration: for items that err independently of each other: the cache's bounds are then this many times the root
            of the sum of their squares away from the middle; None: their sum.

    """
    cache = budget_bytes - sum(item.bytes for item in items)
    below = [item.high - item.bytes for item in items] + [
        budget_bytes - (budget_bytes if budget_low is None else budget_low)
    ]
    above = [item.bytes - item.low for item in items] + [
        (budget_bytes if budget_high is None else budget_high) - budget_bytes
    ]
    combine = sum if calibration is None else partial(_root_of_squares, calibration)
    return MemoryBudget(
        total_bytes=total_bytes,
        budget_bytes=budget_bytes,
        items=tuple(items),
        kv_cache_bytes=cache,
        kv_cache_low=cache - combine(below),
        kv_cache_high=cache + combine(above),
        formula=formula,
        source=source,
    )


def _root_of_squares(calibration: float, sizes: Sequence[int]) -> int:
    """Return how far independent errors of these sizes go together."""
    return round(calibration * math.sqrt(sum(size * size for size in sizes)))


def exact(name: str, size: int, formula: str, source: str) -> BudgetItem:
    """Return an item that is known and not modelled."""
    return BudgetItem(name=name, bytes=size, low=size, high=size, formula=formula, source=source)


def less_others(used: int) -> str:
    """Return what a budget's formula says of memory that others use; nothing where they use none."""
    return f", less {format_bytes(used)} that others use" if used else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The part of a model on one pipeline stage, for one tensor-parallel rank.

    Attributes:
        index: of the stage.
        layers: its layers, whole (not yet split over tensor-parallel ranks).
        weights: what the fullest rank loads; None where no source says.
        unknown_weights: why no source says.

    """

    index: int
    layers: tuple[Layer, ...]
    weights: Weights | None
    unknown_weights: str = ""


class Size(int):
    """The kind of an argument that is a size in bytes; texts such as `1GiB` are taken."""


def weights_item(stage: Stage) -> BudgetItem:
    """Return the weights of a stage's fullest rank, which are known, with their bounds."""
    weights = stage.weights
    if weights is None:
        return exact("weights", 0, stage.unknown_weights, "nothing says")
    return BudgetItem(
        name="weights",
        bytes=weights.bytes,
        low=weights.low,
        high=weights.high,
        formula=weights.formula,
        source=weights.items[0].source,
    )


@dataclass(frozen=True, slots=True)
class ArgSpec:
    """One engine argument: what values it takes and what it is for."""

    kind: type | tuple[str, ...]
    meaning: str
    default: Any = field(default=None)


class Engine(ABC):
    """An inference engine.

    Attributes:
        name: as `--engine` takes it.
        latest: the version planned for where none is given; empty where versions do not matter.
        oldest: the first version whose rules are known; older ones are planned by them.
        stand_for_others: older versions, oldest first, that stand for all that do otherwise; intervals cover them where no
            version was named.
        title: one line for `kvplan engines`.
        args: its arguments that count, by name.
        drafts_share_vocabulary: whether a draft model must have the model's own number of tokens.
        follows_declared_cache: whether `auto` takes the cache format that a checkpoint declares.
        batch_arg: the argument that bounds the requests of one batch; empty where none does.
        weights_spread: the least and the most of the weights that the engine logs, in thousandths of the figure here.
        context_parallel_arg: the argument that splits positions over ranks; empty where none does.

    """

    name: ClassVar[str]
    latest: ClassVar[str] = ""
    oldest: ClassVar[str] = ""
    stand_for_others: ClassVar[tuple[str, ...]] = ()
    title: ClassVar[str] = ""
    args: ClassVar[Mapping[str, ArgSpec]] = {}
    drafts_share_vocabulary: ClassVar[bool] = False
    follows_declared_cache: ClassVar[bool] = True
    batch_arg: ClassVar[str] = ""
    context_parallel_arg: ClassVar[str] = ""
    weights_spread: ClassVar[tuple[int, int]] = (1000, 1000)

    @abstractmethod
    def settings(
        self,
        *,
        version: str,
        given: Mapping[str, Any],
        kv_dtype: str,
        model: ModelSpec,
        gpu: GpuSpec | None,
        parallel: Parallelism,
    ) -> Settings:
        """Return every setting that counts, the given ones checked.

        Raises:
            SettingError: an argument that the engine does not have or whose value it would refuse.

        """

    @abstractmethod
    def layout(
        self, *, model: ModelSpec, stage: Stage, parallel: Parallelism, settings: Settings, gpu: GpuSpec | None
    ) -> CacheLayout:
        """Return how the engine lays out the cache of a stage's fullest rank."""

    @abstractmethod
    def budget(
        self, *, model: ModelSpec, stage: Stage, parallel: Parallelism, settings: Settings, gpu: GpuSpec, context: int
    ) -> MemoryBudget:
        """Return how the engine divides the GPU of a stage's fullest rank; `stage.weights` is known."""

    def budget_grows_to(
        self,
        *,
        model: ModelSpec,  # noqa: ARG002
        parallel: Parallelism,  # noqa: ARG002
        settings: Settings,  # noqa: ARG002
        gpu: GpuSpec,  # noqa: ARG002
    ) -> int | None:
        """Return the length of a request from which on the budget is the same; 0: it never depends on it; None: it always does."""
        return 0

    def ranks(self, *, model: ModelSpec, parallel: Parallelism, settings: Settings) -> Ranks:  # noqa: ARG002
        """Return how the engine spreads the weights of a replica over its ranks."""
        return Ranks(tensor=parallel.tensor, expert_pieces=parallel.tensor)

    def loading(
        self,
        *,
        model: ModelSpec,  # noqa: ARG002
        layers: range,  # noqa: ARG002
        parts: RankParts,  # noqa: ARG002
        plain_bytes: int,  # noqa: ARG002
        ranks: Ranks,  # noqa: ARG002
        settings: Settings,  # noqa: ARG002
        gpu: GpuSpec | None,  # noqa: ARG002
        drafts: bool,  # noqa: ARG002
    ) -> tuple[WeightItem, ...]:
        """Return what loading the weights of a stage's fullest rank takes beside them: tables, copies, padding, rounding."""
        return ()

    def adapter_slots(
        self,
        *,
        model: ModelSpec,  # noqa: ARG002
        layers: range,  # noqa: ARG002
        ranks: Ranks,  # noqa: ARG002
        settings: Settings,  # noqa: ARG002
        adapters: Sequence["Adapter"],  # noqa: ARG002
    ) -> WeightItem | None:
        """Return the memory that the engine sets aside for adapters on one rank; None: it loads each as it is."""
        return None

    def refuses(self, model: ModelSpec, context: int) -> str | None:  # noqa: ARG002
        """Return why the engine would not start for requests of this length, whatever the memory; None where it would."""
        return None

    def relief(self, settings: Settings, requests: int) -> Iterator[tuple[str, Any]]:  # noqa: ARG002
        """Yield changes of single arguments that may make so many requests fit, the smallest first."""
        return iter(())

    def history(self) -> Iterator[tuple[str, str, str]]:
        """Yield what changed between versions, oldest first: the version, the rule, the source; nothing where none count."""
        return iter(())

    def with_defaults(
        self, checked: Mapping[str, Any], preset: Mapping[str, Any] | None = None, origin: str = "default"
    ) -> dict[str, Setting]:
        """Return every argument with its origin: as given, else `preset`, else its own default."""
        defaults = {name: spec.default for name, spec in self.args.items()} | dict(preset or {})
        return {
            name: Setting(checked[name], "given") if name in checked else Setting(value, origin)
            for name, value in defaults.items()
        }

    def check_args(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the given arguments, parsed and checked against `args`.

        Raises:
            SettingError: an unknown name (the nearest is named) or a value of the wrong kind.

        """
        return {name: self._check(name, value) for name, value in given.items()}

    def _check(self, name: str, value: Any) -> Any:
        spec = self.args.get(name)
        if spec is None:
            import difflib  # noqa: PLC0415  on the way to an error

            near = difflib.get_close_matches(name, self.args, n=2)
            known = (
                f"kvplan has an option of its own for it: {_OPTIONS[name]}."
                if name in _OPTIONS
                else f"Did you mean {' or '.join(near)}?"
                if near
                else f"It has: {', '.join(sorted(self.args)) or 'none'}."
            )
            raise SettingError(f"{self.name} has no argument {name[:40]!r} that kvplan knows.", hint=known)
        parsed = _parse(value, spec.kind)
        if parsed is None:
            wanted = " or ".join(spec.kind) if isinstance(spec.kind, tuple) else _KIND_WORDS[spec.kind]
            raise SettingError(f"{self.name}'s {name} is {show(value)}; {wanted} was expected.")
        return parsed


# Engines' flags that are options of every engine here.
_OPTIONS = {
    "model": "--model",
    "max_model_len": "--context",
    "tensor_parallel_size": "--tensor-parallel",
    "pipeline_parallel_size": "--pipeline-parallel",
    "data_parallel_size": "--data-parallel",
    "quantization": "--quantization",
    "kv_cache_dtype": "--kv-dtype",
    "kv_cache_memory_bytes": "--kv-cache-memory",
}
_KIND_WORDS: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number below 10^18",
    str: "a text",
    Size: "a size such as 1GiB",
}
_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def _parse(value: Any, kind: type | tuple[str, ...]) -> Any:
    """Return `value` as the kind asks, texts of the command line included; None where it cannot be meant."""
    if isinstance(kind, tuple):
        return value if value in kind else None
    if kind is bool:
        return _WORDS.get(str(value).lower()) if isinstance(value, str) or value in (0, 1) else None
    if isinstance(value, bool):
        return None
    if kind is Size:
        with suppress(SettingError):
            value = 0 if value == "0" else parse_size(value) if isinstance(value, str) else value
        return value if isinstance(value, int) and 0 <= value <= LARGEST_SIZE else None
    if kind is int:
        try:
            return value if isinstance(value, int) else int(str(value))
        except ValueError:
            return None
    if kind is float:
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            return None
        return number if abs(number) < 1e18 else None
    return value if isinstance(value, str) else None
