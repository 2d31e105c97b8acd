"""vLLM's settings, and the way from a model's layers to its groups and budget."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from kvplan.engines.base import ArgSpec, CacheLayout, Engine, MemoryBudget, Settings, Size, Stage
from kvplan.engines.vllm import adapters as slots
from kvplan.engines.vllm import changes, defaults, dtypes, loading, refusals, states, v0
from kvplan.engines.vllm.budget import Division
from kvplan.engines.vllm.grouping import Group, Registered, group_layers, group_of_layers
from kvplan.engines.vllm.kernel_layouts import Kernels
from kvplan.engines.vllm.kernels import INSTINCT, Device
from kvplan.engines.vllm.layout import VllmLayout
from kvplan.engines.vllm.notes import notes
from kvplan.engines.vllm.profile.peak import grows_to
from kvplan.engines.vllm.registry import Registry
from kvplan.engines.vllm.specs import Flight
from kvplan.errors import SettingError
from kvplan.gpus import GpuSpec
from kvplan.models.spec import ModelSpec
from kvplan.parallel import Parallelism
from kvplan.units import GIB
from kvplan.weights.figure import WeightItem
from kvplan.weights.ranks import RankParts, Ranks

if TYPE_CHECKING:
    from kvplan.checkpoints.adapters import Adapter


# config/model.py ModelDType; config/compilation.py CUDAGraphMode.
_DTYPES = ("auto", "half", "float16", "bfloat16", "float", "float32")
_GRAPH_MODES = ("FULL_AND_PIECEWISE", "FULL_DECODE_ONLY", "FULL", "PIECEWISE", "NONE")


class Vllm(Engine):
    """`vllm serve`."""

    name: ClassVar[str] = "vllm"
    latest: ClassVar[str] = "0.33"
    oldest: ClassVar[str] = "0.8"
    # What is still in use: a sampler that sorts (0.10), graphs beside the fraction (0.19), lengths in flight as they were
    # (0.24), two runners (0.28).
    stand_for_others: ClassVar[tuple[str, ...]] = ("0.10.2", "0.19.1", "0.24", "0.28")
    title: ClassVar[str] = "vLLM: paged groups over one pool, by the rules of each release from 0.8 to 0.33"
    args: ClassVar[Mapping[str, ArgSpec]] = {
        "gpu_memory_utilization": ArgSpec(float, "fraction of the GPU that vLLM lets itself use"),
        "max_num_seqs": ArgSpec(int, "most requests in one batch"),
        "max_num_batched_tokens": ArgSpec(int, "most tokens of one step"),
        "block_size": ArgSpec(int, "positions of a block", None),
        "num_gpu_blocks_override": ArgSpec(int, "blocks of the pool, whatever the memory", None),
        "enforce_eager": ArgSpec(bool, "no CUDA graphs", default=False),
        "cudagraph_mode": ArgSpec(_GRAPH_MODES, "which graphs are captured (compilation_config)", "FULL_AND_PIECEWISE"),
        "max_cudagraph_capture_size": ArgSpec(int, "largest batch that is captured; default: twice max_num_seqs", None),
        "estimate_cudagraph_memory": ArgSpec(
            bool, "VLLM_MEMORY_PROFILER_ESTIMATE_CUDAGRAPHS: whether graphs are taken from the cache", default=True
        ),
        "use_v1": ArgSpec(bool, "VLLM_USE_V1, before 0.11; default: where V1 takes the model", None),
        "use_v2_model_runner": ArgSpec(bool, "VLLM_USE_V2_MODEL_RUNNER; default: by version and model", None),
        "dtype": ArgSpec(_DTYPES, "format of the weights and activations that are not quantised", "auto"),
        "cpu_offload_gb": ArgSpec(float, "GiB of weights of each GPU that stay in host memory", 0.0),
        "kv_offloading_size": ArgSpec(float, "GiB of host memory for caches, over all GPUs", 0.0),
        "limit_images": ArgSpec(int, "pictures of one request (limit_mm_per_prompt)", None),
        "gpu_memory_used": ArgSpec(Size, "what others use of each GPU (no flag of vLLM's)", 0),
        "enable_lora": ArgSpec(bool, "set slots for adapters aside though none is named", default=False),
        "skip_mm_profiling": ArgSpec(bool, "leave the encoder out of the profile run", default=False),
        "enable_prefix_caching": ArgSpec(bool, "keep blocks of shared prefixes"),
        "disable_hybrid_kv_cache_manager": ArgSpec(bool, "page windows for every position"),
        "kv_transfer_config": ArgSpec(str, "the KV connector, by name or as vLLM's JSON", ""),
        "num_speculative_tokens": ArgSpec(int, "draft tokens of a step; default: one for each next-token layer", None),
        "usage": ArgSpec(("serve", "llm"), "`vllm serve`, or offline use of LLM(), which have other defaults", "serve"),
        "mamba_cache_mode": ArgSpec(("auto", *states.CACHE_MODES), "which states prefix caching keeps", "auto"),
        "attention_backend": ArgSpec(
            str, "attention kernel, by vLLM's name; before 0.13 VLLM_ATTENTION_BACKEND", "auto"
        ),
        "gdn_prefill_backend": ArgSpec(("auto", "flashinfer", "triton"), "kernel of gated delta nets", "auto"),
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
    # 55 of the 61 starts in kvplan/accuracy/vllm_field.jsonl that name their version lie within 1 % (29 Nov 2026; the 87 rows'
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
        model_dtype = dtypes.model_dtype(model, checked.get("dtype", "auto"))
        release = changes.version_tuple(version)
        dtype = dtypes.cache_dtype(kv_dtype, model, model_dtype, gpu, release)
        old = v0.why(
            checked.get("use_v1"),
            model,
            release,
            gpu=gpu,
            kv_dtype=dtype,
            model_dtype=model_dtype,
            parallel=parallel,
        )
        preset = defaults.preset(version, model, gpu, checked, on_v0=old is not None)
        args = self.with_defaults(checked, preset, f"default of vLLM {version}")
        refusals.check_vendor(gpu)
        refusals.check(args, given=checked, model=model, parallel=parallel)
        return Settings(
            version=version,
            args=args,
            kv_dtype=dtype,
            model_dtype=model_dtype,
            notes=tuple(notes(version, gpu, model, parallel, old)),
        )

    def layout(
        self, *, model: ModelSpec, stage: Stage, parallel: Parallelism, settings: Settings, gpu: GpuSpec | None
    ) -> CacheLayout:
        """Return the groups of a stage's fullest rank: formed over the whole model, then cut to the stage."""
        version = changes.version_tuple(settings.version)
        drafts = _draft_tokens(settings, model)
        registry = Registry(
            model=model,
            settings=settings,
            tensor=parallel.tensor,
            device=_device(gpu, version),
            drafts=drafts,
            plain_dtype=settings.kv_dtype == settings.model_dtype,
        )
        refusals.check_context_parallel(model, parallel)
        on_stage = (
            parallel.stages(len(model.layers))[stage.index] if parallel.pipeline > 1 else range(len(model.layers))
        )
        batched = settings["max_num_batched_tokens"]
        flight = Flight(
            tokens=defaults.concurrent_batches(model, version, parallel.pipeline) * batched,
            encoder_tokens=_encoder_tokens(model, settings, version),
            context_ranks=parallel.context,
            retained=max(drafts - 1, 0) if _reads_ahead(model, version, drafts) else 0,
        )
        layers = registry.layers
        if v0.runs(model, settings, gpu, parallel):
            layers = tuple(layer for layer in v0.layers(registry) if layer[0] in on_stage)
            groups: tuple[Group, ...] = (group_of_layers(layers),) if layers else ()
            version = v0.ACCOUNTS
        elif changes.applies("groups_over_stages", version):
            groups = self._groups(registry, layers)
            if parallel.pipeline > 1:
                layers = tuple(layer for layer in layers if layer[0] in on_stage)
                groups = tuple(group.on_stage(on_stage) for group in groups)
        else:
            layers = tuple(layer for layer in layers if layer[0] in on_stage)
            groups = self._groups(registry, layers)
        return VllmLayout(
            parts=groups,
            flight=flight,
            model_dtype=settings.model_dtype,
            version=version,
            registered=tuple(spec for _, spec in layers),
            blocks_override=settings["num_gpu_blocks_override"],
            block_tokens=registry.block_tokens,
            # Over all ranks of a replica (config/cache.py kv_offloading_size).
            host_bytes=int(settings["kv_offloading_size"] * GIB) // (parallel.tensor * parallel.pipeline),
        )

    @staticmethod
    def _groups(registry: Registry, layers: Sequence[Registered]) -> tuple[Group, ...]:
        return group_layers(
            layers,
            hybrid=not registry.settings["disable_hybrid_kv_cache_manager"],
            block_outermost=registry.block_outermost,
            version=registry.version,
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
        version = changes.version_tuple(settings.version)
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
    ) -> WeightItem | None:
        """Return max_loras slots of max_lora_rank; None where there are neither adapters nor enable_lora.

        Raises:
            SettingError: vLLM loads no such adapter, or its rank is beyond what it, or the given max_lora_rank, takes.

        """
        if not adapters and not settings["enable_lora"]:
            return None
        if not changes.applies("v1", changes.version_tuple(settings.version)):
            # V0 makes its slots after it has measured what loading took, and before the profile run: they are not charged.
            return slots.slots_item(model, layers, ranks, slots=0, rank=0)
        slots.check(adapters)
        needed = [adapter.rank or 0 for adapter in adapters]
        rank = settings["max_lora_rank"] or slots.smallest_rank(needed)
        if rank is None or max(needed, default=0) > rank:
            raise SettingError(
                f"vLLM refuses an adapter of rank {max(needed)}: max_lora_rank is at most {rank or slots.RANKS[-1]}.",
                hint=f"max_lora_rank takes {', '.join(map(str, slots.RANKS))}.",
            )
        return slots.slots_item(model, layers, ranks, slots=settings["max_loras"], rank=rank)

    def relief(self, settings: Settings, requests: int) -> Iterator[tuple[str, Any]]:
        """Yield a batch that holds the requests, a smaller one, another fraction of the GPU, no CUDA graphs."""
        seqs, fraction = settings["max_num_seqs"], settings["gpu_memory_utilization"]
        if seqs < requests:
            yield "max_num_seqs", requests
        if seqs > (few := max(64, requests)):
            yield "max_num_seqs", few
        if settings["gpu_memory_used"]:
            # Beside others less may be asked for, in twentieths.
            yield from (("gpu_memory_utilization", step / 20) for step in range(math.ceil(fraction * 20) - 1, 0, -1))
        elif fraction < 0.95:
            yield "gpu_memory_utilization", 0.95
        if not settings["enforce_eager"]:
            yield "enforce_eager", True

    def history(self) -> Iterator[tuple[str, str, str]]:
        """Yield the dated entries of `changes`, oldest release first."""
        for change in sorted(changes.CHANGES, key=lambda change: change.since):
            yield ".".join(map(str, change.since)), change.what, change.source

    def refuses(self, model: ModelSpec, context: int) -> str | None:
        """Refuse lengths beyond the model's own maximum (config/model.py _get_and_verify_max_len)."""
        longest = model.max_context_tokens
        if longest is None or context <= longest:
            return None
        return (
            f"vLLM does not start with a length of {context:,}: the model's own maximum is {longest:,} "
            "(VLLM_ALLOW_LONG_MAX_MODEL_LEN=1 overrules that)."
        )

    def budget_grows_to(
        self, *, model: ModelSpec, parallel: Parallelism, settings: Settings, gpu: GpuSpec
    ) -> int | None:
        """Return the length up to which the profile run grows with max_model_len."""
        return grows_to(model, on_v0=v0.runs(model, settings, gpu, parallel))

    def budget(
        self,
        *,
        model: ModelSpec,
        stage: Stage,
        parallel: Parallelism,
        settings: Settings,
        gpu: GpuSpec,
        context: int,
    ) -> MemoryBudget:
        """Return the fraction, less weights, the profile run's peak, graphs and the runtime."""
        release = changes.version_tuple(settings.version)
        return Division(
            model=model,
            stage=stage,
            ranks=self.ranks(model=model, parallel=parallel, settings=settings),
            parallel=parallel,
            settings=settings,
            gpu=gpu,
            version=release,
            context=context,
            on_v0=v0.runs(model, settings, gpu, parallel),
        ).budget()


def _device(gpu: GpuSpec | None, version: changes.Version) -> Device:
    """Return what kernels are chosen by; an H100 where no GPU is named."""
    vendor = gpu.vendor if gpu is not None and gpu.vendor in ("AMD", "Intel") else "NVIDIA"
    generation = defaults.generation(gpu)
    if gpu is not None and vendor == "AMD":
        generation = INSTINCT if gpu.architecture.upper().startswith("CDNA") else (0, 0)
    return Device(vendor=vendor, generation=generation, version=version)


def _draft_tokens(settings: Settings, model: ModelSpec) -> int:
    """Return the draft tokens of a step: given, else one for each next-token layer (n_predict), or one; 0 without a draft."""
    given = settings["num_speculative_tokens"]
    if given is not None:
        return int(given)
    if model.speculates is None:
        return 0
    return max(len(model.draft_layers), 1) if model.speculates == "mtp" else 1


def _reads_ahead(model: ModelSpec, version: changes.Version, drafts: int) -> bool:
    """Whether several next-token modules read ahead of each other (config/speculative.py use_multi_module_mtp)."""
    several = model.speculates == "mtp" and min(len(model.draft_layers), drafts) > 1
    return several and changes.applies("module_lookahead", version)


def _encoder_tokens(model: ModelSpec, settings: Settings, version: changes.Version) -> int:
    """Return the positions that cross-attention reserves: a batch's, before that the encoder's longest input."""
    if changes.applies("cross_by_batch", version):
        return int(settings["max_num_batched_tokens"])
    return int(settings["encoder_tokens"] or model.encoder_tokens or settings["max_num_batched_tokens"])
