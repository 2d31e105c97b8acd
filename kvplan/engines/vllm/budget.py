"""How vLLM divides a GPU: a fraction of it, less weights, the profile run's peak, CUDA graphs and what the runtime takes.

available = ceil(total x gpu_memory_utilization) - weights - peak - graphs (from 0.21 on) - runtime.
Source: v1/worker/gpu_worker.py determine_available_memory (0.8 to 0.33), worker/worker.py (V0); utils/mem_utils.py.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from kvplan.engines.base import BudgetItem, MemoryBudget, Settings, Stage, divide, weights_item
from kvplan.engines.vllm.changes import Version, applies
from kvplan.engines.vllm.profile import graphs
from kvplan.engines.vllm.profile.peak import Peak, ProfileRun
from kvplan.engines.vllm.profile.runner import Runner, is_v2
from kvplan.engines.vllm.runtime import runtime
from kvplan.gpus import GpuSpec
from kvplan.models.spec import ModelSpec
from kvplan.parallel import Parallelism
from kvplan.units import GIB, MIB, format_bytes
from kvplan.weights.ranks import Ranks

# What the parts' own bounds are widened by, so that nine in ten logs that they were not fitted to lie inside: by `kvplan
# accuracy` 90 % of those refitted without their model do; without widening 83 % of the logs that they were fitted to did.
CALIBRATION = 1.25
# What the smallest runs miss beyond their share: 17 MiB in a log of 0.25 GiB; with it 42 of 47 logs lie inside.
_SMALL_RUN = 64 * MIB
_PLAIN = ("bfloat16", "float16", "float32")


@dataclass(frozen=True, kw_only=True)
class Division:
    """The division of the GPU of one stage's rank.

    Attributes:
        model, stage, ranks, parallel: what is served, and how it is spread.
        settings: of the engine.
        gpu: which.
        version: of vLLM.
        context: max_model_len.
        on_v0: whether the V0 engine runs.

    """

    model: ModelSpec
    stage: Stage
    ranks: Ranks
    parallel: Parallelism
    settings: Settings
    gpu: GpuSpec
    version: Version
    context: int
    on_v0: bool

    def budget(self) -> MemoryBudget:
        """Return it."""
        fraction = self.settings["gpu_memory_utilization"]
        total = self.gpu.torch_bytes
        run = self._run
        divided = divide(
            total_bytes=self.gpu.driver_bytes,
            budget_bytes=_requested(total, fraction),
            budget_low=_requested(self.gpu.torch_low_bytes, fraction),
            budget_high=_requested(self.gpu.torch_high_bytes, fraction),
            items=[self._weights(), _activation(run.peak()), *self._graphs(run), self._runtime()],
            calibration=CALIBRATION,
            formula=f"{fraction:g} x {total:,} B (what torch sees)",
            source="vLLM v1/worker/utils.py request_memory",
        )
        return replace(divided, refusal=self._refusal(divided.budget_bytes))

    def _refusal(self, budget_bytes: int) -> str | None:
        """Return why the worker does not start: others leave less free than it wants (gpu_worker.py init_device)."""
        used = self.settings["gpu_memory_used"]
        free = self.gpu.torch_bytes - used
        if not used or free >= budget_bytes or not applies("free_memory_checked", self.version):
            return None
        share = max(free, 0) / self.gpu.torch_bytes
        return (
            f"vLLM does not start: {format_bytes(max(free, 0))} are free beside what others use, and gpu_memory_utilization "
            f"asks for {format_bytes(budget_bytes)}; up to {math.floor(share * 100) / 100:g} would be there."
        )

    def _weights(self) -> BudgetItem:
        """Return the weights on the GPU: what --cpu-offload-gb keeps in host memory is not (model_executor/offloader)."""
        item = weights_item(self.stage)
        kept = int(self.settings["cpu_offload_gb"] * GIB)
        if not kept:
            return item
        sizes = {name: max(getattr(item, name) - kept, 0) for name in ("bytes", "low", "high")}
        return replace(item, **sizes, formula=f"{item.formula}, less {format_bytes(kept)} in host memory")

    def _lost_to_experts_on_rocm(self) -> int:
        """Return what 16-bit experts may cost beside themselves on AMD from 0.27 on: half of them, in the one log there is.

        Qwen3-30B-A3B on an MI300X under 0.28 has 29 GiB less than its weights leave, where Llama-3.1-8B has 2.3 GiB less.
        """
        weights = self.stage.weights
        if (
            self.gpu.vendor != "AMD"
            or weights is None
            or weights.scheme not in _PLAIN
            or not applies("consumed", self.version)
        ):
            return 0
        return weights.by_component.get("experts", 0) // 2

    @property
    def _run(self) -> ProfileRun:
        return ProfileRun(
            model=self.model,
            stage=self.stage,
            ranks=self.ranks,
            settings=self.settings,
            gpu=self.gpu,
            version=self.version,
            runner=self._runner,
            context=self.context,
        )

    @property
    def _runner(self) -> Runner:
        if self.on_v0:
            return "V0"
        asked = self.settings["use_v2_model_runner"]
        if asked is not None:
            return "V2" if asked else "V1"
        scheme = self.stage.weights.scheme if self.stage.weights else ""
        return "V2" if is_v2(self.model, self.version, quantised=scheme not in _PLAIN) else "V1"

    def _graphs(self, run: ProfileRun) -> Iterator[BudgetItem]:
        if not graphs.are_subtracted(run.runner, self.version, self.settings, self.gpu):
            return
        sizes = len(graphs.capture_sizes(self.version, self.settings, self.gpu))
        yield graphs.estimate(self.model, self.gpu, run.runner, len(self.stage.layers), sizes)

    def _runtime(self) -> BudgetItem:
        captured = not self.settings["enforce_eager"]
        rule = "v2_graphs_subtracted" if self._runner == "V2" else "graphs_tried"
        tried = captured and applies(rule, self.version)
        kind = runtime(self.gpu, self.parallel, self.version, graphs=captured, tried=tried)
        # Before, everything on the GPU that is not torch's own was charged, whoever it belonged to.
        others = 0 if self.on_v0 or applies("free_memory_checked", self.version) else self.settings["gpu_memory_used"]
        middle, low, high = (int(figure * GIB) + others for figure in (kind.middle, kind.low, kind.high))
        high += self._lost_to_experts_on_rocm()
        return BudgetItem(
            name="runtime",
            bytes=middle,
            low=low,
            high=high,
            formula=f"{kind.middle:g} GiB: {kind.kind}",
            source="fit to what logs print outside torch",
            fit=f"runtime: {kind.fitted_to}",
            units=1,
        )


def _requested(total: int, fraction: float) -> int:
    """Return ceil(total x fraction), as the worker does (v1/worker/utils.py request_memory)."""
    return math.ceil(total * fraction)


def _activation(peak: Peak) -> BudgetItem:
    held = "".join(f" + {phase.name} {phase.formula}" for phase in peak.held)
    return BudgetItem(
        name="activation",
        bytes=peak.bytes,
        low=int(peak.bytes * peak.low),
        high=int(peak.bytes * peak.high) + _SMALL_RUN,
        formula=f"{peak.largest.name}: {peak.largest.formula}{held}",
        source="vLLM's profile run: v1/worker/gpu_model_runner.py profile_run, v1/worker/gpu/model_runner.py",
    )
