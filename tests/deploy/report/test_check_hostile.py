"""Whatever stands in a file, what is printed of it acts on nothing."""

import json
import re
import unicodedata
from xml.etree import ElementTree as ET

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_samples import RULES, unit
from test_check_documents import SCHEMA

from kvplan.deploy.unit import Input, Open
from kvplan.launch.text import Place, Source
from kvplan.report.check import formats
from kvplan.rules.finding import Checked, Edit, Finding, Fix, Label

_PIECES = [
    "\x1b[31m", "\x1b]0;t\x07", "\r", "\n", "\r\n", "\t", "\x00", "\x7f", "\x85", "\x9b", "\u2028", "\u202e", "\u2066", "\u200b",
    "\ufeff", "\ud800", "\U000e0041", "::set-output name=a::b", "\n::error::x", "  ::warning::y", "##[group]", "###[x",
    "</testcase>", "]]>", "<!--", "&amp;", "<script>", "```", "`````", "|", "@user", "#1", "%0A", "%", ":", ",", "模", "😀",
    "a\u0301", "##vso[task]", "key",
    "x" * 300, "\ue000", "'", '"', "\\", "--- a/f\n+++ b/f\n@@ -1 +1 @@\n", "--api-key ", "name: HF_TOKEN\n", "value: ",
]  # fmt: skip
hostile = st.lists(st.sampled_from(_PIECES) | st.text(max_size=6), max_size=8).map("".join)


@st.composite
def checks(draw):
    """Draw a check in which every text is hostile and every place anywhere."""
    sources = [Source(draw(hostile) or "f", draw(hostile)) for _ in range(2)]

    def place():
        source = draw(st.sampled_from(sources))
        start, end = sorted(draw(st.tuples(*[st.integers(0, len(source.text))] * 2)))
        return Place(source, start, end)

    def fix():
        return Fix(change=draw(hostile), effect=draw(hostile), edits=(Edit(place(), draw(hostile)),))

    findings = [
        Finding(
            code="KVP102",
            severity=draw(st.sampled_from(["error", "warning", "note"])),
            message=draw(hostile),
            place=place(),
            subject=draw(hostile),
            here=draw(hostile),
            labels=(Label(place(), draw(hostile)), Label(place(), "")),
            notes=(draw(hostile),),
            fixes=(fix(),),
            suppressed=draw(st.sampled_from(["", "", "why"])),
        )
        for _ in range(draw(st.integers(1, 2)))
    ]
    value = draw(hostile)
    units = [
        unit(
            place(),
            name=draw(hostile),
            engine=draw(hostile),
            version=draw(hostile),
            verdict=draw(st.sampled_from(["unknown", "tight"])),
            inputs={
                draw(hostile): Input(value={value: [value]}, origin="given"),
                "model": Input(value=value, origin="given"),
            },
            open=[Open(draw(hostile), draw(hostile), place())],
        )
    ]
    return Checked(units=units, findings=findings, reasons=[draw(hostile)], exit_code=1)


@pytest.mark.parametrize("name", sorted(formats()))
@given(checked=checks())
def test_nothing_acts(name, checked):
    """No format prints a control character, what turns or hides text, or a command to a CI log that is not its own."""
    text = formats()[name](checked, rules=RULES, width=60)
    assert text == formats()[name](checked, rules=RULES, width=60)
    text.encode()
    assert not any(unicodedata.category(one) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for one in re.sub(r"\r?\n|\t", "", text))
    assert not re.search(r"(?i)##(\[|vso\[|teamcity\[)", text)
    commands = [line for line in text.splitlines() if line.lstrip().startswith("::")]
    own = re.compile(
        r"::(error|warning|notice) file=[^,:]*,line=\d+,endLine=\d+(,col=\d+,endColumn=\d+)?,title=[^,:]*::"
    )
    assert all(own.match(line) for line in commands)
    assert len(commands) == (len(checked.open) if name == "github" else 0)


@given(checks())
def test_documents_stay_whole(checked):
    """JSON, SARIF, GitLab's and JUnit's documents parse, JSON by its schema, and hold paths as they are."""
    document = json.loads(formats()["json"](checked, rules=RULES))
    jsonschema.validate(document, SCHEMA)
    assert len(json.loads(formats()["gitlab"](checked, rules=RULES))) == len(checked.open)
    (run,) = json.loads(formats()["sarif"](checked, rules=RULES))["runs"]
    uris = [result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for result in run["results"]]
    assert all(re.fullmatch(r"[A-Za-z0-9_.~/%:-]*", uri) for uri in uris)
    suites = ET.fromstring(formats()["junit"](checked, rules=RULES))  # noqa: S314  our own text
    cases = suites.findall(".//testcase")
    assert str(len(cases)) == suites.get("tests")


def test_long_lines_are_quick():
    """A line of a million characters, whatever it holds, is cut and costs no more than its length."""
    for piece in ("x", "--api-key ", "token=", "eyJabcdefgh-", "a=", "- ", "name: ", "`", "://", "${A:-"):
        source = Source("f", piece * (1_000_000 // len(piece)))
        found = Finding(code="KVP102", severity="error", message=source.text, place=Place(source, 500_000, 500_005))
        report = formats()["full"](Checked(findings=[found]), rules=RULES)
        assert max(map(len, report.splitlines())) < 1_100
