"""The profile run's peak, counted from the tensors that vLLM holds, against the peaks that start-up logs print."""

import pytest

import kvplan
from kvplan.accuracy.corpus import read_logs
from kvplan.accuracy.plans import Planned
from kvplan.engines.vllm.changes import version_tuple
from kvplan.engines.vllm.profile.encoder import encoding
from kvplan.engines.vllm.profile.experts import ExpertsOnRank, workspace_bytes
from kvplan.engines.vllm.profile.graphs import capture_sizes
from kvplan.engines.vllm.profile.indexers import index_workspace
from kvplan.engines.vllm.profile.runner import is_v2
from kvplan.engines.vllm.profile.sampler import sampler_bytes
from kvplan.units import GIB
from kvplan.weights.ranks import Ranks

# From 0.27 on the printed peak holds graphs, and what stays allocated is printed elsewhere.
PRINTS_THE_PEAK_UNTIL = (0, 27)
# Logs that the run does not explain, each with what differs.
NOT_THE_RUN = {
    "more-a-43": "runner V1 under 0.26: 3.90 GiB printed, 3.78 planned; with the Triton sampler's rows it would be 3.93",
    "repo-266": "DeepSeek V4 on GB10, a build on the way to 0.26.1: 1.84 GiB printed, 1.66 planned",
    "vllm-16570-1": "Qwen2.5-VL-72B on V0, whose profile run this is not",
}


def _rows():
    for log in read_logs():
        peak = log.printed("activation_gib")
        if peak is None or log.version is None or not log.measures("available") or log.gpu is None:
            continue
        if version_tuple(log.version) < PRINTS_THE_PEAK_UNTIL:
            yield pytest.param(log, peak, id=log.id)


@pytest.mark.parametrize("log, peak", list(_rows()))
def test_the_peak_is_the_one_that_logs_print(log, peak):
    """Within 0.04 GiB or 2 % in every log of a named version to 0.26 but the named ones."""
    budget = Planned(log).whole.budget
    assert budget is not None
    planned = budget.used_by("activation") / GIB
    close = planned == pytest.approx(peak, abs=0.04, rel=0.02)
    assert close != (log.id in NOT_THE_RUN), f"{planned:.2f} planned, {peak:.2f} printed"


def test_there_are_enough_such_logs():
    """A corpus that lost them would prove nothing."""
    assert len(list(_rows())) >= 40


@pytest.mark.parametrize(
    "runner, version, each",
    [
        ("V0", (0, 7), 38),
        ("V1", (0, 16), 38),
        ("V1", (0, 20), 14),
        ("V2", (0, 26), 6),
        ("V2", (0, 32), 2),
        ("V2", (0, 33), 14),
    ],
)
def test_the_sampler_peaks_at_so_many_bytes_an_entry(runner, version, each):
    """38 B while it sorts, 14 B since; runner V2 held less until 0.33."""
    assert sampler_bytes(runner, version, sequences=256, vocabulary=1000)[0] == each * 256 * 1000


def test_triton_s_sampler_has_a_row_for_each_program():
    """From 0.17 to 0.19: 132 rows of float32 beside the 14 B."""
    assert sampler_bytes("V1", (0, 19), sequences=1024, vocabulary=10)[0] == 14 * 1024 * 10 + 132 * 10 * 4


def test_experts_have_a_row_for_each_token_and_choice():
    """Qwen3-30B-A3B, 8,192 tokens, 8 of width 768 in 2,048: two buffers of 0.25 GiB that stay from 0.13 on."""
    experts = ExpertsOnRank(per_token=8, width=768, hidden=2048, gated=True, backend="triton")
    assert workspace_bytes(experts, 8192, (0, 19)) == (2 * 8192 * 8 * 2048 * 2, True)
    size, stays = workspace_bytes(experts, 8192, (0, 12))
    assert (size, stays) == ((8192 * 8 * (2048 + 768) + 8192 * 2048) * 2, False)


def test_index_keys_are_reserved_forty_times():
    """GLM-5.2, 819,200 tokens: 40 x 132 B each, 4.03 GiB; 16 times from 0.33 on beyond 256 Ki, twice before 0.13."""
    model = kvplan.load_model("glm-5.2")
    for version, factor in (((0, 12), 2), ((0, 26), 40), ((0, 33), 16)):
        assert index_workspace(model, version, context=819_200, batched_tokens=8192)[0] == factor * 819_200 * 132


@pytest.mark.parametrize(
    "model, context, item",
    [
        ("qwen3.5-35b-a3b", 131_072, "1 x picture of 16,384 tokens, 65,536 patches"),
        ("gemma-3-27b", 8192, "32 x picture of 256 tokens, 131,072 patches"),
        ("qwen2.5-vl-7b", 32_768, "1 x video of 4 frames of 32,768 tokens, 131,072 patches"),
    ],
)
def test_the_largest_items_are_encoded_at_once(model, context, item):
    """As many as max(8,192 tokens, one item) hold."""
    got = encoding(kvplan.load_model(model), Ranks(), tokens=8192, context=context)
    assert got.formula == item
    assert got.held > 0
    assert got.peak > 0


def test_no_tower_no_encoder():
    """Language models have nothing to encode, nor have others where the tower is left out or no picture may come."""
    assert encoding(kvplan.load_model("llama-3.1-8b"), Ranks(), tokens=8192, context=8192).held == 0
    model = kvplan.load_model("gemma-3-27b")
    assert encoding(model, Ranks(left_out=frozenset({"vision"})), tokens=8192, context=8192).held == 0
    assert encoding(model, Ranks(), tokens=8192, context=8192, pictures=0).held == 0


def test_a_limit_of_pictures_leaves_videos():
    """`--limit-mm-per-prompt image=0` alone: a log of gemma-4-31B (0.26.0) still encodes three videos and has 182.37 GiB."""
    model = kvplan.load_model("gemma-4-31b")
    assert encoding(model, Ranks(), tokens=8192, context=16_384, pictures=0).formula.startswith("3 x video")
    pairs = kvplan.load_model("qwen3.5-35b-a3b")
    assert encoding(pairs, Ranks(), tokens=8192, context=8192, pictures=0).held > 0
    args = {
        "gpu_memory_utilization": 0.92,
        "max_num_batched_tokens": 8192,
        "limit_images": 0,
        "use_v2_model_runner": False,
    }
    plan = kvplan.estimate("google/gemma-4-31B-it", "b300", "vllm@0.26.0", context=16_384, engine_args=args)
    assert plan.kv_cache_bytes / GIB == pytest.approx(182.37, abs=0.3)


@pytest.mark.parametrize(
    "model, version, quantised, v2",
    [
        ("qwen3-8b", (0, 21), False, False),
        ("qwen3-8b", (0, 22), False, True),
        ("qwen3-8b", (0, 22), True, False),
        ("llama-3.1-8b", (0, 22), False, False),
        ("llama-3.1-8b", (0, 24), True, True),
        ("qwen3-30b-a3b", (0, 28), False, False),
        ("qwen3-30b-a3b", (0, 29), False, True),
        ("qwen3.8-27b", (0, 28), False, False),
        ("gemma-3-27b", (0, 25), False, True),
    ],
)
def test_runner_v2_came_step_by_step(model, version, quantised, v2):
    """Dense Qwen 3 first, then any format, then every dense model, then all."""
    assert is_v2(kvplan.load_model(model), version, quantised=quantised) is v2


@pytest.mark.parametrize(
    "seqs, gpu, version, count, largest",
    [(1024, "h100", (0, 26), 51, 512), (8, "h100", (0, 26), 5, 16), (1024, "b200", (0, 30), 83, 1024)],
)
def test_graphs_are_captured_for_twice_the_batch(seqs, gpu, version, count, largest):
    """1, 2, 4, eighths, sixteenths up to min(2 x max_num_seqs, 512); 1,024 on B200 from 0.28 on."""
    deployment = kvplan.estimate(
        "llama-3.1-8b", gpu, "vllm", context=1024, engine_args={"max_num_seqs": seqs}
    ).deployment
    sizes = capture_sizes(version, deployment.settings, deployment.group.gpu)
    assert (len(sizes), sizes[-1]) == (count, largest)
