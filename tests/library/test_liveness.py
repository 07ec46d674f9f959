"""Silence, false alarms, slow links, and the waits between dials."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from spot import Event, Spot
from tests.library.connections import port_of
from tests.library.nodes import ANY_PORT, MakeNode, MakeProxy, StartChild, endpoint_of, is_up
from tests.library.proxy import Proxy
from tests.library.waiting import receive, stays, wait_until
from tests.library.watching import Watch

PEER_TIMEOUT_S = 1.8
HEARTBEAT_S = 0.3
ROOM_S = 1.2
"""What a machine may be late. Who waits for a second timeout is later than that."""


# Nodes whose application does nothing for the cluster


@pytest.mark.parametrize("how", ["sleeps", "computes"])
def test_node_answers_whatever_its_application_does(
    make_node: MakeNode, start_child: StartChild, how: str
) -> None:
    """Asleep, or in a loop of pure Python, for many times peer_timeout: links are kept, and
    is_healthy says so."""
    settings = {"peer_timeout": 1.5}
    hub = make_node(node_id="hub", bind=[ANY_PORT], **settings)
    child = start_child(
        "absent",
        topics=["t"],
        how=how,
        for_s=6.0,
        peer=endpoint_of(hub),
        node_id="away",
        **settings,
    )
    child.said("bound")
    hub.subscribe("t")
    until = time.monotonic() + 4.5
    answers = []
    while time.monotonic() < until:
        answers.append(hub.is_healthy("away", timeout=1.5))
        time.sleep(0.05)
    assert all(answers)
    counted = child.said("present")
    assert (counted["links_lost"], counted["dials"]) == (0, 1)
    assert hub.metrics().links_lost == 0
    assert hub.recv(0) is None


def test_node_that_never_receives_keeps_its_links(make_node: MakeNode) -> None:
    """It subscribes, and never calls again: no false alarm on either side under full load."""
    host = make_node(node_id="host", bind=[ANY_PORT], topics=["t"], peer_timeout=1, send_timeout=0)
    deaf = make_node(node_id="deaf", cluster=host.endpoints, subscribe=["t"], peer_timeout=1)
    host.wait_for_subscribers("t", timeout=5)
    until = time.monotonic() + 3
    while time.monotonic() < until:
        host.publish_many("t", [b"x" * 100] * 1000)
    assert (host.metrics().links_lost, deaf.metrics().links_lost) == (0, 0)
    assert host.is_healthy("deaf", timeout=2)


def test_full_load_both_ways_is_no_silence(make_node: MakeNode, start_child: StartChild) -> None:
    """Two processes that send as fast as they can, with a short peer_timeout."""
    child = start_child("stream", topics=["c"], rate=0, node_id="child", peer_timeout=1.5)
    node = make_node(topics=["n"], peer_timeout=1.5)
    node.cluster_add(child.said("bound")["endpoint"], timeout=5)
    node.cluster_sync()
    node.subscribe("c")
    watch = Watch(node)
    until = time.monotonic() + 4
    while time.monotonic() < until or (watch.count <= 10_000 and not watch.told):
        node.publish("c", b"x" * 64)
    assert watch.told == []
    assert node.metrics().links_lost == 0


def test_full_load_of_several_threads_is_no_silence(make_node: MakeNode) -> None:
    """Threads that want the lock all the time must not keep the heartbeat from it."""
    host = make_node(node_id="host", bind=[ANY_PORT], topics=["t"], peer_timeout=1)
    node = make_node(cluster=host.endpoints, peer_timeout=1)
    node.cluster_sync()
    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            node.peers()
            node.topic_exists("t")

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    stays(lambda: is_up(host, node.node_id), 3, what="the link")
    ended.set()
    for thread in threads:
        thread.join()
    assert (host.metrics().links_lost, node.metrics().links_lost) == (0, 0)


# Blackholes


@pytest.fixture
def proxied(make_node: MakeNode, make_proxy: MakeProxy) -> tuple[Spot, Spot, Proxy]:
    """A host, a node that listens to it, and the proxy between them."""
    settings = {"peer_timeout": PEER_TIMEOUT_S, "heartbeat": HEARTBEAT_S, "reconnect_max": 0.5}
    host = make_node(node_id="host", bind=[ANY_PORT], topics=["t"], **settings)
    proxy = make_proxy(port_of(endpoint_of(host)))
    node = make_node(node_id="node", cluster=[proxy.endpoint], topics=["n"], **settings)
    node.cluster_sync()
    node.subscribe("t")
    host.subscribe("n")
    return host, node, proxy


@pytest.mark.parametrize("swallow", [{"up"}, {"down"}, {"up", "down"}], ids=["up", "down", "both"])
def test_blackhole_is_told_on_both_sides_in_time(
    proxied: tuple[Spot, Spot, Proxy], swallow: set[str]
) -> None:
    """No FIN, no RST: within peer_timeout and a heartbeat, also where one direction still works;
    after the heal messages flow without a call."""
    host, node, proxy = proxied
    watches = [Watch(host), Watch(node)]
    for at in range(2):
        host.publish("t", b"before")
        node.publish("n", b"before")
        wait_until(lambda: all(watch.count for watch in watches))
        proxy.swallow |= swallow
        began = time.monotonic()
        wait_until(lambda: all(len(watch.told) > at for watch in watches), 10)  # noqa: B023
        told_s = [watch.told[at][0] - began for watch in watches]
        # The side that hears nothing tells after peer_timeout, and that side tells the other.
        assert max(told_s) < PEER_TIMEOUT_S + HEARTBEAT_S + ROOM_S, told_s
        for watch in watches:
            watch.count = 0
        proxy.swallow.clear()
        wait_until(lambda: is_up(host, "node") and is_up(node, "host"), 10)
        host.wait_for_subscribers("t", timeout=5)
        node.wait_for_subscribers("n", timeout=5)
        stays(lambda: all(len(watch.told) == at + 1 for watch in watches), 0.3)  # noqa: B023


def test_blackhole_after_an_earlier_hiccup_is_told_in_time(
    proxied: tuple[Spot, Spot, Proxy],
) -> None:
    """A pause that the link survived must not delay the news of the next one."""
    host, node, proxy = proxied
    watches = [Watch(host), Watch(node)]
    for _ in range(2):
        proxy.swallow = {"up", "down"}
        time.sleep(1.5 * HEARTBEAT_S)
        proxy.swallow = set()
        stays(lambda: not any(watch.told for watch in watches), 2.5 * HEARTBEAT_S)
    proxy.swallow = {"up", "down"}
    began = time.monotonic()
    wait_until(lambda: all(watch.told for watch in watches), 10)
    told_s = [watch.told[0][0] - began for watch in watches]
    assert max(told_s) < PEER_TIMEOUT_S + HEARTBEAT_S + ROOM_S, told_s


# Slow links


def test_large_messages_on_a_slow_link_are_no_silence(
    make_node: MakeNode, make_proxy: MakeProxy
) -> None:
    """900 kB take 3.4 s at 256 KiB/s, many times peer_timeout: bytes that arrive count as life."""
    settings = {"peer_timeout": 0.8}
    host = make_node(node_id="host", bind=[ANY_PORT], topics=["t"], **settings)
    proxy = make_proxy(port_of(endpoint_of(host)), rate=256 * 1024)
    node = make_node(node_id="node", cluster=[proxy.endpoint], topics=["n"], **settings)
    node.cluster_sync()
    node.subscribe("t")
    host.publish("t", b"x" * 900_000)
    (message,) = receive(node, 1, 30)
    assert len(message.data) == 900_000
    assert (host.metrics().links_lost, node.metrics().links_lost) == (0, 0)


def test_slow_link_does_not_slow_the_others(make_node: MakeNode, make_proxy: MakeProxy) -> None:
    """One subscriber on a bad line, one on a good one: the good one has its messages at once."""
    host = make_node(node_id="host", bind=[ANY_PORT], topics=["t"])
    proxy = make_proxy(port_of(endpoint_of(host)), rate=64 * 1024)
    slow = make_node(node_id="slow", cluster=[proxy.endpoint])
    fast = make_node(node_id="fast", cluster=host.endpoints)
    for node in (slow, fast):
        node.cluster_sync(timeout=5)
        node.subscribe("t")
    host.publish_many("t", [b"x" * 100_000] * 10)
    receive(fast, 10)
    assert len(slow.recv_many(10, timeout=0)) < 10, "which takes 15 s"
    assert is_up(host, "slow")


# Reconnecting


def dial_waits(node: Spot, endpoint: str, count: int) -> list[float]:
    """The first so many waits between dials, as told by events and as they really were."""
    told: list[Event] = []
    events = node.events(timeout=20)
    node.cluster_add(endpoint)
    for event in events:
        if event.kind in ("dial", "dial_failed"):
            told.append(event)
        if sum(event.kind == "dial_failed" for event in told) > count:
            break
    waits = []
    for failed, dialled in itertools.pairwise(told):
        if failed.kind == "dial_failed" and dialled.kind == "dial":
            assert failed.delay is not None
            # Never sooner; how much later is a matter of the machine.
            assert failed.delay - 0.01 <= dialled.at - failed.at < failed.delay + 2
            waits.append(failed.delay)
    return waits[:count]


def check_doubling(waits: list[float], first: float, most: float) -> None:
    for at, wait in enumerate(waits):
        step = min(first * 2**at, most)
        assert 0.5 * step <= wait <= step, (at, waits)


def test_waits_double_when_nobody_listens(make_node: MakeNode) -> None:
    """100 ms, 200 ms, ... each drawn from the upper half of its step."""
    check_doubling(dial_waits(make_node(), "tcp://127.0.0.1:9", 3), 0.1, 5)


def test_waits_double_behind_a_proxy_whose_upstream_is_dead(
    make_node: MakeNode, make_proxy: MakeProxy, free_ports: int
) -> None:
    """The connect succeeds and is closed at once: raw zmq would try again for ever at 100 ms."""
    proxy = make_proxy(free_ports)
    node = make_node()
    check_doubling(dial_waits(node, proxy.endpoint, 3), 0.1, 5)
    connections = len(proxy.accepted_at)
    assert connections <= node.peers()[0].dials, "and nobody connects but by a dial that is told"


@pytest.fixture
def mute_port() -> Iterator[int]:
    """A server that accepts and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_dial_of_a_mute_server_ends(make_node: MakeNode, mute_port: int) -> None:
    """The greeting never comes: the dial ends within its time, and the waits grow."""
    node = make_node(peer_timeout=0.5)
    node.cluster_add(f"tcp://127.0.0.1:{mute_port}")
    wait_until(lambda: node.peers()[0].dials >= 2, 10)
    assert node.peers()[0].last_error


def test_refused_dial_is_noticed_at_once(make_node: MakeNode) -> None:
    """The first dial of a node too: waiting for a greeting that can't come costs seconds."""
    for _ in range(5):
        node = make_node(peer_timeout=60)
        node.cluster_add("tcp://127.0.0.1:9")
        wait_until(lambda: node.peers()[0].last_error == "connection refused", 10)  # noqa: B023


def test_waits_start_anew_after_a_stable_link_only(
    make_node: MakeNode, make_proxy: MakeProxy
) -> None:
    """A link that flaps must not be dialled every 100 ms for ever."""
    host = make_node(node_id="host", bind=[ANY_PORT])
    proxy = make_proxy(port_of(endpoint_of(host)))
    node = make_node(cluster=[proxy.endpoint], stable_after=2.0, reconnect_max=2)
    events = node.events()
    delays = []
    for at in range(5):
        wait_until(lambda: is_up(node, "host"), 10)
        if at == 4:
            stays(lambda: is_up(node, "host"), 2.1)
        proxy.cut()
        delays.append(next(event.delay for event in events if event.kind == "link_down"))
    for at, delay in enumerate(delays[:4]):
        assert delay is not None
        assert 0.05 * 2**at <= delay <= 0.1 * 2**at, delays
    assert delays[4] is not None
    assert delays[4] <= 0.1


def test_contact_from_the_peer_ends_the_wait(make_node: MakeNode, host: Spot) -> None:
    """A node that waits 5 s is linked at once when the peer dials it."""
    endpoint = endpoint_of(host)
    host.close()
    node = make_node(node_id="node", bind=[ANY_PORT], reconnect_min=30, reconnect_max=30)
    node.cluster_add(endpoint)
    wait_until(lambda: node.peers()[0].state == "waiting")
    again = make_node(node_id="host", bind=[endpoint], cluster=node.endpoints)
    again.cluster_sync()
    wait_until(lambda: is_up(node, "host"))


def test_unreachable_peer_holds_up_nobody(make_node: MakeNode, mute_port: int) -> None:
    """Publishing goes on at full speed with peers that are down, mute, or stopped."""
    host = make_node(bind=[ANY_PORT], topics=["t"])
    reader = make_node(cluster=host.endpoints)
    for endpoint in ("tcp://127.0.0.1:9", f"tcp://127.0.0.1:{mute_port}", "tcp://203.0.113.9:9"):
        host.cluster_add(endpoint)
    reader.cluster_sync()
    reader.subscribe("t")
    began = time.monotonic()
    host.publish_many("t", [b"x"] * 10_000)
    receive(reader, 10_000)
    assert time.monotonic() - began < 5
