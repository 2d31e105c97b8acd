"""Supervisor's programs."""

import pytest
from format_files import at, only, texts, values, workloads

CONFIGURATION = """\
[supervisord]
environment=HF_HOME="/models"

[program:vllm]
; the engine
command=vllm serve %(ENV_MODEL)s --max-model-len 8192 ; at most
    --served-model-name "a, b"
environment=MODEL="Qwen/Qwen2.5-7B-Instruct",LEVEL='100%%', DEVICES=0
numprocs=2

[program:nginx]
process_name=1

[eventlistener:x]
command=vllm serve x/y
"""


def test_a_program():
    """Its command goes on in lines that start with a blank; its variables are those of the section and the daemon's."""
    found = only("supervisord", "supervisord.conf", CONFIGURATION)

    assert texts(found.command) == [
        "vllm", "serve", "Qwen/Qwen2.5-7B-Instruct", "--max-model-len", "8192", "--served-model-name", "a, b",
    ]  # fmt: skip
    assert values(found.environment) == {
        "HF_HOME": "/models", "MODEL": "Qwen/Qwen2.5-7B-Instruct", "LEVEL": "100%", "DEVICES": "0",
    }  # fmt: skip
    assert (found.name, found.replicas.value) == ("program vllm", "2")
    assert found.place.line == 6


def test_places():
    """A value stands where it is written, one that an expansion puts in where the variable is."""
    found = only("supervisord", "conf.d/vllm.ini", CONFIGURATION)

    assert at(found.command[4]) == ("conf.d/vllm.ini", 6, 50, "8192")
    assert at(found.command[2])[1:] == (8, 20, "Qwen/Qwen2.5-7B-Instruct")


def test_an_expansion_that_the_file_does_not_tell_is_open():
    """What comes from outside is shown as it stands and is no value."""
    text = '[program:x]\ncommand=bash -c "vllm serve %(ENV_MODEL)s --port 80%(process_num)02d"\n'
    (word,) = only("supervisord", "supervisord.conf", text).command[2:]

    assert word.place.written() == "vllm serve %(ENV_MODEL)s --port 80%(process_num)02d"
    assert "ENV_MODEL" not in word.text


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.conf", "[Service]\nExecStart=vllm serve a/b\n"),
        ("a.txt", "[program:vllm]\ncommand=vllm serve a/b\n"),
        ("a.conf", "[program:vllm]\n  command=vllm serve a/b\nenvironment=A=\n"),
        ("a.conf", "[program:]\n=\n[program:x\ncommand\n[]\n"),
    ],
)
def test_other_files_hold_none(path, text):
    """Units of systemd, files of other names and odd sections start no program."""
    assert workloads("supervisord", path, text) == []


def test_values_that_double_each_other_end():
    """Expansions of expansions stay bounded."""
    text = "[supervisord]\nenvironment=A=" + "x" * 5000 + "\n[program:y]\ncommand=vllm " + "%(ENV_A)s" * 5000 + "\n"
    found = only("supervisord", "supervisord.conf", text)

    assert sum(len(word.text) for word in found.command) < 3_000_000
