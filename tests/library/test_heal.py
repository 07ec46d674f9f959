"""Loss-free healing: what heals within the replay buffer's bounds loses no message."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from spot import HostUnreachable, InvalidArgument, Message, Spot
from tests.library.connections import port_of
from tests.library.nodes import ANY_PORT, MakeNode, MakeProxy, StartChild, endpoint_of, is_up
from tests.library.proxy import Proxy
from tests.library.waiting import receive, receive_told, stays, wait_until

QUICK = {"peer_timeout": 0.4, "reconnect_max": 0.2, "stable_after": 0.2}
OF_A_PROCESS = QUICK | {"peer_timeout": 3}
"""For links to a process that is killed, which is noticed at once: it may stall before that."""
PACE_S = 0.001


class Collector:
    """A thread that receives all there is, and notes what was lost and told."""

    def __init__(self, node: Spot) -> None:
        self.node = node
        self.messages: list[Message] = []
        self.told = 0
        self._thread = threading.Thread(target=self._run, name="collector", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        messages = iter(self.node)
        while True:
            try:
                self.messages.append(next(messages))
            except StopIteration:
                return
            except HostUnreachable:
                self.told += 1

    def numbers(self) -> list[int]:
        return [int(message.data.split()[0]) for message in self.messages]

    def wait_for_number(self, number: int, deadline_s: float = 10) -> None:
        def came() -> bool:
            return bool(self.messages) and self.numbers()[-1] >= number

        wait_until(came, deadline_s, what=f"number {number}")


@contextmanager
def numbers_published(publish: Callable[[bytes], None]) -> Iterator[list[int]]:
    """A thread publishes numbers from 1, about 1,000 a second; the list holds the newest."""
    newest = [0]
    ending = threading.Event()

    def run() -> None:
        while not ending.is_set():
            publish(b"%d" % (newest[0] + 1))
            newest[0] += 1
            time.sleep(PACE_S)

    thread = threading.Thread(target=run, name="publishing", daemon=True)
    thread.start()
    try:
        yield newest
    finally:
        ending.set()
        thread.join()


def behind_proxy(make_node: MakeNode, make_proxy: MakeProxy, host: Spot) -> tuple[Spot, Proxy]:
    """A node that is subscribed to ``t`` through a proxy."""
    proxy = make_proxy(port_of(endpoint_of(host)))
    node = make_node(node_id="reader", cluster=[proxy.endpoint], **QUICK)
    node.cluster_sync(timeout=5)
    node.subscribe("t")
    return node, proxy


def cut_for_a_second(proxy: Proxy) -> None:
    proxy.down = True
    proxy.cut()
    time.sleep(1)
    proxy.down = False


def swallow(proxy: Proxy, *ways: str) -> None:
    """Bytes vanish for a second; the heal ends the connection, as Toxiproxy does."""
    proxy.swallow = set(ways)
    time.sleep(1)
    proxy.swallow = set()
    proxy.cut()


def flap(proxy: Proxy) -> None:
    for _ in range(8):
        proxy.cut()
        time.sleep(0.3)


@pytest.mark.parametrize(
    "fault",
    [
        cut_for_a_second,
        lambda proxy: swallow(proxy, "up", "down"),
        lambda proxy: swallow(proxy, "up"),
        lambda proxy: swallow(proxy, "down"),
        flap,
    ],
    ids=["cut", "blackhole", "blackhole up", "blackhole down", "flapping"],
)
def test_a_fault_loses_nothing(
    make_node: MakeNode, make_proxy: MakeProxy, fault: Callable[[Proxy], None]
) -> None:
    """The replay buffer's promise: after the heal every message is there, once and in order."""
    host = make_node(node_id="host", bind=[ANY_PORT], topics=["t"], **QUICK)
    node, proxy = behind_proxy(make_node, make_proxy, host)
    collector = Collector(node)
    with numbers_published(lambda data: host.publish("t", data)) as newest:
        collector.wait_for_number(100)
        fault(proxy)
        collector.wait_for_number(newest[0] + 100)
    collector.wait_for_number(newest[0])
    assert collector.numbers() == list(range(1, newest[0] + 1))
    assert all(message.missed == 0 for message in collector.messages)
    assert collector.told >= 1
    assert host.metrics().replayed_msgs > 0


def test_a_lost_tail_comes_without_a_next_message(
    make_node: MakeNode, make_proxy: MakeProxy
) -> None:
    """The last message before a silence is the one that nobody would miss."""
    host = make_node(node_id="host", bind=[ANY_PORT], topics=["t"], **QUICK)
    node, proxy = behind_proxy(make_node, make_proxy, host)
    proxy.swallow = {"down"}
    host.publish("t", b"last")
    receive_told(node)
    proxy.swallow = set()
    proxy.cut()
    (message,) = receive(node, 1)
    assert (message.data, message.missed) == (b"last", 0)


def test_a_remote_publish_into_a_blackhole_is_ordered_once(
    make_node: MakeNode, make_proxy: MakeProxy
) -> None:
    """It returned, so it is on its way, whatever becomes of the link; and never twice."""
    host = make_node(node_id="host", bind=[ANY_PORT], topics=["t"], **QUICK)
    host.subscribe("t")
    node, proxy = behind_proxy(make_node, make_proxy, host)
    sent = 0
    for ways in ({"up"}, {"down"}, {"up", "down"}):
        # Swallowed on the way there, or ordered without the publisher learning of it.
        proxy.swallow = ways
        for _ in range(3):
            sent += 1
            node.publish("t", b"%d" % sent)
        receive_told(node)
        with pytest.raises(HostUnreachable):
            node.publish("t", b"not accepted")
        proxy.swallow = set()
        proxy.cut()
        wait_until(lambda: is_up(node, "host"))
        node.cluster_sync(timeout=5)
    node.publish("t", b"end")
    expected = [b"%d" % number for number in range(1, sent + 1)] + [b"end"]
    assert [message.data for message in receive(host, sent + 1)] == expected
    assert host.recv(0.2) is None
    assert node.metrics().publish_unknown == 0


def test_publishes_of_which_nobody_knows_are_told(
    make_node: MakeNode, start_child: StartChild, endpoint: str
) -> None:
    """The host was killed before it said what it had ordered: the next publish says how many."""
    settings: dict[str, Any] = {"node_id": "host", "topics": ["t", "u"], "bind": endpoint}
    child = start_child("publisher", **settings, **OF_A_PROCESS)
    child.said("bound")
    node = make_node(cluster=[endpoint], **OF_A_PROCESS)
    node.cluster_sync(timeout=5)
    child.stop()
    node.publish_many("t", [b"1", b"2"])
    node.publish("u", b"3")
    child.kill()
    child.wait()
    wait_until(lambda: not is_up(node, "host"))
    child = start_child("publisher", **settings, **OF_A_PROCESS)
    child.said("bound")
    wait_until(lambda: is_up(node, "host"))
    node.cluster_sync(timeout=5)
    with pytest.raises(HostUnreachable) as caught:
        node.publish("u", b"4")
    assert caught.value.errno == errno.EHOSTUNREACH
    assert (caught.value.unknown, caught.value.reason) == (3, "restarted")
    assert node.metrics().publish_unknown == 3
    node.publish("t", b"5")


@pytest.mark.parametrize("how", ["killed", "terminated"])
def test_a_host_that_restarted_is_read_from_its_first_message(
    make_node: MakeNode, start_child: StartChild, endpoint: str, how: str
) -> None:
    """A crash leaves one None, a planned restart exact counts; nothing of the new is lost."""
    settings: dict[str, Any] = {"node_id": "host", "topics": ["t"], "bind": endpoint}
    child = start_child("publisher", **settings, **OF_A_PROCESS)
    child.said("bound")
    node = make_node(cluster=[endpoint], **OF_A_PROCESS)
    node.cluster_sync(timeout=5)
    node.subscribe("t")
    child.tell("burst t 5")
    old = receive(node, 5)[-1]
    if how == "killed":
        child.kill()
    else:
        child.terminate()
    child.wait()
    receive_told(node)
    child = start_child("publisher", **settings, **OF_A_PROCESS)
    # Some of it before the node is linked again, perhaps.
    child.tell("burst t 300")
    found = receive(node, 300, 30)
    assert {message.epoch for message in found} != {old.epoch}
    assert [message.seq for message in found] == list(range(1, 301))
    first = None if how == "killed" else 0
    assert [message.missed for message in found] == [first] + [0] * 299
    assert node.metrics().missed_unknown == (how == "killed")
    assert node.metrics().missed_msgs == 0


def test_an_outage_longer_than_the_replay_buffer_is_counted_exactly(
    make_node: MakeNode, make_proxy: MakeProxy
) -> None:
    """What nobody holds any more is told to the message, and the rest comes."""
    host = make_node(node_id="host", bind=[ANY_PORT], topics=["t"], history_bytes=100_000, **QUICK)
    node, proxy = behind_proxy(make_node, make_proxy, host)
    payload = b"x" * 1024
    published = 0
    for outage in range(1, 4):
        proxy.down = True
        proxy.cut()
        wait_until(lambda: not is_up(host, "reader"))
        for _ in range(400 * outage):
            host.publish("t", payload)
            published += 1
        proxy.down = False
        wait_until(lambda: is_up(host, "reader"))
    host.publish("t", b"end")
    received = missed = 0
    while True:
        try:
            message = node.recv(5)
        except HostUnreachable:
            continue
        assert message is not None
        missed += message.missed or 0
        assert message.seq == received + missed + 1
        received += 1
        if message.data == b"end":
            break
    assert received + missed == published + 1
    assert missed > 400 * 6 - 3 * 100
    assert received >= 60, "the replay buffer held something"
    assert node.metrics().missed_msgs == missed
    assert host.metrics().history_bytes <= 100_000


def numbers_of(messages: list[Message]) -> list[int]:
    return [int(message.data) for message in messages]


@pytest.mark.parametrize("place", ["remote", "local"])
@pytest.mark.parametrize(("last", "first"), [(0, 101), (1, 100), (30, 71), (1000, 1)])
def test_last_replays_the_newest_first(
    host: Spot, client: Spot, place: str, last: int, first: int
) -> None:
    """A new subscriber may ask for what it comes too late for."""
    node = host if place == "local" else client
    for at in range(1, 101):
        host.publish("t", b"%d" % at)
    host.flush(5)
    node.subscribe("t", last=last)
    host.publish("t", b"101")
    found = receive(node, 102 - first)
    assert numbers_of(found) == list(range(first, 102))
    assert all(message.missed == 0 for message in found)
    node.subscribe("t", last=50)
    assert node.recv(0.1) is None, "on an existing subscription it does nothing"


def test_last_gives_what_there_is(make_node: MakeNode) -> None:
    """The buffer is smaller than what was asked for: no error, and nothing counts as missed."""
    host = make_node(bind=[ANY_PORT], topics=["none"])
    host.topic_create("few", history_bytes=2000)
    host.topic_create("off", history_bytes=0)
    node = make_node(cluster=host.endpoints)
    node.cluster_sync()
    for topic in ("few", "off"):
        for at in range(1, 51):
            host.publish(topic, (b"%d" % at).ljust(100))
    for topic in ("few", "off", "none"):
        node.subscribe(topic, last=50)
        host.publish(topic, b"51")
    found: dict[str, list[int]] = {topic: [] for topic in ("few", "off", "none")}
    while not all(51 in numbers for numbers in found.values()):
        message = node.recv(5)
        assert message is not None
        assert message.missed == 0
        found[message.topic].append(int(message.data))
    assert found["off"] == found["none"] == [51]
    assert 2 < len(found["few"]) < 50
    assert found["few"] == list(range(52 - len(found["few"]), 52))


@pytest.mark.parametrize("last", [-1, 1.5, "1", True, 1 << 62])
def test_last_must_be_a_count(client: Spot, last: object) -> None:
    """A mistake must not become a subscription."""
    with pytest.raises(InvalidArgument):
        client.subscribe("t", last=last)  # type: ignore[arg-type]


@pytest.mark.parametrize("history_bytes", [-1, 1.5, "1", True])
def test_history_bytes_must_be_a_size(host: Spot, history_bytes: object) -> None:
    """Likewise; and the topic is not created."""
    with pytest.raises(InvalidArgument, match="history_bytes"):
        host.topic_create("u", history_bytes=history_bytes)  # type: ignore[arg-type]
    assert not host.topic_exists("u")


def test_a_topic_that_was_announced_later_comes_from_its_first_message(
    make_node: MakeNode,
) -> None:
    """Who subscribed before anybody had the topic was first: nothing of it is lost."""
    host = make_node(node_id="host", bind=[ANY_PORT])
    node = make_node()
    node.cluster_add(endpoint_of(host))
    node.subscribe("t")
    host.topic_create("t")
    for at in range(1, 11):
        host.publish("t", b"%d" % at)
    found = receive(node, 10)
    assert numbers_of(found) == list(range(1, 11))
    assert all(message.missed == 0 for message in found)


def test_a_message_larger_than_the_replay_buffer_is_not_held(
    make_node: MakeNode, make_proxy: MakeProxy
) -> None:
    """It reaches who is there; who was not there misses that one, and knows it."""
    host = make_node(node_id="host", bind=[ANY_PORT], topics=["t"], history_bytes=4000, **QUICK)
    node, proxy = behind_proxy(make_node, make_proxy, host)
    host.publish("t", b"x" * 9000)
    assert len(receive(node, 1)[0].data) == 9000
    proxy.down = True
    proxy.cut()
    wait_until(lambda: not is_up(host, "reader"))
    receive_told(node)
    for size in (10, 9000, 20):
        host.publish("t", b"x" * size)
    proxy.down = False
    found = receive(node, 2)
    assert [(len(message.data), message.missed) for message in found] == [(10, 0), (20, 1)]


def test_other_links_do_not_notice_a_replay(
    make_node: MakeNode, make_proxy: MakeProxy, start_child: StartChild
) -> None:
    """A replay is read in small pieces: a message to another subscriber is not behind all of it."""
    host = make_node(
        node_id="host", bind=[ANY_PORT], topics=["t", "u"], history_bytes=48 << 20, **QUICK
    )
    other = make_node(cluster=host.endpoints)
    other.cluster_sync()
    other.subscribe("u")
    for _ in range(40):
        host.publish_many("t", [b"x" * 1000] * 1000)
    node = make_node(cluster=host.endpoints)
    node.cluster_sync()
    node.subscribe("t", last=40_000)
    collector = Collector(node)
    exchanged = 0
    while len(collector.messages) < 40_000:
        host.publish("u", b"x")
        receive(other, 1)
        exchanged += 1
    assert exchanged > 10, "it was behind all of it"
    assert [message.seq for message in collector.messages] == list(range(1, 40_001))


def test_idle_links_ask_for_nothing_again(host: Spot, client: Spot) -> None:
    """Heads travel with heartbeats; who has everything must not be sent it again."""
    client.subscribe("t")
    host.publish_many("t", [b"x"] * 100)
    receive(client, 100)
    stays(lambda: host.metrics().replayed_msgs == 0, 1.2, what="no replay")
    assert client.metrics().duplicates == 0
