"""Relays: nodes without a link of their own publish and receive through a hub, or two of them."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest

from spot import HostUnreachable, Spot
from tests.library.child import Child
from tests.library.connections import port_of
from tests.library.nodes import ANY_PORT, MakeNode, MakeProxy, StartChild, endpoint_of, is_up
from tests.library.test_heal import Collector, numbers_published
from tests.library.waiting import receive, receive_told, stays, wait_until

QUICK: dict[str, Any] = {"peer_timeout": 0.5, "reconnect_max": 0.2, "stable_after": 0.2}
OF_A_PROCESS = QUICK | {"peer_timeout": 3}
"""For links to a process that ends, which is noticed at once: it may stall before that."""


def start_hub(start_child: StartChild, name: str, endpoint: str = ANY_PORT) -> tuple[Child, str]:
    """A relay as a process of its own, and its endpoint."""
    settings = {"node_id": name, "relay": True, **OF_A_PROCESS}
    hub = start_child("publisher", topics=[], bind=endpoint, **settings)
    return hub, hub.said("bound")["endpoint"]


def spoke(make_node: MakeNode, name: str, hubs: Sequence[str], **settings: Any) -> Spot:
    node = make_node(node_id=name, cluster=hubs, **QUICK | settings)
    for hub in hubs:
        wait_until(partial(is_up, node, hub), what=f"the link to {hub}")
    return node


def is_beyond(newest: list[int], number: int) -> bool:
    return newest[0] > number


def wait_for_topic(node: Spot, topic: str) -> None:
    wait_until(lambda: node.topic_exists(topic), what=f"the news of {topic}")


@pytest.fixture
def hub(make_node: MakeNode) -> Spot:
    """A relay in this process."""
    return make_node(node_id="hub", bind=[ANY_PORT], relay=True, **QUICK)


def test_spoke_to_spoke_order_and_counts_as_in_a_mesh(make_node: MakeNode, hub: Spot) -> None:
    # What a relay is for; host, epoch and sequence stay the origin's.
    origin = spoke(make_node, "origin", hub.endpoints, topics=["t"])
    reader = spoke(make_node, "reader", hub.endpoints)
    wait_for_topic(reader, "t")
    assert reader.cluster_sync()[hub.endpoints[0]] == {"t"}
    assert not reader.topic_is_local("t")
    reader.subscribe("t")
    origin.publish_many("t", [b"%d" % number for number in range(20_000)])
    found = receive(reader, 20_000, 20)
    assert [message.seq for message in found] == list(range(1, 20_001))
    assert [int(message.data) for message in found] == list(range(20_000))
    assert {(message.node, message.missed) for message in found} == {("origin", 0)}
    assert reader.view().reachable == {"hub", "origin"}


def test_messages_of_every_size_go_through(make_node: MakeNode, hub: Spot) -> None:
    # Large ones travel beside their record, which is rewritten at the relay.
    origin = spoke(make_node, "origin", hub.endpoints, topics=["t"])
    reader = spoke(make_node, "reader", hub.endpoints)
    wait_for_topic(reader, "t")
    reader.subscribe("t")
    payloads = [bytes([size % 251]) * size for size in (0, 1, 1000, 70_000, 3, 1 << 20, 0)]
    origin.publish_many("t", payloads)
    assert [message.data for message in receive(reader, len(payloads))] == payloads
    reader.publish("t", b"x" * 200_000)
    assert receive(reader, 1)[0].data == b"x" * 200_000, "a large publish, the other way"


def test_pattern_and_topic_that_is_created_later(make_node: MakeNode, hub: Spot) -> None:
    # Nobody has to know who hosts what, or when: from the first message on.
    reader = spoke(make_node, "reader", hub.endpoints)
    reader.subscribe("b:late")
    reader.subscribe_pattern("a:*")
    origin = spoke(make_node, "origin", hub.endpoints, topics=["b:late"])
    origin.publish("b:late", b"first")
    origin.topic_create("a:later")
    origin.publish("a:later", b"also first")
    found = {(message.topic, message.data, message.missed) for message in receive(reader, 2)}
    assert found == {("b:late", b"first", 0), ("a:later", b"also first", 0)}


def test_subscribe_with_last_through_a_relay(make_node: MakeNode, hub: Spot) -> None:
    # The relay has nothing of it yet: it fetches it from the host.
    origin = spoke(make_node, "origin", hub.endpoints, topics=["t"])
    reader = spoke(make_node, "reader", hub.endpoints)
    wait_for_topic(reader, "t")
    origin.publish_many("t", [b"%d" % number for number in range(100)])
    reader.subscribe("t", last=10)
    assert [int(message.data) for message in receive(reader, 10)] == list(range(90, 100))


def test_hub_receives_only_what_a_spoke_wants(make_node: MakeNode, hub: Spot) -> None:
    # A relay that took everything would carry the whole cluster's traffic.
    origin = spoke(make_node, "origin", hub.endpoints, topics=["wanted", "other"])
    reader = spoke(make_node, "reader", hub.endpoints)
    wait_for_topic(reader, "wanted")
    reader.subscribe("wanted")
    for _ in range(50):
        origin.publish("other", b"nobody wants this")
        origin.publish("wanted", b"this one")
    receive(reader, 50)

    def arrived() -> int:
        return sum(peer.recv_msgs for peer in hub.peers())

    assert arrived() == 50
    reader.unsubscribe("wanted")
    reader.cluster_sync()
    hub.cluster_sync()
    origin.publish("wanted", b"no longer")
    stays(lambda: arrived() == 50, 0.3, what="that nothing more comes to the hub")


def test_without_the_setting_nothing_is_passed_on(make_node: MakeNode) -> None:
    # A node with two peers is no relay unless it was told to be one.
    plain = make_node(node_id="plain", bind=[ANY_PORT], **QUICK)
    spoke(make_node, "origin", plain.endpoints, topics=["t"])
    reader = spoke(make_node, "reader", plain.endpoints)
    wait_until(lambda: plain.topic_exists("t"), what="the news of t")
    assert reader.cluster_sync() == {plain.endpoints[0]: frozenset()}
    assert reader.view().reachable == {"plain"}


def test_two_relays_in_a_row_and_no_third(make_node: MakeNode) -> None:
    # The bound on relays between two nodes; what is beyond it is not announced.
    first = make_node(node_id="r1", bind=[ANY_PORT], relay=True, **QUICK)
    second = make_node(node_id="r2", bind=[ANY_PORT], relay=True, cluster=first.endpoints, **QUICK)
    third = make_node(node_id="r3", bind=[ANY_PORT], relay=True, cluster=second.endpoints, **QUICK)
    origin = spoke(make_node, "origin", first.endpoints, topics=["t"])
    near = spoke(make_node, "near", second.endpoints)
    far = spoke(make_node, "far", third.endpoints)
    wait_for_topic(near, "t")
    origin.publish_many("t", [b"%d" % number for number in range(500)])
    near.subscribe("t", last=500)
    origin.publish("t", b"500")
    assert [int(message.data) for message in receive(near, 501)] == list(range(501))
    near.publish("t", b"back")
    assert receive(near, 1)[0].data == b"back"
    far.cluster_sync()
    assert not far.topic_exists("t")


def test_origin_lost_behind_the_hub_is_told_once(
    make_node: MakeNode, start_child: StartChild, hub: Spot
) -> None:
    # The hub lives, but the messages will not come: that must be said, and to publishers too.
    settings = {"node_id": "origin", "relay": False, **OF_A_PROCESS}
    origin = start_child("publisher", topics=["t", "u"], **settings)
    endpoint = origin.said("bound")["endpoint"]
    hub.cluster_add(endpoint)
    reader = spoke(make_node, "reader", hub.endpoints)
    wait_for_topic(reader, "t")
    wait_for_topic(reader, "u")
    reader.subscribe("t")
    reader.subscribe("u")
    origin.process.send_signal(signal.SIGKILL)
    error = receive_told(reader)
    assert (error.node, set(error.topics)) == ("origin", {"t", "u"})
    with pytest.raises(HostUnreachable):
        reader.publish("t", b"x")
    assert reader.recv(timeout=0.3) is None, "it is told once"
    assert reader.view().reachable == {"hub"}


def test_hub_lost_is_told_for_the_hosts_behind_it(
    make_node: MakeNode, start_child: StartChild, endpoint: str
) -> None:
    # From where a spoke stands, all of them are lost; and all come back without a call.
    hub, _ = start_hub(start_child, "hub", endpoint)
    origin = spoke(make_node, "origin", [endpoint], topics=["t"], peer_timeout=3)
    reader = spoke(make_node, "reader", [endpoint], peer_timeout=3)
    wait_for_topic(reader, "t")
    reader.subscribe("t")
    origin.publish("t", b"before")
    assert receive(reader, 1)[0].data == b"before"
    hub.process.send_signal(signal.SIGKILL)
    assert receive_told(reader).node == "origin"
    origin.publish("t", b"meanwhile")
    start_hub(start_child, "hub", endpoint)
    origin.publish("t", b"after")
    found = receive(reader, 2)
    assert [message.data for message in found] == [b"meanwhile", b"after"]
    assert [message.missed for message in found] == [0, 0]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_two_hubs_and_one_dies_nothing_is_lost(
    make_node: MakeNode, start_child: StartChild, how: signal.Signals
) -> None:
    # The reason to have two: no loss, nothing twice, no HostUnreachable, no call. Both ways.
    hubs = dict(start_hub(start_child, name)[::-1] for name in ("hub1", "hub2"))
    endpoints = list(hubs)
    origin = spoke(make_node, "origin", endpoints, topics=["t"], peer_timeout=3)
    readers = [
        spoke(make_node, f"reader{number}", endpoints, peer_timeout=3) for number in range(3)
    ]
    collectors = []
    for reader in readers:
        wait_for_topic(reader, "t")
        reader.subscribe("t")
        collectors.append(Collector(reader))
    publish = readers[0].publish
    with numbers_published(lambda data: publish("t", data)) as newest:
        for collector in collectors:
            collector.wait_for_number(300)
        carried = {peer.endpoint: peer.recv_msgs for peer in readers[1].peers() if peer.recv_msgs}
        assert len(carried) == 1, "one path is active"
        hubs[next(iter(carried))].process.send_signal(how)
        wait_until(lambda: newest[0] >= 1500, 20, what="1,500 messages")
    for collector in collectors:
        collector.wait_for_number(newest[0])
        assert collector.numbers() == list(range(1, newest[0] + 1))
        assert sum(message.missed or 0 for message in collector.messages) == 0
        assert collector.told == 0
    assert origin.metrics().publish_unknown == readers[0].metrics().publish_unknown == 0


def test_hub_is_cut_off_and_healed_without_loss(
    make_node: MakeNode, make_proxy: MakeProxy, hub: Spot
) -> None:
    # Both sides of a relay break, one after the other, while messages flow.
    proxies = [make_proxy(port_of(endpoint_of(hub))) for _ in range(2)]
    origin = spoke(make_node, "origin", [proxies[0].endpoint], topics=["t"])
    reader = spoke(make_node, "reader", [proxies[1].endpoint])
    wait_for_topic(reader, "t")
    reader.subscribe("t")
    collector = Collector(reader)
    with numbers_published(lambda data: origin.publish("t", data)) as newest:
        for proxy in (*proxies, *proxies):
            collector.wait_for_number(newest[0])
            until = newest[0] + 200
            proxy.down = True
            proxy.cut()
            wait_until(partial(is_beyond, newest, until), what="200 more")
            proxy.down = False
            collector.wait_for_number(newest[0])
    collector.wait_for_number(newest[0])
    assert collector.numbers() == list(range(1, newest[0] + 1))
    assert sum(message.missed or 0 for message in collector.messages) == 0
    assert collector.told == 4


def test_slow_spoke_holds_up_nobody_and_loses_nothing(make_node: MakeNode, hub: Spot) -> None:
    # The relay drops what it can't keep for the slow one, which gets it from the host, later.
    hub.close()
    small = make_node(node_id="small", bind=[ANY_PORT], relay=True, history_bytes=100_000, **QUICK)
    origin = spoke(make_node, "origin", small.endpoints, topics=["t"], send_timeout=20)
    quick = spoke(make_node, "quick", small.endpoints)
    slow = spoke(make_node, "slow", small.endpoints, rcvhwm=100)
    for reader in (quick, slow):
        wait_for_topic(reader, "t")
        reader.subscribe("t")
    collector = Collector(quick)
    payloads = [b"%d " % number + b"." * 200 for number in range(10_000)]
    began = time.monotonic()
    origin.publish_many("t", payloads)
    collector.wait_for_number(9_999, 30)
    assert time.monotonic() - began < 15, "nobody waited for the slow one"
    assert origin.metrics().set_aside == 0
    assert small.metrics().history_bytes < 200_000, "a relay's memory is bounded"
    assert sum(peer.queued_msgs for peer in small.peers()) <= 10_000
    found = receive(slow, 10_000, 20)
    assert [int(message.data.split()[0]) for message in found] == list(range(10_000))
    assert {message.missed for message in found} == {0}


def test_what_the_host_does_not_hold_either_is_counted(make_node: MakeNode, hub: Spot) -> None:
    # Exactly, and only that.
    hub.close()
    small = make_node(node_id="small", bind=[ANY_PORT], relay=True, history_bytes=0, **QUICK)
    origin = spoke(make_node, "origin", small.endpoints, topics=["t"], history_bytes=50_000)
    slow = spoke(make_node, "slow", small.endpoints, rcvhwm=100, sndhwm=100)
    wait_for_topic(slow, "t")
    slow.subscribe("t")
    small.set_hwm(100, 10_000)
    for number in range(10_000):
        origin.publish("t", b"%d " % number + b"." * 100)
    origin.flush(5)
    # What the relay fetches again for the slow one counts among what it received.
    wait_until(lambda: sum(peer.recv_msgs for peer in small.peers()) >= 10_000, what="all")
    assert small.metrics().history_bytes == 0
    received = missed = last = 0
    while last < 10_000:
        message = slow.recv(timeout=5)
        assert message is not None
        assert message.missed is not None
        assert message.seq == last + 1 + message.missed
        received += 1
        missed += message.missed
        last = message.seq
    assert received + missed == 10_000
    assert missed > 0


def test_direct_link_takes_over_and_gives_back(make_node: MakeNode, hub: Spot) -> None:
    # The shortest way is taken when it is there; no message twice, none lost, nothing raised.
    origin = spoke(make_node, "origin", hub.endpoints, topics=["t"], bind=[ANY_PORT])
    reader = spoke(make_node, "reader", hub.endpoints)
    wait_for_topic(reader, "t")
    reader.subscribe("t")
    collector = Collector(reader)
    direct = endpoint_of(origin)
    with numbers_published(lambda data: reader.publish("t", data)) as newest:
        wait_until(lambda: newest[0] >= 100, what="100 messages")
        reader.cluster_add(direct)
        wait_until(lambda: is_up(reader, direct), what="the direct link")

        def comes_from_the_origin_alone() -> bool:
            carried = {peer.node: peer.recv_msgs for peer in reader.peers()}
            reached = newest[0]
            wait_until(lambda: newest[0] >= reached + 100, what="100 more")
            after = {peer.node: peer.recv_msgs for peer in reader.peers()}
            return after["hub"] == carried["hub"] and after["origin"] > carried["origin"]

        wait_until(comes_from_the_origin_alone, what="that nothing comes through the hub any more")
    collector.wait_for_number(newest[0])
    assert collector.numbers() == list(range(1, newest[0] + 1))
    assert collector.told == 0
