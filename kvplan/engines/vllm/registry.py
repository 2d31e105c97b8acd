"""From a model's layers to the specs that vLLM registers for them on one rank.

Source: vLLM 0.33 v1/worker/gpu/attn_utils.py get_kv_cache_spec; model_executor/layers/attention/*.py (each kind of layer).
"""

from dataclasses import dataclass, replace
from functools import cached_property

from kvplan.caches import (
    MLA,
    ChunkedLocal,
    CrossAttention,
    FullAttention,
    LayerCache,
    RecurrentState,
    SlidingWindow,
    SparseIndex,
)
from kvplan.caches.compressed import CompressorState
from kvplan.dtypes import Dtype, find_dtype
from kvplan.engines.base import Settings
from kvplan.engines.vllm import compressed, states
from kvplan.engines.vllm.defaults import BLOCK_TOKENS
from kvplan.engines.vllm.departures import check_established, registered
from kvplan.engines.vllm.grouping import Registered
from kvplan.engines.vllm.kernels import (
    Heads,
    Kernel,
    attention_kernel,
    block_sparse_kernel,
    for_block,
    latent_kernel,
    sparse_kernel,
)
from kvplan.engines.vllm.refusals import check_kv_heads
from kvplan.engines.vllm.specs import LayerSpec
from kvplan.models.spec import ModelSpec


@dataclass(frozen=True, kw_only=True)
class Registry:
    """What one rank registers.

    Attributes:
        model: whose layers they are.
        settings: the engine's.
        tensor: tensor-parallel size.
        generation: compute capability.

    """

    model: ModelSpec
    settings: Settings
    tensor: int
    generation: tuple[int, int]

    @cached_property
    def layers(self) -> tuple[Registered, ...]:
        """The specs, layer by layer."""
        specs = {cache: self._spec(cache) for cache in self._kinds}
        return tuple((index, specs[cache]) for index, cache in self._caches)

    @cached_property
    def block_tokens(self) -> int:
        """The engine's block size: preferred by the kernel or given, enlarged where states are to fit into a page."""
        return self._alignment[0]

    @property
    def block_outermost(self) -> bool:
        """Whether a block holds the pages of all layers side by side: what kernels of pooled entries ask for."""
        return self._pooled

    # -- what is there -----------------------------------------------------------------------------------------------

    @cached_property
    def _caches(self) -> tuple[tuple[int, LayerCache], ...]:
        """The caches of this rank, by layer."""
        check_established(self.model)
        shards: dict[LayerCache, LayerCache] = {}
        caches = []
        for index, layer in enumerate(self.model.layers):
            for cache in registered(self.model, layer):
                if cache not in shards:
                    shards[cache] = self._shard(cache)
                caches.append((index, shards[cache]))
        return tuple(caches)

    def _shard(self, cache: LayerCache) -> LayerCache:
        if not isinstance(cache, RecurrentState):
            check_kv_heads(cache, self.tensor)
            return cache.shard(self.tensor)
        states.check_shards(cache, self.tensor)
        return states.kept_state(
            cache.shard(self.tensor),
            self.model,
            self.settings["mamba_cache_dtype"],
            self.settings["mamba_ssm_cache_dtype"],
        )

    @cached_property
    def _kinds(self) -> tuple[LayerCache, ...]:
        """The distinct caches of this rank."""
        return tuple(dict.fromkeys(cache for _, cache in self._caches))

    @cached_property
    def _states(self) -> tuple[RecurrentState, ...]:
        return tuple(cache for cache in self._kinds if isinstance(cache, RecurrentState))

    @cached_property
    def _latents(self) -> tuple[MLA, ...]:
        return tuple(cache for cache in self._kinds if isinstance(cache, MLA))

    @cached_property
    def _indexes(self) -> tuple[SparseIndex, ...]:
        return tuple(cache for cache in self._kinds if isinstance(cache, SparseIndex))

    @cached_property
    def _pooled(self) -> bool:
        return any(isinstance(cache, CompressorState) for cache in self._kinds)

    @cached_property
    def _v4(self) -> bool:
        """Whether every layer has a window of latents beside its entries, as in DeepSeek V4."""
        return self._pooled and any(isinstance(cache, SlidingWindow) for cache in self._kinds)

    # -- kernel, block size and page ---------------------------------------------------------------------------------

    @cached_property
    def _kernel(self) -> Kernel:
        """The kernel that decides the block size, or reads the one that is given."""
        asked = self.settings["block_size"]
        if asked is None or self._v4:
            return self._preferred_kernel
        return for_block(self._preferred_kernel, asked, latent=bool(self._latents) and not self._indexes)

    @cached_property
    def _preferred_kernel(self) -> Kernel:
        fp8 = self.settings.kv_dtype.name.startswith("fp8")
        if self._latents:
            first = self._latents[0]
            heads = Heads(
                width=first.latent_dim + first.rope_dim,
                nope=max(first.expanded_key_dim - first.rope_dim, 0),
                queries=-(-first.heads // self.tensor),
            )
            choose = sparse_kernel if self._indexes else latent_kernel
            return choose(self.generation, heads, fp8=fp8)
        if self._indexes:
            return block_sparse_kernel()
        width = max((cache.key_dim for cache in self._kinds if isinstance(cache, FullAttention)), default=0)
        return attention_kernel(self.generation, width=width, fp8=fp8)

    @cached_property
    def _preferred(self) -> int:
        """The block size before hybrids are aligned: given, else what the kernels prefer."""
        if self._v4:
            return compressed.V4_BLOCK
        if self.settings["block_size"]:
            return int(self.settings["block_size"])
        if self._pooled:
            return max(compressed.pooled_block(self._kernel, index.ratio) for index in self._indexes)
        return self._kernel.block_tokens

    @cached_property
    def _exports(self) -> int | None:
        """The grid of positions at which states are exported; None unless every recurrent layer exports them."""
        grids = [states.checkpoint_tokens(state, self.model, self.generation) for state in self._states]
        known = [grid for grid in grids if grid is not None]
        return max(known) if known and len(known) == len(grids) else None

    @cached_property
    def _alignment(self) -> tuple[int, int | None]:
        """The block size, and the page that states are padded to."""
        attention = [cache for cache in self._kinds if isinstance(cache, FullAttention | MLA)]
        if not attention:
            return int(self.settings["block_size"] or BLOCK_TOKENS), None
        if not self._states:
            return self._preferred, None
        delta_nets = all(state.style == "gated_delta_net" for state in self._states)
        caching = self.settings["enable_prefix_caching"]
        return states.align_to_states(
            self._preferred,
            state_bytes=max(state.fixed_bytes(self.settings.model_dtype) for state in self._states),
            token_bytes=max(cache.token_bytes(self._dtype(cache)) for cache in attention),
            step=self._preferred if self._pooled else self._kernel.step,
            latent=bool(self._latents),
            # Only delta nets declare their grid to the platform (get_prefill_checkpoint_alignment).
            grid=(self._exports or 1) if caching and delta_nets else 1,
        )

    # -- specs -------------------------------------------------------------------------------------------------------

    def _dtype(self, cache: LayerCache) -> Dtype:
        """Return the format of a layer's cache."""
        if isinstance(cache, SparseIndex):
            # MiniMax-M3's index keys, beside ordinary attention, stay in bf16 (config/attention.py indexer_kv_dtype).
            return compressed.index_dtype(cache.dim) if self._latents else find_dtype("bfloat16")
        if isinstance(cache, MLA) and self._kernel.packed:
            return find_dtype("fp8_ds_mla")
        return self.settings.kv_dtype

    def _spec(self, cache: LayerCache) -> LayerSpec:
        """Return the spec of one cache."""
        if isinstance(cache, RecurrentState):
            return self._state_spec(cache)
        if self._v4:
            return compressed.v4_spec(cache)
        if self._pooled and isinstance(cache, SparseIndex | CompressorState):
            return compressed.pooled_spec(cache, block_tokens=self.block_tokens)
        dtype = self._dtype(cache)
        spec = LayerSpec(
            cache=cache,
            dtype=dtype,
            kind="full",
            block_tokens=self.block_tokens,
            content_bytes=cache.token_bytes(dtype),
            kernel_block=self._kernel.fixed,
            row_aligned=self._kernel.rows and isinstance(cache, MLA),
        )
        if isinstance(cache, MLA | SparseIndex):
            return replace(spec, kind="mla")
        if isinstance(cache, CrossAttention):
            return replace(spec, kind="cross")
        if isinstance(cache, SlidingWindow):
            return replace(spec, kind="sliding", window=cache.window)
        if isinstance(cache, ChunkedLocal):
            return replace(spec, kind="chunked", window=cache.chunk)
        return spec

    def _state_spec(self, state: RecurrentState) -> LayerSpec:
        spec = states.state_spec(
            state,
            model_dtype=self.settings.model_dtype,
            block_tokens=self.block_tokens,
            caching=self.settings["enable_prefix_caching"],
            exports=states.checkpoint_tokens(state, self.model, self.generation) is not None
            if state.style != "gated_delta_net"
            else self._exports is not None,
        )
        page = self._alignment[1]
        return spec if page is None or page == spec.content_bytes else spec.padded(page)
