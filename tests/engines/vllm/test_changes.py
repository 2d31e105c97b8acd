"""What differs between vLLM's releases: the dated entries, and answers of the releases' own code."""

import json
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

import kvplan
from kvplan import cli
from kvplan.engines.vllm.changes import CHANGES, NEWEST, OLDEST, applies, version_tuple
from kvplan.errors import SettingError
from kvplan.units import GIB

ROWS = json.loads((Path(__file__).parent / "release_rows.json").read_text())["rows"]
CODE = Path(kvplan.__file__).parent / "engines" / "vllm"


@cache
def model(name):
    return kvplan.load_model(name)


def plan(name, version, *, gpu="h100", context=32768, memory=20 * GIB, **kwargs):
    return kvplan.estimate(
        model=model(name), gpu=gpu, engine=f"vllm@{version}", context=context, kv_cache_memory=memory, **kwargs
    )


def args(name, version, **kwargs):
    return {name: setting.value for name, setting in plan(name, version, **kwargs).deployment.settings.args.items()}


# -- the entries ---------------------------------------------------------------------------------------------------------


def test_entries_are_dated_once_and_say_what_and_where():
    """Each key stands once, its release is one that is known, and a sentence and a source go with it."""
    assert max(Counter(change.key for change in CHANGES).values()) == 1
    for change in CHANGES:
        assert change.since >= OLDEST
        assert change.since[:2] <= NEWEST
        assert change.what.endswith(".")
        assert re.search(r"\.py|config ", change.source)


def test_no_entry_is_without_effect():
    """Every key is asked for somewhere in the code, so that what is printed is what is followed."""
    code = "".join(path.read_text() for path in CODE.rglob("*.py") if path.parent.name != "changes")
    assert [change.key for change in CHANGES if f'"{change.key}"' not in code] == []


def test_a_rule_begins_with_its_release():
    """The release before does not have it, the release itself and later ones do; 0.20 is 0.20.0."""
    assert not applies("tokens_by_concurrency", version_tuple("0.20"))
    assert not applies("tokens_by_concurrency", version_tuple("0.20.0"))
    assert applies("tokens_by_concurrency", version_tuple("v0.20.1"))
    assert applies("tokens_by_concurrency", version_tuple("0.33.0+cu130"))
    with pytest.raises(KeyError):
        applies("no_such_rule", (0, 33))


@pytest.mark.parametrize("engine, known", [("vllm", True), ("textbook", False)])
def test_the_command_prints_the_entries(capsys, monkeypatch, engine, known):
    """`kvplan engines vllm --changes` shows each rule; engines whose versions do not matter show none."""
    monkeypatch.setattr("sys.argv", ["kvplan", "engines", engine, "--changes"])
    with pytest.raises(SystemExit):
        cli.main()
    printed = " ".join(capsys.readouterr().out.split())
    assert {(" ".join(change.what.split())[:40] in printed) for change in CHANGES} == {known}


# -- the releases' own code ----------------------------------------------------------------------------------------------


def label(row):
    return (
        f"{row['version']}-{row['model']}-{row['len']}-{row['available'] >> 30}GiB{'-caching' if 'args' in row else ''}"
    )


@pytest.mark.parametrize("row", ROWS, ids=label)
def test_a_releases_own_planner_is_reproduced(row):
    """Blocks, printed tokens and concurrency, or the refusal's memory and length, are what that release's code returns.

    The rows were made by running each release's v1/core/kv_cache_utils.py (and kv_cache_interface.py) over the layers that
    kvplan registers: they prove grouping and accounts, not the layers. Of equal rows only the first release's is kept.
    """
    got = plan(
        row["model"], row["version"], context=row["len"], memory=row["available"], engine_args=row.get("args", {})
    )
    layout = got.layout
    if "blocks" in row:
        assert got.capacity.kv_cache_blocks == row["blocks"]
        assert got.capacity.max_concurrency == pytest.approx(row["concurrency"], rel=1e-6, abs=0.005)
        if row["tokens"] is not None:
            assert got.capacity.kv_cache_tokens == row["tokens"]
        assert "refuses to start" not in " ".join(got.reasons)
    else:
        assert got.verdict == "does_not_fit"
        assert layout.needed_bytes(row["len"]) / GIB == pytest.approx(row["needed_gib"], abs=0.0051)
        if "estimated" in row:
            assert layout.estimated_length(row["available"], row["len"]) == row["estimated"]


def test_the_rows_span_the_releases():
    """From the first V1 release to the last there are rows, refusals among them, of every kind of layer."""
    assert {row["version"] for row in ROWS} >= {"0.8.3", "0.9.1", "0.12.0", "0.18.0", "0.20.1", "0.26.0", "0.29.0"}
    assert sum("needed_gib" in row for row in ROWS) >= 15
    assert {row["model"] for row in ROWS} >= {"gemma-3-27b", "granite-4.0-h-small", "deepseek-v4-flash", "glm-5"}


# -- the refusal ---------------------------------------------------------------------------------------------------------


def test_a_refusal_names_what_vllm_names():
    """vllm-project/vllm#44376, two GH200 under 0.22: 6.66 GiB are needed for 30,000 tokens (with LLM()'s batch of 16,384)."""
    got = plan(
        "deepseek-v4-flash",
        "0.22",
        gpu="gh200-96gb",
        context=30_000,
        memory=int(5.44 * GIB),
        tensor_parallel=2,
        kv_dtype="fp8",
        engine_args={"usage": "llm"},
    )
    assert got.verdict == "does_not_fit"
    assert "6.66 GiB of cache are needed" in got.reasons[-1]
    assert f"estimated maximum model length is {got.capacity.max_context_tokens:,}" in got.reasons[-1]
    assert got.capacity.max_context_tokens == pytest.approx(13_528, abs=10)  # 5.44 GiB is rounded


def test_no_memory_at_all_is_named_too():
    """Nothing for the cache is another sentence, without a length."""
    assert plan("llama-3.1-8b", "0.33", memory=0).reasons[-1] == (
        "vLLM refuses to start: no available memory for the cache blocks."
    )


@pytest.mark.parametrize(
    "version, name",
    [("0.9.2", "gemma-3-27b"), ("0.16.0", "llama-3.1-8b"), ("0.20.2", "gemma-3-27b"), ("0.33.0", "gemma-3-27b")],
)
def test_the_estimated_length_is_the_longest_that_is_let_in(version, name):
    """One token more needs more than there is, whatever the release's way of counting."""
    layout = plan(name, version, context=131_072, memory=4 * GIB).layout
    longest = layout.estimated_length(4 * GIB, 131_072)
    assert layout.needed_bytes(longest) <= layout.checked_bytes(4 * GIB) < layout.needed_bytes(longest + 1)


def test_a_release_that_counts_too_little_is_no_fit():
    """0.14 to 0.18 ask for the first group's blocks only: they start, but the pool holds no such request."""
    got = plan("gemma-3-27b", "0.16.0", context=131_072, memory=9 * GIB)
    assert got.layout.needed_bytes(131_072) <= 9 * GIB
    assert got.capacity.max_concurrency < 1
    assert got.verdict == "does_not_fit"


# -- defaults ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "version, gpu, usage, tokens, seqs",
    [
        ("0.8.1", "h100", "serve", 8192, 1024),
        ("0.8.1", "rtx4090", "serve", 2048, 1024),
        ("0.8.5", "a100-80gb", "serve", 8192, 1024),
        ("0.9.0", "a100-80gb", "serve", 2048, 256),
        ("0.19.0", "rtx4090", "llm", 8192, 256),
        ("0.19.0", "h100", "llm", 16384, 1024),
        ("0.27.0", "b200", "serve", 8192, 1024),
        ("0.28.0", "b200", "serve", 16384, 1024),
        ("0.28.0", "b200", "llm", 16384, 1024),
        ("0.25.0", "gb10", "serve", 2048, 256),  # NVML names no memory for it
        ("0.32.0", "thor", "serve", 2048, 256),
        ("0.33.0", "thor", "serve", 8192, 1024),
    ],
)
def test_batches_follow_version_gpu_and_use(version, gpu, usage, tokens, seqs):
    """engine/arg_utils.py get_batch_defaults and its predecessors."""
    given = args("llama-3.1-8b", version, gpu=gpu, engine_args={"usage": usage})
    assert (given["max_num_batched_tokens"], given["max_num_seqs"]) == (tokens, seqs)


@pytest.mark.parametrize("version, caching", [("0.19.0", False), ("0.27.0", False), ("0.28.0", True)])
def test_hybrids_cache_prefixes_by_default_from_0_28_on(version, caching):
    """Attention alone always does (V1)."""
    assert args("qwen3-next-80b-a3b", version)["enable_prefix_caching"] is caching
    assert args("llama-3.1-8b", version)["enable_prefix_caching"] is True


@pytest.mark.parametrize(
    "model_name, version, connector, off",
    [
        ("gemma-3-27b", "0.9.0", "", True),
        ("gemma-3-27b", "0.9.1", "", False),
        ("llama-4-scout", "0.12.0", "", True),
        ("llama-4-scout", "0.14.0", "", False),
        ("gemma-3-27b", "0.19.0", "NixlConnector", True),
        ("gemma-3-27b", "0.22.0", "NixlConnector", False),
        ("gemma-3-27b", "0.33.0", '{"kv_connector": "LMCacheConnectorV1", "kv_role": "kv_both"}', True),
    ],
)
def test_the_hybrid_manager_is_off_where_vllm_turns_it_off(model_name, version, connector, off):
    """Not there yet, chunked-local attention, or a KV connector that knows no groups (VllmConfig.__post_init__)."""
    given = args(model_name, version, engine_args={"kv_transfer_config": connector})
    assert given["disable_hybrid_kv_cache_manager"] is off


def test_a_connector_that_cannot_be_meant_is_refused():
    """JSON without a connector's name."""
    with pytest.raises(SettingError, match="kv_transfer_config"):
        plan("gemma-3-27b", "0.33", engine_args={"kv_transfer_config": '{"kv_role": "kv_both"}'})


# -- kernels -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "version, gpu, block",
    [
        ("0.8.5", "h100", 64),  # FLASHMLA
        ("0.8.5", "b200", 16),  # Triton
        ("0.10.1", "b200", 128),  # CUTLASS
        ("0.12.0", "b300", 16),
        ("0.13.0", "b300", 128),
        ("0.16.0", "b200", 64),  # FlashInfer
        ("0.17.0", "h100", 64),
        ("0.18.0", "h100", 16),  # FLASH_ATTN_MLA
        ("0.18.0", "b200", 32),
        ("0.33.0", "mi300x", 16),  # Triton
    ],
)
def test_the_blocks_of_latents_follow_the_version(version, gpu, block):
    """The platform chose up to 0.17, the kernel since (platforms/cuda.py, interface.py)."""
    assert plan("deepseek-v3", version, gpu=gpu).layout.block_tokens == block


@pytest.mark.parametrize(
    "version, gpu, kv_dtype, row",
    [
        ("0.11.0", "h100", "auto", 656),
        ("0.11.1", "h100", "auto", 1152),
        ("0.17.0", "b200", "fp8", 656),
        ("0.18.0", "b200", "fp8", 656),
        ("0.19.0", "b200", "fp8", 576),
        ("0.33.0", "h100", "fp8", 656),
    ],
)
def test_the_form_of_sparse_latents_follows_the_version(version, gpu, kv_dtype, row):
    """fp8_ds_mla's 656 B a position, or plain; 132 B of index keys beside it."""
    assert plan("glm-5", version, gpu=gpu, kv_dtype=kv_dtype).layout.bytes_per_block == 78 * 64 * (row + 132)


def test_sparse_latents_are_refused_where_there_is_no_kernel():
    """Before 0.11 nowhere, before 0.24 not on compute capability 12."""
    with pytest.raises(SettingError, match=r"0\.10\.2 has no sparse latent attention"):
        plan("glm-5", "0.10.2")
    with pytest.raises(SettingError, match=r"compute capability 12\.0"):
        plan("glm-5", "0.23", gpu="rtx-pro-6000-blackwell")
    assert plan("glm-5", "0.24", gpu="rtx-pro-6000-blackwell").layout.block_tokens == 64


@pytest.mark.parametrize(
    "name, version, gpu, backend, block",
    [
        ("deepseek-v3", "0.33", "h100", "FLASHMLA", 64),
        ("deepseek-v3", "0.16.0", "b200", "FLASHINFER_MLA", 64),
        ("deepseek-v3", "0.33", "b200", "CUTLASS_MLA", 128),
        ("deepseek-v3", "0.10.2", "mi300x", "ROCM_AITER_MLA_VLLM_V1", 1),
        ("llama-3.1-8b", "0.33", "h100", "flashinfer", 16),
    ],
)
def test_a_kernel_can_be_named(name, version, gpu, backend, block):
    """--attention-backend decides the block size as the choice of vLLM would."""
    got = plan(name, version, gpu=gpu, engine_args={"attention_backend": backend})
    assert got.layout.block_tokens == block


def test_the_packed_form_can_be_asked_for_on_blackwell():
    """FLASHMLA_SPARSE takes fp8 in 656 B a position there, where FlashInfer keeps it plain."""
    got = plan("glm-5", "0.33", gpu="b200", kv_dtype="fp8", engine_args={"attention_backend": "FLASHMLA_SPARSE"})
    assert got.layout.bytes_per_block == 78 * 64 * (656 + 132)


def test_an_unknown_kernel_is_refused():
    """Its blocks would be a guess."""
    with pytest.raises(SettingError, match="B12X_MLA_SPARSE"):
        plan("glm-5", "0.33", engine_args={"attention_backend": "B12X_MLA_SPARSE"})


@pytest.mark.parametrize(
    "name, version, gpu, block",
    [
        ("llama-3.1-8b", "0.33", "mi300x", 16),
        ("gpt-oss-120b", "0.33", "mi300x", 64),
        ("gpt-oss-120b", "0.18", "mi300x", 16),
        ("gpt-oss-20b", "0.33", "rx7900xtx", 16),
        ("gemma-4-e2b", "0.29", "mi300x", 16),  # Triton: its heads are of two widths
        ("glm-5", "0.27", "mi300x", 1),
        ("glm-5", "0.28", "mi300x", 16),
    ],
)
def test_the_blocks_of_amds_kernels(name, version, gpu, block):
    """ROCM_ATTN 16, AITER's unified kernel 64 for sinks on Instinct, sparse latents 1, then 16 (platforms/rocm.py)."""
    assert plan(name, version, gpu=gpu).layout.block_tokens == block


def test_intels_kernel_reads_64_positions():
    """platforms/xpu.py: FlashAttention's pages there."""
    assert plan("llama-3.1-8b", "0.33", gpu="arc-pro-b60").layout.block_tokens == 64


# -- V0 ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "model_name, version, gpu, kwargs, reason",
    [
        ("llama-3.1-8b", "0.7.3", "h100", {}, "not the default"),
        ("llama-3.1-8b", "0.8.5", "mi300x", {}, "AMD"),
        ("llama-3.1-8b", "0.9.2", "mi300x", {}, None),
        ("llama-3.1-8b", "0.8.5", "rtx4090", {"kv_dtype": "fp8"}, "fp8"),
        ("llama-3.1-8b", "0.8.5", "h100", {"kv_dtype": "fp8"}, None),
        ("llama-3.1-8b", "0.8.5", "h100", {"pipeline_parallel": 2}, "pipeline"),
        ("granite-4.0-h-small", "0.10.0", "h100", {}, "states"),
        ("granite-4.0-h-small", "0.10.2", "h100", {}, None),
        ("whisper-large-v3", "0.9.2", "h100", {"context": 448}, "cross-attention"),
        ("llama-3.1-8b", "0.10.1", "v100-32gb", {}, "8.0"),
        ("llama-3.1-8b", "0.10.2", "v100-32gb", {}, None),
    ],
)
def test_v0_is_planned_where_vllm_fell_back_to_it(model_name, version, gpu, kwargs, reason):
    """engine/arg_utils.py _is_v1_supported_oracle; the plan says so."""
    notes = [note.text for note in plan(model_name, version, gpu=gpu, **kwargs).assumptions if "V0 engine" in note.text]
    assert (reason in notes[0]) if reason else not notes


def test_v0_counts_blocks_of_every_attention_layer():
    """Gemma 3 27B under 0.8.5 on AMD: 62 layers in full, tokens = blocks x 16, concurrency = tokens / length."""
    got = plan("gemma-3-27b", "0.8.5", gpu="mi300x")
    assert got.layout.bytes_per_block == 62 * 16 * 16 * 128 * 2 * 2
    assert got.capacity.kv_cache_tokens == got.capacity.kv_cache_blocks * 16
    assert got.capacity.max_concurrency == got.capacity.kv_cache_tokens / 32768


def test_v0_keeps_states_outside_the_pool():
    """Granite 4 under 0.10.0: its four attention layers make the pool, and the plan says what is not counted."""
    got = plan("granite-4.0-h-small", "0.10.0")
    assert [group.kind for group in got.layout.groups] == ["full_attention"]
    assert any("recurrent states outside" in note.text for note in got.assumptions)


# -- versions without rules of their own ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "version, text", [("0.7.3", "before 0.8"), ("0.34.0", "newer than the rules"), ("0.19.2rc1.dev134", "on the way")]
)
def test_a_version_without_rules_of_its_own_says_so(version, text):
    """Older, newer and unreleased versions are planned with the nearest release's rules, and the plan names it."""
    assert any(text in note.text for note in plan("llama-3.1-8b", version).assumptions)


def test_a_released_version_needs_no_excuse():
    """Rules by release: no note."""
    assert not any("--changes" in note.source for note in plan("llama-3.1-8b", "0.19").assumptions)


# -- drafts --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, drafts, tensor, caching, bytes_per_block, blocks, held",
    [
        ("glm-5", 2, 1, None, 6_491_904, 6615, 512),
        ("qwen3-next-80b-a3b", 2, 1, None, 15_335_424, 2800, 72),
        ("qwen3-next-80b-a3b", 3, 2, None, 7_667_712, 5601, 75),
        ("qwen3.6-27b", 1, 4, False, 13_926_400, 3084, 47),
        ("qwen3.6-27b", 3, 2, None, 28_966_912, 1482, 58),
        ("deepseek-v4-flash", 3, 2, None, 1_002_240, 42_853, 6810),
    ],
)
def test_next_token_layers_and_their_states_are_planned(name, drafts, tensor, caching, bytes_per_block, blocks, held):
    """As vLLM 0.33's own planner answers with speculative_config method mtp, 40 GiB and 32,768 tokens on an H100."""
    engine_args = {"num_speculative_tokens": drafts}
    if caching is not None:
        engine_args["enable_prefix_caching"] = caching
    got = plan(name, "0.33", memory=40 * GIB, tensor_parallel=tensor, draft="mtp", engine_args=engine_args)
    assert got.layout.bytes_per_block == bytes_per_block
    assert (got.capacity.kv_cache_blocks, got.layout.request_blocks(32768)) == (blocks, held)


def test_a_draft_of_its_own_drafts_one_token_where_none_is_named():
    """A request then holds one state more in each of the three groups of a hybrid."""
    alone = plan("qwen3-next-80b-a3b", "0.33", engine_args={"block_size": 1024})
    drafted = plan("qwen3-next-80b-a3b", "0.33", draft="mtp", engine_args={"block_size": 1024})
    assert drafted.layout.request_blocks(32768) - alone.layout.request_blocks(32768) == 3


# -- logs ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, version, gpu, tensor, length, gib, kwargs, tokens, concurrency",
    [
        # Published start-up logs: available memory to two decimals, what was printed then.
        ("zamba2-2.7b", "0.12.0", "rtx5060ti-16gb", 1, 2048, 6.16, {}, 5088, 15.27),
        ("qwen3-next-80b-a3b", "0.10.2", "h200", 2, 262_144, 44.59, {}, 973_760, 14.77),
        ("gemma-4-31b", "0.24", "h200", 1, 262_144, 65.94, {}, 639_184, 2.44),
        ("gemma-4-e2b", "0.29.1", "mi300x", 1, 32_768, 155.04, {}, 9_026_017, 275.45),
        ("gpt-oss-120b", "0.25", "gb10", 1, 16_384, 35.67, {}, 916_304, 55.93),
        ("deepseek-v4-flash", "0.22.1", "rtx-pro-5000-72gb", 8, 256_000, 37.93, {"kv_dtype": "fp8"}, 2_497_693, 9.76),
        ("glm-5.3-flash", "0.31", "h200", 8, 131_072, 81.79, {}, 7_228_559, 55.15),
        ("qwen3.8-27b", "0.26", "arc-pro-b60", 1, 8192, 1.9, {"kv_dtype": "fp8"}, 34_588, 4.22),
    ],
)
def test_a_published_log_is_reproduced(name, version, gpu, tensor, length, gib, kwargs, tokens, concurrency):
    """Tokens and concurrency printed by real starts lie within the rounding of their available memory."""
    low, high = (
        plan(name, version, gpu=gpu, tensor_parallel=tensor, context=length, memory=int((gib + d) * GIB), **kwargs)
        for d in (-0.005, 0.005)
    )
    assert low.capacity.kv_cache_tokens <= tokens <= high.capacity.kv_cache_tokens
    assert low.capacity.max_concurrency - 0.005 <= concurrency <= high.capacity.max_concurrency + 0.005
