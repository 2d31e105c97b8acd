"""kvplan against vLLM 0.33's own planning code, row by row.

The rows in `allocator_rows.json` are facts printed by vLLM 0.33.0 itself: its configuration checks, model construction on
the meta device, block-size choice, grouping and capacity functions were run with a stand-in for the GPU and no weights.
Models are named by their catalogue entry. A row whose request does not fit is one that vLLM refuses to start with.
"""

import json
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

import kvplan

ROWS = json.loads((Path(__file__).parent / "allocator_rows.json").read_text())["rows"]


@cache
def model(name):
    return kvplan.load_model(name)


def plan(row):
    return kvplan.estimate(
        model=model(row["model"]),
        gpu=row["gpu"],
        engine="vllm@0.33",
        tensor_parallel=row["tp"],
        kv_dtype=row["kv"],
        context=row["len"],
        kv_cache_memory=row["available"],
        engine_args=row.get("args", {}),
    )


def label(row):
    args = "".join(f"-{name}={value}" for name, value in row.get("args", {}).items())
    return f"{row['model']}-{row['gpu']}-tp{row['tp']}-{row['kv']}-{row['len']}{args}"


@pytest.mark.parametrize("row", ROWS, ids=label)
def test_a_row_of_vllm_itself_is_reproduced(row):
    """Blocks, printed tokens, bytes of one request and the refusal are vLLM's, to the byte."""
    got = plan(row)
    assert got.bytes_per_request == row["request"]
    if "blocks" in row:
        assert (got.capacity.kv_cache_blocks, got.capacity.kv_cache_tokens) == (row["blocks"], row["tokens"])
        # The rows give the cache outright, also where the weights leave no room for it on that GPU.
        assert got.verdict in ("fits", "tight")
    else:
        assert got.verdict == "does_not_fit"


def test_the_rows_cover_what_the_allocator_decides():
    """Every kind of cache, several groups, refusals, other GPUs and flags are among the rows, so that none goes untested."""
    kinds = Counter(kind for row in ROWS for kind in row["kinds"])
    assert set(kinds) >= {
        "full_attention",
        "sliding_window",
        "chunked_local_attention",
        "mla_attention",
        "sliding_window_mla",
        "mamba",
        "cross_attention",
    }
    assert sum("blocks" not in row for row in ROWS) >= 5
    assert {row["gpu"] for row in ROWS} == {"h100", "a100-80gb"}
    assert {name for row in ROWS for name in row.get("args", {})} >= {
        "enable_prefix_caching",
        "disable_hybrid_kv_cache_manager",
        "max_num_batched_tokens",
    }
    assert len({row["model"] for row in ROWS}) >= 100
