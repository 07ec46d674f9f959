"""Puts a run's report beside its journals and logs."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

from spot.testbed.report.document import REPORT_FILE, as_report
from spot.testbed.report.junit import as_junit
from spot.testbed.results import Result

__all__ = ["JUNIT_FILE", "PAGE_FILE", "replace_file", "write_report"]

PAGE_FILE = "report.html"
JUNIT_FILE = "junit.xml"


def write_report(result: Result) -> None:
    """Writes ``report.json``, ``junit.xml`` and ``report.html`` into the result's directory.

    The page comes last: whatever happens to it, programs have the outcome. Raises OSError.
    """
    # Plots take half a second to import.
    from spot.testbed.report.page import as_page

    report = as_report(result)
    directory = result.directory
    directory.mkdir(parents=True, exist_ok=True)
    document = json.dumps(report, indent=2, ensure_ascii=False) + "\n"
    replace_file(directory / REPORT_FILE, document.encode("utf-8", "replace"))
    replace_file(directory / JUNIT_FILE, as_junit(report))
    replace_file(directory / PAGE_FILE, as_page(result, report).encode("utf-8", "replace"))


def replace_file(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all, so that nobody reads half of it. Raises OSError."""
    part = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
