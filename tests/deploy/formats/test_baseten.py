"""Baseten's Truss."""

from format_files import at, only, texts, values, workloads

SERVER = """model_name: llm
base_image: {image: "vllm/vllm-openai:v0.9.0"}
docker_server:
  start_command: sh -c "vllm serve a/b --max-model-len 8192"
resources: {accelerator: "H100:2"}
environment_variables: {A: 1}
"""


def test_a_server():
    """Image, command, variables and GPUs of a server."""
    found = only("baseten", "config.yaml", SERVER)
    assert (found.name, found.image.text) == ("llm", "vllm/vllm-openai:v0.9.0")
    assert texts(found.command) == ["sh", "-c", "vllm serve a/b --max-model-len 8192"]
    assert at(found.command[2]) == ("config.yaml", 4, 25, "vllm serve a/b --max-model-len 8192")
    assert (found.gpus.count.value, found.gpus.types[0].value) == (2, "H100")
    assert values(found.environment) == {"A": "1"}


def test_a_build_of_tensorrt_llm():
    """A build's keys are the flags of trtllm-serve that say the same."""
    text = """resources: {accelerator: H100}
trt_llm:
  build:
    checkpoint_repository: {source: HF, repo: a/b}
    max_seq_len: 4096
    tensor_parallel_count: 2
  runtime: {kv_cache_free_gpu_mem_fraction: 0.8}
"""
    found = only("baseten", "config.yaml", text)
    assert (found.engine, found.gpus.count.value) == ("tensorrt-llm", 1)
    assert texts(found.words) == [
        "a/b", "--max_seq_len", "4096", "--tp_size", "2", "--kv_cache_free_gpu_memory_fraction", "0.8",
    ]  # fmt: skip


def test_other_yaml_is_none():
    """Configurations without a server are none."""
    for text in (
        "docker_server: x\nresources: {}",
        "docker_server: {start_command: [a]}\nbase_image: x",
        "trt_llm: {build: 3}\nresources: x",
    ):
        assert workloads("baseten", "config.yaml", text) == []
