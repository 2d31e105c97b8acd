"""The activation peak of the profile run: what is held throughout, and the largest of its phases."""

from dataclasses import dataclass
from typing import NamedTuple

from kvplan.caches import MLA, SparseIndex
from kvplan.engines.base import Settings, Stage
from kvplan.engines.vllm.changes import Version
from kvplan.engines.vllm.profile.encoder import NOTHING, encoding
from kvplan.engines.vllm.profile.experts import ExpertsOnRank, workspace_bytes
from kvplan.engines.vllm.profile.forward import widest
from kvplan.engines.vllm.profile.indexers import LOGITS_BYTES, index_workspace
from kvplan.engines.vllm.profile.items import has_rule, longest_video
from kvplan.engines.vllm.profile.runner import Runner
from kvplan.engines.vllm.profile.sampler import counts_bytes, sampler_bytes
from kvplan.gpus import GpuSpec
from kvplan.models.spec import Layer, ModelSpec
from kvplan.units import MIB
from kvplan.weights.parts import Part
from kvplan.weights.ranks import Ranks, shard

_NUMBER = 2
# torch aten/src/ATen/cuda/CUDABlas.cpp getChosenWorkspaceSize: 32 MiB on Hopper and newer, 8 MiB and a little before.
_CUBLAS_HOPPER, _CUBLAS = 32 * MIB, 8 * MIB + 128 * 1024
_HOPPER = (9, 0)
_CHUNKED_FROM, _V0_TOKENS = 32_768, 2048
# v1/attention/backends/mla/common.py: at most 64 Ki tokens' latents are expanded at once.
_EXPANDED_TOKENS = 64 * 1024
# Bounds, as shares of the peak: of 47 logs that print theirs and name version and repository 41 are met within 8 % or 0.1 GiB.
_LOW, _HIGH = 0.9, 1.1
# Bounds where the largest picture of a family is not known: those that are take from 256 to 38 Ki tokens.
_GUESSED = (0.5, 2.0)


class Phase(NamedTuple):
    """A use of memory in the profile run."""

    name: str
    bytes: int
    formula: str


class Peak(NamedTuple):
    """The profile run's memory beside weights.

    Attributes:
        held: what stays through the run.
        phases: what is alive one after the other; the largest counts.
        low, high: bounds, as shares of the peak.

    """

    held: tuple[Phase, ...]
    phases: tuple[Phase, ...]
    low: float = _LOW
    high: float = _HIGH

    @property
    def largest(self) -> Phase:
        """The phase that decides."""
        return max(self.phases, key=lambda phase: phase.bytes)

    @property
    def bytes(self) -> int:
        """The peak."""
        return sum(phase.bytes for phase in self.held) + self.largest.bytes


@dataclass(frozen=True, kw_only=True)
class ProfileRun:
    """The run of one stage's rank.

    Attributes:
        model, stage, ranks: what runs.
        settings: of the engine.
        gpu: where.
        version: of vLLM.
        runner: that runs it.
        context: max_model_len.

    """

    model: ModelSpec
    stage: Stage
    ranks: Ranks
    settings: Settings
    gpu: GpuSpec
    version: Version
    runner: Runner
    context: int

    def peak(self) -> Peak:
        """Return the peak."""
        model, tokens = self.model, self._tokens
        hidden = model.hidden_size * _NUMBER
        first, last = self.stage.index == 0, self._is_last
        seen = NOTHING
        if first and not self.settings["skip_mm_profiling"]:
            limit = self.settings["limit_images"]
            pictures = None if limit is None else limit * self.settings["max_num_seqs"]
            each = self.settings["max_num_seqs"] if self.runner == "V0" else None
            seen = encoding(model, self.ranks, tokens=tokens, context=self.context, pictures=pictures, sequences=each)
        kept, passing = self._experts()
        indexed, how_indexed = index_workspace(model, self.version, context=self.context, batched_tokens=tokens)
        width = widest(
            self.stage.layers,
            model.hidden_size,
            self.ranks,
            streams=self._streams,
            narrow_activations=self._narrow_activations,
        )
        forward = int(tokens * width.numbers * _NUMBER)
        held = [Phase(name="cuBLAS", bytes=self._cublas, formula="workspace")]
        if max(kept, indexed):
            # One buffer serves all that ask for it (v1/worker/workspace.py): the largest request counts.
            how = how_indexed if indexed > kept else f"experts' products for {tokens:,} tokens"
            held.append(Phase(name="workspace", bytes=max(kept, indexed), formula=how))
        phases = [
            Phase(
                name="forward pass",
                bytes=seen.held + forward + max(passing, self._latent_workspace, LOGITS_BYTES if indexed else 0),
                formula=f"{tokens:,} tokens x {width.numbers:,.0f} numbers x {_NUMBER} B ({width.where})",
            )
        ]
        if seen is not NOTHING:
            phases.append(Phase(name="encoder", bytes=seen.held + seen.peak, formula=seen.formula))
        if last:
            counts = counts_bytes(
                self.runner,
                self.version,
                sequences=self.settings["max_num_seqs"],
                vocabulary=model.vocab_size,
            )
            if counts:
                held.append(Phase(name="counts", bytes=counts, formula="of tokens seen, for penalties"))
            sequences = min(self.settings["max_num_seqs"], tokens)
            size, how = sampler_bytes(
                self.runner,
                self.version,
                sequences=sequences,
                vocabulary=model.vocab_size,
            )
            states = (tokens + sequences) * hidden
            phases.append(Phase(name="sampler", bytes=seen.held + size + states, formula=f"{how} + hidden states"))
        if seen is not NOTHING and not has_rule(model.model_type):
            return Peak(held=tuple(held), phases=tuple(phases), low=_GUESSED[0], high=_GUESSED[1])
        return Peak(held=tuple(held), phases=tuple(phases))

    @property
    def _tokens(self) -> int:
        given = self.settings.args["max_num_batched_tokens"]
        if self.runner != "V0" or given.origin == "given":
            return int(given.value)
        # V0 cuts prompts only beyond 32 Ki tokens (engine/arg_utils.py): until then a batch holds the longest.
        return _V0_TOKENS if self.context > _CHUNKED_FROM else max(_V0_TOKENS, self.context)

    @property
    def _is_last(self) -> bool:
        """Whether the stage has the head: its layers are the model's last."""
        return not self.stage.layers or self.stage.layers[-1] is self.model.layers[-1]

    @property
    def _cublas(self) -> int:
        generation = self.gpu.compute_capability
        return _CUBLAS_HOPPER if generation is not None and generation >= _HOPPER else _CUBLAS

    @property
    def _streams(self) -> int:
        streams = self.model.stated("hc_mult")
        return streams if isinstance(streams, int) else 0

    @property
    def _scheme(self) -> str:
        return self.stage.weights.scheme if self.stage.weights else ""

    @property
    def _narrow_activations(self) -> bool:
        return self._scheme.startswith(("int8", "fp8"))

    def _experts(self) -> tuple[int, int]:
        """Return what experts' workspaces keep, and what they take in passing."""
        moe = self.model.moe
        layer = None if moe is None else next((layer for layer in self.stage.layers if _expert_parts(layer)), None)
        if moe is None or layer is None or not moe.experts_per_token:
            return 0, 0
        parts = [shard(part, self.ranks) for part in _expert_parts(layer)]
        down = next((part for part in parts if part.name.endswith(("down_proj", "fc2", "w2"))), None)
        if down is None:
            return 0, 0
        first = sum(part.shape[0] for part in parts if part is not down)
        experts = ExpertsOnRank(
            per_token=moe.experts_per_token,
            width=down.shape[1],
            hidden=down.shape[0],
            gated=first > down.shape[1],
            backend=self._backend,
        )
        # Ranks that hold experts together gather each other's tokens (all2all_backend allgather_reducescatter).
        replicas = max(self.ranks.experts_over, self.ranks.expert_pieces) // self.ranks.tensor
        size, stays = workspace_bytes(experts, self._tokens * max(replicas, 1), self.version)
        return (size, 0) if stays else (0, size)

    @property
    def _backend(self) -> str:
        generation = self.gpu.compute_capability or _HOPPER
        if self._scheme == "mxfp4" and generation[0] == 9:
            return "triton_kernels"
        if self._scheme in ("nvfp4", "mxfp4") and generation[0] >= 10:
            return "fused"
        return "triton"

    @property
    def _latent_workspace(self) -> int:
        """What expanding cached latents takes: up to 64 Ki tokens x heads x (key without positions + value).

        Source: v1/attention/backends/mla/common.py (0.8 to 0.33: chunked_prefill_workspace_size), simulated in the run.
        """
        latents = [cache for cache, _ in self.model.caches if isinstance(cache, MLA)]
        if not latents or any(isinstance(cache, SparseIndex) for cache, _ in self.model.caches):
            return 0
        cache = latents[0]
        sequences = int(self.settings["max_num_seqs"])
        size = min(max(8 * self.context, 4 * sequences * 16), _EXPANDED_TOKENS)
        heads = -(-cache.heads // self.ranks.tensor)
        nope = max(cache.expanded_key_dim - cache.rope_dim, 0)
        return size * heads * 2 * nope * _NUMBER


def _expert_parts(layer: Layer) -> list[Part]:
    return [
        part
        for part in layer.parts
        if part.component == "experts" and part.split == "experts" and part.kind == "linear"
    ]


def grows_to(model: ModelSpec, *, on_v0: bool) -> int | None:
    """Return the max_model_len up to which the peak grows with it; 0: it does not; None: without end.

    Workspaces of indexers grow without end, V0's batches to 32 Ki tokens, videos to 14 frames, expanded latents to 8 Ki.
    """
    kinds = {cache.kind for cache, _ in model.caches}
    if "sparse_index" in kinds:
        return None
    return max(_CHUNKED_FROM + 1 if on_v0 else 0, longest_video(model), _EXPANDED_TOKENS // 8 if "mla" in kinds else 0)
