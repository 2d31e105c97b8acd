"""Where vLLM's layers are not the model's, and what is not built."""

import pytest

import kvplan
from kvplan.caches import FullAttention, SlidingWindow
from kvplan.engines.vllm.departures import registered
from kvplan.errors import SettingError, UnsupportedArchitectureError


def caches(name):
    model = kvplan.load_model(name)
    return {cache for layer in model.layers for cache in registered(model, layer)}


def test_cohere_2_sees_one_position_more_than_its_window():
    """commandr.py: 4,096 in the file, 4,097 in the cache."""
    assert {cache.window for cache in caches("command-r7b") if isinstance(cache, SlidingWindow)} == {4097}


def test_minicpm_3_is_cached_with_expanded_heads():
    """minicpm3.py: 40 heads of 96 for keys, values padded to as much."""
    (cache,) = caches("minicpm3-4b")
    assert isinstance(cache, FullAttention)
    assert (cache.heads, cache.key_dim, cache.value_dim) == (40, 96, 96)


def test_what_is_not_built_is_refused():
    """A family with paging rules of its own is refused by the file that has them, never guessed."""
    with pytest.raises(UnsupportedArchitectureError, match="models/deepseek_v41"):
        kvplan.estimate(model="deepseek-v4.1-flash", gpu="h100", context=4096)


def test_deepseek_v4_is_cached_in_fp8_only():
    """_resolve_dsv4_kv_cache_dtype: `auto` is the packed form, other formats are refused."""
    plan = kvplan.estimate(model="deepseek-v4-flash", gpu="h100", context=4096, kv_cache_memory="40GiB")
    assert plan.deployment.settings.kv_dtype.name == "fp8_ds_mla"
    with pytest.raises(SettingError, match="fp8 only"):
        kvplan.estimate(model="deepseek-v4-flash", gpu="h100", kv_dtype="bf16", context=4096)


def test_shared_indexers_are_registered_by_their_leaders_only():
    """GLM-5.3: 21 indexer caches for 78 layers (measured)."""
    plan = kvplan.estimate(model="glm-5.3", gpu="h100", context=4096)
    assert {group.kind: group.layers for group in plan.layout.groups} == {"mla": 78, "sparse_index": 21}


def test_falcon_is_cached_in_the_models_format_whatever_was_asked_for():
    """falcon.py passes no cache configuration to its attention (measured: 32,768 B a page with fp8)."""
    plan = kvplan.estimate(model="falcon-40b", gpu="h100", kv_dtype="fp8", context=2048)
    assert plan.layout.groups[0].page_bytes == 32_768
