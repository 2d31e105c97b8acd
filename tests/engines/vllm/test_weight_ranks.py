"""How vLLM spreads weights over ranks: experts, towers, vocabulary, stages."""

import pytest

import kvplan
from kvplan.weights.parts import Component


def components(model: str, **asked) -> dict[Component, int]:
    """Return the stored weights of the fullest rank by component."""
    args = {
        name: asked.pop(name)
        for name in list(asked)
        if name not in ("tensor_parallel", "pipeline_parallel", "data_parallel")
    }
    plan = kvplan.estimate(model, context=1024, engine_args=args, **asked)
    return dict(plan.weights.by_component)


def test_tensor_parallelism_splits_each_expert_and_expert_parallelism_deals_them_out():
    """128 experts over 8 ranks: an eighth of every expert, or 16 whole ones, are the same bytes; the router is whole."""
    whole = components("qwen3-30b-a3b")
    pieces = components("qwen3-30b-a3b", tensor_parallel=4)
    dealt = components("qwen3-30b-a3b", tensor_parallel=4, enable_expert_parallel=True)
    assert 4 * pieces["experts"] == 4 * dealt["experts"] == whole["experts"]
    assert pieces["router"] == dealt["router"] == whole["router"]


def test_experts_that_do_not_divide_leave_one_rank_with_more():
    """60 experts over 8 ranks: the fullest has 8 of them."""
    whole, dealt = (
        components("qwen1.5-moe-a2.7b-chat", tensor_parallel=n, enable_expert_parallel=True) for n in (1, 8)
    )
    assert dealt["experts"] * 60 == whole["experts"] * 8


def test_the_least_full_rank_lacks_an_expert_of_each_layer():
    """60 experts over 8 ranks: four have 8, four have 7, and together they have them all."""
    asked = {"context": 1024, "tensor_parallel": 8, "engine_args": {"enable_expert_parallel": True}}
    plan = kvplan.estimate("qwen1.5-moe-a2.7b-chat", **asked)
    expert = plan.weights.by_component["experts"] // 8
    assert plan.weights.bytes - plan.weights.least == expert
    assert plan.to_dict()["weights"]["least_full_rank"] == plan.weights.least
    even = kvplan.estimate("qwen3-30b-a3b", **asked)
    assert even.weights.least is None
    assert even.to_dict()["weights"]["least_full_rank"] == even.weights.bytes


def test_redundant_experts_are_dealt_out_with_the_others():
    """DeepSeek-V3's 256 experts and 32 copies over 32 ranks: nine each."""
    asked = {"tensor_parallel": 8, "data_parallel": 4, "enable_expert_parallel": True}
    plain = components("deepseek-v3", **asked)
    copies = components("deepseek-v3", **asked, num_redundant_experts=32)
    assert copies["experts"] * 8 == plain["experts"] * 9


def test_data_parallel_attention_is_whole_on_every_rank():
    """With data parallelism only experts are split further: over tensor x data ranks."""
    one = components("deepseek-v3", tensor_parallel=1)
    eight = components("deepseek-v3", tensor_parallel=1, data_parallel=8)
    assert eight["attention"] == one["attention"]
    assert eight["shared_experts"] == one["shared_experts"]
    # Blocks of 128 rows: 2,048 / 8 is two of them.
    assert eight["experts"] * 8 == one["experts"]


def test_replicas_of_a_dense_model_are_alike():
    """Without experts data parallelism changes nothing on a rank."""
    assert components("llama-3.1-8b", data_parallel=4) == components("llama-3.1-8b")


def test_the_vocabulary_is_padded_to_64():
    """Llama-3.2-Vision's 128,264 and 128,256 rows: both tables are multiples of 64 on a rank."""
    embedding = components("llama-3.2-11b-vision", tensor_parallel=8)["embeddings"]
    assert embedding % (4096 * 2) == 0


@pytest.mark.parametrize("mode, tensor", [("weights", 4), ("data", 4)])
def test_towers_are_split_or_whole_by_mode(mode, tensor):
    """mm_encoder_tp_mode: each rank a piece of the tower's linears, or all of them."""
    one = components("qwen2.5-vl-7b")["vision"]
    ranks = components("qwen2.5-vl-7b", tensor_parallel=tensor, mm_encoder_tp_mode=mode)["vision"]
    assert ranks == one if mode == "data" else ranks < 0.4 * one


def test_towers_can_be_left_out():
    """language_model_only: no tower, no projector."""
    left = components("qwen2.5-vl-7b", language_model_only=True)
    assert not {"vision", "projector"} & left.keys()


def test_a_tied_head_needs_the_embedding_on_the_last_stage():
    """Two stages of a tied model: both have the table; of an untied one the last has the head instead."""
    tied = kvplan.estimate("qwen2.5-1.5b", pipeline_parallel=2, context=1024)
    first, last = (dict(stage.weights.by_component) for stage in tied.deployment.stages)
    assert first["embeddings"] == last["embeddings"]
    untied = kvplan.estimate("llama-3.1-8b", pipeline_parallel=2, context=1024)
    first, last = (dict(stage.weights.by_component) for stage in untied.deployment.stages)
    assert "head" not in first
    assert "embeddings" not in last


def test_the_fullest_stage_is_shown_beside_the_others():
    """Every stage's weights stand in the document, and add up to the model's."""
    plan = kvplan.estimate("llama-3.1-70b", engine="textbook", pipeline_parallel=4, context=1024)
    stages = plan.to_dict()["weights"]["stages"]
    assert sum(stages) == 2 * plan.deployment.model.parameters
    assert plan.to_dict()["memory"]["weights_bytes"] == stages[plan.stage]


def test_experts_split_over_replicas_are_said():
    """A plan that counts on data-parallel ranks to share experts says so."""
    plan = kvplan.estimate("deepseek-v3", data_parallel=2, tensor_parallel=8, context=1024)
    assert any("16 tensor x data-parallel ranks" in note.text for note in plan.assumptions)
