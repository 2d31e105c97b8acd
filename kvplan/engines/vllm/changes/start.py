"""What runs, what a start-up prints and asks for, and defaults."""

from typing import Final

from kvplan.engines.vllm.changes.change import Change

CHANGES: Final[tuple[Change, ...]] = (
    # -- engine --------------------------------------------------------------------------------------------------------
    Change(
        key="v1",
        since=(0, 8),
        what="The V1 engine is the default; V0 remains for what V1 lacks (states, encoders, some cache formats and GPUs).",
        source="engine/arg_utils.py _is_v1_supported_oracle",
    ),
    Change(
        key="v1_fp8_cache",
        since=(0, 8, 3),
        what="V1 takes fp8 caches where FlashAttention 3 does (Hopper); other GPUs go to V0 for them.",
        source="engine/arg_utils.py _is_v1_supported_oracle",
    ),
    Change(
        key="v1_pipeline",
        since=(0, 9),
        what="Pipeline stages run on V1; before, on V0.",
        source="engine/arg_utils.py _is_v1_supported_oracle",
    ),
    Change(
        key="v1_amd",
        since=(0, 9, 2),
        what="AMD and Intel GPUs run V1; before, V0.",
        source="engine/arg_utils.py _is_v1_supported_oracle, platforms/interface.py default_v1",
    ),
    Change(
        key="v1_fp8_blackwell",
        since=(0, 10),
        what="V1 takes fp8 caches on B200 too.",
        source="platforms/cuda.py is_kv_cache_dtype_supported",
    ),
    Change(
        key="v1_states",
        since=(0, 10, 2),
        what="Models with recurrent states, GPUs before Ampere and Whisper run V1; before, V0 kept states outside the pool.",
        source="engine/arg_utils.py _is_v1_supported_oracle",
    ),
    Change(
        key="v1_only",
        since=(0, 11),
        what="V0 is gone.",
        source="engine/arg_utils.py _set_default_args",
    ),
    # -- what is printed -----------------------------------------------------------------------------------------------
    Change(
        key="concurrency_by_need",
        since=(0, 9, 1),
        what="Maximum concurrency is blocks / blocks of one request; before, blocks x block size / length.",
        source="v1/core/kv_cache_utils.py get_max_concurrency_for_kv_cache_config",
    ),
    Change(
        key="tokens_by_concurrency",
        since=(0, 20, 1),
        what="GPU KV cache size is int(concurrency x length); before, blocks // groups x the smallest block size "
        "(x context-parallel ranks).",
        source="v1/core/kv_cache_utils.py _report_kv_cache_config",
    ),
    Change(
        key="blocks_counted_by_group",
        since=(0, 27),
        what="Blocks of one request are added up group by group; before, bytes were, and divided by the first group's page.",
        source="v1/core/kv_cache_utils.py get_max_concurrency_for_kv_cache_config",
    ),
    # -- what start-up asks of one request -----------------------------------------------------------------------------
    Change(
        key="need_by_groups",
        since=(0, 14),
        what="The memory that one request needs is counted by groups, but only the first group's blocks; before, layer by "
        "layer, each with its own page and window.",
        source="v1/core/kv_cache_utils.py _max_memory_usage_bytes_from_groups",
    ),
    Change(
        key="need_of_all_groups",
        since=(0, 19),
        what="The blocks of every group are counted.",
        source="v1/core/kv_cache_utils.py _max_memory_usage_bytes_from_groups",
    ),
    Change(
        key="override_decides",
        since=(0, 20, 1),
        what="The check of one request takes num_gpu_blocks_override for the pool; before, the memory.",
        source="v1/core/kv_cache_utils.py get_kv_cache_configs",
    ),
    Change(
        key="need_priced_by_pool",
        since=(0, 29),
        what="The need of one request is its blocks x the bytes of a block of the pool.",
        source="v1/core/kv_cache_utils.py _max_memory_usage_bytes_from_groups",
    ),
    Change(
        key="null_block",
        since=(0, 29),
        what="The null block is taken off before one request is checked.",
        source="v1/core/kv_cache_utils.py get_kv_cache_configs",
    ),
    # -- defaults ------------------------------------------------------------------------------------------------------
    Change(
        key="batch_by_memory",
        since=(0, 8, 5),
        what="max_num_batched_tokens is 8,192 (LLM: 16,384) and max_num_seqs 1,024 from 70 GiB on, else 2,048 (8,192) and 256; "
        "before, by name for H100 and H200, with 1,024 sequences everywhere.",
        source="engine/arg_utils.py _set_default_args_v1",
    ),
    Change(
        key="small_batch_on_a100",
        since=(0, 9),
        what="A100s have the small batch.",
        source="engine/arg_utils.py _set_default_args_v1",
    ),
    Change(
        key="seqs_up_to_tokens",
        since=(0, 10, 1),
        what="The default of max_num_seqs is at most max_num_batched_tokens.",
        source="engine/arg_utils.py _set_default_args_v1",
    ),
    Change(
        key="fraction_092",
        since=(0, 20),
        what="gpu_memory_utilization is 0.92; before, 0.90.",
        source="config/cache.py CacheConfig",
    ),
    Change(
        key="batch_holds_items",
        since=(0, 22),
        what="A batch holds the largest picture or video that is attended to in both directions.",
        source="engine/arg_utils.py _get_min_mm_batched_tokens",
    ),
    Change(
        key="batch_by_160_gib",
        since=(0, 28),
        what="From 160 GiB on max_num_batched_tokens is 16,384.",
        source="engine/arg_utils.py get_batch_defaults",
    ),
    Change(
        key="unified_memory_read",
        since=(0, 33),
        what="The memory of Jetsons counts; before, NVML named none: they had the small batch, as GB10 always has.",
        source="platforms/cuda.py get_device_total_memory, engine/arg_utils.py get_batch_defaults",
    ),
)
