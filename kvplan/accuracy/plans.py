"""What the present code plans for a row of the field corpus."""

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from kvplan.accuracy.corpus import Log
from kvplan.engines import find_engine
from kvplan.errors import KvplanError
from kvplan.gpus import GpuGroup, find_gpu
from kvplan.models.source import load_model
from kvplan.models.spec import ModelSpec
from kvplan.plan import Plan
from kvplan.planner import estimate
from kvplan.units import GIB

# A log of the V0 engine that names no version: the last release before V1 was the default.
_V0_RELEASE = "0.7.3"
# Beyond this a printed total is not the catalogue's card: shared memory whose share the owner sets, a modified card.
_SAME_CARD = 0.01


@dataclass(frozen=True)
class Planned:
    """The plans of one row. `refusal`: why kvplan makes none, None where it does."""

    log: Log

    @cached_property
    def model(self) -> ModelSpec:
        """The row's model.

        Raises:
            KvplanError: it is not in the catalogue, or no rule with a source establishes it.

        """
        return _model(self.log.model or "")

    @cached_property
    def refusal(self) -> str | None:
        """Why kvplan makes no plan of the row."""
        try:
            self.whole  # noqa: B018  made here, kept for later
        except KvplanError as error:
            return error.message
        return None

    @cached_property
    def whole(self) -> Plan:
        """The plan from the configuration alone."""
        return self.given(self.log.kv_cache_memory)

    def given(self, kv_cache_memory: int | None) -> Plan:
        """Return the plan with this much cache, None: what the budget leaves."""
        log = self.log
        return estimate(
            self.model,
            _group(log.gpu, log.total_gib),
            engine=_engine(log),
            tensor_parallel=log.tensor,
            pipeline_parallel=log.pipeline,
            data_parallel=log.data,
            context=log.context,
            quantization=log.quantization,
            kv_dtype=log.kv_dtype or "auto",
            kv_cache_memory=kv_cache_memory,
            engine_args={**log.args, **{name: value for name, value in log.flags.items() if name in _known_args()}},
            draft=log.draft,
        )

    @property
    def budget_is_stated(self) -> bool:
        """Whether GPU and fraction are there, so that what the budget leaves can be held to the log."""
        return self.log.gpu is not None and "gpu_memory_utilization" in self.log.args


def _engine(log: Log) -> str:
    version = log.version or (_V0_RELEASE if log.core == "V0" else None)
    return f"vllm@{version}" if version else "vllm"


@lru_cache(maxsize=512)
def _model(name: str) -> ModelSpec:
    return load_model(name)


@lru_cache(maxsize=256)
def _group(name: str | None, total_gib: float | None) -> GpuGroup | None:
    """Return the GPU, with the total that the log prints where that is not the catalogue's."""
    if name is None:
        return None
    group = find_gpu(name)
    if total_gib is None or abs(total_gib * GIB / group.gpu.torch_bytes - 1) <= _SAME_CARD:
        return group
    total = round(total_gib * GIB)
    gpu = replace(
        group.gpu,
        driver_bytes=max(total, group.gpu.driver_bytes if not group.gpu.unified else 0),
        torch_bytes=total,
        torch_low_bytes=total,
        torch_high_bytes=total,
    )
    return replace(group, gpu=gpu, origin=f"{total_gib:g} GiB in the log")


@lru_cache(maxsize=1)
def _known_args() -> frozenset[str]:
    return frozenset(find_engine("vllm")[0].args)
