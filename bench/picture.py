"""Draws sweeps: a panel for each figure, with the curves of SPOT and of the others.

The picture is a Vega-Lite document, which vl-convert turns into an image without a browser.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import util
from pathlib import Path
from typing import Any

from bench.sweep import Curve, SweepOutcome

__all__ = ["document", "draw", "lacks"]

COLUMNS = 3
COLOURS = {"SPOT": "#0b6e99", "raw": "#d9730d"}
SHORT_SIZE = (
    "datum.value % 1048576 == 0 ? datum.value / 1048576 + 'Mi' : "
    "datum.value % 1024 == 0 ? datum.value / 1024 + 'Ki' : format(datum.value, '~s')"
)
"""How a size is written under an axis: 16, 64Ki, 1Mi, 100k."""
SCALE = 1.5
"""Pixels of a PNG for each pixel of the document."""


def lacks() -> str | None:
    """Why nothing can be drawn here. None when drawing works."""
    if util.find_spec("vl_convert") is None:
        return "vl-convert-python is not installed (pip install vl-convert-python)"
    return None


def draw(outcomes: Sequence[SweepOutcome], machine: Mapping[str, Any], path: Path) -> None:
    """Writes the picture: SVG if the path ends in .svg, else PNG.

    Dots are the medians. The shade reaches from the least round to the greatest.
    """
    import vl_convert

    drawn = document(outcomes, machine)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".svg":
        path.write_text(vl_convert.vegalite_to_svg(drawn))
    else:
        path.write_bytes(vl_convert.vegalite_to_png(drawn, scale=SCALE))


def document(outcomes: Sequence[SweepOutcome], machine: Mapping[str, Any]) -> dict[str, Any]:
    """The Vega-Lite document of the picture."""
    panels = [
        _panel(outcome, curve)
        for outcome in outcomes
        for curve in outcome.sweep.curves
        if curve.is_drawn
    ]
    shown = ", ".join(f"{name} {machine[name]}" for name in ("cores", "cpu", "python", "pyzmq"))
    return {
        "title": f"SPOT beside raw pyzmq ({shown})",
        "background": "white",
        "columns": COLUMNS,
        "concat": panels,
    }


def _panel(outcome: SweepOutcome, curve: Curve) -> dict[str, Any]:
    points: list[dict[str, Any]] = [
        {
            "contestant": name,
            "size": size,
            "median": median * curve.scale,
            "least": min(runs) * curve.scale,
            "greatest": max(runs) * curve.scale,
        }
        for name in outcome.names
        for size, median in outcome.points(name, curve)
        if (
            runs := [
                sizes[size][name][curve.figure] for sizes in outcome.rounds if name in sizes[size]
            ]
        )
    ]
    logarithmic = all(point["least"] > 0 for point in points)
    scale = {"type": "log"} if logarithmic else {"type": "linear"}
    x = {
        "field": "size",
        "type": "quantitative",
        "scale": {"type": "log", "nice": False},
        "axis": {
            "title": outcome.sweep.size,
            "values": list(outcome.sizes),
            "labelExpr": SHORT_SIZE,
        },
    }
    y = {"type": "quantitative", "scale": scale, "axis": {"title": curve.label, "tickCount": 5}}
    colour = {
        "field": "contestant",
        "type": "nominal",
        "legend": {"title": None, "symbolOpacity": 1},
        "scale": {"domain": list(COLOURS), "range": list(COLOURS.values())},
    }
    return {
        "title": {"text": outcome.sweep.name, "anchor": "start"},
        "width": 300,
        "height": 200,
        "data": {"values": points},
        "encoding": {"x": x, "color": colour},
        "layer": [
            {
                "mark": {"type": "area", "opacity": 0.15},
                "encoding": {"y": {**y, "field": "least"}, "y2": {"field": "greatest"}},
            },
            {
                "mark": {"type": "line", "point": True},
                "encoding": {"y": {**y, "field": "median"}},
            },
        ],
    }
