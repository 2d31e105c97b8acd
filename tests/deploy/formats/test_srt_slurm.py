"""Recipes of srt-slurm."""

import pytest
from workload_samples import at, flag_at, read, texts

from kvplan.deploy.formats import srt_slurm

RECIPE = """\
name: "qwen"
model:
  path: "qwen3-32b"
  container: "nvcr.io#nvidia/ai-dynamo/vllm-runtime:0.8.0"
resources:
  gpu_type: "h100"
  gpus_per_node: 8
  prefill_nodes: 1
  prefill_workers: 4
  decode_nodes: 4
  decode_workers: 2
backend:
  type: vllm
  decode_environment:
    NCCL_DEBUG: WARN
  vllm_config:
    prefill:
      tensor-parallel-size: 2
      gpu-memory-utilization: 0.90
      enforce-eager: true
      async-scheduling: false
    decode:
      tensor-parallel-size: 16
"""


def test_roles_have_their_share_of_the_nodes():
    """Four workers on one node have two GPUs each; two on four nodes have two nodes each."""
    prefill, decode = read(srt_slurm, RECIPE)

    assert prefill.gpus.count.value == 2
    assert prefill.gpus.nodes is None
    assert (decode.gpus.count.value, decode.gpus.nodes.value) == (8, 2)
    assert at(decode.gpus.nodes) == (10, 17)
    assert prefill.gpus.types[0].value == "h100"
    assert decode.replicas.value == "2"


def test_settings_are_flags_and_false_is_left_out():
    """A role's settings are the engine's flags; what is false is not given."""
    prefill, decode = read(srt_slurm, RECIPE)

    assert texts(prefill.words) == [
        "--tensor-parallel-size", "2", "--gpu-memory-utilization", "0.90", "--enforce-eager",
    ]  # fmt: skip
    assert flag_at(decode.words, "--tensor-parallel-size") == ("16", (23, 29))
    assert decode.environment["NCCL_DEBUG"].value == "WARN"


def test_the_model_is_its_name_on_the_hub_where_that_is_said():
    """The path is the cluster's own name of a folder, unless the recipe tells the repository."""
    told = RECIPE + "identity:\n  model: {repo: Qwen/Qwen3-32B}\n  frameworks: {vllm: 0.13.0}\n"

    assert {each.model.value for each in read(srt_slurm, RECIPE)} == {"qwen3-32b"}
    assert {each.model.value for each in read(srt_slurm, told)} == {"Qwen/Qwen3-32B"}
    assert read(srt_slurm, told)[0].version.value == "0.13.0"
    assert {each.model.value for each in read(srt_slurm, RECIPE.replace("qwen3-32b", "hf:org/m"))} == {"org/m"}


def test_an_image_of_enroot_is_an_image():
    """`registry#path` is what others write with a slash; a name alone is the cluster's own."""
    assert read(srt_slurm, RECIPE)[0].image.text == "nvcr.io/nvidia/ai-dynamo/vllm-runtime:0.8.0"
    assert read(srt_slurm, RECIPE.replace("nvcr.io#nvidia/ai-dynamo/vllm-runtime:0.8.0", "dev"))[0].image is None


def test_tensorrt_llm_gets_its_settings_as_a_file():
    """TensorRT-LLM's settings are no flags: they are a file's text, whose values stand at their places."""
    text = RECIPE.replace("vllm_config", "trtllm_config").replace(
        "      tensor-parallel-size: 16", "      tensor_parallel_size: 16\n      kv_cache_config:\n        dtype: fp8"
    )
    decode = read(srt_slurm, text)[1]

    name = decode.words[1].text
    value = decode.files[name].value
    assert value == '{"tensor_parallel_size": 16, "kv_cache_config": {"dtype": "fp8"}}'
    start = value.index("fp8")
    place = decode.files[name].cut(start, start + 3).place()
    assert (place.line, place.column) == (25, 16)


def test_only_the_base_of_a_recipe_with_variants_is_read():
    """Variants change a base; what is not read is said."""
    inner = "".join(f"  {line}\n" for line in RECIPE.splitlines())
    found = read(srt_slurm, f"base:\n{inner}override_small:\n  resources: {{decode_nodes: 1}}\n")

    assert len(found) == 2
    assert any("variants" in note for note in found[0].notes)


SCHEMA_2 = """\
schema: 2
name: small
model: {path: qwen3-0.6b, container: vllm, precision: bf16}
resources:
  gpu_type: h100
  gpus_per_node: 8
engine: {type: vllm, connector: nixl}
roles:
  prefill:
    nodes: 1
    workers: 2
    gpus: 4
    env: {NCCL_DEBUG: WARN}
    args: {tensor-parallel-size: 4, enforce-eager: false, max-model-len: 4096}
  decode:
    nodes: 2
    workers: 1
    gpus: 16
    args: {tensor-parallel-size: 16}
  frontend: {args: {max-model-len: 1}}
"""


def test_roles_of_schema_2():
    """The engine is named once, each role has its GPUs, variables and settings."""
    prefill, decode = read(srt_slurm, SCHEMA_2)

    assert (prefill.name, prefill.engine, prefill.model.value) == ("small prefill", "vllm", "qwen3-0.6b")
    assert texts(prefill.words) == ["--tensor-parallel-size", "4", "--max-model-len", "4096"]
    assert at(prefill.words[-1]) == (14, 74)
    assert (prefill.gpus.count.value, prefill.gpus.nodes, prefill.gpus.types[0].value) == (4, None, "h100")
    assert (decode.gpus.count.value, decode.gpus.nodes.value) == (8, 2)
    assert prefill.environment["NCCL_DEBUG"].value == "WARN"
    assert prefill.replicas.value == "2"
    assert prefill.image is None
    assert decode.place.line == 15


def test_tensorrt_llm_of_schema_2_has_its_options():
    """Its settings are options by their paths."""
    text = SCHEMA_2.replace("type: vllm", "type: trtllm").replace(
        "{tensor-parallel-size: 16}", "{max_seq_len: 8192, kv_cache_config: {free_gpu_memory_fraction: 0.5}}"
    )
    decode = read(srt_slurm, text)[1]

    assert decode.engine == "tensorrt-llm"
    assert texts(decode.words) == ["--max_seq_len", "8192", "--kv_cache_config.free_gpu_memory_fraction", "0.5"]


@pytest.mark.parametrize(
    "text",
    [
        "resources: {gpu_type: h100}\nbackend: 3\n",
        "resources: {gpu_type: h100}\nengine: {type: other}\nroles: {agg: {args: {max-model-len: 1}}}\n",
        "resources: {gpu_type: h100}\nengine: {type: [vllm]}\nroles: {agg: [1], prefill: x}\n",
        "resources: {gpu_type: h100}\nengine: vllm\nroles: {agg: {args: {}}}\n",
        "resources: {gpu_type: h100, decode_nodes: x, decode_workers: 0}\nbackend: {vllm_config: {decode: [1]}}\n",
        "resources: {limits: 1}\nbackend: {type: s3}\n",
    ],
)
def test_other_files_are_no_recipes(text):
    """Files that only look alike hold no engine."""
    assert read(srt_slurm, text) == []
