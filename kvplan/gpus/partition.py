"""Parts of a GPU: MIG slices and the shares that clouds rent out."""

import re
from dataclasses import replace

from kvplan.errors import SettingError
from kvplan.gpus.spec import GpuSpec, with_driver_total
from kvplan.units import GIB, MIB

PROFILE = r"([1-7])g\.([0-9]{1,3})gb(?:\+(?:me|gfx)(?:\.all)?)?"

# A slice holds whole eighths of the memory, less what the driver keeps. Read: torch is told 9728 MiB for a 1g.10gb of
# an A100 80 GB, 0.95 of its 10240 (public repository file 22161947869). Larger slices lose less.
_MIG_PERCENT = 95


def mig_slice(gpu: GpuSpec, profile: str) -> GpuSpec:
    """Return the slice of a GPU that a MIG profile (`3g.40gb`) cuts out; its totals are estimates that err low.

    Raises:
        SettingError: the GPU has no such slice.

    """
    match = re.fullmatch(PROFILE, profile)
    whole = gpu.driver_bytes / GIB
    eighths = round(8 * int(match[2]) / whole) if match else 0
    # The profile's name rounds: 12 of 94 GB, 34 of 270 GB are one eighth.
    if match is None or not 1 <= eighths <= 8 or abs(int(match[2]) - whole * eighths / 8) > 1.5:
        raise SettingError(
            f"The {gpu.name} has no MIG slice {profile}.", hint=f"Slices hold eighths of its {whole:.0f} GiB."
        )
    size = gpu.driver_bytes // MIB * _MIG_PERCENT * eighths // 800 * MIB
    origin = f"{eighths}/8 of the {gpu.name}'s total less {100 - _MIG_PERCENT} %, as 1g.10gb of an A100 reads"
    return replace(
        gpu,
        id=f"{gpu.id}-mig-{profile}",
        name=f"{gpu.name} MIG {profile}",
        marketing_gb=float(match[2]),
        driver_bytes=size,
        driver_is_measured=False,
        driver_origin=origin,
        torch_bytes=size,
        torch_bytes_is_measured=False,
        torch_low_bytes=size,
        torch_high_bytes=gpu.torch_high_bytes * eighths // 8,
        torch_origin=origin,
        bandwidth_bytes_per_s=gpu.bandwidth_bytes_per_s and gpu.bandwidth_bytes_per_s * eighths // 8,
        interconnect="none between slices",
    )


def share_of(gpu: GpuSpec, parts: int) -> GpuSpec:
    """Return one of equal parts of a GPU, as a virtual machine gets it; the driver keeps of each as of a whole one."""
    size = gpu.driver_bytes // MIB // parts * MIB
    part = with_driver_total(gpu, size, f"1/{parts} of the {gpu.name}'s total")
    return replace(
        part,
        id=f"{gpu.id}-1-of-{parts}",
        name=f"{gpu.name} (1/{parts})",
        marketing_gb=gpu.marketing_gb and gpu.marketing_gb / parts,
        driver_is_measured=False,
        bandwidth_bytes_per_s=gpu.bandwidth_bytes_per_s and gpu.bandwidth_bytes_per_s // parts,
    )
