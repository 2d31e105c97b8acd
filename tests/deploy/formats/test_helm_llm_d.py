"""Values of the llm-d modelservice chart."""

import pytest
from workload_samples import at, flag_at, read, texts

from kvplan.deploy.formats import helm_llm_d, helm_values

VALUES = """\
multinode: false
modelArtifacts:
  name: org/model-70b
  uri: "hf://org/model-70b"
accelerator:
  type: nvidia
routing:
  proxy:
    image: ghcr.io/llm-d/llm-d-routing-sidecar:v0.3.0
decode:
  create: true
  replicas: 3
  parallelism:
    tensor: 4
    dataLocal: 2
  nodeSelector:
    nvidia.com/gpu.product: NVIDIA-H200
  containers:
    - name: vllm
      image: ghcr.io/llm-d/llm-d-cuda:v0.4.0
      modelCommand: vllmServe
      args: ["--max-model-len", "32768"]
      env:
        - {name: A, value: b}
      resources:
        limits: {memory: 64Gi}
prefill:
  create: false
  containers:
    - {name: vllm, image: ghcr.io/llm-d/llm-d-cuda:v0.4.0, modelCommand: vllmServe}
"""


def test_a_role_is_an_engine_with_the_charts_flags():
    """The chart writes the sizes as flags before the container's own, and asks for tensor x dataLocal GPUs."""
    (decode,) = read(helm_llm_d, VALUES, "ms-values.yaml")

    assert decode.name == "decode, container vllm"
    assert (decode.engine, decode.model.value) == ("vllm", "org/model-70b")
    assert at(decode.model) == (4, 14)
    assert flag_at(decode.words, "--tensor-parallel-size") == ("4", (14, 13))
    assert flag_at(decode.words, "--data-parallel-size") == ("2", (15, 16))
    assert flag_at(decode.words, "--data-parallel-size-local") == ("2", (15, 16))
    assert texts(decode.words)[-2:] == ["--max-model-len", "32768"]
    assert decode.gpus.count.value == 8
    assert decode.gpus.nodes is None
    assert [each.value for each in decode.gpus.types] == ["NVIDIA-H200"]
    assert decode.memory.value == 64 * 2**30
    assert decode.replicas.value == "3"
    assert read(helm_values, VALUES, "ms-values.yaml") == []


def test_data_parallel_ranks_may_stand_on_several_nodes():
    """With multinode, `workers` pods hold dataLocal ranks each."""
    text = VALUES.replace("multinode: false", "multinode: true").replace("    tensor: 4", "    tensor: 1\n    data: 16")
    (decode,) = read(helm_llm_d, text.replace("dataLocal: 2", "dataLocal: 8"), "values.yaml")
    assert (decode.gpus.count.value, decode.gpus.nodes.value) == (8, 2)
    assert flag_at(decode.words, "--data-parallel-size")[0] == "16"
    assert "--tensor-parallel-size" not in texts(decode.words)


def test_a_limit_in_the_values_wins_over_the_charts_number():
    """The chart fills in the GPUs only where the container does not ask for any."""
    (decode,) = read(helm_llm_d, VALUES.replace("{memory: 64Gi}", "{nvidia.com/gpu: 4}"), "values.yaml")
    assert decode.gpus.count.value == 4


def test_a_custom_command_gets_the_sizes_as_variables():
    """`custom` is a container as it is written, with TP_SIZE and its kin in its environment."""
    text = VALUES.replace(
        "modelCommand: vllmServe\n      args",
        "modelCommand: custom\n      command: [vllm, serve, org/other]\n      args",
    )
    text = text.replace('["--max-model-len", "32768"]', '["--tensor-parallel-size", "$(TP_SIZE)"]')
    (decode,) = read(helm_llm_d, text, "values.yaml")
    assert decode.words is None
    assert texts(decode.command) == ["vllm", "serve", "org/other"]
    assert texts(decode.args) == ["--tensor-parallel-size", "4"]
    assert decode.gpus.count.value == 8


@pytest.mark.parametrize(
    "uri, model",
    [
        ('"hf://{{ .Values.modelArtifacts.name }}"', "org/model-70b"),
        ("pvc://claim/path/to/model", "/model-cache/path/to/model"),
        ("pvc+hf://claim/hub/org/model-8b", "org/model-8b"),
    ],
)
def test_the_model_stands_in_the_uri(uri, model):
    """hf:// names a model of the Hub, pvc:// a path on the mounted volume, pvc+hf:// both."""
    (decode,) = read(helm_llm_d, VALUES.replace('"hf://org/model-70b"', uri), "values.yaml")
    assert decode.model.value == model


def test_a_simulator_is_no_engine():
    """llm-d-inference-sim answers and holds no model."""
    text = VALUES.replace("llm-d/llm-d-cuda:v0.4.0", "llm-d/llm-d-inference-sim:latest")
    assert read(helm_llm_d, text, "values.yaml") == []


def test_other_accelerators_are_named():
    """A TPU or Gaudi is no GPU of the vendors that are planned for."""
    (decode,) = read(helm_llm_d, VALUES.replace("type: nvidia", "type: google"), "values.yaml")
    assert any("google" in note for note in decode.notes)


@pytest.mark.parametrize(
    "odd", ["3", "[]", "{containers: x}", "{containers: [{modelCommand: vllmServe, args: {a: b}}], parallelism: [1]}"]
)
def test_odd_values_do_no_harm(odd):
    """Other types than a map are left out; sizes that are none count as one."""
    for each in read(helm_llm_d, f"modelArtifacts: {{uri: [x]}}\ndecode: {odd}\n", "values.yaml"):
        assert each.gpus.count.value == 1
