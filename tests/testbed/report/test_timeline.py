import time
from dataclasses import replace

import pytest

from spot.testbed.evidence import Effect, Evidence
from spot.testbed.journal import Journal, Record
from spot.testbed.report.timeline import BINS_MAX, MARKS_MAX, ROWS_MAX, Span, draw_timeline
from spot.testbed.topology import build_topology
from tests.testbed.report.runs import evidence, incarnation, record, window

A_B = "a – b"  # noqa: RUF001
TWO = build_topology("two-node")


def _two(a: list[Record], b: list[Record], length: float = 10.0) -> Evidence:
    """Two nodes that lived for so long; these are their records besides."""
    journals = {}
    for name, records in (("a", a), ("b", b)):
        start = record(0.0, "start", version=1, node=name, pid=1)
        journals[name] = Journal((incarnation([start, *records, record(length, "closed")]),))
    made = evidence(TWO, length=length)
    return replace(made, journals=journals)


def _states(spans: tuple[Span, ...]) -> list[tuple[str, float, float]]:
    return [(span.state, round(span.begin, 3), round(span.end, 3)) for span in spans]


def test_link_is_up_while_both_ends_say_so() -> None:
    """Half-open links are what hides best."""
    timeline = draw_timeline(
        _two(
            [
                record(1.0, "link_up", node="b"),
                record(4.0, "link_down", node="b", reason="silent"),
                record(6.0, "link_up", node="b"),
            ],
            [
                record(1.5, "link_up", node="a"),
                record(5.0, "link_down", node="a", reason="closed"),
                record(6.0, "link_up", node="a"),
            ],
        )
    )
    assert _states(timeline.links) == [
        ("before or after", 0, 1.0),
        ("one end", 1.0, 1.5),
        ("up", 1.5, 4.0),
        ("one end", 4.0, 5.0),
        ("down", 5.0, 6.0),
        ("up", 6.0, 10.0),
    ]
    assert "a lost b: silent" in [span.why for span in timeline.links]


def test_killed_node_has_no_links() -> None:
    """It can't write down that its links went."""
    made = _two([record(1.0, "link_up", node="b")], [record(1.0, "link_up", node="a")])
    first = incarnation(
        [record(0, "start", pid=1), record(1, "link_up", node="a"), record(3, "publish")]
    )
    second = incarnation(
        [record(6, "start", pid=2), record(7, "link_up", node="a"), record(10, "closed")]
    )
    timeline = draw_timeline(
        replace(made, journals={**made.journals, "b": Journal((first, second))})
    )
    assert ("one end", 3.0, 7.0) in _states(timeline.links)
    assert [(span.row, *_states((span,))[0]) for span in timeline.nodes] == [
        ("b", "up", 0, 3),
        ("b", "down", 3, 6),
        ("b", "up", 6, 10),
    ]
    assert "b was killed" in [span.why for span in timeline.nodes]


def test_link_that_never_came_up_is_down_all_along() -> None:
    """It is the run's finding, not its beginning."""
    timeline = draw_timeline(_two([], []))
    assert _states(timeline.links) == [("down", 0, 10)]


def test_rates_losses_and_notices_are_those_of_the_journal() -> None:
    """Wrong pictures are worse than none."""
    timeline = draw_timeline(evidence(build_topology("mesh", 3), faults=(window(),)))
    assert timeline.published_total == 3 * 139
    assert set(timeline.received) == {"a", "b", "c"}
    middle = int(7 / timeline.bin_s)
    assert timeline.received["c"][middle] == pytest.approx(20)
    assert timeline.received["a"][middle] == pytest.approx(10)
    assert timeline.missed_total == 82
    assert {(loss.node, loss.host, loss.missed) for loss in timeline.losses} == {
        ("a", "b", 41),
        ("b", "a", 41),
    }
    assert timeline.unreachable_total == 2
    notices = [mark for mark in timeline.marks if mark.kind == "HostUnreachable"]
    assert [(mark.row, round(mark.at, 3)) for mark in notices] == [(A_B, 5.004)]
    assert notices[0].what == (
        "a was told: host b unreachable (closed); b was told: host a unreachable (closed)"
    )


def test_loss_that_nobody_can_count_is_told_apart_from_none() -> None:
    """``missed`` null is not 0."""
    timeline = draw_timeline(
        _two([record(5, "recv", topic="b:data", node="b", seq=1, missed=None, counter=1)], [])
    )
    assert [(loss.missed, loss.unknown) for loss in timeline.losses] == [(0, 1)]
    assert timeline.missed_unknown == 1


def test_strangers_are_no_links_of_the_topology() -> None:
    """Whoever runs `spot subscribe` beside a run joins its nodes."""
    timeline = draw_timeline(_two([record(2, "link_up", node="x")], []))
    assert {span.row for span in timeline.links} == {A_B}


def test_empty_journals_make_an_empty_timeline() -> None:
    """A run that broke before anything happened has a report as well."""
    made = replace(evidence(TWO), journals={})
    timeline = draw_timeline(made)
    assert timeline.received_total == 0
    assert timeline.nodes == ()


def test_late_node_is_shown_as_down() -> None:
    """Its row says why its links are not there."""
    made = _two([], [])
    late = Journal((incarnation([record(4, "start", pid=1), record(10, "closed")]),))
    fault = window("late", "b", began=0, effect=Effect(down=frozenset({"b"})))
    timeline = draw_timeline(replace(made, journals={**made.journals, "b": late}, faults=(fault,)))
    assert _states(timeline.nodes) == [("down", 0, 4), ("up", 4, 10)]


def test_large_mesh_shows_the_links_to_which_something_happened() -> None:
    """1,225 rows help nobody."""
    timeline = draw_timeline(
        evidence(build_topology("mesh", 50), cut=("b", "c"), rate=0.2, length=20)
    )
    rows = {span.row for span in timeline.links}
    assert len(rows) == ROWS_MAX
    assert "b – c" in rows  # noqa: RUF001
    assert timeline.links_calm == 1225 - ROWS_MAX
    assert timeline.links_left_out == 0


def test_many_notices_are_capped() -> None:
    """A flapping hub of a large cluster tells thousands of times."""
    nodes = build_topology("hub-spoke", 30)
    spokes = [name for name in nodes.names if name != "hub"]
    told = [
        record(1 + n / 2, "host_unreachable", node=spoke, topics=[], reason="closed")
        for n in range(100)
        for spoke in spokes
    ]
    hub = Journal((incarnation([record(0, "start", pid=1), *told, record(60, "closed")]),))
    timeline = draw_timeline(replace(evidence(nodes, length=46), journals={"hub": hub}))
    assert timeline.unreachable_total == 2700, "those after the run's end are left out"
    assert len(timeline.marks) == MARKS_MAX
    assert timeline.marks_left_out == 2700 - MARKS_MAX


def test_a_quarter_of_a_million_records_are_reduced_quickly() -> None:
    """A long run at full rate must not make a page that no browser opens, nor take minutes."""
    made = evidence(build_topology("mesh", 3), rate=250, length=112)
    assert sum(len(list(one.records)) for one in made.journals.values()) > 240_000
    began = time.process_time()
    timeline = draw_timeline(made)
    assert time.process_time() - began < 5
    bins = {len(rates) for rates in timeline.received.values()}
    assert max(bins) <= BINS_MAX + 1
    assert timeline.received_total > 150_000
