"""Runs in which one thing was made wrong: the checker that is meant for it fails, and no other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from spot.testbed.checkers import CHECKERS
from spot.testbed.journal import Record
from spot.testbed.verdict import Finding, Verdict
from tests.testbed.checkers.made import READY, MadeRun, Planned

CUT = Planned("cut", ("a", "b"), 4, 3)
SPLIT = Planned("partition", ("c",), 4, 4)
BLACKHOLE = Planned("blackhole", ("a", "b"), 4, 6)
CRASH = Planned("crash", ("b",), 4, 3)
HEALTHY = READY + 2.0
"""Before any fault, with traffic under way."""
SETTLED = READY + 15.0
"""After every fault, with traffic under way."""


def changed(record: Record, at: float | None = None, **fields: Any) -> Record:
    return Record(record.kind, record.at if at is None else at, {**record.fields, **fields})


def verdicts(run: MadeRun) -> dict[str, Finding]:
    evidence = run.evidence()
    return {name: checker(evidence) for name, checker in CHECKERS.items()}


def failed(run: MadeRun) -> set[str]:
    return {name for name, one in verdicts(run).items() if one.verdict is Verdict.FAIL}


def without(run: MadeRun, node: str, kind: str, after: float, until: float = 1e12) -> None:
    for record in list(run.find_all(node, kind, after)):
        if record.at < until:
            run.replace(node, record)


# What each mutation does, to which faults, and which checkers must fail.


def lose_silently(run: MadeRun) -> None:
    """A message is gone, and nobody is told."""
    run.replace("a", run.find("a", "recv", HEALTHY, topic="b:data"))


def lose_and_tell(run: MadeRun) -> None:
    """A message is gone outside of a fault; the next one says so."""
    gone = run.find("a", "recv", HEALTHY, topic="b:data")
    told = run.find("a", "recv", gone.at + 0.01, topic="b:data")
    run.replace("a", gone)
    run.replace("a", told, changed(told, missed=1))


def lose_the_tail(run: MadeRun) -> None:
    """The last messages before the end never come: no later message could tell."""
    last = [*run.find_all("a", "recv", topic="b:data")][-3:]
    for record in last:
        run.replace("a", record)


def lose_at_home(run: MadeRun) -> None:
    """A node does not get what it published itself; no fault excuses that."""
    run.replace("a", run.find("a", "recv", CUT.began + 1, topic="a:data"))


def repeat(run: MadeRun) -> None:
    record = run.find("a", "recv", HEALTHY, topic="b:data")
    run.replace("a", record, record, changed(record, record.at + 0.0001))


def repeat_later(run: MadeRun) -> None:
    """As a node that replays what it has handed out already after a reconnect."""
    record = run.find("a", "recv", HEALTHY, topic="b:data")
    run.insert("a", changed(record, SETTLED))


def repeat_renumbered(run: MadeRun) -> None:
    """With a sequence number of its own: the counter gives it away."""
    record = run.find("a", "recv", HEALTHY, topic="b:data")
    run.replace("a", record, record, changed(record, record.at + 0.0001, seq=99_999))


def swap(run: MadeRun) -> None:
    """Two messages change places."""
    one = run.find("a", "recv", HEALTHY, topic="b:data")
    other = run.find("a", "recv", one.at + 0.01, topic="b:data")
    run.replace("a", other, changed(one, other.at))
    run.replace("a", one, changed(other, one.at))


def invent(run: MadeRun) -> None:
    record = run.find("a", "recv", HEALTHY, topic="b:data")
    run.replace("a", record, record, changed(record, record.at + 0.0001, counter=987_654, seq=None))


def invent_a_topic(run: MadeRun) -> None:
    record = run.find("a", "recv", HEALTHY, topic="b:data")
    run.replace("a", record, record, changed(record, topic="b:other", seq=1))


def receive_too_early(run: MadeRun) -> None:
    """It comes before it was published."""
    record = run.find("a", "recv", HEALTHY, topic="b:data")
    run.replace("a", record, changed(record, record.at - 0.04))


def claim_too_much(run: MadeRun) -> None:
    record = run.find("a", "recv", HEALTHY, topic="b:data")
    run.replace("a", record, changed(record, missed=3))


def claim_too_little(run: MadeRun) -> None:
    """The gap of a cut is told as one message smaller than it was."""
    record = next(one for one in run.find_all("a", "recv", topic="b:data") if one.fields["missed"])
    run.replace("a", record, changed(record, missed=record.fields["missed"] - 1))


def claim_nothing(run: MadeRun) -> None:
    """The gap of a cut is silent."""
    record = next(one for one in run.find_all("a", "recv", topic="b:data") if one.fields["missed"])
    run.replace("a", record, changed(record, missed=0))


def claim_not_to_know(run: MadeRun) -> None:
    record = next(one for one in run.find_all("a", "recv", topic="b:data") if one.fields["missed"])
    run.replace("a", record, changed(record, missed=None))


def claim_to_know(run: MadeRun) -> None:
    """After a crash nobody can know what was lost with the host: this is made up."""
    found = run.find_all("a", "recv", topic="b:data")
    record = next(one for one in found if one.fields["missed"] is None)
    run.replace("a", record, changed(record, missed=5_000))


def claim_that_nothing_was_lost(run: MadeRun) -> None:
    """A false zero: what the killed host had accepted and not sent is lost."""
    found = run.find_all("a", "recv", topic="b:data")
    record = next(one for one in found if one.fields["missed"] is None)
    run.replace("a", record, changed(record, missed=0))


def hide_the_loss(run: MadeRun) -> None:
    """The application is never told."""
    without(run, "a", "host_unreachable", 0.0)


def tell_twice(run: MadeRun) -> None:
    record = run.find("a", "host_unreachable")
    run.insert("a", changed(record, record.at + 0.5))


def tell_of_nothing(run: MadeRun) -> None:
    """A host is called lost to which nothing was done."""
    fields = {"node": "c", "topics": ["c:data"], "reason": "silent"}
    run.insert("a", Record("host_unreachable", HEALTHY, fields))


def tell_the_wrong_topic(run: MadeRun) -> None:
    record = run.find("a", "host_unreachable")
    run.replace("a", record, changed(record, topics=["b:data", "c:data"]))


def tell_no_topic(run: MadeRun) -> None:
    record = run.find("a", "host_unreachable")
    run.replace("a", record, changed(record, topics=[]))


def tell_late(run: MadeRun) -> None:
    record = run.find("a", "host_unreachable")
    run.replace("a", record, changed(record, record.at + 1.5))


def lose_a_link(run: MadeRun) -> None:
    """A link goes down, and comes back at once, with nothing done to it."""
    run.insert("a", Record("link_down", HEALTHY, {"node": "c", "reason": "silent"}))
    run.insert("a", Record("link_up", HEALTHY + 0.02, {"node": "c"}))


def never_resynchronise(run: MadeRun) -> None:
    """The link comes back, and no message ever again."""
    for node, topic in (("a", "b:data"), ("b", "a:data")):
        for record in list(run.find_all(node, "recv", CUT.healed, topic=topic)):
            run.replace(node, record)


def resynchronise_one_way(run: MadeRun) -> None:
    for record in list(run.find_all("a", "recv", CUT.healed, topic="b:data")):
        run.replace("a", record)


def resynchronise_late(run: MadeRun) -> None:
    """What comes back, comes back seconds after its time."""
    late = list(run.find_all("a", "recv", CUT.healed, topic="b:data"))
    for record in late:
        if record.at < CUT.healed + 7.5:
            run.replace("a", record)


def never_back_off(run: MadeRun) -> None:
    """It dials again after 20 ms, for ever, and says so."""
    for record in list(run.find_all("b", "dial_failed")):
        run.replace("b", record, changed(record, delay=0.02))


def dial_too_soon(run: MadeRun) -> None:
    """It says that it waits, and dials all the same."""
    failures = [*run.find_all("b", "dial_failed", CUT.began)]
    last = failures[-1]
    fields = {"endpoint": last.fields["endpoint"], "node": "a"}
    run.insert("b", Record("dial", last.at + 0.01, fields))


def stop_dialling(run: MadeRun) -> None:
    """It gives up after a while."""
    for kind in ("dial", "dial_failed"):
        for record in list(run.find_all("b", kind, CUT.began + 1.0)):
            run.replace("b", record)
    for node, peer in (("b", "a"), ("a", "b")):
        for kind in ("link_up", "synced", "recv"):
            for record in list(run.find_all(node, kind, CUT.began + 1.0, node=peer)):
                run.replace(node, record)


def deliver_what_raised(run: MadeRun) -> None:
    raised = run.find("b", "publish_error", HEALTHY)
    near = run.find("a", "recv", raised.at + 0.1, topic="b:data")
    before = [one for one in run.find_all("a", "recv", topic="b:data") if one.at < raised.at][-1]
    counter = raised.fields["counter"]
    fields = {**before.fields, "counter": counter, "seq": None, "missed": 0}
    assert near.fields["counter"] > counter
    run.insert("a", Record("recv", raised.at + 0.001, fields))


def one_side_is_silent(run: MadeRun) -> None:
    """While the network is split, one side does not get its own topics; it says what it missed."""
    for node in ("a", "b"):
        for topic in ("a:data", "b:data"):
            during = [
                one
                for one in run.find_all(node, "recv", SPLIT.began + 0.1, topic=topic)
                if one.at < SPLIT.healed
            ]
            following = run.find(node, "recv", SPLIT.healed, topic=topic)
            for record in during:
                run.replace(node, record)
            missed = following.fields["counter"] - during[0].fields["counter"]
            run.replace(node, following, changed(following, missed=missed))


def one_side_stops_publishing(run: MadeRun) -> None:
    """A host refuses to serve its topic for as long as it does not see the others."""
    for record in list(run.find_all("c", "publish", SPLIT.began + 0.1)):
        if record.at < SPLIT.healed:
            run.replace("c", record)
    for node in ("a", "b", "c"):
        for record in list(run.find_all(node, "recv", SPLIT.began + 0.1, topic="c:data")):
            if record.at < SPLIT.healed:
                run.replace(node, record)
        following = run.find(node, "recv", SPLIT.healed, topic="c:data")
        if node == "c":
            run.replace(node, following, changed(following, missed=0))


def replay_nothing(run: MadeRun) -> None:
    """Live again after the cut, with an exact count of what it did not replay."""
    cut = list(run.find_all("b", "publish", CUT.began + 0.1))
    gone = {one.fields["counter"] for one in cut if one.at < CUT.healed - 0.1}
    arrivals = list(run.find_all("a", "recv", CUT.began, topic="b:data"))
    for record in arrivals:
        if record.fields["counter"] in gone:
            run.replace("a", record)
    first = next(one for one in arrivals if one.fields["counter"] > max(gone))
    run.replace("a", first, changed(first, missed=len(gone)))


def replay_twice(run: MadeRun) -> None:
    """The replay begins too early: what had arrived before the cut comes again."""
    had = [one for one in run.find_all("a", "recv", topic="b:data") if one.at < CUT.began][-5:]
    for place, record in enumerate(had):
        run.insert("a", changed(record, CUT.healed + 0.001 + place / 1e5))


def replay_after_live(run: MadeRun) -> None:
    """New messages don't wait for the replay."""
    late = [
        one for one in run.find_all("a", "recv", CUT.began, topic="b:data") if one.at > CUT.healed
    ]
    first, live = late[0], late[200 // 4]
    run.replace("a", first)
    run.insert("a", changed(first, live.at + 0.001))


def forget_the_tail(run: MadeRun) -> None:
    """The last messages went into the cut, and nobody asks for them, as none follows."""
    for record in list(run.find_all("b", "publish", CUT.healed - 0.2)):
        run.replace("b", record)
    last = max(one.fields["counter"] for one in run.find_all("b", "publish"))
    for node in ("a", "b", "c"):
        for record in list(run.find_all(node, "recv", CUT.began, topic="b:data")):
            if record.fields["counter"] > last or (
                node == "a" and record.fields["counter"] > last - 10
            ):
                run.replace(node, record)


def return_too_soon(run: MadeRun) -> None:
    """The view flaps with the link."""
    view = run.find("a", "view", CUT.healed)
    run.replace("a", view, changed(view, CUT.healed + 0.2))


def keep_the_lost_in_view(run: MadeRun) -> None:
    lost = run.find("a", "view", CUT.began)
    without(run, "a", "view", lost.at)


def skip_a_version(run: MadeRun) -> None:
    view = run.find("a", "view", CUT.began)
    run.replace("a", view, changed(view, version=view.fields["version"] + 1))


def claim_a_quorum(run: MadeRun) -> None:
    """A node on its own says that it reaches a majority."""
    view = run.find("c", "view", SPLIT.began, reachable=[])
    run.replace("c", view, changed(view, quorum=True))


def deny_a_quorum(run: MadeRun) -> None:
    view = run.find("a", "view", SPLIT.began)
    run.replace("a", view, changed(view, quorum=False))


def refuse_with_a_quorum(run: MadeRun) -> None:
    """A publish raises for want of a majority that is there."""
    record = run.find("a", "publish", HEALTHY)
    fields = {**record.fields, "errno": 101, "error": "no majority"}
    run.replace("a", record, Record("publish_error", record.at, fields))
    for node in ("a", "b", "c"):
        gone = run.find(node, "recv", HEALTHY, topic="a:data", counter=record.fields["counter"])
        run.replace(node, gone)


def invent_a_conflict(run: MadeRun) -> None:
    view = run.find("a", "view", CUT.began)
    run.replace("a", view, changed(view, conflicts={"b:data": ["b", "c"]}))


Wrong = tuple[Callable[[MadeRun], None], tuple[Planned, ...], set[str], set[str]]
"""The mutation, the faults of the run, who must fail, and who may as well."""

WRONGS: list[Wrong] = [
    (lose_silently, (), {"loss-only-in-faults", "no-silent-gap"}, set()),
    (lose_and_tell, (), {"loss-only-in-faults"}, set()),
    (lose_the_tail, (), {"loss-only-in-faults"}, set()),
    (lose_at_home, (CUT,), {"loss-only-in-faults", "no-silent-gap"}, set()),
    (repeat, (), {"no-duplicate"}, set()),
    (repeat_later, (CUT,), {"no-duplicate"}, set()),
    (repeat_renumbered, (), {"no-duplicate"}, {"order"}),
    (swap, (), {"order"}, {"no-silent-gap", "no-invention"}),
    (invent, (), {"no-invention"}, set()),
    (invent_a_topic, (), {"no-invention"}, set()),
    (receive_too_early, (), {"no-invention"}, set()),
    (claim_too_much, (), {"no-silent-gap"}, set()),
    (claim_too_little, (CUT,), {"no-silent-gap", "replay-overrun"}, set()),
    (claim_nothing, (CUT,), {"no-silent-gap", "replay-overrun"}, set()),
    (claim_not_to_know, (CUT,), {"no-silent-gap", "replay-overrun"}, set()),
    (hide_the_loss, (CUT,), {"host-unreachable-told"}, set()),
    (hide_the_loss, (BLACKHOLE,), {"host-unreachable-told"}, set()),
    (hide_the_loss, (CRASH,), {"host-unreachable-told"}, set()),
    (tell_twice, (CUT,), {"host-unreachable-told"}, set()),
    (tell_of_nothing, (), {"host-unreachable-told", "no-false-alarm"}, set()),
    (tell_of_nothing, (CUT,), {"host-unreachable-told", "no-false-alarm"}, set()),
    (tell_the_wrong_topic, (CUT,), {"host-unreachable-told"}, set()),
    (tell_no_topic, (CUT,), {"host-unreachable-told"}, set()),
    (tell_late, (CUT,), {"detection-time"}, set()),
    (tell_late, (BLACKHOLE,), {"detection-time"}, set()),
    (tell_late, (CRASH,), {"detection-time"}, set()),
    (lose_a_link, (), {"no-false-alarm"}, {"view-stable"}),
    (never_resynchronise, (CUT,), {"reconnect", "loss-only-in-faults"}, set()),
    (resynchronise_one_way, (CUT,), {"reconnect", "loss-only-in-faults"}, set()),
    (
        resynchronise_late,
        (CUT,),
        {"reconnect"},
        {"loss-only-in-faults", "no-silent-gap", "replay-overrun"},
    ),
    (never_back_off, (CUT,), {"backoff"}, set()),
    (dial_too_soon, (CUT,), {"backoff"}, set()),
    (stop_dialling, (CUT,), {"backoff", "reconnect"}, {"loss-only-in-faults", "view-stable"}),
    (
        one_side_is_silent,
        (SPLIT,),
        {"both-halves-serve", "loss-only-in-faults"},
        set(),
    ),
    (
        one_side_stops_publishing,
        (SPLIT,),
        {"both-halves-serve"},
        {"no-silent-gap", "replay-overrun"},
    ),
]


HEALED: list[Wrong] = [
    # of hosts that have a replay buffer
    (replay_nothing, (CUT,), {"healed-without-loss", "loss-only-in-faults"}, set()),
    (replay_twice, (CUT,), {"no-duplicate"}, set()),
    (replay_after_live, (CUT,), {"order"}, {"no-silent-gap"}),
    (
        forget_the_tail,
        (CUT,),
        {"last-tail", "healed-without-loss", "loss-only-in-faults"},
        {"reconnect"},
    ),
    (never_resynchronise, (CUT,), {"healed-without-loss", "loss-only-in-faults"}, {"reconnect"}),
    (return_too_soon, (CUT,), {"view-stable"}, set()),
    (keep_the_lost_in_view, (CUT,), {"view-stable"}, set()),
    (skip_a_version, (CUT,), {"view-stable"}, set()),
    (claim_a_quorum, (SPLIT,), {"quorum"}, set()),
    (deny_a_quorum, (SPLIT,), {"quorum"}, set()),
    (refuse_with_a_quorum, (SPLIT,), {"quorum"}, set()),
    (invent_a_conflict, (CUT,), {"conflict-visible"}, set()),
]


@pytest.mark.parametrize(
    ("spoil", "faults", "must_fail", "may_fail", "history_bytes"),
    [
        pytest.param(*one, size, id=f"{one[0].__name__}-{len(one[1])}-{size}")
        for wrongs, size in ((WRONGS, 0), (HEALED, 4 << 20))
        for one in wrongs
    ],
)
@pytest.mark.parametrize("seed", [1, 2])
def test_what_was_made_wrong_fails_its_checker_and_no_other(
    spoil: Callable[[MadeRun], None],
    faults: tuple[Planned, ...],
    must_fail: set[str],
    may_fail: set[str],
    history_bytes: int,
    seed: int,
) -> None:
    """A checker that can't fail says nothing; one that fails for another's fault misleads."""
    run = MadeRun(faults, seed=seed, history_bytes=history_bytes)
    assert failed(run) == set()

    spoil(run)

    found = failed(run)
    assert must_fail <= found
    assert found <= must_fail | may_fail


def test_what_raised_and_arrives_fails_accepted_or_raised() -> None:
    """The publisher was told that it was not accepted, and may have published it again."""
    run = MadeRun(raising=0.1)
    deliver_what_raised(run)

    assert "accepted-or-raised" in failed(run)
    assert "no-duplicate" not in failed(run)
    assert "no-invention" not in failed(run)


@pytest.mark.parametrize("claim", [claim_to_know, claim_that_nothing_was_lost])
def test_number_after_a_crash_is_a_silent_gap(claim: Callable[[MadeRun], None]) -> None:
    """With a host that was killed, every number is a guess, be it 0."""
    run = MadeRun([Planned("crash", ("b",), 4, 3)], rate=50)
    claim(run)

    assert failed(run) == {"no-silent-gap"}


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lose_silently, ("a", "b:data", "b", " s")),
        (repeat, ("a", "b:data", "b's message")),
        (swap, ("a", "b:data", "after")),
        (invent, ("a", "b:data", "987654", "from b")),
        (claim_too_much, ("a", "b:data", "missed 3", "0 were published")),
        (tell_of_nothing, ("a", "c", "silent", "nothing had happened")),
    ],
)
def test_details_name_node_peer_topic_and_time(
    spoil: Callable[[MadeRun], None], words: tuple[str, ...]
) -> None:
    """Whoever reads a fail must find the place in the journal by it."""
    run = MadeRun()
    spoil(run)

    details = [
        detail
        for finding in verdicts(run).values()
        if finding.verdict is Verdict.FAIL
        for detail in finding.details
    ]
    assert any(all(word in detail for word in words) for detail in details), details
    assert all(" s" in detail for detail in details)


def test_only_the_first_few_details_are_shown() -> None:
    """A broken run of a million messages must not make a report of a million lines."""
    run = MadeRun()
    for record in list(run.find_all("a", "recv", HEALTHY, topic="b:data"))[:100]:
        run.replace("a", record, record, changed(record, record.at + 0.0001))

    finding = verdicts(run)["no-duplicate"]
    assert len(finding.details) == 5
    assert "100 of them a second time" in finding.summary
