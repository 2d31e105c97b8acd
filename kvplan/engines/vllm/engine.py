"""vLLM's settings, and the way from a model's layers to its groups and budget."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from kvplan.dtypes import Dtype, find_dtype
from kvplan.engines.base import ArgSpec, CacheLayout, Engine, MemoryBudget, Settings, Stage
from kvplan.engines.vllm import adapters as slots
from kvplan.engines.vllm import budget as vllm_budget
from kvplan.engines.vllm import defaults, loading, refusals, states
from kvplan.engines.vllm.departures import ignores_kv_dtype
from kvplan.engines.vllm.grouping import group_layers
from kvplan.engines.vllm.kernel_layouts import Kernels
from kvplan.engines.vllm.layout import VllmLayout
from kvplan.engines.vllm.registry import Registry
from kvplan.engines.vllm.specs import Flight
from kvplan.errors import SettingError
from kvplan.gpus import GpuSpec
from kvplan.models.spec import ModelSpec, Note
from kvplan.parallel import Parallelism
from kvplan.weights.figure import WeightItem
from kvplan.weights.ranks import RankParts, Ranks

if TYPE_CHECKING:
    from kvplan.checkpoints.adapters import Adapter


class Vllm(Engine):
    """`vllm serve`."""

    name: ClassVar[str] = "vllm"
    latest: ClassVar[str] = "0.33"
    title: ClassVar[str] = "vLLM: paged groups over one pool, exact for 0.33; first budget with wide bounds"
    args: ClassVar[Mapping[str, ArgSpec]] = {
        "gpu_memory_utilization": ArgSpec(float, "fraction of the GPU that vLLM lets itself use"),
        "max_num_seqs": ArgSpec(int, "most requests in one batch"),
        "max_num_batched_tokens": ArgSpec(int, "most tokens of one step"),
        "block_size": ArgSpec(int, "positions of a block", None),
        "num_gpu_blocks_override": ArgSpec(int, "blocks of the pool, whatever the memory", None),
        "enforce_eager": ArgSpec(bool, "no CUDA graphs", default=False),
        "enable_prefix_caching": ArgSpec(bool, "keep blocks of shared prefixes"),
        "disable_hybrid_kv_cache_manager": ArgSpec(bool, "page windows for every position", default=False),
        "mamba_cache_dtype": ArgSpec(str, "format of convolution states", "auto"),
        "mamba_ssm_cache_dtype": ArgSpec(str, "format of recurrent states", "auto"),
        "decode_context_parallel_size": ArgSpec(int, "ranks that split the positions of a decode", 1),
        "enable_expert_parallel": ArgSpec(bool, "whole experts on each rank", default=False),
        "num_redundant_experts": ArgSpec(int, "copies of busy experts (eplb_config)", 0),
        "mm_encoder_tp_mode": ArgSpec(("weights", "data"), "whether ranks split the towers' weights", "weights"),
        "language_model_only": ArgSpec(bool, "no towers (or limit_mm_per_prompt all zero)", default=False),
        "max_loras": ArgSpec(int, "adapters in one batch", slots.DEFAULT_SLOTS),
        "max_lora_rank": ArgSpec(int, "largest rank of an adapter; default: what the adapters need, at least 16", None),
        "encoder_tokens": ArgSpec(int, "length of the encoder's input", None),
    }

    batch_arg: ClassVar[str] = "max_num_seqs"
    # config/speculative.py verify_equal_vocab_size_if_draft_model.
    drafts_share_vocabulary: ClassVar[bool] = True
    context_parallel_arg: ClassVar[str] = "decode_context_parallel_size"
    # 55 of the 61 starts in tests/corpora/field/weights.jsonl that name their version lie within 1 % (29 Nov 2026; the 87 rows'
    # quantiles at 5 % and 95 % were 0.9909 and 1.0164). Nothing else was fitted to them.
    weights_spread: ClassVar[tuple[int, int]] = (990, 1010)

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
        """Return the flags, with their defaults.

        Raises:
            SettingError: a flag that vLLM would refuse, or heads that the tensor-parallel size does not divide.

        """
        checked = self.check_args(given)
        for name in ("mamba_cache_dtype", "mamba_ssm_cache_dtype"):
            if name in checked:
                checked[name] = states.known_state_dtype(name, checked[name])
        preset = _defaults(version, model, gpu, checked)
        args = self.with_defaults(checked, preset, f"default of vLLM {version}")
        refusals.check_vendor(gpu)
        refusals.check(args, given=checked, model=model, parallel=parallel)
        model_dtype = find_dtype(model.dtype)
        if model_dtype.name == "float32":
            # --dtype auto loads float32 checkpoints in 16 bits (config/model.py _resolve_auto_dtype).
            model_dtype = find_dtype("bfloat16")
        return Settings(
            version=version,
            args=args,
            kv_dtype=_kv_dtype(kv_dtype, model, model_dtype, gpu),
            model_dtype=model_dtype,
            notes=tuple(_notes(version, gpu, model, parallel)),
        )

    def layout(
        self, *, model: ModelSpec, stage: Stage, parallel: Parallelism, settings: Settings, gpu: GpuSpec | None
    ) -> CacheLayout:
        """Return the groups of a stage's fullest rank: formed over the whole model, then cut to the stage."""
        registry = Registry(
            model=model,
            settings=settings,
            tensor=parallel.tensor,
            generation=defaults.generation(gpu),
        )
        refusals.check_context_parallel(model, parallel)
        groups = group_layers(
            registry.layers,
            hybrid=not settings["disable_hybrid_kv_cache_manager"],
            block_outermost=registry.block_outermost,
        )
        if parallel.pipeline > 1:
            layers = parallel.stages(len(model.layers))[stage.index]
            groups = tuple(group.on_stage(layers) for group in groups)
        batched = settings["max_num_batched_tokens"]
        return VllmLayout(
            parts=groups,
            flight=Flight(
                tokens=defaults.concurrent_batches(parallel.pipeline) * batched,
                encoder_tokens=batched,
                context_ranks=parallel.context,
            ),
            model_dtype=settings.model_dtype,
            blocks_override=settings["num_gpu_blocks_override"],
            block_tokens=registry.block_tokens,
        )

    def ranks(self, *, model: ModelSpec, parallel: Parallelism, settings: Settings) -> Ranks:
        """Return the split of weights: experts over tensor x data ranks, whole ones with expert parallelism.

        Source: model_executor/layers/fused_moe/config.py FusedMoEParallelConfig.make; vocab_parallel_embedding.py.
        """
        expert_ranks = parallel.tensor * (parallel.data if model.moe is not None else 1)
        whole_experts = settings["enable_expert_parallel"] and expert_ranks > 1
        return Ranks(
            tensor=parallel.tensor,
            experts_over=expert_ranks if whole_experts else 1,
            expert_pieces=1 if whole_experts else expert_ranks,
            redundant_experts=settings["num_redundant_experts"] if whole_experts else 0,
            vocabulary_multiple=loading.VOCABULARY_MULTIPLE,
            whole=loading.TOWERS if settings["mm_encoder_tp_mode"] == "data" else frozenset(),
            left_out=loading.TOWERS if settings["language_model_only"] else frozenset(),
        )

    def loading(
        self,
        *,
        model: ModelSpec,
        layers: range,
        parts: RankParts,
        plain_bytes: int,
        ranks: Ranks,
        settings: Settings,
        gpu: GpuSpec | None,
        drafts: bool,
    ) -> tuple[WeightItem, ...]:
        """Return rotary tables, what kernels and latent attention add, and torch's rounding."""
        version = defaults.version_tuple(settings.version)
        return loading.Loading(
            model=model,
            layers=layers,
            parts=parts,
            plain_bytes=plain_bytes,
            ranks=ranks,
            kernels=Kernels(
                model_type=model.model_type,
                vendor=gpu.vendor if gpu and gpu.vendor != "unknown" else "NVIDIA",
                generation=defaults.generation(gpu),
                version=version,
                splits_experts=ranks.expert_pieces > 1,
            ),
            batched_tokens=settings["max_num_batched_tokens"],
            drafts=drafts,
        ).items()

    def adapter_slots(
        self,
        *,
        model: ModelSpec,
        layers: range,
        ranks: Ranks,
        settings: Settings,
        adapters: Sequence["Adapter"],
    ) -> WeightItem:
        """Return max_loras slots of max_lora_rank.

        Raises:
            SettingError: vLLM loads no such adapter, or its rank is beyond what it, or the given max_lora_rank, takes.

        """
        slots.check(adapters)
        needed = [adapter.rank or 0 for adapter in adapters]
        rank = settings["max_lora_rank"] or slots.smallest_rank(needed)
        if rank is None or max(needed) > rank:
            raise SettingError(
                f"vLLM refuses an adapter of rank {max(needed)}: max_lora_rank is at most {rank or slots.RANKS[-1]}.",
                hint=f"max_lora_rank takes {', '.join(map(str, slots.RANKS))}.",
            )
        return slots.slots_item(model, layers, ranks, slots=settings["max_loras"], rank=rank)

    def relief(self, settings: Settings, requests: int) -> Iterator[tuple[str, Any]]:
        """Yield a batch that holds the requests, a smaller one, a larger fraction of the GPU, no CUDA graphs."""
        seqs = settings["max_num_seqs"]
        if seqs < requests:
            yield "max_num_seqs", requests
        if seqs > (few := max(64, requests)):
            yield "max_num_seqs", few
        if settings["gpu_memory_utilization"] < 0.95:
            yield "gpu_memory_utilization", 0.95
        if not settings["enforce_eager"]:
            yield "enforce_eager", True

    def refuses(self, model: ModelSpec, context: int) -> str | None:
        """Refuse lengths beyond the model's own maximum (config/model.py _get_and_verify_max_len)."""
        longest = model.max_context_tokens
        if longest is None or context <= longest:
            return None
        return (
            f"vLLM does not start with a length of {context:,}: the model's own maximum is {longest:,} "
            "(VLLM_ALLOW_LONG_MAX_MODEL_LEN=1 overrules that)."
        )

    def budget(
        self,
        *,
        model: ModelSpec,
        stage: Stage,
        parallel: Parallelism,
        settings: Settings,
        gpu: GpuSpec,
        context: int,  # noqa: ARG002
    ) -> MemoryBudget:
        """Return the fraction, less weights and allowances."""
        return vllm_budget.budget(
            model=model,
            stage=stage,
            parallel=parallel,
            settings=settings,
            gpu=gpu,
            version=defaults.version_tuple(settings.version),
        )


def _defaults(version: str, model: ModelSpec, gpu: GpuSpec | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the defaults that depend on version, model or GPU."""
    tokens, seqs = defaults.batch_defaults(gpu)
    tokens = max(tokens, defaults.largest_item(model))
    return {
        "gpu_memory_utilization": defaults.memory_fraction(version),
        # A batch has at most as many requests as tokens (engine/arg_utils.py).
        "max_num_seqs": min(seqs, given.get("max_num_batched_tokens", tokens)),
        "max_num_batched_tokens": tokens,
        "enable_prefix_caching": defaults.prefix_caching(model),
    }


# Families that take fp8 where no format is given: on Blackwell (model_executor/models/config.py), or always, and then in
# the packed form (models/deepseek_v4/attention.py _resolve_dsv4_kv_cache_dtype).
_FP8_ON_BLACKWELL = ("glm_moe_dsa", "glm5_next")
_FP8_ONLY = ("deepseek_v4", "deepseek_ref")


def _kv_dtype(asked: str, model: ModelSpec, model_dtype: Dtype, gpu: GpuSpec | None) -> Dtype:
    """Return the cache's format."""
    dtype = model_dtype if asked == "auto" else find_dtype(asked)
    if asked == "auto" and model.model_type in _FP8_ON_BLACKWELL and defaults.generation(gpu)[0] == 10:
        dtype = find_dtype("fp8_e4m3")
    if model.model_type in _FP8_ONLY:
        if asked != "auto" and not dtype.name.startswith("fp8"):
            raise SettingError(
                f"vLLM refuses the KV-cache dtype {asked}: {model.model_type} is cached in fp8 only.",
                hint="Use --kv-dtype fp8 or auto.",
            )
        return find_dtype("fp8_ds_mla")
    refusals.check_kv_dtype(dtype)
    return model_dtype if ignores_kv_dtype(model) else dtype


def _notes(version: str, gpu: GpuSpec | None, model: ModelSpec, parallel: Parallelism) -> list[Note]:
    notes = []
    if parallel.data > 1 and model.moe is not None:
        ranks = parallel.tensor * parallel.data
        notes.append(
            Note(
                f"Experts are split over {ranks} tensor x data-parallel ranks; for separate servers plan one of them",
                "vLLM 0.33 fused_moe/config.py FusedMoEParallelConfig.make",
            )
        )
    if gpu is not None:
        notes.append(Note("First budget: allowances from published logs, not yet vLLM's own profile run", "kvplan 0.1"))
    if defaults.version_tuple(version)[:2] != defaults.RULES:
        rules = ".".join(map(str, defaults.RULES))
        notes.append(
            Note(f"Allocator rules of vLLM {rules} used for {version}", f"vLLM {rules} v1/core/kv_cache_planning.py")
        )
    if gpu is not None and gpu.vendor not in ("NVIDIA", "unknown"):
        notes.append(Note(f"Block sizes of NVIDIA kernels used for {gpu.vendor}", "vLLM 0.33 platforms/cuda.py"))
    return notes
