"""The spec files: every one is well formed, sourced and found by all its names."""

import importlib.util
import re
from pathlib import Path

import pytest
import yaml

from kvplan.catalogue import GPUS, normalise
from kvplan.gpus import find_gpu, totals
from kvplan.gpus.instances import instance_types
from kvplan.gpus.lookup import shared_name
from kvplan.gpus.spec import read_gpu
from kvplan.units import GIB, MIB

_SPEC = importlib.util.spec_from_file_location("gpu_schema", Path(__file__).with_name("schema.py"))
schema = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(schema)

IDS = sorted(GPUS.entries)
FILES = {gpu: yaml.safe_load(GPUS.entries[gpu].path.read_text("utf-8")) for gpu in IDS}
SHARED = yaml.safe_load((GPUS.root / "names" / "shared.yaml").read_text("utf-8"))


def test_there_are_at_least_150_gpus():
    """The catalogue covers what people deploy on."""
    assert len(IDS) >= 150


@pytest.mark.parametrize("gpu", IDS)
def test_a_file_keeps_to_the_schema(gpu):
    """Every spec file has the described keys, plausible values and a source for each reading."""
    file = schema.GpuFile.model_validate(FILES[gpu])
    assert file.id == gpu


@pytest.mark.parametrize("gpu", IDS)
def test_the_first_lines_are_id_and_aliases(gpu):
    """A name is found by reading text: id and aliases stand first, each on one line, and say what YAML says."""
    lines = GPUS.entries[gpu].path.read_text("utf-8").splitlines()
    assert lines[0] == f"id: {gpu}"
    assert re.fullmatch(r"aliases: \[.*\]", lines[1])
    assert [str(alias) for alias in FILES[gpu]["aliases"]] == list(GPUS.entries[gpu].aliases)


def test_no_name_belongs_to_two_gpus():
    """An id or alias, in any spelling, means one GPU; a name that several share is no alias."""
    owner = {}
    for gpu in IDS:
        for name in {normalise(name) for name in (gpu, *GPUS.entries[gpu].aliases)}:
            assert owner.setdefault(name, gpu) == gpu, name
    for row in SHARED:
        for name in row["names"]:
            assert owner.get(normalise(str(name)), row.get("gpu")) == row.get("gpu"), name
            assert normalise(str(name)) not in {normalise(a) for gpu in IDS for a in GPUS.entries[gpu].aliases}, name


def test_shared_names_point_to_gpus_that_exist():
    """Every choice that is offered for a shared name can be taken."""
    for row in SHARED:
        assert set(row["among"]) <= set(IDS)
        assert row.get("gpu") in {None, *row["among"]}
        assert shared_name(str(row["names"][0])).why == row["why"]


def test_instance_types_name_gpus_that_exist():
    """Every instance type has a GPU of the catalogue, or a reason why not."""
    for path in (GPUS.root / "instances").glob("*.yaml"):
        file = schema.InstanceFile.model_validate(yaml.safe_load(path.read_text("utf-8")))
        for name, row in file.instances.items():
            assert (row.gpu in IDS) != (row.gpu in file.unsupported), name
            assert row.source in file.sources, name
    assert len(instance_types()) >= 150
    assert len({name.lower() for name in instance_types()}) == len(instance_types())


@pytest.mark.parametrize("gpu", IDS)
def test_every_alias_finds_its_gpu(gpu):
    """Whatever alias is typed, or the name that kvplan prints, the GPU of its file is found."""
    for alias in (gpu, *GPUS.entries[gpu].aliases, FILES[gpu]["name"]):
        assert find_gpu(alias).gpu.id == gpu


@pytest.mark.parametrize("gpu", IDS)
def test_totals_are_ordered(gpu):
    """The intervals hold, torch's total is below the driver's, and that hardly above what the box says."""
    spec = read_gpu(GPUS.entries[gpu])
    assert spec.driver_bytes <= spec.marketing_gb * GIB * 1.02
    assert spec.torch_low_bytes <= spec.torch_bytes <= spec.torch_high_bytes
    assert spec.torch_bytes <= spec.driver_bytes
    if spec.vendor == "NVIDIA" and not spec.unified:
        assert spec.torch_bytes < spec.driver_bytes
    assert spec.torch_bytes > 0.89 * spec.driver_bytes
    assert 0 < spec.usable_fraction <= 1
    assert spec.unified or spec.usable_fraction == 1


def test_the_rules_of_the_totals_err_low_on_every_reading():
    """The estimate for torch is at most what torch was told on any machine, and at most 500 MiB below it."""
    seen = 0
    for gpu, content in FILES.items():
        memory = content["memory"]
        if (
            content["vendor"] != "NVIDIA"
            or content.get("unified")
            or not (memory["driver_mib"] and memory["torch_mib"])
        ):
            continue
        seen += 1
        rule = totals.torch_mib(
            vendor="NVIDIA",
            architecture=content["architecture"],
            memory_type=memory["type"],
            driver=memory["driver_mib"],
            unified=False,
        )
        low, _ = memory.get("torch_range_mib") or (memory["torch_mib"], 0)
        assert rule.mib <= low, gpu
        assert low - rule.mib <= 500, gpu
    assert seen >= 30


def test_the_rules_of_the_drivers_total_err_low_on_every_reading():
    """The driver's total estimated from the marketed size is at most the reading, and within 2 % of it."""
    seen = 0
    for gpu, content in FILES.items():
        memory = content["memory"]
        if (
            memory["driver_mib"] is None
            or content["vendor"] not in {"NVIDIA", "AMD"}
            or memory["marketing_unit"] == "GB"
        ):
            continue
        if gpu == "gb300":
            continue  # 278 of 288 GB: what the other 10 are for is not published
        # A reading near 15/16 of the marketed size is one with ECC on.
        marketed = memory["marketing_gb"] * 1024 // memory.get("devices_per_card", 1)
        ecc_on = memory["driver_mib"] < 0.945 * marketed
        rule = totals.driver_mib(
            vendor=content["vendor"],
            architecture=content["architecture"],
            memory_type=memory["type"],
            marketing_mib=marketed,
            ecc_on=ecc_on,
            unified=False,
        )
        assert rule.mib <= memory["driver_mib"] + (12 if ecc_on else 0), gpu
        assert rule.mib >= 0.98 * memory["driver_mib"], gpu
        seen += 1
    assert seen >= 70


def test_known_totals():
    """Figures that anybody can check on the card: H100, A100, RTX 4090, L4."""
    for name, driver, torch in (
        ("h100", 81559, 81089),
        ("a100-80gb", 81920, 81038),
        ("rtx4090", 24564, 24084),
        ("l4", 23034, 22563),
    ):
        gpu = find_gpu(name).gpu
        assert (gpu.driver_bytes, gpu.torch_bytes) == (driver * MIB, torch * MIB)
        assert gpu.driver_is_measured
        assert gpu.torch_bytes_is_measured


def test_facts_beside_the_memory():
    """Bandwidth, compute capability, fp8 and fp4 are told as the vendors do."""
    h100, a100, b200, mi300x = (find_gpu(name).gpu for name in ("h100", "a100-80gb", "b200", "mi300x"))
    assert (h100.compute_capability, h100.fp8, h100.fp4) == ((9, 0), True, False)
    assert h100.bandwidth_bytes_per_s == 3_350_000_000_000
    assert (a100.compute_capability, a100.fp8) == ((8, 0), False)
    assert (b200.compute_capability, b200.fp4) == ((10, 0), True)
    assert (mi300x.compute_capability, mi300x.gfx) == (None, "gfx942")


def test_all_gpus_are_readable():
    """Every file of the catalogue is read under its own id."""
    assert [read_gpu(GPUS.entries[name]).id for name in IDS] == IDS
