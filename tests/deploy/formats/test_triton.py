"""Triton's configurations of TensorRT-LLM."""

import pytest

import kvplan

TEXT = """\
name: "tensorrt_llm"
backend: "tensorrtllm"
max_batch_size: 16
parameters: {
  key: "gpt_model_path"
  value: { string_value: "/models/engine" }
}
parameters {
  key: "kv_cache_free_gpu_mem_fraction"
  value: { string_value: "0.85" }
}
parameters: { key: "max_num_tokens" value: { string_value: "${max_num_tokens}" } }
"""


def test_the_backends_parameters_are_settings():
    """The batch, the fraction of free memory and the engine's folder are read with their places; unfilled ones are left open."""
    (unit,) = kvplan.check("config.pbtxt", text=TEXT).units
    assert unit.engine == "tensorrt-llm"
    assert unit.inputs["max_num_seqs"].value == 16
    assert (unit.inputs["gpu_memory_utilization"].value, unit.inputs["gpu_memory_utilization"].place.line) == (0.85, 10)
    assert unit.inputs["model"].value == "/models/engine"


@pytest.mark.parametrize("text", ['name: "x"\nbackend: "python"\n', "", 'backend: "tensorrtllm'])
def test_other_backends_are_none(text):
    """A model of another backend is no engine."""
    assert kvplan.check("config.pbtxt", text=text).units == []
