"""Units of systemd and podman's quadlets."""

import pytest
from format_files import at, only, texts, values, workloads

from kvplan.launch.text import MASK

UNIT = "[Unit]\nDescription=x\n[Service]\n"


def test_a_command_over_lines():
    """Backslash lines are joined, comments between them left out, prefixes taken off, words placed."""
    found = only(
        "systemd",
        "vllm.service",
        UNIT + "ExecStart=-/usr/bin/vllm serve a/b \\\n# why\n  --max-model-len 8192 \\\n  --json '{\"a\": 1}'\n",
    )
    assert texts(found.command) == ["/usr/bin/vllm", "serve", "a/b", "--max-model-len", "8192", "--json", '{"a": 1}']
    assert at(found.command[4]) == ("vllm.service", 6, 19, "8192")
    assert (found.name, found.place.line) == ("vllm.service", 4)


def test_an_empty_start_takes_back_the_one_before():
    """Only what follows an empty ExecStart is started."""
    found = only("systemd", "a.service", UNIT + "ExecStart=/old\nExecStart=\nExecStart=/usr/bin/ollama serve\n")
    assert texts(found.command) == ["/usr/bin/ollama", "serve"]


def test_variables():
    """Several in a line, quotes around value or assignment; `$V` alone is split, `${V}` is not, unknown ones stay."""
    found = only(
        "systemd",
        "a.service",
        UNIT
        + 'Environment=M=a/b "F=--x 1" N=3\nEnvironment=P="q r"\nExecStart=/v serve ${M} $F ${F} --$N $UNKNOWN cost$$\n',
    )
    assert values(found.environment) == {"M": "a/b", "F": "--x 1", "N": "3", "P": "q r"}
    assert texts(found.command) == ["/v", "serve", "a/b", "--x", "1", "--x 1", "--$N", "$UNKNOWN", "cost$"]
    assert at(found.command[2]) == ("a.service", 4, 15, "a/b")


def test_files_of_variables_win():
    """An EnvironmentFile beside the unit is read after the unit's own variables; one that is not there is passed over."""
    text = (
        UNIT + "Environment=A=1 B=1\nEnvironmentFile=-/etc/default/llm.env\nEnvironmentFile=-none\nExecStart=/x ${A}\n"
    )
    found = only("systemd", "a.service", text, llm__env="A=2\n# c\n")
    assert texts(found.command) == ["/x", "2"]
    assert at(found.command[1])[:3] == ("llm.env", 1, 3)
    assert values(found.environment) == {"A": "2", "B": "1"}


def test_specifiers_are_not_known():
    """`%h` and `%i` stand for what the unit does not say; `%%` is a percent sign."""
    found = only("systemd", "a@.service", UNIT + "ExecStart=/x --model %h/%i --p 50%%\n")
    assert texts(found.command) == ["/x", "--model", f"{MASK * 2}/{MASK * 2}", "--p", "50%"]
    assert found.command[2].place.written() == "%h/%i"


def test_memory_limits():
    """MemoryMax goes before MemoryHigh; systemd counts in 1024s; a share of the machine is not known here."""
    found = only("systemd", "a.service", UNIT + "MemoryHigh=8G\nMemoryMax=16G\nExecStart=/x\n")
    assert (found.memory.value, at(found.memory)) == (16 * 2**30, ("a.service", 5, 11, "16G"))
    assert only("systemd", "a.service", UNIT + "MemoryMax=80%\nExecStart=/x\n").memory is None


def test_a_drop_in_of_variables_is_a_half():
    """Settings that are laid over another unit name the engine whose they are."""
    found = only("systemd", "ollama.service.d/override.conf", '[Service]\nEnvironment="OLLAMA_CONTEXT_LENGTH=8192"\n')
    assert (found.engine, bool(found.half)) == ("ollama", True)
    assert workloads("systemd", "x/override.conf", "[Service]\nEnvironment=A=1\n") == []


def test_a_quadlet():
    """Image, words, variables, devices, memory and podman's own flags of a container."""
    text = """[Container]
Image=docker.io/vllm/vllm-openai:v0.9.1
Exec=--model a/b \\
  --max-model-len 4096
AddDevice=nvidia.com/gpu=0
AddDevice=nvidia.com/gpu=1
Environment=A=1
PodmanArgs=--shm-size=8g -e B=2 --memory 16g
[Service]
Restart=always
"""
    found = only("systemd", "vllm.container", text)
    assert (found.format, found.image.text, found.command) == ("quadlet", "docker.io/vllm/vllm-openai:v0.9.1", None)
    assert texts(found.args) == ["--model", "a/b", "--max-model-len", "4096"]
    assert at(found.args[3]) == ("vllm.container", 4, 19, "4096")
    assert (found.gpus.count.value, found.shared_memory.value, found.memory.value) == (2, 8 * 2**30, 16 * 2**30)
    assert values(found.environment) == {"A": "1", "B": "2"}


@pytest.mark.parametrize(
    "line, count",
    [
        ("AddDevice=nvidia.com/gpu=all", None),
        ("PodmanArgs=--gpus all", None),
        ("PodmanArgs=--gpus=2", 2),
        ("PodmanArgs=--device nvidia.com/gpu=0", 1),
        ("PodmanArgs=--gpus", None),
        ("AddDevice=/dev/dri", None),
    ],
)
def test_gpus_of_a_quadlet(line, count):
    """Named devices are counted; `all` leaves the number open."""
    found = only("systemd", "a.container", f"[Container]\nImage=i\n{line}\n").gpus.count
    assert (None if found is None else found.value) == count


@pytest.mark.parametrize("text", ["", "ExecStart=/x", "[Unit]\nA=b\n", "[Service]\n", "[Service\nExecStart=\\\n"])
def test_nothing_is_started(text):
    """Units without a command yield nothing."""
    assert workloads("systemd", "a.service", text) == []
