"""The README keeps its word: every command in it is run here, and what it shows is what is printed.

`KVPLAN_UPDATE=1 pytest tests/readme` writes the present output into the README, to be read before it is committed.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
TEXT = README.read_text(encoding="utf-8")
CONSOLE = re.compile(r"```console\n(.*?)```", re.DOTALL)
PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)


def run(command: str) -> str:
    """Return what a `kvplan ...` command line prints, stdout then stderr."""
    words = shlex.split(command)
    assert words[0] == "kvplan"
    env = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "kvplan", *words[1:]],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=env,
        timeout=60,
        check=False,
    )
    assert done.returncode in (0, 1, 2), done.stderr
    return done.stdout + done.stderr


def fresh(block: str) -> str:
    """Return a console block with each command followed by what it prints now."""
    commands = [line[2:] for line in block.splitlines() if line.startswith("$ ")]
    return "".join(f"$ {command}\n{run(command)}" for command in commands)


@pytest.mark.parametrize("block", CONSOLE.findall(TEXT), ids=lambda block: block.splitlines()[0][2:50])
def test_every_console_block_shows_what_is_printed(block):
    """A command in the README prints what stands under it."""
    now = fresh(block)
    if os.environ.get("KVPLAN_UPDATE"):
        README.write_text(README.read_text(encoding="utf-8").replace(block, now), encoding="utf-8")
        return
    assert now == block


@pytest.mark.parametrize("code", PYTHON.findall(TEXT))
def test_every_python_block_runs(code, capsys):
    """Python in the README runs as it stands there."""
    exec(compile(code, "README.md", "exec"), {})  # noqa: S102  our own README
    assert capsys.readouterr().out.startswith("fits ")


# Tables between markers, and what prints each.
TABLES = {"corpora": ["tools/score_corpora.py"], "accuracy": ["-m", "kvplan", "accuracy", "--markdown"]}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_what_its_tool_prints(name):
    """The figures of "How right it is" are printed by kvplan's own tools and command."""
    between = re.compile(rf"<!-- {name} -->\n(.*?)<!-- end -->", re.DOTALL)
    done = subprocess.run(
        [sys.executable, *TABLES[name]], capture_output=True, text=True, cwd=ROOT, timeout=300, check=True
    )
    block = between.search(TEXT)
    assert block is not None
    if os.environ.get("KVPLAN_UPDATE"):
        text = README.read_text(encoding="utf-8")
        README.write_text(between.sub(lambda _: f"<!-- {name} -->\n{done.stdout}<!-- end -->", text), encoding="utf-8")
        return
    assert done.stdout == block[1]


def test_the_rows_of_vllms_own_code_are_counted():
    """The README counts the rows that the allocator is held to as the files hold them."""
    folder = ROOT / "tests/engines/vllm"
    rows = json.loads((folder / "allocator_rows.json").read_text(encoding="utf-8"))["rows"]
    older = json.loads((folder / "release_rows.json").read_text(encoding="utf-8"))["rows"]
    words = " ".join(TEXT.split())
    assert f"all {len(rows)} rows over {len({row['model'] for row in rows})} catalogue models" in words
    assert f"{len({row['version'] for row in older})} older releases in all {len(older)} rows" in words


def test_the_ci_runs_the_commands_of_the_readme():
    """`.ci/run` takes the install and the test command from here, so both stand between its markers."""
    for name in ("install", "test"):
        assert re.search(rf"<!-- ci: {name} -->\n```sh\n.+\n```", TEXT)
