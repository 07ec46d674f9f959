"""cluster_sync, is_healthy, peers, metrics, events, set_hwm."""

from __future__ import annotations

import dataclasses
import errno
import itertools
import re
import threading
import time
from typing import Any

import pytest

from spot import (
    Event,
    InvalidArgument,
    Metrics,
    Peer,
    PeerNotFound,
    QueueFull,
    Spot,
    TimedOut,
)
from tests.library.nodes import ANY_PORT, MakeNode, StartChild, endpoint_of, is_up
from tests.library.waiting import receive, wait_until

NOBODY = "tcp://127.0.0.1:9"  # discard: nothing listens there

# cluster_sync


def test_cluster_sync_without_peers_is_empty(make_node: MakeNode) -> None:
    """Nobody to ask: at once."""
    began = time.monotonic()
    assert make_node().cluster_sync() == {}
    assert time.monotonic() - began < 0.5


def test_cluster_sync_returns_topics_by_endpoint_or_node_id(
    make_node: MakeNode, host: Spot, client: Spot
) -> None:
    """By endpoint what was configured, by node id who dialled us."""
    client.topic_create("c")
    assert client.cluster_sync() == {endpoint_of(host): frozenset({"t"})}
    assert host.cluster_sync() == {"client": frozenset({"c"})}
    empty = make_node(bind=[ANY_PORT])
    host.cluster_add(endpoint_of(empty))
    assert host.cluster_sync() == {"client": frozenset({"c"}), endpoint_of(empty): frozenset()}


def test_cluster_sync_waits_for_links_that_are_being_made(make_node: MakeNode, host: Spot) -> None:
    """add, sync, use: the guide's order must work without a pause."""
    for _ in range(20):
        node = make_node()
        node.cluster_add(endpoint_of(host))
        assert node.cluster_sync() == {endpoint_of(host): frozenset({"t"})}


def test_cluster_sync_names_those_that_did_not_answer(host: Spot, client: Spot) -> None:
    """ETIMEDOUT with what is known: a program may go on with the rest."""
    client.cluster_add(NOBODY)
    began = time.monotonic()
    with pytest.raises(TimedOut, match=NOBODY) as caught:
        client.cluster_sync(timeout=0.2)
    assert 0.18 < time.monotonic() - began < 5
    assert caught.value.errno == errno.ETIMEDOUT
    assert caught.value.answers == {endpoint_of(host): frozenset({"t"})}
    assert caught.value.missing == (NOBODY,)
    assert endpoint_of(host) not in str(caught.value)
    assert re.search(rf"{NOBODY} \(.+\): start it, or allow more time", str(caught.value))


def test_cluster_sync_is_a_barrier_for_subscriptions_of_both_sides(
    make_node: MakeNode, host: Spot, client: Spot
) -> None:
    """On return, earlier subscriptions are in force: the first message must arrive."""
    assert is_up(host, client.node_id)
    for at in range(20):
        node = make_node(topics=[f"n:{at}"], subscribe=["t"])
        host.subscribe(f"n:{at}") if at else host.subscribe_pattern("n:*")
        node.cluster_add(endpoint_of(host))
        node.cluster_sync()
        host.publish("t", b"from host")
        node.publish(f"n:{at}", b"from node")
        assert receive(node, 1)[0].data == b"from host"
        assert receive(host, 1)[0].data == b"from node"
        node.topic_destroy(f"n:{at}")
        node.close()


def test_cluster_sync_sees_what_was_changed_before(host: Spot, client: Spot) -> None:
    """A topic created before the question is in the answer."""
    for at in range(50):
        host.topic_create(f"n:{at}")
        assert f"n:{at}" in client.cluster_sync()[endpoint_of(host)]


def test_cluster_sync_after_a_burst_is_quick(make_node: MakeNode) -> None:
    """Hundreds of frames at once are more than one turn reads: the rest must not wait for the
    next heartbeat."""
    calm: dict[str, Any] = {"heartbeat": 60, "peer_timeout": 300}
    host = make_node(bind=[ANY_PORT], **calm)
    client = make_node(cluster=host.endpoints, **calm)
    client.cluster_sync(5)
    for at in range(1500):
        host.topic_create(f"n:{at}")
        if at % 300 == 299:
            assert len(client.cluster_sync(5)[endpoint_of(host)]) == at + 1


# is_healthy


def test_is_healthy_asks_the_peer(
    make_node: MakeNode, start_child: StartChild, host: Spot, client: Spot
) -> None:
    """By endpoint and node id, both ways; a stopped peer does not answer."""
    assert client.is_healthy(endpoint_of(host), timeout=2)
    assert client.is_healthy("host", timeout=2)
    assert host.is_healthy("client", timeout=2)
    client.cluster_add(NOBODY)
    assert not client.is_healthy(NOBODY)
    child = start_child("publisher", topics=["u"], node_id="child")
    node = make_node(peer_timeout=10)
    node.cluster_add(child.said("bound")["endpoint"], timeout=5)
    assert node.is_healthy("child", timeout=2)
    child.stop()
    began = time.monotonic()
    assert not node.is_healthy("child")
    assert 0.09 < time.monotonic() - began < 5
    child.go_on()
    assert node.is_healthy("child", timeout=2)


def test_is_healthy_of_nobody_is_enoent(client: Spot) -> None:
    """Not False: a typo must not look like a broken peer."""
    for name in (NOBODY, "nobody"):
        with pytest.raises(PeerNotFound, match=name) as caught:
            client.is_healthy(name)
        assert (caught.value.errno, caught.value.endpoint) == (errno.ENOENT, name)


# peers and metrics


def test_peers_are_frozen_and_say_all(host: Spot, client: Spot) -> None:
    """What `spot status` shows: endpoint, node, state, round trip, traffic."""
    client.subscribe("t")
    host.publish_many("t", [b"xx"] * 10)
    receive(client, 10)
    wait_until(lambda: client.peers()[0].rtt is not None and host.peers()[0].rtt is not None)
    (peer,) = client.peers()
    assert isinstance(peer, Peer)
    assert (peer.endpoint, peer.node, peer.state, peer.dialled) == (
        endpoint_of(host),
        "host",
        "up",
        True,
    )
    assert (peer.recv_msgs, peer.recv_bytes, peer.sent_msgs, peer.topics) == (10, 20, 0, 1)
    assert peer.rtt is not None
    assert 0 <= peer.rtt < 5
    assert peer.last_error is None
    (other,) = host.peers()
    assert (other.endpoint, other.node, other.dialled) == ("client", "client", False)
    assert (other.sent_msgs, other.sent_bytes) == (10, 20)
    with pytest.raises(dataclasses.FrozenInstanceError):
        peer.state = "waiting"  # type: ignore[misc]


def test_metrics_are_frozen_and_count(make_node: MakeNode, host: Spot, client: Spot) -> None:
    """The numbers of an operator must be those of the traffic."""
    client.subscribe("t")
    client.subscribe_pattern("t*")
    host.publish("t", b"xx")
    host.publish_many("t", [b"xx"] * 9)
    receive(client, 10)
    assert client.recv(0) is None
    counted = client.metrics()
    assert isinstance(counted, Metrics)
    assert (counted.subscribes, counted.recv_msgs, counted.recv_bytes) == (2, 10, 20)
    assert (counted.missed_msgs, counted.duplicates, counted.inbox_msgs) == (0, 0, 0)
    assert (counted.topics_local, counted.topics_remote, counted.links_up) == (0, 1, 1)
    assert host.metrics().publishes == 10
    assert host.metrics().topics_local == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        counted.publishes = 0  # type: ignore[misc]
    host.publish_many("t", [b"x"] * 10)
    client.cluster_sync()
    assert client.metrics().inbox_msgs == 10
    client.recv()
    assert client.metrics().inbox_msgs == 9
    assert client.metrics().recv_msgs == 11


# events


def test_events_tell_of_links_hosts_and_topics(make_node: MakeNode, host: Spot) -> None:
    """For those who want more than errors: every step of a life of a link."""
    node = make_node(reconnect_max=0.2)
    told: list[Event] = []
    listener = node.events()
    thread = threading.Thread(target=lambda: told.extend(listener))
    thread.start()

    def kinds() -> list[str]:
        return [event.kind for event in told]

    node.cluster_add(endpoint_of(host), timeout=5)
    node.cluster_sync()
    node.subscribe("t")
    host.topic_create("u")
    wait_until(lambda: "topic_up" in kinds())
    host.topic_destroy("u")
    wait_until(lambda: "topic_gone" in kinds())
    endpoint = endpoint_of(host)
    host.close()
    wait_until(lambda: "dial_failed" in kinds())
    make_node(node_id="host", bind=[endpoint], topics=["t"])
    wait_until(lambda: "host_back" in kinds())
    node.close()
    thread.join(5)
    assert not thread.is_alive(), "close did not end the iteration"
    # What close itself does may or may not be told any more.
    found = [kind for kind in kinds() if kind not in ("dial", "dial_failed")]
    assert found[:11] == [
        "link_up",
        "view",
        "synced",
        "topic_up",
        "topic_gone",
        "link_down",
        "view",
        "host_lost",
        "link_up",
        "synced",
        "host_back",
    ]
    lost = told[kinds().index("host_lost")]
    assert (lost.node, lost.topics, lost.reason) == ("host", ("t",), "left")
    down = told[kinds().index("link_down")]
    assert down.delay is not None
    assert 0.05 <= down.delay <= 0.1
    assert all(earlier.at <= later.at for earlier, later in itertools.pairwise(told))
    with pytest.raises(dataclasses.FrozenInstanceError):
        lost.node = "x"  # type: ignore[misc]


def test_events_end_after_their_timeout(host: Spot, client: Spot) -> None:
    """From this call on, and to every listener."""
    listeners = [client.events(timeout=20) for _ in range(2)]
    host.topic_create("u")
    assert [next(listener).kind for listener in listeners] == ["topic_up", "topic_up"]
    began = time.monotonic()
    assert list(client.events(timeout=0.2)) == []
    assert 0.18 < time.monotonic() - began < 5
    assert list(client.events(timeout=0)) == []


# set_hwm


@pytest.mark.parametrize(
    ("sndhwm", "rcvhwm"), [(0, 1), (1, 0), (-1, 1), ("1", 1), (1, 1.5), (None, 1)]
)
def test_set_hwm_of_bad_limits_is_einval(host: Spot, sndhwm: Any, rcvhwm: Any) -> None:
    """0 means "no limit" elsewhere; here queues are always bounded."""
    with pytest.raises(InvalidArgument, match=r"sndhwm|rcvhwm") as caught:
        host.set_hwm(sndhwm, rcvhwm)
    assert caught.value.errno == errno.EINVAL
    assert (host.config.sndhwm, host.config.rcvhwm) == (10_000, 10_000)


def test_set_hwm_bounds_existing_and_future_queues(make_node: MakeNode) -> None:
    """An operator turns the limits while the cluster runs."""
    host = make_node(bind=[ANY_PORT], topics=["t"], overflow="error", send_timeout=0)
    readers = [make_node(cluster=host.endpoints, rcvhwm=10)]
    readers[0].cluster_sync()
    readers[0].subscribe("t")
    host.set_hwm(50, 10_000)

    def fill() -> int:
        accepted = 0
        try:
            while True:
                host.publish("t", b"x")
                accepted += 1
        except QueueFull:
            return accepted

    assert 50 <= fill() <= 60
    host.set_hwm(70, 10_000)
    assert 15 <= fill() <= 20
    readers[0].set_hwm(10_000, 100)
    wait_until(lambda: fill() > 50)
    readers[0].close()
    wait_until(lambda: not host.peers())
    readers.append(make_node(cluster=host.endpoints, rcvhwm=10))
    readers[1].cluster_sync()
    readers[1].subscribe("t")
    assert 70 <= fill() <= 80


def test_set_hwm_lowered_keeps_a_stream_whole(make_node: MakeNode) -> None:
    """Credit that was given is honoured: no link ends because a window shrank."""
    host = make_node(bind=[ANY_PORT], topics=["t"])
    reader = make_node(cluster=host.endpoints)
    reader.cluster_sync()
    reader.subscribe("t")
    sender = threading.Thread(target=host.publish_many, args=("t", [b"x"] * 30_000))
    sender.start()
    found = []
    for rcvhwm in (10_000, 100, 1, 5000):
        reader.set_hwm(10, rcvhwm)
        found += receive(reader, 7_500, 20)
    sender.join()
    assert [message.seq for message in found] == list(range(1, 30_001))
    assert reader.metrics().links_lost == 0


def test_sync_names_new_topics_behind_a_full_queue(host: Spot, client: Spot) -> None:
    """What waits for a subscriber that does not receive holds up no announcement."""
    client.subscribe("t")
    host.publish_many("t", [b"x" * 100] * 60_000)
    host.topic_create("new")
    assert host.metrics().queued_msgs > 0
    assert client.cluster_sync(5)[host.endpoints[0]] == {"t", "new"}
    client.publish("new", b"1")
    # The end of a topic keeps its place behind what was published to it, and so does its successor.
    host.topic_destroy("t")
    host.topic_create("t")
    assert client.cluster_sync(5)[host.endpoints[0]] == {"t", "new"}
    epochs = {message.epoch for message in receive(client, client.metrics().inbox_msgs)}
    assert len(epochs) == 1
    wait_until(lambda: bool(client.recv(0)) or host.metrics().queued_msgs == 0)
    host.wait_for_subscribers("t", timeout=5)
    host.publish("t", b"again")
    while (message := client.recv(5)) is not None and message.data != b"again":
        assert message.epoch in epochs
    assert message is not None
    assert message.epoch not in epochs
