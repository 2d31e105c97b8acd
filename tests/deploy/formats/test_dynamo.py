"""NVIDIA Dynamo's graphs."""

import pytest
from workload_samples import at, read, texts

from kvplan.deploy.formats import dynamo

GRAPH = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: engine
data:
  decode.yaml: |
    tensor_parallel_size: 16
    kv_cache_config:
      free_gpu_memory_fraction: 0.7
---
apiVersion: nvidia.com/v1alpha1
kind: DynamoGraphDeployment
metadata:
  name: r1
spec:
  envs:
    - name: SHARED
      value: "1"
  services:
    Frontend:
      componentType: frontend
      extraPodSpec:
        mainContainer:
          image: nvcr.io/nvidia/ai-dynamo/tensorrtllm-runtime:0.8.1
          command: [python3, -m, dynamo.frontend]
    Planner:
      componentType: planner
    decode:
      componentType: worker
      subComponentType: decode
      replicas: 3
      multinode:
        nodeCount: 4
      sharedMemory:
        size: 80Gi
      envs:
        - name: OWN
          value: "2"
      resources:
        limits:
          gpu: "4"
      extraPodSpec:
        nodeSelector:
          nvidia.com/gpu.product: NVIDIA-GB200
        mainContainer:
          image: nvcr.io/nvidia/ai-dynamo/tensorrtllm-runtime:0.8.1
          env:
            - name: INNER
              value: "3"
          volumeMounts:
            - name: config
              mountPath: /config
          command: [python3, -m, dynamo.trtllm]
          args: [--model-path, /models/r1, --extra-engine-args, /config/decode.yaml]
        volumes:
          - name: config
            configMap:
              name: engine
"""


def test_workers_are_engines_and_frontends_are_not():
    """A worker has its service's GPUs and its container's command; frontends and planners are no engines."""
    (worker,) = read(dynamo, GRAPH)

    assert texts(worker.command) == ["python3", "-m", "dynamo.trtllm"]
    assert texts(worker.args)[0] == "--model-path"
    assert worker.gpus.count.value == 4
    assert at(worker.gpus.count) == (41, 17)
    assert worker.gpus.nodes.value == 4
    assert worker.gpus.types[0].value == "NVIDIA-GB200"
    assert worker.replicas.value == "3"
    assert worker.shared_memory.value == 80 << 30
    assert worker.place.line == 28
    assert "decode" in worker.name


def test_variables_of_graph_service_and_container_hold_together():
    """The variables of all three levels reach the engine."""
    (worker,) = read(dynamo, GRAPH)

    assert {name: value.value for name, value in worker.environment.items()} == {
        "SHARED": "1",
        "OWN": "2",
        "INNER": "3",
    }


def test_the_engines_settings_are_found_behind_volume_and_config_map():
    """A settings file that is mounted from a ConfigMap of the stream is there by its path, at its place."""
    (worker,) = read(dynamo, GRAPH)

    text = worker.files["/config/decode.yaml"]
    assert text.value.startswith("tensor_parallel_size: 16")
    assert text.place().line == 7


def test_components_of_the_later_version_are_read_too():
    """v1beta1 lists components with pod templates."""
    text = """\
apiVersion: nvidia.com/v1beta1
kind: DynamoGraphDeployment
metadata: {name: flash}
spec:
  components:
    - name: Frontend
      type: frontend
      podTemplate: {spec: {containers: [{name: main, command: [python3, -m, dynamo.frontend]}]}}
    - name: Prefill
      type: prefill
      replicas: 1
      sharedMemorySize: 200Gi
      podTemplate:
        spec:
          containers:
            - name: main
              image: nvcr.io/nvidia/ai-dynamo/sglang-runtime:1.6.0
              command: [python3, -m, dynamo.sglang]
              args: [--tp-size, "4"]
              resources: {limits: {nvidia.com/gpu: "4"}}
"""
    (prefill,) = read(dynamo, text)

    assert texts(prefill.command)[-1] == "dynamo.sglang"
    assert prefill.gpus.count.value == 4
    assert prefill.shared_memory.value == 200 << 30
    assert prefill.place.line == 9


def test_a_component_deployed_alone_is_read():
    """A DynamoComponentDeployment is one service."""
    text = """\
kind: DynamoComponentDeployment
metadata: {name: worker}
spec:
  componentType: worker
  resources: {limits: {gpu: "1"}}
  extraPodSpec: {mainContainer: {command: [python3, -m, dynamo.vllm], args: [--model, org/m]}}
"""
    (worker,) = read(dynamo, text)

    assert worker.gpus.count.value == 1
    assert texts(worker.args) == ["--model", "org/m"]


OLDER = """\
kind: DynamoGraphDeployment
metadata: {name: old}
spec:
  envs:
    - name: DYN_DEPLOYMENT_CONFIG
      value: '{"Common": {"model": "org/m", "max-model-len": 4096, "block-size": 64}, "Processor": {"router": "kv"},
        "VllmWorker": {"remote-prefill": true, "ServiceArgs": {"resources": {"gpu": 1}}, "common-configs": ["max-model-len"]},
        "PrefillWorker": {"max-num-batched-tokens": 512, "ServiceArgs": {}, "common-configs": []}}'
  services:
    Processor:
      extraPodSpec: {mainContainer: {args: [dynamo, serve, "graphs.disagg:Processor"]}}
    VllmWorker:
      resources: {limits: {gpu: "2"}}
      extraPodSpec: {mainContainer: {args: [dynamo, serve, "graphs.disagg:VllmWorker"]}}
    Second:
      extraPodSpec:
        mainContainer:
          command: [sh, -c, "prepare; dynamo serve graphs.disagg:Frontend --service-name PrefillWorker; true"]
    Other:
      extraPodSpec: {mainContainer: {command: [python3, -m, own]}}
"""


def test_the_older_configuration_of_all_services():
    """A graph holds it in a variable; a service has its own part, and those common settings that this names."""
    found = {each.name.rpartition(" ")[2]: each for each in read(dynamo, OLDER)}

    worker, prefill = found["VllmWorker"], found["Second"]
    assert (worker.engine, worker.model.value, worker.gpus.count.value) == ("vllm", "org/m", 2)
    assert texts(worker.words) == ["--max-model-len", "4096"]
    assert at(worker.words[1]) == (6, 62)
    assert texts(prefill.words) == ["--max-num-batched-tokens", "512"]
    assert prefill.place.line == 18
    assert found["Other"].words is None
    assert found["Processor"].words is None


def test_the_older_configuration_may_be_a_file_that_is_mounted():
    """The command names it; it is read where a ConfigMap of the stream is mounted there."""
    text = """\
kind: ConfigMap
metadata: {name: c}
data:
  agg.yaml: |
    SGLangWorker: {model-path: org/m, mem-fraction-static: 0.8, ServiceArgs: {workers: 1}}
---
kind: DynamoGraphDeployment
spec:
  services:
    SGLangWorker:
      resources: {limits: {gpu: "1"}}
      extraPodSpec:
        volumes: [{name: v, configMap: {name: c}}]
        mainContainer:
          volumeMounts: [{name: v, mountPath: /etc/dynamo}]
          args: [dynamo, serve, "graphs.agg:SGLangWorker", -f, /etc/dynamo/agg.yaml]
"""
    (worker,) = read(dynamo, text)

    assert worker.engine == "sglang"
    assert "0.8" in texts(worker.words)
    assert worker.model.value == "org/m"


@pytest.mark.parametrize(
    "text",
    [
        "kind: DynamoGraphDeployment\nspec: {services: [a, b], components: {a: b}}\n",
        "kind: DynamoGraphDeployment\nspec: {services: {a: 1, b: {extraPodSpec: [1]}}}\n",
        "kind: DynamoGraphDeploymentRequest\nspec: {model: org/m, backend: vllm}\n",
    ],
)
def test_odd_graphs_and_requests_start_nothing(text):
    """Graphs of odd shapes, and requests to make one, start no engine."""
    assert read(dynamo, text) == []


def test_a_command_that_is_filled_in_elsewhere_leaves_the_folder_to_tell_the_engine():
    """A worker in Dynamo's folder of an engine is that engine's, half until its command is known."""
    text = (
        "apiVersion: nvidia.com/v1alpha1\nkind: DynamoGraphDeployment\nmetadata: {name: g}\nspec:\n  services:\n    decode:\n"
        "      componentType: worker\n      extraPodSpec:\n        mainContainer:\n          image: $IMAGE\n"
        "          workingDir: /workspace/components/backends/sglang\n          command: [/bin/sh, -c]\n          args: [$DECODE]\n"
    )
    (found,) = read(dynamo, text)
    assert found.engine == "sglang"
    assert "$DECODE" in found.half
