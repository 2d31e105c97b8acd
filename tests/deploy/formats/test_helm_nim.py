"""Values of NVIDIA's NIM charts."""

import pytest
from workload_samples import at, read

from kvplan.deploy.formats import helm_nim, helm_values

VALUES = """\
replicaCount: 1
image:
  repository: nvcr.io/nim/meta/llama3-8b-instruct
  tag: 1.0.0
model:
  name: meta/llama3-8b-instruct
  ngcAPISecret: ngc-api
env:
  - {name: NIM_MAX_MODEL_LEN, value: "8192"}
resources:
  limits:
    nvidia.com/gpu: 2
nodeSelector:
  nvidia.com/gpu.product: NVIDIA-L40S
"""


def test_a_nim_is_read_with_its_variables():
    """Image, NGC name, variables and GPUs are the file's; the parallel sizes are its profile's."""
    (nim,) = read(helm_nim, VALUES, "values.yaml")
    assert (nim.engine, nim.model.value) == ("nim", "meta/llama3-8b-instruct")
    assert nim.image.text == "nvcr.io/nim/meta/llama3-8b-instruct:1.0.0"
    assert at(nim.environment["NIM_MAX_MODEL_LEN"]) == (9, 39)
    assert nim.gpus.count.value == 2
    assert nim.gpus.types[0].value == "NVIDIA-L40S"
    assert nim.sets_parallelism
    assert read(helm_values, VALUES, "values.yaml") == []


def test_a_sub_chart_is_read_where_it_is_switched_on():
    """NIMs stand beside other charts; embedders and what is switched off are no engines."""
    text = "image: {repository: nvcr.io/nvidia/blueprint/rag-server}\n"
    for name, inner in (
        ("nim-llm", VALUES),
        ("off", "enabled: false\n" + VALUES),
        ("embed", VALUES.replace("meta/llama3-8b-instruct", "nvidia/llama-3.2-nv-embedqa-1b-v2")),
        ("protein", VALUES.replace("meta/llama3-8b-instruct", "openfold/openfold2")),
    ):
        text += f"{name}:\n" + "".join(f"  {line}\n" for line in inner.splitlines())
    assert [each.name for each in read(helm_nim, text, "values.yaml")] == ["values nim-llm"]


@pytest.mark.parametrize(
    "odd", ["image: x", "model: [x]\nimage: {repository: nvcr.io/nim/a/b, tag: [1]}\nresources: 3\nenv: 3"]
)
def test_odd_values_do_no_harm(odd):
    """Other types than expected are left out."""
    read(helm_nim, odd + "\n", "values.yaml")
