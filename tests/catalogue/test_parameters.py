"""The catalogue and the reader agree."""

import pytest

import kvplan
from kvplan.catalogue import MODELS
from kvplan.weights.parts import total

# Where the entry's total is another one, and why.
DIFFERENT = {
    "molmo2-8b": "the configuration at hand is a dump of the class's defaults, not the published file: 32,899,072 more",
    "step-3.7-flash": "wrapper and language model contradict each other in the file: 663,552 more, not traced further",
    "kimi-k3": "the repository holds 84,640 more: router biases (92 x 896), which are buffers, and 2,208 not accounted for",
}


@pytest.mark.parametrize("name", kvplan.models())
def test_the_parts_of_a_model_add_up_to_its_published_total(name):
    """Wherever the catalogue states a total and a rule counts the parts, both are equal to the unit."""
    stated = MODELS.read(MODELS.entries[name]).get("parameters")
    model = kvplan.load_model(name)
    if stated is None or model.unknown_parameters:
        return
    assert (total(model.parts()) == stated) != (name in DIFFERENT)


def test_a_repository_of_the_catalogue_brings_its_cache_format_along():
    """NVIDIA's NVFP4 repositories declare an fp8 cache: `--kv-dtype auto` follows them."""
    plan = kvplan.estimate("nvidia/DeepSeek-V3.2-NVFP4", "h200", tensor_parallel=8, context=8192)
    assert plan.deployment.settings.kv_dtype.name.startswith("fp8")
