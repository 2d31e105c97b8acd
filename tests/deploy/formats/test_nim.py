"""NVIDIA's NIM operator."""

import pytest
from workload_samples import at, read

from kvplan.deploy.formats import nim

SERVICE = """\
apiVersion: apps.nvidia.com/v1alpha1
kind: NIMService
metadata:
  name: r1
spec:
  image:
    repository: nvcr.io/nim/deepseek-ai/deepseek-r1
    tag: "1.7.3"
  env:
    - name: NIM_MAX_MODEL_LEN
      value: "8192"
  nodeSelector:
    nvidia.com/gpu.product: NVIDIA-H200
  resources:
    limits:
      nvidia.com/gpu: 8
  storage:
    sharedMemorySizeLimit: 16Gi
  replicas: 1
  multiNode:
    parallelism:
      pipeline: 2
"""


def test_a_service_is_a_nim_whose_profile_decides():
    """The image is put together of its parts, and the parallel sizes are the profile's."""
    (engine,) = read(nim, SERVICE)

    assert engine.engine == "nim"
    assert engine.image.text == "nvcr.io/nim/deepseek-ai/deepseek-r1:1.7.3"
    assert at(engine.image) == (7, 17)
    assert engine.sets_parallelism
    assert engine.environment["NIM_MAX_MODEL_LEN"].value == "8192"
    assert (engine.gpus.count.value, engine.gpus.nodes.value) == (8, 2)
    assert engine.gpus.types[0].value == "NVIDIA-H200"
    assert engine.shared_memory.value == 16 << 30


@pytest.mark.parametrize("name", ["nvidia/nv-embedqa-e5-v5", "nvidia/llama-3.2-nv-rerankqa-1b-v2", "baidu/paddleocr"])
def test_nims_that_generate_no_text_are_none(name):
    """Embedders, rerankers and the like are no engines of language models."""
    assert read(nim, SERVICE.replace("deepseek-ai/deepseek-r1", name)) == []


def test_services_of_a_pipeline_are_read_unless_they_are_off():
    """A pipeline's services are NIMs of their own."""
    text = """\
kind: NIMPipeline
metadata: {name: rag}
spec:
  services:
    - name: llm
      enabled: true
      spec: {image: {repository: nvcr.io/nim/meta/llama-3.1-8b-instruct, tag: 1.3.3}}
    - name: off
      enabled: false
      spec: {image: {repository: nvcr.io/nim/meta/llama-3.1-70b-instruct}}
"""
    (engine,) = read(nim, text)

    assert "service llm" in engine.name
    assert engine.image.text.endswith(":1.3.3")
    assert engine.place.line == 5
