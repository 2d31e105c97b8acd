"""`kvplan check` on the command line: help, examples that run, plain output in pipes, one JSON document, honest failures."""

import io
import json
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest

from kvplan import cli
from kvplan.cli import check as command
from kvplan.report import check as report

SCHEMA = json.loads((Path(report.__file__).parent / "schema.json").read_text(encoding="utf-8"))
SERVE = "docker run --gpus 1 vllm/vllm-openai:v0.11.0 --model {model} --max-model-len {length}\n"
FILES = {
    "fits.sh": SERVE.format(model="Qwen/Qwen3-8B", length=8192),
    "misfit.sh": SERVE.format(model="meta-llama/Llama-3.1-8B-Instruct", length=131072),
    "unknown.sh": "# kvplan: users=4\n" + SERVE.format(model="/models/x", length="$LEN"),
    "other.sh": "docker run --gpus 2 lmsysorg/sglang:v0.5.3 python3 -m sglang.launch_server --model-path Qwen/Qwen3-8B --tp 4\n",
    "flags.sh": SERVE.format(model="Qwen/Qwen3-8B", length=8192).replace(
        "\n", " --nosuch 1  # kvplan: ignore[KVP102] x\n"
    ),
    "broken.yaml": "image: vllm/vllm-openai\nargs: [\n",
}


@pytest.fixture
def kvplan(capsys, monkeypatch, tmp_path):
    """Run `kvplan check WORDS` in a folder with some files; give its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")

    def run(*words: str, stdin: str = ""):
        monkeypatch.setattr(sys, "argv", ["kvplan", "check", *words])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        code = 0
        try:
            cli.main()
        except SystemExit as stopped:
            code = stopped.code or 0
        return code, *capsys.readouterr()

    return run


def test_help_says_what_each_option_does(kvplan):
    """Every option has a help text, and the exit codes of the contract stand below."""
    code, out, _ = kvplan("--help")
    assert code == 0
    options = re.findall(r"(?m)^  (?:-\w, )?(--[a-z-]+)", out)
    assert {"--gpu", "--engine", "--model-map", "--set", "--env-file", "--config", "--format", "--output"} <= set(
        options
    )
    assert {"--fail-on", "--baseline", "--against", "--max-loss", "--fix", "--online", "--stdin-filename"} <= set(
        options
    )
    assert (
        "Exit code: 0 nothing to fail on, 1 findings, 2 the input or the usage is wrong, 3 kvplan failed."
        in " ".join(out.split())
    )


EXAMPLES = [
    line.split("  ")[0] for line in (line.strip() for line in command.EXAMPLES.splitlines()) if "kvplan check" in line
]


def test_there_are_examples():
    """The help shows the usual ways to call it."""
    assert len(EXAMPLES) == 5


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_of_the_help_run(kvplan, tmp_path, example):
    """Each example is a command that works as it stands there."""
    (tmp_path / "k8s").mkdir()
    (tmp_path / "k8s" / "serve.sh").write_text(FILES["fits.sh"], encoding="utf-8")
    (tmp_path / "deploy.yaml").write_text(
        "services: {a: {image: 'vllm/vllm-openai:v0.11.0', command: --model Qwen/Qwen3-8B}}\n"
    )
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org"]
    for words in (
        ["init", "--quiet", "--initial-branch=main"],
        ["add", "--all"],
        ["commit", "--quiet", "--message", "x"],
    ):
        subprocess.run([*git, *words], cwd=tmp_path, check=True)
    first, _, piped = example.partition(" | ")
    words = shlex.split(piped or first)[2:]
    code, out, err = kvplan(*words, stdin=FILES["fits.sh"] if piped else "")
    assert code in (0, 1), err
    assert " engine" in out


def test_a_pipe_gets_plain_lines(kvplan):
    """Without a terminal there is no colour, and no line ends in blanks."""
    for name in ("full", "concise", "markdown", "github"):
        _, out, _ = kvplan(".", "--gpu", "l4", "--format", name)
        assert "\x1b" not in out
        assert [
            line
            for line in out.splitlines()
            if line != line.rstrip() and line[:3] not in ("---", "+++") and line[:1] != " "
        ] == []


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


@pytest.mark.parametrize("variables, coloured", [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_a_terminal_gets_colours_unless_told_otherwise(kvplan, monkeypatch, variables, coloured):
    """A terminal is painted; NO_COLOR and TERM=dumb are heeded."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    kvplan("misfit.sh", "--gpu", "l4")
    assert ("\x1b[" in stream.getvalue()) == coloured


@pytest.mark.parametrize(
    "words",
    [
        ["."],
        [".", "--gpu", "l4"],
        [".", "--gpu", "h100", "--set", "LEN=4096", "--model", "Qwen/Qwen3-8B"],
        ["fits.sh"],
        ["none.yaml", "--ignore", "ALL"],
    ],
)
def test_json_is_one_document_that_the_schema_takes(kvplan, tmp_path, words):
    """--json prints the contract's document and nothing else, for every verdict and finding."""
    (tmp_path / "none.yaml").write_text("a: 1\n")
    code, out, err = kvplan(*words, "--json")
    assert (code in (0, 1), err) == (True, "")
    document = json.loads(out)
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    assert document["summary"]["units"] == len(document["units"])
    assert out == kvplan(*words, "--format", "json")[1]


def test_a_unit_holds_the_inputs_of_the_contract(kvplan):
    """Each unit has all inputs by the contract's names, and a plan where its verdict is known."""
    _, out, _ = kvplan(".", "--gpu", "l4", "--json")
    for unit in json.loads(out)["units"]:
        assert {
            "model",
            "gpu",
            "gpu_count_requested",
            "tensor_parallel",
            "pipeline_parallel",
            "data_parallel",
            "max_model_len",
        } <= set(unit["inputs"])
        assert {
            "gpu_memory_utilization",
            "kv_cache_dtype",
            "quantization",
            "max_num_seqs",
            "max_num_batched_tokens",
        } <= set(unit["inputs"])
        assert (unit["plan"] is None) == (unit["verdict"] == "unknown")


def test_a_defect_of_kvplan_is_called_one(kvplan, monkeypatch):
    """An unexpected exception is exit code 3, without a result and without a traceback: it never looks like a fit."""
    monkeypatch.setattr("kvplan.checking.check_file", lambda *_, **__: 1 / 0)
    code, out, err = kvplan("fits.sh")
    assert (code, out) == (3, "")
    assert "This is a defect of kvplan" in err


def test_a_closed_input_is_an_empty_one():
    """`kvplan check - <&-` finds nothing, and says so."""
    done = subprocess.run(
        ["/bin/sh", "-c", f"{sys.executable} -m kvplan check - <&-"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 file, 0 engines" in done.stdout


@pytest.mark.parametrize("words", [["estimate", "-m", "llama-3.1-8b", "-g", "h100"], ["check", "nothing.txt"]])
def test_no_command_imports_what_it_does_not_need(tmp_path, words):
    """`kvplan estimate` starts without the check, and a check without torch, the hub's client, pydantic or rich."""
    (tmp_path / "nothing.txt").write_text(FILES["fits.sh"])
    code = (
        "import sys\nfrom kvplan import cli\nsys.argv[0] = 'kvplan'\ntry:\n    cli.main()\nexcept SystemExit:\n    pass\n"
        "print(sorted(sys.modules), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    modules = set(re.findall(r"'([\w.]+)'", done.stderr))
    assert "kvplan" in modules
    unwanted = {"torch", "huggingface_hub", "pydantic", "jsonschema"}
    unwanted |= (
        {"kvplan.checking", "kvplan.deploy", "kvplan.rules", "kvplan.report.check"}
        if words[0] == "estimate"
        else {"rich.console"}
    )
    assert modules & unwanted == set()


def test_a_small_check_is_quick(tmp_path):
    """A check of one file takes a fraction of a second, start included."""
    (tmp_path / "a.sh").write_text(FILES["fits.sh"])
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "kvplan", "check", "a.sh"], capture_output=True, check=True, cwd=tmp_path)
    assert time.perf_counter() - start < 5
