"""`--gpu`: every usual spelling is understood, and what is not is refused in words that help."""

import subprocess
import sys
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kvplan.catalogue import GPUS
from kvplan.errors import KvplanError, SettingError, UnknownGpuError
from kvplan.gpus import GpuGroup, find_gpu
from kvplan.gpus.instances import instance_types
from kvplan.units import GIB, MIB


@pytest.mark.parametrize(
    "text, gpu",
    [
        ("rtx4090", "rtx4090"),
        ("RTX 4090", "rtx4090"),
        ("4090", "rtx4090"),
        ("rtx-4090", "rtx4090"),
        ("rtx-4090-24gb", "rtx4090"),
        ("RTX 4090 24GB", "rtx4090"),
        ("NVIDIA GeForce RTX 4090", "rtx4090"),
        ("nvidia-geforce-rtx-4090", "rtx4090"),
        ("  rtx4090 ", "rtx4090"),
        ("H100-80GB", "h100"),
        ("h100-sxm", "h100"),
        ("NVIDIA-H100-80GB-HBM3", "h100"),
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("H100_NVLINK_80GB", "h100"),
        ("nvidia-h100-80gb", "h100"),
        ("H100 PCIe", "h100-pcie"),
        ("NVIDIA H100 NVL", "h100-nvl"),
        ("a100-80gb", "a100-80gb"),
        ("A100 80GB PCIe", "a100-80gb-pcie"),
        ("NVIDIA A100-SXM4-40GB", "a100-40gb"),
        ("nvidia-tesla-a100", "a100-40gb"),
        ("A100 40 GB", "a100-40gb"),
        ("Tesla T4", "t4"),
        ("nvidia-l4", "l4"),
        ("3080 12GB", "rtx3080-12gb"),
        ("RTX 3080 10GB", "rtx3080-10gb"),
        ("RTX 4070 Ti SUPER", "rtx4070tisuper"),
        ("RTX 6000 Ada", "rtx-6000-ada"),
        ("NVIDIA RTX 6000 Ada Generation", "rtx-6000-ada"),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "rtx-pro-6000-server"),
        ("AMD Instinct MI300X", "mi300x"),
        ("Radeon RX 7900 XTX", "rx7900xtx"),
        ("DGX Spark", "gb10"),
        ("Strix Halo", "ryzen-ai-max-395"),
        ("M3 Max", "apple-m3-max"),
        ("TPU v5e", "tpu-v5e"),
    ],
)
def test_a_name_in_its_usual_spellings(text, gpu):
    """People's, nvidia-smi's, Kubernetes' and the clouds' names for a GPU all find it."""
    group = find_gpu(text)
    assert (group.gpu.id, group.count) == (gpu, 1)
    assert group.origin == f"gpu_specs/{gpu}.yaml"


FIELD_KEYS = """
a10 a100-40gb a100-80gb a10g a40 arc-pro-b60 b200 b300 gb10 gb200 gh200-96gb h100 h200 l20 l4 l40 l40s mi210 mi300x
mi325x proai-r9700 prow7900 rtx-a5000 rtx-a6000 rtx-pro-4000-blackwell rtx-pro-5000-72gb rtx-pro-5000-blackwell
rtx-pro-6000-blackwell rtx3090 rtx3090ti rtx4060 rtx4080super rtx4090 rtx5060ti-16gb rtx5070ti rtx5090 rx7900xt
ryzen-ai-max-395 t4 thor v100-32gb
"""


def test_the_keys_of_the_field_corpus():
    """Every key under which the published start-up logs name a GPU is an id."""
    for key in FIELD_KEYS.split():
        assert find_gpu(key).gpu.id == key


@pytest.mark.parametrize("text, taken", [("h100", "h100"), ("A100", "a100-80gb"), ("NVIDIA A100", "a100-80gb")])
def test_a_server_name_with_variants_says_what_it_is_taken_for(text, taken):
    """A bare H100 or A100 means the usual one, and the plan says so."""
    group = find_gpu(text)
    assert group.gpu.id == taken
    assert "is taken as" in group.assumptions[0]


@pytest.mark.parametrize(
    "text, choice",
    [
        ("3080", "rtx3080-12gb"),
        ("RTX 3060", "rtx3060-8gb"),
        ("GeForce RTX 4060 Ti", "rtx4060ti-16gb"),
        ("5060ti", "rtx5060ti-8gb"),
        ("V100", "v100-32gb"),
        ("Tesla V100", "v100-16gb"),
        ("RTX 6000", "rtx-6000-ada"),
    ],
)
def test_a_name_of_gpus_with_different_memory_is_refused(text, choice):
    """Where the sizes differ and neither is usual, kvplan asks instead of guessing."""
    with pytest.raises(UnknownGpuError, match="not one GPU") as refusal:
        find_gpu(text)
    assert choice in refusal.value.nearest
    assert choice in refusal.value.hint


def test_a_size_that_a_gpu_does_not_have_is_refused():
    """A board with other memory than the catalogue's is not taken for it."""
    with pytest.raises(UnknownGpuError, match="not known with 48 GB, but with 24 GB") as refusal:
        find_gpu("rtx4090-48gb")
    assert "48GiB" in refusal.value.hint


@pytest.mark.parametrize("text", ["4xh100", "4 x H100", "4×H100", "4*h100", "H100:4", "4x NVIDIA-H100-80GB-HBM3"])  # noqa: RUF001
def test_a_count(text):
    """The usual ways to say four of them."""
    group = find_gpu(text)
    assert (group.gpu.id, group.count) == ("h100", 4)


@pytest.mark.parametrize("text", ["0xh100", "1000000xh100", "4xauto", "100000xp5.48xlarge"])
def test_a_count_that_cannot_be_meant(text):
    """No GPUs, or more than exist, are refused."""
    with pytest.raises(SettingError):
        find_gpu(text)


@pytest.mark.parametrize(
    "text, gpu, count",
    [
        ("p5.48xlarge", "h100", 8),
        ("P5.48XLARGE", "h100", 8),
        ("ml.p5en.48xlarge", "h200", 8),
        ("p4d.24xlarge", "a100-40gb", 8),
        ("g5.12xlarge", "a10g", 4),
        ("trn1.32xlarge", "trainium1", 16),
        ("a3-highgpu-8g", "h100", 8),
        ("g2-standard-24", "l4", 2),
        ("Standard_NC24ads_A100_v4", "a100-80gb-pcie", 1),
        ("NC40ads_H100_v5", "h100-nvl", 1),
        ("standard_nd96isr_mi300x_v5", "mi300x", 8),
        ("2xp5.48xlarge", "h100", 16),
    ],
)
def test_an_instance_type(text, gpu, count):
    """A cloud's machine means its GPUs."""
    group = find_gpu(text)
    assert (group.gpu.id, group.count) == (gpu, count)
    assert "instance type" in group.origin


def test_a_part_of_a_gpu():
    """A machine with an eighth of an L4 has an eighth of its memory, and no more than an eighth."""
    group = find_gpu("g6f.large")
    whole = find_gpu("l4").gpu
    assert group.count == 1
    assert group.gpu.driver_bytes == 2879 * MIB
    assert group.gpu.torch_bytes < whole.torch_bytes // 8
    assert not group.gpu.driver_is_measured
    assert "1/8" in group.assumptions[0]


@pytest.mark.parametrize("text", ["g3.4xlarge", "p2.xlarge", "inf1.xlarge", "dl1.24xlarge"])
def test_an_instance_type_whose_gpu_is_not_supported(text):
    """A known machine with a GPU that kvplan has no figures of is refused by that GPU's name."""
    with pytest.raises(UnknownGpuError, match="no figures of"):
        find_gpu(text)


def test_every_instance_type_answers():
    """Each row of the instance files is GPUs, or a refusal that names the GPU."""
    for name in instance_types():
        try:
            assert find_gpu(name).count >= 1
        except UnknownGpuError as refusal:
            assert "no figures of" in refusal.message  # noqa: PT017  both outcomes are right, each for its rows


@pytest.mark.parametrize(
    "text, size", [("24GiB", 24 * GIB), ("80GB", 80 * 10**9), ("79.18 GiB", int(79.18 * GIB)), ("24g", 24 * GIB)]
)
def test_a_size_is_a_nameless_gpu_of_exactly_that(text, size):
    """Given a size, the driver's and torch's totals are that size, and nothing else is known."""
    gpu = find_gpu(text).gpu
    assert gpu.id == text
    assert gpu.driver_bytes == gpu.torch_bytes == gpu.torch_low_bytes == gpu.torch_high_bytes == size
    assert gpu.compute_capability is None
    assert gpu.fp8 is None


@pytest.mark.parametrize("text", ["1MiB", "0GiB", "999999999TiB", "5b2"])
def test_a_size_that_no_gpu_has(text):
    """A size that cannot be a GPU's is refused."""
    with pytest.raises((SettingError, UnknownGpuError)):
        find_gpu(text)


def test_a_bare_number_is_asked_about():
    """24 alone may be anything; the answer shows how to write the size."""
    with pytest.raises(UnknownGpuError) as refusal:
        find_gpu("24")
    assert "24GiB" in refusal.value.hint


@pytest.mark.parametrize(
    "text, near",
    [("rtx4091", "rtx4090"), ("h1000", "h100"), ("4xrtx4091", "rtx4090"), ("p5.47xlarge", "p5.48xlarge")],
)
def test_an_unknown_name_gets_the_nearest(text, near):
    """A typing error is answered with what was probably meant, and with where the names are."""
    with pytest.raises(UnknownGpuError) as refusal:
        find_gpu(text)
    assert near in refusal.value.nearest
    assert near in refusal.value.hint
    assert "kvplan gpus" in refusal.value.hint


@pytest.mark.parametrize("text", ["", "   ", "x" * 5000, "../../etc/passwd", "\0", "instances/aws", "names/shared"])
def test_what_is_no_name_at_all(text):
    """Nothing, nonsense and paths are refused like any unknown name."""
    with pytest.raises(UnknownGpuError):
        find_gpu(text)


def test_a_mig_slice_of_a_named_gpu():
    """A slice holds its eighths of the memory, less what the driver keeps: at most what torch was told of one."""
    gpu = find_gpu("a100-80gb mig-1g.10gb").gpu
    assert gpu.driver_bytes == gpu.torch_bytes == 9728 * MIB
    assert find_gpu("2xh100-mig-3g.40gb").count == 2
    with pytest.raises(SettingError, match="no MIG slice"):
        find_gpu("h100 mig 1g.33gb")


def test_a_machine_that_is_sold_with_several_sizes():
    """An Apple machine's size is part of its name; without one the largest is assumed, and said."""
    named, bare = find_gpu("apple-m3-max-64gb"), find_gpu("m3 max")
    assert named.gpu.driver_bytes == 48 * GIB
    assert named.gpu.usable_fraction == 0.75
    assert bare.gpu.marketing_gb == 128
    assert "is taken with 128 GB" in bare.assumptions[0]
    with pytest.raises(UnknownGpuError, match="36, 48, 64, 96 or 128"):
        find_gpu("M3 Max 80GB")


def test_a_card_of_two_devices_is_one_of_them():
    """The runtime sees an MI250X as two GPUs; a plan is for what the runtime sees."""
    gpu = find_gpu("mi250x").gpu
    assert gpu.marketing_gb == 64
    assert gpu.driver_bytes == 65520 * MIB


def test_an_estimate_says_so():
    """Where a total was not read, the assumptions name the rule and the interval."""
    assumptions = " ".join(find_gpu("rtx5070").assumptions)
    assert "an estimate that errs low" in assumptions
    assert "the marketed size" in " ".join(find_gpu("rtx3070").assumptions)


def test_specs_are_frozen():
    """A GPU's spec is shared by every plan and cannot be changed by one."""
    with pytest.raises(FrozenInstanceError):
        find_gpu("h100").gpu.name = "other"


def test_a_lookup_imports_nothing_heavy():
    """Looking up a GPU costs no program, no schema, no torch."""
    code = (
        "import sys; from kvplan.gpus import find_gpu; find_gpu('24GiB'); assert 'yaml' not in sys.modules;"
        "find_gpu('rtx4090'); heavy = {'torch', 'pydantic', 'rich', 'subprocess', 'kvplan.gpus.detect'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


WORDS = st.sampled_from(
    ["rtx", "4090", "h100", "a100", "x", ":", " ", "-", "80gb", "GiB", "mig", "3g.40gb", "p5.48xlarge", "nvidia", "2",
     "Ti", "mi300x", "Standard_", "GB", ".", "ml.", "apple-m3-max", "64gb", "24", "0", "*", "[", "'"]
)  # fmt: skip


@settings(max_examples=300, deadline=1500)
@given(st.one_of(st.text(max_size=120), st.lists(WORDS, max_size=7).map("".join)))
@example("9" * 400 + "GB")
@example("٤xh100")
@example("h100 mig 7g.999gb")
@example("a" * 99)
@example("1x" * 40 + "h100")
def test_any_text_is_gpus_or_a_refusal(text):
    """Whatever is typed, the answer is GPUs or an error of kvplan, at once."""
    if text.strip().lower() == "auto":
        return
    try:
        group = find_gpu(text)
    except KvplanError as refusal:
        assert str(refusal)  # noqa: PT017  both outcomes are right
        return
    assert isinstance(group, GpuGroup)
    assert group.count >= 1
    assert 0 < group.gpu.torch_low_bytes <= group.gpu.torch_bytes <= group.gpu.driver_bytes


def test_the_catalogue_is_not_parsed_for_one_name(monkeypatch):
    """Only the file of the named GPU is parsed."""
    parsed = []
    read = type(GPUS).read
    monkeypatch.setattr(type(GPUS), "read", lambda self, entry: parsed.append(entry.id) or read(self, entry))
    find_gpu.__globals__["_find"].cache_clear()
    find_gpu("RTX 4090")
    assert parsed == ["rtx4090"]
