"""KAITO's resources."""

import pytest
from workload_samples import at, flag_at, read

from kvplan.deploy.formats import kaito

CONFIG = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: params
data:
  inference_config.yaml: |
    # comment
    max_probe_steps: 6
    vllm:
      gpu-memory-utilization: 0.95
      max-model-len: 131072
      enable-chunked-prefill: true
---
"""
WORKSPACE = """\
apiVersion: kaito.sh/v1beta1
kind: Workspace
metadata:
  name: distill
resource:
  count: 2
  instanceType: "Standard_NC24ads_A100_v4"
inference:
  preset:
    name: "deepseek-r1-distill-qwen-14b"
  config: "params"
"""


def test_a_workspace_is_a_preset_on_instances_with_the_settings_of_its_config_map():
    """Model, instance type, machines and vLLM's settings are found, the last inside a text of another document."""
    (engine,) = read(kaito, CONFIG + WORKSPACE)

    assert engine.engine == "vllm"
    assert engine.sets_parallelism == "KAITO"
    assert engine.half == ""
    assert engine.model.value == "deepseek-ai/DeepSeek-R1-Distill-Qwen-14B"
    assert at(engine.model) == (23, 12)
    assert engine.gpus.types[0].value == "Standard_NC24ads_A100_v4"
    assert engine.gpus.nodes.value == 2
    assert flag_at(engine.words, "--max-model-len") == ("131072", (11, 22))
    assert flag_at(engine.words, "--gpu-memory-utilization") == ("0.95", (10, 31))
    assert engine.words[-1].text == "--enable-chunked-prefill"


def test_settings_in_a_config_map_elsewhere_leave_half():
    """A ConfigMap that the file does not hold is said to be missing."""
    (engine,) = read(kaito, WORKSPACE)

    assert "params" in engine.half
    assert engine.words == ()


def test_settings_under_spec_are_read_too():
    """Resource and inference may stand under spec."""
    head, _, rest = WORKSPACE.partition("resource:\n")
    inner = "".join(f"  {line}\n" for line in ("resource:\n" + rest).splitlines())
    (engine,) = read(kaito, f"{head}spec:\n{inner}")

    assert engine.gpus.nodes.value == 2


def test_an_inference_set_has_replicas_and_may_take_a_part_of_a_gpu():
    """A MIG profile is a partition of one GPU."""
    text = """\
apiVersion: kaito.sh/v1beta1
kind: InferenceSet
metadata: {name: phi}
spec:
  replicas: 3
  template:
    inference:
      preset:
        name: org/some-model
    resource:
      partition:
        mode: mig
        profile: "2g.24gb"
"""
    (engine,) = read(kaito, text)

    assert engine.replicas.value == "3"
    assert engine.model.value == "org/some-model"
    assert engine.gpus.partition.value == "2g.24gb"
    assert engine.gpus.count.value == 1


def test_roles_of_one_model_are_engines_of_their_own():
    """A MultiRoleInference starts an engine for each role."""
    text = """\
apiVersion: kaito.sh/v1alpha1
kind: MultiRoleInference
metadata: {name: pd}
spec:
  model: {name: deepseek-ai/DeepSeek-V3}
  roles:
    - {type: prefill, replicas: 1, instanceType: Standard_ND96isr_H100_v5}
    - {type: decode, replicas: 2, instanceType: Standard_ND96isr_H100_v5}
"""
    prefill, decode = read(kaito, text)

    assert prefill.place.line == 7
    assert decode.replicas.value == "2"
    assert decode.model.value == "deepseek-ai/DeepSeek-V3"


def test_a_pod_template_is_read_as_a_pod():
    """A Workspace with a template of its own runs that container."""
    text = """\
apiVersion: kaito.sh/v1beta1
kind: Workspace
metadata: {name: own}
resource: {instanceType: Standard_NC24ads_A100_v4}
inference:
  template:
    spec:
      containers:
        - name: vllm
          image: vllm/vllm-openai:v0.10.0
          args: [--model, org/model]
"""
    (engine,) = read(kaito, text)

    assert engine.image.text == "vllm/vllm-openai:v0.10.0"
    assert engine.gpus.types[0].value == "Standard_NC24ads_A100_v4"


@pytest.mark.parametrize(
    "text",
    [
        WORKSPACE.replace("inference:", "tuning:"),
        WORKSPACE.replace("kind: Workspace", "kind: RAGEngine"),
        WORKSPACE.replace("kaito.sh/v1beta1", "example.org/v1"),
    ],
)
def test_tuning_and_rag_engines_are_no_engines(text):
    """What KAITO tunes, its RAG engines, and other groups' workspaces start no engine."""
    assert read(kaito, text) == []
