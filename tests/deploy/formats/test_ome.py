"""OME's runtimes and services."""

import pytest
from workload_samples import at, read, texts

from kvplan.deploy.formats import ome

RUNTIME = """\
apiVersion: ome.io/v1beta1
kind: ClusterServingRuntime
metadata:
  name: srt-r1
spec:
  modelSizeRange: {min: 650B, max: 700B}
  engineConfig:
    leader:
      nodeSelector:
        node.kubernetes.io/instance-type: BM.GPU.H100.8
      runner:
        name: ome-container
        image: lmsysorg/sglang:v0.5.5
        command: [python3, -m, sglang.launch_server]
        args: [--model-path, $(MODEL_PATH), --tp-size, $(PARALLELISM_SIZE), --nnodes, $(LWS_GROUP_SIZE)]
        resources: {limits: {nvidia.com/gpu: 8}}
    worker:
      size: 1
      runner:
        name: ome-container
        image: lmsysorg/sglang:v0.5.5
        command: [python3, -m, sglang.launch_server]
        resources: {limits: {nvidia.com/gpu: 8}}
  decoderConfig:
    runner:
      name: ome-container
      image: lmsysorg/sglang:v0.5.5
      command: [python3, -m, sglang.launch_server, --tp-size, "8"]
      resources: {limits: {nvidia.com/gpu: 8}}
  routerConfig:
    runner:
      command: [python3, -m, sglang_router.launch_router]
"""


def test_a_runtime_is_a_half_with_an_engine_and_a_decoder():
    """Leader and workers are one group, the decoder an engine of its own, and the router none."""
    leader, worker, decoder = read(ome, RUNTIME)

    assert leader.group == worker.group != ""
    assert leader.gpus.nodes.value == 2
    assert decoder.group == ""
    assert decoder.gpus.nodes is None
    assert leader.gpus.types[0].value == "BM.GPU.H100.8"
    assert all("InferenceService" in each.half for each in (leader, worker, decoder))


def test_what_ome_sets_stands_for_its_variables():
    """The group's pods and all of its GPUs are known; the model's path is not."""
    leader = read(ome, RUNTIME)[0]

    assert texts(leader.args) == ["--model-path", "$(MODEL_PATH)", "--tp-size", "16", "--nnodes", "2"]


SERVICE = """\
---
apiVersion: ome.io/v1beta1
kind: InferenceService
metadata:
  name: r1
spec:
  model:
    name: deepseek-r1
  runtime:
    name: srt-r1
  engine:
    minReplicas: 2
"""


def test_a_service_with_its_runtime_in_the_stream_is_whole():
    """A runtime of the stream is read once, as its service's."""
    model = """\
---
apiVersion: ome.io/v1beta1
kind: ClusterBaseModel
metadata: {name: deepseek-r1}
spec: {storage: {storageUri: hf://deepseek-ai/DeepSeek-R1}}
"""
    found = read(ome, RUNTIME + SERVICE + model)

    assert len(found) == 3
    assert {each.half for each in found} == {""}
    assert {each.model.value for each in found} == {"deepseek-ai/DeepSeek-R1"}
    assert found[0].replicas.value == "2"


def test_a_service_with_an_engine_of_its_own_names_the_model():
    """A runner in the service is read where it stands; without the runtime it is a half."""
    runner = "    runner: {name: ome-container, command: [python3, -m, sglang.launch_server, --mem-frac, '0.9']}\n"
    (engine,) = read(ome, SERVICE + runner)

    assert engine.model.value == "deepseek-r1"
    assert at(engine.model) == (8, 11)
    assert "srt-r1" in engine.half


@pytest.mark.parametrize(
    "text",
    [
        SERVICE.replace("srt-", ""),
        "apiVersion: ome.io/v1beta1\nkind: ServingRuntime\nspec: {engineConfig: [1], decoderConfig: {runner: 2}}\n",
        "apiVersion: serving.kserve.io/v1beta1\nkind: ServingRuntime\nspec: {engineConfig: {runner: {}}}\n",
    ],
)
def test_services_without_an_engine_and_odd_ones_are_none(text):
    """Where nothing tells an engine there is none; KServe's are not OME's."""
    assert read(ome, text) == []


def test_a_service_whose_runtime_is_called_after_an_engine_is_a_half():
    """OME's own runtimes are: `srt-...` is SGLang's; each role that the service asks for is one."""
    (engine,) = read(ome, SERVICE)
    assert (engine.engine, engine.model.value) == ("sglang", "deepseek-r1")
    assert "another file" in engine.half
