"""JUnit's XML: a test case for each engine, and for each file with findings of no engine."""

from xml.etree import ElementTree as ET

from kvplan.deploy.unit import Unit
from kvplan.report.check import full, words
from kvplan.report.check.safe import commandless, line, xml
from kvplan.rules.finding import Checked, Finding

NAME = "junit"


def render(checked: Checked, **_: object) -> str:
    """Return the document: an engine that breaks a rule fails, one without a verdict is skipped, a broken file is an error."""
    found: dict[tuple[str, str], list[Finding]] = {}
    for finding in checked.open:
        found.setdefault((finding.place.path, finding.subject), []).append(finding)
    suite = ET.Element("testsuite", name="kvplan check")
    for unit in words.units_of(checked):
        _case(suite, unit.place.path, unit.place.line, unit.name, unit, found.pop((unit.place.path, unit.name), []))
    for (path, subject), findings in found.items():
        _case(suite, path, findings[0].place.line, subject or "the file", None, findings)
    totals = {"tests": str(len(suite))}
    for kind, name in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        totals[name] = str(len(suite.findall(f"testcase/{kind}")))
    suite.attrib |= totals
    root = ET.Element("testsuites", {name: number for name, number in totals.items() if name != "skipped"})
    root.append(suite)
    ET.indent(root)
    document = ET.tostring(root, encoding="unicode", short_empty_elements=True)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{commandless(document)}\n'


def _case(suite: ET.Element, path: str, number: int, name: str, unit: Unit | None, findings: list[Finding]) -> None:
    case = ET.SubElement(
        suite, "testcase", classname=_value(path), name=_value(name), file=_value(path), line=str(number)
    )
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        failed = ET.SubElement(case, "failure" if unit is not None else "error", type=_value(errors[0].code))
        failed.set("message", _value(errors[0].message) + more)
        failed.text = xml("".join(full.text(finding) for finding in errors))
    elif unit is not None and unit.verdict == "unknown":
        ET.SubElement(case, "skipped", message=_value(words.because(unit)))
    said = [words.unit_line(unit)] if unit is not None else []
    said += [full.text(finding).rstrip() for finding in findings if finding.severity != "error"]
    if said:
        ET.SubElement(case, "system-out").text = xml("\n".join(said))


def _value(text: str) -> str:
    return xml(line(xml(text)))
