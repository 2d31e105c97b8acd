"""The field corpus: published start-up logs of vLLM on real GPUs, one JSON line each (`vllm_field.jsonl`).

A line says what was started (what `kvplan.estimate` is asked), what the log printed, and of which figure it is no measure.
Figures are as printed: GiB per GPU, with the digits behind the point that the source gives. Unknown keys are absent.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

from kvplan.catalogue import MODELS
from kvplan.errors import SpecError
from kvplan.units import GIB

VLLM_FIELD = Path(__file__).with_name("vllm_field.jsonl")

# What a log can be a measure of; `excluded` names them, or `all`.
Figure = Literal["weights", "available", "capacity", "bytes_per_token"]
FIGURES: tuple[Figure, ...] = ("weights", "available", "capacity", "bytes_per_token")

# How much of what was started the source says, most first.
Kind = Literal["stated", "no version", "architecture", "speculative"]
KINDS: tuple[Kind, ...] = ("stated", "no version", "architecture", "speculative")


@dataclass(frozen=True, kw_only=True)
class Log:
    """One start of an engine, as far as its source tells.

    Attributes:
        id, source, date: where the log was found.
        quality: A: bytes per token can be told from it; B: some figure can; C: context only.
        version: of vLLM; None: not named. `version_note` has the build that it stands for, `core` the V0 engine.
        machine: rows of one machine or one author share this word; None: not visible.
        model: what kvplan is asked for, found in the catalogue without a network; None where the model is not there.
        published: the name as printed, where `model` is its architecture and not its very repository.
        gpu: catalogue key, or a size; None: not named. `total_gib` is what torch sees, as printed.
        tensor, pipeline, data: ranks.
        quantization: where the catalogue's checkpoint is not in the format that was loaded.
        kv_dtype: format of the cache; None: `auto`, or not stated.
        context: the length that the concurrency was printed for, else the longest; None: not stated.
        kv_cache_memory: bytes of cache that were given outright.
        draft: as `kvplan.estimate` takes it.
        args: vLLM's own settings that count. `flags`: others that the source states, which count once the engine knows them.
        inferred: keys that the source does not print.
        logged: the printed figures, by name. `digits`: those behind the point where there are not two.
        refused: why vLLM did not start; None: it did, or the source does not say.
        excluded: of which figure the row is no measure, and why (`all`: of none).
        known: why kvplan is known to be off, by figure.
        notes: what else counts.

    """

    id: str
    source: str
    quality: str
    logged: Mapping[str, float]
    tensor: int
    date: str | None = None
    version: str | None = None
    version_note: str | None = None
    core: str | None = None
    machine: str | None = None
    model: str | None = None
    published: str | None = None
    gpu: str | None = None
    total_gib: float | None = None
    pipeline: int = 1
    data: int = 1
    quantization: str | None = None
    kv_dtype: str | None = None
    context: int | None = None
    kv_cache_memory: int | None = None
    draft: str | None = None
    args: Mapping[str, Any] = field(default_factory=dict)
    flags: Mapping[str, Any] = field(default_factory=dict)
    inferred: tuple[str, ...] = ()
    digits: Mapping[str, int] = field(default_factory=dict)
    refused: str | None = None
    excluded: Mapping[str, str] = field(default_factory=dict)
    known: Mapping[str, str] = field(default_factory=dict)
    notes: str | None = None

    @property
    def group(self) -> tuple[str | None, str | None, int]:
        """What counts once, however many logs there are of it."""
        return self.model, self.gpu, self.tensor

    @cached_property
    def kind(self) -> Kind:
        """How much of what was started the source says; a draft comes first, for it changes every figure."""
        if self.draft is not None:
            return "speculative"
        if self.published is not None:
            return "architecture"
        return "no version" if self.version is None else "stated"

    def measures(self, figure: Figure) -> bool:
        """Whether the row is a measure of this figure, as far as its model and its exclusions go."""
        return self.model is not None and not self.excluded.keys() & {"all", figure}

    def printed(self, name: str) -> float | None:
        """Return a printed figure, None where the log has none."""
        return self.logged.get(name)

    def size(self, name: str) -> int | None:
        """Return a size that was printed in GiB, in bytes."""
        value = self.logged.get(name)
        return None if value is None else round(value * GIB)

    def bounds(self, name: str) -> tuple[int, int] | None:
        """Return the bytes that a printed size may stand for: half of its last digit to both sides."""
        value = self.logged.get(name)
        if value is None:
            return None
        half = 0.5 * 10.0 ** -self.digits.get(name, 2)
        return int((value - half) * GIB), int((value + half) * GIB)

    @property
    def tokens_are_of_groups(self) -> bool:
        """Whether the printed tokens are not concurrency x length: several cache groups, and a version before 0.20.2."""
        tokens, concurrency, length = (self.logged.get(n) for n in ("tokens", "concurrency", "concurrency_len"))
        if not tokens or not concurrency or not length:
            return False
        # Concurrency has two digits behind the point.
        return abs(tokens / length - concurrency) > 0.02 * concurrency + self.half("concurrency")

    def half(self, name: str) -> float:
        """Return half of the last digit of a printed figure."""
        return 0.5 * 10.0 ** -self.digits.get(name, 2)


@lru_cache(maxsize=4)
def read_logs(path: Path = VLLM_FIELD) -> tuple[Log, ...]:
    """Return the rows of the corpus, in its order.

    Raises:
        SpecError: a line is no row; names it.

    """
    logs = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            row = json.loads(line)
            logs.append(Log(**{**row, "inferred": tuple(row.get("inferred", ()))}))
        except (ValueError, TypeError) as error:
            raise SpecError(f"{path.name}, line {number}, is no row of the field corpus: {error}.") from error
    return tuple(logs)


def entry(log: Log) -> str | None:
    """Return the catalogue entry of a row's model: one name for all repositories of an architecture."""
    if log.model is None:
        return None
    found = MODELS.find(log.model)
    if found is not None:
        return found.id
    listed = MODELS.find_checkpoint(log.model)
    return listed[0].id if listed else log.model


_FOLD_OF: Mapping[str, Callable[[Log], str]] = {
    "model": lambda log: entry(log) or "none",
    "gpu": lambda log: log.gpu or "none",
}


def folds(logs: Iterable[Log], by: Literal["model", "gpu"]) -> Iterator[tuple[str, list[Log], list[Log]]]:
    """Yield (name, rows to fit on, rows to score) for each model or GPU that is left out in turn.

    A model is its catalogue entry: another quantisation of it never helps to fit it.
    """
    rows = list(logs)
    own: dict[str, list[Log]] = defaultdict(list)
    for log in rows:
        own[_FOLD_OF[by](log)].append(log)
    for name, held in sorted(own.items()):
        ids = {log.id for log in held}
        yield name, [log for log in rows if log.id not in ids], held
