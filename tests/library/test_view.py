"""The view of a split cluster: who has a quorum, who may publish, and how calm it stays."""

from __future__ import annotations

import asyncio
import errno
import pickle
import threading
import time

import pytest

from spot import NoQuorum, Spot, View, aio
from tests.library.connections import port_of
from tests.library.nodes import ANY_PORT, MakeNode, MakeProxy, endpoint_of, is_up
from tests.library.splitting import Mesh
from tests.library.waiting import receive, wait_until


def publish_until_refused(node: Spot) -> int:
    """How many publishes to ``t`` were accepted before NoQuorum was raised."""
    until = time.monotonic() + 10
    accepted = 0
    while time.monotonic() < until:
        try:
            node.publish("t", b"x")
        except NoQuorum:
            return accepted
        accepted += 1
    raise AssertionError("publishes go on being accepted")


@pytest.mark.parametrize(
    ("members", "sides", "quorate"),
    [
        ("abcd", ["abcd"], "abcd"),
        ("abcd", ["abc", "d"], "abc"),
        ("abcd", ["ab", "cd"], ""),
        ("abcd", ["ab", "c", "d"], ""),
        ("abcde", ["abcd"], "abcd"),
        ("abcde", ["abc", "d"], "abc"),
        ("abcde", ["ab", "cd"], ""),
        ("abcde", ["abc", "de"], "abc"),
        ("abcde", ["ab", "cde"], "cde"),
        ("abcde", ["ab", "cd", "e"], ""),
        ("abc", ["ab", "cd"], "ab"),
        ("abc", ["bd", "ac"], "ac"),
        ("abc", ["abd", "c"], "abd"),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, list) else value or "nobody",
)
def test_majority_goes_on_and_minority_refuses(
    make_node: MakeNode, make_proxy: MakeProxy, members: str, sides: list[str], quorate: str
) -> None:
    """Each cell of the table: where half the members are on either side, nobody may publish."""
    names = sorted("".join(sides))
    mesh = Mesh(make_node, make_proxy, names, members=list(members), require_quorum=True)
    for name, node in mesh.nodes.items():
        assert node.view().quorum, "together all have one"
        node.topic_create(name)
        node.publish(name, b"before")
    mesh.split(*sides)
    mesh.wait_for_sides(*sides)
    assert mesh.quorate() == quorate
    for name, node in mesh.nodes.items():
        if name in quorate:
            node.publish(name, b"during")
            continue
        with pytest.raises(NoQuorum) as caught:
            node.publish(name, b"during")
        error = caught.value
        assert (error.errno, error.topic, error.node) == (errno.ENETUNREACH, name, name)
        assert error.limit == len(members) // 2 + 1
        reached = node.view().reachable | {name}
        assert set(error.missing) == set(members) - reached
    mesh.heal()
    mesh.wait_for_sides("".join(names))
    for name, node in mesh.nodes.items():
        node.publish(name, b"after")


def test_bridge_leaves_a_quorum_to_both_of_its_ends(
    make_node: MakeNode, make_proxy: MakeProxy
) -> None:
    """Two that can't reach each other and both reach a third are each in a majority: documented."""
    mesh = Mesh(make_node, make_proxy, "abc", members=list("abc"), require_quorum=True)
    mesh.part("ab")
    mesh.wait_for(("c", "a"), ("c", "b"), ("ab", "c"))
    assert mesh.quorate() == "abc"


def test_receiving_goes_on_without_a_quorum(make_node: MakeNode, make_proxy: MakeProxy) -> None:
    """A minority must not write; what it is told by those it reaches is as good as ever."""
    mesh = Mesh(make_node, make_proxy, "abcd", members=list("abcd"))
    one, other = mesh.nodes["a"], mesh.nodes["b"]
    strict = make_node(
        node_id="s", members=list("abcd"), require_quorum=True, cluster=one.endpoints
    )
    strict.cluster_sync()
    one.topic_create("t")
    strict.cluster_sync()
    strict.subscribe("t")
    assert strict.view().quorum is False, "one of four, and it is no member itself"
    one.publish("t", b"1")
    assert receive(strict, 1)[0].data == b"1"
    assert (one.view().quorum, other.view().quorum) == (True, True)


def test_remote_publisher_is_told_that_the_host_has_no_quorum(make_node: MakeNode) -> None:
    """Else its messages would be accepted here and refused there, and nobody would know."""
    host = make_node(
        node_id="h", bind=[ANY_PORT], members=["h", "x"], require_quorum=True, topics=["t"]
    )
    node = make_node(cluster=host.endpoints)
    node.cluster_sync()
    with pytest.raises(NoQuorum) as caught:
        node.publish("t", b"1")
    assert (caught.value.node, caught.value.topic, caught.value.reason) == ("h", "t", "minority")
    with pytest.raises(NoQuorum) as caught:
        node.publish_many("t", [b"1", b"2"])
    assert caught.value.accepted == 0
    member = make_node(node_id="x", cluster=host.endpoints)
    wait_until(lambda: host.view().quorum)
    node.cluster_sync()
    node.subscribe("t")
    node.publish("t", b"2")
    assert receive(node, 1)[0].data == b"2"
    member.close()
    wait_until(lambda: host.view().quorum is False)
    node.cluster_sync()
    with pytest.raises(NoQuorum):
        node.publish("t", b"3")


def test_publish_under_way_when_the_quorum_goes_is_counted(
    make_node: MakeNode, make_proxy: MakeProxy
) -> None:
    """Each publish is delivered, or raised, or counted as unknown: none vanishes."""
    host = make_node(
        node_id="h", bind=[ANY_PORT], members=["h", "x"], require_quorum=True, topics=["t"]
    )
    proxy = make_proxy(port_of(endpoint_of(host)))
    member = make_node(node_id="x", cluster=host.endpoints)
    node = make_node(cluster=[proxy.endpoint], heartbeat=0.1)
    node.cluster_sync()
    wait_until(lambda: host.view().quorum)
    host.subscribe("t")
    threading.Timer(0.3, member.close).start()
    accepted = publish_until_refused(node)
    node.flush(5)

    def counted() -> bool:
        metrics = host.metrics()
        arrived = metrics.inbox_msgs + metrics.recv_msgs
        while host.recv(0) is not None:
            pass
        return arrived + node.metrics().publish_unknown == accepted

    wait_until(counted, what=f"the account of {accepted} publishes")


def test_running_publisher_is_stopped_by_the_loss_and_goes_on_after_it(
    make_node: MakeNode, make_proxy: MakeProxy
) -> None:
    """The quick way of publish takes no lock: it must notice all the same."""
    mesh = Mesh(make_node, make_proxy, "ab", members=list("ab"), require_quorum=True)
    node = mesh.nodes["a"]
    node.topic_create("t")
    threading.Timer(0.2, lambda: mesh.split("a", "b")).start()
    assert publish_until_refused(node) > 100
    mesh.heal()
    mesh.wait_for_sides("ab")
    node.publish("t", b"x")


def test_publish_that_waits_for_room_is_refused_when_the_quorum_goes(make_node: MakeNode) -> None:
    """A call that was blocked at the cut must not be let through after it."""
    host = make_node(
        node_id="h",
        bind=[ANY_PORT],
        members=["h", "x"],
        require_quorum=True,
        topics=["t"],
        sndhwm=2,
        send_timeout=None,
    )
    member = make_node(node_id="x", cluster=host.endpoints, rcvhwm=2)
    wait_until(lambda: host.view().quorum)
    member.cluster_sync()
    member.subscribe("t")
    told: list[BaseException] = []

    def fill() -> None:
        try:
            while True:
                host.publish("t", b"x")
        except NoQuorum as error:
            told.append(error)

    thread = threading.Thread(target=fill)
    thread.start()
    wait_until(lambda: host.metrics().queued_msgs >= 2)
    member.close()
    thread.join(5)
    assert len(told) == 1


def test_flapping_link_does_not_flap_the_view(make_node: MakeNode, make_proxy: MakeProxy) -> None:
    """The loss shows at once; the return when the link has held for stable_after, and no sooner."""
    mesh = Mesh(make_node, make_proxy, "ab", members=list("ab"), stable_after=2.0)
    node = mesh.nodes["a"]
    before = node.view()
    happened = node.events(20)
    for lost in range(1, 7):
        mesh.cut("a", "b")
        wait_until(lambda: node.metrics().links_lost >= lost)  # noqa: B023
        assert not node.view().reachable
        wait_until(lambda: is_up(node, "b"))
    assert node.view().version == before.version + 1
    mesh.wait_for(("b", "a"))
    view = node.view()
    assert (view.version, view.quorum) == (before.version + 2, True)
    up = 0.0
    for event in happened:
        if event.kind == "link_up":
            up = event.at
        elif event.view == view:
            break
    assert view.since - up >= 2.0, "it counts from the last time that the link came back"


def test_cluster_that_starts_does_not_wait_to_be_stable(make_node: MakeNode) -> None:
    """Nobody was lost yet: the first link of all counts at once."""
    host = make_node(node_id="a", bind=[ANY_PORT], members=["a", "b"], stable_after=60)
    node = make_node(node_id="b", members=["a", "b"], cluster=host.endpoints, stable_after=60)
    node.cluster_sync()
    assert node.view().quorum
    wait_until(lambda: host.view().quorum)


def test_view_of_a_node_alone(make_node: MakeNode) -> None:
    """Without members nobody can say what a majority is; a quorum of one is always there."""
    view = make_node(node_id="a").view()
    assert view == View(1, "a", frozenset(), frozenset(), view.since, {}, None)
    assert pickle.loads(pickle.dumps(view)) == view
    assert hash(view) == hash(view)
    assert make_node(node_id="b", members=["b"], require_quorum=True, topics=["t"]).view().quorum
    stranger = make_node(node_id="c", members=["x"], require_quorum=True, topics=["t"])
    with pytest.raises(NoQuorum, match=r"reaches 0 of 1 members and needs 1"):
        stranger.publish("t", b"")


def test_view_is_told_as_an_event(make_node: MakeNode) -> None:
    """Who has to act on it waits for it, and gets the view with it."""
    host = make_node(node_id="h", bind=[ANY_PORT], members=["h", "x"])
    happened = host.events(20)
    member = make_node(node_id="x", cluster=host.endpoints)
    event = next(event for event in happened if event.kind == "view")
    assert (event.node, event.reason) == ("h", "quorum")
    assert event.view is not None
    assert event.view == host.view()
    member.close()
    event = next(event for event in happened if event.kind == "view")
    assert event.reason == "quorum lost"
    assert event.view is not None
    assert (event.view.reachable, event.view.quorum) == (frozenset(), False)


async def _aio_views(peer: Spot) -> list[bool | None]:
    async with aio.Spot(node_id="a", members=["a", "b"]) as node:
        found = [(await node.view()).quorum]
        happened = node.events(10)  # what happens from here on, though nobody waits for it yet
        await node.cluster_add(endpoint_of(peer), timeout=10)
        async for event in happened:
            if event.kind == "view":
                assert event.view is not None
                found.append(event.view.quorum)
                break
        return found


def test_view_in_asyncio(make_node: MakeNode) -> None:
    """The asynchronous form has the same call and the same event."""
    peer = make_node(node_id="b", bind=[ANY_PORT])
    assert asyncio.run(_aio_views(peer)) == [False, True]


def test_removed_peer_is_not_reachable(make_node: MakeNode) -> None:
    """cluster_remove is a decision, and the view shows it as what it is."""
    peer = make_node(node_id="b", bind=[ANY_PORT])
    node = make_node(node_id="a", cluster=peer.endpoints)
    wait_until(lambda: is_up(node, "b"))
    assert node.view().reachable == {"b"}
    node.cluster_remove("b")
    assert node.view().reachable == set()
