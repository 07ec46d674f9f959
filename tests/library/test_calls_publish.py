"""publish, publish_many, flush and wait_for_subscribers."""

from __future__ import annotations

import array
import errno
import functools
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from spot import (
    HostUnreachable,
    InvalidArgument,
    MessageTooLarge,
    QueueFull,
    Spot,
    TimedOut,
    TopicNotFound,
)
from tests.library.nodes import ANY_PORT, MakeNode, StartChild, endpoint_of, is_up
from tests.library.waiting import receive, wait_until

KIB = 1024


def each(*calls: Callable[[], object]) -> tuple[Callable[[], object], ...]:
    return calls


@pytest.mark.parametrize(
    "data",
    [
        b"x",
        b"",
        bytearray(b"ab"),
        memoryview(b"abcd")[::2],
        array.array("B", [1, 2]),
        b"\0" * 70_000,
    ],
    ids=["bytes", "empty", "bytearray", "memoryview", "array", "large"],
)
def test_publish_takes_whatever_is_bytes_like(host: Spot, client: Spot, data: bytes) -> None:
    """What arrives is bytes, whatever buffer it was, LOCAL and over the wire."""
    client.subscribe("t")
    host.subscribe("t")
    host.publish("t", data)
    for node in (host, client):
        (message,) = receive(node, 1)
        assert type(message.data) is bytes
        assert message.data == bytes(data)


@pytest.mark.parametrize("data", ["text", None, 5, 1.5, [b"x"]])
def test_publish_of_anything_else_is_a_type_error(host: Spot, data: Any) -> None:
    """An encoding must be the caller's choice; nothing may be published by a wrong call."""
    host.subscribe("t")
    with pytest.raises(TypeError, match=f"bytes-like, not {type(data).__name__}"):
        host.publish("t", data)
    with pytest.raises(TypeError, match=f"bytes-like, not {type(data).__name__}"):
        host.publish_many("t", [b"first", data])
    assert host.recv(timeout=0) is None
    assert host.metrics().publishes == 0


def test_publish_copies_what_can_change(host: Spot) -> None:
    """A caller may use its buffer again as soon as publish has returned."""
    host.subscribe("t")
    buffer = bytearray(b"before")
    host.publish("t", buffer)
    buffer[:] = b"after!"
    assert receive(host, 1)[0].data == b"before"


def test_publish_to_nobody_is_enoent(make_node: MakeNode, client: Spot) -> None:
    """A typo in a topic must not swallow messages."""
    for node in (make_node(), client):
        for call in each(
            functools.partial(node.publish, "nowhere", b"x"),
            functools.partial(node.publish_many, "nowhere", [b"x"]),
        ):
            with pytest.raises(TopicNotFound, match="'nowhere'") as caught:
                call()
            assert (caught.value.errno, caught.value.topic) == (errno.ENOENT, "nowhere")


def test_publish_to_a_remote_topic_goes_through_its_host(host: Spot, client: Spot) -> None:
    """The host orders all: the publisher gets its own message with the host's number."""
    client.subscribe("t")
    host.subscribe("t")
    host.publish("t", b"first")
    receive(client, 1)
    client.publish("t", b"second")
    for node in (host, client):
        message = receive(node, 2 if node is host else 1)[-1]
        assert (message.data, message.seq, message.node) == (b"second", 2, "host")


def test_publish_to_a_remote_topic_of_a_lost_host_raises_every_time(
    host: Spot, client: Spot
) -> None:
    """EHOSTUNREACH at once: a publisher must not wait, nor lose a message in silence."""
    client.publish("t", b"arrives")
    client.flush()
    host.close()
    wait_until(lambda: not is_up(client, "host"))
    for call in (client.publish, client.publish, lambda t, d: client.publish_many(t, [d])):
        began = time.monotonic()
        with pytest.raises(HostUnreachable, match=r"'t'.*node host") as caught:
            call("t", b"x")
        assert time.monotonic() - began < 0.5
        assert (caught.value.errno, caught.value.topic, caught.value.node) == (
            errno.EHOSTUNREACH,
            "t",
            "host",
        )


def test_publish_of_more_than_the_limit_is_emsgsize(make_node: MakeNode) -> None:
    """The limit itself is taken, one byte more is not, and nothing of it arrives."""
    node = make_node(max_message_bytes=100, topics=["t"])
    node.subscribe("t")
    for call in each(
        lambda: node.publish("t", b"x" * 101),
        lambda: node.publish_many("t", [b"ok", b"x" * 101]),
    ):
        with pytest.raises(MessageTooLarge, match=r"101 bytes.*max_message_bytes is 100") as caught:
            call()
        assert (caught.value.errno, caught.value.limit) == (errno.EMSGSIZE, 100)
    node.publish("t", b"x" * 100)
    assert [len(message.data) for message in receive(node, 1)] == [100]


def test_publish_of_more_than_its_host_takes_is_emsgsize(make_node: MakeNode, host: Spot) -> None:
    """A message that the host would refuse must fail at the call, and never cost the link."""
    small = make_node(node_id="small", bind=[ANY_PORT], topics=["s"], max_message_bytes=100_000)
    node = make_node(cluster=small.endpoints)
    node.cluster_sync()
    for call in each(
        lambda: node.publish("s", b"x" * 3_000_000),
        lambda: node.publish_many("s", [b"ok", b"x" * 3_000_000]),
    ):
        with pytest.raises(MessageTooLarge, match=r"3000000 bytes.*100000") as caught:
            call()
        assert caught.value.limit == 100_000
    node.subscribe("s")
    node.publish("s", b"x" * 100_000)
    assert len(receive(node, 1)[0].data) == 100_000
    assert node.metrics().links_lost == 0


def test_message_that_a_subscriber_does_not_take_is_missed_by_it(
    make_node: MakeNode, host: Spot
) -> None:
    """The others get it; the one with the smaller limit keeps its link and counts what it lacks."""
    small = make_node(cluster=host.endpoints, max_message_bytes=100_000)
    large = make_node(cluster=host.endpoints)
    for node in (small, large):
        node.cluster_sync()
        node.subscribe("t")
    host.publish_many("t", [b"1", b"x" * 3_000_000, b"3"])
    assert [len(message.data) for message in receive(large, 3)] == [1, 3_000_000, 1]
    assert [(m.data, m.missed) for m in receive(small, 2)] == [(b"1", 0), (b"3", 1)]
    assert host.metrics().links_lost == 0


def test_message_below_64_kib_reaches_a_subscriber_of_any_limit(
    make_node: MakeNode, host: Spot
) -> None:
    """Batches go to all alike; only what goes alone, beside its record, is held back."""
    small = make_node(cluster=host.endpoints, max_message_bytes=1)
    small.cluster_sync()
    small.subscribe("t")
    for size in (2, 64 * KIB - 1, 64 * KIB, 1):
        host.publish("t", b"x" * size)
    received = [(len(m.data), m.missed) for m in receive(small, 3)]
    assert received == [(2, 0), (64 * KIB - 1, 0), (1, 1)]


def test_publish_keeps_the_order_of_small_and_large(host: Spot, client: Spot) -> None:
    """Small messages are batched and large ones go alone: the order must not show it."""
    client.subscribe("t")
    sent = []
    for at in range(60):
        data = b"%d:" % at + b"x" * (at % 3 * 60 * KIB)
        sent.append(data)
        if at % 2:
            host.publish("t", data)
        else:
            host.publish_many("t", [data])
    found = receive(client, len(sent))
    assert [message.data for message in found] == sent
    assert [message.seq for message in found] == list(range(1, 61))


def test_publish_many_takes_any_iterable_but_one_payload(host: Spot) -> None:
    """publish_many(topic, b"abc") would publish three integers' worth of nonsense."""
    host.subscribe("t")
    host.publish_many("t", (b"%d" % at for at in range(3)))
    host.publish_many("t", [])
    assert [message.data for message in receive(host, 3)] == [b"0", b"1", b"2"]
    for one in (b"abc", bytearray(b"abc"), "abc", memoryview(b"abc"), None, 3):
        with pytest.raises(TypeError, match="sequence of payloads"):
            host.publish_many("t", one)  # type: ignore[arg-type]
    assert host.recv(timeout=0) is None


def test_publish_many_of_more_than_a_window_arrives_whole(host: Spot, client: Spot) -> None:
    """A call with more messages than any queue holds waits and goes on, with a reader."""
    client.subscribe("t")
    sender = threading.Thread(
        target=host.publish_many, args=("t", [b"%d" % n for n in range(50_000)])
    )
    sender.start()
    found = receive(client, 50_000, 20)
    sender.join()
    assert [message.data for message in found] == [b"%d" % n for n in range(50_000)]
    assert not any(message.missed for message in found)


def publish_until_full(node: Spot, timeout: float) -> tuple[int, QueueFull]:
    """Publishes the numbers from 0. Returns how many were accepted, and the refusal."""
    for accepted in range(1000):
        try:
            node.publish("t", b"%d" % accepted, timeout=timeout)
        except QueueFull as error:
            return accepted, error
    raise AssertionError("the queue takes more than 1000")


def full_queue(make_node: MakeNode, **settings: Any) -> tuple[Spot, Spot, int]:
    """A host whose queue for a subscriber is full, the subscriber, and how many were accepted."""
    host = make_node(bind=[ANY_PORT], topics=["t"], sndhwm=10, overflow="error", **settings)
    reader = make_node(node_id="reader", cluster=host.endpoints, rcvhwm=10)
    reader.cluster_sync()
    reader.subscribe("t")
    accepted, _ = publish_until_full(host, timeout=0.1)
    return host, reader, accepted


def test_publish_that_finds_a_queue_full_is_eagain(make_node: MakeNode) -> None:
    """With overflow=error nobody gets the message and no sequence is used; what was accepted
    arrives."""
    host, reader, accepted = full_queue(make_node)
    assert 10 <= accepted <= 20
    began = time.monotonic()
    with pytest.raises(QueueFull, match=r"'t'.*reader.*10 messages") as caught:
        host.publish("t", b"refused", timeout=0.2)
    assert 0.18 < time.monotonic() - began < 5
    error = caught.value
    assert (error.errno, error.topic, error.limit, error.node) == (errno.EAGAIN, "t", 10, "reader")
    found = receive(reader, accepted)
    assert [message.data for message in found] == [b"%d" % at for at in range(accepted)]
    host.publish("t", b"next")
    (message,) = receive(reader, 1)
    assert (message.data, message.seq, message.missed) == (b"next", accepted + 1, 0)


def test_publish_does_not_wait_with_timeout_zero(make_node: MakeNode) -> None:
    """timeout=0 is for those who have something better to do than to wait."""
    host, _, _ = full_queue(make_node)
    began = time.monotonic()
    for call in each(
        lambda: host.publish("t", b"x", timeout=0),
        lambda: host.publish_many("t", [b"x"], timeout=0),
    ):
        with pytest.raises(QueueFull):
            call()
    assert time.monotonic() - began < 0.5


def test_publish_waits_for_the_setting_send_timeout(make_node: MakeNode) -> None:
    """Without an argument the setting holds."""
    host, _, _ = full_queue(make_node, send_timeout=0.3)
    began = time.monotonic()
    with pytest.raises(QueueFull):
        host.publish("t", b"x")
    assert 0.28 < time.monotonic() - began < 5


def test_publish_without_timeout_waits_until_there_is_room(make_node: MakeNode) -> None:
    """timeout=None: as long as it takes, and not longer."""
    host, reader, accepted = full_queue(make_node)
    done = threading.Event()

    def publish() -> None:
        host.publish("t", b"patient", timeout=None)
        done.set()

    thread = threading.Thread(target=publish)
    thread.start()
    assert not done.wait(0.3)
    found = receive(reader, accepted + 1)
    assert done.wait(10)
    thread.join()
    assert found[-1].data == b"patient"


def test_publish_many_says_how_many_were_accepted(make_node: MakeNode) -> None:
    """A caller goes on after an error from where it was: payloads[error.accepted:]."""
    host = make_node(bind=[ANY_PORT], topics=["t"], sndhwm=10, overflow="error", send_timeout=0.1)
    reader = make_node(cluster=host.endpoints, rcvhwm=10)
    reader.cluster_sync()
    reader.subscribe("t")
    payloads = [b"%d" % at for at in range(100)]
    with pytest.raises(QueueFull) as caught:
        host.publish_many("t", payloads)
    accepted = caught.value.accepted
    assert 10 <= accepted <= 20
    found = receive(reader, accepted)
    assert [message.data for message in found] == payloads[:accepted]
    assert reader.recv(timeout=0.05) is None


def test_publish_to_a_full_remote_host_is_eagain(make_node: MakeNode) -> None:
    """The publisher's queue towards a host is bounded as any other."""
    host = make_node(bind=[ANY_PORT], topics=["t"], rcvhwm=10, overflow="error", send_timeout=0)
    host.subscribe("t")
    node = make_node(cluster=host.endpoints, sndhwm=10, send_timeout=0.1)
    node.cluster_sync()
    accepted, error = publish_until_full(node, timeout=0.1)
    assert (error.topic, error.limit) == ("t", 10)
    found = receive(host, accepted)
    assert [message.data for message in found] == [b"%d" % at for at in range(accepted)]


@pytest.mark.parametrize("timeout", [-1, "1", True, float("nan")])
def test_bad_timeout_is_named(host: Spot, timeout: Any) -> None:
    """A timeout in a wrong unit or type must not become a wait for ever."""
    for call in each(
        lambda: host.publish_many("t", [b"x"], timeout=timeout),
        lambda: host.flush(timeout),
        lambda: host.wait_for_subscribers("t", timeout=timeout),
    ):
        with pytest.raises(ValueError, match="timeout must be None or seconds from 0"):
            call()


def test_flush_waits_for_those_who_are_connected(host: Spot, client: Spot) -> None:
    """After flush a program may exit or measure: everything is at the peers."""
    client.subscribe("t")
    host.publish_many("t", [b"x" * 1000] * 5000)
    host.flush(timeout=5)
    assert client.metrics().inbox_msgs == 5000


def test_flush_with_nothing_to_do_returns_at_once(make_node: MakeNode) -> None:
    """A node without peers has nothing to flush."""
    node = make_node(topics=["t"])
    node.publish("t", b"x")
    began = time.monotonic()
    node.flush()
    assert time.monotonic() - began < 0.5


def test_flush_that_takes_too_long_is_etimedout(
    make_node: MakeNode, start_child: StartChild
) -> None:
    """It names who is slow; what was accepted goes on its way all the same."""
    host = make_node(bind=[ANY_PORT], topics=["t"], peer_timeout=10)
    child = start_child("subscriber", endpoint=endpoint_of(host), topics=["t"], node_id="slow")
    host.wait_for_subscribers("t", timeout=30)
    child.stop()
    host.publish("t", b"x")
    began = time.monotonic()
    with pytest.raises(TimedOut, match=r"slow.*0.2 s") as caught:
        host.flush(timeout=0.2)
    assert 0.18 < time.monotonic() - began < 5
    assert caught.value.errno == errno.ETIMEDOUT
    assert isinstance(caught.value, TimeoutError)
    child.go_on()
    host.flush(timeout=5)
    assert child.said("message")["data"] == "x"


def test_wait_for_subscribers_counts_those_in_force(make_node: MakeNode, host: Spot) -> None:
    """A publisher that waits loses none of its first messages."""
    nodes = [make_node(cluster=host.endpoints, subscribe=["t"]) for _ in range(3)]
    host.wait_for_subscribers("t", 3, timeout=5)
    host.publish("t", b"first")
    assert [receive(node, 1)[0].data for node in nodes] == [b"first"] * 3
    host.subscribe("t")
    host.wait_for_subscribers("t", 4, timeout=0)
    nodes[0].subscribe_pattern("*")
    host.wait_for_subscribers("t", 4, timeout=0)
    nodes[0].unsubscribe("t")
    nodes[0].unsubscribe_pattern("*")
    with pytest.raises(TimedOut):
        wait_until(lambda: host.wait_for_subscribers("t", 4, timeout=0))


def test_wait_for_subscribers_that_do_not_come_is_etimedout(host: Spot) -> None:
    """It names topic and count."""
    began = time.monotonic()
    with pytest.raises(TimedOut, match=r"'t'.*2 subscribers.*0.1 s") as caught:
        host.wait_for_subscribers("t", 2, timeout=0.1)
    assert 0.09 < time.monotonic() - began < 5
    assert (caught.value.errno, caught.value.topic) == (errno.ETIMEDOUT, "t")


@pytest.mark.parametrize("count", [-1, True, 1.0, None, "1"])
def test_wait_for_a_count_that_is_none_is_einval(host: Spot, count: Any) -> None:
    """It would be there at once, and the first messages go to nobody."""
    host.wait_for_subscribers("t", 0, timeout=0)
    with pytest.raises(InvalidArgument, match=f"count must be.*not {count!r}"):
        host.wait_for_subscribers("t", count, timeout=0)


def test_wait_for_subscribers_of_a_topic_hosted_elsewhere_is_enoent(client: Spot) -> None:
    """Only a host knows its subscribers."""
    for topic in ("t", "nowhere"):
        with pytest.raises(TopicNotFound, match=f"'{topic}'") as caught:
            client.wait_for_subscribers(topic)
        assert (caught.value.errno, caught.value.topic) == (errno.ENOENT, topic)


def test_small_limit_holds_for_the_second_message_too(make_node: MakeNode) -> None:
    """The quick way of publish, which begins with the second, has to know of it as well."""
    node = make_node(topics=["t"], subscribe=["t"], max_message_bytes=100)
    for _ in range(3):
        node.publish("t", b"x" * 100)
        with pytest.raises(MessageTooLarge):
            node.publish("t", b"x" * 101)
    assert [len(message.data) for message in receive(node, 3)] == [100, 100, 100]


def test_large_messages_go_alone_in_every_call(host: Spot, make_node: MakeNode) -> None:
    """A receiver with a smaller limit misses those, counts them, and gets what is around them."""
    node = make_node(cluster=host.endpoints, max_message_bytes=1000)
    node.cluster_sync()
    node.subscribe("t")
    host.publish_many("t", [b"1", b"x" * 65_535, b"x" * 65_536, b"2", b"x" * 70_000, b"3"])
    found = receive(node, 4)
    assert [(len(message.data), message.missed) for message in found] == [
        (1, 0),
        (65_535, 0),
        (1, 1),
        (1, 1),
    ]
