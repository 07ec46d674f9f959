"""subscribe, unsubscribe, recv, recv_many and iteration."""

from __future__ import annotations

import errno
import threading
import time
from typing import Any

import pytest

from spot import HostUnreachable, Message, NotSubscribed, Spot, TopicNotFound
from tests.library.nodes import ANY_PORT, MakeNode, StartChild, endpoint_of, is_up
from tests.library.waiting import receive, stays, wait_until


def test_message_says_all_about_itself(host: Spot, client: Spot) -> None:
    """Topic, data, number, gap, host and epoch: what a program needs to trust a stream."""
    client.subscribe("t")
    before = time.time_ns()
    host.publish("t", b"21.5")
    (message,) = receive(client, 1)
    assert isinstance(message, Message)
    assert isinstance(message, tuple)
    assert message._fields == ("topic", "data", "seq", "missed", "node", "epoch")
    assert message[:5] == ("t", b"21.5", 1, 0, "host")
    assert before - 60e9 < message.epoch <= before


def test_recv_gives_none_after_its_timeout(host: Spot) -> None:
    """None, not an error: that nothing came is no failure."""
    host.subscribe("t")
    for timeout in (0, 0.05, 0.2):
        began = time.monotonic()
        assert host.recv(timeout) is None
        assert timeout <= time.monotonic() - began < timeout + 5


def test_recv_without_timeout_waits(host: Spot, client: Spot) -> None:
    """The default waits for as long as it takes."""
    client.subscribe("t")
    threading.Timer(0.2, host.publish, ("t", b"x")).start()
    message = client.recv()
    assert message is not None
    assert message.data == b"x"


def test_recv_zero_takes_what_was_published_here(host: Spot) -> None:
    """After publish has returned, recv(0) of the same node finds the message."""
    host.subscribe("t")
    for at in range(100):
        host.publish("t", b"%d" % at)
        message = host.recv(0)
        assert message is not None
        assert message.data == b"%d" % at


@pytest.mark.parametrize("timeout", [-1, "1", True, float("nan")])
def test_bad_timeout_is_named(client: Spot, timeout: Any) -> None:
    """-1 means "for ever" elsewhere; here it is an error, and says so."""
    for call in (
        client.recv,
        lambda wait: client.recv_many(1, wait),
        lambda wait: client.cluster_sync(timeout=wait),
        lambda wait: client.is_healthy("host", timeout=wait),
        lambda wait: client.cluster_add("tcp://127.0.0.1:9", timeout=wait),
        lambda wait: client.topic_route("t", "host", timeout=wait),
        client.events,
    ):
        with pytest.raises(ValueError, match=r"timeout must be None or seconds from 0") as caught:
            call(timeout)
        assert caught.value.errno == errno.EINVAL  # type: ignore[attr-defined]
    assert [peer.endpoint for peer in client.peers()] == list(client.cluster_sync())


def test_very_long_timeout_is_a_wait(host: Spot, client: Spot) -> None:
    """Infinity and years are how some programs say "for ever", in several threads at once."""
    client.subscribe("t")
    found: list[Message | None] = []
    threads = [
        threading.Thread(target=lambda wait=wait: found.append(client.recv(wait)))
        for wait in (float("inf"), 1e10, 1e300)
    ]
    for thread in threads:
        thread.start()
    stays(lambda: all(thread.is_alive() for thread in threads), 0.2, what="waiting")
    host.publish_many("t", [b"1", b"2", b"3"])
    for thread in threads:
        thread.join(5)
    assert len(found) == 3


def test_subscribe_twice_is_once(host: Spot, client: Spot) -> None:
    """Idempotent: two parts of a program may both subscribe, and messages come once."""
    client.subscribe("t")
    client.subscribe("t")
    host.publish("t", b"x")
    receive(client, 1)
    assert client.recv(0.05) is None
    assert client.metrics().subscribes == 1


def test_subscribe_is_in_force_when_it_returns(host: Spot, client: Spot) -> None:
    """The first message after subscribe must arrive: there is no slow joiner."""
    for at in range(50):
        client.subscribe("t")
        host.publish("t", b"%d" % at)
        assert receive(client, 1)[0].data == b"%d" % at
        client.unsubscribe("t")


def test_subscribe_to_the_unknown_without_peers_is_enoent(make_node: MakeNode) -> None:
    """Nobody could ever announce it: this is a typo."""
    node = make_node()
    with pytest.raises(TopicNotFound, match=r"'nowhere'.*cluster_add") as caught:
        node.subscribe("nowhere")
    assert (caught.value.errno, caught.value.topic) == (errno.ENOENT, "nowhere")
    with pytest.raises(NotSubscribed):
        node.unsubscribe("nowhere")


def test_subscribe_to_the_unknown_binds_from_the_first_message(host: Spot, client: Spot) -> None:
    """Programs start in any order: a topic that comes later is there from its first message."""
    client.subscribe("later")
    host.topic_create("later")
    host.publish("later", b"first")
    (message,) = receive(client, 1)
    assert (message.data, message.seq, message.missed) == (b"first", 1, 0)


def test_subscribe_does_not_wait_for_a_host_that_is_stopped(
    make_node: MakeNode, start_child: StartChild
) -> None:
    """It completes by itself: the call returns after sync_timeout at the latest."""
    child = start_child("publisher", topics=["t"], node_id="stopped")
    node = make_node(peer_timeout=10, sync_timeout=0.2)
    node.cluster_add(child.said("bound")["endpoint"], timeout=5)
    node.cluster_sync()
    child.stop()
    began = time.monotonic()
    node.subscribe("t")
    assert 0.18 < time.monotonic() - began < 5
    child.go_on()
    node.cluster_sync(5)
    child.tell("publish t x")
    assert receive(node, 1)[0].data == b"x"


def test_unsubscribe_ends_the_stream(host: Spot, client: Spot) -> None:
    """Nothing comes any more; who subscribes anew begins anew, without a gap."""
    client.subscribe("t")
    host.publish("t", b"1")
    receive(client, 1)
    client.unsubscribe("t")
    client.cluster_sync()
    host.publish("t", b"2")
    assert client.recv(0.05) is None
    client.subscribe("t")
    host.publish("t", b"3")
    (message,) = receive(client, 1)
    assert (message.data, message.seq, message.missed) == (b"3", 3, 0)


def test_unsubscribe_of_nothing_is_enoent(client: Spot) -> None:
    """A pattern and a topic of the same text are two subscriptions."""
    for call in (client.unsubscribe, client.unsubscribe_pattern):
        with pytest.raises(NotSubscribed, match="'t'") as caught:
            call("t")
        assert (caught.value.errno, caught.value.topic) == (errno.ENOENT, "t")
    client.subscribe("t")
    with pytest.raises(NotSubscribed):
        client.unsubscribe_pattern("t")
    client.unsubscribe("t")
    client.subscribe_pattern("t")
    with pytest.raises(NotSubscribed):
        client.unsubscribe("t")
    client.unsubscribe_pattern("t")


PATTERNS = [
    ("*", ["a", "a:b", "온도", "x"], []),
    ("a*", ["a", "ab", "a:b:c"], ["b", "ba"]),
    ("*b", ["b", "ab", "a:b"], ["ba", "bc"]),
    ("a*c", ["ac", "abc", "a*c".replace("*", "x"), "acc"], ["a", "c", "ab", "aca"]),
    ("*a*", ["a", "bab", "ab"], ["b", ""]),
    ("a*b*c", ["abc", "axbxc", "abbc"], ["acb", "ac"]),
    ("s:*:t:*:u", ["s:1:t:2:u", "s::t::u"], ["s:t:u", "s:1:t:u"]),
    ("a.c", ["a.c"], ["abc"]),
    ("a[b]?", ["a[b]?"], ["ab", "abx"]),
    ("**", ["a", "x"], []),
    ("aa*aa", ["aaaa", "aaxaa"], ["aa", "aaa"]),
    ("온*", ["온도"], ["도온"]),
]


@pytest.mark.parametrize(("pattern", "matching", "others"), PATTERNS)
def test_pattern_matches_any_run_anywhere(
    host: Spot, client: Spot, pattern: str, matching: list[str], others: list[str]
) -> None:
    """LOCAL and REMOTE topics, present and future, and never one that does not match."""
    host.subscribe_pattern(pattern)
    client.subscribe_pattern(pattern)
    topics = [topic for topic in (*others, *matching) if topic]
    for topic in topics:
        host.topic_create(topic)
    for topic in topics:
        host.publish(topic, topic.encode())
    for node in (host, client):
        assert sorted(m.topic for m in receive(node, len(matching))) == sorted(matching)
        assert node.recv(0) is None


def test_pattern_that_would_backtrack_is_matched_at_once(host: Spot, client: Spot) -> None:
    """A regular expression would take years for this; a peer's pattern must not stop a host."""
    client.subscribe_pattern("*a" * 100 + "*b")
    host.topic_create("a" * 255)
    began = time.monotonic()
    host.publish("a" * 255, b"x")
    assert time.monotonic() - began < 0.5


@pytest.mark.parametrize("pattern", ["", "x" * 256, "a\nb", None, 5])
def test_bad_pattern_is_named(client: Spot, pattern: Any) -> None:
    """EINVAL, also for taking it back."""
    for call in (client.subscribe_pattern, client.unsubscribe_pattern):
        with pytest.raises(ValueError, match="pattern") as caught:
            call(pattern)
        assert caught.value.errno == errno.EINVAL  # type: ignore[attr-defined]


def test_message_that_matches_several_subscriptions_comes_once(host: Spot, client: Spot) -> None:
    """Overlapping subscriptions are normal; doubled messages are not."""
    for node in (host, client):
        node.subscribe("t")
        for pattern in ("*", "t*", "*t"):
            node.subscribe_pattern(pattern)
    host.publish("t", b"1")
    for node in (host, client):
        receive(node, 1)
        assert node.recv(0.05) is None
    client.unsubscribe("t")
    client.unsubscribe_pattern("*")
    host.publish("t", b"2")
    (message,) = receive(client, 1)
    assert (message.data, message.missed) == (b"2", 0)
    assert client.recv(0.05) is None


def test_pattern_is_matched_at_the_host(host: Spot, client: Spot) -> None:
    """What nobody here wants must not cross the wire."""
    for at in range(10):
        host.topic_create(f"n:{at}")
    client.subscribe_pattern("n:7*")
    for at in range(10):
        host.publish_many(f"n:{at}", [b"x"] * 100)
    receive(client, 100)
    (peer,) = client.peers()
    assert peer.recv_msgs == 100


def test_pattern_without_peers_is_accepted(make_node: MakeNode) -> None:
    """A pattern names no topic, so there is nothing that could be missing."""
    node = make_node()
    node.subscribe_pattern("n:*")
    node.topic_create("n:1")
    node.publish("n:1", b"x")
    assert receive(node, 1)[0].topic == "n:1"


def test_recv_many_takes_up_to_so_many(host: Spot, client: Spot) -> None:
    """Never more than asked for, never a wait for the rest."""
    client.subscribe("t")
    host.publish_many("t", [b"%d" % at for at in range(10)])
    client.cluster_sync()
    assert [message.seq for message in client.recv_many(3)] == [1, 2, 3]
    assert [message.seq for message in client.recv_many(1)] == [4]
    assert [message.seq for message in client.recv_many(100, timeout=0)] == [5, 6, 7, 8, 9, 10]
    assert client.recv_many(100, timeout=0) == []
    began = time.monotonic()
    assert client.recv_many(100, timeout=0.1) == []
    assert 0.09 < time.monotonic() - began < 5


@pytest.mark.parametrize("count", [0, -1, 1.5, "1", None])
def test_recv_many_of_a_bad_count_is_einval(client: Spot, count: Any) -> None:
    """A count of 0 would spin."""
    with pytest.raises(ValueError, match="max_messages must be a whole number from 1") as caught:
        client.recv_many(count)
    assert caught.value.errno == errno.EINVAL  # type: ignore[attr-defined]


def test_recv_many_gives_what_precedes_an_error_first(host: Spot, client: Spot) -> None:
    """Nothing that arrived is lost to an error, and the error is not lost to a batch."""
    client.subscribe("t")
    host.publish_many("t", [b"1", b"2", b"3"])
    host.close()
    wait_until(lambda: not is_up(client, "host"))
    assert [message.data for message in client.recv_many(2, timeout=1)] == [b"1", b"2"]
    assert [message.data for message in client.recv_many(10, timeout=1)] == [b"3"]
    with pytest.raises(HostUnreachable):
        client.recv_many(10, timeout=1)
    assert client.recv_many(10, timeout=0.05) == []


def test_iteration_goes_on_after_an_error_and_ends_with_close(
    make_node: MakeNode, host: Spot, client: Spot
) -> None:
    """A loop over messages must survive a lost host, which a generator would not."""
    other = make_node(node_id="other", bind=[ANY_PORT], topics=["u"])
    client.cluster_add(endpoint_of(other), timeout=5)
    client.cluster_sync()
    client.subscribe("t")
    client.subscribe("u")
    messages = iter(client)
    host.publish("t", b"1")
    assert next(messages).data == b"1"
    host.close()
    with pytest.raises(HostUnreachable):
        next(messages)
    other.publish("u", b"2")
    assert next(messages).data == b"2"
    threading.Timer(0.1, client.close).start()
    assert list(messages) == []
    assert list(client) == []


def test_stream_is_in_order_whoever_reads_how(host: Spot, client: Spot) -> None:
    """recv, recv_many and iteration may be mixed."""
    client.subscribe("t")
    host.publish_many("t", [b"%d" % at for at in range(1000)])
    host.publish("t", b"end")
    found: list[Message] = []
    messages = iter(client)
    while not found or found[-1].data != b"end":
        found.append(next(messages))
        if found[-1].data != b"end":
            found += client.recv_many(7, timeout=1)
        if found[-1].data != b"end":
            found += filter(None, [client.recv(1)])
    assert [message.seq for message in found] == list(range(1, 1002))
