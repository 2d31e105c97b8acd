"""dstack's configurations."""

import pytest
from format_files import at, only, values, workloads

HEAD = "type: service\nimage: vllm/vllm-openai:v0.8.5\n"


@pytest.mark.parametrize(
    "gpu, types, count",
    [
        ("MI300X:8", ["MI300X"], 8),
        ("H100", ["H100"], 1),
        ("2", [], 2),
        ("24GB", ["24GB"], 1),
        ("24GB..80GB:2", ["24GB..80GB"], 2),
        ("A100:40GB:2", ["A100:40GB"], 2),
        ("A100:40GB..:2", ["A100"], 2),
        ("H100:1..4", ["H100"], "1..4"),
        ("H100:2..2", ["H100"], 2),
        ("nvidia:24GB:2", ["24GB"], 2),
        ("A10G,L4:2", ["A10G", "L4"], 2),
        ("{name: [H100, H200], count: 8}", ["H100", "H200"], 8),
        ("{name: A100, memory: 80GB, count: 4}", ["A100:80GB"], 4),
        ("{memory: 24GB}", ["24GB"], 1),
        ("[a]", [], None),
    ],
)
def test_gpus(gpu, types, count):
    """Names, memory sizes and their ranges, counts and mappings; a range of counts is no count."""
    found = only(
        "dstack",
        ".dstack.yml",
        f"{HEAD}resources: {{gpu: {gpu!r}}}\n".replace("'", "")
        if gpu[0] in "{["
        else f"{HEAD}resources:\n  gpu: {gpu}\n",
    )
    assert [each.value for each in found.gpus.types] == types
    assert (found.gpus.count.value if found.gpus.count else None) == count
    assert ("DSTACK_GPUS_NUM" in found.environment) == isinstance(count, int)


def test_commands_are_one_script():
    """Commands follow each other; variables of dstack come from the resources; values are placed."""
    text = """type: task
name: llm
nodes: 2
env:
  - M=a/b
  - HF_TOKEN
commands:
  - export X=1
  - |
    vllm serve $M --tensor-parallel-size $DSTACK_GPUS_PER_NODE
resources:
  gpu: H100:8
  shm_size: 16GB
"""
    found = only("dstack", "llm.dstack.yml", text)
    assert (found.name, found.place.line) == ("task llm", 2)
    assert found.script.value.splitlines()[:2] == [
        "export X=1",
        "vllm serve $M --tensor-parallel-size $DSTACK_GPUS_PER_NODE",
    ]
    assert found.script.cut(11, 15).place().line == 10
    own = values(found.environment)
    assert (own["M"], own["DSTACK_GPUS_NUM"], own["DSTACK_GPUS_PER_NODE"], own["DSTACK_NODES_NUM"]) == (
        "a/b",
        "16",
        "8",
        "2",
    )
    assert "HF_TOKEN" not in own
    assert (found.gpus.nodes.value, found.shared_memory.value) == (2, 16 * 2**30)
    assert at(found.gpus.count) == ("llm.dstack.yml", 12, 13, "8")


def test_groups_of_replicas_are_several():
    """Each group has its own commands and GPUs, and what the service says for all."""
    text = (
        HEAD
        + "env: {M: a/b}\nreplicas:\n  - {count: 1..4, commands: [x], resources: {gpu: 1}}\n"
        + "  - {count: 2, commands: [y], resources: {gpu: H100:2}}\n"
    )
    first, second = workloads("dstack", "a.yml", text)
    assert (first.script.value, first.gpus.count.value, first.replicas.value) == ("x\n", 1, "1..4")
    assert (second.script.value, second.gpus.count.value, second.image.text) == ("y\n", 2, "vllm/vllm-openai:v0.8.5")
    assert values(second.environment)["M"] == "a/b"


@pytest.mark.parametrize(
    "text",
    [
        "type: fleet\nimage: x",
        "type: dev-environment\nimage: vllm/vllm-openai",
        "type: service\nkind: Service\nimage: x",
        "type: [a]",
        "type: task",
    ],
)
def test_other_yaml_is_none(text):
    """Fleets, development environments and resources of Kubernetes start no engine."""
    assert workloads("dstack", "a.yml", text) == []
