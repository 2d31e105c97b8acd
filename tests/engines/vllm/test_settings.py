"""vLLM's flags: defaults by GPU and version, what is refused, and what each flag does to the layout."""

import pytest

import kvplan
from kvplan.errors import KvplanError, SettingError
from kvplan.units import GIB

MODEL = "llama-3.1-8b"


def plan(model=MODEL, gpu="h100", engine="vllm", context=8192, memory=10 * GIB, **kwargs):
    return kvplan.estimate(model=model, gpu=gpu, engine=engine, context=context, kv_cache_memory=memory, **kwargs)


def args(**kwargs):
    settings = plan(**kwargs).deployment.settings
    return {name: setting.value for name, setting in settings.args.items()}


@pytest.mark.parametrize(
    "gpu, tokens, seqs",
    [
        ("h100", 8192, 1024),
        ("a100-80gb", 2048, 256),  # "a100" in the name: PR 17885
        ("rtx4090", 2048, 256),
        ("b200", 16384, 1024),
        ("gb10", 2048, 256),
    ],
)
def test_batches_follow_the_gpu(gpu, tokens, seqs):
    """Defaults of `vllm serve` (engine/arg_utils.py get_batch_defaults)."""
    given = args(gpu=gpu)
    assert (given["max_num_batched_tokens"], given["max_num_seqs"]) == (tokens, seqs)


def test_a_batch_holds_the_largest_video():
    """Gemma 4 reads pictures in both directions, so a batch is at least 32 frames x 78 tokens (measured on an A100)."""
    assert args(model="gemma-4-26b-a4b", gpu="a100-80gb")["max_num_batched_tokens"] == 2496
    assert args(model="gemma-4-26b-a4b", gpu="h100")["max_num_batched_tokens"] == 8192


def test_a_batch_has_at_most_as_many_requests_as_tokens():
    """A small max_num_batched_tokens lowers the default of max_num_seqs."""
    assert args(engine_args={"max_num_batched_tokens": 512})["max_num_seqs"] == 512


@pytest.mark.parametrize("version, fraction", [("0.10.2", 0.9), ("0.19.1", 0.9), ("0.20.0", 0.92), ("0.33.0", 0.92)])
def test_the_memory_fraction_follows_the_version(version, fraction):
    """0.90 up to 0.19, 0.92 since."""
    assert args(engine=f"vllm@{version}")["gpu_memory_utilization"] == fraction


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"gpu_memory_utilization": 0}, "more than 0"),
        ({"gpu_memory_utilization": 1.5}, "at most 1"),
        ({"block_size": 0}, "block_size"),
        ({"num_gpu_blocks_override": -1}, "num_gpu_blocks_override"),
        ({"cpu_offload_gb": -1}, "cpu_offload_gb"),
        ({"kv_offloading_size": -0.5}, "kv_offloading_size"),
        ({"limit_images": -1}, "limit_images"),
        ({"num_redundant_experts": -1}, "num_redundant_experts"),
        ({"enable_lora": True, "max_lora_rank": -1}, "max_lora_rank"),
        ({"enable_lora": True, "max_loras": -1}, "max_loras"),
        ({"encoder_tokens": -1}, "encoder_tokens"),
        ({"kv_transfer_config": 1}, "a text was expected"),
        ({"gpu_memory_used": "5%"}, "gpu_memory_used"),
        ({"gpu_memory_used": 2**61}, "gpu_memory_used"),
        ({"decode_context_parallel_size": 0}, "decode_context_parallel_size"),
        ({"max_num_seqs": 512, "max_num_batched_tokens": 256}, "below max_num_seqs"),
        ({"mamba_ssm_cache_dtype": "int8"}, "mamba_ssm_cache_dtype"),
        ({"max_model_lenn": 1}, "no argument"),
    ],
)
def test_what_vllm_refuses_is_refused(change, reason):
    """A flag out of range is an error that names it."""
    with pytest.raises(SettingError, match=reason):
        plan(engine_args=change)


@pytest.mark.parametrize(
    "model, tensor, reason",
    [
        ("gemma-3-1b", 8, r"attention heads \(4\) must be divisible by tensor parallel size \(8\)"),
        ("phi-3-medium-4k", 8, "10 KV heads"),
        ("zamba2-7b", 8, "groups are not divisible"),
    ],
)
def test_heads_and_groups_that_do_not_divide_are_refused(model, tensor, reason):
    """With vLLM's own reason (config/model.py verify_with_parallel_config, models/llama.py, mamba_mixer2.py)."""
    with pytest.raises(SettingError, match=reason):
        plan(model=model, tensor_parallel=tensor)


def test_a_cache_format_of_another_engine_is_refused():
    """GGUF's formats are not vLLM's."""
    with pytest.raises(SettingError, match="no KV-cache dtype 'q8_0'"):
        plan(kv_dtype="q8_0")


def test_the_given_block_size_is_kept_for_attention_and_enlarged_for_hybrids():
    """A hybrid's block must hold its state, whatever was asked for (_align_hybrid_block_size)."""
    assert plan(engine_args={"block_size": 32}).layout.block_tokens == 32
    assert plan(model="granite-4.0-h-small", engine_args={"block_size": 32}).layout.block_tokens == 544


@pytest.mark.parametrize("model, block", [("llama-3.1-8b", 24), ("glm-5", 32), ("deepseek-v3", 8)])
def test_a_block_that_no_kernel_reads_is_refused(model, block):
    """Attention reads multiples of 16, sparse latents of 64 (v1/attention/backend.py supports_block_size)."""
    with pytest.raises(SettingError, match="no valid attention backend"):
        plan(model=model, engine_args={"block_size": block})


def test_latents_in_blocks_that_flashmla_does_not_read_go_to_triton():
    """FlashMLA reads 64 positions; blocks of 32 leave it out and Triton takes them."""
    assert plan(model="deepseek-v3", kv_dtype="fp8", engine_args={"block_size": 32}).layout.block_tokens == 32


@pytest.mark.parametrize("model", ["kimi-k3", "zamba2-7b", "whisper-large-v3"])
def test_layers_that_cannot_be_promoted_need_the_hybrid_manager(model):
    """States and cross-attention are refused without it ("Failed to promote", measured)."""
    with pytest.raises(SettingError, match="disable_hybrid_kv_cache_manager"):
        plan(model=model, context=448, engine_args={"disable_hybrid_kv_cache_manager": True})


def test_blocks_given_outright_replace_the_memory():
    """num_gpu_blocks_override decides blocks, tokens and whether the request is let in."""
    got = plan(engine_args={"num_gpu_blocks_override": 1000})
    assert (got.capacity.kv_cache_blocks, got.capacity.kv_cache_tokens) == (1000, 16_000)
    assert plan(engine_args={"num_gpu_blocks_override": 512}).verdict == "does_not_fit"
    assert plan(engine_args={"num_gpu_blocks_override": 513}).verdict == "fits"


@pytest.mark.parametrize(
    "gpu, kv_dtype, block",
    [
        ("h100", "auto", 16),  # FLASH_ATTN_MLA
        ("h100", "fp8", 64),  # FLASHMLA
        ("b200", "auto", 32),  # FLASHINFER_MLA
        ("a100-80gb", "auto", 16),  # TRITON_MLA
        ("rtx5090", "auto", 16),
    ],
)
def test_the_blocks_of_latents_follow_gpu_and_format(gpu, kv_dtype, block):
    """The kernel decides (platforms/cuda.py _get_backend_priorities)."""
    assert plan(model="deepseek-v3", gpu=gpu, kv_dtype=kv_dtype).layout.block_tokens == block


@pytest.mark.parametrize("kv_dtype, bytes_per_block", [("auto", 6_409_728), ("fp8", 3_933_696)])
def test_sparse_latents_on_hopper(kv_dtype, bytes_per_block):
    """GLM-5, 78 layers: 64 x (1,152 + 132) B a layer in bf16, 64 x (656 + 132) B in fp8_ds_mla."""
    assert plan(model="glm-5", kv_dtype=kv_dtype).layout.bytes_per_block == bytes_per_block


def test_glm_5_takes_fp8_on_blackwell():
    """`auto` is plain fp8 there: 64 x (576 + 132) B a layer (model_executor/models/config.py)."""
    assert plan(model="glm-5", gpu="b200").layout.bytes_per_block == 78 * 64 * (576 + 132)


def test_sparse_latents_need_hopper_or_newer():
    """Older GPUs have no kernel for them."""
    with pytest.raises(KvplanError, match="no sparse latent attention"):
        plan(model="glm-5", gpu="a100-80gb")


@pytest.mark.parametrize("caching, pages", [(True, 3), (False, 1)])
def test_states_of_a_request_follow_prefix_caching(caching, pages):
    """Mamba-2 holds two states and a checkpoint with prefix caching, one without: 9 groups of them in Granite 4."""
    got = plan(model="granite-4.0-h-small", context=32768, engine_args={"enable_prefix_caching": caching})
    assert got.layout.request_blocks(32768) == 9 * pages + 63


def test_models_without_attention_do_not_cache_prefixes_by_default():
    """One state page a request, and tokens as if a page held a whole request (is_prefix_caching_supported)."""
    got = plan(model="mamba-codestral-7b", context=2048)
    assert got.deployment.settings["enable_prefix_caching"] is False
    assert got.layout.request_blocks(2048) == 1
    assert got.capacity.kv_cache_tokens == got.capacity.kv_cache_blocks * 2048


def test_states_can_be_kept_in_another_format():
    """mamba_ssm_cache_dtype float32 doubles the recurrent part only."""
    usual = plan(model="mamba-codestral-7b", context=2048).layout.bytes_per_block
    wide = plan(
        model="mamba-codestral-7b", context=2048, engine_args={"mamba_ssm_cache_dtype": "float32"}
    ).layout.bytes_per_block
    assert wide - usual == 64 * 128 * 64 * 128 * 2


def test_context_ranks_split_what_latents_keep():
    """Eight ranks that share a decode hold an eighth of the positions each."""
    alone = plan(model="deepseek-v3", tensor_parallel=8, context=65536)
    shared = plan(
        model="deepseek-v3", tensor_parallel=8, context=65536, engine_args={"decode_context_parallel_size": 8}
    )
    assert shared.bytes_per_request * 8 == alone.bytes_per_request


def test_context_ranks_are_refused_where_heads_leave_none_over():
    """Grouped heads must be fewer than the ranks (verify_with_parallel_config)."""
    with pytest.raises(SettingError, match="decode_context_parallel_size 2"):
        plan(tensor_parallel=8, engine_args={"decode_context_parallel_size": 2})


def test_pipeline_stages_keep_the_groups_of_the_whole_model():
    """Two stages hold half of each group; windows reserve for three batches in flight instead of two."""
    one, two = (plan(model="gpt-oss-20b", context=131072, pipeline_parallel=stages) for stages in (1, 2))
    assert two.layout.bytes_per_block * 2 == one.layout.bytes_per_block
    assert two.layout.request_blocks(131072) - one.layout.request_blocks(131072) == 8192 // 16


@pytest.mark.parametrize("model", ["llama-3.1-8b", "gpt-oss-20b", "qwen3-next-80b-a3b", "deepseek-v4-flash"])
def test_a_request_holds_at_most_what_it_reserves(model):
    """live_bytes_per_request never exceeds bytes_per_request, and both grow with the context."""
    plans = [plan(model=model, context=context) for context in (1, 17, 1000, 5000, 40_000)]
    for got in plans:
        assert 0 < got.live_bytes_per_request <= got.bytes_per_request
    assert [p.bytes_per_request for p in plans] == sorted(p.bytes_per_request for p in plans)
    assert [p.live_bytes_per_request for p in plans] == sorted(p.live_bytes_per_request for p in plans)
