"""Greetings between nodes wired in memory: one link a pair, or the right refusal."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spot.config import Config
from spot.core.link import LinkState
from spot.core.membership.handshake import UNCONFIRMED_MAX
from spot.core.membership.links import REFUSED_MAX
from spot.core.wire import codec
from tests.core.fixed import examples
from tests.core.wires import Node, Wires, new_cluster

SETTLED_S = 15.0
CHOICES = st.lists(st.integers(0, 7), max_size=60)


def assert_one_link(wires: Wires, left: Node, right: Node) -> None:
    """Both see one and the same link, over the only connection that there is."""
    ours, theirs = left.core, right.core
    assert set(ours.links.by_node) == {theirs.node}
    assert set(theirs.links.by_node) == {ours.node}
    link, other = ours.links.by_node[theirs.node], theirs.links.by_node[ours.node]
    assert link.link_id == other.link_id
    assert link.is_dialled is not other.is_dialled, "one end has dialled"
    assert list(ours.links.by_conn.values()) == [link]
    assert list(theirs.links.by_conn.values()) == [other]
    assert wires.connections == 1
    for node in (left, right):
        states = [peer.state for peer in node.core.peers.describe()]
        assert states == ["up"] * len(states)


def play(wires: Wires, choices: list[int]) -> None:
    """Delivers in the order that the choices give; a 7 lets time go by."""
    for choice in choices:
        waiting = wires.waiting()
        if choice == 7 or not waiting:
            wires.now += 0.05
            for node in wires.nodes:
                wires.tick(node)
        else:
            wires.deliver(waiting[choice % len(waiting)])


def start(wires: Wires, *nodes: Node) -> None:
    for node in nodes:
        wires.tick(node)


@examples(80)
@given(choices=CHOICES, names=st.permutations(["a", "b"]), seed=st.integers(0, 5))
def test_simultaneous_dials_leave_one_link(choices: list[int], names: list[str], seed: int) -> None:
    # A mesh of N has N(N-1)/2 connections, however its nodes start.
    wires = Wires()
    left, right = (wires.add(name, f"at-{name}", seed=seed) for name in names)
    left.core.peers.add(f"at-{names[1]}", wires.now)
    right.core.peers.add(f"at-{names[0]}", wires.now)
    start(wires, left, right)
    play(wires, choices)
    wires.settle(SETTLED_S)
    assert_one_link(wires, left, right)
    for node in (left, right):
        assert "link_down" not in node.kinds(), "a link that was up was given up for another"


@examples(60)
@given(choices=CHOICES, seed=st.integers(0, 5))
def test_two_endpoints_of_one_node_leave_one_link(choices: list[int], seed: int) -> None:
    # The same node by name and by address, and dialling back: still one connection.
    wires = Wires()
    left = wires.add("a", "a-one", "a-two", seed=seed)
    right = wires.add("b", "b-one", "b-two", seed=seed)
    for endpoint in ("b-one", "b-two"):
        left.core.peers.add(endpoint, wires.now)
    for endpoint in ("a-one", "a-two"):
        right.core.peers.add(endpoint, wires.now)
    start(wires, left, right)
    play(wires, choices)
    wires.settle(SETTLED_S)
    assert_one_link(wires, left, right)


@examples(80)
@given(
    before=CHOICES,
    after=CHOICES,
    both=st.booleans(),
    drop=st.booleans(),
    again=st.booleans(),
    seed=st.integers(0, 3),
)
def test_a_restart_at_any_moment_ends_with_one_link(
    before: list[int], after: list[int], both: bool, drop: bool, again: bool, seed: int
) -> None:
    # A crash in the middle of a greeting must leave nothing that keeps the new incarnation out.
    wires = Wires()
    left = wires.add("a", "at-a", seed=seed)
    right = wires.add("b", "at-b", seed=seed)
    left.core.peers.add("at-b", wires.now)
    if both:
        right.core.peers.add("at-a", wires.now)
    start(wires, left, right)
    for choices, incarnation in ((before, 1), (after, 2)):
        play(wires, choices)
        if incarnation == 1 or again:
            wires.crash(right, drop=drop)
            wires.now += 0.01
            right = wires.add("b", "at-b", seed=seed + incarnation)
            if both:
                right.core.peers.add("at-a", wires.now)
            start(wires, right)
    wires.settle(SETTLED_S)
    assert_one_link(wires, left, right)


@examples(30)
@given(choices=CHOICES)
def test_of_two_nodes_with_one_id_one_is_refused(choices: list[int]) -> None:
    # Two nodes of one id would steal each other's positions; the younger is told why it is out.
    wires = Wires()
    hub = wires.add("hub", "hub")
    twins = [wires.add("twin", seed=seed) for seed in (1, 2)]
    for twin in twins:
        twin.core.peers.add("hub", wires.now)
        start(wires, twin)
    play(wires, choices)
    wires.settle(SETTLED_S)
    assert set(hub.core.links.by_node) == {"twin"}
    states = sorted(twin.peer("hub").state for twin in twins)
    # The one that is refused may be seen while it tries once more.
    assert states in (["refused", "up"], ["dialling", "up"])
    (out,) = [twin for twin in twins if not twin.core.links.by_node]
    assert str(out.peer("hub").last_error).startswith("duplicate node id: ")
    assert "refused" in hub.kinds()


def test_the_id_is_free_when_the_older_has_left() -> None:
    # The id is taken while the older node runs, and not for ever.
    wires = Wires()
    wires.add("hub", "hub")
    first, second = (wires.add("twin", seed=seed) for seed in (1, 2))
    for twin in (first, second):
        twin.core.peers.add("hub", wires.now)
        start(wires, twin)
        wires.settle(1.0)
    assert second.peer("hub").state != "up"
    wires.crash(first)
    wires.settle(SETTLED_S)
    assert second.peer("hub").state == "up"


def test_two_nodes_of_one_id_that_dial_each_other() -> None:
    # Both users are told.
    wires = Wires()
    left, right = wires.add("x", "left", seed=1), wires.add("x", "right", seed=2)
    left.core.peers.add("right", wires.now)
    right.core.peers.add("left", wires.now)
    wires.settle(SETTLED_S)
    for node, endpoint in ((left, "right"), (right, "left")):
        assert not node.core.links.by_node
        assert str(node.peer(endpoint).last_error).startswith("duplicate node id: ")


@pytest.mark.parametrize(
    ("case", "reason"),
    [("self", "self"), ("cluster", "cluster"), ("version", "version"), ("removed", "removed")],
)
def test_refusals_stand_in_peers(case: str, reason: str) -> None:
    # A wrong setting must not look like a broken network.
    wires = Wires()
    us = wires.add("us", "us")
    config = Config(cluster_name="other") if case == "cluster" else None
    wires.add("them", "them", config=config)
    them = wires.nodes[1]
    if case == "version":
        them.core.handshake.me = replace(
            them.core.handshake.me, version_low=codec.PROTOCOL_VERSION + 1, version_high=9
        )
    if case == "removed":
        them.core.handshake.removed.add("us")
    endpoint = "us" if case == "self" else "them"
    us.core.peers.add(endpoint, wires.now)
    seen = set()
    for _ in range(40):
        wires.settle(0.25)
        seen.add(us.peer(endpoint).state)
        assert not us.core.links.by_node
        assert wires.connections <= 1
    assert seen <= {"refused", "dialling"}
    peer = us.peer(endpoint)
    assert peer.last_error is not None
    assert peer.last_error.startswith(f"{reason}: ")
    assert "refused" in us.kinds()
    assert 3 <= peer.dials <= 12, "it goes on trying, ever less often"
    assert us.core.counters.refused > 0
    if case != "self":
        assert them.core.counters.refused > 0
        assert "refused" in them.kinds(), "the log of both says it"


def test_a_wrong_cluster_that_was_set_right_is_linked() -> None:
    # A refusal does not hold for ever.
    wires = Wires()
    us = wires.add("us", "us")
    wrong = wires.add("them", "them", config=Config(cluster_name="other"))
    us.core.peers.add("them", wires.now)
    wires.settle(1.0)
    wires.crash(wrong)
    right = wires.add("them", "them", seed=1)
    wires.settle(SETTLED_S)
    assert_one_link(wires, us, right)


def test_a_peer_that_never_greets_is_backed_off() -> None:
    # Behind a proxy whose upstream is dead the connect succeeds, and nothing follows.
    us = new_cluster("us", now=100.0)
    us.peers.add("nowhere", 100.0)
    now = 100.0
    at = []
    while now < 200.0:
        us.tick(now)
        us.effects.hangups.clear()
        for conn, _ in us.effects.dials:
            at.append(now)
            us.made(conn, now)
        us.effects.dials.clear()
        us.take_sends(now)
        assert len(us.links.by_conn) <= 1
        now = max(us.deadline, now + 0.001)
    gaps = [later - earlier for earlier, later in pairwise(at)]
    assert gaps[0] < 2.2
    assert all(4.5 <= gap <= 7.1 for gap in gaps[7:]), "2 s for the greeting and a wait of 5 s"
    assert us.peers.describe()[0].last_error == "no greeting came"


def test_strangers_and_half_greetings_stay_bounded() -> None:
    # Anybody can connect a million times and say hello without ever confirming.
    us = new_cluster("us", now=0.0)
    other = new_cluster("x", now=1.0)
    for number in range(UNCONFIRMED_MAX + REFUSED_MAX + 200):
        hello = replace(other.handshake.me, node=f"n{number}", link=number)
        us.frame(number.to_bytes(8, "big"), (hello.encode(),), 0.0)
        us.take_sends(0.0)
        us.effects.events.clear()
        assert len(us.links.by_conn) <= UNCONFIRMED_MAX
        assert len(us.links._told) <= REFUSED_MAX
    while us.deadline < 5.0:
        us.tick(us.deadline)
    assert not us.links.by_conn, "they are forgotten when no confirmation came"


def test_a_second_greeting_on_a_refused_connection_is_not_heard() -> None:
    # A connection is judged once: trying node ids one after the other needs a new one each.
    us = new_cluster("us")
    other = new_cluster("x", Config(cluster_name="other"), now=1.0)
    us.frame(b"c", (other.handshake.me.encode(),), 0.0)
    ((conn, (frame,)),) = us.take_sends(0.0)
    assert conn == b"c"
    assert frame[0] == codec.REFUSE
    us.frame(b"c", (replace(other.handshake.me, cluster="spot").encode(),), 0.0)
    assert us.take_sends(0.0) == []
    assert not us.links.by_conn


def test_a_confirm_before_the_hello_is_refused() -> None:
    # A link is up when both have greeted, and not before.
    us = new_cluster("us")
    us.frame(b"c", (codec.record(codec.CONFIRM),), 0.0)
    assert not us.links.by_node
    other = new_cluster("x", now=1.0)
    us.frame(b"d", (other.handshake.me.encode(),), 0.0)
    assert [link.state for link in us.links.by_conn.values()] == [LinkState.ANSWERED]
    assert not us.links.by_node
    us.frame(b"d", (codec.record(codec.CONFIRM),), 0.0)
    assert set(us.links.by_node) == {"x"}
