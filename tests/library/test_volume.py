"""Much at once: many messages between processes, many topics, large messages."""

from __future__ import annotations

import os
import threading
import time

import pytest

from spot import Message, Spot
from tests.library.connections import memory_mib
from tests.library.nodes import ANY_PORT, MakeNode, StartChild, endpoint_of
from tests.library.waiting import receive, wait_until

MESSAGES = int(os.environ.get("SPOT_TEST_MESSAGES", "100000"))
"""How many go between two processes; 1,000,000 takes a few seconds more."""


@pytest.mark.timeout(180)
@pytest.mark.parametrize("rate", [0])
def test_two_processes_many_messages_one_way(
    make_node: MakeNode, start_child: StartChild, rate: float
) -> None:
    """All received, in order, missed 0, at most once."""
    child = start_child(
        "stream", topics=["t"], rate=rate, count=MESSAGES, subscribers=1, send_timeout=60
    )
    node = make_node()
    node.cluster_add(child.said("bound")["endpoint"], timeout=5)
    node.cluster_sync()
    node.subscribe("t")
    at = 0
    while at < MESSAGES:
        batch = node.recv_many(10_000, timeout=20)
        assert batch, f"{at} of {MESSAGES} came"
        for message in batch:
            assert (message.seq, message.missed) == (at + 1, 0)
            assert int(message.data) == at
            at += 1
    child.said("published", 60)
    assert node.recv(0.1) is None
    counted = node.metrics()
    assert (counted.recv_msgs, counted.missed_msgs, counted.duplicates) == (MESSAGES, 0, 0)
    assert counted.links_lost == 0


def test_many_topics_are_synchronised_within_a_second(make_node: MakeNode) -> None:
    """10,000 topics: announced, listed and subscribed to by a pattern."""
    topics = [f"sensor:{at:05}" for at in range(10_000)]
    host = make_node(bind=[ANY_PORT], topics=topics)
    node = make_node()
    began = time.process_time()
    node.cluster_add(endpoint_of(host))
    answers = node.cluster_sync(timeout=10)
    took = time.process_time() - began
    assert answers == {endpoint_of(host): frozenset(topics)}
    assert took < 1, f"synchronised after {took:.2f} s of both nodes' work"
    assert node.list_topics() == topics
    began = time.process_time()
    node.subscribe_pattern("sensor:*")
    assert time.process_time() - began < 1
    host.publish(topics[-1], b"x")
    assert receive(node, 1)[0].topic == topics[-1]


@pytest.mark.timeout(240)
def test_node_answers_while_it_takes_note_of_many_topics(make_node: MakeNode) -> None:
    """Lists of 60,000 both ways are some seconds' work: nobody is silent meanwhile."""
    topics = [f"sensor:{at:05}" for at in range(60_000)]
    host = make_node(node_id="host", bind=[ANY_PORT], topics=topics, peer_timeout=1.5)
    node = make_node(node_id="node", subscribe=topics, peer_timeout=1.5)
    node.cluster_add(endpoint_of(host))
    answers = node.cluster_sync(timeout=120)
    assert answers == {endpoint_of(host): frozenset(topics)}
    assert (node.metrics().links_lost, host.metrics().links_lost) == (0, 0)
    host.wait_for_subscribers(topics[-1], timeout=60)


def test_many_topics_created_on_a_link_that_is_up(make_node: MakeNode) -> None:
    """Pushed one by one to two peers, and gone again."""
    host = make_node(bind=[ANY_PORT])
    nodes = [make_node(cluster=host.endpoints) for _ in range(2)]
    for node in nodes:
        node.cluster_sync()
    began = time.monotonic()
    for at in range(2000):
        host.topic_create(f"n:{at}")
    for node in nodes:
        assert len(node.cluster_sync(timeout=5)[endpoint_of(host)]) == 2000
    for at in range(2000):
        host.topic_destroy(f"n:{at}")
    for node in nodes:
        assert node.cluster_sync(timeout=5) == {endpoint_of(host): frozenset()}
        assert node.list_topics() == []
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("settings", [{}, {"sndhwm": 50, "rcvhwm": 20}], ids=["roomy", "tight"])
def test_many_topics_published_in_turn(make_node: MakeNode, settings: dict[str, int]) -> None:
    """They share records, a busy one among them has batches of its own, and readers want different
    ones: each topic comes whole and in order to each of them."""
    topics = [f"quiet:{at}" for at in range(200)]
    host = make_node(bind=[ANY_PORT], topics=[*topics, "busy"], send_timeout=None, **settings)
    readers = [make_node(cluster=host.endpoints, **settings) for _ in range(2)]
    readers[0].subscribe_pattern("*")
    for topic in (*topics[::2], "busy"):
        readers[1].subscribe(topic)
    for reader in readers:
        reader.cluster_sync()
    rounds = 10

    def publish() -> None:
        for turn in range(rounds):
            for at, topic in enumerate(topics):
                host.publish(topic, b"%d" % turn)
                if at % 10 == 0:
                    for more in range(20):
                        host.publish("busy", b"%d/%d/%d" % (turn, at, more))

    publisher = threading.Thread(target=publish)
    publisher.start()
    busy = rounds * 20 * len(topics) // 10
    expected = [rounds * len(topics) + busy, rounds * len(topics[::2]) + busy]
    found: list[list[Message]] = [[], []]
    until = time.monotonic() + 20
    while list(map(len, found)) != expected:
        assert time.monotonic() < until, f"{list(map(len, found))} of {expected} came"
        for reader, messages in zip(readers, found, strict=True):
            messages += reader.recv_many(1000, timeout=0.01)
    publisher.join()
    for messages in found:
        last: dict[str, int] = {}
        for message in messages:
            assert message.missed == 0
            assert message.seq == last.get(message.topic, 0) + 1
            last[message.topic] = message.seq
            if message.topic != "busy":
                assert message.data == b"%d" % (message.seq - 1)


def test_many_subscriptions_of_one_node(host: Spot, client: Spot) -> None:
    """Hundreds of topics and patterns, each message once."""
    names = [f"n:{at}" for at in range(300)]
    for name in names:
        host.topic_create(name)
    client.cluster_sync()
    for name in names:
        client.subscribe(name)
        client.subscribe_pattern(name + "*")
    for name in names:
        host.publish(name, name.encode())
    assert sorted(message.topic for message in receive(client, 300)) == sorted(names)
    client.cluster_sync()
    assert client.recv(0) is None


@pytest.mark.parametrize("mib", [1, 64])
def test_large_messages_arrive_whole(make_node: MakeNode, mib: int) -> None:
    """Up to the limit, several in a row, and small ones between them, in order."""
    host = make_node(bind=[ANY_PORT], topics=["t"], peer_timeout=1)
    node = make_node(cluster=host.endpoints, peer_timeout=1)
    node.cluster_sync()
    node.subscribe("t")
    large = os.urandom(1 << 20) * mib
    sent = [b"first", large, b"second", large, b"third"]
    sender = threading.Thread(target=host.publish_many, args=("t", sent), kwargs={"timeout": 30})
    sender.start()
    found = receive(node, len(sent), 30)
    sender.join()
    assert [message.data == data for message, data in zip(found, sent, strict=True)] == [True] * 5
    assert not any(message.missed for message in found)
    assert node.metrics().links_lost == 0


def test_steady_stream_keeps_memory_flat(make_node: MakeNode, start_child: StartChild) -> None:
    """What is received is gone: nothing is kept a message."""
    child = start_child("stream", topics=["t", "u"], rate=0, subscribers=1, send_timeout=60)
    node = make_node()
    node.cluster_add(child.said("bound")["endpoint"], timeout=5)
    node.cluster_sync()
    node.subscribe_pattern("*")
    received = 0

    def take(count: int) -> None:
        nonlocal received
        until = received + count
        while received < until:
            received += len(node.recv_many(1000, timeout=10))

    take(100_000)
    before = memory_mib(), memory_mib(child.pid)
    take(400_000)
    after = memory_mib(), memory_mib(child.pid)
    assert after[0] - before[0] < 10
    assert after[1] - before[1] < 10
    wait_until(lambda: node.metrics().missed_msgs == 0)
