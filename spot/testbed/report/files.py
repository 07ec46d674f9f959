"""The files of reports: what they are called, and how one is written."""

from __future__ import annotations

import os
import threading
from pathlib import Path

__all__ = ["JUNIT_FILE", "PAGE_FILE", "REPORT_FILE", "SUMMARY_FILE", "replace_file"]

REPORT_FILE = "report.json"
JUNIT_FILE = "junit.xml"
PAGE_FILE = "report.html"
SUMMARY_FILE = "summary.html"


def replace_file(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all, so that nobody reads half of it. Raises OSError."""
    part = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
