"""`--gpu auto`: what this machine's tools print is read as it is; the tools here print recorded output."""

import json
import stat
import sys
from types import SimpleNamespace

import pytest

from kvplan.errors import KvplanError, UnknownGpuError
from kvplan.gpus import detect, find_gpu
from kvplan.units import MIB

H100 = "{0}, GPU-1a{0}f2c3d-0000-4e1b-9a57-2f6a4d7c8b90, NVIDIA H100 80GB HBM3, 81559, 4, 9.0, Disabled\n"
GB10 = "0, GPU-9b1d6f0e-55aa-4c0f-8a0e-0a4f7a1c2d3e, NVIDIA GB10, [N/A], [N/A], 12.1, [N/A]\n"
MI300X = [
    {
        "gpu": 0,
        "asic": {
            "market_name": "AMD Instinct MI300X",
            "vendor_id": "0x1002",
            "vendor_name": "Advanced Micro Devices Inc. [AMD/ATI]",
            "device_id": "0x74a1",
            "target_graphics_version": "gfx942",
        },
        "vram": {"type": "HBM3", "vendor": "N/A", "size": {"value": 196592, "unit": "MB"}},
    }
]
ROCM = {
    "card0": {
        "VRAM Total Memory (B)": "25753026560",
        "VRAM Total Used Memory (B)": "12000000000",
        "Card Series": "Radeon RX 7900 XTX",
        "GFX Version": "gfx1100",
    },
    "system": {"Driver version": "6.7.0"},
}


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Make a machine without GPU tools; `machine(tool, {words: output})` installs one that prints what was recorded."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "torch", None)
    for variable in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"):
        monkeypatch.delenv(variable, raising=False)

    def install(tool, answers, code=0):
        cases = ""
        for number, (words, output) in enumerate(answers.items()):
            recorded = tmp_path / f"{tool}.{number}"
            recorded.write_text(output, encoding="utf-8")
            cases += f'*"{words}"*) /bin/cat "{recorded}"; exit {code};;\n'
        path = tmp_path / tool
        path.write_text(f'#!/bin/sh\ncase "$*" in\n{cases}esac\nexit 2\n', encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    return install


def test_eight_h100(machine):
    """Eight equal GPUs are eight of the catalogue's, with its reading of torch's total."""
    machine("nvidia-smi", {"compute_cap": "".join(H100.format(index) for index in range(8))})
    group = find_gpu("auto")
    assert (group.gpu.id, group.count, group.origin) == ("h100", 8, "this machine (nvidia-smi)")
    assert group.gpu.driver_bytes == 81559 * MIB
    assert group.gpu.torch_bytes == 81089 * MIB
    assert group.assumptions == (
        "This machine's GPUs, as nvidia-smi reports them: 8 x NVIDIA H100 80GB HBM3 (79.65 GiB).",
    )


def test_the_memory_tells_cards_of_one_name_apart(machine):
    """nvidia-smi calls both RTX 3080 alike; 12288 MiB is the larger."""
    machine("nvidia-smi", {"compute_cap": "0, GPU-1, NVIDIA GeForce RTX 3080, 12288, 350, 8.6, [N/A]\n"})
    assert find_gpu("AUTO").gpu.id == "rtx3080-12gb"


def test_ecc_switched_off_is_read_not_assumed(machine):
    """An A10 with ECC off has 24564 MiB; the reading counts, and torch's total follows by rule."""
    machine("nvidia-smi", {"compute_cap": "0, GPU-1, NVIDIA A10, 24564, 4, 8.6, [N/A]\n"})
    gpu = find_gpu("auto").gpu
    assert (gpu.id, gpu.driver_bytes, gpu.driver_is_measured) == ("a10", 24564 * MIB, True)
    assert 23900 * MIB < gpu.torch_bytes < 24564 * MIB
    assert not gpu.torch_bytes_is_measured


def test_mixed_gpus_are_planned_as_the_smallest(machine):
    """Two different GPUs count as two of the smaller, and the plan says so."""
    rows = (
        "0, GPU-1, NVIDIA GeForce RTX 4090, 24564, 10, 8.9, [N/A]\n"
        "1, GPU-2, NVIDIA GeForce RTX 4080, 16376, 10, 8.9, [N/A]\n"
    )
    machine("nvidia-smi", {"compute_cap": rows})
    group = find_gpu("auto")
    assert (group.gpu.id, group.count) == ("rtx4080", 2)
    assert "The 2 GPUs differ; the plan takes each as the smallest, GeForce RTX 4080." in group.assumptions


def test_a_display_board_is_left_out(machine):
    """A small board for the screen beside a large GPU does not shrink the plan."""
    rows = (
        "0, GPU-1, NVIDIA GeForce RTX 4090, 24564, 10, 8.9, [N/A]\n"
        "1, GPU-2, NVIDIA GeForce GT 710, 2000, 10, 3.5, [N/A]\n"
    )
    machine("nvidia-smi", {"compute_cap": rows})
    group = find_gpu("auto")
    assert (group.gpu.id, group.count) == ("rtx4090", 1)
    assert any("GT 710" in said and "Left out" in said for said in group.assumptions)


def test_memory_in_use_by_others_is_said(machine):
    """A GPU that somebody else works on is planned whole, with a warning of what is taken."""
    machine("nvidia-smi", {"compute_cap": "0, GPU-1, NVIDIA L4, 23034, 8000, 8.9, [N/A]\n"})
    assert "7.81 GiB are in use by other processes, 14.68 GiB are free" in " ".join(find_gpu("auto").assumptions)


@pytest.mark.parametrize(
    "row", [GB10, GB10.replace("[N/A]", "[Not Supported]"), GB10.replace("[N/A]", "Not Supported")]
)
def test_a_gpu_that_does_not_report_its_memory(machine, row):
    """The GB10 shares the CPU's memory and nvidia-smi reports none; the catalogue's total stands in, and is said to."""
    machine("nvidia-smi", {"compute_cap": row})
    group = find_gpu("auto")
    assert (group.gpu.id, group.gpu.driver_bytes) == ("gb10", 124552 * MIB)
    assert any("does not report" in said for said in group.assumptions)


@pytest.mark.parametrize("name", ["NVIDIA GB99", "Orin"])
def test_a_gpu_of_unknown_memory_is_refused(machine, name):
    """Without a reading and without one entry of that name there is nothing to plan with."""
    machine("nvidia-smi", {"compute_cap": GB10.replace("NVIDIA GB10", name)})
    with pytest.raises(KvplanError, match="not its memory"):
        find_gpu("auto")


def test_a_gpu_that_the_catalogue_does_not_have(machine):
    """A GPU of no known name is planned by what the driver says of it."""
    machine("nvidia-smi", {"compute_cap": "0, GPU-1, NVIDIA GeForce RTX 6090, 49140, 10, 13.0, [N/A]\n"})
    gpu = find_gpu("auto").gpu
    assert (gpu.id, gpu.driver_bytes, gpu.compute_capability) == ("NVIDIA GeForce RTX 6090", 49140 * MIB, (13, 0))
    assert gpu.torch_bytes < gpu.driver_bytes


def test_mig_slices_are_the_devices(machine):
    """A GPU that is cut into slices is as many devices, the smallest of which counts."""
    listing = (
        "GPU 0: NVIDIA A100-SXM4-80GB (UUID: GPU-ce97)\n"
        "  MIG 3g.40gb     Device  0: (UUID: MIG-dcf4)\n"
        "  MIG 2g.20gb     Device  1: (UUID: MIG-6b84)\n"
        "  MIG 1g.10gb     Device  2: (UUID: MIG-3fff)\n"
        "  MIG 1g.10gb     Device  3: (UUID: MIG-7a99)\n"
    )
    row = "0, GPU-ce97, NVIDIA A100-SXM4-80GB, 81920, 20, 8.0, Enabled\n"
    machine("nvidia-smi", {"compute_cap": row, "-L": listing})
    group = find_gpu("auto")
    assert (group.gpu.id, group.count) == ("a100-80gb-mig-1g.10gb", 4)
    assert group.gpu.driver_bytes == 9728 * MIB
    assert "GPU 0 is cut into MIG slices: 3g.40gb, 2g.20gb, 1g.10gb, 1g.10gb." in group.assumptions


def test_mig_enabled_without_slices_is_the_whole_gpu(machine):
    """MIG mode alone cuts nothing."""
    row = "0, GPU-ce97, NVIDIA A100-SXM4-80GB, 81920, 20, 8.0, Enabled\n"
    machine("nvidia-smi", {"compute_cap": row, "-L": "GPU 0: NVIDIA A100-SXM4-80GB (UUID: GPU-ce97)\n"})
    assert find_gpu("auto").gpu.id == "a100-80gb"


@pytest.mark.usefixtures("machine")
def test_an_old_driver_is_asked_for_less(tmp_path):
    """A driver that does not know a field of the query is asked again without it."""
    (tmp_path / "nvidia-smi").write_text(
        "#!/bin/sh\n"
        'case "$*" in *compute_cap*) echo \'Field "compute_cap" is not a valid field to query.\' >&2; exit 2;; esac\n'
        'echo "0, GPU-1, Tesla V100-SXM2-16GB, 16160, 0"\n',
        encoding="utf-8",
    )
    (tmp_path / "nvidia-smi").chmod(0o755)
    gpu = find_gpu("auto").gpu
    assert (gpu.id, gpu.driver_bytes) == ("v100-16gb", 16160 * MIB)
    assert gpu.torch_bytes < gpu.driver_bytes


@pytest.mark.parametrize("value, count", [("0", 1), ("1,3", 2), ("GPU-1a2", 1), ("0,9,1", 1), ("MIG-ab12", 4)], ids=str)
def test_visible_devices_are_respected(machine, monkeypatch, value, count):
    """What CUDA_VISIBLE_DEVICES hides from an engine is hidden from its plan."""
    machine("nvidia-smi", {"compute_cap": "".join(H100.format(index) for index in range(4))})
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert find_gpu("auto").count == count


def test_no_visible_device_is_no_gpu(machine, monkeypatch):
    """An empty CUDA_VISIBLE_DEVICES hides every GPU, and the refusal says it did."""
    machine("nvidia-smi", {"compute_cap": H100.format(0)})
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(UnknownGpuError, match="leaves 0 of 1 GPUs"):
        find_gpu("auto")


@pytest.mark.parametrize("shape", [MI300X, {"gpu_data": MI300X}], ids=["list", "gpu_data"])
def test_amd_smi(machine, shape):
    """amd-smi's JSON is read in both of its forms; its MB are MiB."""
    usage = [{"gpu": 0, "mem_usage": {"used_vram": {"value": 5000, "unit": "MB"}}}]
    machine("amd-smi", {"static": json.dumps(shape), "metric": json.dumps(usage)})
    group = find_gpu("auto")
    assert (group.gpu.id, group.count, group.gpu.driver_bytes) == ("mi300x", 1, 196592 * MIB)
    assert any("in use by other processes" in said for said in group.assumptions)


def test_rocm_smi(machine):
    """Where only rocm-smi is installed, its JSON is read, warnings before it left out."""
    machine("rocm-smi", {"--json": "WARNING: AMD GPU device(s) is/are in a low-power state.\n" + json.dumps(ROCM)})
    group = find_gpu("auto")
    assert (group.gpu.id, group.count, group.gpu.driver_bytes) == ("rx7900xtx", 1, 24560 * MIB)
    assert group.origin == "this machine (rocm-smi)"


@pytest.mark.parametrize(
    "output", ["", "{", "[1, 2", "null", '{"gpu_data": 3}', "no GPU\n", '[{"gpu": 0}]', "[" * 100_000]
)
def test_tools_that_print_nonsense(machine, output):
    """Broken output of any tool is no GPU, never a traceback."""
    for tool in ("nvidia-smi", "amd-smi", "rocm-smi"):
        machine(tool, {"": output})
    with pytest.raises(KvplanError):
        find_gpu("auto")


def fake_torch(monkeypatch, *facts):
    cuda = SimpleNamespace(
        is_available=lambda: bool(facts),
        device_count=lambda: len(facts),
        get_device_properties=lambda index: facts[index],
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))


def test_torch_is_asked_last(machine, monkeypatch):
    """Without the vendors' tools torch names the GPU, and its total is exact."""
    machine("nvidia-smi", {"compute_cap": ""})
    facts = SimpleNamespace(name="NVIDIA GeForce RTX 4090", major=8, minor=9, total_memory=24090 * MIB + 5)
    fake_torch(monkeypatch, facts, facts)
    group = find_gpu("auto")
    assert (group.gpu.id, group.count) == ("rtx4090", 2)
    assert group.gpu.torch_bytes == group.gpu.torch_low_bytes == 24090 * MIB + 5
    assert group.gpu.driver_bytes == 24564 * MIB


def test_torch_names_a_board_that_the_catalogue_does_not_have(machine, monkeypatch):
    """A 4090 with 48 GB is not taken for the catalogue's."""
    machine("nvidia-smi", {})
    fake_torch(monkeypatch, SimpleNamespace(name="NVIDIA GeForce RTX 4090", major=8, minor=9, total_memory=48507 * MIB))
    gpu = find_gpu("auto").gpu
    assert gpu.driver_bytes == gpu.torch_bytes == 48507 * MIB
    assert gpu.compute_capability == (8, 9)


def test_no_gpu_is_said_plainly(machine):
    """Without a GPU the answer says what was tried, and to name one."""
    machine(
        "nvidia-smi", {"": "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n"}, code=9
    )
    with pytest.raises(UnknownGpuError, match="No GPU was found in this machine") as refusal:
        find_gpu("auto")
    assert "nvidia-smi (NVIDIA-SMI has failed" in refusal.value.message
    assert "rocm-smi (not installed)" in refusal.value.message
    assert "torch (not installed)" in refusal.value.message
    assert "--gpu rtx4090" in refusal.value.hint


@pytest.mark.usefixtures("machine")
def test_a_tool_that_hangs_is_given_up(tmp_path, monkeypatch):
    """A tool that waits for a dead driver does not hang kvplan."""
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\nexec /bin/sleep 30\n", encoding="utf-8")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setattr(detect, "_TIMEOUT_SECONDS", 0.2)
    with pytest.raises(UnknownGpuError, match="no answer in"):
        find_gpu("auto")


@pytest.mark.usefixtures("machine")
def test_a_tool_that_cannot_be_run(tmp_path):
    """A file that is no program is said to be none."""
    (tmp_path / "nvidia-smi").write_bytes(b"\x7fELF-broken")
    (tmp_path / "nvidia-smi").chmod(0o755)
    with pytest.raises(UnknownGpuError, match="nvidia-smi"):
        find_gpu("auto")
