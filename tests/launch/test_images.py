"""What a container image's name tells."""

import pytest

from kvplan.launch.images import called_after, read_image


@pytest.mark.parametrize(
    "name, engine, version",
    [
        ("vllm/vllm-openai:v0.11.0", "vllm", "0.11.0"),
        ("docker.io/vllm/vllm-openai:v0.10.2-cu128", "vllm", "0.10.2"),
        ("vllm/vllm-openai:v0.9.2-x86_64@sha256:0123", "vllm", "0.9.2"),
        ("public.ecr.aws/q9t5s3a7/vllm-ci-postmerge-repo:0123abcd", "vllm", None),
        ("registry.local:5000/vllm/vllm-openai", "vllm", None),
        ("registry.local:5000/mirror/vllm-openai:v0.20.1", "vllm", "0.20.1"),
        ("vllm/vllm-openai:latest", "vllm", None),
        ("vllm/vllm-openai:nightly-0123456", "vllm", None),
        ("vllm/vllm-openai:deepseekv4-cu130", "vllm", None),
        ("vllm/vllm-openai:cu129-nightly", "vllm", None),
        ("vllm/vllm-openai-rocm:v0.16.0", "vllm", "0.16.0"),
        ("vllm/vllm-openai:v0.11.1rc2", "vllm", "0.11.1rc2"),
        ("vllm/vllm-openai@sha256:abcdef", "vllm", None),
        ("rocm/vllm:rocm6.4.1_vllm_0.10.1_20250909", "vllm", "0.10.1"),
        ("rocm/vllm-dev:nightly", "vllm", None),
        ("nvcr.io/nvidia/vllm:25.09-py3", "vllm", None),
        ("lmsysorg/sglang:v0.5.3", "sglang", "0.5.3"),
        ("ghcr.io/huggingface/text-generation-inference:3.3", "tgi", "3.3"),
        (
            "763104351884.dkr.ecr.us-east-1.amazonaws.com/huggingface-pytorch-tgi-inference:2.1.1-tgi2.0.0-gpu-py310",
            "tgi",
            "2.0.0",
        ),
        ("ghcr.io/ggml-org/llama.cpp:server-cuda", "llama.cpp", None),
        ("ollama/ollama", "ollama", None),
        ("quay.io/acme/gradio-rag-vllm-openai:latest", None, None),
        ("acme/storage-vllm:1", "vllm", None),
        ("ghcr.io/vllm-project/semantic-router/extproc:latest", None, None),
        ("python:3.12", None, None),
    ],
)
def test_engine_and_version_are_read_from_the_name(name, engine, version):
    """The repository tells the engine; the tag its release, if it has one, whatever registry or digest stands around."""
    image = read_image(name)
    assert (image.engine, image.version) == (engine, version)


@pytest.mark.parametrize(
    "name, device",
    [
        ("public.ecr.aws/q9t5s3a7/vllm-cpu-release-repo:v0.11.0", "cpu"),
        ("vllm/vllm-tpu:nightly", "tpu"),
        ("quay.io/ascend/vllm-ascend:v0.11.0", "ascend"),
        ("vllm/vllm-openai:v0.11.0-cu128", None),
    ],
)
def test_images_for_other_devices_are_told(name, device):
    """An image of vLLM for CPUs or TPUs is known as one."""
    assert read_image(name).device == device


@pytest.mark.parametrize(
    "name, engine",
    [
        ("vllm_server", "vllm"), ("vllm", "vllm"), ("llama-cpp", "llama.cpp"), ("llama.cpp", "llama.cpp"), ("ollama-gpu", "ollama"),
        ("llamactl-vllm", None), ("vllm-router", None), ("ollama-ui", None), ("ollama-pull", None), ("app", None), ("", None),
    ],
)  # fmt: skip
def test_names_of_ones_own_tell_an_engine_they_begin_with(name, engine):
    """A service that is called after an engine first is it; what stands beside one is not."""
    assert called_after(name) == engine
