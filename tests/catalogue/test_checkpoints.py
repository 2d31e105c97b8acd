"""The sizes of published checkpoints lie within the bounds of their format."""

import pytest

import kvplan
from kvplan.catalogue import MODELS
from kvplan.dtypes import find_dtype
from kvplan.errors import SettingError
from kvplan.weights.checkpoint import weight_scheme
from kvplan.weights.stored import checkpoint_bytes

# A checkpoint whose own configuration says what it holds: what the rounding of published sizes and file headers allow.
NATIVE = 0.005
# Files outside the bounds, and why.
OUTSIDE = {
    ("deepseek-v4-flash", "native"): "0731's files hold a draft (DSpark) that is larger than the one next-token layer",
    ("qwen2.5-0.5b", "q4_k_m"): "rows of 896 are no multiple of 256, so llama.cpp stores most of them in wider types",
}


def quantised() -> list[tuple[str, str, int]]:
    """Return entry, format and bytes of every checkpoint whose size is known and whose format says a width."""
    rows = []
    for name, entry in MODELS.entries.items():
        for checkpoint in MODELS.read(entry).get("checkpoints") or ():
            form, size = checkpoint["format"], checkpoint.get("bytes")
            if size and form not in ("bf16", "fp16", "fp32", "gguf"):
                rows.append((name, form, size))
    return rows


@pytest.mark.parametrize("name, form, size", quantised())
def test_a_published_file_lies_within_the_bounds_of_its_format(name, form, size):
    """The bounds that the interval is made of hold every quantised file of the catalogue but those named with a reason."""
    model = kvplan.load_model(name)
    scheme, _ = weight_scheme(model, None if form == "native" else form, find_dtype(model.dtype))
    if scheme is None or model.unknown_parameters:
        pytest.skip("the weights are unknown: no bounds are claimed")
    figure = checkpoint_bytes(model, scheme)
    low, high = scheme.bounds(figure)
    if form == "native":
        low, high = int(figure * (1 - NATIVE)), int(figure * (1 + NATIVE))
    assert (low <= size <= high) != ((name, form) in OUTSIDE)


def test_a_container_is_no_width():
    """A checkpoint of the catalogue that is only called a GGUF says no width, and none is made up."""
    with pytest.raises(SettingError, match="names a container, not a width"):
        kvplan.estimate("llama-3.1-8b", quantization="gguf")
