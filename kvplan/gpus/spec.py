"""GpuSpec: one device, as the engines see it. Read from `gpu_specs/<id>.yaml`."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from kvplan.catalogue import GPUS, Entry
from kvplan.errors import SpecError
from kvplan.gpus import totals
from kvplan.units import MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuSpec:
    """One device: a GPU, one of the two dies of a card that has two, or a slice of a GPU.

    Attributes:
        id: the name in the catalogue (`rtx4090`); for a nameless GPU its size as it was given (`24GiB`).
        name: the vendor's name.
        vendor: NVIDIA, AMD, Intel, Apple, Google or AWS; `unknown` for a nameless GPU.
        architecture: the vendor's name of the generation; `unknown` for a nameless GPU.
        memory_type: GDDR6X, HBM3, …; None when unknown.
        marketing_gb: the size on the box, of this device; None for a nameless GPU.
        driver_bytes: the total the driver reports (`nvidia-smi`); for unified memory what the runtime gives the GPU.
        driver_is_measured: read on a real machine, not derived from the marketed size.
        driver_origin: the source of the reading, or the rule.
        torch_bytes: the total torch is told (`torch.cuda.mem_get_info`): engines multiply it by their memory fraction.
        torch_bytes_is_measured: read on a real machine under Linux, not derived from the driver's total.
        torch_low_bytes: the least over the drivers seen, and by the rule of `kvplan.gpus.totals`.
        torch_high_bytes: the most.
        torch_origin: the source of the reading, or the rule.
        bandwidth_bytes_per_s: peak memory bandwidth of this device; None when unknown.
        compute_capability: CUDA's, as (8, 9); None where there is none or it is unknown.
        gfx: AMD's counterpart (`gfx942`).
        fp8: the GPU computes in fp8 (not merely unpacks weights from it); None when unknown.
        fp4: the same for fp4.
        interconnect: how several are joined, in words.
        unified: the memory is the CPU's too.
        usable_fraction: driver_bytes as a share of the memory the machine has; 1.0 unless unified.
        source: where the figures come from.
        notes: what a reader should know.

    """

    id: str
    name: str
    vendor: str
    architecture: str
    memory_type: str | None
    marketing_gb: float | None
    driver_bytes: int
    driver_is_measured: bool
    driver_origin: str
    torch_bytes: int
    torch_bytes_is_measured: bool
    torch_low_bytes: int
    torch_high_bytes: int
    torch_origin: str
    bandwidth_bytes_per_s: int | None
    compute_capability: tuple[int, int] | None
    gfx: str | None
    fp8: bool | None
    fp4: bool | None
    interconnect: str | None
    unified: bool
    usable_fraction: float
    source: tuple[str, ...]
    notes: tuple[str, ...]


def nameless(
    gpu_id: str, *, driver_bytes: int, torch_bytes: int, origin: str, is_measured: bool = False, vendor: str = "unknown"
) -> GpuSpec:
    """Return a GPU of which only the memory is known."""
    return GpuSpec(
        id=gpu_id,
        name=gpu_id,
        vendor=vendor,
        architecture="unknown",
        memory_type=None,
        marketing_gb=None,
        driver_bytes=driver_bytes,
        driver_is_measured=is_measured,
        driver_origin=origin,
        torch_bytes=torch_bytes,
        torch_bytes_is_measured=is_measured,
        torch_low_bytes=torch_bytes,
        torch_high_bytes=max(torch_bytes, driver_bytes),
        torch_origin=origin,
        bandwidth_bytes_per_s=None,
        compute_capability=None,
        gfx=None,
        fp8=None,
        fp4=None,
        interconnect=None,
        unified=False,
        usable_fraction=1.0,
        source=(origin,),
        notes=(),
    )


def read_gpu(entry: Entry, *, configuration_gb: int | None = None) -> GpuSpec:
    """Return the GPU of a catalogue entry; `configuration_gb` picks a size where it is sold with several (Apple).

    Raises:
        SpecError: the file misses a key or holds a value that cannot be meant.

    """
    content = GPUS.read(entry)
    try:
        return _build(entry.id, content, configuration_gb)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SpecError(f"gpu_specs/{entry.path.name} is not a GPU's spec: {error!r}") from error


def configurations(entry: Entry) -> tuple[float, ...]:
    """Return the marketed sizes of a catalogue entry: one, or several where the machine is sold with several."""
    memory = GPUS.read(entry)["memory"]
    return tuple(memory.get("configurations_gb") or (memory["marketing_gb"],))


def with_driver_total(gpu: GpuSpec, driver_bytes: int, origin: str) -> GpuSpec:
    """Return the GPU with another driver total, read or cut out; torch's total follows.

    A total within 1/1000 of the catalogue's is the same board: torch's reading holds. Another one (ECC switched, a
    slice, a board with more memory) gets the rule's estimate.
    """
    if abs(driver_bytes - gpu.driver_bytes) * 1000 <= gpu.driver_bytes:
        return replace(gpu, driver_bytes=driver_bytes, driver_is_measured=True, driver_origin=origin)
    torch = totals.torch_mib(
        vendor=gpu.vendor,
        architecture=gpu.architecture,
        memory_type=gpu.memory_type or "",
        driver=driver_bytes // MIB,
        unified=gpu.unified,
    )
    return replace(
        gpu,
        driver_bytes=driver_bytes,
        driver_is_measured=True,
        driver_origin=origin,
        torch_bytes=torch.mib * MIB,
        torch_bytes_is_measured=False,
        torch_low_bytes=torch.low_mib * MIB,
        torch_high_bytes=torch.high_mib * MIB,
        torch_origin=torch.origin,
    )


def _build(gpu_id: str, content: Mapping[str, Any], configuration_gb: int | None) -> GpuSpec:
    memory = content["memory"]
    devices = memory.get("devices_per_card", 1)
    unified = content.get("unified") is not None
    size = configuration_gb or memory["marketing_gb"]
    unit = 2**30 if memory["marketing_unit"] == "GiB" else 10**9
    marketing_mib = int(size * unit / devices) // MIB
    driver, torch = _totals(content, marketing_mib, unified=unified)
    capability = content["compute_capability"]
    major, _, minor = (capability or "").partition(".")
    bandwidth = content["bandwidth_gb_s"]
    default = configuration_gb is None or configuration_gb == memory["marketing_gb"]
    return GpuSpec(
        id=gpu_id if default else f"{gpu_id}-{size}gb",
        name=content["name"] if default else f"{content['name']} {size} GB",
        vendor=content["vendor"],
        architecture=content["architecture"],
        memory_type=memory["type"],
        marketing_gb=size / devices,
        driver_bytes=driver.mib * MIB,
        driver_is_measured=driver.measured,
        driver_origin=driver.origin,
        torch_bytes=torch.mib * MIB,
        torch_bytes_is_measured=torch.measured,
        torch_low_bytes=torch.low_mib * MIB,
        torch_high_bytes=torch.high_mib * MIB,
        torch_origin=torch.origin,
        bandwidth_bytes_per_s=None if bandwidth is None else int(bandwidth * 10**9 / devices),
        compute_capability=(int(major), int(minor)) if capability else None,
        gfx=content.get("gfx"),
        fp8=content["fp8"],
        fp4=content["fp4"],
        interconnect=content["interconnect"],
        unified=unified,
        usable_fraction=driver.mib / marketing_mib if unified else 1.0,
        source=tuple(content["source"]),
        notes=tuple(content["note"]),
    )


def _totals(content: Mapping[str, Any], marketing_mib: int, *, unified: bool) -> tuple[totals.Total, totals.Total]:
    """Return the driver's and torch's total of one device: readings first, then the rules."""
    memory, vendor, architecture = content["memory"], content["vendor"], content["architecture"]
    reading = memory["torch_mib"]
    low, high = memory.get("torch_range_mib") or (reading, reading)
    if memory["driver_mib"] is not None:
        mib = memory["driver_mib"]
        driver = totals.Total(mib=mib, low_mib=mib, high_mib=mib, measured=True, origin=memory["driver_source"])
    elif reading is not None and (unified or vendor == "AMD"):
        # No driver's figure for unified memory; ROCm gives torch the driver's. The runtime's reading stands for both.
        origin = f"the runtime's total: {memory['torch_source']}"
        driver = totals.Total(mib=reading, low_mib=low, high_mib=high, measured=True, origin=origin)
    else:
        driver = totals.driver_mib(
            vendor=vendor,
            architecture=architecture,
            memory_type=memory["type"],
            marketing_mib=marketing_mib,
            ecc_on=memory.get("ecc_on", False),
            unified=unified,
        )
    rule = totals.torch_mib(
        vendor=vendor, architecture=architecture, memory_type=memory["type"], driver=driver.mib, unified=unified
    )
    if reading is None:
        high = max(rule.high_mib, driver.high_mib) if unified else rule.high_mib
        return driver, replace(rule, high_mib=high)
    torch = totals.Total(
        mib=reading,
        low_mib=min(low, rule.low_mib),
        high_mib=high if unified else max(high, rule.high_mib),
        measured=True,
        origin=memory["torch_source"],
    )
    return driver, torch
