"""What a GPU's memory totals are where nobody has read them: rules, each with the readings it comes from.

Three totals differ: the marketed size, the driver's (`nvidia-smi`), and the one CUDA gives to torch, which is what
engines multiply by their memory fraction. All figures of this file are MiB; a rule errs low, so that a plan never
counts on memory that is not there.

**The driver's total** from the marketed size in GiB (`driver_mib`). What the readings lose per marketed GiB:

    NVIDIA HBM, Hopper and Blackwell  5.4    H100 4.5, H100 NVL 4.5, H20 4.5, H200 4.3, B200 5.3, GB200 5.3
    NVIDIA GDDR, Blackwell            5.2    RTX 5060 5.1, 5070 5.1, 5080 5.1, 5060 Ti 4.6, 5090 5.0, PRO 6000 4.3
    NVIDIA, Ampere and Ada            0.5    RTX 4060 to 4090 0.5, A6000 0.25, 6000 Ada 0.25, 3090 nothing
    NVIDIA, older                     0      GTX 1080 Ti, RTX 2080 Ti, P40, V100: exactly the marketed size
    NVIDIA GDDR5 and 6 with ECC on    1/16   T4 15360 of 16384, P40 23040 of 24576
    AMD Instinct                      16 MiB per device   MI210 65520, MI300X 196592
    AMD Radeon                        80 MiB per device   RX 9070 XT 16304; RX 7900 XTX loses 16, W7900 12

**torch's total** from the driver's on Linux (`torch_mib`). The driver keeps

    least  220                       V100 16 GB 224, RTX 3060 244, T4 250, all with older drivers
    most   390 + 0.0061 x driver     GDDR, and HBM before Hopper: T4 451, RTX 4060 Laptop 382, 5080 463, L4 471,
                                     3090 451, 4090 480, 5090 515, A40 652, L40 613, RTX 6000 Ada 633, PRO 6000 638,
                                     A100 40 GB 634, A100 80 GB 882
    most   400 + 0.0020 x driver     HBM from Hopper on: H100 561, H20 586, H200 615, B200 728, GB200 738, B300 925,
                                     GB300 949

A test holds every measured row to these lines. The estimate is the driver's total less the most; the interval reaches
to the driver's total less the least. Newer drivers keep more than older ones, and under Windows and WSL torch is told
the driver's own figure. ROCm gives torch the driver's total or slightly less (MI300X: 196592, or 196290 with newer
drivers: 0.154 %). Intel Arc gives 0.944 (A770) and 0.946 (Arc Pro B60) of the marketed size. For accelerators without a
reading (TPU, Neuron) 2 % is kept (Gaudi's runtime uses 0.5 and 0.8 % when idle).
"""

from dataclasses import dataclass

_HBM_FROM_HOPPER = ("Hopper", "Blackwell", "Blackwell Ultra")
# GB10: 119.63 GiB, the least that a vLLM log printed of its 128; 121.70 the most.
_SHARED_LEAST, _SHARED_MOST = 119.63 / 128, 121.70 / 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """A total in MiB with the interval it lies in, and how it was got. `measured`: read on a real machine."""

    mib: int
    low_mib: int
    high_mib: int
    measured: bool
    origin: str


def _is_late_hbm(architecture: str, memory_type: str) -> bool:
    return memory_type.startswith("HBM") and architecture in _HBM_FROM_HOPPER


def driver_mib(
    *, vendor: str, architecture: str, memory_type: str, marketing_mib: int, ecc_on: bool, unified: bool
) -> Total:
    """Return the total the driver reports, from the marketed size of one device, by the rules above."""
    gib = marketing_mib / 1024
    if vendor == "Apple":
        # Metal's recommendedMaxWorkingSetSize: 16 GiB 0.667, 128 GiB 0.750 on older macOS; 0.74 to 0.84 on newer.
        share, most = (2 / 3, 0.78) if gib <= 36 else (3 / 4, 0.84)
        return Total(
            mib=int(marketing_mib * share),
            low_mib=int(marketing_mib * share),
            high_mib=int(marketing_mib * most),
            measured=False,
            origin=f"{'2/3' if gib <= 36 else '3/4'} of {gib:g} GiB, Metal's limit (newer macOS: up to {most:g})",
        )
    if unified and vendor == "NVIDIA":
        return Total(
            mib=int(marketing_mib * _SHARED_LEAST),
            low_mib=int(marketing_mib * _SHARED_LEAST),
            high_mib=int(marketing_mib * _SHARED_MOST),
            measured=False,
            origin=f"{_SHARED_LEAST:.4f} of {gib:g} GiB shared with the CPU, the least seen on GB10",
        )
    lost, why = 0.0, "the marketed size"
    if vendor == "NVIDIA" and ecc_on:
        lost, why = marketing_mib / 16, "the marketed size less 1/16 for ECC, as the T4 reads"
    elif vendor == "NVIDIA" and _is_late_hbm(architecture, memory_type):
        lost, why = 5.4 * gib, "the marketed size less 5.4 MiB per GiB, as B200 and GB200 read"
    elif vendor == "NVIDIA" and architecture == "Blackwell 2.0":
        lost, why = 5.2 * gib, "the marketed size less 5.2 MiB per GiB, as other GDDR boards of Blackwell read"
    elif vendor == "NVIDIA" and architecture in {"Ampere", "Ada Lovelace"}:
        lost, why = 0.5 * gib, "the marketed size less 0.5 MiB per GiB, as other Ada and Ampere boards read"
    elif vendor == "AMD":
        lost = 16 if architecture.startswith(("CDNA", "GCN")) else 80
        why = f"the marketed size less {lost} MiB, as other AMD boards read"
    mib = int(marketing_mib - lost)
    return Total(mib=mib, low_mib=mib, high_mib=marketing_mib, measured=False, origin=why)


def torch_mib(*, vendor: str, architecture: str, memory_type: str, driver: int, unified: bool) -> Total:
    """Return the total torch is told, from the driver's, by the rules above."""
    if unified:
        return Total(
            mib=driver,
            low_mib=driver,
            high_mib=driver,
            measured=False,
            origin="the runtime's share of the shared memory",
        )
    if vendor == "NVIDIA":
        late = _is_late_hbm(architecture, memory_type)
        most = 400 + 0.0020 * driver if late else 390 + 0.0061 * driver
        rule = "400 MiB and 0.2 %" if late else "390 MiB and 0.61 %"
        return _kept(driver, most=most, least=220, origin=f"the driver's total less {rule}, the most a driver kept")
    if vendor == "AMD":
        return _kept(driver, most=0.002 * driver, least=0, origin="the driver's total less 0.2 %, as the MI300X reads")
    if architecture.startswith("Xe"):
        return _kept(
            driver, most=0.06 * driver, least=0.05 * driver, origin="0.94 of the marketed size, as Arc boards read"
        )
    return _kept(driver, most=0.02 * driver, least=0, origin="the device's total less 2 %: no reading")


def _kept(driver: int, *, most: float, least: float, origin: str) -> Total:
    """Return what is left of the driver's total. Tiny slices keep at least half: no rule was read below 6 GiB."""
    low = max(int(driver - most), driver // 2)
    return Total(mib=low, low_mib=low, high_mib=max(low, int(driver - least)), measured=False, origin=origin)
