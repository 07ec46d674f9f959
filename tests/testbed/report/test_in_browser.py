"""Pages, as a browser shows them: on a desk and on a phone, light and dark."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request

from spot.testbed.report import write_report, write_summary
from tests.testbed.report import runs
from tests.testbed.report.conftest import find_chromium

# A browser starts, and draws some dozen pictures, maybe while other tests need both cores.
pytestmark = pytest.mark.timeout(240)

DRAWN_TIMEOUT_MS = 60_000
DRAWN = """[...document.querySelectorAll(".picture")].every(
    (place) => place.querySelector("svg") && Number(place.dataset.width) === place.clientWidth)"""
SCHEMES: tuple[Literal["light"], Literal["dark"]] = ("light", "dark")
WIDTHS = (1280, 390)
KINDS = ("passing", "failing", "unproved", "empty", "hostile")


@dataclass
class Opened:
    """A page, and whatever it should not have done."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def drawn(self) -> Page:
        """The page once all its pictures are there, as wide as their places."""
        self.page.wait_for_function(DRAWN, timeout=DRAWN_TIMEOUT_MS)
        return self.page


class Reader:
    """Opens pages in a browser that has no network, and writes down what they complain of."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: list[BrowserContext] = []

    def open(
        self, file: Path, width: int = 1280, scheme: Literal["light", "dark"] = "light"
    ) -> Opened:
        context = self._browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme=scheme, offline=True
        )
        self._contexts.append(context)
        opened = Opened(context.new_page())
        page, uri = opened.page, file.absolute().as_uri()

        def requested(request: Request) -> None:
            if request.url != uri and not request.url.startswith("data:"):
                opened.complaints.append(f"request of {request.url}")

        page.on("request", requested)
        page.on("console", lambda message: opened.complaints.append(message.text))
        page.on("pageerror", lambda error: opened.complaints.append(str(error)))
        page.on("dialog", lambda dialog: opened.complaints.append(f"dialog {dialog.message}"))
        page.goto(uri)
        return opened

    def close(self) -> None:
        for context in self._contexts:
            context.close()


@pytest.fixture
def reader(browser: Browser) -> Iterator[Reader]:
    reader = Reader(browser)
    yield reader
    reader.close()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a run of each kind, and the summary of all."""
    directory = tmp_path_factory.mktemp("results")
    for kind in KINDS:
        write_report(getattr(runs, kind)(directory / kind / "2026-01-01T00-00-00"))
    write_summary(directory)
    return directory


def page_of(results: Path, kind: str) -> Path:
    return results / kind / "2026-01-01T00-00-00" / "report.html"


# The suite's filter would make this warning an error; here it shall be seen, and pass.
@pytest.mark.filterwarnings("default::UserWarning")
def test_pages_are_looked_at_in_a_browser() -> None:
    """A run without a browser says so where it can be read, and CI has one."""
    if find_chromium() is None:
        assert not os.environ.get("CI"), "no chromium: run scripts/chromium.sh"
        warnings.warn(
            "no chromium on PATH, and CHROMIUM is not set: the tests of pages in a browser were "
            "NOT RUN. 'scripts/chromium.sh' installs it.",
            UserWarning,
            stacklevel=1,
        )


@pytest.mark.parametrize("kind", [*KINDS, "summary"])
def test_page_is_quiet_and_fits(results: Path, reader: Reader, kind: str) -> None:
    """It works offline, on a phone too, and runs nothing that a node was named after."""
    file = results / "summary.html" if kind == "summary" else page_of(results, kind)
    opened = reader.open(file, width=390)
    for width in (390, 1280):
        opened.page.set_viewport_size({"width": width, "height": 800})
        for scheme in SCHEMES:
            opened.page.emulate_media(color_scheme=scheme)
            page = opened.drawn()
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            for svg in page.locator(".picture svg").all():
                box = svg.bounding_box()
                assert box is not None
                assert box["x"] + box["width"] <= width
    assert opened.complaints == []


@pytest.mark.parametrize("width", WIDTHS)
def test_verdict_is_seen_without_scrolling(results: Path, reader: Reader, width: int) -> None:
    """Five seconds: what broke, when it was told, when it came back, what was lost."""
    page = reader.open(page_of(results, "failing"), width).drawn()
    for text in ("fail", "Broken: reconnect.", "4.0 ms", "0.35 s", "82"):
        place = page.locator("#verdict").get_by_text(text, exact=True).first
        box = place.bounding_box()
        assert box is not None, text
        assert box["y"] + box["height"] < 800


def test_colours_follow_the_scheme(results: Path, reader: Reader) -> None:
    """One picture for both: its colours are the page's."""
    fills = []
    for scheme in SCHEMES:
        page = reader.open(page_of(results, "passing"), 1280, scheme).drawn()
        bar = page.locator("svg path[fill='var(--down)'], svg path[style*='--down']").first
        fills.append(bar.evaluate("node => getComputedStyle(node).fill"))
        back = page.evaluate("getComputedStyle(document.body).backgroundColor")
        fills.append(back)
    assert len(set(fills)) == 4, fills
    assert "none" not in fills


def test_hover_tells_more(results: Path, reader: Reader) -> None:
    """What a bar means stands where the pointer is."""
    page = reader.open(page_of(results, "passing")).drawn()
    page.locator("svg [aria-label*='state: down']").first.hover()
    tip = page.locator("#vg-tooltip-element.visible")
    tip.wait_for()
    text = tip.inner_text()
    assert "a – b" in text  # noqa: RUF001
    assert "lost" in text
    page.locator("svg [aria-label*='was told: host b']").first.hover()
    page.get_by_text("b was told: host a unreachable (closed)").wait_for()


def test_hover_shows_names_as_text(results: Path, reader: Reader) -> None:
    """A tooltip is HTML made of names."""
    opened = reader.open(page_of(results, "hostile"))
    page = opened.drawn()
    page.locator("svg [aria-label*='state: down']").first.hover()
    tip = page.locator("#vg-tooltip-element.visible")
    tip.wait_for()
    assert runs.HOSTILE in tip.inner_text()
    assert tip.locator("script").count() == 0
    assert opened.complaints == []


def test_picture_follows_the_window(results: Path, reader: Reader) -> None:
    """A phone is turned, a window is dragged."""
    opened = reader.open(page_of(results, "passing"), 1280)
    opened.drawn().set_viewport_size({"width": 390, "height": 800})
    assert opened.drawn().evaluate("document.documentElement.scrollWidth") <= 390


def test_files_are_linked(results: Path, reader: Reader) -> None:
    """From the picture to what it is made of."""
    directory = page_of(results, "passing").parent
    (directory / "a #1.log").write_text("what it said")
    write_report(runs.passing(directory))
    page = reader.open(page_of(results, "passing")).page
    page.get_by_role("link", name="a #1.log").click()
    page.get_by_text("what it said").wait_for()
