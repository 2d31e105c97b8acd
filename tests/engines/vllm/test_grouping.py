"""Groups, padding and packing, worked by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvplan.caches import FullAttention
from kvplan.dtypes import find_dtype
from kvplan.engines.vllm.grouping import group_layers, pool_bytes_per_block
from kvplan.engines.vllm.packing import approximate_gcd
from kvplan.engines.vllm.specs import LayerSpec
from kvplan.errors import SettingError, UnsupportedArchitectureError


def spec(kind="full", *, content=4096, block=16, window=None, pages=0, padded=None):
    cache = FullAttention(heads=1, key_dim=1, value_dim=1)
    return LayerSpec(
        cache=cache,
        dtype=find_dtype("bfloat16"),
        kind=kind,
        block_tokens=block,
        content_bytes=content,
        window=window,
        state_pages=pages,
        padded_bytes=padded,
    )


def groups_of(*specs, hybrid=True, block_outermost=False, version=(0, 33)):
    return group_layers(list(enumerate(specs)), hybrid=hybrid, block_outermost=block_outermost, version=version)


FULL, SLIDING = spec(), spec("sliding", window=128)


def test_no_layers_no_groups():
    """A model without caches has no pool."""
    assert groups_of() == ()
    assert pool_bytes_per_block(()) == 0


def test_equal_layers_are_one_group():
    """A block carries one page of each layer."""
    (group,) = groups_of(*[FULL] * 32)
    assert group.bytes_per_block == 32 * 16 * 4096


def test_latents_and_indexers_share_a_table_in_spite_of_their_pages():
    """DeepSeek V3.2: one group, a block carries both pages (_get_kv_cache_groups_uniform_type)."""
    latent, index = spec("mla", content=1152, block=64), spec("mla", content=132, block=64)
    (group,) = groups_of(latent, index, latent, index)
    assert group.bytes_per_block == 2 * 64 * (1152 + 132)


def test_kinds_that_do_not_divide_leave_slots_that_cost():
    """Gemma 3 27B: 10 full and 52 sliding layers are one group of 10 and six of 9 and 8; a block costs 10 pages."""
    groups = groups_of(*[FULL] * 10, *[SLIDING] * 52)
    assert [len(group.members) for group in groups] == [10, 9, 9, 9, 9, 8, 8]
    assert pool_bytes_per_block(groups) == 10 * 16 * 4096


def test_kinds_of_nearly_equal_size_take_the_larger():
    """12 sliding and 13 full layers are two groups, not three (the 1.5 rule)."""
    groups = groups_of(*[FULL] * 13, *[SLIDING] * 12)
    assert [len(group.members) for group in groups] == [13, 12]


@pytest.mark.parametrize(
    "version, full, sliding, sizes",
    [
        ((0, 11), 10, 12, [10, 6, 6]),
        ((0, 12), 10, 12, [10, 12]),
        ((0, 12), 10, 14, [10, 7, 7]),
        ((0, 18), 10, 14, [10, 14]),
        ((0, 10), 10, 12, [10, 10, 2]),  # sliced, not dealt
    ],
)
def test_the_size_of_groups_follows_the_release(version, full, sliding, sizes):
    """The smallest kind's layers; from 0.12 on the largest's within 1.25 times, from 0.18 on within 1.5."""
    groups = groups_of(*[FULL] * full, *[SLIDING] * sliding, version=version)
    assert [len(group.members) for group in groups] == sizes


@pytest.mark.parametrize("version, refused", [((0, 11), True), ((0, 23), True), ((0, 24), False)])
def test_pages_that_do_not_divide_are_refused_before_they_were_padded(version, refused):
    """Attention of two widths that do not divide each other: padded from 0.24 on."""
    layers = spec(content=3000), spec("sliding", window=128)
    if not refused:
        assert len(groups_of(*layers, version=version)) == 2
        return
    with pytest.raises(UnsupportedArchitectureError, match="cannot make the pages"):
        groups_of(*layers, version=version)


def test_windows_beside_latents_that_cannot_be_made_equal_are_paged_in_full():
    """From 0.27 on one table serves both (_try_get_full_allocation_fallback_groups); before, refused."""
    layers = spec("mla", content=3000), spec("sliding", window=128)
    (group,) = groups_of(*layers, version=(0, 27))
    assert [leader.kind for leader in group.leaders] == ["mla", "full"]
    with pytest.raises(UnsupportedArchitectureError, match="cannot make the pages"):
        groups_of(*layers, version=(0, 26))


def test_a_smaller_page_that_divides_gets_a_longer_block():
    """Gemma 4: pages of half the size are paged by twice the positions."""
    small, large = spec(content=2048), spec("sliding", window=128)
    groups = groups_of(small, large)
    assert {leader.block_tokens for group in groups for leader in group.leaders} == {16, 32}


def test_a_page_that_does_not_divide_is_padded():
    """Attention and states are padded to the largest page; latents cannot be and are refused."""
    groups = groups_of(spec(content=3000), spec("sliding", window=128))
    assert {group.bytes_per_block for group in groups} == {16 * 4096}
    with pytest.raises(UnsupportedArchitectureError, match="cannot make the pages"):
        groups_of(spec("mla", content=3000), spec("chunked", window=128))


def test_without_the_hybrid_manager_windows_are_paged_for_every_position():
    """Promoted layers of one shape are one group of full attention (unify_hybrid_kv_cache_specs)."""
    (group,) = groups_of(FULL, SLIDING, FULL, SLIDING, hybrid=False)
    assert len(group.members) == 4
    assert all(leader.kind == "full" for leader in group.leaders)


def test_windows_alone_stay_windows_without_the_hybrid_manager():
    """Nothing is promoted where all layers are alike."""
    (group,) = groups_of(SLIDING, SLIDING, hybrid=False)
    assert group.leaders == (SLIDING,)


def test_states_cannot_be_promoted():
    """A model with recurrent layers needs the hybrid manager, and is refused without it as vLLM does."""
    with pytest.raises(SettingError, match="disable_hybrid_kv_cache_manager"):
        groups_of(FULL, spec("mamba", content=65_536, pages=2), hybrid=False)


def test_a_pipeline_stage_holds_its_part_of_each_group():
    """Groups are formed over the whole model; a stage without layers of a group still counts its blocks."""
    groups = groups_of(FULL, SLIDING, FULL, SLIDING)
    parts = [group.on_stage(range(2)) for group in groups]
    assert [len(part.members) for part in parts] == [1, 1]
    assert [part.leaders for part in parts] == [group.leaders for group in groups]


def test_packed_pages_lie_side_by_side_and_the_widest_group_prices_the_block():
    """DeepSeek V4 Flash on one H100: 62 entries and indexes make a block of 1,002,240 B (measured)."""
    import kvplan  # noqa: PLC0415

    plan = kvplan.estimate(model="deepseek-v4-flash", gpu="h100", context=4096, kv_cache_memory="40GiB")
    assert plan.layout.bytes_per_block == 1_002_240


@pytest.mark.parametrize("values, least, best", [([22, 21, 21, 20], 21, 22), ([30, 30], 30, 30), ([5], 9, 9)])
def test_the_repeats_of_a_packed_group_waste_least(values, least, best):
    """The divisor with least padding, the larger of equals (_approximate_gcd)."""
    assert approximate_gcd(values, at_least=least) == best


KINDS = st.sampled_from(
    [FULL, SLIDING, spec("chunked", window=512), spec("mamba", content=65_536, pages=2), spec(content=8192)]
)


@given(st.lists(KINDS, min_size=1, max_size=60), st.sampled_from([(0, 26), (0, 27), (0, 33)]))
def test_groups_partition_the_layers_and_cost_the_same(layers, version):
    """Every layer is in exactly one group, and no group is wider than the block."""
    groups = groups_of(*layers, version=version)
    assert sorted(index for group in groups for index, _ in group.members) == list(range(len(layers)))
    assert max(group.bytes_per_block for group in groups) == pool_bytes_per_block(groups)
