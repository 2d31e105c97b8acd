"""Patches of Kustomize."""

import pytest
from workload_samples import at, read, texts

from kvplan.deploy.file import File
from kvplan.deploy.formats import kustomize
from kvplan.deploy.outside import Facts
from kvplan.deploy.units import read_units
from kvplan.launch.text import Source

HEAD = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
OPERATIONS = """\
- op: replace
  path: /spec/template/spec/containers/0/args/3
  value: --max-model-len=8192
- op: add
  path: /spec/template/spec/containers/0/args/-
  value: --gpu-memory-utilization
- op: add
  path: /spec/template/spec/containers/0/args/-
  value: "0.9"
- op: replace
  path: /spec/template/spec/containers/0/args/1
  value: org/other
- op: remove
  path: /spec/template/spec/containers/0/args/7
- op: add
  path: /spec/template/spec/containers/0/resources/limits/nvidia.com~1gpu
  value: 2
- op: add
  path: /spec/template/spec/nodeSelector/nvidia.com~1gpu.product
  value: NVIDIA-L4
"""


def inline(text, key="patches", more=""):
    """Return a Kustomization with one patch in it."""
    indented = "".join(f"      {line}\n" for line in text.splitlines())
    return f"{HEAD}{more}{key}:\n  - target: {{kind: Deployment, name: llama}}\n    patch: |-\n{indented}"


def test_operations_on_arguments():
    """Flags that operations put in are read, with a value that is put in right behind; what a bare value is for is not known."""
    (found,) = read(kustomize, inline(OPERATIONS), "kustomization.yaml")

    assert texts(found.args) == ["--max-model-len=8192", "--gpu-memory-utilization", "0.9"]
    assert at(found.args[0]) == (8, 16)
    assert "kustomize build" in found.half
    assert found.name == "patch of Deployment llama, spec/template/spec/containers/0"
    assert (found.gpus.count.value, found.gpus.types[0].value) == (2, "NVIDIA-L4")


def test_a_file_of_operations():
    """A list of operations is a patch of its own; a list of arguments that one puts in is whole."""
    text = "- op: replace\n  path: /spec/containers/0/args\n  value: [--model, org/m, --max-model-len, 4096]\n"
    (found,) = read(kustomize, text, "patch.yaml")

    assert texts(found.args) == ["--model", "org/m", "--max-model-len", "4096"]


@pytest.mark.parametrize("key", ["patches", "patchesJson6902"])
def test_both_keys_of_operations(key):
    """The older key holds the same."""
    assert len(read(kustomize, inline(OPERATIONS, key), "kustomization.yaml")) == 1


def test_resources_that_are_laid_over_others():
    """A strategic merge that stands in the file is read as the resource that it is, and is a half."""
    patch = (
        "kind: Deployment\nmetadata: {name: llama}\nspec: {template: {spec: {containers: [\n"
        "  {name: vllm, args: [--max-model-len, '4096']}]}}}\n"
    )
    (found,) = read(kustomize, inline(patch), "kustomization.yaml")
    (merged,) = read(
        kustomize, f"{HEAD}patchesStrategicMerge:\n  - a.yaml\n  - |-\n    " + patch.replace("\n", "\n    ")
    )

    assert texts(found.args) == texts(merged.args) == ["--max-model-len", "4096"]
    assert at(found.args[1]) == (9, 47)
    assert found.half
    assert merged.half


def test_an_images_tag_tells_the_version():
    """The tag of the engine's own image counts, tags of others do not."""
    images = "images:\n- {name: vllm/vllm-openai, newTag: v0.9.1}\n- {name: nginx, newTag: v1.2.3}\n"
    (found,) = read(kustomize, inline(OPERATIONS, more=images), "kustomization.yaml")
    (other,) = read(kustomize, inline(OPERATIONS, more=images.replace("vllm-openai", "x").replace("vllm", "y")))

    assert found.version.value == "0.9.1"
    assert other.version is None


def test_kustomizations_within_patches_are_not_read():
    """A patch of another Kustomization changes no container, however deep they stand."""
    pod = "kind: Pod\nspec: {containers: [{args: [--max-model-len, 1]}]}\n"
    inner = inline(pod).replace("apiVersion", "metadata: {}\napiVersion", 1)
    assert len(read(kustomize, inner, "kustomization.yaml")) == 1
    assert read(kustomize, inline(inner), "kustomization.yaml") == []


def test_a_patch_is_a_unit():
    """The engine is told by its flags."""
    file = File(Source("kustomization.yaml", inline(OPERATIONS)))
    (found,), unread = read_units(file, list(kustomize.read(file)), lambda _: Facts())

    assert (found.unit.engine, found.unit.inputs["max_model_len"].value, unread) == ("vllm", 8192, [])


@pytest.mark.parametrize(
    "text",
    [
        f"{HEAD}patches: 3\npatchesJson6902: [1, {{patch: [a]}}]\npatchesStrategicMerge: {{a: b}}\nimages: x\n",
        inline("- op: add\n  path: 3\n  value: {a: b}\n- 4\n"),
        inline("- op: add\n  path: /spec/template/spec/containers/0/args/0\n  value: {a: b}\n"),
        "- op: add\n  value: --max-model-len=1\n",
        "- name: a\n  path: /x/args/0\n",
        "kind: Other\npatches:\n  - patch: |-\n      - op: add\n        path: /a/args/0\n        value: --max-model-len=1\n",
    ],
)
def test_odd_patches_start_nothing(text):
    """Patches of odd shapes, and lists of other things, hold no engine."""
    assert read(kustomize, text, "kustomization.yaml") == []
