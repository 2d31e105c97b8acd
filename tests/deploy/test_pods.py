"""Containers of pods: the accelerators that they ask for, and what a hook has Ollama load."""

import pytest

from kvplan.deploy.file import File
from kvplan.deploy.formats import kubernetes
from kvplan.deploy.outside import Facts
from kvplan.deploy.units import read_units
from kvplan.launch.text import Source

POD = """\
kind: Pod
metadata: {{name: llm}}
spec:
  containers:
    - name: vllm
      image: vllm/vllm-openai
      resources: {{limits: {{{resource}: {count}}}}}
"""
HOOK = """\
kind: Pod
metadata: {{name: llm}}
spec:
  containers:
    - image: ollama/ollama
      env: [{{name: MODEL, value: "qwen3:8b"}}]
      lifecycle: {{postStart: {{exec: {{command: {command}}}}}}}
"""


def read(text):
    """Return the one container of a pod."""
    (workload,) = kubernetes.read(File(Source("pod.yaml", text)))
    return workload


@pytest.mark.parametrize(
    "resource",
    [
        "nvidia.com/gpu", "nvidia.com/gpu.shared", "nvidia.com/mig-1g.10gb", "amd.com/gpu", "gpu.intel.com/i915",
        "gpu.intel.com/xe", "aws.amazon.com/neuron", "aws.amazon.com/neuroncore", "habana.ai/gaudi", "google.com/tpu",
        "huawei.com/Ascend910",
    ],
)  # fmt: skip
def test_every_vendors_resource_is_counted(resource):
    """What device plugins call their devices is a number of GPUs."""
    assert read(POD.format(resource=resource, count='"2"')).gpus.count.value == 2


@pytest.mark.parametrize(
    ("resource", "kind"),
    [
        ("habana.ai/gaudi", "gaudi"), ("gpu.intel.com/xe", "intel"), ("aws.amazon.com/neuroncore", "neuron"),
        ("google.com/tpu", "tpu"), ("huawei.com/Ascend910", "ascend"),
    ],
)  # fmt: skip
def test_a_resources_name_tells_the_kind_where_nothing_else_does(resource, kind):
    """The name stands where it is written, and is no GPU that is known."""
    text = POD.format(resource=resource, count=1)
    (found,) = read(text).gpus.types
    file = File(Source("pod.yaml", text))
    (unit,), _ = read_units(file, list(kubernetes.read(file)), lambda _: Facts())

    assert found.value == kind
    assert found.words[0].place.place().text.lower() == kind
    assert unit.unit.inputs["gpu"].value == kind


def test_a_label_of_the_node_tells_more():
    """The placement goes before the resource's name; vendors of several kinds tell none, nor does a count of zero."""
    placed = POD.format(resource="habana.ai/gaudi", count=1) + "  nodeSelector: {accelerator: gaudi2}\n"

    assert [each.value for each in read(placed).gpus.types] == ["gaudi2"]
    assert read(POD.format(resource="nvidia.com/gpu", count=1)).gpus.types == ()
    assert read(POD.format(resource="amd.com/gpu", count=1)).gpus.types == ()
    assert read(POD.format(resource="habana.ai/gaudi", count=0)).gpus.types == ()


@pytest.mark.parametrize(
    "command",
    [
        "[ollama, pull, 'qwen3:8b']",
        "[sh, -c, 'sleep 5; ollama run $MODEL']",
        '[sh, -c, "until ollama list; do sleep 1; done\\nollama pull ${MODEL}"]',
        "[sh, -c, 'ollama run --keepalive -1m \"qwen3:8b\"']",
    ],
)
def test_a_hook_that_loads_a_model_names_it(command):
    """What runs once the container is there tells Ollama's model, with the container's own variables."""
    assert read(HOOK.format(command=command)).model.value == "qwen3:8b"


@pytest.mark.parametrize(
    "command", ["[sh, -c, 'ollama pull a; ollama pull b']", "[sh, -c, 'ollama pull $X']", "[1]", "x"]
)
def test_other_hooks_name_none(command):
    """Several models, unknown variables and other commands say nothing of the model."""
    assert read(HOOK.format(command=command)).model is None
