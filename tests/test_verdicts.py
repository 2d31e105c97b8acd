"""A false "fits" is the worst defect there is: each way to one that was ever found is a test here."""

import json
from dataclasses import replace

import pytest

import kvplan
from kvplan.gpus import find_gpu


def verdict(model: str, gpu: str | None, engine: str = "vllm", **more: object) -> str:
    return kvplan.estimate(model, gpu, engine, **more).verdict


@pytest.mark.parametrize("engine", ["vllm", "transformers", "textbook"])
def test_a_model_without_a_cache_has_weights_all_the_same(engine):
    """An encoder does not fit a GPU that its weights do not fit."""
    assert verdict("bge-large-en-v1.5", "600MiB", engine, engine_args={}) == "does_not_fit"
    assert verdict("bge-large-en-v1.5", "h100", engine) == "fits"


def test_blocks_given_outright_do_not_make_room():
    """`num_gpu_blocks_override` beyond the memory is no fit: vLLM's check passes, its allocation does not."""
    args = {"num_gpu_blocks_override": 100_000}
    assert verdict("llama-3-70b", "rtx4090", engine_args=args) == "does_not_fit"
    assert verdict("llama-3.1-8b", "h100", context=8192, engine_args={"num_gpu_blocks_override": 600}) == "fits"


def test_a_length_that_vllm_does_not_start_with_does_not_fit():
    """A context beyond the model's own maximum is refused by vLLM, and the maximum is the remedy."""
    plan = kvplan.estimate("llama-2-7b", "h100", context=100_000)
    assert plan.verdict == "does_not_fit"
    assert "the model's own maximum is 4,096" in plan.reasons[0]
    assert plan.remedies[0].change == "--context 4096"


def test_a_cache_given_outright_beyond_the_gpu_is_not_called_a_fit():
    """`--kv-cache-memory` sets no budget, but what is more than the GPU has is said, and is at best tight."""
    plan = kvplan.estimate("llama-3-70b", "rtx4090", kv_cache_memory="10GiB")
    assert plan.verdict == "tight"
    assert "more than the GPU has" in plan.reasons[1]


def test_more_users_than_a_batch_holds_do_not_fit():
    """Users beyond max_num_seqs are not served at once; raising it is the remedy."""
    plan = kvplan.estimate("llama-3.1-8b", "h100", context=256, users=1500, engine_args={"max_num_seqs": 16})
    assert plan.verdict == "does_not_fit"
    assert plan.remedies[0].change == "--engine-arg max_num_seqs=1500"


def test_users_are_shared_by_the_replicas():
    """200 users on four replicas are 50 on each."""
    assert verdict("llama-3.1-8b", "h100", context=8192, users=200, data_parallel=4) == "fits"
    assert verdict("llama-3.1-8b", "h100", context=8192, users=200) == "does_not_fit"


def test_weights_of_a_packed_format_have_bounds():
    """What stays in 16 bits differs by publisher: packed weights widen the interval, plain ones do not."""
    packed = kvplan.estimate("llama-3.1-8b", "h100", "transformers", context=8192, quantization="int4").budget
    plain = kvplan.estimate("llama-3.1-8b", "h100", "transformers", context=8192).budget
    assert packed is not None
    assert plain is not None
    assert packed.items[0].low < packed.items[0].bytes < packed.items[0].high
    assert plain.items[0].low == plain.items[0].bytes == plain.items[0].high


def test_weights_under_vllm_have_the_spread_of_its_logs():
    """What vLLM logs differs from the figure by up to 1 % in nine of ten logs, and the bounds say so."""
    item = kvplan.estimate("llama-3.1-8b", "h100", context=8192).budget.items[0]
    assert (item.low, item.high) == (item.bytes * 990 // 1000, -(-item.bytes * 1010 // 1000))


@pytest.mark.parametrize("tensor, heads", [(2, 4), (8, 1), (16, 1)])
def test_key_and_value_projections_are_repeated_with_their_heads(tensor, heads):
    """Beyond the KV heads every rank has one whole head's projections, not a fraction of one."""
    model = kvplan.load_model("llama-3.1-8b")
    weights = kvplan.estimate(model, tensor_parallel=tensor, context=8192).weights.items[0].bytes
    hidden, layers = 4096, 32
    whole = 2 * 8 * 128 * hidden  # K and V of eight heads
    norms = (2 * layers + 1) * hidden
    padded = 2 * (-(-model.vocab_size // 64) * 64 - model.vocab_size) * hidden  # embedding and head
    split = (model.parameters + padded - norms - layers * whole) // tensor
    assert weights == 2 * (split + norms + layers * 2 * heads * 128 * hidden)


def test_vllm_loads_float32_checkpoints_in_16_bits():
    """OLMo-2-7B is published in float32; vLLM's `--dtype auto` loads 16 bits of it."""
    plan = kvplan.estimate("olmo-2-7b", "h100")
    assert plan.weights.items[0].bytes == 2 * plan.deployment.model.parameters
    whole = kvplan.estimate("olmo-2-7b", "h100", "transformers")
    assert whole.to_dict()["memory"]["weights_bytes"] == 4 * plan.deployment.model.parameters


def test_vllm_is_not_planned_where_it_does_not_run():
    """An Apple GPU under vLLM is refused, with engines that run there."""
    with pytest.raises(kvplan.SettingError, match="does not run on"):
        kvplan.estimate("llama-3.1-8b", "apple-m3-max", context=8192)
    assert verdict("llama-3.1-8b", "apple-m3-max", "textbook", context=8192) == "fits"


def test_unused_gpus_are_said():
    """Eight GPUs named and three used is an assumption that the plan states."""
    plan = kvplan.estimate("llama-3.1-8b", "8xh100", pipeline_parallel=3, context=8192)
    assert any("3 of the 8 GPUs are used" in note.text for note in plan.assumptions)


def test_a_gpu_whose_total_is_estimated_widens_the_interval():
    """Where torch's total is a rule and not a reading, the interval holds the rule's spread."""
    group = find_gpu("h100")
    narrow = kvplan.estimate("llama-3.1-8b", group, context=8192).interval
    spec = replace(group.gpu, torch_low_bytes=group.gpu.torch_bytes - 2**30)
    wide = kvplan.estimate("llama-3.1-8b", replace(group, gpu=spec), context=8192).interval
    assert wide["kv_cache_tokens"][0] < narrow["kv_cache_tokens"][0]


@pytest.mark.parametrize(
    "values, says",
    [
        ({"num_key_value_heads": 64}, "does not divide num_attention_heads"),
        ({"num_key_value_heads": 7}, "does not divide num_attention_heads"),
        ({"torch_dtype": 5}, "the name of a number format was expected"),
        ({"text_config": {"hidden_size": 8}}, "text_config holds a model of its own"),
        ({"sliding_window": 4096}, "sliding_window is 4096"),
    ],
)
def test_contradictions_are_named(tmp_path, values, says):
    """A configuration that contradicts itself, or states what its type has no rule for, is refused by the key."""
    config = {"model_type": "llama", "hidden_size": 4096, "num_attention_heads": 32, "num_hidden_layers": 2}
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config | values))
    with pytest.raises(kvplan.KvplanError, match=says):
        kvplan.load_model(file)


@pytest.mark.parametrize(
    "rope, longest",
    [
        ({"type": "linear", "factor": 4.0}, 16_384),
        ({"rope_type": "dynamic", "factor": 2}, 8_192),
        ({"rope_type": "yarn", "factor": 4.0}, 4_096),
        ({"rope_type": "llama3", "factor": 8.0}, 4_096),
        (None, 4_096),
    ],
)
def test_rotary_scaling_stretches_the_context_as_vllm_reads_it(tmp_path, rope, longest):
    """Linear and dynamic scaling multiply the positions; YaRN's and Llama 3's are in the file's figure already."""
    config = {"model_type": "llama", "max_position_embeddings": 4096, "rope_scaling": rope}
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config))
    assert kvplan.load_model(file).max_context_tokens == longest
