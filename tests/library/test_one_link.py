"""One port a node, one connection a pair, counted by the operating system."""

from __future__ import annotations

import itertools
import socket

import pytest

from spot import Spot
from tests.library.connections import established, port_of
from tests.library.nodes import ANY_PORT, MakeNode, MakeProxy, endpoint_of, is_up
from tests.library.waiting import receive, stays, wait_until


def ports_of(nodes: list[Spot]) -> list[int]:
    return [port_of(endpoint) for node in nodes for endpoint in node.endpoints]


def settle(nodes: list[Spot], links: int) -> None:
    """Waits for so many connections, and watches that it stays at that."""
    ports = ports_of(nodes)
    wait_until(lambda: established(ports) == links, 10, what=f"{links} connections")
    stays(lambda: established(ports) == links, 0.5, what=f"{links} connections")


@pytest.mark.parametrize("size", [3, 10])
def test_mesh_has_one_connection_a_pair(make_node: MakeNode, size: int) -> None:
    """N(N-1)/2, though every node adds every other and all dial at once."""
    nodes = [make_node(node_id=f"n{at}", bind=[ANY_PORT], topics=[f"n:{at}"]) for at in range(size)]
    for node in nodes:
        for other in nodes:
            if other is not node:
                node.cluster_add(endpoint_of(other))
    for node in nodes:
        assert len(node.cluster_sync(timeout=10)) == size - 1
    settle(nodes, size * (size - 1) // 2)
    for node in nodes:
        node.subscribe_pattern("n:*")
    for at, node in enumerate(nodes):
        node.publish(f"n:{at}", b"x")
    for node in nodes:
        assert {m.topic for m in receive(node, size)} == {f"n:{at}" for at in range(size)}
        assert node.recv(0) is None


def test_hub_has_one_connection_a_spoke(make_node: MakeNode) -> None:
    """Spokes dial the hub, and nobody dials what was not configured."""
    hub = make_node(node_id="hub", bind=[ANY_PORT])
    spokes = [make_node(bind=[ANY_PORT], cluster=hub.endpoints) for _ in range(3)]
    for spoke in spokes:
        spoke.cluster_sync()
    settle([hub, *spokes], 3)


def spellings(port: int) -> list[str]:
    names = ["127.0.0.1", "localhost", "127.0.0.2", socket.gethostname()]
    return [f"tcp://{name}:{port}" for name in dict.fromkeys(names)]


def test_pair_has_one_connection_by_whatever_endpoints(make_node: MakeNode) -> None:
    """Names, addresses, both directions: one node is one peer."""
    nodes = [make_node(node_id=name, bind=["tcp://*:0"], topics=[name]) for name in ("a", "b")]
    a, b = nodes
    for node, other in ((a, b), (b, a)):
        for spelling in spellings(port_of(endpoint_of(other))):
            node.cluster_add(spelling)
    for node, other in ((a, b), (b, a)):
        answers = node.cluster_sync(timeout=5)
        assert set(answers.values()) == {frozenset({other.node_id})}
        assert all(peer.state == "up" for peer in node.peers())
    settle(nodes, 1)
    b.subscribe("a")
    a.publish("a", b"x")
    assert receive(b, 1)[0].data == b"x"
    assert b.recv(0.05) is None


def test_pair_that_binds_several_ports_has_one_connection(make_node: MakeNode) -> None:
    """A node with two endpoints is still one node."""
    a = make_node(node_id="a", bind=[ANY_PORT, ANY_PORT])
    b = make_node(node_id="b", bind=[ANY_PORT])
    for endpoint in a.endpoints:
        b.cluster_add(endpoint)
    a.cluster_add(endpoint_of(b))
    b.cluster_sync(timeout=5)
    settle([a, b], 1)


def test_pair_behind_proxies_has_one_connection(make_node: MakeNode, make_proxy: MakeProxy) -> None:
    """Neither end knows the other's real address: only the greeting can tell."""
    a = make_node(node_id="a", bind=[ANY_PORT])
    b = make_node(node_id="b", bind=[ANY_PORT])
    to_a = [make_proxy(port_of(endpoint_of(a))) for _ in range(2)]
    to_b = [make_proxy(port_of(endpoint_of(b))) for _ in range(2)]
    for proxy in to_a:
        b.cluster_add(proxy.endpoint)
    for proxy in to_b:
        a.cluster_add(proxy.endpoint)
    a.cluster_sync(timeout=5)
    b.cluster_sync(timeout=5)
    settle([a, b], 1)


def test_pair_that_dials_at_once_has_one_connection(make_node: MakeNode) -> None:
    """Crossing dials are the rule when a cluster starts; each pair of them must end the same."""
    for at in range(10):
        a = make_node(node_id=f"a{at}", bind=[ANY_PORT])
        b = make_node(node_id=f"b{at}", bind=[ANY_PORT])
        a.cluster_add(endpoint_of(b))
        b.cluster_add(endpoint_of(a))
        a.cluster_sync(timeout=5)
        b.cluster_sync(timeout=5)
        ports = ports_of([a, b])
        wait_until(lambda: established(ports) == 1, what="one connection")  # noqa: B023
        assert is_up(a, endpoint_of(b))
        assert is_up(b, endpoint_of(a))
        assert (a.metrics().links_lost, b.metrics().links_lost) == (0, 0)


def test_connection_that_was_lost_is_one_again(make_node: MakeNode, make_proxy: MakeProxy) -> None:
    """Both ends dial again after a cut; still one connection comes of it."""
    a = make_node(node_id="a", bind=[ANY_PORT], reconnect_max=0.2)
    b = make_node(node_id="b", bind=[ANY_PORT], reconnect_max=0.2)
    to_a = make_proxy(port_of(endpoint_of(a)))
    to_b = make_proxy(port_of(endpoint_of(b)))
    b.cluster_add(to_a.endpoint, timeout=5)
    a.cluster_add(to_b.endpoint, timeout=5)
    for _ in range(5):
        lost = a.metrics().links_lost
        to_a.cut()
        to_b.cut()
        wait_until(lambda: a.metrics().links_lost > lost and is_up(a, "b") and is_up(b, "a"))  # noqa: B023
    settle([a, b], 1)


def test_node_that_only_dials_is_a_full_member(make_node: MakeNode) -> None:
    """Behind NAT: its topics reach the others, theirs reach it, without a port of its own."""
    hub = make_node(node_id="hub", bind=[ANY_PORT], topics=["h"])
    inner = make_node(node_id="inner", cluster=hub.endpoints, topics=["i"])
    inner.cluster_sync()
    assert inner.endpoints == ()
    hub.subscribe("i")
    inner.subscribe("h")
    inner.publish("i", b"from inner")
    hub.publish("h", b"from hub")
    hub.publish("i", b"to inner's topic")
    assert receive(inner, 1)[0].data == b"from hub"
    found = receive(hub, 2)
    assert sorted(message.data for message in found) == [b"from inner", b"to inner's topic"]
    assert {message.node for message in found} == {"inner"}


def test_everything_goes_through_the_bound_port(make_node: MakeNode, make_proxy: MakeProxy) -> None:
    """A firewall opens one port: with that port proxied, nothing else may be dialled."""
    a = make_node(node_id="a", bind=[ANY_PORT], topics=["a"])
    b = make_node(node_id="b", topics=["b"])
    proxy = make_proxy(port_of(endpoint_of(a)))
    b.cluster_add(proxy.endpoint, timeout=5)
    b.cluster_sync()
    a.subscribe("b")
    b.subscribe("a")
    for node, topic in itertools.product((a, b), ("a", "b")):
        node.publish(topic, b"x" * 100_000)
    receive(a, 2)
    receive(b, 2)
    assert len(proxy.accepted_at) == 1
    assert established([proxy.port]) == 1
    assert established([port_of(endpoint_of(a))]) == 1
