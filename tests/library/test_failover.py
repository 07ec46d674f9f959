"""Standby hosts, routes with backups: who serves, who is told, and that nothing comes twice."""

from __future__ import annotations

import asyncio
import errno
import threading
from typing import Any

import pytest

from spot import Event, HostUnreachable, InvalidArgument, Spot, TopicExists, aio
from tests.library.connections import port_of
from tests.library.nodes import ANY_PORT, MakeNode, MakeProxy, StartChild, endpoint_of, is_up
from tests.library.waiting import receive, receive_told, receive_until_data, wait_until

NOBODY = "tcp://127.0.0.1:9"  # discard: nothing listens there


class Events:
    """The events of one kind of a node, as they come."""

    def __init__(self, node: Spot, kind: str) -> None:
        self.found: list[Event] = []
        happened = node.events()

        def gather() -> None:
            for event in happened:
                if event.kind == kind:
                    self.found.append(event)

        threading.Thread(target=gather, name="events", daemon=True).start()

    def wait_for(self, count: int) -> Event:
        wait_until(lambda: len(self.found) >= count, what=f"event {count}")
        return self.found[count - 1]


def make_hosts(make_node: MakeNode, *names: str, port: int = 0) -> list[Spot]:
    """Hosts of topic ``t`` that don't know one another; all but the first stand by.

    ``port``: of the first, and the next ones of the others; 0: any.
    """
    hosts = [
        make_node(node_id=name, bind=[f"tcp://127.0.0.1:{port and port + place}"])
        for place, name in enumerate(names)
    ]
    for at, host in enumerate(hosts):
        host.topic_create("t", standby=at > 0)
    return hosts


def test_backup_takes_over_without_a_call(make_node: MakeNode) -> None:
    """The reason for backups: the primary dies, and the next message comes from the next host."""
    first, second, third = make_hosts(make_node, "first", "second", "third")
    node = make_node()
    routes = Events(node, "route")
    node.topic_route("t", endpoint_of(first), backups=[endpoint_of(second), endpoint_of(third)])
    assert routes.wait_for(1).node == "first"
    node.subscribe("t")
    first.publish("t", b"1")
    assert receive(node, 1)[0].node == "first"
    first.close()
    event = routes.wait_for(2)
    assert (event.node, event.topics, event.endpoint) == ("second", ("t",), endpoint_of(second))
    assert event.reason == "node first was lost: left"
    second.wait_for_subscribers("t", timeout=5)
    second.publish("t", b"2")
    message = receive(node, 1)[0]
    assert (message.node, message.data) == ("second", b"2")
    assert message.missed == 0, "first has said how far it got"
    node.publish("t", b"3")
    assert receive(node, 1)[0].node == "second", "publishes go to the current host, too"


def test_recv_raises_when_no_host_is_left(make_node: MakeNode) -> None:
    """As long as somebody serves, there is nothing that an application must do."""
    first, second = make_hosts(make_node, "first", "second")
    node = make_node(node_id="client")
    node.topic_route("t", endpoint_of(first), backups=[endpoint_of(second)])
    wait_until(lambda: is_up(node, "second"))
    node.cluster_sync()
    node.subscribe("t")
    first.close()
    wait_until(lambda: not is_up(node, "first"))
    assert node.recv(0.1) is None
    second.close()
    assert receive_told(node).node == "second"
    assert node.recv(0.1) is None
    with pytest.raises(HostUnreachable):
        node.publish("t", b"x")


def test_failover_there_and_back_hands_out_nothing_twice(
    make_node: MakeNode, make_proxy: MakeProxy
) -> None:
    """The primary that is back does not take over while the backup lives; it does after that."""
    first, second = make_hosts(make_node, "first", "second")
    proxies = [make_proxy(port_of(endpoint_of(host))) for host in (first, second)]
    node = make_node(reconnect_max=0.2)
    routes = Events(node, "route")
    node.topic_route("t", proxies[0].endpoint, backups=[proxies[1].endpoint])
    wait_until(lambda: is_up(node, "second"))
    node.cluster_sync()
    node.subscribe("t")
    hosts = [first, second]
    got: list[tuple[str, bytes]] = []
    for turn in range(4):
        serving = hosts[turn % 2]
        serving.wait_for_subscribers("t", timeout=5)
        last = b"%d last" % turn
        serving.publish_many("t", [b"%d %d" % (turn, at) for at in range(20)])
        serving.publish("t", last)
        found = receive_until_data(node, last)
        assert {message.node for message in found[-21:]} == {serving.node_id}
        got += [(message.node, message.data) for message in found]
        lost = node.metrics().links_lost
        proxies[turn % 2].cut()
        wait_until(lambda: node.metrics().links_lost > lost)  # noqa: B023
        assert routes.wait_for(turn + 2).node == hosts[(turn + 1) % 2].node_id
        wait_until(lambda: is_up(node, serving.node_id))  # noqa: B023
        node.cluster_sync()
        assert len(routes.found) == turn + 2, "the one that is back waits for its turn"
    assert len(got) == len(set(got)) == 4 * 21
    assert node.recv(0.1) is None


def test_lost_route_is_taken_up_by_whoever_comes_first(
    make_node: MakeNode, free_ports: int
) -> None:
    """All hosts were down: the first that is back serves, be it the primary or a backup."""
    first, second = make_hosts(make_node, "first", "second", port=free_ports)
    ends = [endpoint_of(first), endpoint_of(second)]
    node = make_node(reconnect_max=0.2)
    routes = Events(node, "route")
    node.topic_route("t", ends[0], backups=[ends[1]])
    wait_until(lambda: is_up(node, "second"))
    node.cluster_sync()
    node.subscribe("t")
    second.close()
    wait_until(lambda: not is_up(node, "second"))
    first.close()
    assert receive_told(node).node == "first"
    again = make_node(node_id="second", bind=[ends[1]])
    again.topic_create("t", standby=True)
    assert routes.wait_for(2).node == "second"
    again.wait_for_subscribers("t", timeout=5)
    again.publish("t", b"back")
    assert receive_until_data(node, b"back")[-1].node == "second"


def test_killed_host_is_replaced_within_a_moment(
    make_node: MakeNode, start_child: StartChild
) -> None:
    """A process that dies is what backups are for, not a polite goodbye."""
    child = start_child("publisher", node_id="first", topics=["t"])
    endpoint = child.said("bound")["endpoint"]
    (_, second) = make_hosts(make_node, "elsewhere", "second")
    node = make_node()
    node.topic_route("t", endpoint, backups=[endpoint_of(second)])
    wait_until(lambda: is_up(node, "second"))
    node.cluster_sync()
    node.subscribe("t")
    child.tell("burst t 5")
    assert {message.node for message in receive(node, 5)} == {"first"}
    child.kill()
    second.wait_for_subscribers("t", timeout=5)
    wait_until(lambda: not is_up(node, "first"))
    second.publish_many("t", [b"on", b"and on"])
    found = receive(node, 2)
    assert {message.node for message in found} == {"second"}
    assert [message.missed for message in found] == [None, 0], "nobody knows what first had taken"
    assert node.metrics().missed_unknown == 1


def test_call_takes_a_backup_where_the_host_does_not_answer(make_node: MakeNode) -> None:
    """Who starts while the primary is down wants the topic all the same."""
    (_, second) = make_hosts(make_node, "first", "second")
    node = make_node()
    node.topic_route("t", NOBODY, backups=[endpoint_of(second)], timeout=2)
    node.subscribe("t")
    second.publish("t", b"1")
    assert receive(node, 1)[0].node == "second"


def test_nothing_stays_of_a_route_that_nobody_answers(make_node: MakeNode) -> None:
    """A second call must be able to start afresh."""
    node = make_node()
    with pytest.raises(HostUnreachable) as caught:
        node.topic_route("t", NOBODY, backups=["tcp://127.0.0.1:10"], timeout=0.1)
    assert caught.value.errno == errno.EHOSTUNREACH
    assert node.peers() == ()


def test_replace_goes_back_to_the_primary(make_node: MakeNode, make_proxy: MakeProxy) -> None:
    """A planned return is a call; the same call without replace keeps who serves."""
    first, second = make_hosts(make_node, "first", "second")
    proxy = make_proxy(port_of(endpoint_of(first)))
    node = make_node(reconnect_max=0.2)
    routes = Events(node, "route")
    backups = [endpoint_of(second)]
    node.topic_route("t", proxy.endpoint, backups=backups)
    wait_until(lambda: is_up(node, "second"))
    node.cluster_sync()
    proxy.cut()
    assert routes.wait_for(2).node == "second"
    wait_until(lambda: is_up(node, "first"))
    node.topic_route("t", proxy.endpoint, backups=backups)
    assert len(routes.found) == 2
    with pytest.raises(TopicExists):
        node.topic_route("t", proxy.endpoint)
    node.topic_route("t", proxy.endpoint, backups=backups, replace=True)
    assert routes.wait_for(3).node == "first"


def test_route_by_hand_follows_from_host_to_host(make_node: MakeNode, free_ports: int) -> None:
    """The guide's form: told of the loss, the application names the next host itself."""
    first, second = make_hosts(make_node, "first", "second", port=free_ports)
    node = make_node()
    node.topic_route("t", endpoint_of(first))
    node.subscribe("t")
    end = endpoint_of(first)
    first.close()
    assert receive_told(node).node == "first"
    node.topic_route("t", endpoint_of(second))
    second.wait_for_subscribers("t", timeout=5)
    second.publish("t", b"2")
    assert receive(node, 1)[0].node == "second"
    second.close()
    assert receive_told(node).node == "second"
    again = make_node(node_id="first", bind=[end], topics=["t"])
    node.topic_route("t", end)
    again.wait_for_subscribers("t", timeout=5)
    again.publish("t", b"3")
    assert receive(node, 1)[0].data == b"3"


@pytest.mark.parametrize(
    ("backups", "said"),
    [
        (["{primary}"], "named twice"),
        ([NOBODY, NOBODY], "named twice"),
        ("tcp://127.0.0.1:9", "sequence"),
        (5, "sequence"),
        ([""], "endpoint or a node id"),
        ([5], "endpoint or a node id"),
        (["no endpoint"], "no endpoint"),
    ],
)
def test_bad_backups_are_named(make_node: MakeNode, backups: Any, said: str) -> None:
    """A route that can't work is a mistake to be told of at once, and nothing stays of it."""
    (host,) = make_hosts(make_node, "first")
    node = make_node()
    if isinstance(backups, list):
        backups = [endpoint_of(host) if name == "{primary}" else name for name in backups]
    with pytest.raises(InvalidArgument, match=said):
        node.topic_route("t", endpoint_of(host), backups=backups)
    assert node.peers() == ()


def test_local_topic_is_not_routed(make_node: MakeNode) -> None:
    """A node that hosts the topic, be it as a standby, is its own host."""
    node = make_node(topics=["t"])
    node.topic_create("u", standby=True)
    for topic in ("t", "u"):
        with pytest.raises(TopicExists, match="LOCAL"):
            node.topic_route(topic, NOBODY, backups=["tcp://127.0.0.1:10"])


# Standby hosts without routes


def test_standby_may_host_what_a_peer_hosts(make_node: MakeNode, host: Spot) -> None:
    """And it keeps nobody from hosting the topic: a primary has to be able to start after it."""
    standby = make_node(node_id="standby", cluster=host.endpoints)
    standby.cluster_sync()
    with pytest.raises(TopicExists):
        standby.topic_create("t")
    standby.topic_create("t", standby=True)
    with pytest.raises(TopicExists):
        standby.topic_create("t", standby=True)
    assert standby.topic_is_local("t")
    standby.topic_create("u", standby=True)
    host.cluster_sync()
    host.topic_create("u")
    assert standby.view().conflicts == host.view().conflicts == {}


def test_plain_subscription_takes_a_standby_while_no_other_host_is_up(
    make_node: MakeNode, make_proxy: MakeProxy, host: Spot
) -> None:
    """Without a route the loss is told; the stream goes on all the same, and comes back."""
    proxy = make_proxy(port_of(endpoint_of(host)))
    standby = make_node(node_id="standby", bind=[ANY_PORT])
    standby.topic_create("t", standby=True)
    node = make_node(cluster=[*standby.endpoints, proxy.endpoint], reconnect_max=0.2)
    node.cluster_sync()
    node.subscribe("t")
    standby.wait_for_subscribers("t", timeout=5)
    standby.publish("t", b"unheard")
    host.publish("t", b"1")
    assert receive(node, 1)[0].data == b"1"
    host_left = endpoint_of(host)
    host.close()
    assert receive_told(node).node == "host"
    standby.publish("t", b"2")
    assert receive_until_data(node, b"2")[-1].node == "standby"
    again = make_node(node_id="host", bind=[host_left], topics=["t"])
    again.wait_for_subscribers("t", timeout=5)
    node.cluster_sync()
    again.publish("t", b"3")
    standby.publish("t", b"unheard")
    assert receive_until_data(node, b"3")[-1].node == "host"


def test_node_that_stands_by_hears_the_primary(make_node: MakeNode, host: Spot) -> None:
    """Its own subscription is one like others: it needs what it will have to go on with."""
    standby = make_node(node_id="standby", cluster=host.endpoints, reconnect_max=0.2)
    standby.cluster_sync()
    standby.topic_create("t", standby=True)
    standby.subscribe("t")
    host.publish("t", b"1")
    assert receive(standby, 1)[0].node == "host"
    host.close()
    assert receive_told(standby).node == "host"
    standby.publish("t", b"2")
    assert receive_until_data(standby, b"2")[-1].node == "standby"


def test_node_that_stands_by_says_that_the_primary_crashed(
    make_node: MakeNode, start_child: StartChild
) -> None:
    """It takes over for its own subscription, too, and does not know what the primary had taken."""
    child = start_child("publisher", node_id="first", topics=["t"])
    standby = make_node(node_id="standby", cluster=[child.said("bound")["endpoint"]])
    standby.cluster_sync()
    standby.topic_create("t", standby=True)
    standby.subscribe("t")
    standby.cluster_sync()
    child.tell("burst t 5")
    assert [message.missed for message in receive(standby, 5)] == [0] * 5
    child.kill()
    assert receive_told(standby).node == "first"
    standby.publish_many("t", [b"on", b"and on"])
    found = receive(standby, 2)
    assert [(message.node, message.missed) for message in found] == [
        ("standby", None),
        ("standby", 0),
    ]


async def _aio_failover(first: Spot, second: Spot) -> list[str]:
    async with aio.Spot() as node:
        happened = node.events(20)
        waiting = asyncio.ensure_future(anext(happened))
        await node.topic_route("t", endpoint_of(first), backups=[endpoint_of(second)])
        await node.cluster_sync()
        await node.subscribe("t")
        await asyncio.to_thread(first.close)
        hosts: list[str] = []
        while len(hosts) < 2:
            event = await waiting
            waiting = asyncio.ensure_future(anext(happened))
            if event.kind == "route":
                hosts.append(event.node or "")
        waiting.cancel()
        await node.publish("t", b"x")
        message = await node.recv(5)
        assert message is not None
        return [*hosts, message.node]


def test_failover_in_asyncio(make_node: MakeNode) -> None:
    """The asynchronous form takes the same arguments and tells the same events."""
    first, second = make_hosts(make_node, "first", "second")
    assert asyncio.run(_aio_failover(first, second)) == ["first", "second", "second"]
