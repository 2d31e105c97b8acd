"""A checkpoint's tensors on the ranks: by names and shapes of the real modules of 75 published models.

`tests/corpora/tensor_names/transformers.jsonl` holds the parameters of the models in `measured.jsonl` as transformers 5.18.0
builds them on the meta device (29 Nov 2026): a name with the layer's number as {}, its shape, and which layers have it.
"""

import functools
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

import kvplan
from kvplan.checkpoints.tensors import Checkpoint, Tensor
from kvplan.models.hugging_face import read_config
from kvplan.models.spec import ModelSpec
from kvplan.weights.headers import PlacedCheckpoint
from kvplan.weights.ranks import Ranks, rank_parts
from kvplan.weights.scheme import Scheme

CORPORA = Path(__file__).resolve().parents[1] / "corpora"
PLAIN = Scheme(name="bfloat16", form=None)
# How far the ranks' bytes by names may be from those by modules, and why.
FURTHER = {
    "GPT-2": (0.041, "embedding and positions have names that no module bears: they share one fraction"),
    "GPT-2-XL": (0.007, "as GPT-2"),
    "OPT-6.7B": (0.0085, "positions have a name that no module bears"),
}


def numbers(runs: str) -> list[int]:
    """Return the layers that `0-3,7` means."""
    ends = [[int(end) for end in run.split("-")] for run in runs.split(",")]
    return [layer for run in ends for layer in range(run[0], run[-1] + 1)]


def tensors(rows: list[list]) -> tuple[Tensor, ...]:
    """Return the tensors of a row of the corpus, in 16 bits."""
    found = []
    for pattern, shape, *layers in rows:
        names = [pattern.replace("{}", str(layer), 1) for layer in numbers(layers[0])] if layers else [pattern]
        found += [Tensor(name, "bf16", tuple(shape), 2 * math.prod(shape)) for name in names]
    return tuple(found)


@functools.cache
def configurations() -> dict[str, dict]:
    """Return the configurations of the measured models."""
    lines = (CORPORA / "transformers" / "measured.jsonl").read_text(encoding="utf-8").splitlines()
    return {row["model"]: row["config"] for row in map(json.loads, lines)}


@functools.cache
def models() -> dict[str, ModelSpec]:
    """Return the measured models, each with the headers of a checkpoint."""
    lines = (CORPORA / "tensor_names" / "transformers.jsonl").read_text(encoding="utf-8").splitlines()
    found = {}
    for row in map(json.loads, lines):
        listed = tensors(row["tensors"])
        checkpoint = Checkpoint(
            container="safetensors", source="a test", tensors=listed, total_bytes=sum(t.bytes for t in listed)
        )
        spec = read_config(configurations()[row["model"]], spec_id=row["model"], source="a test")
        found[row["model"]] = replace(spec, checkpoint=checkpoint, quantization=None)
    return found


NAMES = sorted(
    json.loads(line)["model"]
    for line in (CORPORA / "tensor_names" / "transformers.jsonl").read_text(encoding="utf-8").splitlines()
)


@pytest.mark.parametrize("name", NAMES)
def test_one_rank_loads_every_parameter_once(name):
    """Without parallelism what is loaded is the model's parameters, no more and no less, whatever the names."""
    model = models()[name]
    weights = kvplan.estimate(model, engine="textbook", context=1).weights
    assert weights.origin == "headers"
    assert weights.bytes == 2 * model.parameters


@pytest.mark.parametrize("name", NAMES)
def test_every_layer_is_found(name):
    """Stages are divided by layer, whatever stands before `layers.7`."""
    model = models()[name]
    placed = PlacedCheckpoint(model=model, checkpoint=model.checkpoint)
    found = {place.layer for _, place in placed.tensors if place.layer is not None}
    assert found == {index for index, layer in enumerate(model.layers) if layer.parts}


# Files in the words of repositories' own code, which transformers does not have: (configuration, shapes by name).
OWN_WORDS = {
    "chatglm": (
        {
            "model_type": "chatglm", "hidden_size": 512, "ffn_hidden_size": 1024, "kv_channels": 64, "num_layers": 4,
            "num_attention_heads": 8, "multi_query_attention": True, "multi_query_group_num": 2,
            "padded_vocab_size": 1024, "seq_length": 1024, "add_qkv_bias": True, "torch_dtype": "bfloat16",
        },
        {
            "transformer.embedding.word_embeddings.weight": (1024, 512), "transformer.output_layer.weight": (1024, 512),
            "transformer.encoder.final_layernorm.weight": (512,), "transformer.rotary_pos_emb.inv_freq": (32,),
            "transformer.encoder.layers.{}.input_layernorm.weight": (512,),
            "transformer.encoder.layers.{}.post_attention_layernorm.weight": (512,),
            "transformer.encoder.layers.{}.self_attention.query_key_value.weight": (768, 512),
            "transformer.encoder.layers.{}.self_attention.query_key_value.bias": (768,),
            "transformer.encoder.layers.{}.self_attention.dense.weight": (512, 512),
            "transformer.encoder.layers.{}.mlp.dense_h_to_4h.weight": (2048, 512),
            "transformer.encoder.layers.{}.mlp.dense_4h_to_h.weight": (512, 1024),
        },
    ),
    "qwen": (
        {
            "model_type": "qwen", "hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 4,
            "num_attention_heads": 8, "kv_channels": 64, "vocab_size": 1024, "seq_length": 1024, "no_bias": True,
            "tie_word_embeddings": False, "torch_dtype": "bfloat16",
        },
        {
            "transformer.wte.weight": (1024, 512), "lm_head.weight": (1024, 512), "transformer.ln_f.weight": (512,),
            "transformer.h.{}.attn.c_attn.weight": (1536, 512), "transformer.h.{}.attn.c_attn.bias": (1536,),
            "transformer.h.{}.attn.c_proj.weight": (512, 512), "transformer.h.{}.mlp.w1.weight": (1024, 512),
            "transformer.h.{}.mlp.w2.weight": (1024, 512), "transformer.h.{}.mlp.c_proj.weight": (512, 1024),
            "transformer.h.{}.ln_1.weight": (512,), "transformer.h.{}.ln_2.weight": (512,),
        },
    ),
    "internlm2": (
        {
            "model_type": "internlm2", "hidden_size": 512, "intermediate_size": 1024, "num_hidden_layers": 4,
            "num_attention_heads": 8, "num_key_value_heads": 2, "vocab_size": 1024, "max_position_embeddings": 1024,
            "bias": False, "torch_dtype": "bfloat16",
        },
        {
            "model.tok_embeddings.weight": (1024, 512), "output.weight": (1024, 512), "model.norm.weight": (512,),
            "model.layers.{}.attention.wqkv.weight": (768, 512), "model.layers.{}.attention.wo.weight": (512, 512),
            "model.layers.{}.feed_forward.w1.weight": (1024, 512), "model.layers.{}.feed_forward.w3.weight": (1024, 512),
            "model.layers.{}.feed_forward.w2.weight": (512, 1024), "model.layers.{}.attention_norm.weight": (512,),
            "model.layers.{}.ffn_norm.weight": (512,),
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("split", [{}, {"tensor_parallel": 2}, {"pipeline_parallel": 2}], ids=str)
@pytest.mark.parametrize("name", OWN_WORDS)
def test_files_in_a_repository_s_own_words_are_divided_alike(name, split):
    """Names that no module bears belong to the modules that are left: the ranks hold what the configuration gives them."""
    config, shapes = OWN_WORDS[name]
    listed = tuple(
        Tensor(pattern.format(index), "bf16", shape, 2 * math.prod(shape))
        for pattern, shape in shapes.items()
        for index in (range(4) if "{}" in pattern else range(1))
    )
    total = sum(tensor.bytes for tensor in listed)
    checkpoint = Checkpoint(container="safetensors", source="a test", tensors=listed, total_bytes=total)
    spec = read_config(config, spec_id=name, source="a test")
    by_names = kvplan.estimate(replace(spec, checkpoint=checkpoint), "h100", **split).weights.items[0].bytes
    assert by_names == pytest.approx(kvplan.estimate(spec, "h100", **split).weights.items[0].bytes, rel=0.001)


@pytest.mark.parametrize("tensor", [2, 8])
@pytest.mark.parametrize("name", NAMES)
def test_ranks_hold_what_their_modules_hold(name, tensor):
    """Divided over ranks, tensors by name and modules by rule come to the same within 0.4 %, or it is said why not."""
    model = models()[name]
    ranks, layers = Ranks(tensor=tensor, expert_pieces=tensor), range(len(model.layers))
    sizes = PlacedCheckpoint(model=model, checkpoint=model.checkpoint).rank_bytes(layers, ranks)
    modules = rank_parts(model, layers, PLAIN, ranks).bytes
    assert sum(sizes.values()) == pytest.approx(modules, rel=FURTHER.get(name, (0.004,))[0])


def named(*names: str, model: str = "qwen3-30b-a3b") -> PlacedCheckpoint:
    """Return a model's checkpoint that holds tensors of these names, of 1,024 bytes each."""
    listed = tuple(Tensor(name, "bf16", (16, 32), 1024) for name in names)
    checkpoint = Checkpoint(container="safetensors", source="a test", tensors=listed, total_bytes=1024 * len(listed))
    return PlacedCheckpoint(model=kvplan.load_model(model), checkpoint=checkpoint)


@pytest.mark.parametrize(
    "name, owners",
    [
        ("model.layers.3.self_attn.q_proj.weight", ["q_proj"]),
        ("model.layers.3.self_attn.q_proj.weight_scale_inv", ["q_proj"]),
        ("model.layers.3.self_attn.qkv_proj.qweight", ["q_proj", "k_proj", "v_proj"]),
        ("model.layers.3.mlp.experts.127.down_proj.weight_packed", ["experts.down_proj"]),
        ("model.layers.3.mlp.experts.gate_up_proj", ["experts.gate_proj", "experts.up_proj"]),
        ("model.layers.3.mlp.gate.weight", ["router"]),
        ("model.layers.3.self_attn.q_norm.weight", ["q_norm"]),
        ("blk.3.attn_k.weight", ["k_proj"]),
        ("blk.3.ffn_down_exps.weight", ["experts.down_proj"]),
        ("blk.3.ffn_gate_inp.weight", ["router"]),
        ("token_embd.weight", ["embed_tokens"]),
        ("output.weight", ["lm_head"]),
        ("model.embed_tokens.weight", ["embed_tokens"]),
        ("lm_head.weight", ["lm_head"]),
    ],
)
def test_a_name_finds_its_modules(name, owners):
    """Spellings of transformers, of quantisers and of llama.cpp, one by one, fused and stacked."""
    ((_, place),) = named(name).tensors
    assert [part.name for part in place.parts] == owners


@pytest.mark.parametrize(
    "name, model",
    [
        ("model.layers.48.mlp.gate.weight", "qwen3-30b-a3b"),  # one beyond the last layer
        ("mtp.layers.0.mlp.gate.weight", "qwen3.5-35b-a3b"),
        ("model.layers.61.eh_proj.weight", "deepseek-v3"),
        ("blk.61.nextn.eh_proj.weight", "deepseek-v3"),
        ("model.layers.3.self_attn.rotary_emb.inv_freq", "qwen3-30b-a3b"),  # a buffer of old files
        ("lm_head.weight", "gemma-2-2b"),  # a copy of the embedding that it is tied to
    ],
)
def test_what_no_engine_loads_is_not_counted(name, model):
    """Next-token layers, old buffers and a tied head's copy stay in the file."""
    placed = named(name, model=model)
    assert placed.not_loaded_bytes == 1024
    assert placed.rank_bytes(range(len(placed.model.layers)), Ranks()) == {}


def test_towers_can_be_left_out():
    """A rank that loads no towers has none of their tensors."""
    placed = named(
        "model.vision_tower.encoder.layers.0.mlp.fc1.weight", "model.embed_tokens.weight", model="gemma-3-4b"
    )
    layers = range(len(placed.model.layers))
    assert set(placed.rank_bytes(layers, Ranks())) == {"vision", "embeddings"}
    assert set(placed.rank_bytes(layers, Ranks(left_out=frozenset({"vision"})))) == {"embeddings"}


def test_pipeline_stages_share_the_tensors():
    """Each layer's tensors are on its own stage, embeddings on the first, norm and head on the last."""
    placed = named(
        "model.embed_tokens.weight",
        "model.layers.0.mlp.gate.weight",
        "model.layers.47.mlp.gate.weight",
        "lm_head.weight",
    )
    first, last = (placed.rank_bytes(layers, Ranks()) for layers in (range(24), range(24, 48)))
    assert (set(first), set(last)) == ({"embeddings", "router"}, {"router", "head"})
