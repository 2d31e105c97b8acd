"""What people type and what they see."""

import json
import subprocess
import sys

import pytest

from kvplan import cli
from kvplan.cli.app import app


def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[int, str, str]:
    """Run `kvplan WORDS` and return its exit code, stdout and stderr."""
    monkeypatch.setattr(sys, "argv", ["kvplan", *words])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    out, err = capsys.readouterr()
    code = stopped.value.code
    return code if isinstance(code, int) else int(code or 0), out, err


@pytest.fixture
def kvplan(capsys, monkeypatch):
    return lambda *words: run(capsys, monkeypatch, *words)


@pytest.mark.parametrize(
    "words, code",
    [
        (["estimate", "--model", "llama-3-70b", "--gpu", "rtx4090"], 1),
        (["estimate", "-m", "llama-3.1-8b", "-g", "h100", "-c", "8192", "-u", "4"], 0),
        (["estimate", "-m", "llama-3.1-8b", "-g", "h100", "-c", "8192", "--gpu-memory-used", "20GiB"], 1),
        (["estimate", "-m", "llama-3.1-8b", "-g", "h100", "-c", "8192", "--gpu-memory-used", "0"], 0),
        (["estimate", "-m", "llama-3.1-8b", "-g", "h100", "-c", "8192", "--gpu-memory-used", "much"], 2),
        (
            ["estimate", "-m", "llama-3.1-8b", "-g", "h100", "--gpu-memory-used", "1GiB", "-a", "gpu-memory-used=2GiB"],
            2,
        ),
        (["estimate", "-m", "llama-3.1-8b", "-g", "h100", "-tp", "3"], 2),
        (["estimate", "-m", "llama-3.1-8b"], 0),
        (["estimate", "-m", "no-such-model", "-g", "h100"], 2),
        (["estimate", "-m", "llama-3.1-8b", "-g", "no-such-gpu"], 2),
        (["estimate", "-m", "llama-3.1-8b", "-g", "h100", "-e", "vlm"], 2),
        (["estimate", "-m", "llama-3.1-8b", "-g", "h100", "-e", "sglang"], 2),
        (["estimate", "-m", "llama-3.1-8b", "-g", "h100", "-c", "many"], 2),
        (["estimate", "-m", "llama-3.1-8b", "-g", "h100", "-c", "0"], 2),
        (["estimate", "-m", "llama-3.1-8b", "-g", "h100", "-q", "int3"], 2),
        (["estimate", "-m", "llama-3.1-8b", "-g", "h100", "--kv-dtype", "fp7"], 2),
        (["estimate", "-m", "llama-3.1-8b", "-g", "h100", "-a", "max_num_seqs"], 2),
        (["estimate", "-m", "llama-3.1-8b", "-g", "h100", "-a", "max_seqs=4"], 2),
        (["estimate", "-m", "llama-3.1-8b", "-g", "2xh100", "-tp", "4"], 2),
        (["estimate"], 2),
        (["guess"], 2),
    ],
)
def test_the_exit_code_is_the_contracts(kvplan, words, code):
    """0 it fits, 1 it does not, 2 the input or the usage is wrong."""
    got, out, err = kvplan(*words)
    assert got == code, err
    assert (out == "") == (code == 2)
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "words, says",
    [
        (["estimate", "-m", "lama-3-70b", "-g", "h100"], "llama-3-70b"),
        (["estimate", "-m", "llama-3-70b", "-g", "rtx409"], "rtx4090"),
        (["estimate", "-m", "llama-3-70b", "-g", "h100", "-e", "vlm"], "vllm"),
        (["estimate", "-m", "llama-3-70b", "-g", "h100", "-a", "max_num_seq=4"], "max_num_seqs"),
        (["models", "lama-3-70b"], "llama-3-70b"),
        (["gpus", "rtx409"], "rtx4090"),
    ],
)
def test_an_unknown_name_gets_the_nearest(kvplan, words, says):
    """A misspelt model, GPU, engine or argument is answered with the name that was meant."""
    code, out, err = kvplan(*words)
    assert code == 2 or says in out
    assert says in out + err


def test_an_engine_to_come_is_refused_by_name(kvplan):
    """An engine of the contract that is not built yet is named as such, with those that are."""
    _, _, err = kvplan("estimate", "-m", "llama-3-70b", "-g", "h100", "-e", "llama.cpp")
    assert "'llama.cpp' is not built yet" in err
    assert "vllm, transformers, textbook" in err


def test_json_is_one_document_and_nothing_else(kvplan):
    """`--json` prints the contract's document, also for a plan that does not fit."""
    code, out, err = kvplan("estimate", "-m", "llama-3-70b", "-g", "rtx4090", "--json", "--explain")
    plan = json.loads(out)
    assert (code, err) == (1, "")
    assert plan["schema"] == "kvplan.plan/1"
    assert plan["verdict"] == "does_not_fit"
    assert {step["figure"] for step in plan["derivations"]} >= {"parameters", "weights", "budget", "one request"}


@pytest.mark.parametrize(
    "model", ["llama-3-70b", "gemma-3-27b", "qwen3-next-80b-a3b", "deepseek-v3", "whisper-large-v3"]
)
@pytest.mark.parametrize("gpu", ["rtx4090", "8xh200", "24GiB"])
def test_a_pipe_gets_plain_lines_of_80_columns(kvplan, model, gpu):
    """Without a terminal there is no colour, no padding and no line over 80 columns."""
    _, out, _ = kvplan("estimate", "-m", model, "-g", gpu, "--explain")
    assert "\x1b" not in out
    assert [line for line in out.splitlines() if len(line) > 80 or line != line.rstrip()] == []


def test_one_screen_holds_the_answer(kvplan):
    """Without `--explain` a plan is at most 40 lines, the verdict first."""
    _, out, _ = kvplan("estimate", "-m", "gemma-3-27b", "-g", "h200", "-c", "32k", "-u", "20")
    lines = out.splitlines()
    assert lines[0].split()[0] in ("FITS", "TIGHT", "DOES")
    assert len(lines) <= 40


def test_all_gpus_that_are_named_are_used(kvplan):
    """`--gpu 4xh100` without parallel sizes is one replica over four GPUs."""
    _, out, _ = kvplan("estimate", "-m", "llama-3-70b", "-g", "4xh100", "--json")
    plan = json.loads(out)
    assert plan["parallel"] == {"tensor": 4, "pipeline": 1, "data": 1}
    assert plan["gpu"]["count"] == 4


def test_hostile_names_are_shown_not_obeyed(kvplan):
    """Terminal escapes in an argument are printed as text."""
    _, _, err = kvplan("estimate", "-m", "\x1b[31mred", "-g", "h100")
    assert "\x1b" not in err


def test_every_command_has_help_and_estimate_has_examples(kvplan):
    """`--help` of each command says what it does; that of `estimate` shows how, and the exit codes."""
    for command in app.registered_commands:
        code, out, _ = kvplan(str(command.name), "--help")
        assert code == 0
        assert "Usage: " in out
    _, out, _ = kvplan("estimate", "--help")
    assert "kvplan estimate --model llama-3-70b --gpu rtx4090" in out
    assert "Exit code: 0 it fits" in out


def test_a_broken_pipe_is_quiet():
    """`kvplan models | head -1` ends without a word on stderr."""
    command = f"{sys.executable} -m kvplan models | head -1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)  # noqa: S607
    assert done.stderr == ""


@pytest.mark.parametrize("words", ["", "--json"])
def test_an_answer_that_cannot_be_written_is_no_defect(words):
    """A full disk is named (exit code 2); a closed output stream leaves the exit code as the answer."""
    command = f"{sys.executable} -m kvplan estimate -m llama-3.1-8b -g h100 -c 8192 {words}"
    for target, code, says in (("> /dev/full", 2, "cannot be written"), (">&-", 0, "")):
        shell = ["sh", "-c", f"{command} {target}"]
        done = subprocess.run(shell, capture_output=True, text=True, check=False)
        assert done.returncode == code
        assert says in done.stderr
        assert bool(done.stderr) is bool(says)


def test_a_defect_of_kvplan_is_called_one(kvplan, monkeypatch):
    """An unexpected exception is exit code 3, with a request to report it, and no traceback."""
    monkeypatch.setattr("kvplan.cli.estimate.plan_for", lambda *_, **__: 1 / 0)
    code, out, err = kvplan("estimate", "-m", "llama-3-70b", "-g", "h100")
    assert (code, out) == (3, "")
    assert "This is a defect of kvplan" in err
