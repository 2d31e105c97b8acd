"""Checks as documents for machines: each as its format's rules have it."""

import json
import re
from importlib.resources import files
from xml.etree import ElementTree as ET

import jsonschema
import pytest
from report_samples import NAME, RULES, at, finding, sample, unit

import kvplan
from kvplan.launch.text import Source
from kvplan.report.check import formats, sarif
from kvplan.rules.finding import Checked, Edit, Fix, Label

SCHEMA = json.loads(files("kvplan.report.check").joinpath("schema.json").read_text())


def written(name, checked=None):
    return formats()[name](checked or sample(), rules=RULES)


def test_json_keeps_the_contract():
    """The document is valid by its published schema, has its keys in the contract's order, and plans are whole."""
    source = Source("f", "kind: x\n")
    plan = kvplan.estimate("meta-llama/Llama-3.1-8B", gpu="L4", engine="vllm", context=8192)
    checked = sample()
    checked.units.append(unit(at(source, "kind"), plan=plan, verdict=plan.verdict))
    document = json.loads(written("json", checked))
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(document, SCHEMA)
    assert list(document) == ["schema", "units", "findings", "summary"]
    assert document["units"][2]["plan"] == json.loads(json.dumps(plan.to_dict()))
    first = document["findings"][0]
    assert list(first) == SCHEMA["$defs"]["finding"]["required"]
    assert first["location"]["message"] == "one request needs 16.0 GiB"
    assert first["remedies"][0]["edits"] == [
        {"path": "deploy/llama.yaml", "line": 8, "column": 27, "end_line": 8, "end_column": 33, "text": "32768"}
    ]
    assert [each["suppressed"] for each in document["findings"]] == [None, "known to us"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**5_000, {1: {2}}, b"x", object, [[[[]]]]], ids=type)
def test_json_takes_any_value(value):
    """A setting of any type is written as JSON."""
    from kvplan.deploy.unit import Input  # noqa: PLC0415

    checked = sample()
    checked.units[0].inputs["odd"] = Input(value=value, origin="given")
    jsonschema.validate(json.loads(written("json", checked)), SCHEMA)


def test_sarif_has_what_code_scanning_needs():
    """Rules have help and a level; results a place, a fingerprint, related places and fixes; suppressed ones say why."""
    log = json.loads(written("sarif"))
    assert log["version"] == "2.1.0"
    assert log["$schema"].endswith("sarif-schema-2.1.0.json")
    (run,) = log["runs"]
    rule, unknown_rule = run["tool"]["driver"]["rules"]
    assert rule["id"] == "KVP102"
    assert rule["defaultConfiguration"] == {"level": "error"}
    assert rule["help"]["markdown"].startswith("# cache-below-one-request (KVP102)")
    assert unknown_rule == {"id": "KVP401"}
    assert run["columnKind"] == "utf16CodeUnits"
    assert run["invocations"][0]["exitCode"] == 1
    first, second = run["results"]
    assert (first["ruleId"], first["ruleIndex"], first["level"]) == ("KVP102", 0, "error")
    physical = first["locations"][0]["physicalLocation"]
    assert physical["artifactLocation"] == {"uri": "deploy/llama.yaml", "uriBaseId": "%SRCROOT%"}
    assert set(run["originalUriBaseIds"]) == {"%SRCROOT%"}
    assert physical["region"] == {"startLine": 8, "startColumn": 11, "endLine": 8, "endColumn": 33}
    assert [related["id"] for related in first["relatedLocations"]] == [1, 2]
    assert first["partialFingerprints"] == {"kvplan/v1": sample().findings[0].fingerprint}
    (change,) = first["fixes"][0]["artifactChanges"]
    assert change["replacements"][0]["insertedContent"] == {"text": "32768"}
    assert second["suppressions"] == [{"kind": "inSource", "justification": "known to us"}]


def test_sarif_counts_utf16_and_encodes_paths():
    """Columns count UTF-16 code units; paths are percent-encoded, whole ones are file URIs without a base."""
    source = Source("d e/ü#%?.yaml", "k: 😀模 9\n")
    log = sarif.document(Checked(findings=[finding(source, "9")]), RULES)
    physical = log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert physical["artifactLocation"]["uri"] == "d%20e/%C3%BC%23%25%3F.yaml"
    assert physical["region"]["startColumn"] == 8
    whole = sarif.document(Checked(findings=[finding(Source("/a/b", "9"), "9")]), RULES)
    artifact = whole["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]
    assert artifact == {"uri": "file:///a/b"}


def test_sarif_links_help_where_the_package_says(monkeypatch):
    """Rules link to the documentation that the package's metadata name, and to nothing where they name none."""
    assert "helpUri" not in json.loads(written("sarif"))["runs"][0]["tool"]["driver"]["rules"][0]
    monkeypatch.setattr(sarif, "_documentation", lambda: "https://docs.example.org/")
    rule = sarif.document(sample(), RULES)["runs"][0]["tool"]["driver"]["rules"][0]
    assert rule["helpUri"] == "https://docs.example.org/rules/KVP102"


def test_sarif_messages_hold_no_links():
    """A name written as a link stays text."""
    log = written("sarif", Checked(findings=[finding(Source("f", "9"), "9", message="[x](https://evil.example)")]))
    assert "](" not in json.loads(log)["runs"][0]["results"][0]["message"]["text"]


def test_junit():
    """Each engine is a test case: it fails by its errors, is skipped without a verdict; a broken file is an error."""
    checked = sample()
    checked.findings.append(finding(Source("broken.yaml", "a: [\n"), "[", code="KVP001", message="not <YAML>"))
    suites = ET.fromstring(written("junit", checked))  # noqa: S314  our own text
    (suite,) = suites
    assert suite.attrib == {"name": "kvplan check", "tests": "3", "failures": "1", "errors": "1", "skipped": "1"}
    fails, skipped, broken = suite
    assert (fails.get("classname"), fails.get("name")) == ("deploy/llama.yaml", NAME)
    assert fails.find("failure").get("type") == "KVP102"
    assert "^^^^^ one request" in fails.find("failure").text
    assert skipped.find("skipped").get("message") == "unknown, because the GPU is not stated (--gpu NAME)"
    assert broken.find("error").get("message") == "not <YAML>"


def test_github():
    """Each finding is one workflow command, escaped as GitHub documents it; notes are notices; the sums follow."""
    source = Source("a,b:c%.yaml", "x: 9\ny: 8\n")
    findings = [finding(source, "9", message="100%", notes=("one",)), finding(source, "9\ny", severity="note")]
    first, second, last = written("github", Checked(findings=findings)).splitlines()
    assert first == (
        "::error file=a%2Cb%3Ac%25.yaml,line=1,endLine=1,col=4,endColumn=5,"
        "title=KVP102 cache-below-one-request::100%25%0Aone"
    )
    assert second.startswith("::notice file=a%2Cb%3Ac%25.yaml,line=1,endLine=2,title=")
    assert last.startswith("0 files, 0 engines; 1 error")


def test_gitlab():
    """The report lists the findings that count, each with a fingerprint of its own."""
    checked = sample()
    checked.findings.append(checked.findings[0])
    entries = json.loads(written("gitlab", checked))
    assert len(entries) == 2
    assert len({entry["fingerprint"] for entry in entries}) == 2
    assert entries[0]["location"] == {"path": "deploy/llama.yaml", "lines": {"begin": 8}}
    assert set(entries[0]) == {"description", "check_name", "fingerprint", "severity", "location"}
    assert entries[0]["severity"] in {"info", "minor", "major", "critical", "blocker"}


def test_markdown():
    """The page has a row for each engine, each finding to be opened, its change as a diff, and the sums."""
    page = written("markdown")
    rows = [row for row in page.splitlines() if row.startswith("|")]
    assert len(rows) == 4
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 8 for row in rows)
    assert page.count("<details>") == page.count("</details>") == 1
    assert "```diff\n--- a/deploy/llama.yaml" in page
    assert page.rstrip().endswith("1 fixable)**")


def test_markdown_is_inert():
    """Nothing of a file is markup, a mention, a reference, a row or the end of a fence."""
    name = "@team <img src=x> | a `b` **c** [d](https://e.example) #12 www.f.example ![g](h)"
    source = Source("f", f"```\n````` {name}\n")
    fix = Fix(change=name, effect="", edits=(Edit(at(source, "team"), "other"),))
    found = finding(source, "team", message=name, labels=(Label(at(source, "img"), name),), fixes=(fix,))
    page = written("markdown", Checked(units=[unit(at(source, "`"), name=name, engine=name)], findings=[found]))
    outside = re.sub(r"(?ms)^(`{3,})\w*$.*?^\1$", "", page)
    assert "`" not in outside.replace("`kvplan", "")
    for text in ("@team", "<img", "https://", "www.", "]("):
        assert text not in outside
    assert not re.search(r"(?<!&)#\d", outside)
    assert all(row.count("|") == 8 for row in outside.splitlines() if row.startswith("|"))


def test_markdown_fits_a_comment():
    """However many engines and findings there are, the page is within what a comment holds and says what it leaves out."""
    source = Source("f", "x: 9\n")
    units = [unit(at(source, "x"), name=f"u{number}") for number in range(2_000)]
    page = written("markdown", Checked(units=units, findings=[finding(source, "9")] * 2_000))
    assert len(page) < 65_536
    assert re.search(r"and \d+ more engines", page)
    assert re.search(r"and \d+ more findings", page)
    assert page.rstrip().endswith("**")


@pytest.mark.parametrize("name", sorted(formats()))
def test_nothing_found_is_said_too(name):
    """A check of no files is a whole document in every format, the same each time."""
    assert written(name, Checked()) == written(name, Checked())
    assert written(name, Checked()).endswith("\n")
