"""Findings for people, and one a line."""

import subprocess
from pathlib import Path
from textwrap import dedent

import pytest
from report_samples import RULES, at, finding, sample, unit

from kvplan.launch.text import Place, Source
from kvplan.report.check import formats
from kvplan.rules.finding import Checked, Edit, Finding, Fix, Label


def full(*findings, units=(), **options):
    return formats()["full"](Checked(units=list(units), findings=list(findings)), rules=RULES, **options)


def test_full():
    """A finding says where, shows the lines that decided it, how the figures come about and the change; then come the engines."""
    expected = dedent("""\
        deploy/llama.yaml:8:11: KVP102 error: KV cache holds 32,768 tokens, less than one request of 131,072
           |
         5 |       image: vllm/vllm-openai:v0.8.5
           |                               ------ 0.90 is its default
        ...
         8 |         - --max-model-len=131072
           |           ^^^^^^^^^^^^^^^^^^^^^^ one request needs 16.0 GiB
        ...
        13 |     cloud.google.com/gke-accelerator: nvidia-l4
           |                                       --------- 1 x L4
           = unit: Deployment llama, container vllm
           = note: 20.2 GiB = 0.90 x 22.5 GiB
           = fix: --max-model-len 32768 (holds one)
        --- a/deploy/llama.yaml
        +++ b/deploy/llama.yaml
        @@ -6,5 +6,5 @@
               args:
                 - --model=org/llama
        -        - --max-model-len=131072
        +        - --max-model-len=32768
               env:
                 - name: HF_TOKEN
           = fix: --kv-cache-dtype fp8 (65,536 tokens)
           = help: kvplan rule KVP102

        where                engine      model      GPU     verdict       requests
        deploy/llama.yaml:4  vllm 0.8.5  org/llama  ? x L4  does not fit  ?
        compose.yaml:1       vllm 0.8.5  ?          ?       unknown       ?

        compose.yaml:1: unknown, because the GPU is not stated (--gpu NAME)

        1 file is binary
        3 files, 2 engines: 1 does not fit, 1 unknown; 1 error, 0 warnings (1 suppressed, 1 fixable)
        """)
    assert formats()["full"](sample(), rules=RULES) == expected


def test_concise():
    """The concise format is a line for each finding and each engine, each with its file and line."""
    lines = formats()["concise"](sample(), rules=RULES).splitlines()
    assert lines[0].startswith("deploy/llama.yaml:8:11: KVP102 error: KV cache holds")
    assert (
        lines[1]
        == f"deploy/llama.yaml:4:5: {sample().units[0].name}: vllm 0.8.5, org/llama on ? x L4: does not fit, holds ?"
    )
    assert lines[2].endswith("unknown, because the GPU is not stated (--gpu NAME)")
    assert len(lines) == 5


def test_colour_is_only_colour():
    """Colour adds escapes for colour and changes nothing else; without it there is none."""
    import re  # noqa: PLC0415

    plain, coloured = (formats()["full"](sample(), rules=RULES, colour=colour) for colour in (False, True))
    assert "\x1b" not in plain
    assert re.sub(r"\x1b\[[0-9;]+m", "", coloured) == plain != coloured


@pytest.mark.parametrize("tool", [["patch", "-p1", "-i"], ["git", "apply"]])
def test_the_report_is_a_patch(tmp_path, tool):
    """The whole report can be given to patch and to git: it makes the first change."""
    file = tmp_path / "deploy" / "llama.yaml"
    file.parent.mkdir()
    source = sample().findings[0].place.source
    file.write_text(source.text)
    (tmp_path / "report").write_text(formats()["full"](sample(), rules=RULES))
    subprocess.run([*tool, "report"], cwd=tmp_path, check=True, capture_output=True)
    assert file.read_text() == source.text.replace("131072", "32768")


def _underlined(text):
    """Return what stands above the first underline, cut to its columns, each character as wide as a terminal makes it."""
    rows = text.splitlines()
    at_row = next(index for index, row in enumerate(rows) if set(row.strip(" |")) == {"^"})
    wide = ((one, "\0") if "\u4e00" <= one <= "\u9fff" else (one,) for one in rows[at_row - 1] if one != "\u0301")
    line = "".join(cell for cells in wide for cell in cells)
    start = rows[at_row].index("^")
    return line[start : start + rows[at_row].count("^")].replace("\0", "")


@pytest.mark.parametrize(
    "line, value",
    [
        ("a: 1", "1"),
        ("\tb:\t\tvalue here", "value"),
        ("模型: 值 x", "值"),
        ("模型\t值: y值z", "y值z"),
        ("a\u0301b: xy", "x"),
        ("x" * 5_000 + " needle " + "y" * 5_000, "needle"),
        ("模" * 900 + "needle" + "型" * 900, "needle"),
        ("key: \x1b[31mred", "red"),
        ("--api-key verysecret --max 5", "5"),
    ],
)
def test_underlines_align(line, value):
    """What is underlined stands over its underline: behind tabs, wide and combining characters, cuts and masks."""
    report = full(finding(Source("f", f"first\n{line}\nlast"), value))
    assert _underlined(report) == value
    assert all(len(row) <= 100 for row in report.splitlines())
    assert ("…" in report) == (len(line) > 1_000)


def test_far_marks_of_one_line_are_both_seen():
    """Two values of a line too long to be shown are each shown with what stands around them."""
    source = Source("f", "one " + "x" * 900 + " two")
    report = full(finding(source, "one", here="first", labels=(Label(at(source, "two"), "second"),)))
    assert "one xxx" in report
    assert "xxx two" in report
    assert report.index("first") < report.index("second")


def test_long_stretches():
    """Of a stretch over many lines the first three and the last are shown, with the words behind the last."""
    source = Source("f", "\n".join(f"line {number}" for number in range(1, 10)))
    place = Place(source, 0, len(source.text))
    report = full(Finding(code="KVP102", severity="error", message="m", place=place, here="this"))
    assert [row[:1] for row in report.splitlines() if row[1:3] == " |" and row[0] != " "] == ["1", "2", "3", "9"]
    assert report.count("...") == 1
    assert report.count("^^^^^^ this") == 1


def test_places_that_are_empty_or_behind_the_end():
    """A place without characters, at the file's end or in an empty file still gets its caret."""
    for text, start in (("", 0), ("ab\n", 1), ("ab\n", 3), ("ab", 2)):
        source = Source("f", text)
        report = full(Finding(code="KVP102", severity="note", message="m", place=Place(source, start, start)))
        assert "^" in report


def test_other_files_have_their_own_head():
    """A line of another file that decided is shown under that file's name."""
    source, other = Source("a.yaml", "len: ${LEN}\n"), Source(".env", "# x\nLEN=131072\n")
    report = full(finding(source, "${LEN}", labels=(Label(at(other, "131072"), "set here"),)))
    assert " --> .env:2:5\n  |\n2 | LEN=131072\n  |     ------ set here" in report


def test_the_same_diff_is_shown_once():
    """A change that settles two findings is shown once and named the second time."""
    source = Source("f", "len: 9\n")
    fix = Fix(change="--max-model-len 5", effect="", edits=(Edit(at(source, "9"), "5"),))
    report = full(*(finding(source, "9", fixes=(fix,), message=name) for name in ("one", "two")))
    assert report.count("+len: 5") == 1
    assert "--max-model-len 5 (the diff above)" in report


def test_no_diff_prints_what_is_kept_back():
    """Fewer lines around a change keep a secret out of a diff; a change of the secret's own line is only named."""
    near = "len: 9\nb: 1\napi_key: verysecret\n"
    on_it = "run: serve --api-key verysecret --len 9\n"
    odd = "a: \x1b[2J 9\n"
    command = "run: |\n  ::set-output name=x::y\n  len 9\n"
    for text, shown in ((near, True), (on_it, False), (odd, False), (command, False)):
        source = Source("f", text)
        fix = Fix(change="--len 5", effect="", edits=(Edit(at(source, "9"), "5"),))
        report = full(finding(source, "9", fixes=(fix,)))
        assert "verysecret" not in report
        assert ("@@" in report) == shown
        assert ("no diff" in report) != shown


def test_the_table_keeps_within_80_columns():
    """Long paths and names are folded in the table of engines, and none is cut."""
    path = "deployments/production/clusters/eu-west-1/serving/llama-4-maverick/deployment.yaml"
    source = Source(path, "kind: x\n")
    report = full(units=[unit(at(source, "kind"), version="0.10.2.dev123+gabcdef")])
    table = report.split("\n\n")[0].splitlines()
    assert all(len(row) <= 80 for row in table)
    column = "".join(row.split("  ")[0].strip() for row in table[1:])
    assert f"{path}:1" in column


def test_a_real_plan():
    """A unit with a plan says its model, GPUs and how many requests of what length it holds."""
    import kvplan  # noqa: PLC0415

    plan = kvplan.estimate("meta-llama/Llama-3.1-8B", gpu="L4", engine="vllm", context=8192)
    source = Source("f", "kind: x\n")
    report = full(units=[unit(at(source, "kind"), plan=plan, verdict=plan.verdict)])
    assert plan.deployment.model.id.split("/")[-1] in report
    assert f"{plan.capacity.max_concurrency:,.1f} x 8,192" in report


def test_every_format_is_named_for_its_file():
    """The folder is the registry: each file with a name is a format, and the eight are there."""
    assert set(formats()) == {"full", "concise", "json", "sarif", "junit", "github", "gitlab", "markdown"}
    folder = Path(formats.__wrapped__.__globals__["__file__"]).parent
    assert all((folder / f"{name}.py").is_file() for name in formats())
