"""topic_create, topic_destroy, topic_route, and what the registry says."""

from __future__ import annotations

import errno
import time

import pytest

from spot import (
    HostUnreachable,
    InvalidArgument,
    Spot,
    TopicExists,
    TopicNotFound,
)
from tests.library.connections import port_of
from tests.library.nodes import ANY_PORT, MakeNode, MakeProxy, endpoint_of, is_up
from tests.library.waiting import receive, stays, wait_until

NOBODY = "tcp://127.0.0.1:9"  # discard: nothing listens there


def test_topic_create_makes_a_local_topic(make_node: MakeNode) -> None:
    """The registry is what an application asks before it publishes."""
    node = make_node()
    assert not node.topic_exists("t")
    node.topic_create("t")
    assert node.topic_exists("t")
    assert node.topic_is_local("t")
    assert node.list_topics() == ["t"]


def test_topic_create_twice_names_the_topic(make_node: MakeNode) -> None:
    """EEXIST is how two parts of a program learn that they chose the same name."""
    node = make_node(topics=["sensor:1"])
    with pytest.raises(TopicExists, match=r"'sensor:1'.*this node.*topic_destroy") as caught:
        node.topic_create("sensor:1")
    assert caught.value.errno == errno.EEXIST
    assert caught.value.topic == "sensor:1"
    assert caught.value.topics == ("sensor:1",)


def test_topic_create_refuses_what_a_peer_that_is_up_hosts(client: Spot) -> None:
    """Two hosts of one topic are two streams under one name."""
    with pytest.raises(TopicExists, match=r"'t'.*node host.*standby=True") as caught:
        client.topic_create("t")
    assert (caught.value.errno, caught.value.topic, caught.value.node) == (
        errno.EEXIST,
        "t",
        "host",
    )
    assert not client.topic_is_local("t")


def test_topic_create_takes_over_from_a_host_that_left(host: Spot, client: Spot) -> None:
    """Failover by hand: a topic must not be blocked by a host that is down."""
    host.close()
    wait_until(lambda: not is_up(client, "host"))
    client.topic_create("t")
    assert client.topic_is_local("t")


@pytest.mark.parametrize(
    "topic",
    ["", "a*", "*", "x" * 256, "é" * 128, "a\nb", "a\x00", "\x7f", "\x85", "\ud800", 5, None, b"t"],
)
def test_bad_topic_is_named(make_node: MakeNode, topic: str) -> None:
    """A wrong topic must fail where it was written, not at a peer."""
    node = make_node()
    for call in (node.topic_create, node.topic_destroy, node.subscribe, node.unsubscribe):
        with pytest.raises(InvalidArgument) as caught:
            call(topic)
        assert caught.value.errno == errno.EINVAL
        assert isinstance(caught.value, ValueError)
        assert repr(topic)[:40] in str(caught.value)
    for call in (
        lambda name: node.publish(name, b""),
        lambda name: node.publish_many(name, [b""]),
        lambda name: node.topic_route(name, NOBODY),
        node.wait_for_subscribers,
    ):
        with pytest.raises(InvalidArgument):
            call(topic)
    assert node.list_topics() == []


@pytest.mark.parametrize("topic", ["x" * 255, "é" * 127, "a b", "온도:1", ".", "a/b", "\U0001f600"])
def test_topic_at_the_edge_is_taken(host: Spot, client: Spot, topic: str) -> None:
    """1 to 255 bytes of UTF-8: the limits themselves must work, over the wire as well."""
    host.topic_create(topic)
    client.cluster_sync()
    client.subscribe(topic)
    host.publish(topic, b"x")
    assert receive(client, 1)[0].topic == topic


def test_topic_that_begins_like_another_is_another(host: Spot, client: Spot) -> None:
    """ZeroMQ's prefix matching must not show: sensor:temp is not sensor:temperature."""
    for topic in ("sensor:temp", "sensor:temperature"):
        host.topic_create(topic)
    client.cluster_sync()
    client.subscribe("sensor:temp")
    host.publish("sensor:temperature", b"wrong")
    host.publish("sensor:temp", b"right")
    assert [message.data for message in receive(client, 1)] == [b"right"]
    assert client.recv(timeout=0) is None


def test_list_topics_holds_local_and_remote(client: Spot) -> None:
    """A person who looks at a cluster sees everything in one sorted list."""
    client.topic_create("a")
    assert client.list_topics() == ["a", "t"]
    assert client.topic_exists("t")
    assert not client.topic_is_local("t")


def test_topic_destroy_is_learnt_by_peers(host: Spot, client: Spot) -> None:
    """A topic that is gone must not stay in anybody's registry, and is no alarm."""
    client.subscribe("t")
    host.publish("t", b"last")
    host.topic_destroy("t")
    wait_until(lambda: not client.topic_exists("t"))
    assert [message.data for message in receive(client, 1)] == [b"last"]
    assert client.recv(timeout=0.05) is None
    with pytest.raises(TopicNotFound) as caught:
        client.publish("t", b"x")
    assert (caught.value.errno, caught.value.topic) == (errno.ENOENT, "t")


def test_topic_destroy_of_nothing_is_enoent(make_node: MakeNode) -> None:
    """A typo must not pass for success."""
    node = make_node()
    with pytest.raises(TopicNotFound, match="'t'") as caught:
        node.topic_destroy("t")
    assert (caught.value.errno, caught.value.topic) == (errno.ENOENT, "t")


def test_topic_destroy_of_a_remote_topic_is_einval(client: Spot) -> None:
    """Only its host ends a topic."""
    with pytest.raises(InvalidArgument, match=r"'t'.*REMOTE") as caught:
        client.topic_destroy("t")
    assert (caught.value.errno, caught.value.topic) == (errno.EINVAL, "t")
    assert client.topic_exists("t")


def test_topic_created_again_is_another_epoch(host: Spot, client: Spot) -> None:
    """Sequence numbers start anew, so a subscriber needs the epoch to tell the streams apart."""
    client.subscribe("t")
    host.publish_many("t", [b"1", b"2"])
    host.topic_destroy("t")
    host.topic_create("t")
    host.publish("t", b"3")
    first, second, third = receive(client, 3)
    assert (first.seq, second.seq, third.seq) == (1, 2, 1)
    assert first.epoch == second.epoch != third.epoch
    assert third.missed == 0, "the end of the old epoch was told, and nothing was lost"


def test_topic_route_names_a_host_that_has_not_the_topic_yet(
    make_node: MakeNode, host: Spot
) -> None:
    """Programs start in any order: the route may come before the topic."""
    node = make_node()
    node.topic_route("later", endpoint_of(host))
    assert is_up(node, "host")
    with pytest.raises(TopicNotFound):
        node.publish("later", b"x")
    node.subscribe("later")
    host.topic_create("later")
    node.cluster_sync()
    node.publish("later", b"routed")
    assert receive(node, 1)[0].node == "host"


def test_topic_route_to_the_same_host_changes_nothing(make_node: MakeNode, host: Spot) -> None:
    """A program that configures itself twice must not fail the second time."""
    node = make_node()
    for endpoint in (endpoint_of(host), endpoint_of(host), "host"):
        node.topic_route("t", endpoint)
    assert [peer.endpoint for peer in node.peers()] == [endpoint_of(host)]


def test_topic_route_makes_a_full_peer(make_node: MakeNode, host: Spot) -> None:
    """The routed host is a peer like any other: synchronised, and watched."""
    host.topic_create("u")
    node = make_node()
    node.topic_route("t", endpoint_of(host))
    assert node.cluster_sync() == {endpoint_of(host): frozenset({"t", "u"})}
    assert node.is_healthy(endpoint_of(host), timeout=5)


def test_topic_route_to_nobody_leaves_nothing_behind(make_node: MakeNode, host: Spot) -> None:
    """Failover by hand is a second call with the backup's endpoint."""
    node = make_node()
    began = time.monotonic()
    with pytest.raises(HostUnreachable, match=NOBODY) as caught:
        node.topic_route("t", NOBODY, timeout=0.2)
    assert 0.15 < time.monotonic() - began < 5
    assert (caught.value.errno, caught.value.endpoint, caught.value.topic) == (
        errno.EHOSTUNREACH,
        NOBODY,
        "t",
    )
    assert caught.value.reason
    assert f"from {NOBODY} ({caught.value.reason}), which was to host" in str(caught.value)
    assert node.peers() == ()
    node.topic_route("t", endpoint_of(host))
    node.publish("t", b"x")


def test_topic_route_of_a_local_topic_is_eexist(make_node: MakeNode, host: Spot) -> None:
    """A topic is LOCAL or REMOTE, never both."""
    node = make_node(topics=["t"])
    with pytest.raises(TopicExists, match=r"'t'.*LOCAL") as caught:
        node.topic_route("t", endpoint_of(host))
    assert (caught.value.errno, caught.value.topic) == (errno.EEXIST, "t")
    assert node.peers() == ()


def test_topic_route_away_from_a_reachable_host_needs_replace(
    make_node: MakeNode, host: Spot, client: Spot
) -> None:
    """A route must not steal a topic from a host that serves it, unless told to."""
    other = make_node(node_id="other", bind=[ANY_PORT])
    with pytest.raises(TopicExists, match=r"'t'.*node host.*replace=True") as caught:
        client.topic_route("t", endpoint_of(other))
    assert (caught.value.errno, caught.value.node) == (errno.EEXIST, "host")
    assert [peer.endpoint for peer in client.peers()] == [endpoint_of(host)]
    other.topic_create("t")
    client.topic_route("t", endpoint_of(other), replace=True)
    client.subscribe("t")
    client.publish("t", b"x")
    assert receive(client, 1)[0].node == "other"


def test_topic_route_away_from_a_lost_host_needs_no_replace(
    make_node: MakeNode, host: Spot
) -> None:
    """The host is down: asking for more than a second call would only delay the failover."""
    backup = make_node(node_id="backup", bind=[ANY_PORT], topics=["t"])
    node = make_node()
    node.topic_route("t", endpoint_of(host))
    host.close()
    wait_until(lambda: not is_up(node, "host"))
    with pytest.raises(HostUnreachable):
        node.publish("t", b"lost")
    node.topic_route("t", endpoint_of(backup))
    node.subscribe("t")
    node.publish("t", b"x")
    assert receive(node, 1)[0].node == "backup"


def test_topic_route_that_fails_keeps_the_peers_that_were_there(
    make_node: MakeNode, make_proxy: MakeProxy, host: Spot, client: Spot
) -> None:
    """Another spelling of a peer's endpoint must not take the peer along when the route fails."""
    other = make_node(node_id="other", bind=[ANY_PORT])
    client.cluster_add(endpoint_of(other), timeout=5)
    spelling = make_proxy(port_of(endpoint_of(other))).endpoint
    with pytest.raises(TopicExists):
        client.topic_route("t", spelling)
    stays(lambda: is_up(client, "other"), 0.3, what="the link to the other node")
    assert {peer.endpoint for peer in client.peers()} == {endpoint_of(host), endpoint_of(other)}
    assert other.metrics().links_lost == 0


@pytest.mark.parametrize("endpoint", ["", "127.0.0.1:5555", "tcp://*:5555", "udp://a:1", None])
def test_topic_route_to_a_bad_endpoint_is_named(make_node: MakeNode, endpoint: str) -> None:
    """EINVAL at once, not EHOSTUNREACH after a wait."""
    node = make_node()
    with pytest.raises(InvalidArgument) as caught:
        node.topic_route("t", endpoint)
    assert caught.value.errno == errno.EINVAL
    assert repr(endpoint) in str(caught.value)


def test_publish_to_a_routed_host_that_is_gone_raises_every_time(
    make_node: MakeNode, host: Spot
) -> None:
    """A publisher that ignores the first error must not lose the second message in silence."""
    node = make_node()
    node.topic_route("later", endpoint_of(host))
    host.close()
    wait_until(lambda: not is_up(node, "host"))
    for _ in range(3):
        with pytest.raises(HostUnreachable, match="'later'") as caught:
            node.publish("later", b"x")
        assert caught.value.topic == "later"
