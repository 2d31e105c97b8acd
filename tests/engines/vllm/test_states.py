"""Recurrent states: what vLLM keeps, in which format, and how attention is aligned to them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kvplan
from kvplan.caches import RecurrentState, StateTensor
from kvplan.engines.vllm.states import align_to_states, check_shards, checkpoint_tokens, kept_state, recurrent_dtype
from kvplan.errors import SettingError

HOPPER, AMPERE, BLACKWELL = (9, 0), (8, 0), (10, 0)


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


def test_a_hybrids_block_is_enlarged_to_its_state():
    """Granite 4 Small: 2,147,840 B of state in blocks of 16 x 4,096 B are 33 of them, 528 tokens and 2,162,688 B."""
    assert align_to_states(16, state_bytes=2_147_840, token_bytes=4096, step=16, latent=False, grid=1) == (
        528,
        2_162_688,
    )


def test_latents_are_aligned_to_128():
    """Kimi-Linear: blocks of latents are multiples of 128 tokens (TRT-LLM's decode kernels)."""
    block, _ = align_to_states(16, state_bytes=2_170_880, token_bytes=1152, step=16, latent=True, grid=1)
    assert block == 1920


def test_exported_states_lie_on_block_edges():
    """Qwen3-Next with FlashInfer's grid of 64 tokens takes blocks of 576, without it 544."""
    sizes = {"state_bytes": 1_097_728, "token_bytes": 2048, "step": 16, "latent": False}
    assert align_to_states(16, grid=64, **sizes)[0] == 576
    assert align_to_states(16, grid=1, **sizes)[0] == 544


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
    enlarged, page = align_to_states(block, state_bytes=state, token_bytes=token, step=step, latent=latent, grid=grid)
    assert page == enlarged * token >= state
    assert enlarged >= block
    assert enlarged % step == 0 or enlarged == block


def test_only_past_taps_are_kept_in_the_models_format():
    """A Mamba-2 layer keeps taps - 1 and, unless told otherwise, both parts in the model's format (mamba_utils.py)."""
    model = kvplan.load_model("mamba-codestral-7b")
    conv, ssm = kept_state(mamba2(), model, "auto", "auto").tensors
    assert conv.shape[-1] == 3
    assert (conv.dtype, ssm.dtype) == ("model", "model")
    conv, ssm = kept_state(mamba2(), model, "auto", "float32").tensors
    assert (conv.dtype, ssm.dtype) == ("model", "float32")


def test_a_familys_own_format_of_the_state():
    """Nemotron-H keeps float32 unless its file says otherwise, Qwen 3.5 what its file says, others nothing special."""
    assert recurrent_dtype(kvplan.load_model("nemotron-h-8b"), "auto") == "float32"
    assert recurrent_dtype(kvplan.load_model("nemotron-h-8b"), "bfloat16") == "bfloat16"
    assert recurrent_dtype(kvplan.load_model("jamba-1.5-mini"), "auto") == "auto"


@pytest.mark.parametrize("groups, tensor", [(1, 8), (8, 8), (8, 2), (2, 1)])
def test_groups_that_divide_or_are_single_are_taken(groups, tensor):
    """One group is replicated, several are split."""
    check_shards(mamba2(groups=groups), tensor)


def test_groups_that_do_not_divide_are_refused():
    """Two groups cannot be split over eight ranks (mamba_mixer2.py)."""
    with pytest.raises(SettingError, match="2 groups are not divisible"):
        check_shards(mamba2(groups=2), 8)


@pytest.mark.parametrize(
    "model, generation, grid",
    [
        ("granite-4.0-h-small", AMPERE, 1),  # Mamba-2 anywhere
        ("qwen3-next-80b-a3b", HOPPER, 64),  # FlashInfer prefills
        ("qwen3-next-80b-a3b", AMPERE, None),
        ("qwen3-next-80b-a3b", BLACKWELL, 64),
        ("jamba-1.5-mini", HOPPER, None),
        ("kimi-linear-48b-a3b", HOPPER, None),
    ],
)
def test_which_states_are_exported_inside_a_prefill(model, generation, grid):
    """By mixer and GPU (mamba_mixer2.py, qwen_gdn_linear_attn.py, kda_checkpoint.py)."""
    spec = kvplan.load_model(model)
    (state,) = [cache for cache, _ in spec.caches if isinstance(cache, RecurrentState)]
    assert checkpoint_tokens(state, spec, generation) == grid
