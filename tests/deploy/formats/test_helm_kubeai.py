"""Values of KubeAI's models chart."""

import pytest
from workload_samples import at, read, texts

from kvplan.deploy.formats import helm_kubeai

VALUES = """\
catalog:
  llama-l4:
    enabled: true
    features: [TextGeneration]
    url: hf://org/llama-8b
    engine: VLLM
    args:
      - --max-model-len=8192
    env: {VLLM_ATTENTION_BACKEND: FLASHINFER}
    resourceProfile: nvidia-gpu-l4:2
    minReplicas: 1
  off:
    enabled: false
    url: hf://org/other
    engine: VLLM
    resourceProfile: nvidia-gpu-l4:1
  gemma:
    enabled: true
    url: "ollama://gemma2:9b"
    engine: OLlama
    resourceProfile: 'nvidia-gpu-l4:1'
  whisper:
    enabled: true
    url: hf://org/whisper
    engine: FasterWhisper
    resourceProfile: nvidia-gpu-l4:1
"""


def test_enabled_models_are_engines():
    """What is switched off or transcribes speech is none."""
    llama, gemma = read(helm_kubeai, VALUES, "values.yaml")

    assert (llama.name, llama.engine, llama.model.value) == ("catalog llama-l4", "vllm", "org/llama-8b")
    assert at(llama.model) == (5, 15)
    assert texts(llama.words) == ["--max-model-len=8192"]
    assert (llama.gpus.count.value, llama.gpus.types[0].value) == (2, "l4")
    assert llama.environment["VLLM_ATTENTION_BACKEND"].value == "FLASHINFER"
    assert (gemma.engine, gemma.model.value) == ("ollama", "gemma2:9b")


def test_all_enabled_switches_every_model_on():
    """`all.enabled` stands above each model's own switch."""
    names = [each.name for each in read(helm_kubeai, "all: {enabled: true}\n" + VALUES, "values.yaml")]
    assert "catalog off" in names


def test_profiles_of_the_same_file_count():
    """A profile's limits are taken so many times, and its node selector names the GPU."""
    table = """\
resourceProfiles:
  nvidia-gpu-l4:
    limits: {nvidia.com/gpu: "2"}
    nodeSelector: {cloud.google.com/gke-accelerator: nvidia-l4}
"""
    llama, _ = read(helm_kubeai, VALUES + table, "values.yaml")
    assert llama.gpus.count.value == 4
    assert llama.gpus.types[0].value == "nvidia-l4"


@pytest.mark.parametrize(
    "odd",
    ["[]", "{a: b}", "{a: {url: [x], engine: VLLM, enabled: true}}", "{a: {url: x, engine: VLLM, enabled: true}}"],
)
def test_odd_values_do_no_harm(odd):
    """Other types than a map are left out."""
    read(helm_kubeai, f"catalog: {odd}\nresourceProfiles: 3\n", "values.yaml")
