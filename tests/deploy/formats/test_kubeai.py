"""KubeAI's Model."""

import pytest
from workload_samples import at, read, texts

from kvplan.deploy.formats import kubeai

MODEL = """\
apiVersion: kubeai.org/v1
kind: Model
metadata:
  name: llama-l4
spec:
  features: [TextGeneration]
  url: hf://org/llama-70b
  engine: VLLM
  args:
    - --max-model-len=8192
    - --max-num-batched-token=8192
  env:
    VLLM_ATTENTION_BACKEND: FLASHINFER
  minReplicas: 0
  resourceProfile: nvidia-gpu-l4:8
"""


def test_a_model_is_an_engine_with_flags_and_a_resource_profile():
    """The address names the model, the profile the GPU and how many, the arguments are the engine's own words."""
    (model,) = read(kubeai, MODEL)

    assert model.engine == "vllm"
    assert model.model.value == "org/llama-70b"
    assert at(model.model) == (7, 13)
    assert texts(model.words) == ["--max-model-len=8192", "--max-num-batched-token=8192"]
    assert at(model.words[0]) == (10, 7)
    assert model.gpus.types[0].value == "l4"
    assert at(model.gpus.types[0]) == (15, 31)
    assert model.gpus.count.value == 8
    assert at(model.gpus.count) == (15, 34)
    assert model.replicas.value == "0"
    assert model.environment["VLLM_ATTENTION_BACKEND"].value == "FLASHINFER"


@pytest.mark.parametrize("engine", ["FasterWhisper", "Infinity", "Unknown", ""])
def test_engines_that_generate_no_text_are_none(engine):
    """FasterWhisper and Infinity are no engines of language models."""
    assert read(kubeai, MODEL.replace("VLLM\n", f"{engine}\n")) == []


def test_an_ollama_model_keeps_its_tag():
    """An address of Ollama is the model by Ollama's own name."""
    text = MODEL.replace("hf://org/llama-70b", "ollama://deepseek-r1:1.5b").replace("VLLM\n", "OLlama\n")
    (model,) = read(kubeai, text.replace("nvidia-gpu-l4:8", "cpu:1"))

    assert (model.engine, model.model.value) == ("ollama", "deepseek-r1:1.5b")
    assert model.gpus.types == ()
    assert model.gpus.count is None


@pytest.mark.parametrize("address", ["s3://bucket/llama", "pvc://models/llama"])
def test_addresses_in_stores_stay_as_they_are_written(address):
    """A bucket's or a claim's address is no model's name: it stays for a model map."""
    (model,) = read(kubeai, MODEL.replace("hf://org/llama-70b", address))

    assert model.model.value == address


def test_other_kinds_named_model_are_none():
    """A Model of another group is not KubeAI's."""
    assert read(kubeai, MODEL.replace("kubeai.org/v1", "example.org/v1")) == []
