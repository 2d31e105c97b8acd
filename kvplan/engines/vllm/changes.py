"""What changed between releases of vLLM: layout and count of caches, memory taken from them, defaults; one dated entry a rule.

Found by reading the releases' sources one against the next, from 0.8.1 to 0.33.0. A release that no entry names keeps the
rules of the one before it. `kvplan engines vllm --changes` prints them.
"""

import re
from functools import cache
from typing import Final, NamedTuple

from kvplan.errors import SettingError

Version = tuple[int, ...]

# The releases whose rules are read here; older and newer ones are planned with the nearest.
OLDEST: Final[Version] = (0, 8)
NEWEST: Final[Version] = (0, 33)


class Change(NamedTuple):
    """A rule that changed.

    Attributes:
        key: what the code calls it.
        since: the first release with the new rule.
        what: the rule, and what it replaced.
        source: vLLM's file and function.

    """

    key: str
    since: Version
    what: str
    source: str


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
    # -- formats -------------------------------------------------------------------------------------------------------
    Change(
        key="token_head_formats",
        since=(0, 20),
        what="Cache formats int8_per_token_head and fp8_per_token_head, a float32 scale for each token and head.",
        source="config/cache.py CacheDType, v1/kv_cache_interface.py KVQuantMode",
    ),
    Change(
        key="turboquant",
        since=(0, 20),
        what="Cache formats turboquant_k8v4, _4bit_nc, _k3v4_nc and _3bit_nc; the first and last two layers keep the model's.",
        source="config/cache.py CacheDType, model_executor/layers/quantization/turboquant/config.py",
    ),
    Change(
        key="nvfp4_format",
        since=(0, 21),
        what="Cache format nvfp4, on GPUs of compute capability 10.",
        source="v1/attention/backends/flashinfer.py supported_kv_cache_dtypes",
    ),
    Change(
        key="turboquant_hybrids",
        since=(0, 21),
        what="TurboQuant beside recurrent states, in every layer of attention; before, refused.",
        source="engine/arg_utils.py create_engine_config, platforms/interface.py _align_hybrid_block_size",
    ),
    Change(
        key="int4_format",
        since=(0, 25),
        what="Cache format int4_per_token_head.",
        source="config/cache.py CacheDType, v1/kv_cache_interface.py KVQuantMode",
    ),
    Change(
        key="formats_share_blocks",
        since=(0, 25),
        what="Blocks are longer where some layers keep the model's format: 32 for TurboQuant; before, 16.",
        source="platforms/interface.py _align_heterogeneous_kv_block_size",
    ),
    Change(
        key="turboquant_on_v1",
        since=(0, 27),
        what="TurboQuant on model runner V1 again; in 0.25 and 0.26 it asked for pages of a format `auto` and did not start.",
        source="v1/worker/gpu_model_runner.py _reshape_kv_cache_tensors, model_executor/layers/attention/attention.py",
    ),
    Change(
        key="int4_windows",
        since=(0, 28),
        what="Sliding windows in int4_per_token_head; before, their pages were counted in 8 bits and could not be read.",
        source="v1/kv_cache_interface.py SlidingWindowSpec, v1/attention/backends/triton_attn.py customize_spec",
    ),
    Change(
        key="nvfp4_4over6_format",
        since=(0, 28),
        what="Cache format nvfp4_4over6, laid out as nvfp4.",
        source="config/cache.py CacheDType",
    ),
    Change(
        key="nvfp4_latents",
        since=(0, 30),
        what="Cache format nvfp4_ds_mla: sparse latents in 352 B on GPUs of compute capability 10.",
        source="config/cache.py CacheDType, v1/attention/backends/mla/flashmla_sparse.py",
    ),
    Change(
        key="ultraquant",
        since=(0, 32),
        what="Cache format ultraquant_4bit on AMD's GPUs; the first and last two layers keep the model's, hybrids' none.",
        source="config/cache.py CacheDType, v1/attention/backends/ultraquant_attn.py",
    ),
    Change(
        key="nvfp4_everywhere",
        since=(0, 32),
        what="nvfp4 on GPUs of compute capability 8, 9 and 12 too, without sinks and heads of 64.",
        source="v1/attention/backends/flashinfer.py supports_kv_cache_dtype, supports_combination",
    ),
    # -- kernels and block sizes ---------------------------------------------------------------------------------------
    Change(
        key="cutlass_latents",
        since=(0, 10, 1),
        what="Latents on B200 go to CUTLASS, in blocks of 128; before, to Triton, 16. Hopper has FlashMLA, 64.",
        source="platforms/cuda.py check_and_update_config",
    ),
    Change(
        key="packed_latents",
        since=(0, 11),
        what="Sparse latents (DeepSeek V3.2) in blocks of 64, with an index cache; `auto` and fp8 take the packed form of 656 B.",
        source="model_executor/models/config.py DeepseekV32ForCausalLM, v1/attention/backends/mla/indexer.py",
    ),
    Change(
        key="sparse_auto_is_16_bit",
        since=(0, 11, 1),
        what="Sparse latents: `auto` is the model's own format, only fp8 takes the packed form.",
        source="model_executor/models/config.py DeepseekV32ForCausalLM",
    ),
    Change(
        key="cutlass_family",
        since=(0, 13),
        what="CUTLASS also on B300 (the whole family 10.x).",
        source="platforms/cuda.py check_and_update_config",
    ),
    Change(
        key="flashinfer_latents",
        since=(0, 15),
        what="Latents on Blackwell with 128-wide unrotated keys go to FlashInfer, in blocks of 64.",
        source="platforms/cuda.py check_and_update_config",
    ),
    Change(
        key="blocks_by_kernel",
        since=(0, 18),
        what="The kernel that is chosen names the block size: FlashAttention-MLA 16 (16-bit caches on Hopper), FlashMLA 64, "
        "FlashInfer-MLA 32, CUTLASS 128.",
        source="platforms/interface.py update_block_size_for_backend",
    ),
    Change(
        key="sparse_by_kernel",
        since=(0, 18),
        what="The packed form of sparse latents follows the kernel: FlashInfer on Blackwell (16 heads or fewer) keeps plain fp8.",
        source="model_executor/layers/attention/mla_attention.py",
    ),
    Change(
        key="flashinfer_wide_latents",
        since=(0, 19),
        what="FlashInfer-MLA also takes unrotated keys of 192.",
        source="v1/attention/backends/mla/flashinfer_mla.py supports_combination",
    ),
    Change(
        key="amd_unified",
        since=(0, 19),
        what="On Instinct GPUs attention with sinks (gpt-oss) goes to AITER's unified kernel, blocks of 64; before, Triton, 16.",
        source="platforms/rocm.py _get_backend_priorities, v1/attention/backends/rocm_aiter_unified_attn.py",
    ),
    Change(
        key="sparse_fp8_plain_on_blackwell",
        since=(0, 19),
        what="Sparse latents in fp8 on Blackwell go to FlashInfer whatever the heads, and stay plain.",
        source="platforms/cuda.py _get_backend_priorities",
    ),
    Change(
        key="sparse_on_sm120",
        since=(0, 24),
        what="Sparse latents run on GPUs of compute capability 12, in the packed form; before, on none of them.",
        source="platforms/cuda.py _get_backend_priorities",
    ),
    Change(
        key="sparse_16_on_amd",
        since=(0, 28),
        what="Sparse latents on AMD take blocks of 16; before, of one position.",
        source="v1/attention/backends/mla/rocm_aiter_mla_sparse.py get_supported_kernel_block_sizes",
    ),
    Change(
        key="tma_tiles",
        since=(0, 31),
        what="FlashAttention 4 on Hopper reads fp8 caches of heads as wide as 512 in blocks of 64.",
        source="v1/attention/backends/flash_attn.py _get_sm90_fa4_fp8_kv_block_size",
    ),
    Change(
        key="glm_fp8_on_blackwell",
        since=(0, 32),
        what="GLM-5 takes fp8 caches on Blackwell where no format is given.",
        source="model_executor/models/config.py GlmMoeDsaForCausalLM",
    ),
    # -- recurrent states ----------------------------------------------------------------------------------------------
    Change(
        key="states_cached",
        since=(0, 11, 1),
        what="Prefix caching of states where the model supports it and it is asked for: one state for every block of the length.",
        source="model_executor/models/config.py MambaModelConfig, v1/kv_cache_interface.py MambaSpec",
    ),
    Change(
        key="kernel_blocks_of_hybrids",
        since=(0, 11, 1),
        what="Hybrids' blocks are multiples of what the kernel reads: 64 for latents, 32 for 256-wide heads on B200, else 16.",
        source="model_executor/models/config.py HybridAttentionMambaModelConfig",
    ),
    Change(
        key="nemotron_states",
        since=(0, 13),
        what="Nemotron-H's recurrent states take the format that its file names, float16 where it names none.",
        source="model_executor/models/config.py NemotronHForCausalLMConfig",
    ),
    Change(
        key="states_aligned",
        since=(0, 15),
        what="Prefix caching of hybrids by mode: `all` where supported, else `align` with 2 states; drafts add one each.",
        source="v1/kv_cache_interface.py MambaSpec.max_memory_usage_bytes",
    ),
    Change(
        key="delta_net_states",
        since=(0, 17),
        what="The recurrent states of gated delta nets follow mamba_ssm_cache_dtype, Qwen 3.5's its file's mamba_ssm_dtype.",
        source="model_executor/layers/mamba/mamba_utils.py gated_delta_net_state_dtype",
    ),
    Change(
        key="mamba2_draft_taps",
        since=(0, 17),
        what="Mamba-2 convolutions keep a tap more for each draft token; gated delta nets always did.",
        source="model_executor/layers/mamba/mamba_utils.py mamba2_state_shape",
    ),
    Change(
        key="no_32_for_wide_heads",
        since=(0, 18),
        what="256-wide heads on Blackwell no longer ask hybrids for multiples of 32.",
        source="model_executor/models/config.py HybridAttentionMambaModelConfig",
    ),
    Change(
        key="hybrids_by_kernel",
        since=(0, 20),
        what="Hybrids' blocks are multiples of the chosen kernel's own block size.",
        source="platforms/interface.py _align_hybrid_block_size",
    ),
    Change(
        key="nemotron_float32",
        since=(0, 20),
        what="Nemotron-H's recurrent states are float32 where its file names no format.",
        source="model_executor/models/config.py NemotronHForCausalLMConfig",
    ),
    Change(
        key="drafts_align_states",
        since=(0, 20),
        what="With drafts prefix caching of states is `align` where it would be `all`.",
        source="model_executor/models/config.py MambaModelConfig",
    ),
    Change(
        key="drafts_keep_all_states",
        since=(0, 22),
        what="With drafts it is `all` again, with a state more for each draft token.",
        source="model_executor/models/config.py MambaModelConfig, v1/kv_cache_interface.py MambaSpec",
    ),
    Change(
        key="latent_hybrids_by_128",
        since=(0, 27),
        what="Hybrids with latents have blocks of at least 128.",
        source="platforms/interface.py _align_hybrid_block_size",
    ),
    Change(
        key="kda_draft_taps",
        since=(0, 27),
        what="KDA's convolutions keep a tap more for each draft token.",
        source="model_executor/layers/mamba/mamba_utils.py kda_state_shape",
    ),
    Change(
        key="hybrids_cached",
        since=(0, 28),
        what="Prefix caching is on by default for hybrids, always `align`.",
        source="engine/arg_utils.py _set_default_chunked_prefill_and_prefix_caching_args",
    ),
    Change(
        key="kda_checkpoints",
        since=(0, 29),
        what="Kimi K3's KDA layers that prefill with FlashKDA hold one state more, exported inside a prefill.",
        source="models/kimi_k3/nvidia/kda.py get_kv_cache_spec",
    ),
    Change(
        key="short_conv_draft_taps",
        since=(0, 29),
        what="Short convolutions keep a tap more for each draft token.",
        source="model_executor/layers/mamba/mamba_utils.py short_conv_state_shape",
    ),
    Change(
        key="kda_state_format",
        since=(0, 30),
        what="KDA's recurrent states follow mamba_ssm_cache_dtype; before, always float32.",
        source="model_executor/layers/mamba/mamba_utils.py kda_state_dtype",
    ),
    Change(
        key="glm_kda_checkpoints",
        since=(0, 32),
        what="GLM-5.3-Flash's KDA layers hold one state more.",
        source="models/glm5next/common/kda.py get_kv_cache_spec",
    ),
    Change(
        key="mamba2_checkpoints",
        since=(0, 32),
        what="Mamba-2 layers hold one state more.",
        source="model_executor/layers/mamba/mamba_mixer2.py get_kv_cache_spec",
    ),
    Change(
        key="delta_net_checkpoints",
        since=(0, 33),
        what="Gated delta nets that prefill with FlashInfer hold one state more, and blocks are multiples of 64.",
        source="model_executor/layers/mamba/gdn/qwen_gdn_linear_attn.py, platforms/interface.py _align_hybrid_block_size",
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
    # -- memory ----------------------------------------------------------------------------------------------------------
    Change(
        key="free_memory_checked",
        since=(0, 9, 1),
        what="Starts are refused where less is free than the fraction asks for; before, V1 charged what others use to itself.",
        source="v1/worker/gpu_worker.py init_device, determine_available_memory",
    ),
    Change(
        key="indexer_buffer",
        since=(0, 13),
        what="Sparse indexers reserve keys for 40 x max_model_len in the profile run; before, for 2 x.",
        source="v1/attention/backends/mla/indexer.py get_max_prefill_buffer_size",
    ),
    Change(
        key="kept_workspace",
        since=(0, 13),
        what="Experts' and indexers' workspaces stay allocated, one buffer for all; before, for the length of a layer.",
        source="v1/worker/workspace.py",
    ),
    Change(
        key="unsorted_sampler",
        since=(0, 17),
        what="Top-k and top-p without sorting: the sampler peaks at 14 B for each sequence and token of the vocabulary, not 38.",
        source="v1/sample/ops/topk_topp_sampler.py apply_top_k_top_p",
    ),
    Change(
        key="graphs_tried",
        since=(0, 18),
        what="CUDA graphs are tried out in the profile run; what stays of that outside torch is counted.",
        source="v1/worker/gpu_worker.py determine_available_memory",
    ),
    Change(
        key="whole_experts_batch",
        since=(0, 18),
        what="Fused experts take the whole batch at once (VLLM_FUSED_MOE_CHUNK_SIZE is gone).",
        source="model_executor/layers/fused_moe/modular_kernel.py",
    ),
    Change(
        key="flashinfer_sampler",
        since=(0, 20),
        what="FlashInfer samples where it runs; the Triton kernel's rows are not there then.",
        source="envs.py VLLM_USE_FLASHINFER_SAMPLER",
    ),
    Change(
        key="graphs_subtracted",
        since=(0, 21),
        what="The estimate of CUDA graphs is taken from the cache; before, graphs came on top of the fraction.",
        source="envs.py VLLM_MEMORY_PROFILER_ESTIMATE_CUDAGRAPHS",
    ),
    Change(
        key="v2_runner",
        since=(0, 22),
        what="Model runner V2 serves dense Qwen 3 in 16 bits, from 0.23 on Llama and Mistral too.",
        source="config/vllm.py DEFAULT_V2_MODEL_RUNNER_ARCHITECTURES",
    ),
    Change(
        key="v2_runner_quantised",
        since=(0, 24),
        what="Model runner V2 serves listed architectures in any format, DeepSeek V2 and V3 among them.",
        source="config/vllm.py _is_default_v2_model_runner_model",
    ),
    Change(
        key="v2_runner_dense",
        since=(0, 25),
        what="Model runner V2 serves every model that is neither hybrid nor a mixture of experts, and listed others.",
        source="config/vllm.py _is_default_v2_model_runner_model",
    ),
    Change(
        key="consumed",
        since=(0, 27),
        what="Everything that is gone from the GPU's free memory counts: what compiling leaves, runner V2's counts of tokens.",
        source="utils/mem_utils.py memory_profiling total_consumed",
    ),
    Change(
        key="v2_logits_as_they_are",
        since=(0, 27),
        what="Runner V2 copies logits to float32 only where a request asks for processing; in the profile run none does.",
        source="v1/worker/gpu/sample/sampler.py apply_sampling_params",
    ),
    Change(
        key="larger_graphs",
        since=(0, 28),
        what="Graphs are captured for batches up to 1,024 on B200 and its kin; elsewhere up to 512.",
        source="config/vllm.py _set_cudagraph_sizes",
    ),
    Change(
        key="v2_runner_all",
        since=(0, 29),
        what="Model runner V2 serves every model.",
        source="config/vllm.py use_v2_model_runner",
    ),
    Change(
        key="v2_graphs_subtracted",
        since=(0, 29),
        what="Runner V2 estimates CUDA graphs; before, it took nothing for them.",
        source="v1/worker/gpu/cudagraph_utils.py profile_cudagraph_memory",
    ),
    Change(
        key="rocm_graphs_subtracted",
        since=(0, 29),
        what="Graphs are estimated on AMD too.",
        source="v1/worker/gpu_worker.py determine_available_memory",
    ),
    Change(
        key="unsplit_profile",
        since=(0, 31),
        what="Blocks of 20 MiB and more are not split in the profile run, so that what compiling used is given back.",
        source="v1/worker/gpu_worker.py _scoped_allocator_max_split",
    ),
    Change(
        key="xpu_graphs_subtracted",
        since=(0, 31),
        what="Graphs are estimated on Intel too.",
        source="v1/worker/gpu_worker.py determine_available_memory",
    ),
    Change(
        key="warm_sampler",
        since=(0, 33),
        what="Runner V2 profiles the sampler with every option on: 14 B for each sequence and token of the vocabulary.",
        source="v1/worker/gpu/model_runner.py _dummy_sampler_run",
    ),
    Change(
        key="small_index_buffer",
        since=(0, 33),
        what="Beyond 256 Ki tokens sparse indexers reserve 16 x max_model_len, not 40 x.",
        source="config/vllm.py sparse_mla_prefill_workspace_factor",
    ),
)

_SINCE: Final[dict[str, Version]] = {change.key: change.since for change in CHANGES}


def applies(key: str, version: Version) -> bool:
    """Whether a release has the rule.

    Raises:
        KeyError: no entry has this key.

    """
    return version >= _SINCE[key]


def since(key: str) -> Version:
    """Return the first release with the rule.

    Raises:
        KeyError: no entry has this key.

    """
    return _SINCE[key]


@cache
def version_tuple(version: str) -> Version:
    """Return `0.19.1` as (0, 19, 1); builds between releases count as the release before them.

    Raises:
        SettingError: it is no version.

    """
    match = re.fullmatch(
        r"v?(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?(?:[.+-]?(?:rc|dev|post|a|b|alpha|beta|nightly)[\w.+-]*|\+[\w.+-]+)?",
        version,
    )
    if not match:
        raise SettingError(f"{version[:40]!r} is not a vLLM version.", hint="Write it as vllm@0.19 or vllm@0.11.2.")
    return tuple(int(part) for part in match.groups() if part is not None)
