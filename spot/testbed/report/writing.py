"""Writes a run's report beside its journals and logs."""

from __future__ import annotations

import json

from spot.testbed.report.document import as_report
from spot.testbed.report.files import JUNIT_FILE, PAGE_FILE, REPORT_FILE, replace_file
from spot.testbed.report.junit import as_junit
from spot.testbed.report.page import as_page
from spot.testbed.results import Result

__all__ = ["write_report"]


def write_report(result: Result) -> None:
    """Writes ``report.json``, ``junit.xml`` and ``report.html`` into the result's directory.

    The page comes last, so that programs have the result even if the page fails. Raises OSError.
    """
    report = as_report(result)
    directory = result.directory
    directory.mkdir(parents=True, exist_ok=True)
    document = json.dumps(report, indent=2, ensure_ascii=False) + "\n"
    replace_file(directory / REPORT_FILE, document.encode("utf-8", "replace"))
    replace_file(directory / JUNIT_FILE, as_junit(report))
    replace_file(directory / PAGE_FILE, as_page(result, report).encode("utf-8", "replace"))
