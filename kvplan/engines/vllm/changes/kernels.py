"""Cache formats, kernels and the block sizes that they ask for."""

from typing import Final

from kvplan.engines.vllm.changes.change import Change

CHANGES: Final[tuple[Change, ...]] = (
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
)
