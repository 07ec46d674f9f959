"""Who must be told of what: tables of faults, and the edges of their times."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from spot.testbed.checkers import CHECKERS
from spot.testbed.checkers.account import account_of
from spot.testbed.checkers.deliveries import deliveries, excuses
from spot.testbed.checkers.outages import BUSY_S, breaks, due_notices
from spot.testbed.evidence import Effect, Evidence
from spot.testbed.journal import Record
from spot.testbed.topology import Topology, build_topology
from spot.testbed.verdict import Finding, Verdict
from tests.testbed.checkers.made import BOUNDS, READY, MadeRun, Planned

CUT = Planned("cut", ("a", "b"), 4, 3)
BLACKHOLE = Planned("blackhole", ("a", "b"), 4, 6)


def due(run: MadeRun, **changes: Any) -> set[tuple[str, str]]:
    return {(one.node, one.host) for one in due_notices(account_of(run.evidence(**changes)))}


def judge(name: str, evidence: Evidence) -> Finding:
    return CHECKERS[name](evidence)


BOTH = {("a", "b"), ("b", "a")}
OTHERS_OF_B = {("a", "b"), ("c", "b")}


@pytest.mark.parametrize(
    ("fault", "wanted"),
    [
        (CUT, BOTH),
        (Planned("cut", ("a", "b"), 4, 0.02), BOTH),
        (BLACKHOLE, BOTH),
        (Planned("blackhole", ("a", "b"), 4, 2.4), set()),  # healed before it must be noticed
        (Planned("crash", ("b",), 4, 3), OTHERS_OF_B),
        (Planned("stop", ("b",), 4, 3), OTHERS_OF_B),
        (Planned("pause", ("b",), 4, 6), OTHERS_OF_B),  # who is held still need not be told
        (Planned("pause", ("b",), 4, 1), set()),
        (Planned("partition", ("c",), 4, 3), {("a", "c"), ("b", "c"), ("c", "a"), ("c", "b")}),
        (Planned("flap", ("a", "b"), 4, 3), set()),
        (Planned("late", ("c",), -0.5, 5), set()),
        (Planned("latency", ("a", "b"), 4, 3), set()),
    ],
)
def test_who_must_be_told(fault: Planned, wanted: set[tuple[str, str]]) -> None:
    """One too many makes a false fail, one too few hides a host that nobody was told of."""
    assert due(MadeRun([fault])) == wanted


def test_who_is_not_subscribed_need_not_be_told() -> None:
    """Spokes hear the hub only: of one another they know nothing."""
    hub = build_topology("hub-spoke", 2)
    run = MadeRun([Planned("crash", ("hub",), 4, 3)], topology=hub)

    assert due(run) == {("spoke-1", "hub"), ("spoke-2", "hub")}


def test_link_that_was_down_already_is_not_lost_again() -> None:
    """A crash of a node that was cut off from a: only c can notice."""
    run = MadeRun([Planned("cut", ("a", "b"), 4, 8), Planned("crash", ("b",), 7, 2)])

    assert due(run) == {("a", "b"), ("b", "a"), ("c", "b")}


def test_fault_near_the_end_of_the_run_is_not_due() -> None:
    """The nodes were stopped before they had to notice."""
    run = MadeRun([Planned("blackhole", ("a", "b"), 18.5, 6)], length=18.8)

    assert due(run) == set()


def test_removed_peer_is_no_lost_host() -> None:
    """Whoever was told to remove a peer is not told of its loss; one who is, was told wrongly."""
    run = MadeRun([Planned("cut", ("a", "b"), 4, 0.5)])
    fields = {"do": "remove", "peer": "b", "ok": True}
    run.insert("a", Record("command", READY + 3, fields))

    assert due(run) == set()
    notice = {"node": "b", "topics": ["b:data"], "reason": "removed"}
    run.insert("a", Record("host_unreachable", READY + 12, notice))
    finding = judge("host-unreachable-told", run.evidence())
    assert finding.verdict is Verdict.FAIL
    # It is not among those that its cut explains, which are over by then.
    assert any("12" in detail or "13" in detail for detail in finding.details)


@pytest.mark.parametrize(
    ("fault", "late", "verdict"),
    [
        (CUT, 0.1, Verdict.PASS),
        (CUT, 0.1 + BUSY_S - 0.02, Verdict.PASS),
        (CUT, 0.1 + BUSY_S + 0.02, Verdict.FAIL),
        (BLACKHOLE, BOUNDS.silence, Verdict.PASS),
        (BLACKHOLE, BOUNDS.silence + 0.2 + BUSY_S - 0.02, Verdict.PASS),
        (BLACKHOLE, BOUNDS.silence + 0.2 + BUSY_S + 0.02, Verdict.FAIL),
    ],
)
def test_detection_is_held_to_its_bound(fault: Planned, late: float, verdict: Verdict) -> None:
    """The bound of the guarantee and what a busy machine is allowed: not more, not less."""
    run = MadeRun([fault])
    for node in ("a", "b"):
        told = run.find(node, "host_unreachable")
        run.replace(node, told, Record(told.kind, fault.began + late, told.fields))

    finding = judge("detection-time", run.evidence())
    assert finding.verdict is verdict
    if verdict is Verdict.FAIL:
        bound = "0.1 s" if fault is CUT else "2.5 s"
        assert finding.details[0].endswith(f"the bound is {bound}")


def test_time_that_applying_took_is_allowed_for() -> None:
    """An engine may take half a second to kill a container: which moment of it was it?"""
    run = MadeRun([CUT])
    slow = replace(run.windows[0], began=CUT.began - 0.8)

    assert judge("detection-time", run.evidence(faults=(slow,))).verdict is Verdict.PASS


def test_starved_node_may_be_called_lost() -> None:
    """Its peers can't tell it from a dead one; but a slow link alone is no reason."""
    run = MadeRun()
    run.insert("a", Record("link_down", READY + 6, {"node": "b", "reason": "silent"}))
    run.insert("a", Record("link_up", READY + 6.1, {"node": "b"}))
    pairs = frozenset({("a", "b"), ("b", "a")})
    window = Planned("cut", ("a", "b"), 4, 3).window(run.topology)
    starved = replace(window, name="starve", effect=Effect(slowed=pairs, notice="maybe"))
    slow = replace(window, name="latency", effect=Effect(slowed=pairs))

    assert judge("no-false-alarm", run.evidence(faults=(starved,))).verdict is Verdict.PASS
    assert judge("no-false-alarm", run.evidence(faults=(slow,))).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("at", "excused"),
    [
        (CUT.began - 1.0, False),
        (CUT.began - 0.2, True),  # it was on its way
        (CUT.began + 1.0, True),
        (CUT.healed - 0.1, True),
        (CUT.healed + 8.0, False),
    ],
)
def test_losses_are_excused_by_when_they_were_published(at: float, excused: bool) -> None:
    """And by the links that were broken: the same time excuses nothing between other nodes."""
    account = account_of(MadeRun([CUT]).evidence())

    def is_excused(sender: str, node: str) -> bool:
        return any(began <= at <= ended for began, ended in excuses(account, sender, node))

    assert is_excused("a", "b") is is_excused("b", "a") is excused
    assert not is_excused("a", "c")
    assert not is_excused("a", "a")


def test_excuse_ends_when_the_nodes_say_that_they_are_synchronised() -> None:
    """Not with the longest wait that there may be."""
    run = MadeRun([CUT])
    synced = run.find("a", "synced", CUT.healed, node="b").at

    ends = [
        ended
        for began, ended in excuses(account_of(run.evidence()), "b", "a")
        if began <= CUT.began <= ended
    ]
    assert max(ends) == pytest.approx(synced + 0.3, abs=0.01)


def test_nodes_that_tell_no_links_have_until_the_longest_wait() -> None:
    """A program of another library may know nothing of its links."""
    run = MadeRun([CUT])
    for incarnation in run.all_incarnations():
        kinds = ("link_up", "link_down", "synced")
        incarnation.records = [one for one in incarnation.records if one.kind not in kinds]

    ends = [
        ended
        for began, ended in excuses(account_of(run.evidence()), "b", "a")
        if began <= CUT.began <= ended
    ]
    assert max(ends) == pytest.approx(CUT.healed + BOUNDS.reconnect_max + 0.5 + BUSY_S)
    assert judge("loss-only-in-faults", run.evidence()).verdict is Verdict.PASS


def test_graceful_leave_excuses_nothing_that_was_published_before() -> None:
    """Who leaves delivers first."""
    stop = Planned("stop", ("b",), 4, 3)
    run = MadeRun([stop])
    last = [one for one in run.find_all("a", "recv", topic="b:data") if one.at < stop.began - 0.01][
        -1
    ]
    run.replace("a", last)

    assert judge("loss-only-in-faults", run.evidence()).verdict is Verdict.FAIL


def test_crash_excuses_what_the_host_had_not_sent() -> None:
    """That is lost with it, and is not the subscriber's fault."""
    crash = Planned("crash", ("b",), 4, 3)
    run = MadeRun([crash])
    for node in ("a", "c", "b"):
        found = [one for one in run.find_all(node, "recv", topic="b:data") if one.at < crash.began]
        run.replace(node, found[-1])

    assert judge("loss-only-in-faults", run.evidence()).verdict is Verdict.PASS


def test_slow_subscriber_that_was_set_aside_is_excused() -> None:
    """It is told that it was: `set_aside` and `caught_up` stand in its host's journal."""
    run = MadeRun()
    gone = list(run.find_all("a", "recv", READY + 6, topic="b:data"))[:20]
    following = run.find("a", "recv", gone[-1].at + 0.001, topic="b:data")
    for record in gone:
        run.replace("a", record)
    run.replace("a", following, Record("recv", following.at, {**following.fields, "missed": 20}))
    assert judge("loss-only-in-faults", run.evidence()).verdict is Verdict.FAIL

    run.insert("b", Record("set_aside", gone[0].at, {"node": "a"}))
    run.insert("b", Record("caught_up", gone[-1].at, {"node": "a", "count": 20}))
    assert judge("loss-only-in-faults", run.evidence()).verdict is Verdict.PASS


def test_removed_peer_is_excused_until_it_was_added_again() -> None:
    """Recovery by remove, add and sync: what was published in between was not wanted."""
    run = MadeRun(views=False)
    since, until = READY + 5.0, READY + 7.0
    for do, at in (("remove", since), ("add", until)):
        run.insert("a", Record("command", at, {"do": do, "peer": "b", "ok": True}))
    for node, peer in (("a", "b"), ("b", "a")):
        reason = {"node": peer, "reason": "removed"}
        run.insert(node, Record("link_down", since + 0.01, reason))
        run.insert(node, Record("link_up", until + 0.2, {"node": peer}))
        for record in list(run.find_all(node, "recv", since, node=peer)):
            if record.at < until + 0.2:
                run.replace(node, record)
        following = run.find(node, "recv", until, node=peer)
        before = [one for one in run.find_all(node, "recv", node=peer) if one.at < since][-1]
        missed = following.fields["counter"] - before.fields["counter"] - 1
        fields = {**following.fields, "missed": missed}
        run.replace(node, following, Record("recv", following.at, fields))
    evidence = run.evidence()

    assert [
        name
        for name, checker in CHECKERS.items()
        if (finding := checker(evidence)).verdict is Verdict.FAIL and finding.details
    ] == []
    found = {
        (one.removed_by, one.began, one.ended) for one in breaks(account_of(evidence), "a", "b")
    }
    assert ("a", since, until) in found


def test_deliveries_count_received_excused_and_lost() -> None:
    """These are the figures of the report."""
    run = MadeRun([CUT])
    run.replace("a", run.find("a", "recv", READY + 2, topic="b:data"))
    [one] = [
        one
        for one in deliveries(account_of(run.evidence()))
        if (one.node, one.published.topic) == ("a", "b:data")
    ]

    published = len(one.published.accepted)
    assert one.received + one.excused + len(one.lost) == published
    assert len(one.lost) == 1
    assert one.excused > CUT.lasts * run.rate * 0.9


def test_topic_of_two_hosts_is_owed_by_neither_while_both_have_it() -> None:
    """In a split both sides may create it: each subscriber hears one of them."""
    spec = build_topology("mesh", 3)
    shared = tuple(
        replace(node, topics=("shared:data",)) if node.name in "ab" else node for node in spec.nodes
    )
    run = MadeRun(topology=Topology("shared", shared))
    for record in list(run.find_all("c", "recv", topic="shared:data", node="b")):
        run.replace("c", record)

    assert judge("loss-only-in-faults", run.evidence()).verdict is Verdict.PASS
