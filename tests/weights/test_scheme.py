"""Which module a pattern of a quantisation section means: names, globs, expressions, layers, fused and tower modules."""

import pytest
from sizes import stored

from kvplan.weights.formats import WeightFormat
from kvplan.weights.parts import embedding, linear, norm
from kvplan.weights.scheme import ALL_LINEARS, Rule, Scheme

FORM = WeightFormat(name="int4", bits=4, group=128, scale_bits=16)
OTHER = WeightFormat(name="fp8", bits=8, row_bytes=4)
Q = linear("q_proj", 64, 64, component="attention")
GATE = linear("gate_proj", 64, 64, component="mlp")
EXPERT = linear("experts.gate_proj", 64, 64, component="experts", count=4)
SHARED = linear("shared_experts.down_proj", 64, 64, component="shared_experts")
ROUTER = linear("router", 4, 64, component="router")
IN_PROJ = linear("in_proj_qkv", 64, 64, component="mixer")
HEAD = linear("lm_head", 64, 64, component="head")
VISION = linear("q_proj", 64, 64, component="vision", count=24)
PROJECTOR = linear("linear_1", 64, 64, component="projector")
EH = linear("eh_proj", 64, 128, component="draft")
EVERYWHERE = {"components": ALL_LINEARS}


def kept(pattern, part, layer, syntax="name", **scheme):
    """Return whether one rule leaves a part alone that is quantised otherwise."""
    scheme = {**EVERYWHERE, **scheme}
    assert Scheme(name="x", form=FORM, **scheme).format_of(part, layer) is FORM
    return Scheme(name="x", form=FORM, rules=(Rule(pattern, None, syntax),), **scheme).format_of(part, layer) is None


@pytest.mark.parametrize(
    "pattern, part, layer",
    [
        ("model.layers.7.mlp.gate_proj", GATE, 7),
        ("model.language_model.layers.7.mlp", GATE, 7),
        ("language_model.model.layers.7", GATE, 7),
        ("backbone.layers.7.mixer.q_proj", Q, 7),
        ("mlp.gate_proj", GATE, 3),
        ("self_attn", Q, 3),
        ("gate", ROUTER, 3),
        ("mlp.gate", ROUTER, 3),
        ("model.layers.3.block_sparse_moe.gate", ROUTER, 3),
        ("model.layers.3.self_attn.qkv_proj", Q, 3),
        ("model.layers.3.mlp.gate_up_proj", GATE, 3),
        ("layers.3.linear_attn.in_proj_qkvz", IN_PROJ, 3),
        ("layers.3.ffn.experts", EXPERT, 3),
        ("model.layers.3.mlp.experts.0.gate_proj", EXPERT, 3),
        ("model.layers.3.mlp.shared_expert.down_proj", SHARED, 3),
        ("lm_head", HEAD, None),
        ("language_model.lm_head", HEAD, None),
        ("model.vision_tower", VISION, None),
        ("visual", VISION, None),
        ("model.visual.blocks.3.attn.qkv", VISION, None),
        ("vision_model.model.layers.0.self_attn.q_proj", VISION, None),
        ("multi_modal_projector", PROJECTOR, None),
    ],
)
def test_a_name_means_a_module_its_tree_or_a_piece_of_its_path(pattern, part, layer):
    """Prefixes, parents and fused modules differ by publisher; the module is the same."""
    assert kept(pattern, part, layer)


@pytest.mark.parametrize(
    "pattern, part, layer",
    [
        ("model.layers.7.mlp.gate_proj", GATE, 8),
        ("model.layers.1", GATE, 10),
        ("mlp.gate", GATE, 3),
        ("gate", GATE, 3),
        ("mlp.gate", EXPERT, 3),
        ("lm_head", GATE, 3),
        ("visual", Q, 3),
        ("self_attn.q_proj", VISION, None),
    ],
)
def test_a_name_means_nothing_else(pattern, part, layer):
    """A gate is no gate_proj, and layer 1 is not layer 10."""
    assert not kept(pattern, part, layer)


@pytest.mark.parametrize(
    "pattern, part, layer, match",
    [
        ("model.layers.0*", GATE, 0, True),
        ("model.layers.1*", GATE, 10, False),
        ("model.layers.1.*", GATE, 1, True),
        ("model.layers.10.mlp.shared_experts*", SHARED, 10, True),
        ("model.layers.10.mlp.shared_experts*", GATE, 10, False),
        ("language_model.model.layers.3.self_attn*", Q, 3, True),
        ("model.layers.*.self_attn", Q, 5, True),
        ("*.self_attn*", Q, 5, True),
        ("*.attn.*", Q, 5, True),
        ("*layers.[0-3].*", Q, 3, True),
        ("*layers.[0-3].*", Q, 4, False),
        ("*lm_head*", HEAD, None, True),
        ("model.visual*", VISION, None, True),
        ("model.embed_vision*", PROJECTOR, None, True),
    ],
)
def test_a_glob_is_held_against_the_whole_path(pattern, part, layer, match):
    """A layer that a glob spells out is that layer alone, as vllm 0.33 reads `layers.1*` of ModelOpt."""
    assert kept(pattern, part, layer, "glob") is match


@pytest.mark.parametrize(
    "pattern, part, layer, match",
    [
        (r".*self_attn.*", Q, 5, True),
        (r".*mlp\.(gate|up|gate_up|down)_proj.*", GATE, 5, True),
        (r".*mlp\.(gate|up|gate_up|down)_proj.*", EXPERT, 5, False),
        (r".*mlp\.gate$", ROUTER, 5, True),
        (r".*mlp\.gate$", GATE, 5, False),
        (r"model\.layers\.5\..*", GATE, 5, True),
        (r"model\.layers\.5\..*", GATE, 15, False),
        (r".*layers\.(?:1|2)\..*", GATE, 2, True),
        (r".*layers\.(?:1|2)\..*", GATE, 12, False),
        (r".*layers\.\d\..*", GATE, 12, False),
        (r"lm_head", HEAD, None, True),
        (r".*visual\..*", VISION, None, True),
        (r"model\.vision_tower.*", VISION, None, True),
        (r"visual", Q, 5, False),
    ],
)
def test_an_expression_is_matched_from_the_start(pattern, part, layer, match):
    """`re.match`, as compressed-tensors and GPTQModel use it."""
    assert kept(pattern, part, layer, "regex") is match


@pytest.mark.parametrize("pattern, syntax", [("mtp", "name"), ("mtp.layers.0", "name"), ("mtp.layers.0.mlp", "name"),
    ("model.layers.48.mlp", "name"), ("mtp*", "glob"), ("mtp.layers.0*", "glob"), (r".*mtp.*", "regex")])  # fmt: skip
def test_next_token_layers_have_two_names(pattern, syntax):
    """They follow the last layer, or stand under `mtp`; a layer of the model is not meant."""
    assert kept(pattern, GATE, 48, syntax, decoder_layers=48)
    assert not kept(pattern, GATE, 0, syntax, decoder_layers=48)


def test_next_token_layers_may_be_left_alone_as_a_whole():
    """Most quantisers never see them."""
    scheme = Scheme(name="x", form=FORM, decoder_layers=2, drafts=False)
    assert [scheme.format_of(GATE, layer) for layer in (1, 2)] == [FORM, None]
    assert Scheme(name="x", form=FORM).format_of(EH, 2) is None


def test_the_first_rule_decides_and_names_come_first():
    """A rule may give another format, too."""
    rules = (
        Rule("*.mlp.*", None, "glob"),
        Rule(".*gate_proj", OTHER, "regex"),
        Rule("model.layers.1.mlp.gate_proj", OTHER),
    )
    scheme = Scheme(name="x", form=FORM, rules=rules)
    assert [scheme.format_of(GATE, layer) for layer in (0, 1)] == [None, OTHER]
    assert scheme.format_of(Q, 0) is FORM


def test_experts_may_stand_beside_the_mlp():
    """Gemma 4 has both in one layer: `mlp` does not mean its experts."""
    assert kept("model.layers.0.mlp", EXPERT, 0)
    assert not kept("model.layers.0.mlp", EXPERT, 0, flat_experts=True)
    assert kept("model.layers.0.experts", EXPERT, 0, flat_experts=True)


def test_what_is_left_alone_without_a_word():
    """Embeddings, norms, head, routers, gates of one output, towers: the layers' linears are what is quantised."""
    scheme = Scheme(name="x", form=FORM)
    alone = (HEAD, ROUTER, VISION, norm("norm", 64), embedding("embed_tokens", 64, 64))
    assert [scheme.format_of(part, None) for part in alone] == [None] * 5
    assert scheme.format_of(linear("shared_expert_gate", 1, 64, component="shared_experts"), 0) is None
    assert stored(scheme, HEAD, None) == 64 * 64 * 2


def test_biases_stay_plain():
    """Only the weights of a linear are quantised."""
    biased = linear("q_proj", 64, 128, component="attention", bias=True)
    assert stored(Scheme(name="x", form=OTHER), biased, 0) == 64 * 128 + 64 * 4 + 64 * 2


def test_a_pattern_that_cannot_be_compiled_matches_nothing():
    """Readers refuse it first; a scheme built by hand does not fall over it."""
    assert not kept("(", GATE, 0, "regex")
