"""Some of these tests need a Chromium, and never pass over its absence in silence.

Without one they are reported as not run, with a warning that says so; where CI is set they fail
instead.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

BROWSER_TESTS = "test_in_browser.py"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


def find_chromium() -> str | None:
    """The program that CHROMIUM names, else the first on PATH."""
    named = os.environ.get("CHROMIUM")
    return next(filter(None, map(shutil.which, [named] if named else PROGRAMS)), None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if find_chromium() or os.environ.get("CI"):
        return
    for item in items:
        if item.path.name == BROWSER_TESTS and "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.skip(reason="not run: no chromium"))


# Of the module: playwright keeps an event loop running in this thread, which tests of asyncio
# elsewhere would stumble over.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    program = find_chromium()
    if program is None:
        pytest.fail("pages must be looked at where CI is set: run scripts/chromium.sh")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program)
        yield browser
        browser.close()
