"""Weight files that are only a piece of the model, and files in another number format than the engine's."""

import math
from dataclasses import replace

import pytest

import kvplan
from kvplan.checkpoints.tensors import Checkpoint, Tensor
from kvplan.errors import CheckpointError
from kvplan.models.spec import ModelSpec

LAYER = {
    "self_attn.q_proj.weight": (4096, 4096),
    "self_attn.k_proj.weight": (1024, 4096),
    "self_attn.v_proj.weight": (1024, 4096),
    "self_attn.o_proj.weight": (4096, 4096),
    "mlp.gate_proj.weight": (14336, 4096),
    "mlp.up_proj.weight": (14336, 4096),
    "mlp.down_proj.weight": (4096, 14336),
}
OUTER = {"model.embed_tokens.weight": (128256, 4096), "lm_head.weight": (128256, 4096)}
WIDTHS = {"f64": 8, "f32": 4, "bf16": 2, "f8_e4m3": 1}


def llama(*, layers: int = 32, dtype: str = "bf16", keys: tuple[str, ...] = tuple(LAYER)) -> ModelSpec:
    """Return Llama 3.1 8B with headers of its first layers."""
    shapes = OUTER | {f"model.layers.{i}.{key}": LAYER[key] for i in range(layers) for key in keys}
    tensors = tuple(Tensor(name, dtype, s, WIDTHS[dtype] * math.prod(s)) for name, s in shapes.items())
    total = sum(tensor.bytes for tensor in tensors)
    checkpoint = Checkpoint(container="safetensors", source="a.safetensors", tensors=tensors, total_bytes=total)
    return replace(kvplan.load_model("llama-3.1-8b"), checkpoint=checkpoint)


def files(total: int) -> ModelSpec:
    """Return the model with PyTorch files of this size."""
    checkpoint = Checkpoint(container="torch", source="pytorch_model.bin", tensors=(), total_bytes=total)
    return replace(kvplan.load_model("llama-3.1-8b"), checkpoint=checkpoint)


def test_a_missing_layer_is_named():
    with pytest.raises(CheckpointError, match=r"^a\.safetensors lists no tensor of layer 31, of 32: it is incomplete"):
        kvplan.estimate(llama(layers=31), "h100")
    with pytest.raises(CheckpointError, match=r"lists no tensor of layer 1 and 30 more, of 32"):
        kvplan.estimate(llama(layers=1), "h100")


def test_half_of_the_numbers_are_not_the_model():
    with pytest.raises(CheckpointError, match=r"holds 1,721,761,792 numbers, .* describes 8,030,261,248 parameters"):
        kvplan.estimate(llama(keys=("self_attn.q_proj.weight", "self_attn.k_proj.weight")), "h100")


def test_files_of_pickles_have_two_bytes_for_each_number():
    assert kvplan.estimate(files(16_060_522_496), "h100").weights.origin == "file sizes"
    with pytest.raises(CheckpointError, match="is incomplete"):
        kvplan.estimate(files(8_000_000_000), "h100")


def test_another_format_is_planned_from_the_configuration():
    """The files do not count where another format is asked for, so that what they lack does not matter."""
    assert kvplan.estimate(llama(layers=1), "h100", quantization="fp8").weights.origin == "configuration"


@pytest.mark.parametrize(("dtype", "loaded"), [("f32", 2), ("f64", 2), ("bf16", 2), ("f8_e4m3", 1)])
def test_float_files_are_cast_to_the_engine_s_format(dtype, loaded):
    """Float32 files are loaded in 16 bits by vLLM; the checkpoint's own size and its agreement are those of the file."""
    plan = kvplan.estimate(llama(dtype=dtype), "h100")
    numbers = 8_029_995_008
    assert plan.weights.items[0].bytes == loaded * numbers
    weights = plan.to_dict()["weights"]
    assert weights["checkpoint_bytes"] == WIDTHS[dtype] * numbers
    if dtype != "f8_e4m3":
        assert weights["differences"][0]["relative"] == pytest.approx(0, abs=1e-4)


def test_transformers_keeps_float32():
    spec = llama(dtype="f32")
    spec = replace(spec, dtype="float32")
    assert kvplan.estimate(spec, "h100", engine="transformers").weights.items[0].bytes == 4 * 8_029_995_008


@pytest.mark.parametrize(("total", "loaded"), [(16_060_522_496, 16_060_522_496), (32_121_044_992, 16_060_522_496)])
def test_float32_pickles_are_known_by_their_size(total, loaded):
    assert kvplan.estimate(files(total), "h100").weights.items[0].bytes == loaded
