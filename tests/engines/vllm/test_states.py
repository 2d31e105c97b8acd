"""Recurrent states: what vLLM keeps, in which format, and how attention is aligned to them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kvplan
from kvplan.caches import RecurrentState, StateTensor
from kvplan.engines.vllm.states import (
    align_to_states,
    block_grid,
    cache_mode,
    check_shards,
    checkpoint_tokens,
    kept_state,
    recurrent_dtype,
)
from kvplan.errors import SettingError

HOPPER, AMPERE, BLACKWELL = (9, 0), (8, 0), (10, 0)
RELEASE = (0, 33)


def mamba2(heads=128, head_dim=64, state=128, groups=1, taps=4):
    channels = heads * head_dim + 2 * groups * state
    return RecurrentState(
        style="mamba2",
        tensors=(
            StateTensor(
                name="conv",
                shape=(channels, taps),
                taps=True,
                replicated=2 * groups * state if groups == 1 else 0,
            ),
            StateTensor(name="ssm", shape=(heads, head_dim, state), dtype="float32"),
        ),
    )


def grid_of(**changes):
    usual = {
        "version": RELEASE,
        "block": 16,
        "step": 16,
        "latent": False,
        "head_dim": 128,
        "generation": HOPPER,
        "grid": 1,
        "chunk": None,
    }
    return block_grid(**usual | changes)


def kept(state, model, cache_dtype="auto", ssm_dtype="auto", *, version=RELEASE, drafts=0):
    return kept_state(
        state, model, cache_dtype=cache_dtype, ssm_dtype=ssm_dtype, version=version, drafts=drafts
    ).tensors


def test_a_hybrids_block_is_enlarged_to_its_state():
    """Granite 4 Small: 2,147,840 B of state in blocks of 16 x 4,096 B are 33 of them, 528 tokens and 2,162,688 B."""
    assert align_to_states(16, state_bytes=2_147_840, token_bytes=4096, step=16, align=16) == (528, 2_162_688)


def test_latents_are_aligned_to_128():
    """Kimi-Linear: blocks of latents are multiples of 128 tokens (TRT-LLM's decode kernels)."""
    align = grid_of(latent=True)
    assert align == 128
    assert align_to_states(16, state_bytes=2_170_880, token_bytes=1152, step=16, align=align)[0] == 1920


def test_exported_states_lie_on_block_edges():
    """Qwen3-Next with FlashInfer's grid of 64 tokens takes blocks of 576, without it 544."""
    sizes = {"state_bytes": 1_097_728, "token_bytes": 2048, "step": 16}
    assert align_to_states(16, align=grid_of(grid=64), **sizes)[0] == 576
    assert align_to_states(16, align=grid_of(grid=1), **sizes)[0] == 544


@pytest.mark.parametrize(
    "version, changes, align",
    [
        ((0, 11, 0), {"latent": True}, 16),
        ((0, 11, 1), {"latent": True}, 64),
        ((0, 20), {"latent": True}, 64),
        ((0, 27), {"latent": True}, 128),
        ((0, 12), {"head_dim": 256, "generation": BLACKWELL}, 32),
        ((0, 12), {"head_dim": 256, "generation": (10, 3)}, 16),
        ((0, 13), {"head_dim": 256, "generation": (10, 3)}, 32),
        ((0, 18), {"head_dim": 256, "generation": BLACKWELL}, 16),
        ((0, 16), {"chunk": 256}, 256),
    ],
)
def test_what_blocks_are_multiples_of_follows_the_release(version, changes, align):
    """HybridAttentionMambaModelConfig up to 0.19, Platform._align_hybrid_block_size since."""
    if changes.get("latent") and version == (0, 20):
        changes = {**changes, "block": 64, "step": 64}
    assert grid_of(version=version, **changes) == align


@given(
    block=st.sampled_from([16, 32, 64, 128]),
    state=st.integers(1, 10**8),
    token=st.integers(1, 10**5),
    step=st.sampled_from([16, 32, 64]),
    latent=st.booleans(),
    grid=st.sampled_from([1, 16, 64]),
)
def test_a_page_always_holds_a_state(block, state, token, step, latent, grid):
    """Whatever the sizes, the page holds the state, the block is whole kernel blocks and none shorter than asked."""
    align = grid_of(block=block, step=step, latent=latent, grid=grid)
    enlarged, page = align_to_states(block, state_bytes=state, token_bytes=token, step=step, align=align)
    assert page == enlarged * token >= state
    assert enlarged >= block
    assert enlarged % step == 0 or enlarged == block


def test_only_past_taps_are_kept_in_the_models_format():
    """A Mamba-2 layer keeps taps - 1 and, unless told otherwise, both parts in the model's format (mamba_utils.py)."""
    model = kvplan.load_model("mamba-codestral-7b")
    conv, ssm = kept(mamba2(), model)
    assert conv.shape[-1] == 3
    assert (conv.dtype, ssm.dtype) == ("model", "model")
    conv, ssm = kept(mamba2(), model, ssm_dtype="float32")
    assert (conv.dtype, ssm.dtype) == ("model", "float32")


@pytest.mark.parametrize(
    "name, version, asked, expected",
    [
        ("nemotron-h-8b", (0, 12), "auto", "auto"),
        ("nemotron-h-8b", (0, 13), "auto", "float16"),
        ("nemotron-h-8b", (0, 20), "auto", "float32"),
        ("nemotron-h-8b", RELEASE, "bfloat16", "bfloat16"),
        ("qwen3.5-35b-a3b", RELEASE, "auto", "float32"),
        ("jamba-1.5-mini", RELEASE, "auto", "auto"),
    ],
)
def test_a_familys_own_format_of_the_state(name, version, asked, expected):
    """Nemotron-H keeps float32 unless its file says otherwise, Qwen 3.5 what its file says, others nothing special."""
    assert recurrent_dtype(kvplan.load_model(name), asked, version) == expected


@pytest.mark.parametrize(
    "name, version, taps",
    [
        ("qwen3-next-80b-a3b", (0, 10, 2), 5),
        ("granite-4.0-h-small", (0, 16), 3),
        ("granite-4.0-h-small", (0, 17), 5),
        ("kimi-linear-48b-a3b", (0, 26), 3),
        ("kimi-linear-48b-a3b", (0, 27), 5),
        ("lfm2-1.2b", (0, 28), 2),
        ("lfm2-1.2b", (0, 29), 4),
        ("jamba-1.5-mini", RELEASE, 3),
    ],
)
def test_convolutions_keep_a_tap_for_each_draft_token(name, version, taps):
    """Two draft tokens: by kind of mixer and release (MambaStateShapeCalculator)."""
    spec = kvplan.load_model(name)
    state = next(cache for cache, _ in spec.caches if isinstance(cache, RecurrentState))
    parts = kept(state, spec, version=version, drafts=2)
    assert next(part.shape[-1] for part in parts if part.taps) == taps


@pytest.mark.parametrize(
    "name, version, caching, drafts, mode",
    [
        ("granite-4.0-h-small", (0, 11, 0), True, 0, "none"),
        ("granite-4.0-h-small", (0, 11, 1), True, 0, "all"),
        ("qwen3-next-80b-a3b", (0, 14), True, 0, "none"),
        ("qwen3-next-80b-a3b", (0, 15), True, 0, "align"),
        ("granite-4.0-h-small", (0, 19), True, 1, "all"),
        ("granite-4.0-h-small", (0, 20), True, 1, "align"),
        ("granite-4.0-h-small", (0, 22), True, 1, "all"),
        ("granite-4.0-h-small", (0, 28), True, 0, "align"),
        ("granite-4.0-h-small", RELEASE, False, 0, "none"),
    ],
)
def test_which_states_prefix_caching_keeps(name, version, caching, drafts, mode):
    """model_executor/models/config.py MambaModelConfig, release by release."""
    assert cache_mode(kvplan.load_model(name), asked="auto", caching=caching, version=version, drafts=drafts) == mode


@pytest.mark.parametrize("groups, tensor", [(1, 8), (8, 8), (8, 2), (2, 1)])
def test_groups_that_divide_or_are_single_are_taken(groups, tensor):
    """One group is replicated, several are split."""
    check_shards(mamba2(groups=groups), tensor)


def test_groups_that_do_not_divide_are_refused():
    """Two groups cannot be split over eight ranks (mamba_mixer2.py)."""
    with pytest.raises(SettingError, match="2 groups are not divisible"):
        check_shards(mamba2(groups=2), 8)


@pytest.mark.parametrize(
    "model, generation, version, grid",
    [
        ("granite-4.0-h-small", AMPERE, RELEASE, 1),  # Mamba-2 anywhere
        ("granite-4.0-h-small", AMPERE, (0, 31), None),
        ("qwen3-next-80b-a3b", HOPPER, RELEASE, 64),  # FlashInfer prefills
        ("qwen3-next-80b-a3b", HOPPER, (0, 32), None),
        ("qwen3-next-80b-a3b", AMPERE, RELEASE, None),
        ("qwen3-next-80b-a3b", BLACKWELL, RELEASE, 64),
        ("jamba-1.5-mini", HOPPER, RELEASE, None),
        ("kimi-linear-48b-a3b", HOPPER, RELEASE, None),
        ("kimi-k3", HOPPER, (0, 29), 16),
        ("glm-5.3-flash", HOPPER, (0, 31), None),
        ("glm-5.3-flash", HOPPER, (0, 32), 16),
    ],
)
def test_which_states_are_exported_inside_a_prefill(model, generation, version, grid):
    """By mixer and GPU (mamba_mixer2.py, qwen_gdn_linear_attn.py, kda_checkpoint.py)."""
    spec = kvplan.load_model(model)
    (state,) = [cache for cache, _ in spec.caches if isinstance(cache, RecurrentState)]
    exported = checkpoint_tokens(state, spec, generation=generation, version=version, gdn_prefill="auto")
    assert exported == grid


def test_the_kernel_of_delta_nets_can_be_named():
    """gdn_prefill_backend=triton exports no states: blocks of 544 and one state less (measured on an H100)."""
    plans = [
        kvplan.estimate(
            "qwen3-next-80b-a3b",
            "h100",
            context=32768,
            kv_cache_memory="40GiB",
            engine_args={"gdn_prefill_backend": kernel},
        )
        for kernel in ("flashinfer", "triton")
    ]
    assert [plan.layout.block_tokens for plan in plans] == [576, 544]
