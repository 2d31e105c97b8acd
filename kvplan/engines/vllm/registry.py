"""From a model's layers to the specs that vLLM registers for them on one rank.

Source: vLLM 0.33 v1/worker/gpu/attn_utils.py get_kv_cache_spec (before: v1/worker/gpu_model_runner.py);
model_executor/layers/attention/*.py (each kind of layer).
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
from kvplan.engines.vllm import cache_formats, compressed, states
from kvplan.engines.vllm.changes import Version, applies
from kvplan.engines.vllm.defaults import BLOCK_TOKENS
from kvplan.engines.vllm.departures import SINKS, check_established, registered
from kvplan.engines.vllm.grouping import Registered
from kvplan.engines.vllm.kernels import (
    Device,
    Heads,
    Kernel,
    attention_kernel,
    block_sparse_kernel,
    for_block,
    latent_kernel,
    named_kernel,
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
        device: GPU and version that kernels are chosen by.
        drafts: draft tokens of a step.
        plain_dtype: whether the cache's format was left to vLLM.

    """

    model: ModelSpec
    settings: Settings
    tensor: int
    device: Device
    drafts: int = 0
    plain_dtype: bool = False

    @property
    def version(self) -> Version:
        """The release whose rules are followed."""
        return self.device.version

    @cached_property
    def layers(self) -> tuple[Registered, ...]:
        """The specs, layer by layer."""
        specs = {cache: self._spec(cache) for cache in self._kinds}
        of_cache = {id(cache): specs[cache] for _, cache in self._caches}
        kept = self._boundary
        return tuple(
            (index, self._in_model_format(of_cache[id(cache)]) if index in kept else of_cache[id(cache)])
            for index, cache in self._caches
        )

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
        # Most layers of a model are one object: what each registers is worked out once.
        distinct = {id(layer): layer for layer in self.model.layers}
        of_layer = {
            key: [self._shard(cache) for cache in registered(self.model, layer)] for key, layer in distinct.items()
        }
        cache_formats.check(
            self.settings, [cache for caches in of_layer.values() for cache in caches], self.model, self.device
        )
        return tuple((index, cache) for index, layer in enumerate(self.model.layers) for cache in of_layer[id(layer)])

    def _shard(self, cache: LayerCache) -> LayerCache:
        if not isinstance(cache, RecurrentState):
            check_kv_heads(cache, self.tensor)
            return cache.shard(self.tensor)
        states.check_shards(cache, self.tensor)
        return states.kept_state(
            cache.shard(self.tensor),
            self.model,
            cache_dtype=self.settings["mamba_cache_dtype"],
            ssm_dtype=self.settings["mamba_ssm_cache_dtype"],
            version=self.version,
            drafts=self.drafts,
        )

    @cached_property
    def _kinds(self) -> tuple[LayerCache, ...]:
        """The distinct caches of this rank."""
        return tuple(dict.fromkeys({id(cache): cache for _, cache in self._caches}.values()))

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

    @cached_property
    def _boundary(self) -> frozenset[int]:
        """The layers that keep the model's format beside a cache format that spares them."""
        return cache_formats.boundary_layers(self.settings.kv_dtype, self.model)

    # -- kernel, block size and page ---------------------------------------------------------------------------------

    @cached_property
    def _kernel(self) -> Kernel:
        """The kernel that decides the block size, or reads the one that is given."""
        asked = self.settings["block_size"]
        if asked is None or self._v4 or self._platform_decides:
            return self._preferred_kernel
        return for_block(self._preferred_kernel, asked, latent=bool(self._latents) and not self._indexes)

    @property
    def _platform_decides(self) -> bool:
        """Whether the platform overrules a block size that its kernel of latents does not read (0.8 to 0.17)."""
        return bool(self._latents) and not self.device.has("blocks_by_kernel")

    @cached_property
    def _preferred_kernel(self) -> Kernel:
        fp8 = self.settings.kv_dtype.name.startswith("fp8")
        own = cache_formats.own_kernel(self.settings.kv_dtype, boundary=bool(self._boundary))
        if own is not None:
            return own
        if (asked := self.settings["attention_backend"]) != "auto":
            return named_kernel(asked, self.device, fp8=fp8)
        if self._latents:
            first = self._latents[0]
            heads = Heads(
                width=first.latent_dim + first.rope_dim,
                nope=max(first.expanded_key_dim - first.rope_dim, 0),
                queries=-(-first.heads // self.tensor),
            )
            if self._indexes:
                return sparse_kernel(self.device, heads, fp8=fp8, auto=self.plain_dtype)
            return latent_kernel(self.device, heads, fp8=fp8)
        if self._indexes:
            return block_sparse_kernel()
        sinks = self.model.model_type in SINKS
        return attention_kernel(self.device, width=self._widest_head, fp8=fp8, sinks=sinks)

    @cached_property
    def _widest_head(self) -> int:
        return max((cache.key_dim for cache in self._kinds if isinstance(cache, FullAttention)), default=0)

    @cached_property
    def _preferred(self) -> int:
        """The block size before hybrids are aligned: given, else what the kernels prefer."""
        if self._v4:
            return compressed.V4_BLOCK
        asked = self.settings["block_size"]
        if asked and not (self._platform_decides and asked % self._kernel.block_tokens):
            return int(asked)
        if self._pooled:
            return max(compressed.pooled_block(self._kernel, index.ratio) for index in self._indexes)
        return self._kernel.block_tokens

    @cached_property
    def _mode(self) -> str:
        """Which states prefix caching keeps."""
        return states.cache_mode(
            self.model,
            asked=self.settings["mamba_cache_mode"],
            caching=self.settings["enable_prefix_caching"],
            version=self.version,
            drafts=self.drafts,
        )

    def _grid(self, state: RecurrentState) -> int | None:
        return states.checkpoint_tokens(
            state,
            self.model,
            generation=self.device.generation if self.device.vendor == "NVIDIA" else (0, 0),
            version=self.version,
            gdn_prefill=self.settings["gdn_prefill_backend"],
        )

    @cached_property
    def _exports(self) -> int | None:
        """The grid of positions at which states are exported; None unless every recurrent layer exports them."""
        grids = [self._grid(state) for state in self._states]
        known = [grid for grid in grids if grid is not None]
        return max(known) if known and len(known) == len(grids) else None

    @cached_property
    def _alignment(self) -> tuple[int, int | None]:
        """The block size, and the page that states are padded to."""
        attention = [cache for cache in self._kinds if isinstance(cache, FullAttention | MLA)]
        if not attention:
            return int(self.settings["block_size"] or BLOCK_TOKENS), None
        if not self._states:
            shared = cache_formats.shared_block(self._preferred, self._kernel, self.device) if self._boundary else None
            return shared or self._preferred, None
        delta_nets = all(state.style == "gated_delta_net" for state in self._states)
        by_kernel = applies("hybrids_by_kernel", self.version)
        given = int(self.settings["block_size"] or BLOCK_TOKENS)
        align = states.block_grid(
            version=self.version,
            block=self._preferred,
            step=self._kernel.step,
            latent=bool(self._latents),
            head_dim=self._widest_head,
            generation=self.device.generation,
            # Only delta nets declare their grid to the platform (get_prefill_checkpoint_alignment).
            grid=(self._exports or 1) if self._mode == "align" and delta_nets else 1,
            chunk=states.kernel_chunk(self.model) if self._mode == "all" else None,
        )
        return states.align_to_states(
            self._preferred if by_kernel else given,
            state_bytes=max(state.fixed_bytes(self.settings.model_dtype) for state in self._states),
            token_bytes=max(self._token_bytes(cache, self._dtype(cache)) for cache in attention),
            step=(self._preferred if self._pooled else self._kernel.step) if by_kernel else 1,
            align=align,
        )

    # -- specs -------------------------------------------------------------------------------------------------------

    def _dtype(self, cache: LayerCache) -> Dtype:
        """Return the format of a layer's cache."""
        if isinstance(cache, SparseIndex):
            # MiniMax-M3's index keys, beside ordinary attention, stay in bf16 (config/attention.py indexer_kv_dtype).
            return compressed.index_dtype(cache.dim) if self._latents else find_dtype("bfloat16")
        if isinstance(cache, MLA) and self._kernel.packed and self.settings.kv_dtype.packed_mla_bytes is None:
            return find_dtype("fp8_ds_mla")
        return self.settings.kv_dtype

    def _token_bytes(self, cache: LayerCache, dtype: Dtype) -> int:
        """Return the bytes of one position; values were once counted as wide as keys."""
        if isinstance(cache, FullAttention) and cache.value_dim != cache.key_dim:
            key = "window_value_width" if isinstance(cache, SlidingWindow) else "value_width"
            if not applies(key, self.version):
                cache = replace(cache, value_dim=cache.key_dim)
        return cache.token_bytes(dtype)

    def _spec(self, cache: LayerCache) -> LayerSpec:
        """Return the spec of one cache."""
        strides = applies("strides", self.version)
        if isinstance(cache, RecurrentState):
            return self._state_spec(cache)
        if self._v4:
            return _laid(compressed.v4_spec(cache), strides=strides)
        if self._pooled and isinstance(cache, SparseIndex | CompressorState):
            return _laid(compressed.pooled_spec(cache, block_tokens=self.block_tokens), strides=strides)
        dtype = self._dtype(cache)
        spec = LayerSpec(
            cache=cache,
            dtype=dtype,
            kind="full",
            block_tokens=self.block_tokens,
            content_bytes=self._token_bytes(cache, dtype),
            kernel_block=self._kernel.fixed if strides else None,
            row_aligned=strides and self._kernel.rows and isinstance(cache, MLA),
        )
        if isinstance(cache, MLA | SparseIndex):
            return replace(spec, kind="mla")
        if isinstance(cache, CrossAttention):
            return replace(spec, kind="cross")
        if isinstance(cache, SlidingWindow) and applies("windows", self.version):
            return replace(spec, kind="sliding", window=cache.window)
        if isinstance(cache, ChunkedLocal) and applies("chunks", self.version):
            return replace(spec, kind="chunked", window=cache.chunk)
        return spec

    def _in_model_format(self, spec: LayerSpec) -> LayerSpec:
        """Return the spec of a layer that keeps the model's format."""
        dtype = self.settings.model_dtype
        return replace(spec, dtype=dtype, content_bytes=self._token_bytes(spec.cache, dtype))

    def _state_spec(self, state: RecurrentState) -> LayerSpec:
        spec = states.state_spec(
            state,
            model_dtype=self.settings.model_dtype,
            block_tokens=self.block_tokens,
            mode=self._mode,
            exports=self._grid(state) is not None if state.style != "gated_delta_net" else self._exports is not None,
            version=self.version,
            drafts=self.drafts,
        )
        page = self._alignment[1]
        return spec if page is None or page == spec.content_bytes else spec.padded(page)


def _laid(spec: LayerSpec, *, strides: bool) -> LayerSpec:
    """Return the spec without what kernels ask of blocks' distances, where the release does not keep to that."""
    return spec if strides else replace(spec, kernel_block=None, row_aligned=False)
