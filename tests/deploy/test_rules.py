"""The rules' pages: complete, printed, and each with an example that breaks its rule."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kvplan import cli
from kvplan.rules.catalogue import rules
from kvplan.rules.finding import SEVERITIES

CODE = Path(__file__).resolve().parents[2] / "kvplan"
IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "x"), ("EMAIL", "x@example.org"))
}
BASH = shutil.which("bash") or "bash"


@pytest.fixture
def kvplan(capsys, monkeypatch):
    """Run `kvplan WORDS` in this process; give its exit code, stdout and stderr."""

    def run(*words: str):
        monkeypatch.setattr(sys, "argv", ["kvplan", *words])
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        code = 0
        try:
            cli.main()
        except SystemExit as stopped:
            code = stopped.code or 0
        return code, *capsys.readouterr()

    return run


@pytest.mark.parametrize("rule", rules().values(), ids=lambda rule: rule.code)
def test_every_rule_has_all_its_texts(rule):
    """A page says what is checked, why it matters, an example, the fix, the source and since when."""
    assert re.fullmatch(r"KVP\d{3}", rule.code)
    assert re.fullmatch(r"[a-z]+(?:-[a-z]+)+", rule.name)
    assert rule.severity in SEVERITIES
    for text in (rule.summary, rule.what, rule.why, rule.fix, rule.formula_and_source):
        assert len(text) > 10
        assert text[-1] in ".:`)", text
    assert re.fullmatch(r"\d+\.\d+\.\d+", rule.since)


def test_names_are_as_unique_as_codes():
    """`kvplan rule NAME` means one rule."""
    assert len({rule.name for rule in rules().values()}) == len(rules())


def test_every_code_that_kvplan_uses_has_a_page():
    """No finding has a code that `kvplan rule` does not explain, and no page is about a code that nothing finds."""
    used = {
        code for path in CODE.rglob("*.py") for code in re.findall(r"\"(KVP\d{3})\"", path.read_text(encoding="utf-8"))
    }
    assert used == set(rules())


def prepared(example: str, folder: Path) -> list[str]:
    """Write what an example needs into a folder, and return the words of its `kvplan check` command."""
    first, _, _ = example.partition("\n")
    if first.startswith("# kvplan "):
        words = shlex.split(first)[2:]
        path = folder / words[1]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{example}\n", encoding="utf-8")
        return words
    words = []
    for line in example.splitlines():
        command = line.removeprefix("$ ")
        assert command != line
        if command.startswith("kvplan "):
            words = shlex.split(command)[1:]
        else:
            subprocess.run([BASH, "-euc", command], cwd=folder, env=os.environ | IDENTITY, check=True)
    return words


@pytest.mark.parametrize("rule", rules().values(), ids=lambda rule: rule.code)
def test_every_example_breaks_its_rule_and_no_other(rule, kvplan, tmp_path, monkeypatch):
    """Checked as it says, the example on a rule's page gives that rule's finding, at its severity, and nothing else."""
    monkeypatch.chdir(tmp_path)
    words = prepared(rule.example, tmp_path)
    assert words[0] == "check"
    code, out, err = kvplan(*words, "--json")
    assert code in (0, 1), err
    found = [each for each in json.loads(out)["findings"] if not each["suppressed"]]
    said = "\n".join(f"{each['code']} {each['message']}" for each in found)
    assert [(each["code"], each["severity"]) for each in found] == [(rule.code, rule.severity)], said


def test_a_page_is_printed_with_all_its_parts(kvplan):
    """`kvplan rule CODE` takes a code in any spelling, or a name, and prints the page; lines to copy stay whole."""
    code, out, _ = kvplan("rule", "KVP102")
    assert code == 0
    for title in ("What it checks", "Why it matters", "Example", "Fix", "Formula and source"):
        assert f"\n{title}\n" in out
    for line in rules()["KVP102"].example.splitlines():
        assert f"  {line}\n" in out
    assert (
        out == kvplan("rule", "kvp102")[1] == kvplan("rule", "102")[1] == kvplan("rule", "cache-below-one-request")[1]
    )


def test_without_a_code_the_rules_are_listed(kvplan):
    """`kvplan rule` names every rule in a line; `--all` prints every page."""
    _, listed, _ = kvplan("rule")
    _, pages, _ = kvplan("rule", "--all")
    for rule in rules().values():
        assert f"{rule.code}  {rule.severity}" in listed
        assert f"{rule.code}  {rule.name}\n" in pages


def test_rules_are_given_as_json(kvplan):
    """`--json` and `--format json` hold what the pages say."""
    _, one, _ = kvplan("rule", "KVP102", "--json")
    _, all_, _ = kvplan("rule", "--all", "--format", "json")
    assert json.loads(one)["summary"] == rules()["KVP102"].summary
    assert list(json.loads(all_)) == list(rules())
    assert json.loads(all_)["KVP102"] == json.loads(one)


@pytest.mark.parametrize(
    "words, message",
    [
        (["KVP103x"], "Did you mean KVP103"),
        (["weights"], "Did you mean weights-do-not-fit?"),
        (["nothing at all\x1b[0m"], "`kvplan rule` lists them."),
        (["KVP102", "--all"], "Keep one of the two."),
        (["--format", "html"], "none of text and json"),
    ],
)
def test_what_is_no_rule_is_refused_with_the_nearest(kvplan, words, message):
    """A code that there is not ends with exit code 2 and the nearest ones; nothing of it reaches the terminal as an escape."""
    code, _, err = kvplan("rule", *words)
    assert code == 2
    assert message in err
    assert "\x1b" not in err
