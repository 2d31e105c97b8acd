"""Schemes against what hubs hold: bytes of whole checkpoints, and how many numbers their tensors have.

The count tells exactly which modules are quantised: a 4-bit module has half as many numbers (two to a byte) and scales beside.
"""

import json
from pathlib import Path

import pytest

import kvplan
from kvplan.units import ceil_div
from kvplan.weights.quantization import read_scheme
from kvplan.weights.scheme import Scheme
from kvplan.weights.stored import checkpoint_bytes

ROWS = json.loads((Path(__file__).parent / "checkpoints.json").read_text())["rows"]


def section_of(row):
    """Return a row's section, its list of modules spelled out layer by layer."""
    section = dict(row["section"])
    if (each := section.pop("ignore_per_layer", None)) is not None:
        names = [f"{each['prefix']}{layer}.{name}" for layer in range(each["layers"]) for name in each["patterns"]]
        section["ignore"] = [*names, *each["more"]]
    return section


def read(row):
    """Return a row's model and scheme."""
    model = kvplan.load_model(row["model"])
    section = section_of(row) if "section" in row else model.quantization
    if not section:
        return model, Scheme(name="bfloat16", form=None)
    return model, read_scheme(section, config=model.config, plain_bytes=2, where=row["hub"])


def elements(model, scheme, *, scales, drafts, unpacked=False):
    """Return how many numbers the stored tensors have: weights of 4 bits lie two to a byte."""
    count = 0
    layers = (*model.layers, *model.draft_layers) if drafts else model.layers
    inside = ((part, index) for index, layer in enumerate(layers) for part in layer.parts)
    for part, layer in (*((part, None) for part in model.outer), *inside):
        form = scheme.format_of(part, layer)
        if form is None:
            count += part.parameters
            continue
        rows, columns = part.shape
        each = rows * columns * (8 if unpacked else min(int(form.bits), 8)) // 8 + (rows if part.bias else 0)
        if scales:
            each += rows * ceil_div(columns, form.group) if form.group else 0
            each += ceil_div(rows, form.block[0]) * ceil_div(columns, form.block[1]) if form.block else 0
            each += (rows if form.row_bytes else 0) + form.tensor_bytes // (8 if unpacked else 4)
        count += part.count * each
    return count


@pytest.mark.parametrize("row", [row for row in ROWS if "bytes" in row], ids=lambda row: row["hub"])
def test_bytes_of_a_checkpoint(row):
    """16-bit and fp8 files within 0.5 %, 4-bit files that state what they hold within 2 %; each exception says why."""
    model, scheme = read(row)
    bar = row.get("within_ppm", 5_000)
    assert abs(checkpoint_bytes(model, scheme) - row["bytes"]) * 1_000_000 <= bar * row["bytes"]
    assert bar in (5_000, 20_000) or row["why"]


@pytest.mark.parametrize("row", [row for row in ROWS if "elements" in row], ids=lambda row: row["hub"])
def test_numbers_of_a_checkpoint(row):
    """Not one module more or less is quantised than in the published files."""
    known = dict(row["elements"])
    count = known.pop("count")
    assert elements(*read(row), **known) == count
