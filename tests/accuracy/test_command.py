"""`kvplan accuracy` on the command line."""

import json
import subprocess
import sys

import pytest

from kvplan import cli
from kvplan.accuracy.measures import MEASURES


@pytest.fixture
def kvplan(capsys, monkeypatch):
    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["kvplan", *words])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        return int(stopped.value.code or 0), *capsys.readouterr()

    return run


def test_the_document_holds_every_row_and_figure(kvplan, logs):
    """One JSON document of its schema: each row of the corpus, and the figures of each breakdown."""
    code, out, err = kvplan("accuracy", "--json")
    document = json.loads(out)
    assert (code, err, document["schema"]) == (0, "", "kvplan.accuracy/1")
    assert [row["id"] for row in document["rows"]] == [log.id for log in logs]
    assert set(document["without_draft"]["measures"]) == set(MEASURES)
    assert document["by"].keys() == {"version", "gpu", "family"}
    counts = document["corpus"]
    assert counts["planned"] + counts["refused"] + counts["excluded"] == counts["rows"] == len(logs)


@pytest.mark.parametrize("by", ["version", "gpu", "family", "all"])
def test_tables_fit_a_pipe(kvplan, by):
    """Plain lines of at most 100 columns, with the breakdown that was asked for."""
    code, out, _ = kvplan("accuracy", "--by", by)
    assert code == 0
    assert max(map(len, out.splitlines())) <= 100
    assert "available cache, weights given" in out
    assert ("0.19" in out) == (by == "version")
    assert ("rtx5090 " in out) == (by == "gpu")
    assert ("gpt_oss" in out) == (by == "family")


def test_the_worst_rows_come_with_reasons(kvplan, scored):
    """As many rows as asked for, each with why it is off or that this is not explained yet."""
    _, out, _ = kvplan("accuracy", "--worst", "3")
    for error in scored.worst(3):
        assert error.log.id in out
    assert "furthest off" in out


def test_markdown_is_the_readmes_table(kvplan):
    """A table that opens with its heading, and the names of what went wrong."""
    _, out, _ = kvplan("accuracy", "--markdown")
    assert out.startswith("| planned against vLLM's start-up logs |")
    assert all(f"| {measure.title} |" in out for measure in MEASURES.values())


@pytest.mark.parametrize("words", [["--json"], ["--worst", "3"], ["--by", "gpu"]])
def test_markdown_takes_nothing_beside_it(kvplan, words):
    """Options that would change nothing in the table are refused, not dropped."""
    code, out, err = kvplan("accuracy", "--markdown", *words)
    assert (code, out) == (2, "")
    assert words[0] in err


def test_another_engine_has_no_logs(kvplan):
    """Scored is what there are logs of; else the usage is wrong."""
    code, out, err = kvplan("accuracy", "--engine", "sglang")
    assert (code, out) == (2, "")
    assert "sglang" in err


def test_other_commands_do_not_read_it():
    """Scoring costs an estimate nothing: it is imported by its command alone."""
    script = "import sys, kvplan.cli.app; print([m for m in sys.modules if m.startswith('kvplan.accuracy')])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
