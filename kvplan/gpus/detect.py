"""`--gpu auto`: the GPUs in this machine, by NVIDIA's tool, AMD's tools or torch, whichever answers first."""

import csv
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from kvplan.errors import KvplanError, UnknownGpuError
from kvplan.gpus import totals
from kvplan.gpus.lookup import GpuGroup, candidates
from kvplan.gpus.partition import PROFILE, mig_slice
from kvplan.gpus.spec import GpuSpec, nameless, read_gpu, with_driver_total
from kvplan.units import GIB, MIB, format_bytes

_TIMEOUT_SECONDS = 20  # nvidia-smi takes seconds where it has to wake up eight GPUs
# What others may use before it is worth a word: the driver's own 2 to 700 MiB are part of every reading.
_USED_WORTH_SAYING = GIB
_QUERIES = (
    "index,uuid,name,memory.total,memory.used,compute_cap,mig.mode.current",
    "index,uuid,name,memory.total,memory.used",  # drivers before 2021 do not know the others
)
_NOT_GIVEN = {"", "[n/a]", "n/a", "[not supported]", "not supported", "[not found]", "[unknown error]"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Device:
    """One device as a tool prints it. None: the tool does not say."""

    index: str
    uuid: str
    name: str
    vendor: str
    total_bytes: int | None
    used_bytes: int | None
    compute_capability: tuple[int, int] | None = None
    gfx: str | None = None
    torch_bytes: int | None = None
    mig_profiles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """What one tool says: the devices, or why there are none."""

    devices: tuple[_Device, ...] = ()
    why: str = ""


def detect_gpus() -> GpuGroup:
    """Return the GPUs in this machine: the smallest, and how many.

    Raises:
        UnknownGpuError: none was found; the message says what was tried.
        KvplanError: one was found that says nothing of its memory and is not in the catalogue.

    """
    tried = []
    for tool, ask in _TOOLS.items():
        answer = ask()
        if not answer.devices:
            tried.append(f"{tool} ({answer.why})")
            continue
        devices, hidden = _visible(answer.devices)
        if not devices:
            tried.append(f"{tool} ({hidden})")
            continue
        return _group(tool, devices, hidden)
    raise UnknownGpuError(
        f"No GPU was found in this machine. Tried: {', '.join(tried)}.",
        hint="Name one: --gpu rtx4090, --gpu 4xh100, --gpu 24GiB. `kvplan gpus` lists the names.",
    )


def _group(tool: str, devices: tuple[_Device, ...], hidden: str) -> GpuGroup:
    said = [f"This machine's GPUs, as {tool} reports them: {_listing(devices)}."]
    if hidden:
        said.append(hidden)
    devices, left_out = _without_display_gpus(devices)
    said += left_out
    found: list[GpuSpec] = []
    for device in devices:
        gpu = _spec(device, tool)
        slices = [mig_slice(gpu, profile) for profile in device.mig_profiles]
        found += slices or [gpu]
        if device.total_bytes is None:
            said.append(f"{tool} does not report the {gpu.name}'s memory; the catalogue's total stands in.")
        if slices:
            said.append(f"GPU {device.index} is cut into MIG slices: {', '.join(device.mig_profiles)}.")
        if device.used_bytes and device.total_bytes and device.used_bytes > _USED_WORTH_SAYING:
            said.append(
                f"GPU {device.index}: {format_bytes(device.used_bytes)} are in use by other processes,"
                f" {format_bytes(device.total_bytes - device.used_bytes)} are free; the plan counts the whole GPU."
            )
    gpu = min(found, key=lambda each: (each.torch_bytes, each.driver_bytes))
    if len({(each.name, each.driver_bytes) for each in found}) > 1:
        said.append(f"The {len(found)} GPUs differ; the plan takes each as the smallest, {gpu.name}.")
    if not gpu.torch_bytes_is_measured:
        said.append(
            f"torch's total, {format_bytes(gpu.torch_bytes)}, is an estimate that errs low (at most"
            f" {format_bytes(gpu.torch_high_bytes)}): {gpu.torch_origin}."
        )
    return GpuGroup(gpu=gpu, count=len(found), origin=f"this machine ({tool})", assumptions=tuple(said))


def _listing(devices: Iterable[_Device]) -> str:
    """Return `2 x NVIDIA L4 (22.49 GiB), 1 x …`."""
    counts: dict[str, int] = {}
    for device in devices:
        size = format_bytes(device.total_bytes) if device.total_bytes else "memory not reported"
        name = f"{device.name} ({size})"
        counts[name] = counts.get(name, 0) + 1
    return ", ".join(f"{count} x {name}" for name, count in counts.items())


def _spec(device: _Device, tool: str) -> GpuSpec:
    """Return the catalogue's GPU with this machine's reading in it, or a nameless one."""
    known = [read_gpu(entry) for entry in candidates(device.name)]
    origin = f"read by {tool}"
    if device.torch_bytes is not None:
        return _spec_by_torch(device, known, device.torch_bytes, origin)
    if device.total_bytes is None:
        if len(known) != 1:
            raise KvplanError(
                f"{tool} names a GPU, {device.name!r}, but not its memory, and the catalogue does not settle it.",
                hint="Give its memory: --gpu 24GiB",
            )
        return known[0]
    total = device.total_bytes
    if known:
        # Several GPUs share a name (RTX 3080 with 10 and 12 GB): the memory tells them apart.
        return with_driver_total(min(known, key=lambda each: abs(each.driver_bytes - total)), total, origin)
    torch = totals.torch_mib(
        vendor=device.vendor, architecture="unknown", memory_type="", driver=total // MIB, unified=False
    )
    return replace(
        nameless(device.name, driver_bytes=total, torch_bytes=torch.mib * MIB, origin=origin),
        vendor=device.vendor,
        driver_is_measured=True,
        torch_high_bytes=torch.high_mib * MIB,
        torch_origin=torch.origin,
        compute_capability=device.compute_capability,
        gfx=device.gfx,
    )


def _spec_by_torch(device: _Device, known: list[GpuSpec], total: int, origin: str) -> GpuSpec:
    """Return the GPU by torch's total alone; the driver's is the catalogue's where that can be this board's."""
    fits = [
        each for each in known if 0.95 * each.torch_low_bytes <= total <= max(each.driver_bytes, each.torch_high_bytes)
    ]
    if fits:
        gpu = min(fits, key=lambda each: abs(each.torch_bytes - total))
    else:
        gpu = replace(
            nameless(device.name, driver_bytes=total, torch_bytes=total, origin=origin),
            vendor=device.vendor,
            driver_is_measured=True,
            compute_capability=device.compute_capability,
            gfx=device.gfx,
        )
    return replace(
        gpu,
        torch_bytes=total,
        torch_bytes_is_measured=True,
        torch_low_bytes=total,
        torch_high_bytes=total,
        torch_origin=origin,
    )


def _visible(devices: tuple[_Device, ...]) -> tuple[tuple[_Device, ...], str]:
    """Return the devices that CUDA_VISIBLE_DEVICES (AMD: HIP_VISIBLE_DEVICES) leaves, and a word about it."""
    variable = "HIP_VISIBLE_DEVICES" if devices[0].vendor == "AMD" else "CUDA_VISIBLE_DEVICES"
    wanted = os.environ.get(variable)
    # torch has applied it already; a MIG device's UUID names a slice, not a GPU.
    if wanted is None or devices[0].torch_bytes is not None or "MIG" in wanted:
        return devices, ""
    chosen = []
    for word in (word.strip() for word in wanted.split(",")):
        match = [each for each in devices if word and (each.index == word or each.uuid.startswith(word))]
        if not match:
            break  # CUDA stops at the first word that names no device
        chosen.append(match[0])
    return tuple(chosen), f"{variable}={wanted} leaves {len(chosen)} of {len(devices)} GPUs."


def _without_display_gpus(devices: tuple[_Device, ...]) -> tuple[tuple[_Device, ...], list[str]]:
    """Return the devices without processor graphics and display boards: under an eighth of the largest's memory."""
    largest = max((device.total_bytes or 0 for device in devices), default=0)
    kept = tuple(each for each in devices if each.total_bytes is None or each.total_bytes * 8 >= largest)
    names = [f"{each.name} ({format_bytes(each.total_bytes or 0)})" for each in devices if each not in kept]
    return kept, [f"Left out as too small beside the others: {', '.join(names)}."] if names else []


def _run(*command: str) -> tuple[str, str]:
    """Return what a program prints and, where it failed, why in a few words."""
    if shutil.which(command[0]) is None:
        return "", "not installed"
    try:
        result = subprocess.run(  # noqa: S603  a fixed list of words, no shell
            command, capture_output=True, timeout=_TIMEOUT_SECONDS, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        return "", f"no answer in {_TIMEOUT_SECONDS} seconds"
    except OSError as error:
        return "", f"cannot be run: {error.strerror or error}"
    printed = result.stdout.decode("utf-8", "replace")
    if result.returncode != 0:
        words = (result.stderr.decode("utf-8", "replace").strip() or printed.strip()).splitlines()
        return "", words[0][:120] if words else f"exit code {result.returncode}"
    return printed, ""


def _ask_nvidia_smi() -> _Answer:
    printed, why, first_why = "", "", ""
    for query in _QUERIES:
        printed, why = _run("nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader,nounits")
        first_why = first_why or why
        if not why or "not a valid field" not in why.lower():
            break
    if why:
        return _Answer(why=why)
    devices: list[_Device] = []
    for row in csv.reader(printed.splitlines(), skipinitialspace=True):
        fields = [None if field.strip().lower() in _NOT_GIVEN else field.strip() for field in row]
        if len(fields) < 5 or fields[2] is None:
            continue
        capability = re.fullmatch(r"(\d{1,3})\.(\d{1,3})", fields[5] or "") if len(fields) > 5 else None
        devices.append(
            _Device(
                index=fields[0] or str(len(devices)),
                uuid=fields[1] or "",
                name=fields[2],
                vendor="NVIDIA",
                total_bytes=_mebibytes(fields[3]),
                used_bytes=_mebibytes(fields[4]),
                compute_capability=(int(capability[1]), int(capability[2])) if capability else None,
                mig_profiles=("?",) if len(fields) > 6 and fields[6] == "Enabled" else (),
            )
        )
    if any(device.mig_profiles for device in devices):
        devices = _with_slices(devices)
    return _Answer(devices=tuple(devices), why="" if devices else "it lists no GPU")


def _with_slices(devices: list[_Device]) -> list[_Device]:
    """Return the devices with the MIG slices that `nvidia-smi -L` lists under each; without any, the GPU is whole."""
    printed, _ = _run("nvidia-smi", "-L")
    slices: dict[str, list[str]] = {}
    index = ""
    for line in printed.splitlines():
        if match := re.match(r"GPU (\d+):", line):
            index = match[1]
        elif match := re.match(rf"\s+MIG (?:\d+c\.)?({PROFILE})\s", line):
            slices.setdefault(index, []).append(match[1])
    return [replace(device, mig_profiles=tuple(slices.get(device.index, ()))) for device in devices]


def _ask_amd_smi() -> _Answer:
    printed, why = _run("amd-smi", "static", "--asic", "--vram", "--json")
    if why:
        return _Answer(why=why)
    used = {}
    for row in _rows(_run("amd-smi", "metric", "--mem-usage", "--json")[0]):
        used[str(row.get("gpu"))] = _amount(_at(row, "mem_usage", "used_vram"))
    devices: list[_Device] = []
    for row in _rows(printed):
        index = str(row.get("gpu", len(devices)))
        name, gfx = _at(row, "asic", "market_name"), _at(row, "asic", "target_graphics_version")
        devices.append(
            _Device(
                index=index,
                uuid="",
                name=name if isinstance(name, str) else "AMD GPU",
                vendor="AMD",
                total_bytes=_amount(_at(row, "vram", "size") or _at(row, "vram", "vram_size")),
                used_bytes=used.get(index),
                gfx=gfx if isinstance(gfx, str) and gfx.startswith("gfx") else None,
            )
        )
    return _Answer(devices=tuple(devices), why="" if devices else "it lists no GPU")


def _ask_rocm_smi() -> _Answer:
    printed, why = _run("rocm-smi", "--showproductname", "--showmeminfo", "vram", "--json")
    if why:
        return _Answer(why=why)
    devices = []
    cards = _json(printed)
    for card, row in cards.items() if isinstance(cards, dict) else ():
        if not card.startswith("card") or not isinstance(row, dict):
            continue
        fields = {key.lower(): value for key, value in row.items()}
        names = [fields.get(key) for key in ("card series", "market name", "card model", "product name")]
        gfx = fields.get("gfx version")
        devices.append(
            _Device(
                index=card.removeprefix("card"),
                uuid=str(fields.get("unique id", "")),
                name=next((each for each in names if isinstance(each, str) and each != "N/A"), "AMD GPU"),
                vendor="AMD",
                total_bytes=_whole(fields.get("vram total memory (b)")),
                used_bytes=_whole(fields.get("vram total used memory (b)")),
                gfx=gfx if isinstance(gfx, str) and gfx.startswith("gfx") else None,
            )
        )
    return _Answer(devices=tuple(devices), why="" if devices else "it lists no GPU")


def _ask_torch() -> _Answer:
    try:
        import torch  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415  an extra, seconds to import
    except ImportError:
        return _Answer(why="not installed")
    except Exception as error:  # noqa: BLE001  a broken torch raises what it likes; the other ways in are still open
        return _Answer(why=f"cannot be imported: {type(error).__name__}")
    try:
        if not torch.cuda.is_available():
            return _Answer(why="it sees no GPU")
        devices = []
        for index in range(torch.cuda.device_count()):
            facts = torch.cuda.get_device_properties(index)
            gfx = getattr(facts, "gcnArchName", "").partition(":")[0]
            devices.append(
                _Device(
                    index=str(index),
                    uuid=str(getattr(facts, "uuid", "")),
                    name=facts.name,
                    vendor="AMD" if gfx.startswith("gfx") else "NVIDIA",
                    total_bytes=facts.total_memory,
                    used_bytes=None,
                    compute_capability=None if gfx.startswith("gfx") else (facts.major, facts.minor),
                    gfx=gfx if gfx.startswith("gfx") else None,
                    torch_bytes=facts.total_memory,
                )
            )
    except Exception as error:  # noqa: BLE001  CUDA's initialisation fails in many ways; each is an answer
        return _Answer(why=f"{type(error).__name__}: {str(error)[:100]}")
    return _Answer(devices=tuple(devices), why="" if devices else "it sees no GPU")


_TOOLS: dict[str, Callable[[], _Answer]] = {
    "nvidia-smi": _ask_nvidia_smi,
    "amd-smi": _ask_amd_smi,
    "rocm-smi": _ask_rocm_smi,
    "torch": _ask_torch,
}


def _mebibytes(text: str | None) -> int | None:
    """Return the bytes of nvidia-smi's MiB, None for no number or nothing."""
    match = re.fullmatch(r"([0-9]{1,9})(?:\s*MiB)?", text or "")
    return int(match[1]) * MIB or None if match else None


def _whole(value: object) -> int | None:
    """Return a number of bytes that rocm-smi prints as text."""
    text = str(value)
    return int(text) or None if re.fullmatch(r"[0-9]{1,18}", text) else None


def _amount(value: object) -> int | None:
    """Return the bytes of amd-smi's `{"value": 196592, "unit": "MB"}`; its MB are MiB (an MI300X has 196592)."""
    pair = value if isinstance(value, dict) else {"value": value}
    unit = pair.get("unit", "MB")
    match = re.fullmatch(r"([0-9]{1,15})(?:\s*([A-Za-z]+))?", str(pair.get("value")))
    if match is None:
        return None
    factors = {"B": 1, "KB": 2**10, "MB": MIB, "GB": GIB}
    factor = factors.get(str(match[2] or unit).upper())
    return int(match[1]) * factor or None if factor else None


def _json(text: str) -> Any:
    """Return the JSON in what a tool printed, warnings before it left out; None where there is none."""
    start = min((at for at in (text.find("{"), text.find("[")) if at >= 0), default=-1)
    try:
        return json.JSONDecoder().raw_decode(text[start:])[0] if start >= 0 else None
    except (ValueError, RecursionError):
        return None


def _rows(text: str) -> list[dict[str, Any]]:
    """Return amd-smi's rows: a list, or a list under `gpu_data` in newer ROCm."""
    content = _json(text)
    if isinstance(content, dict):
        content = content.get("gpu_data", [content])
    return [row for row in content if isinstance(row, dict)] if isinstance(content, list) else []


def _at(row: dict[str, Any], *keys: str) -> Any:
    value: Any = row
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value
