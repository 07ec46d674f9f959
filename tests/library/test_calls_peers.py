"""bind, cluster_add and its refusals, cluster_remove."""

from __future__ import annotations

import errno
import logging
import time
from typing import Any

import pytest

from spot import (
    AddressInUse,
    EndpointExists,
    HostUnreachable,
    InvalidArgument,
    Peer,
    PeerExists,
    PeerNotFound,
    Spot,
    TimedOut,
)
from tests.library.connections import port_of
from tests.library.nodes import ANY_PORT, MakeNode, endpoint_of, is_up
from tests.library.waiting import receive, stays, wait_until

NOBODY = "tcp://127.0.0.1:9"  # discard: nothing listens there

# bind


def test_bind_returns_the_resolved_endpoint(make_node: MakeNode) -> None:
    """A port that the system chose must be known, to be told to others."""
    node = make_node()
    for asked in ("tcp://127.0.0.1:0", "tcp://127.0.0.1:*", "tcp://localhost:0"):
        resolved = node.bind(asked)
        assert resolved.startswith("tcp://127.0.0.1:")
        assert port_of(resolved) > 0
        assert resolved in node.endpoints
    assert node.bind("tcp://*:0").startswith("tcp://0.0.0.0:")


def test_bind_several_endpoints_that_all_lead_here(make_node: MakeNode) -> None:
    """A node may listen on several networks; any free port may be asked for twice."""
    node = make_node(topics=["t"])
    endpoints = [node.bind(ANY_PORT), node.bind(ANY_PORT), node.bind(ANY_PORT)]
    assert len(set(endpoints)) == 3
    assert node.endpoints == tuple(endpoints)
    for endpoint in endpoints:
        peer = make_node(cluster=[endpoint])
        assert peer.cluster_sync() == {endpoint: frozenset({"t"})}


def test_bind_to_a_port_in_use_says_what_to_do(make_node: MakeNode, host: Spot) -> None:
    """The most common start-up failure: the message must help."""
    node = make_node()
    with pytest.raises(AddressInUse, match=r"in use.*another port") as caught:
        node.bind(endpoint_of(host))
    assert (caught.value.errno, caught.value.endpoint) == (errno.EADDRINUSE, endpoint_of(host))
    assert endpoint_of(host) in str(caught.value)
    assert caught.value.__cause__ is not None
    assert node.endpoints == ()


def test_bind_twice_is_eexist(host: Spot) -> None:
    """The same node, the same endpoint: a program that configures itself twice."""
    with pytest.raises(EndpointExists, match="already") as caught:
        host.bind(endpoint_of(host))
    assert (caught.value.errno, caught.value.endpoint) == (errno.EEXIST, endpoint_of(host))
    assert len(host.endpoints) == 1


BAD_ENDPOINTS = [
    "",
    "5555",
    "127.0.0.1:5555",
    "tcp://",
    "tcp://127.0.0.1",
    "tcp://127.0.0.1:",
    "tcp://127.0.0.1:65536",
    "tcp://127.0.0.1:-1",
    "tcp://127.0.0.1:http",
    "tcp://::1:5555",
    "tcp://a b:5555",
    "TCP://127.0.0.1:5555",
    "udp://127.0.0.1:5555",
    "http://127.0.0.1:5555",
    "pgm://eth0;239.0.0.1:5555",
    "ipc://",
    "ipc:///" + "x" * 200,
    "inproc://",
    "tcp://127.0.0.1:5555\n",
    None,
    5555,
    b"tcp://127.0.0.1:5555",
]


@pytest.mark.parametrize("endpoint", BAD_ENDPOINTS)
def test_bad_endpoint_is_named(make_node: MakeNode, endpoint: Any) -> None:
    """EINVAL that shows the endpoint, for binding, adding, and as a setting."""
    node = make_node()
    for call in (
        node.bind,
        node.cluster_add,
        lambda text: make_node(bind=[text]),
        lambda text: make_node(cluster=[text]),
    ):
        with pytest.raises(InvalidArgument) as caught:
            call(endpoint)
        assert caught.value.errno == errno.EINVAL
        assert repr(endpoint)[:80] in str(caught.value)
    assert (node.endpoints, node.peers()) == ((), ())


@pytest.mark.parametrize("endpoint", ["tcp://203.0.113.77:5555", "tcp://no-such-name.invalid:5555"])
def test_bind_to_an_address_of_another_machine_is_einval(
    make_node: MakeNode, endpoint: str
) -> None:
    """The machine has no such address, and the message says that this is meant."""
    with pytest.raises(InvalidArgument, match="address of this machine") as caught:
        make_node().bind(endpoint)
    assert (caught.value.errno, caught.value.endpoint) == (errno.EINVAL, endpoint)


# cluster_add


def test_cluster_add_returns_at_once_and_keeps_trying(make_node: MakeNode, host: Spot) -> None:
    """Programs start in any order: a peer that isn't there yet is no error."""
    endpoint = endpoint_of(host)
    host.close()
    node = make_node(reconnect_max=0.2)
    began = time.monotonic()
    node.cluster_add(endpoint)
    assert time.monotonic() - began < 0.5
    wait_until(lambda: node.peers()[0].dials >= 2)
    assert node.peers()[0].last_error
    make_node(bind=[endpoint], topics=["later"])
    wait_until(lambda: node.topic_exists("later"))


def test_cluster_add_with_a_timeout_waits_for_the_greeting(make_node: MakeNode, host: Spot) -> None:
    """When it returns, the peer is up."""
    node = make_node()
    node.cluster_add(endpoint_of(host), timeout=5)
    assert is_up(node, endpoint_of(host))


def test_cluster_add_of_nobody_is_ehostunreach_and_goes_on(make_node: MakeNode, host: Spot) -> None:
    """The error tells, and the node goes on trying."""
    endpoint = endpoint_of(host)
    host.close()
    node = make_node(reconnect_max=0.2)
    began = time.monotonic()
    with pytest.raises(HostUnreachable, match=endpoint) as caught:
        node.cluster_add(endpoint, timeout=0.3)
    assert 0.28 < time.monotonic() - began < 5
    assert (caught.value.errno, caught.value.endpoint) == (errno.EHOSTUNREACH, endpoint)
    assert caught.value.reason
    make_node(bind=[endpoint])
    wait_until(lambda: is_up(node, endpoint))


def test_cluster_add_twice_is_eexist(client: Spot, host: Spot) -> None:
    """Also while the peer isn't up, and by its node id."""
    for name in (endpoint_of(host), "host"):
        with pytest.raises(PeerExists, match=name) as caught:
            client.cluster_add(name)
        assert (caught.value.errno, caught.value.endpoint) == (errno.EEXIST, name)
        assert "was added before" in str(caught.value)
    client.cluster_add(NOBODY)
    with pytest.raises(PeerExists, match="go on, or cluster_remove it first"):
        client.cluster_add(NOBODY)
    with pytest.raises(PeerExists, match="client has dialled this node"):
        host.cluster_add("client")


@pytest.mark.parametrize("endpoint", ["tcp://*:5555", "tcp://127.0.0.1:0", "tcp://127.0.0.1:*"])
def test_cluster_add_of_a_wildcard_is_einval(make_node: MakeNode, endpoint: str) -> None:
    """One can bind to any port, not dial any port."""
    with pytest.raises(InvalidArgument, match="a host and a port") as caught:
        make_node().cluster_add(endpoint)
    assert caught.value.endpoint == endpoint


def test_cluster_add_of_a_name_that_does_not_resolve_goes_on(make_node: MakeNode) -> None:
    """Names are looked up at each dial: a name server that comes later is enough."""
    node = make_node(reconnect_max=0.1)
    node.cluster_add("tcp://no-such-name.invalid:5555")
    wait_until(lambda: node.peers()[0].dials >= 2, 20)
    (peer,) = node.peers()
    assert "no-such-name.invalid" in str(peer.last_error)


# Refusals


def refused_peer(node: Spot) -> Peer:
    wait_until(lambda: node.peers() and node.peers()[0].state == "refused")
    return node.peers()[0]


def test_refusal_of_oneself_is_visible(make_node: MakeNode) -> None:
    """A node in its own list of peers, as when all nodes get the same list, is harmless."""
    node = make_node(node_id="me", bind=[ANY_PORT])
    node.cluster_add(endpoint_of(node))
    assert "me itself" in str(refused_peer(node).last_error)
    assert node.cluster_sync() == {}
    assert node.metrics().links_up == 0


def test_refusal_of_another_cluster_is_visible_on_both_sides(
    make_node: MakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    """Two systems that meet by a wrong address must not mix, and both operators must see why."""
    green = make_node(node_id="green-1", cluster_name="green", bind=[ANY_PORT], topics=["t"])
    with caplog.at_level(logging.WARNING, "spot"):
        blue = make_node(node_id="blue-1", cluster_name="blue")
        blue.cluster_add(endpoint_of(green))
        peer = refused_peer(blue)
        assert "'blue'" in str(peer.last_error)
        assert "'green'" in str(peer.last_error)
        wait_until(lambda: len(refusals(caplog)) >= 2)
    texts = refusals(caplog)
    assert any(text.startswith("green-1:") and "'blue'" in text for text in texts)
    assert any(text.startswith("blue-1:") and "'green'" in text for text in texts)
    assert not blue.topic_exists("t")
    assert green.peers() == ()
    assert green.metrics().refused >= 1
    with pytest.raises(TimedOut):
        blue.cluster_sync(timeout=0.1)


def refusals(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "refused" in record.getMessage()]


def test_refusal_of_a_duplicate_node_id_while_the_older_lives(make_node: MakeNode) -> None:
    """A copied configuration: the newcomer is refused and told, the older one doesn't notice."""
    hub = make_node(node_id="hub", bind=[ANY_PORT])
    older = make_node(node_id="twin", cluster=hub.endpoints)
    older.cluster_sync()
    newer = make_node(node_id="twin", cluster=hub.endpoints)
    assert "twin" in str(refused_peer(newer).last_error)
    assert is_up(older, "hub")
    assert older.metrics().links_lost == 0
    older.close()
    wait_until(lambda: is_up(newer, "hub"))


def test_refusal_ends_a_wait_at_once(make_node: MakeNode) -> None:
    """cluster_add(timeout=…) must not wait out its time when the answer is no."""
    green = make_node(cluster_name="green", bind=[ANY_PORT])
    node = make_node()
    began = time.monotonic()
    with pytest.raises(HostUnreachable, match="'green'") as caught:
        node.cluster_add(endpoint_of(green), timeout=10)
    assert time.monotonic() - began < 5
    assert caught.value.reason == "cluster"


# cluster_remove


def test_cluster_remove_drops_the_peer_and_its_topics(host: Spot, client: Spot) -> None:
    """No error in recv: the application asked for it."""
    client.subscribe("t")
    client.cluster_remove(endpoint_of(host))
    assert client.peers() == ()
    assert client.list_topics() == []
    assert client.recv(timeout=0.1) is None
    wait_until(lambda: host.peers() == ())


def test_cluster_remove_of_nobody_is_enoent(client: Spot) -> None:
    """By endpoint and by node id."""
    for name in (NOBODY, "nobody", ""):
        with pytest.raises(PeerNotFound) as caught:
            client.cluster_remove(name)
        assert (caught.value.errno, caught.value.endpoint) == (errno.ENOENT, name)
        assert repr(name) in str(caught.value)


def test_cluster_remove_refuses_the_dials_of_that_node(make_node: MakeNode, host: Spot) -> None:
    """A removed peer that goes on dialling must not come back by the back door, until it is
    added again."""
    client = make_node(node_id="client", bind=[ANY_PORT], cluster=host.endpoints, reconnect_max=0.2)
    client.cluster_sync()
    host.cluster_remove("client")
    wait_until(lambda: client.peers()[0].state == "refused")
    assert "removed" in str(client.peers()[0].last_error)
    stays(lambda: host.peers() == (), 0.5, what="removal")
    host.cluster_add(endpoint_of(client), timeout=5)
    assert is_up(host, "client")
    wait_until(lambda: is_up(client, "host"))


def test_cluster_remove_of_a_node_that_only_dials_is_taken_back_by_its_id(
    host: Spot, client: Spot
) -> None:
    """Such a node has no endpoint to add: its node id admits it again."""
    host.cluster_remove("client")
    wait_until(lambda: client.peers()[0].state == "refused")
    host.cluster_add("client")
    wait_until(lambda: is_up(host, "client"), 10)


def test_remove_add_sync_goes_on_at_the_position_reached(host: Spot, client: Spot) -> None:
    """The guide's recovery by hand: nothing comes twice, and nothing is missed."""
    client.subscribe("t")
    host.publish_many("t", [b"1", b"2"])
    assert [message.seq for message in receive(client, 2)] == [1, 2]
    client.cluster_remove(endpoint_of(host))
    host.publish_many("t", [b"3", b"4"])
    client.cluster_add(endpoint_of(host))
    client.cluster_sync()
    host.publish("t", b"5")
    found = [(message.data, message.seq, message.missed) for message in receive(client, 3)]
    assert found == [(b"3", 3, 0), (b"4", 4, 0), (b"5", 5, 0)]
    assert client.metrics().missed_msgs == 0
