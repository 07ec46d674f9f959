"""What happened when, drawn from journals: links up and down, rates, losses, notices.

However long the run was, the timeline holds only what a picture can show: counts in bins, joined
spans, and a limited number of marks. All times are seconds from the run's start.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from spot.testbed.evidence import Evidence
from spot.testbed.journal import IncarnationRecords, Journal, Record

__all__ = ["Loss", "Mark", "Span", "Timeline", "draw_timeline"]

BINS_MAX = 160
BIN_RECORDS_MIN = 10
"""A node's records in a bin, on average. With fewer, a bin would show mostly rounding."""
BIN_S_SMALL = 0.5
"""Bins need not be longer than this, however few records there are."""

ROWS_MAX = 40
SPANS_MAX = 3_000
MARKS_MAX = 800
MARK_PLACES = 150
"""Places for marks on one row. Marks that are closer become one."""
MERGED_SHOWN_MAX = 4

State = Literal["up", "one end", "down", "before or after"]


@dataclass(frozen=True)
class Span:
    """A link or a node that is in one state for a while."""

    row: str
    begin: float
    end: float
    state: State
    """``one end``: only one end of the link sees it as up. ``before or after``: it is down because
    the run was just beginning, or over."""
    why: str
    """The reason for this state, in words."""


@dataclass(frozen=True)
class Mark:
    """Something that happened at one moment, on a link's row."""

    row: str
    at: float
    kind: Literal["HostUnreachable", "dial"]
    what: str


@dataclass(frozen=True)
class Loss:
    """Messages that one node was told to have missed from another, within one bin."""

    begin: float
    end: float
    node: str
    host: str
    missed: int
    unknown: int
    """How often a message said that the number of missed messages is unknown."""


@dataclass(frozen=True)
class Timeline:
    """What a run's pictures show."""

    length_s: float
    bin_s: float
    links: tuple[Span, ...] = ()
    links_calm: int = 0
    """The number of links without a row because there were too many, and these were always up."""
    links_left_out: int = 0
    """The number of links without a row although something happened to them."""
    nodes: tuple[Span, ...] = ()
    """Empty when every node lived from beginning to end."""
    marks: tuple[Mark, ...] = ()
    marks_left_out: int = 0
    received: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Messages a second in each bin, by node."""
    published: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    losses: tuple[Loss, ...] = ()
    received_total: int = 0
    published_total: int = 0
    missed_total: int = 0
    missed_unknown: int = 0
    unreachable_total: int = 0
    ready_s: float | None = None
    quiet_s: float | None = None


def draw_timeline(evidence: Evidence) -> Timeline:
    """The timeline of this evidence, in one pass over each journal."""
    zero = evidence.phases.started
    length = _length(evidence, zero)
    bin_s = _bin_width(evidence, length)
    tally = _Tally(zero, bin_s, max(1, int(length / bin_s) + 1), evidence.phases.stopped)
    names = set(evidence.topology.names)
    for name in evidence.topology.names:
        for record in _records(evidence.journals.get(name)):
            tally.add(name, record, names)
    links, calm, left_out = _link_spans(evidence, tally, length)
    rows = {span.row for span in links}
    marks = _merged([mark for mark in tally.marks if mark.row in rows], length / MARK_PLACES)
    # Notices come before dials, in case there is not room for all.
    marks.sort(key=lambda mark: (mark.kind == "dial", mark.at))
    phases = evidence.phases
    return Timeline(
        length_s=length,
        bin_s=bin_s,
        links=links,
        links_calm=calm,
        links_left_out=left_out,
        nodes=_node_spans(evidence, length),
        marks=tuple(marks[:MARKS_MAX]),
        marks_left_out=max(0, len(marks) - MARKS_MAX),
        received=tally.rates(tally.received),
        published=tally.rates(tally.published),
        losses=tally.losses(),
        received_total=sum(sum(bins.values()) for bins in tally.received.values()),
        published_total=sum(sum(bins.values()) for bins in tally.published.values()),
        missed_total=sum(tally.missed.values()),
        missed_unknown=sum(tally.unknown.values()),
        unreachable_total=tally.unreachable,
        ready_s=None if phases.ready is None else phases.ready - zero,
        quiet_s=None if phases.quiet is None else phases.quiet - zero,
    )


class _Tally:
    """Counts of one run, by bin."""

    def __init__(self, zero: float, bin_s: float, bins: int, over: float | None) -> None:
        self.zero = zero
        self.over = over
        self.bin_s = bin_s
        self.bins = bins
        self.received: dict[str, Counter[int]] = defaultdict(Counter)
        self.published: dict[str, Counter[int]] = defaultdict(Counter)
        self.missed: Counter[tuple[int, str, str]] = Counter()
        self.unknown: Counter[tuple[int, str, str]] = Counter()
        self.marks: list[Mark] = []
        self.unreachable = 0
        self.sights: dict[tuple[str, str], list[tuple[float, bool, str]]] = defaultdict(list)
        """For each ordered pair: when the first node began or ceased to see the other, and why."""

    def add(self, name: str, record: Record, names: set[str]) -> None:
        """Counts one record of the node of this name."""
        kind, fields = record.kind, record.fields
        if kind == "recv":
            place = self._place(record.at)
            self.received[name][place] += 1
            missed = fields.get("missed", 0)
            if missed != 0:
                key = (place, name, str(fields.get("node")))
                if missed is None:
                    self.unknown[key] += 1
                else:
                    self.missed[key] += missed
            return
        if kind == "publish":
            self.published[name][self._place(record.at)] += 1
            return
        peer = str(fields.get("node"))
        if kind == "start":
            self.published.setdefault(name, Counter())
            self.received.setdefault(name, Counter())
        if peer not in names or peer == name:
            return
        at = record.at - self.zero
        if kind == "link_up":
            self.sights[name, peer].append((at, True, f"{name} greeted {peer}"))
        elif kind == "link_down":
            why = f"{name} lost {peer}: {fields.get('reason', 'no reason given')}"
            self.sights[name, peer].append((at, False, why))
        elif self.over is not None and record.at >= self.over:
            return  # nodes are also told of peers that leave at the end, which is no finding
        elif kind == "host_unreachable":
            self.unreachable += 1
            text = f"{name} was told: host {peer} unreachable ({fields.get('reason')})"
            self.marks.append(Mark(_row(name, peer), at, "HostUnreachable", text))
        elif kind in ("dial", "dial_failed"):
            self.marks.append(Mark(_row(name, peer), at, "dial", _dial_text(name, peer, record)))

    def rates(self, counts: Mapping[str, Counter[int]]) -> dict[str, tuple[float, ...]]:
        """Messages a second in every bin."""
        return {
            name: tuple(round(bins[place] / self.bin_s, 3) for place in range(self.bins))
            for name, bins in counts.items()
        }

    def losses(self) -> tuple[Loss, ...]:
        return tuple(
            Loss(
                begin=round(key[0] * self.bin_s, 3),
                end=round((key[0] + 1) * self.bin_s, 3),
                node=key[1],
                host=key[2],
                missed=self.missed[key],
                unknown=self.unknown[key],
            )
            for key in sorted(set(self.missed) | set(self.unknown))
        )

    def _place(self, at: float) -> int:
        return min(max(int((at - self.zero) / self.bin_s), 0), self.bins - 1)


def _merged(marks: list[Mark], apart_s: float) -> list[Mark]:
    """Joins marks of a kind that would overlap into one mark with all of their texts."""
    merged: list[Mark] = []
    groups: list[list[Mark]] = []
    for mark in sorted(marks, key=lambda mark: (mark.row, mark.kind, mark.at)):
        last = groups[-1][0] if groups else None
        if last and (last.row, last.kind) == (mark.row, mark.kind) and mark.at - last.at < apart_s:
            groups[-1].append(mark)
        else:
            groups.append([mark])
    for first, *others in groups:
        texts = [first.what, *(mark.what for mark in others)][:MERGED_SHOWN_MAX]
        if len(others) >= MERGED_SHOWN_MAX:
            texts.append(f"and {len(others) + 1 - MERGED_SHOWN_MAX} more")
        merged.append(replace(first, what="; ".join(texts)))
    return merged


def _dial_text(name: str, peer: str, record: Record) -> str:
    if record.kind == "dial":
        return f"{name} dials {peer}"
    delay = record.fields.get("delay")
    wait = "" if delay is None else f", next try in {delay:.2f} s"
    return f"{name} could not reach {peer}: {record.fields.get('reason')}{wait}"


def _records(journal: Journal | None) -> Iterator[Record]:
    return journal.records if journal is not None else iter(())


def _row(one: str, other: str) -> str:
    return f"{one} – {other}" if one < other else f"{other} – {one}"  # noqa: RUF001


def _length(evidence: Evidence, zero: float) -> float:
    ends = [
        incarnation.records[-1].at
        for journal in evidence.journals.values()
        for incarnation in journal.incarnations
        if incarnation.records
    ]
    ends += [window.healed or window.acted for window in evidence.faults]
    if evidence.phases.stopped is not None:
        ends.append(evidence.phases.stopped)
    return max(max(ends, default=zero) - zero, 1.0)


def _bin_width(evidence: Evidence, length_s: float) -> float:
    """A round number of seconds, such that at most BINS_MAX bins cover the run."""
    incarnations = [
        incarnation
        for journal in evidence.journals.values()
        for incarnation in journal.incarnations
    ]
    records = sum(len(incarnation.records) for incarnation in incarnations) / max(
        len(evidence.journals), 1
    )
    telling = min(BIN_RECORDS_MIN * length_s / max(records, 1.0), BIN_S_SMALL)
    step = 0.1
    while True:
        for factor in (1, 2, 5):
            if factor * step >= max(length_s / BINS_MAX, telling):
                return round(factor * step, 3)
        step *= 10


def _link_spans(
    evidence: Evidence, tally: _Tally, length: float
) -> tuple[tuple[Span, ...], int, int]:
    """The spans of the links that get a row, and the numbers of calm and disturbed links without a
    row."""
    pairs = {(min(pair), max(pair)) for pair in [*evidence.topology.links, *tally.sights]}
    for name, peer in list(tally.sights):
        _add_deaths(evidence, tally, name, peer)
    phases = evidence.phases
    over = length if phases.stopped is None else phases.stopped - phases.started
    spans_of = {pair: _pair_spans(pair, tally, length, over) for pair in sorted(pairs)}
    # If there are many links, those to which something happened get a row.
    disturbed = sorted(spans_of, key=lambda pair: (-_unrest(spans_of[pair]), pair))
    shown = sorted(disturbed[:ROWS_MAX])
    rest = disturbed[ROWS_MAX:]
    left_out = sum(_unrest(spans_of[pair]) > 0 for pair in rest)
    spans = [span for pair in shown for span in spans_of[pair]]
    return tuple(spans[:SPANS_MAX]), len(rest) - left_out, left_out


def _unrest(spans: list[Span]) -> int:
    """How often a link that was up went away; 1 if it never was."""
    states = [span.state for span in spans]
    if "up" not in states:
        return 1
    return sum(state in ("one end", "down") for state in states[states.index("up") :])


def _add_deaths(evidence: Evidence, tally: _Tally, name: str, peer: str) -> None:
    """Ends the sights of a node that ended, as a killed node can't record that itself."""
    for incarnation in evidence.journals[name].incarnations:
        at = incarnation.records[-1].at - tally.zero
        ended = "left" if incarnation.ended_well else "ended without a goodbye"
        tally.sights[name, peer].append((at, False, f"{name} {ended}"))


def _pair_spans(pair: tuple[str, str], tally: _Tally, length: float, over: float) -> list[Span]:
    """States of one link from 0 to ``length``. At ``over`` the nodes were told to leave."""
    one, other = pair
    changes = [(at, one, up, why) for at, up, why in tally.sights.get((one, other), ())]
    changes += [(at, other, up, why) for at, up, why in tally.sights.get((other, one), ())]
    seen = {one: False, other: False}
    spans: list[Span] = []
    begin, state, why = 0.0, _state(seen), "not up yet"
    for at, who, up, text in sorted(changes, key=lambda change: change[0]):
        seen[who] = up
        if _state(seen) != state:
            spans.append(Span(_row(one, other), begin, at, state, why))
            begin, state, why = at, _state(seen), text
    spans.append(Span(_row(one, other), begin, length, state, why))
    return _without_edges([span for span in spans if span.end > span.begin], over)


def _without_edges(spans: list[Span], over: float) -> list[Span]:
    """The spans, with a link that is down before it is first up, or after the run, marked so."""
    if len(spans) > 1 and spans[0].state == "down":
        spans[0] = replace(spans[0], state="before or after")
    return [
        replace(span, state="before or after")
        if span.begin >= over and span.state != "up"
        else span
        for span in spans
    ]


def _state(seen: Mapping[str, bool]) -> State:
    up = sum(seen.values())
    return "up" if up == 2 else "one end" if up else "down"


def _node_spans(evidence: Evidence, length: float) -> tuple[Span, ...]:
    """Incarnations of the nodes, if any lived more than once, or not from beginning to end."""
    zero = evidence.phases.started
    stopped = evidence.phases.stopped
    over = length if stopped is None else stopped - zero
    touched = {name for window in evidence.faults for name in window.effect.down}
    names = [
        name
        for name in evidence.topology.names
        if name in touched or len(evidence.journals.get(name, Journal()).incarnations) > 1
    ]
    spans: list[Span] = []
    for name in names[:ROWS_MAX]:
        now, why = 0.0, "not started yet"
        incarnations = evidence.journals.get(name, Journal()).incarnations
        first = incarnations[0].records[0].at if incarnations else zero + length
        is_late = any(name in one.effect.down and one.began < first for one in evidence.faults)
        state: State = "down" if is_late else "before or after"
        for incarnation in incarnations:
            begin, end = incarnation.records[0].at - zero, incarnation.records[-1].at - zero
            spans.append(Span(name, now, begin, state, why))
            spans.append(Span(name, begin, end, "up", f"{name} runs{_pid(incarnation)}"))
            now, state = end, "down"
            why = f"{name} left" if incarnation.ended_well else f"{name} was killed"
        spans.append(Span(name, now, length, "before or after" if now >= over else state, why))
    return tuple(span for span in spans if span.end > span.begin)[:SPANS_MAX]


def _pid(incarnation: IncarnationRecords) -> str:
    pid = incarnation.start.fields.get("pid")
    return "" if pid is None else f" (process {pid})"
