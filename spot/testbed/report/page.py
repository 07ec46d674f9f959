"""``report.html``: a run's report for people, in one file that loads no other file.

Words and tables are plain HTML, which needs no JavaScript. Vega draws the pictures in the browser;
the page contains the compressed library (docs/decisions/0007-plots.md).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from spot.testbed.report import figures
from spot.testbed.report.charts import Picture, timeline_picture
from spot.testbed.report.document import Report, is_proved
from spot.testbed.report.files import PAGE_FILE
from spot.testbed.report.script import drawing_script, packed
from spot.testbed.report.timeline import draw_timeline
from spot.testbed.results import Result

__all__ = ["as_page", "render"]

TEMPLATES = Path(__file__).parent / "templates"
FAULTS_SHOWN_MAX = 200
DETAILS_SHOWN_MAX = 20


def as_page(result: Result, report: Report) -> str:
    """The page of this result. ``report`` is the document of the same result."""
    timeline = draw_timeline(result.evidence)
    observed = any(journal.incarnations for journal in result.evidence.journals.values())
    worst_first = sorted(
        (one for one in report["guarantees"] if one["verdict"] != "pass"),
        key=lambda one: one["verdict"] != "fail",
    )
    return render(
        "run.html.j2",
        {"timeline": timeline_picture(timeline, report)} if observed else {},
        report=report,
        not_held=worst_first,
        held=[one for one in report["guarantees"] if one["verdict"] == "pass"],
        worst_detect=_most(fault["detect_s"] for fault in report["faults"]),
        worst_recover=_most(fault["recover_s"] for fault in report["faults"]),
        timeline=timeline,
        topology=result.evidence.topology,
        bounds=result.evidence.bounds,
        artefacts=_artefacts(result.directory),
        faults_shown_max=FAULTS_SHOWN_MAX,
        details_shown_max=DETAILS_SHOWN_MAX,
    )


def render(template: str, pictures: Mapping[str, Picture], **words: Any) -> str:
    """A whole page: a template filled with ``words``. ``pictures`` has ids of elements as keys."""
    import jinja2  # slow to import, and only pages need it

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "duration": figures.duration,
        "count": figures.count,
        "moment": figures.moment,
        "proof": figures.proof_text,
        "headline": figures.headline,
    }
    environment.tests["proved"] = is_proved
    return environment.get_template(template).render(
        pictures=packed(json.dumps(pictures, separators=(",", ":"))) if pictures else None,
        library=drawing_script() if pictures else None,
        **words,
    )


def _most(seconds: Iterable[float | None]) -> float | None:
    return max((one for one in seconds if one is not None), default=None)


def _artefacts(directory: Path) -> list[tuple[str, str]]:
    """Names of the files beside the page, and links to them."""
    own = (PAGE_FILE, "latest")
    names = sorted(
        path.name
        for path in (directory.iterdir() if directory.is_dir() else ())
        if path.is_file() and path.name not in own and not path.name.startswith(".")
    )
    return [(name, quote(f"./{name}")) for name in names]
