"""Weights per rank against vLLM 0.33's own model classes, built on torch's meta device (tools/vllm_weights_oracle.py).

430 rows: models of the catalogue and published configurations, 1 to 8 ranks, with and without expert parallelism. The tool
does not see what `process_weights_after_loading` repacks.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import kvplan
from kvplan.weights.figure import Weights

_INT4 = {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "group", "group_size": 128}
_ROW8 = {"num_bits": 8, "symmetric": True, "strategy": "channel", "dynamic": False}
_KEPT = ["lm_head", "re:.*gate$"]


def _compressed(form: str, weights: dict[str, Any]) -> dict[str, Any]:
    groups = {"group_0": {"targets": ["Linear"], "weights": weights}}
    return {"quant_method": "compressed-tensors", "format": form, "config_groups": groups, "ignore": _KEPT}


# The quantisation sections that the tool gives to plain models, by its names for them.
SECTIONS = {
    "fp8-block": {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [128, 128]},
    "fp8-tensor": {"quant_method": "fp8", "activation_scheme": "static"},
    "ct-fp8": _compressed("float-quantized", {**_ROW8, "type": "float"}),
    "ct-w8a8": _compressed("int-quantized", {**_ROW8, "type": "int"}),
    "ct-w4a16": _compressed("pack-quantized", _INT4),
    "awq": {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True, "version": "gemm"},
    "gptq": {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": False, "sym": True},
    "modelopt-fp8": {"quant_method": "modelopt", "quant_algo": "FP8", "ignore": ["lm_head", "*gate"]},
    "modelopt-nvfp4": {
        "quant_method": "modelopt",
        "quant_algo": "NVFP4",
        "group_size": 16,
        "ignore": ["lm_head", "*gate"],
    },
}

_LINES = (Path(__file__).parents[2] / "corpora/vllm_weights/rows.jsonl").read_text(encoding="utf-8").splitlines()
_ALL = [row for row in map(json.loads, _LINES) if not row.get("error")]
ROWS = [row for row in _ALL if row["quant"] in ("none", "keep")]
QUANTISED = [row for row in _ALL if row["quant"] in SECTIONS]

# Models of which a row has parameters that differ by more than 0.1 %, and why.
STORED = {
    "Qwen/Qwen1.5-1.8B-Chat": "the reference configuration ties the head, the published model does not",
    "llama-4-scout": "the tool's row has a smaller tower; RedHatAI's row and a real log (0.01 %) have the published one",
    "kimi-linear-48b-a3b": "over 8 ranks experts of 128 are made as 256: counted under the kernels' layouts",
    "qwen3-30b-a3b": "on B200 experts of 96 are made as 128: counted under the kernels' layouts",
    "Qwen/Qwen3-30B-A3B-FP8": "over 8 ranks experts of 96 are cut off their blocks of 128: scales more",
    "gemma-4-26b-a4b": "V where it is K: counted under unused projections",
    "gemma-4-31b-it": "as gemma-4-26b-a4b",
    "nvidia/Gemma-4-26B-A4B-NVFP4": "as gemma-4-26b-a4b",
    "glm-4.5-air": "float32 routers: counted under float32 parameters",
    "minimax-m2.5": "as glm-4.5-air",
    "MiniMaxAI/MiniMax-M2.5": "as glm-4.5-air, and scales of experts cut off their blocks",
    "nvidia/MiniMax-M2.5-NVFP4": "as glm-4.5-air",
    "mimo-v2-flash": "as glm-4.5-air",
    "XiaomiMiMo/MiMo-V2-Flash": "as glm-4.5-air",
    "deepseek-v4-flash": "float32 streams: counted under float32 parameters",
    "deepseek-ai/DeepSeek-V4-Pro": "as deepseek-v4-flash",
    "llava-1.5-7b": "vLLM leaves out the tower's last layer, whose output is not read",
    "openai/gpt-oss-20b": "experts are made as the kernels want them: counted under the kernels' layouts",
    "openai/gpt-oss-120b": "as gpt-oss-20b",
    "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-NVFP4": "over 8 ranks +0.33 %: not explained",
}
# Models of which a row takes more or less than planned by over 0.5 %, and why.
TOTAL = {
    "Qwen/Qwen1.5-1.8B-Chat": STORED["Qwen/Qwen1.5-1.8B-Chat"],
    "deepseek-v2-lite": "over 8 ranks, 4.5 GB: rounding of 27 small layers, 0.52 %",
    "gemma-3n-e4b": "over 4 and 8 ranks the towers' small tensors: not explained",
    "whisper-large-v3": "over 4 ranks of 1 GB: rounding, whose order of layers differs",
    "openai/whisper-tiny": "76 MB: rounding",
    "zamba2-7b": "over 2 ranks: not explained",
    "LiquidAI/LFM2.5-VL-1.6B": "over 2 ranks of 1.7 GB: rounding",
    "nvidia/DeepSeek-V3.1-NVFP4": "16-bit copies of latent attention are made after loading",
    "openai/gpt-oss-20b": "scales are laid out anew after loading",
    "Qwen/Qwen3-30B-A3B-FP8": "on A100 Marlin repacks scales after loading",
}


def planned(row: dict[str, Any]) -> Weights:
    """Return the weights of a row's start."""
    model = kvplan.load_model(row["model"].replace("__", "/"))
    if row["quant"] in SECTIONS:
        model = replace(model, quantization=SECTIONS[row["quant"]])
    plan = kvplan.estimate(
        model,
        row["gpu"],
        engine="vllm@0.33",
        tensor_parallel=row["tp"],
        context=1024,
        quantization="bf16" if row["quant"] == "none" else None,
        engine_args={"enable_expert_parallel": row["ep"]},
    )
    assert plan.weights is not None
    return plan.weights


def differing(field: str, tolerance: float) -> set[str]:
    """Return the models with a row beyond the tolerance."""
    models = set()
    for row in ROWS:
        weights = planned(row)
        size = weights.items[0].bytes if field == "params_bytes" else weights.bytes
        if abs(size / row[field] - 1) > tolerance:
            models.add(row["model"].replace("__", "/"))
    return models


@pytest.mark.parametrize(
    ("field", "tolerance", "explained"), [("params_bytes", 0.001, STORED), ("allocated_unsplit", 0.005, TOTAL)]
)
def test_weights_are_those_of_the_engine_s_own_classes(field, tolerance, explained):
    assert len(ROWS) >= 430
    assert differing(field, tolerance) == set(explained)


@pytest.mark.parametrize("row", QUANTISED, ids=lambda row: f"{row['model']}-{row['quant']}-tp{row['tp']}-{row['gpu']}")
def test_quantised_sections_take_what_the_engine_s_layers_make(row):
    """Within 0.7 %: files keep scales in 16 bits that vLLM makes in 32, and zero points that it does not."""
    assert planned(row).bytes == pytest.approx(row["allocated_unsplit"], rel=0.007)
