"""SkyPilot tasks: accelerators, variables, scripts."""

import pytest
from format_files import at, only, values, workloads

RUN = "run: |\n  vllm serve $M --tensor-parallel-size $SKYPILOT_NUM_GPUS_PER_NODE\n"


@pytest.mark.parametrize(
    "resources, types, count",
    [
        ("accelerators: H200:8", ["H200"], 8),
        ("accelerators: L4", ["L4"], 1),
        ("accelerators: {A100:8, H100:8}", ["A100-40GB", "H100"], 8),
        ("accelerators: {A100: 4}", ["A100-40GB"], 4),
        ("accelerators: [L4:2, A10G:2]", ["L4", "A10G"], 2),
        ("accelerators: {L4:8, A100:4}", ["L4", "A100-40GB"], None),
        ("any_of: [{accelerators: H100:8}, {infra: aws, accelerators: H200:8}]", ["H100", "H200"], 8),
        ("ordered: [{accelerators: H100:8}]", ["H100"], 8),
        ("accelerators: T4:0.5", ["T4"], 1),
        ("accelerators: H100:$N", ["H100"], "$N"),
        ("instance_type: p4d.24xlarge", ["p4d.24xlarge"], None),
        ("cpus: 2", [], None),
    ],
)
def test_accelerators(resources, types, count):
    """One GPU, alternatives as a mapping without values, a list, `any_of`; the count that they agree on is the script's."""
    found = only("skypilot", "task.yaml", f"resources:\n  {resources}\n{RUN}")
    assert [each.value for each in found.gpus.types] == types
    assert (found.gpus.count.value if found.gpus.count else None) == count
    assert values(found.environment).get("SKYPILOT_NUM_GPUS_PER_NODE") == (None if count is None else str(count))


def test_a_task():
    """Variables, nodes, replicas, the container and the version that is installed; the setup is none of the script."""
    text = f"""name: llm
resources:
  accelerators: H100:8
  image_id: docker:vllm/vllm-openai:v0.8.5
num_nodes: 2
service: {{replica_policy: {{min_replicas: 3}}}}
envs:
  M: a/b
setup: pip install vllm==0.8.5
{RUN}"""
    found = only("skypilot", "task.yaml", text)
    assert (found.name, found.place.line, found.image.text) == ("task llm", 1, "vllm/vllm-openai:v0.8.5")
    assert (found.gpus.nodes.value, found.replicas.value, found.version.value) == (2, "3", "0.8.5")
    assert values(found.environment)["SKYPILOT_NUM_NODES"] == "2"
    assert values(found.environment)["M"] == "a/b"
    assert found.script.value == "vllm serve $M --tensor-parallel-size $SKYPILOT_NUM_GPUS_PER_NODE\n"
    assert at(found.gpus.count) == ("task.yaml", 3, 22, "8")
    start = found.script.value.index("$M")
    assert found.script.cut(start, start + 2).place().line == 11


def test_alternatives_of_different_numbers_are_said():
    """Where alternatives ask for different numbers of GPUs, the number is not known."""
    found = only("skypilot", "t.yaml", "resources: {accelerators: {L4:8, A100:4}}\n" + RUN)
    assert found.notes == ("the alternatives ask for different numbers of GPUs: 8, 4",)


def test_stages_of_a_pipeline():
    """Every document with a script is a task."""
    stage = "resources: {accelerators: L4}\nrun: vllm serve a/b\n"
    assert len(workloads("skypilot", "t.yaml", f"name: p\n---\n{stage}---\n{stage}")) == 2


@pytest.mark.parametrize(
    "text",
    [
        "run: x",
        "kind: Job\nresources: {}\nrun: x",
        "resources: {}\nrun:",
        "resources: {}\nrun: [a]",
        "resources: x\nrun: y",
        "[]",
    ],
)
def test_other_yaml_is_none(text):
    """A script alone, or of another format, is no task."""
    assert workloads("skypilot", "t.yaml", text) == []
