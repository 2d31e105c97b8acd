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


def test_a_build_of_the_later_stack():
    """The second inference stack has its limits under `runtime`; some formats of weights name the cache's, too."""
    text = """resources: {accelerator: "B200:4"}
trt_llm:
  inference_stack: v2
  build:
    checkpoint_repository: {source: HF, repo: a/b}
    quantization_type: fp8_kv
  runtime: {max_seq_len: 4096, tensor_parallel_size: 4, max_batch_size: 8}
"""
    found = only("baseten", "config.yaml", text)
    assert texts(found.words) == [
        "a/b", "--max_seq_len", "4096", "--max_batch_size", "8", "--tp_size", "4", "--kv_cache_dtype", "fp8",
    ]  # fmt: skip
    assert at(found.words[-1])[1:3] == (6, 24)


def test_an_image_that_starts_itself():
    """Without a start command of its own the image's is run, where the file says so."""
    text = "docker_server: {no_build: true}\nbase_image: {image: x/y}\nenvironment_variables: {A: b}\n"
    found = only("baseten", "config.yaml", text)
    assert (found.command, found.image.text) == (None, "x/y")
    assert workloads("baseten", "config.yaml", text.replace("true", "false")) == []


def test_other_yaml_is_none():
    """Configurations without a server are none."""
    for text in (
        "docker_server: x\nresources: {}",
        "docker_server: {start_command: [a]}\nbase_image: x",
        "trt_llm: {build: 3}\nresources: x",
    ):
        assert workloads("baseten", "config.yaml", text) == []
