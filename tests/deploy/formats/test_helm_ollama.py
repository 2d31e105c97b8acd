"""Values of the Ollama chart."""

import pytest
from workload_samples import at, read

from kvplan.deploy.formats import helm_ollama, helm_values

VALUES = """\
image: {repository: ollama/ollama, tag: "0.12.3"}
replicaCount: 1
ollama:
  gpu: {enabled: true, type: nvidia, number: 2}
  models:
    pull: [qwen3:8b]
extraEnv:
  - {name: OLLAMA_CONTEXT_LENGTH, value: "16384"}
nodeSelector: {nvidia.com/gpu.product: NVIDIA-L40S}
persistentVolume: {enabled: true}
"""


def test_the_server_is_read_with_its_model_and_gpus():
    """Image, the model that is pulled, variables, and the GPUs that `ollama.gpu` asks for."""
    (found,) = read(helm_ollama, VALUES, "values.yaml")
    assert (found.engine, found.model.value, found.image.text) == ("ollama", "qwen3:8b", "ollama/ollama:0.12.3")
    assert (found.gpus.count.value, at(found.gpus.count)) == (2, (4, 46))
    assert found.gpus.types[0].value == "NVIDIA-L40S"
    assert found.environment["OLLAMA_CONTEXT_LENGTH"].value == "16384"
    assert read(helm_values, VALUES, "values.yaml") == []


@pytest.mark.parametrize(
    "text, model, gpus",
    [
        ("ollama: {gpu: {enabled: true}}\n", None, 1),
        ("ollama: {gpu: {enabled: false, number: 1}, models: {pull: []}}\n", None, None),
        ("ollama: {models: [llama3]}\n", "llama3", None),
        ("ollama: {models: {pull: [a, b], run: [b]}}\n", "b", None),
        ("ollama: {models: {pull: [a, b]}}\n", None, None),
        ("ollama: {models: {create: [{name: mine, template: 'FROM a'}]}}\n", "mine", None),
        ("ollama: {gpu: {enabled: true}, defaultModel: llama2}\n", "llama2", 1),
        ("ollama: {gpu: {enabled: true, mig: {enabled: true, devices: {1g.10gb: 3}}}}\n", None, 3),
        ("ollama:\n  enabled: true\n  ollama: {gpu: {enabled: true}, models: {pull: [a]}}\n", "a", 1),
    ],
)
def test_what_the_chart_serves(text, model, gpus):
    """One model that is run or pulled is the model; of several none is; an enabled GPU is one where no number stands."""
    (found,) = read(helm_ollama, text, "values.yaml")
    assert (found.model.value if found.model else None, found.gpus.count.value if found.gpus.count else None) == (
        model,
        gpus,
    )


@pytest.mark.parametrize(
    "text",
    [
        "ollama: {enabled: false, ollama: {gpu: {enabled: true}}}\n",
        "ollama: {baseUrl: 'http://ollama:11434', models: [llama3]}\n",
        "ollama: {enabled: true}\n",
    ],
)
def test_clients_and_what_is_off_are_none(text):
    """A chart that is switched off and one that only asks a server start none."""
    assert read(helm_ollama, text, "values.yaml") == []
