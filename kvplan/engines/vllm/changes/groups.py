"""Which layers share a table of blocks, and what their pages hold."""

from typing import Final

from kvplan.engines.vllm.changes.change import Change

CHANGES: Final[tuple[Change, ...]] = (
    # -- windows and chunks --------------------------------------------------------------------------------------------
    Change(
        key="windows",
        since=(0, 8, 3),
        what="Sliding windows are layers of a kind of their own: window - 1 + max_num_batched_tokens positions and a block; "
        "before, every layer was paged in full.",
        source="v1/worker/gpu_model_runner.py get_kv_cache_spec, v1/kv_cache_interface.py SlidingWindowSpec",
    ),
    Change(
        key="hybrid_manager",
        since=(0, 9, 1),
        what="Layers of several kinds are grouped over one pool; before, windows beside full attention were paged in full.",
        source="v1/core/kv_cache_utils.py get_kv_cache_config",
    ),
    Change(
        key="chunks",
        since=(0, 10),
        what="Chunked-local attention (Llama 4) is a kind of its own; before, it was paged in full.",
        source="v1/kv_cache_interface.py ChunkedLocalAttentionSpec",
    ),
    Change(
        key="chunks_promoted",
        since=(0, 10, 1),
        what="The hybrid manager is off for chunked-local attention unless asked for.",
        source="config VllmConfig.__post_init__, envs.py VLLM_ALLOW_CHUNKED_LOCAL_ATTN_WITH_HYBRID_KV_CACHE",
    ),
    Change(
        key="chunks_kept",
        since=(0, 14),
        what="The hybrid manager stays on for chunked-local attention.",
        source="envs.py VLLM_ALLOW_CHUNKED_LOCAL_ATTN_WITH_HYBRID_KV_CACHE",
    ),
    Change(
        key="connectors_keep_groups",
        since=(0, 22),
        what="A KV connector turns the hybrid manager off only where it does not know groups; before, any did.",
        source="config/vllm.py VllmConfig.__post_init__ (SupportsHMA)",
    ),
    Change(
        key="in_flight",
        since=(0, 26),
        what="Windows and chunks reserve for every batch in flight, two with asynchronous scheduling; before, for one.",
        source="config/vllm.py max_in_flight_tokens",
    ),
    Change(
        key="module_lookahead",
        since=(0, 28),
        what="With several next-token modules windows retain one position more for each beyond the first.",
        source="v1/core/kv_cache_utils.py get_kv_cache_configs (extra_retained_tokens)",
    ),
    # -- groups --------------------------------------------------------------------------------------------------------
    Change(
        key="groups_over_stages",
        since=(0, 11),
        what="Groups are formed over the whole model and cut to pipeline stages, layers dealt round; before, each stage "
        "formed its own.",
        source="v1/core/kv_cache_utils.py get_kv_cache_configs, _get_kv_cache_groups_uniform_page_size",
    ),
    Change(
        key="uniform_types",
        since=(0, 11),
        what="Layers of one kind whose pages differ share one block table; before, they were refused.",
        source="v1/kv_cache_interface.py UniformTypeKVCacheSpecs",
    ),
    Change(
        key="pages_unified",
        since=(0, 12),
        what="Pages that divide the largest get longer blocks; before, kinds with different pages were refused.",
        source="v1/core/kv_cache_utils.py unify_kv_cache_spec_page_size",
    ),
    Change(
        key="group_size_by_quarter",
        since=(0, 12),
        what="Groups have the largest kind's layers where it is less than 1.25 times the smallest; before, always the smallest's.",
        source="v1/core/kv_cache_utils.py _get_kv_cache_groups_uniform_page_size",
    ),
    Change(
        key="group_size_by_half",
        since=(0, 18),
        what="... less than 1.5 times.",
        source="v1/core/kv_cache_utils.py _get_kv_cache_groups_uniform_page_size",
    ),
    Change(
        key="pages_padded",
        since=(0, 24),
        what="Attention pages that do not divide the largest are padded, latents' excepted; before, refused.",
        source="v1/core/kv_cache_utils.py unify_kv_cache_spec_page_size",
    ),
    Change(
        key="states_padded",
        since=(0, 26),
        what="States are padded to the largest page.",
        source="v1/core/kv_cache_utils.py unify_kv_cache_spec_page_size",
    ),
    Change(
        key="kinds_merged",
        since=(0, 27),
        what="Specs that merge count as one kind when groups are sized; before, only equal ones.",
        source="v1/core/kv_cache_utils.py _get_kv_cache_groups_uniform_page_size",
    ),
    Change(
        key="latents_with_windows",
        since=(0, 27),
        what="Windows beside latents whose pages cannot be made equal are paged in full; before, refused.",
        source="v1/core/kv_cache_utils.py _try_get_full_allocation_fallback_groups",
    ),
    Change(
        key="strides",
        since=(0, 32),
        what="Blocks are whole kernel blocks or rows apart.",
        source="v1/core/kv_cache_utils.py _get_layer_block_stride",
    ),
    # -- DeepSeek V4 ---------------------------------------------------------------------------------------------------
    Change(
        key="v4_tuples",
        since=(0, 20),
        what="DeepSeek V4: a block holds one page of every size for each layer of the most frequent size; windows are padded "
        "to the next size.",
        source="v1/core/kv_cache_utils.py _get_kv_cache_config_deepseek_v4",
    ),
    Change(
        key="v4_slots",
        since=(0, 23),
        what="DeepSeek V4: a block holds as many pages of each size as a group has layers of it.",
        source="v1/core/kv_cache_utils.py _bucket_layers_by_page_size",
    ),
    Change(
        key="v4_dense",
        since=(0, 27),
        what="DeepSeek V4: each group's pages lie side by side, unpadded; a block is as long as the longest group.",
        source="v1/core/kv_cache_utils.py _get_packed_kv_cache_layout",
    ),
    Change(
        key="packed_groups",
        since=(0, 29),
        what="Packed groups are formed by repeating patterns, for every model whose kernels put blocks outermost.",
        source="v1/core/kv_cache_utils.py _get_packed_kv_cache_groups",
    ),
    # -- pages ---------------------------------------------------------------------------------------------------------
    Change(
        key="cross_attention",
        since=(0, 10, 2),
        what="Cross-attention has groups of its own, sized by the encoder's longest input.",
        source="v1/kv_cache_interface.py CrossAttentionSpec",
    ),
    Change(
        key="cross_by_batch",
        since=(0, 11),
        what="Cross-attention is sized by max_num_encoder_input_tokens, which is max_num_batched_tokens.",
        source="v1/kv_cache_interface.py CrossAttentionSpec",
    ),
    Change(
        key="value_width",
        since=(0, 14),
        what="Values of full attention have a width of their own; before, they were counted as wide as keys.",
        source="v1/kv_cache_interface.py FullAttentionSpec.head_size_v",
    ),
    Change(
        key="window_value_width",
        since=(0, 20),
        what="Values of windows have a width of their own.",
        source="v1/kv_cache_interface.py SlidingWindowSpec.head_size_v",
    ),
)
