"""``junit.xml``: a run's report for CI servers."""

from __future__ import annotations

import re
import time
from xml.etree import ElementTree as ET

from spot.testbed.report.document import Report, is_proved
from spot.testbed.report.figures import headline, proof_text

__all__ = ["as_junit"]

# Characters that XML 1.0 can't hold. The standard library writes them anyway.
FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_junit(report: Report) -> bytes:
    """An XML document: a suite of the guarantees, and a suite of the run's faults and testbed.

    A guarantee that failed is a failure. An unknown verdict, a fault that was not proved, and
    trouble in the testbed are errors.
    """
    root = ET.Element("testsuites", name="spot")
    name = f"{report['scenario']} on {report['backend']}"
    guarantees = _suite(root, report, name)
    for guarantee in report["guarantees"]:
        summary, *details = guarantee["evidence"] or [""]
        case = _case(guarantees, report, guarantee["name"])
        if guarantee["verdict"] != "pass":
            tag = "failure" if guarantee["verdict"] == "fail" else "error"
            _complain(case, tag, summary, details)
    run = _suite(root, report, f"{name}: the run")
    for fault in report["faults"]:
        what = f"{fault['name']} {fault['target']}".strip()
        case = _case(run, report, f"fault {what} at {fault['start_s']:.3f} s acted")
        if not is_proved(fault):
            _complain(case, "error", proof_text(fault), [])
    case = _case(run, report, "the testbed")
    if report["trouble"]:
        _complain(case, "error", report["trouble"][0], report["trouble"][1:])
    elif report["verdict"] != "pass" and not root.findall(".//failure") + root.findall(".//error"):
        _complain(case, "error", headline(report), [])
    for suite in root:
        cases = suite.findall("testcase")
        suite.set("tests", str(len(cases)))
        suite.set("failures", str(len(suite.findall("testcase/failure"))))
        suite.set("errors", str(len(suite.findall("testcase/error"))))
        suite.set("skipped", "0")
    ET.indent(root)
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document


def _suite(root: ET.Element, report: Report, name: str) -> ET.Element:
    started = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(report["started"]))
    suite = ET.SubElement(
        root,
        "testsuite",
        name=_allowed(name),
        timestamp=started,
        time=f"{report['duration_s']:.3f}",
    )
    properties = ET.SubElement(suite, "properties")
    for key, value in (
        ("verdict", report["verdict"]),
        ("backend", report["backend"]),
        ("seed", report["seed"]),
    ):
        if value is not None:
            ET.SubElement(properties, "property", name=key, value=_allowed(str(value)))
    return suite


def _case(suite: ET.Element, report: Report, name: str) -> ET.Element:
    classname = f"{report['backend']}.{report['scenario']}"
    return ET.SubElement(
        suite, "testcase", classname=_allowed(classname), name=_allowed(name), time="0"
    )


def _complain(case: ET.Element, tag: str, message: str, details: list[str]) -> None:
    element = ET.SubElement(case, tag, message=_allowed(message))
    element.text = _allowed("\n".join([message, *details]))


def _allowed(text: str) -> str:
    return FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
