"""The waits between dials, coming back after a heal, and both sides of a split: tables of edges."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spot.testbed.checkers import CHECKERS, fault_results
from spot.testbed.checkers.account import account_of
from spot.testbed.checkers.backoff import waits
from spot.testbed.checkers.both_halves_serve import sides
from spot.testbed.checkers.reconnect import recoveries
from spot.testbed.evidence import Effect
from spot.testbed.journal import Record
from spot.testbed.topology import build_topology
from spot.testbed.verdict import Verdict
from tests.testbed.checkers.made import READY, MadeIncarnation, MadeRun, Planned

CUT = Planned("cut", ("a", "b"), 4, 3)
ENDPOINT = "tcp://a"


def dialling(delays: list[float], *, up_for: float = 10.0) -> MadeRun:
    """A run in which b loses its link with a, and dials it with these waits, without success."""
    run = MadeRun([Planned("cut", ("a", "b"), 10, 8)], length=18.0)
    for incarnation in run.incarnations["b"]:
        incarnation.records = [
            one
            for one in incarnation.records
            if one.fields.get("endpoint") != ENDPOINT or one.at < 1003
        ]
        incarnation.records = [
            one for one in incarnation.records if one.kind not in ("dial", "dial_failed")
        ]
        at = READY + 10
        for name in ("link_up", "synced", "link_down"):
            for record in [one for one in incarnation.records if one.kind == name]:
                if record.fields.get("node") == "a":
                    incarnation.records.remove(record)
        incarnation.records.append(
            Record("link_up", at - up_for, {"node": "a", "endpoint": ENDPOINT})
        )
        kind = "link_down"
        for delay in delays:
            fields = {"node": "a", "endpoint": ENDPOINT, "reason": "closed", "delay": delay}
            incarnation.records.append(Record(kind, at, fields))
            at += delay + 0.001
            incarnation.records.append(Record("dial", at, {"node": "a", "endpoint": ENDPOINT}))
            at, kind = at + 0.001, "dial_failed"
        incarnation.records.sort(key=lambda one: one.at)
    return run


@pytest.mark.parametrize(
    ("delays", "verdict"),
    [
        ([0.05, 0.1, 0.2, 0.4, 0.8], Verdict.PASS),  # the least of each step
        ([0.1, 0.2, 0.4, 0.8, 1.6], Verdict.PASS),  # the most
        ([0.1, 0.2, 0.4, 0.8, 1.6, 3.2], Verdict.PASS),
        ([0.044], Verdict.FAIL),
        ([0.11], Verdict.FAIL),
        ([0.1, 0.1, 0.1], Verdict.FAIL),  # it does not double
        ([0.1, 0.2, 0.4, 0.1], Verdict.FAIL),  # it begins anew
        ([0.1, 0.2, 0.5], Verdict.FAIL),  # it grows too fast
        ([0.1, 0.0], Verdict.FAIL),
    ],
)
def test_waits_double_within_their_bounds(delays: list[float], verdict: Verdict) -> None:
    """A herd of nodes that dial too soon can keep a cluster down."""
    assert CHECKERS["backoff"](dialling(delays).evidence()).verdict is verdict


def test_steps_end_at_the_longest() -> None:
    """For ever at reconnect_max, and not at half of it, nor beyond."""
    run = dialling([0.1, 0.2, 0.4, 0.8])
    bounds = replace(run.evidence().bounds, reconnect_max=0.3)
    steps = [wait.high for wait in waits(account_of(run.evidence(bounds=bounds)), "b")]

    assert steps == [0.1, 0.2, 0.3, 0.3]


@pytest.mark.parametrize(
    ("up_for", "first", "verdict"),
    [
        (2.5, 0.1, Verdict.PASS),
        (2.5, 0.4, Verdict.FAIL),  # it was stable: the waits begin anew
        (0.5, 0.1, Verdict.FAIL),  # a peer that accepts and closes is backed off from
        (0.5, 0.7, Verdict.PASS),
        (2.0, 0.1, Verdict.PASS),  # on the edge, either is right
        (2.0, 0.7, Verdict.PASS),
    ],
)
def test_waits_begin_anew_after_a_stable_link(
    up_for: float, first: float, verdict: Verdict
) -> None:
    """``stable_after`` is 2 s."""
    run = dialling([0.1, 0.2, 0.4])
    [incarnation] = run.incarnations["b"]
    at = [one for one in incarnation.records if one.kind == "dial"][-1].at + 0.002
    end = at + up_for
    fields = {"node": "a", "endpoint": ENDPOINT}
    incarnation.records.append(Record("link_up", at, fields))
    incarnation.records.append(Record("link_down", end, {**fields, "reason": "x", "delay": first}))
    incarnation.records.append(Record("dial", end + first, fields))
    incarnation.records.sort(key=lambda one: one.at)

    assert CHECKERS["backoff"](run.evidence()).verdict is verdict


def test_contact_from_the_peer_ends_a_wait() -> None:
    """It dialled itself: the rest of the wait is not owed."""
    run = dialling([0.1, 0.2, 0.4, 0.8, 1.6])
    [incarnation] = run.incarnations["b"]
    dials = [one for one in incarnation.records if one.kind == "dial"]
    incarnation.records.remove(dials[-1])
    incarnation.records.append(Record("link_up", dials[-1].at - 1.0, {"node": "a"}))
    incarnation.records.sort(key=lambda one: one.at)

    assert CHECKERS["backoff"](run.evidence()).verdict is Verdict.PASS


def test_dials_are_judged_without_recorded_delays() -> None:
    """Whether it says how long it waits or not, it must wait."""
    right, wrong = dialling([0.1, 0.2, 0.4]), dialling([0.1, 0.02, 0.02])
    for run in (right, wrong):
        for record in [*run.find_all("b", "dial_failed"), *run.find_all("b", "link_down")]:
            fields = {name: value for name, value in record.fields.items() if name != "delay"}
            run.replace("b", record, Record(record.kind, record.at, fields))

    assert CHECKERS["backoff"](right.evidence()).verdict is Verdict.PASS
    assert CHECKERS["backoff"](wrong.evidence()).verdict is Verdict.FAIL


def test_recovery_is_bound_by_the_step_that_the_dialler_was_in() -> None:
    """0.5 s after a moment's cut, and 5.5 s after a long one: that is what is promised."""
    short = MadeRun([Planned("cut", ("a", "b"), 4, 0.3)])
    long = MadeRun([Planned("cut", ("a", "b"), 4, 9)])

    promises = [
        {one.promise for one in recoveries(account_of(run.evidence()))} for run in (short, long)
    ]
    assert max(promises[0]) <= 0.1 * 8 + 0.5
    assert min(promises[1]) > 2.5


def test_recovery_waits_for_a_node_to_start() -> None:
    """A restarted process can't be reached before it has bound."""
    crash = Planned("crash", ("b",), 4, 3)
    run = MadeRun([crash])
    [_, second] = run.incarnations["b"]

    found = {one.reachable for one in recoveries(account_of(run.evidence()))}
    assert found == {second.began}


def test_recovery_that_another_fault_ends_is_not_judged() -> None:
    """It was cut again before it had to be back."""
    run = MadeRun([Planned("cut", ("a", "b"), 4, 3), Planned("cut", ("a", "b"), 7.01, 3)])

    judged = {one.window.began for one in recoveries(account_of(run.evidence()))}
    assert judged == {READY + 7.01}


def test_link_without_topics_must_come_back_too() -> None:
    """Nothing is published, so the link itself is watched."""
    run = MadeRun([CUT])
    for incarnation in run.all_incarnations():
        incarnation.records = [
            one for one in incarnation.records if one.kind not in ("publish", "recv")
        ]
    assert CHECKERS["reconnect"](run.evidence()).verdict is Verdict.PASS

    _drop_links(run.incarnations["a"], "b", CUT.healed)
    assert CHECKERS["reconnect"](run.evidence()).verdict is Verdict.FAIL


def _drop_links(incarnations: list[MadeIncarnation], peer: str, since: float) -> None:
    for incarnation in incarnations:
        incarnation.records = [
            one
            for one in incarnation.records
            if one.kind not in ("link_up", "synced") or one.at < since or one.fields["node"] != peer
        ]


@pytest.mark.parametrize(
    ("effect", "wanted"),
    [
        (Effect(), [["a", "b", "c", "d"]]),
        (Effect(frozenset({("a", "b")})), [["a", "c", "d", "b"]]),  # round by the others
        (
            Effect(frozenset({("a", "c"), ("a", "d"), ("b", "c"), ("b", "d")})),
            [["a", "b"], ["c", "d"]],
        ),
        (Effect(down=frozenset({"b"})), [["a", "c", "d"]]),
        (Effect(paused=frozenset({"a", "b"})), [["c", "d"]]),
        (Effect(frozenset((a, b) for a in "abcd" for b in "abcd")), [["a"], ["b"], ["c"], ["d"]]),
    ],
)
def test_sides_of_a_split(effect: Effect, wanted: list[list[str]]) -> None:
    """Who still reaches whom, over any number of links."""
    run = MadeRun(topology=build_topology("mesh", 4), length=2.0)
    window = replace(Planned("cut", ("a", "b"), 1, 1).window(run.topology), effect=effect)

    assert sides(account_of(run.evidence()), window) == wanted


def test_split_of_two_nodes_has_no_side_with_a_subscriber() -> None:
    """Each hears the other only: nothing is to be seen, and nothing claimed."""
    run = MadeRun([CUT], topology=build_topology("two-node"))

    finding = CHECKERS["both-halves-serve"](run.evidence())
    assert finding.verdict is Verdict.UNKNOWN
    assert not finding.is_exercised


def test_split_of_a_moment_says_nothing_of_its_sides() -> None:
    """Too short for a message to be published and received in it."""
    run = MadeRun([Planned("partition", ("c",), 4, 0.2)])

    assert not CHECKERS["both-halves-serve"](run.evidence()).is_exercised


def test_faults_have_figures() -> None:
    """What the report shows: until the last was told, until all was back, what was missed."""
    run = MadeRun([CUT, Planned("crash", ("c",), 12, 2)])
    cut, crash = fault_results(run.evidence())

    told = [run.find(node, "host_unreachable").at - CUT.began for node in ("a", "b")]
    assert cut.detect_s == pytest.approx(max(told))
    missed = sum(
        record.fields["missed"] or 0
        for node in ("a", "b")
        for record in run.find_all(node, "recv", CUT.began)
        if record.at < READY + 12
    )
    assert cut.missed == missed > 100
    assert cut.recover_s is not None
    assert 0 < cut.recover_s < 5.5
    assert (cut.start_s, cut.end_s) == (5.0, 8.0)
    assert crash.missed is None
    assert crash.detect_s is not None
    assert crash.recover_s is not None


def test_fault_that_was_not_healed_has_no_end() -> None:
    """Nor did anything recover from it."""
    run = MadeRun([Planned("cut", ("a", "b"), 4, 100)])
    window = replace(run.windows[0], healing=None, healed=None)
    [result] = fault_results(run.evidence(faults=(window,)))

    assert (result.end_s, result.recover_s) == (None, None)
    assert result.detect_s is not None


def test_what_never_came_back_has_no_recovery_time() -> None:
    """One direction is not enough."""
    run = MadeRun([CUT])
    for record in list(run.find_all("a", "recv", CUT.healed, topic="b:data")):
        run.replace("a", record)
    [result] = fault_results(run.evidence())

    assert result.recover_s is None
