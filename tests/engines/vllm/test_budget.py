"""The division of a GPU: a fraction, less weights, the profile run's peak, graphs and the runtime; its interval and refusals."""

import math

import pytest

import kvplan
from kvplan.engines.base import BudgetItem, divide
from kvplan.units import GIB


def budget(engine="vllm@0.33", model="llama-3.1-8b", gpu="h100", context=8192, **kwargs):
    got = kvplan.estimate(model=model, gpu=gpu, engine=engine, context=context, **kwargs).budget
    assert got is not None
    return got


def test_the_budget_is_the_fraction_of_what_torch_sees_rounded_up():
    """ceil(fraction x total) (v1/worker/utils.py request_memory)."""
    got = budget(engine_args={"gpu_memory_utilization": 0.5})
    total = kvplan.estimate(model="llama-3.1-8b", gpu="h100", context=1).deployment.group.gpu.torch_bytes
    assert got.budget_bytes == -(-total // 2)


def test_what_is_left_is_the_cache():
    """Budget less every item, between the bounds."""
    got = budget()
    assert got.kv_cache_bytes == got.budget_bytes - sum(item.bytes for item in got.items)
    assert got.kv_cache_low < got.kv_cache_bytes < got.kv_cache_high
    assert all(item.low <= item.bytes <= item.high for item in got.items)


def test_independent_errors_go_together_by_their_squares():
    """3 and 4 below make 5, 1 and 0 above make 1, twice as much where errors proved twice as large; otherwise they add up."""
    items = [
        BudgetItem(name=name, bytes=10, low=10 - low, high=10 + high, formula="", source="")
        for name, low, high in (("a", 1, 3), ("b", 0, 4))
    ]
    asked = {"total_bytes": 100, "budget_bytes": 90, "items": items, "formula": "", "source": ""}
    squares = divide(**asked, calibration=1)
    assert (squares.kv_cache_low, squares.kv_cache_bytes, squares.kv_cache_high) == (65, 70, 71)
    wider = divide(**asked, calibration=2)
    assert (wider.kv_cache_low, wider.kv_cache_high) == (60, 72)
    together = divide(**asked)
    assert (together.kv_cache_low, together.kv_cache_high) == (63, 71)


@pytest.mark.parametrize(
    "engine, model, taken",
    [
        ("vllm@0.20", "llama-3.1-8b", False),
        ("vllm@0.21", "llama-3.1-8b", True),
        ("vllm@0.28", "llama-3.1-8b", False),
        ("vllm@0.28", "qwen3-30b-a3b", True),
        ("vllm@0.29", "llama-3.1-8b", True),
    ],
)
def test_graphs_are_taken_from_the_cache_where_they_are_estimated(engine, model, taken):
    """From 0.21 on, but not under runner V2 until 0.28, which serves dense models by then."""
    assert (budget(engine, model).used_by("cuda_graph") > 0) is taken


@pytest.mark.parametrize(
    "args", [{"enforce_eager": True}, {"cudagraph_mode": "NONE"}, {"estimate_cudagraph_memory": False}]
)
def test_without_graphs_or_their_estimate_nothing_is_taken(args):
    """enforce_eager, cudagraph_mode NONE, VLLM_MEMORY_PROFILER_ESTIMATE_CUDAGRAPHS=0."""
    assert budget(engine_args=args).used_by("cuda_graph") == 0


def test_fewer_sizes_take_less():
    """Layers x sizes: 5 sizes up to 16 take a tenth of 51 up to 512."""
    few = budget(engine_args={"max_cudagraph_capture_size": 16}).used_by("cuda_graph")
    assert few * 51 == pytest.approx(budget().used_by("cuda_graph") * 5, rel=0.01)


@pytest.mark.parametrize("version, gib", [("0.17", 1.4), ("0.19", 2.1), ("0.26", 1.1)])
def test_several_gpus_take_more_outside_torch(version, gib):
    """NCCL over NVLink: 1.38 GiB in a log of 0.10, 2.06 to 2.27 of 0.19, 0.7 to 1.7 since."""
    got = budget(f"vllm@{version}", tensor_parallel=2).used_by("runtime")
    assert got == int(gib * GIB)
    assert got > 1.5 * budget(f"vllm@{version}").used_by("runtime")


def test_the_cache_of_qwen3_8b_on_an_h100_is_the_logged_one():
    """Utilisation 0.95 under 0.19.0: 57.50 GiB logged."""
    got = budget("vllm@0.19.0", "qwen3-8b", engine_args={"gpu_memory_utilization": 0.95})
    assert got.kv_cache_bytes / GIB == pytest.approx(57.50, abs=0.05)


def test_weights_in_host_memory_leave_room():
    """--cpu-offload-gb 10 of 14.99 GiB."""
    assert budget(engine_args={"cpu_offload_gb": 10.0}).used_by("weights") == budget().used_by("weights") - 10 * GIB
    assert budget(engine_args={"cpu_offload_gb": 99.0}).used_by("weights") == 0


def test_float32_doubles_what_is_not_quantised():
    """--dtype float32 of a 16-bit checkpoint."""
    half, full = budget().used_by("weights"), budget(engine_args={"dtype": "float32"}).used_by("weights")
    assert full == pytest.approx(2 * half, rel=0.01)


def test_slots_are_set_aside_for_adapters_that_none_names():
    """--enable-lora: one slot of rank 16 for every module; 64 takes four times as much."""
    plain = budget().used_by("weights")
    small = budget(engine_args={"enable_lora": True}).used_by("weights") - plain
    large = budget(engine_args={"enable_lora": True, "max_lora_rank": 64}).used_by("weights") - plain
    assert small > 0
    assert large == pytest.approx(4 * small, rel=0.02)


def test_a_start_beside_others_is_refused_and_a_smaller_fraction_offered():
    """Since 0.9.1 the worker wants its fraction free; before, V1 charged what others use to its own budget."""
    args = {"gpu_memory_used": 10 * GIB}
    plan = kvplan.estimate("llama-3.1-8b", "rtx4090", "vllm@0.33", context=2048, engine_args=args)
    assert plan.verdict == "does_not_fit"
    assert "does not start" in plan.reasons[0]
    beside = kvplan.estimate(
        "qwen3-0.6b", "rtx4090", "vllm@0.33", context=2048, engine_args={**args, "gpu_memory_utilization": 0.5}
    )
    assert beside.verdict == "fits"
    refused = kvplan.estimate("qwen3-0.6b", "rtx4090", "vllm@0.33", context=2048, engine_args=args)
    fraction = refused.remedies[0].plan.deployment.settings["gpu_memory_utilization"]
    total = refused.deployment.group.gpu.torch_bytes
    assert fraction == math.floor(20 * (total - 10 * GIB) / total) / 20
    old = budget("vllm@0.8.5", engine_args=args).used_by("runtime")
    assert old == budget("vllm@0.8.5").used_by("runtime") + 10 * GIB


def test_a_plan_that_names_no_version_covers_others():
    """Its interval holds those of the releases that stand for others, and its verdict is sure under each."""
    plan = kvplan.estimate("qwen3-8b", "rtx4090", "vllm", context=8192)
    low, high = plan.interval["max_concurrency"]
    versions = type(plan.deployment.engine).stand_for_others
    assert versions
    for version in (*versions, "0.33"):
        one = kvplan.estimate("qwen3-8b", "rtx4090", f"vllm@{version}", context=8192)
        assert low <= one.interval["max_concurrency"][0]
        assert one.interval["max_concurrency"][1] <= high
    named = kvplan.estimate("qwen3-8b", "rtx4090", "vllm@0.33", context=8192).interval["max_concurrency"]
    assert high - low > named[1] - named[0]
    assert any("No version was named" in note.text for note in plan.assumptions)


def test_the_longest_context_is_found_where_the_run_grows_with_it():
    """DeepSeek-V3.2's index workspace grows with max_model_len: what is found fits, one token more does not."""
    args = {"gpu_memory_utilization": 0.9, "max_num_batched_tokens": 1024, "max_num_seqs": 64}
    plan = kvplan.estimate("deepseek-v3.2", "8xh200", "vllm@0.26", tensor_parallel=8, context=4096, engine_args=args)
    longest = plan.capacity.max_context_tokens
    deployment = plan.deployment
    assert deployment.budget(0, 4096).used_by("activation") < deployment.budget(0, 131_072).used_by("activation")
    assert deployment.holds(longest, 1, lambda share: share.bytes)


@pytest.mark.parametrize("version", ["0.8.5", "0.12", "0.19", "0.24", "0.28", "0.33"])
@pytest.mark.parametrize("model", ["qwen3-30b-a3b", "qwen2.5-vl-7b", "deepseek-v3", "gemma-3-27b", "gpt-oss-20b"])
def test_every_kind_of_model_has_a_budget_in_every_release(model, version):
    """Positive parts, the cache what they leave."""
    got = budget(f"vllm@{version}", model, "8xh200", tensor_parallel=4 if model == "qwen2.5-vl-7b" else 8)
    assert all(item.bytes > 0 for item in got.items)
    assert got.kv_cache_bytes > 0


def test_caches_in_host_memory_keep_idle_requests():
    """--kv-offloading-size is over all ranks of a replica; a request of 8,192 tokens is 1 GiB, half on each of two."""
    plan = kvplan.estimate(
        "llama-3.1-8b", "2xh100", "vllm@0.30", tensor_parallel=2, context=8192, engine_args={"kv_offloading_size": 64.0}
    )
    assert plan.layout.host_bytes == 32 * GIB
    assert plan.sessions.host == 64


@pytest.mark.parametrize("engine", ["transformers", "textbook"])
def test_other_engines_have_what_others_leave(engine):
    """--gpu-memory-used takes from the budget of engines that claim no fraction."""
    plain, beside = budget(engine), budget(engine, engine_args={"gpu_memory_used": 6 * GIB})
    assert beside.kv_cache_bytes == plain.kv_cache_bytes - 6 * GIB
    assert "less 6 GiB that others use" in beside.formula
