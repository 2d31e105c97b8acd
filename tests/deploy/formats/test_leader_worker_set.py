"""Sets of pods that are one engine."""

import pytest
from workload_samples import at, read, texts

from kvplan.deploy.formats import leader_worker_set

GROUP = """\
apiVersion: leaderworkerset.x-k8s.io/v1
kind: LeaderWorkerSet
metadata:
  name: big
spec:
  replicas: 2
  leaderWorkerTemplate:
    size: 4
    leaderTemplate:
      spec:
        nodeSelector:
          nvidia.com/gpu.product: NVIDIA-H100-80GB-HBM3
        containers:
          - name: leader
            image: lmsysorg/sglang:v0.5.5
            command: [python3, -m, sglang.launch_server]
            args:
              - --nnodes
              - $(LWS_GROUP_SIZE)
              - --node-rank
              - $(LWS_WORKER_INDEX)
              - --dist-init-addr
              - $(LWS_LEADER_ADDRESS):5000
              - --tp
              - "32"
            env:
              - name: SIZE
                value: $(LWS_GROUP_SIZE)
            resources:
              limits:
                nvidia.com/gpu: "8"
    workerTemplate:
      spec:
        containers:
          - name: worker
            image: lmsysorg/sglang:v0.5.5
            command: [python3, -m, sglang.launch_server, --node-rank, $(LWS_WORKER_INDEX)]
            resources:
              limits:
                nvidia.com/gpu: "8"
"""


def test_a_leader_and_its_workers_are_one_group_of_so_many_nodes():
    """A set's leader and workers share a group, whose size is the number of machines of the engine."""
    leader, worker = read(leader_worker_set, GROUP)

    assert leader.group == worker.group != ""
    assert leader.gpus.nodes.value == 4
    assert at(leader.gpus.nodes) == (8, 11)
    assert leader.gpus.count.value == 8
    assert leader.gpus.types[0].value == "NVIDIA-H100-80GB-HBM3"
    assert leader.replicas.value == "2"


def test_the_size_of_the_group_stands_for_its_variable():
    """`$(LWS_GROUP_SIZE)` is the set's size, where the size stands; other names of the controller stay as they are."""
    leader, worker = read(leader_worker_set, GROUP)

    assert texts(leader.args)[:6] == [
        "--nnodes", "4", "--node-rank", "0", "--dist-init-addr", "$(LWS_LEADER_ADDRESS):5000",
    ]  # fmt: skip
    assert at(leader.args[1]) == (8, 11)
    assert leader.environment["LWS_GROUP_SIZE"].value == "4"
    assert leader.environment["SIZE"].value == "4"
    assert texts(worker.command)[-1] == "$(LWS_WORKER_INDEX)"


def test_without_a_leader_template_the_leader_runs_the_workers_pod():
    """A set with one template has one kind of pod, which is read once."""
    text = """\
kind: LeaderWorkerSet
metadata: {name: same}
spec:
  leaderWorkerTemplate:
    size: 2
    workerTemplate:
      spec:
        containers:
          - name: engine
            image: vllm/vllm-openai:v0.10.0
"""
    (only,) = read(leader_worker_set, text)

    assert only.name == "LeaderWorkerSet same, container engine"
    assert only.gpus.nodes.value == 2


def test_a_set_of_one_pod_has_no_workers():
    """With size 1 the worker's template starts nothing, and there is no group."""
    (leader,) = read(leader_worker_set, GROUP.replace("size: 4", "size: 1"))

    assert leader.group == ""
    assert texts(leader.args)[1] == "1"


def test_roles_of_a_disaggregated_set_are_groups_of_their_own():
    """Prefill and decode of a DisaggregatedSet are two engines, each with its own size."""
    role = """\
    - name: {0}
      spec:
        replicas: 1
        leaderWorkerTemplate:
          size: {1}
          workerTemplate:
            spec:
              containers:
                - name: vllm
                  command: [vllm, serve, org/model]
"""
    head = "kind: DisaggregatedSet\nmetadata: {name: pd}\nspec:\n  roles:\n"
    prefill, decode = read(leader_worker_set, head + role.format("prefill", 1) + role.format("decode", 2))

    assert "role prefill" in prefill.name
    assert prefill.group != decode.group
    assert (prefill.gpus.nodes.value, decode.gpus.nodes.value) == (1, 2)


def test_a_storm_service_has_pods_by_role():
    """A StormService's roles are engines; podGroupSize pods of a role are one."""
    text = """\
apiVersion: orchestration.aibrix.ai/v1alpha1
kind: StormService
metadata: {name: pd}
spec:
  replicas: 1
  template:
    spec:
      roles:
        - name: prefill
          replicas: 3
          podGroupSize: 2
          template:
            spec:
              containers:
                - name: prefill
                  image: aibrix/sglang:v0.4.9
                  command: [sh, -c]
                  args: ["python3 -m sglang.launch_server --tp-size 2"]
                  resources:
                    limits:
                      nvidia.com/gpu: 1
        - name: router
          replicas: 1
          template:
            spec:
              containers:
                - name: router
                  command: [sglang-router]
"""
    prefill, router = read(leader_worker_set, text)

    assert prefill.gpus.nodes.value == 2
    assert prefill.replicas.value == "3"
    assert prefill.group
    assert router.group == ""


@pytest.mark.parametrize(
    "text",
    [
        "kind: LeaderWorkerSet\nspec: []\n",
        "kind: LeaderWorkerSet\nspec: {leaderWorkerTemplate: {size: [1], workerTemplate: x}}\n",
        "kind: DisaggregatedSet\nspec: {roles: {a: b}}\n",
        "kind: StormService\nspec: {template: {spec: {roles: [1, {template: {spec: {containers: 3}}}]}}}\n",
    ],
)
def test_odd_resources_start_nothing(text):
    """Resources of odd shapes are passed over."""
    assert read(leader_worker_set, text) == []
