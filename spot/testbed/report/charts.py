"""The pictures of a page, as Vega-Lite documents (https://vega.github.io/vega-lite/docs/).

Colours are names of the page's CSS variables, so that one picture serves light and dark. Documents
hold data and no markup: Vega draws every name as text. Views have no width of their own: they take
the width of the page.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from spot.testbed.report.document import FaultReport, Report, is_proved
from spot.testbed.report.figures import count, duration
from spot.testbed.report.timeline import Span, Timeline

__all__ = ["Picture", "distribution_picture", "timeline_picture"]

Json = dict[str, Any]
Picture = Json
"""A Vega-Lite document of views that stand one below the other."""

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
"""The name of the schema. It is never loaded."""

ROW_PX = 18
BAR_PX = 11
FAULT_ROWS_MAX = 40
FAULT_BARS_MAX = 400
LINES_MAX = 8
"""The most nodes that get a line each. With more nodes, one line shows their sum."""

LINE_COLOURS = [f"var(--line-{number})" for number in range(1, LINES_MAX + 1)]
STATE_COLOURS = {
    "up": "var(--up)",
    "one end": "var(--one-end)",
    "down": "var(--down)",
    "before or after": "var(--off)",
}
FAULT_COLOURS = {
    "acts": "var(--fault)",
    "not proved to act": "var(--unproved)",
    "healed, not back yet": "var(--recovering)",
}

# Zooming needs the shift key, so that the wheel and a finger still scroll the page.
ZOOM = {
    "name": "zoom",
    "select": {
        "type": "interval",
        "encodings": ["x"],
        "zoom": "wheel![event.shiftKey]",
        "translate": "[pointerdown[event.shiftKey], window:pointerup] > window:pointermove!",
    },
    "bind": "scales",
}


def timeline_picture(timeline: Timeline, report: Report) -> Picture:
    """Faults, links, notices, rates and losses, one below the other on one axis of time."""
    faults = report["faults"][:FAULT_BARS_MAX]
    shade = _shade(timeline, faults)
    views = []
    if faults:
        views.append(_faults(timeline, faults))
    views.append(_links(timeline, shade))
    if timeline.nodes:
        views.append(
            _view("Nodes", [shade, _spans(timeline, timeline.nodes, "node")], {"step": ROW_PX})
        )
    if timeline.losses:
        views.append(_losses(timeline, shade))
    views.append(_rates(timeline, shade, timeline.received, "Received, messages/s"))
    views.append(_rates(timeline, shade, timeline.published, "Published, messages/s"))
    for view in views:
        view["layer"][-1]["params"] = [ZOOM]
    return _document(views)


def distribution_picture(
    points: Sequence[Mapping[str, Any]], title: str, backends: Iterable[str]
) -> Picture:
    """Times by kind of fault, one point a fault, on a logarithmic axis; a tick is the median.

    Points have ``fault``, ``backend``, ``seconds``, ``run`` and ``shown`` (the time as text).
    """
    known = sorted(set(backends))
    kinds = {point["fault"] for point in points}
    shared = {
        "y": {"field": "fault", "type": "nominal", "title": None},
        "yOffset": {"field": "backend", "type": "nominal", "scale": {"domain": known}},
    }
    x = {
        "type": "quantitative",
        "title": title,
        "scale": {"type": "log"},
        "axis": {"tickCount": 6, "format": "~g"},
    }
    dots = {
        "mark": {"type": "circle", "size": 45, "opacity": 0.45},
        "encoding": {
            **shared,
            "x": {**x, "field": "seconds"},
            "color": _colour("backend", dict(zip(known, LINE_COLOURS, strict=False)), set(known)),
            "tooltip": _tooltip("fault", "backend", ("time", "shown"), "run"),
        },
    }
    medians = {
        "mark": {"type": "tick", "thickness": 3, "size": 16, "color": "var(--text)"},
        "encoding": {
            **shared,
            "x": {**x, "field": "seconds", "aggregate": "median"},
            "tooltip": [
                *_tooltip("fault", "backend"),
                {"field": "seconds", "aggregate": "median", "title": "median, s", "format": ".3f"},
                {"aggregate": "count", "title": "faults"},
            ],
        },
    }
    height = len(kinds) * max(1, len(known)) * 22
    view = {"data": _data(points), "height": height, "layer": [dots, medians]}
    return _document([view])


def _document(views: list[Json]) -> Picture:
    labels = [
        value.get("row") or value.get("fault")
        for view in views
        for layer in view["layer"]
        for value in [*layer.get("data", view.get("data"))["values"]]
        if "row" in value or "fault" in value
    ]
    return {
        "$schema": SCHEMA,
        "usermeta": {"longest_label": max(map(len, labels), default=0)},
        "vconcat": views,
        "spacing": 14,
        "resolve": {"scale": {"color": "independent"}},
    }


def _view(title: str, layers: list[Json], height: int | Json) -> Json:
    title_of_view = {"text": title, "anchor": "start", "frame": "group"}
    return {
        "title": title_of_view,
        "height": height,
        "layer": layers,
    }


def _data(values: Iterable[Mapping[str, Any]]) -> Json:
    return {"values": [dict(value) for value in values]}


def _x(timeline: Timeline, field: str = "begin") -> Json:
    scale = {"domain": [0, round(timeline.length_s, 3)], "nice": False}
    return {"field": field, "type": "quantitative", "title": None, "scale": scale}


def _row(order: list[str] | None = None) -> Json:
    row: Json = {"field": "row", "type": "nominal", "title": None}
    return row if order is None else {**row, "sort": order}


def _amount(field: str) -> Json:
    axis = {"tickCount": 3, "format": "~s"}
    return {"field": field, "type": "quantitative", "title": None, "axis": axis}


def _tooltip(*fields: str | tuple[str, str]) -> list[Json]:
    """The text on hover: fields, or pairs of a label and a field."""
    pairs = [(field, field) if isinstance(field, str) else field for field in fields]
    return [{"field": field, "type": "nominal", "title": title} for title, field in pairs]


def _colour(field: str, colours: Mapping[str, str], used: set[str]) -> Json:
    """The colours of the values that occur, with a legend if there are several."""
    domain = [name for name in colours if name in used]
    return {
        "field": field,
        "type": "nominal",
        "title": None,
        "scale": {"domain": domain, "range": [colours[name] for name in domain]},
        "legend": {"orient": "top", "offset": 2} if len(domain) > 1 else None,
    }


def _faults(timeline: Timeline, faults: list[FaultReport]) -> Json:
    bars: list[Json] = []
    told: list[Json] = []
    for fault in faults:
        end = timeline.length_s if fault["end_s"] is None else fault["end_s"]
        shared = {
            "row": _text(fault),
            "from": _seconds(fault["start_s"]),
            "to": "never healed" if fault["end_s"] is None else _seconds(fault["end_s"]),
            "told": duration(fault["detect_s"]),
            "back": duration(fault["recover_s"]),
            "missed": count(fault["missed"]),
        }
        state = "acts" if is_proved(fault) else "not proved to act"
        bars.append({**shared, "begin": fault["start_s"], "end": end, "state": state})
        if fault["recover_s"] is not None:
            back = end + fault["recover_s"]
            bars.append({**shared, "begin": end, "end": back, "state": "healed, not back yet"})
        if fault["detect_s"] is not None:
            told.append({**shared, "at": fault["start_s"] + fault["detect_s"]})
    row = _row(list(dict.fromkeys(bar["row"] for bar in bars))[:FAULT_ROWS_MAX])
    row["scale"] = {"domain": row["sort"]}
    tooltip = _tooltip(
        ("fault", "row"),
        "from",
        "to",
        ("told after", "told"),
        ("back after the heal", "back"),
        "missed",
    )
    layers = [
        {
            "data": _data(bars),
            "mark": {"type": "bar", "height": BAR_PX, "cornerRadius": 2},
            "encoding": {
                "x": _x(timeline),
                "x2": {"field": "end"},
                "y": row,
                "color": _colour("state", FAULT_COLOURS, {bar["state"] for bar in bars}),
                "tooltip": tooltip,
            },
        }
    ]
    if told:
        layers.append(
            {
                "data": _data(told),
                "mark": {
                    "type": "tick",
                    "thickness": 3,
                    "size": BAR_PX + 7,
                    "color": "var(--text)",
                },
                "encoding": {"x": _x(timeline, "at"), "y": row, "tooltip": tooltip},
            }
        )
    return _view("Faults", layers, {"step": ROW_PX})


def _links(timeline: Timeline, shade: Json) -> Json:
    layers = [shade, _spans(timeline, timeline.links, "link")]
    dial = {"type": "tick", "thickness": 1.5, "size": BAR_PX - 2, "color": "var(--dial)"}
    diamond = {
        "type": "point",
        "shape": "diamond",
        "size": 80,
        "filled": True,
        "opacity": 1,
        "fill": "var(--notice)",
        "stroke": "var(--page)",
        "strokeWidth": 1,
    }
    for kind, mark in (("dial", dial), ("HostUnreachable", diamond)):
        values = [
            {"row": one.row, "at": round(one.at, 4), "when": _seconds(one.at), "what": one.what}
            for one in timeline.marks
            if one.kind == kind
        ]
        if values:
            encoding = {
                "x": _x(timeline, "at"),
                "y": _row(),
                "tooltip": _tooltip(("at", "when"), "what"),
            }
            layers.append({"data": _data(values), "mark": mark, "encoding": encoding})
    return _view("Links", layers, {"step": ROW_PX})


def _spans(timeline: Timeline, spans: Sequence[Span], what: str) -> Json:
    values = [
        {
            "row": span.row,
            "begin": round(span.begin, 4),
            "end": round(span.end, 4),
            "state": span.state,
            "from": _seconds(span.begin),
            "for": duration(span.end - span.begin),
            "why": span.why,
        }
        for span in spans
    ]
    return {
        "data": _data(values),
        "mark": {"type": "bar", "height": BAR_PX},
        "encoding": {
            "x": _x(timeline),
            "x2": {"field": "end"},
            "y": _row(),
            "color": _colour("state", STATE_COLOURS, {span.state for span in spans}),
            "tooltip": _tooltip((what, "row"), "state", "from", "for", "why"),
        },
    }


def _rates(
    timeline: Timeline, shade: Json, rates: Mapping[str, Sequence[float]], title: str
) -> Json:
    if len(rates) > LINES_MAX:
        sums = [sum(column) for column in zip(*rates.values(), strict=True)]
        rates = {f"all {len(rates)} nodes": sums}
    values = [
        {
            "node": name,
            "at": round((place + 0.5) * timeline.bin_s, 3),  # the middle of the bin
            "rate": round(rate, 2),
            "when": _seconds(place * timeline.bin_s),
        }
        for name, bins in rates.items()
        for place, rate in enumerate(bins)
        if (place + 0.5) * timeline.bin_s <= timeline.length_s
    ]
    encoding = {
        "x": _x(timeline, "at"),
        "y": _amount("rate"),
        "color": _colour("node", dict(zip(rates, LINE_COLOURS, strict=False)), set(rates)),
        "tooltip": _tooltip("node", ("from", "when"), ("messages/s", "rate")),
    }
    lines = {
        "data": _data(values),
        "mark": {"type": "line", "strokeWidth": 1.6, "interpolate": "step"},
        "encoding": encoding,
    }
    # A thin line is hard to hit, so invisible points catch the pointer.
    points = {**lines, "mark": {"type": "point", "size": 140, "opacity": 0, "filled": True}}
    return _view(title, [shade, lines, points], 70)


def _losses(timeline: Timeline, shade: Json) -> Json:
    tops: Counter[float] = Counter()
    values = []
    for loss in timeline.losses:
        base = tops[loss.begin]
        tops[loss.begin] += loss.missed
        values.append(
            {
                "begin": loss.begin,
                "end": loss.end,
                "base": base,
                "top": base + loss.missed,
                "what": f"{loss.node} missed {count(loss.missed)} of {loss.host}"
                + (", and some that nobody can count" if loss.unknown else ""),
                "when": _seconds(loss.begin),
                "sign": "?" if loss.unknown else "",
            }
        )
    encoding = {
        "x": _x(timeline),
        "y": _amount("top"),
        "tooltip": _tooltip(("at", "when"), "what"),
    }
    bars = {
        "data": _data(values),
        "mark": {"type": "rect", "color": "var(--down)"},
        "encoding": {**encoding, "x2": {"field": "end"}, "y2": {"field": "base"}},
    }
    layers = [shade, bars]
    uncounted = [value for value in values if value["sign"]]
    if uncounted:
        mark = {"type": "text", "baseline": "bottom", "align": "left", "color": "var(--down)"}
        sign = {"field": "sign", "type": "nominal"}
        layers.append(
            {
                "data": _data(uncounted),
                "mark": {**mark, "fontSize": 14, "fontWeight": "bold"},
                "encoding": {**encoding, "text": sign},
            }
        )
    return _view("Missed messages, when they were told", layers, 60)


def _shade(timeline: Timeline, faults: list[FaultReport]) -> Json:
    values = [
        {
            "begin": fault["start_s"],
            "end": timeline.length_s if fault["end_s"] is None else fault["end_s"],
        }
        for fault in faults
    ]
    return {
        "data": _data(values),
        "mark": {"type": "rect", "color": "var(--fault)", "opacity": 0.17},
        "encoding": {"x": _x(timeline), "x2": {"field": "end"}},
    }


def _text(fault: FaultReport) -> str:
    return f"{fault['name']} {fault['target']}".strip()


def _seconds(seconds: float) -> str:
    return f"{seconds:.3f} s"
