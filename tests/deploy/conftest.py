"""What the tests of the gate share: a folder to check, and a way to run kvplan in it."""

import io
import sys

import pytest
from deployments import Ran, write

from kvplan import cli


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Start in an empty folder, without the hub and without the machine's own variables."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def check(folder, capsys, monkeypatch):
    """Write files by their names, run `kvplan check WORDS --json` in their folder, and return what it ended with."""

    def run(*words: str, files=None, stdin: bytes | None = None, form: str = "json") -> Ran:
        write(folder, files or {})
        monkeypatch.setattr(sys, "argv", ["kvplan", "check", *words, "--format", form])
        if stdin is not None:
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = 0
        try:
            cli.main()
        except SystemExit as stopped:
            code = stopped.code or 0
        return Ran(code, *capsys.readouterr())

    return run
