"""Cache formats of vLLM with kernels of their own: pages in figures, answers of vLLM's planner and of logs, refusals by release.

"Planner" rows are what vLLM 0.33's own planning code answers for 10 GiB and 32,768 tokens, run without a GPU (29 Nov 2026).
"""

import pytest

import kvplan
from kvplan.errors import SettingError
from kvplan.units import GIB

LLAMA = "llama-3.1-8b"  # 32 layers, 8 KV heads of 128
HYBRID = "qwen3.6-27b"  # 16 layers of attention, 4 KV heads of 256, and 48 of gated delta nets


def plan(model=LLAMA, kv_dtype="int4_per_token_head", version="0.33", gpu="h100", memory=10 * GIB, **kwargs):
    kwargs = {"context": 32768, "kv_cache_memory": memory, **kwargs}
    return kvplan.estimate(model=model, gpu=gpu, engine=f"vllm@{version}", kv_dtype=kv_dtype, **kwargs)


def block(planned):
    return planned.layout.block_tokens


def refused(match, **kwargs):
    with pytest.raises(SettingError, match=match):
        plan(**kwargs)


# -- pages -------------------------------------------------------------------------------------------------------------


def test_int4_is_half_a_byte_and_a_scale():
    """A head: 128 / 2 of keys + 4, and the same of values; a block: 16 positions of 8 heads in 32 layers."""
    planned = plan()
    assert planned.layout.bytes_per_block == 32 * 16 * 8 * (128 // 2 + 4 + 128 // 2 + 4)
    assert planned.layout.request_bytes(32768, 0) == 32768 // 16 * planned.layout.bytes_per_block


@pytest.mark.parametrize(
    "kv_dtype, slot",
    [
        ("turboquant_k8v4", 128 + (64 + 4)),
        ("turboquant_4bit_nc", (64 + 2) + (64 + 4)),
        ("turboquant_k3v4_nc", (48 + 2) + (64 + 4)),
        ("turboquant_3bit_nc", (48 + 2) + (48 + 4)),
    ],
)
def test_turboquant_leaves_two_layers_at_either_end(kv_dtype, slot):
    """28 layers in slots, 4 in bf16 (2 x 128 x 2 B), in blocks of 32."""
    planned = plan(kv_dtype=kv_dtype)
    assert block(planned) == 32
    assert planned.layout.bytes_per_block == 32 * 8 * (28 * slot + 4 * 512)


def test_the_report_names_both_formats():
    """Layers in bf16 stand beside those in slots."""
    groups = plan(kv_dtype="turboquant_k8v4").layout.groups
    assert {(group.dtype, group.layers) for group in groups} == {("bfloat16", 4), ("turboquant_k8v4", 28)}


def test_stages_keep_the_layers_at_their_ends():
    """The first of two stages has the first two layers of the model, the last the last two."""
    planned = plan(kv_dtype="turboquant_k8v4", pipeline_parallel=2)
    assert planned.layout.bytes_per_block == 32 * 8 * (14 * 196 + 2 * 512)


def test_hybrids_have_turboquant_in_every_layer():
    """A page of 2,112 positions x 4 heads x (256 + 128 + 4) B holds a state; 16 layers of a group share a block."""
    planned = plan(HYBRID, "turboquant_k8v4")
    assert block(planned) == 2112
    assert planned.layout.bytes_per_block == 16 * 2112 * 4 * (256 + 128 + 4)


def test_sparse_latents_in_nvfp4_are_352_bytes():
    """GLM-5: 78 latents of 256 + 64 + 32 B and 78 index keys of 128 + 4 B, in blocks of 64."""
    planned = plan("glm-5", "nvfp4_ds_mla", gpu="b200")
    assert planned.layout.bytes_per_block == 64 * 78 * (352 + 132)


def test_ultraquant_has_an_exponent_for_32_numbers():
    """A slot of 2 x (64 + 4) B on AMD, two layers at either end in bf16."""
    planned = plan(kv_dtype="ultraquant_4bit", gpu="mi300x")
    assert planned.layout.bytes_per_block == 32 * 8 * (28 * 2 * (64 + 4) + 4 * 512)


def test_an_nvfp4_format_that_only_scales_otherwise():
    """nvfp4_4over6 takes what nvfp4 takes."""
    sizes = {plan(kv_dtype=name, gpu="b200").layout.bytes_per_block for name in ("nvfp4", "nvfp4_4over6")}
    assert sizes == {32 * 16 * 8 * 2 * (64 + 8)}


# -- vLLM's own answers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "model, kv_dtype, tensor, args, blocks, tokens, request_bytes",
    [
        (LLAMA, "int4_per_token_head", 1, {}, 19275, 308400, 1140850688),
        (LLAMA, "int4_per_token_head", 2, {}, 38550, 616800, 570425344),
        (LLAMA, "int4_per_token_head", 1, {"block_size": 64}, 4818, 308352, 1140850688),
        ("gemma-3-12b", "int4_per_token_head", 1, {}, 39718, 173692, 2025627648),
        ("gpt-oss-20b", "int4_per_token_head", 1, {}, 97090, 1032601, 340733952),
        ("llama-4-scout", "int4_per_token_head", 1, {}, 51400, 253046, 1390411776),
        ("granite-4.0-h-small", "int4_per_token_head", 1, {}, 1243, 925696, 379912192),
        (HYBRID, "int4_per_token_head", 1, {}, 206, 337510, 1038090240),
        (LLAMA, "turboquant_k8v4", 1, {}, 5565, 178080, 1975517184),
        (LLAMA, "turboquant_4bit_nc", 1, {"block_size": 48}, 4821, 231295, 1521177600),
        (LLAMA, "turboquant_4bit_nc", 1, {"block_size": 64}, 3615, 231360, 1520435200),
        (LLAMA, "turboquant_4bit_nc", 1, {"block_size": 192}, 1205, 230909, 1523404800),
        (LLAMA, "turboquant_k3v4_nc", 2, {}, 15673, 501536, 701497344),
        ("minimax-m2.5", "turboquant_3bit_nc", 1, {}, 5266, 168512, 2087714816),
        ("lfm2-1.2b", "turboquant_3bit_nc", 1, {}, 129453, 4126377, 85266432),
        ("jamba-1.5-mini", "turboquant_k8v4", 1, {}, 8230, 1567910, 224387072),
        ("qwen3-next-80b-a3b", "turboquant_k8v4", 1, {}, 783, 801792, 438632448),
        (HYBRID, "turboquant_4bit_nc", 1, {"block_size": 192}, 208, 340787, 1030225920),
        (HYBRID, "turboquant_k3v4_nc", 2, {}, 414, 713997, 492236800),
    ],
)
def test_as_the_planner_answers(model, kv_dtype, tensor, args, blocks, tokens, request_bytes):
    """Blocks, printed tokens and the bytes of one request on an H100."""
    planned = plan(model, kv_dtype, tensor_parallel=tensor, engine_args=args)
    assert (planned.capacity.kv_cache_blocks, planned.capacity.kv_cache_tokens) == (blocks, tokens)
    assert planned.layout.request_bytes(32768, 0) == request_bytes


@pytest.mark.parametrize("model, blocks, tokens", [("glm-5", 4444, 284416), ("glm-5.3", 5550, 355200)])
def test_as_the_planner_answers_for_latents(model, blocks, tokens):
    """nvfp4_ds_mla on a B200."""
    capacity = plan(model, "nvfp4_ds_mla", gpu="b200").capacity
    assert (capacity.kv_cache_blocks, capacity.kv_cache_tokens) == (blocks, tokens)


def test_as_a_log_of_int4_says():
    """Qwen 3.8 27B with three drafts on an RTX 5090: blocks of 3,104, 9.67 GiB are 502,667 tokens, 1.92 x 262,144."""
    planned = plan(
        "qwen3.8-27b",
        version="0.27",
        gpu="rtx5090",
        memory=int(9.67 * GIB),
        context=262144,
        draft="mtp",
        engine_args={"num_speculative_tokens": 3, "gpu_memory_utilization": 0.955},
    )
    assert (block(planned), planned.capacity.kv_cache_tokens) == (3104, 502667)
    assert f"{planned.capacity.max_concurrency:.2f}" == "1.92"


def test_as_a_log_of_turboquant_says():
    """Qwen 2.5 7B: 4.96 GiB (rounded) are 12,319 blocks of 16, 197,104 tokens: 24 layers of 4 x 196 B and 4 in bf16."""
    planned = plan("qwen2.5-7b", "turboquant_k8v4", "0.20.2", memory=int(4.96 * GIB), context=16384)
    assert planned.layout.bytes_per_block == 16 * 4 * (24 * 196 + 4 * 512)
    assert planned.capacity.kv_cache_tokens == pytest.approx(197104, rel=0.001)


def test_as_a_log_of_a_hybrid_says():
    """Qwen 3.6 35B-A3B on two RTX A5000: blocks of 2,768, 10.08 GiB hold 9.97 x 262,144 tokens in 1,007 of them."""
    planned = plan(
        "qwen3.6-35b-a3b",
        "turboquant_k8v4",
        "0.21",
        gpu="rtx-a5000",
        memory=int(10.08 * GIB),
        context=262144,
        tensor_parallel=2,
        engine_args={"enable_prefix_caching": True, "max_num_batched_tokens": 4096, "dtype": "float16"},
    )
    assert (block(planned), planned.capacity.kv_cache_blocks) == (2768, 1007)
    assert f"{planned.capacity.max_concurrency:.2f}" == "9.97"


# -- by release --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kv_dtype, before, since",
    [
        ("int8_per_token_head", "0.19.1", "0.20"),
        ("turboquant_4bit_nc", "0.19.1", "0.20"),
        ("nvfp4", "0.20.2", "0.21"),
        ("int4_per_token_head", "0.24.0", "0.25"),
        ("nvfp4_4over6", "0.27.0", "0.28"),
        ("nvfp4_ds_mla", "0.29.0", "0.30"),
        ("ultraquant_4bit", "0.31.0", "0.32"),
    ],
)
def test_a_format_came_with_a_release(kv_dtype, before, since):
    """The release before refuses it and says where it begins; that one takes it."""
    served = {"nvfp4_ds_mla": ("glm-5", "b200"), "ultraquant_4bit": (LLAMA, "mi300x")}
    model, gpu = served.get(kv_dtype, (LLAMA, "b200"))
    refused(f"no KV-cache dtype '{kv_dtype}' before {since}", kv_dtype=kv_dtype, version=before)
    assert plan(model, kv_dtype, since, gpu=gpu).capacity.kv_cache_tokens


@pytest.mark.parametrize("name", ["octave_k3v4", "octave_k3v3", "OCTAVE-K3V3-COMPACT"])
def test_what_is_not_modelled_says_so(name):
    """Octave is in vLLM 0.33; its slots depend on the rotary width and are not modelled."""
    refused("since 0.33; kvplan does not model", kv_dtype=name)


def test_a_format_of_others_is_named_with_those_of_the_release():
    """There is no q8_0 in vLLM; 0.24 has no int4_per_token_head to name either."""
    with pytest.raises(SettingError) as error:
        plan(kv_dtype="q8_0", version="0.24")
    assert "turboquant_k8v4" in str(error.value)
    assert "int4_per_token_head" not in str(error.value)


@pytest.mark.parametrize("version, tokens", [("0.20", 16), ("0.24", 16), ("0.25", 32), ("0.33", 32)])
def test_blocks_of_mixed_formats_grew(version, tokens):
    """From 0.25 on a page of 8 bits is to hold 16 positions in 16 bits."""
    assert block(plan(kv_dtype="turboquant_4bit_nc", version=version)) == tokens


def test_hybrids_take_turboquant_later():
    """0.20 refuses models with recurrent states, 0.21 takes them."""
    refused("from 0.21 on", model=HYBRID, kv_dtype="turboquant_4bit_nc", version="0.20.2")
    assert plan(HYBRID, "turboquant_4bit_nc", "0.21").capacity.kv_cache_tokens


def test_two_releases_take_turboquant_on_runner_v2_only():
    """0.25 and 0.26: runner V1, which hybrids and mixtures of experts had, asked for TurboQuant's shape of `auto`."""
    for version in ("0.25", "0.26"):
        refused("model runner V1", model=HYBRID, kv_dtype="turboquant_4bit_nc", version=version)
        refused("model runner V1", model="qwen3-30b-a3b", kv_dtype="turboquant_4bit_nc", version=version)
        assert plan(kv_dtype="turboquant_4bit_nc", version=version).capacity.kv_cache_tokens
        chosen = plan(HYBRID, "turboquant_4bit_nc", version, engine_args={"use_v2_model_runner": True})
        assert chosen.capacity.kv_cache_tokens
        refused(
            "model runner V1", version=version, kv_dtype="turboquant_k8v4", engine_args={"use_v2_model_runner": False}
        )
    for version in ("0.24", "0.27"):
        assert plan(HYBRID, "turboquant_4bit_nc", version).capacity.kv_cache_tokens


def test_windows_take_int4_later():
    """Up to 0.27 a window's page was counted in 8 bits, and its kernel found other bytes than it asked for."""
    refused("sliding windows", model="gemma-3-12b", version="0.27")
    assert plan("gemma-3-12b", version="0.28").capacity.kv_cache_tokens
    assert plan(version="0.27").capacity.kv_cache_tokens


def test_nvfp4_reaches_other_gpus_later():
    """Compute capability 10 since 0.21, 8, 9 and 12 since 0.32."""
    refused("compute capability 10", kv_dtype="nvfp4", version="0.31")
    assert plan(kv_dtype="nvfp4", version="0.32").capacity.kv_cache_tokens
    refused("compute capability 10", kv_dtype="nvfp4_4over6")
    refused("compute capability 10", kv_dtype="nvfp4", model="gpt-oss-20b")
    refused("compute capability 10", kv_dtype="nvfp4", gpu="mi300x")


# -- what does not go together -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kv_dtype", ["int4_per_token_head", "int8_per_token_head", "turboquant_k8v4", "nvfp4"])
@pytest.mark.parametrize("model", ["deepseek-v2-lite", "glm-5"])
def test_latents_take_none_of_them(model, kv_dtype):
    """No valid attention backend, or a check of the configuration."""
    refused("no kernel of latents", model=model, kv_dtype=kv_dtype, gpu="b200")


@pytest.mark.parametrize(
    "model, reason",
    [
        ("gemma-3-12b", "sliding windows"),
        ("gpt-oss-20b", "sliding windows"),
        ("llama-4-scout", "sliding windows"),
        ("whisper-large-v3", "cross-attention"),
        ("mimo-v2-flash", "not as wide as keys"),
        ("phi-2", "2\\^n numbers, not of 80"),
    ],
)
def test_turboquant_serves_full_attention(model, reason):
    """Windows, chunks, sinks, encoders and keys that are not 2^n wide are refused."""
    refused(reason, model=model, kv_dtype="turboquant_4bit_nc", context=512)


def test_hybrids_name_their_layers_of_attention():
    """Zamba 2's file lists hybrid layers only; vLLM finds none of attention in it."""
    refused("names no layers", model="zamba2-7b", kv_dtype="turboquant_k8v4", context=512)


def test_keys_in_8_bits_are_not_rotated():
    """turboquant_k8v4 takes heads of 80: 80 + 40 + 4 B."""
    planned = plan("phi-2", "turboquant_k8v4", context=512)
    assert planned.layout.bytes_per_block == 32 * 32 * (28 * 124 + 4 * 2 * 80 * 2)


def test_packed_latents_need_their_model_and_gpu():
    """nvfp4_ds_mla: sparse latents on compute capability 10."""
    refused("layout of sparse latents", model="kimi-k2", kv_dtype="nvfp4_ds_mla", gpu="b200")
    refused("layout of sparse latents", kv_dtype="nvfp4_ds_mla", gpu="b200")
    refused("compute capability 10 only", model="glm-5", kv_dtype="nvfp4_ds_mla", gpu="h100")
    refused("cached in fp8 only", model="deepseek-v4-flash", kv_dtype="nvfp4_ds_mla", gpu="b200")


@pytest.mark.parametrize(
    "model, kv_dtype, gpu, backend",
    [
        (LLAMA, "int4_per_token_head", "h100", "FLASH_ATTN"),
        (LLAMA, "int8_per_token_head", "b200", "FLASHINFER"),
        (LLAMA, "turboquant_k8v4", "h100", "TURBOQUANT"),
        (HYBRID, "turboquant_k8v4", "h100", "TRITON_ATTN"),
        ("glm-5", "nvfp4_ds_mla", "b200", "FLASHINFER_MLA_SPARSE"),
        (LLAMA, "ultraquant_4bit", "h100", "auto"),
        (LLAMA, "int4_per_token_head", "arc-pro-b60", "auto"),
    ],
)
def test_one_kernel_reads_a_format(model, kv_dtype, gpu, backend):
    """Another one that is asked for, or that the platform has, does not."""
    refused(
        f"refuses the KV-cache dtype {kv_dtype}",
        model=model,
        kv_dtype=kv_dtype,
        gpu=gpu,
        engine_args={"attention_backend": backend},
    )


@pytest.mark.parametrize(
    "model, kv_dtype, gpu, backend",
    [
        (LLAMA, "int4_per_token_head", "arc-pro-b60", "TRITON_ATTN"),
        (LLAMA, "fp8_per_token_head", "h100", "triton_attn"),
        (HYBRID, "turboquant_k8v4", "h100", "TURBOQUANT"),
    ],
)
def test_its_kernel_may_be_asked_for(model, kv_dtype, gpu, backend):
    """By name, in either case."""
    assert plan(model, kv_dtype, gpu=gpu, engine_args={"attention_backend": backend}).capacity.kv_cache_tokens


def test_a_scale_for_each_head_keeps_blocks_of_16():
    """fp8_per_token_head goes to Triton: heads of 512 on Hopper keep blocks of 16, which plain fp8 reads in 64."""
    assert block(plan("gemma-4-31b-it", "fp8_per_token_head")) == 16
    assert block(plan("gemma-4-31b-it", "fp8")) == 64
