"""Where a subscriber's stream goes on, whatever position it comes with."""

import pytest

from spot.config import Config
from spot.core.data.replay import REPLAY_BYTES
from spot.core.topics.hosted_topic import HostedTopic
from spot.core.wire import codec
from spot.core.wire.interests import EXACT, POSITION, InterestEntry, encode_interest
from tests.core.wires import Node, Wires

CONN = b"c"


def numbers(node: Node) -> list[int]:
    return [message.seq for message in node.messages]


def take_all(wires: Wires, node: Node) -> None:
    for _ in range(1000):
        wires.settle(0.002)
        if not node.take(wires.now):
            return
        wires.work(node)


def pair(config: Config | None = None) -> tuple[Wires, Node, Node, HostedTopic]:
    """A host of ``t`` with ten messages, and a reader that is linked, but not subscribed."""
    wires = Wires()
    host = wires.add("host", "host", config=config)
    reader = wires.add("reader", config=config)
    topic = host.core.announcer.create_topic("t", 1)
    reader.core.peers.add("host", wires.now)
    wires.settle(0.5)
    for at in range(1, 11):
        host.core.hosting.publish(topic, [b"%d" % at])
    return wires, host, reader, topic


def ask(wires: Wires, host: Node, reader: Node, kind: int, epoch: int, last: int) -> None:
    """The reader subscribes with any position, as an honest one never would."""
    reader.core.subscriptions.add("t", pattern=False)
    (link,) = reader.core.links.by_node.values()
    entry = InterestEntry(kind, epoch, last, "t")
    record = encode_interest(codec.INTEREST, (entry,))
    reader.core.effects.control(link, record)
    wires.work(reader)


@pytest.mark.parametrize(
    ("epoch_off", "last", "expected"),
    [
        pytest.param(0, 10, [11], id="has everything"),
        pytest.param(0, 4, [5, 6, 7, 8, 9, 10, 11], id="lacks some"),
        pytest.param(0, 1000, [11], id="from the future: live"),
        pytest.param(0, codec.SEQ_MAX - 1, [11], id="from the far future: live"),
        pytest.param(7, 4, list(range(1, 12)), id="of another epoch: all of this one"),
        pytest.param(None, 0, [11], id="none: live"),
        pytest.param(None, 3, [8, 9, 10, 11], id="none, with the newest three"),
        pytest.param(None, codec.EVERYTHING, list(range(1, 12)), id="none, with everything"),
    ],
)
def test_every_position_has_a_defined_beginning(
    epoch_off: int | None, last: int, expected: list[int]
) -> None:
    # Whatever a peer claims, it gets a stream in order, and the host is none the worse.
    wires, host, reader, topic = pair()
    epoch = 0 if epoch_off is None else topic.epoch + epoch_off
    ask(wires, host, reader, EXACT, epoch, last)
    wires.settle(0.01)
    host.core.hosting.publish(topic, [b"11"])
    wires.work(host)
    take_all(wires, reader)
    assert numbers(reader) == expected
    assert reader.messages[0].missed == 0
    assert not topic.catching_up


def test_a_position_in_an_unknown_topic_is_nothing() -> None:
    # A peer may ask for what was never there: no answer, no error, nothing kept.
    wires, host, reader, _ = pair()
    (link,) = reader.core.links.by_node.values()
    for kind in (EXACT, POSITION):
        record = encode_interest(codec.INTEREST, (InterestEntry(kind, 5, 5, "no such topic"),))
        reader.core.effects.control(link, record)
    wires.settle(0.01)
    (link,) = host.core.links.by_node.values()
    subscriber = host.core.subscribers[link]
    assert not subscriber.positions
    assert not subscriber.cursors
    assert host.core.links.by_node


def test_a_tail_that_got_lost_is_asked_for_again() -> None:
    # Heads travel with heartbeats: nobody has to publish for a gap at the end to be seen.
    wires, host, reader, topic = pair()
    reader.core.announcer.subscribe("t", pattern=False)
    wires.settle(0.01)
    host.core.hosting.publish(topic, [b"11", b"12"])
    wires.work(host)
    (end,) = [end for end in wires.waiting() if end.node is reader]
    # What a faulty relay might do: the link stays, the message does not come.
    end.arriving.clear()
    wires.settle(2.0)
    take_all(wires, reader)
    assert [(message.seq, message.missed) for message in reader.messages] == [(11, 0), (12, 0)]
    assert host.core.counters.replayed_msgs == 2
    wires.settle(3.0)
    assert host.core.counters.replayed_msgs == 2, "once"


def test_a_replay_is_read_in_pieces() -> None:
    # One pass must not fill the link's queue with a whole replay buffer. Other links have to be
    # served, too.
    wires, host, reader, topic = pair(Config(rcvhwm=1 << 20, history_bytes=64 << 20))
    for _ in range(40):
        host.core.hosting.publish(topic, [bytes(60_000)])
    ask(wires, host, reader, EXACT, topic.epoch, 10)
    (end,) = [end for end in wires.waiting() if end.node is host]
    wires.deliver(end)
    (link,) = host.core.links.by_node.values()
    assert not link.data.out
    assert 0 < link.data.sent_bytes <= REPLAY_BYTES + 60_000
    assert host.core.subscribers[link].cursors
    take_all(wires, reader)
    assert numbers(reader) == list(range(11, 51))
    assert not host.core.subscribers[link].cursors


def test_patterns_have_a_position_in_each_topic() -> None:
    # After a cut each stream goes on where it stood, and topics that are new begin.
    wires, host, reader, topic = pair()
    reader.core.announcer.subscribe("*", pattern=True)
    wires.settle(0.01)
    other = host.core.announcer.create_topic("other", 1)
    host.core.hosting.publish(topic, [b"11"])
    host.core.hosting.publish(other, [b"1", b"2"])
    wires.work(host)
    take_all(wires, reader)
    (link,) = host.core.links.by_node.values()
    (end,) = [end for end in wires.ends.values() if end.node is host and end.conn == link.conn]
    wires._close(wires.others[end], drop=True)
    host.core.lost(link.conn, "closed", wires.now)
    wires.work(host)
    host.core.hosting.publish(topic, [b"12"])
    host.core.hosting.publish(other, [b"3"])
    late = host.core.announcer.create_topic("late", 1)
    host.core.hosting.publish(late, [b"1"])
    reader.core.lost(wires.others[end].conn, "closed", wires.now)
    wires.settle(3.0)
    take_all(wires, reader)
    found: dict[str, list[int]] = {}
    for message in reader.messages:
        assert message.missed == 0
        found.setdefault(message.topic, []).append(message.seq)
    assert found == {"t": [11, 12], "other": [1, 2, 3], "late": [1]}


def test_positions_are_kept_for_each_host() -> None:
    # Two nodes host a topic: what one of them published before it is listened to is not missed.
    # But what the other had accepted when it crashed, nobody knows.
    wires = Wires()
    hosts = [wires.add(name, name) for name in ("a", "b")]
    topics = [host.core.announcer.create_topic("t", at) for at, host in enumerate(hosts, start=1)]
    reader = wires.add("reader")
    for host in hosts:
        reader.core.peers.add(host.core.node, wires.now)
    wires.settle(0.5)
    reader.core.announcer.subscribe("t", pattern=False)
    wires.settle(0.01)

    def publish(at: int, count: int) -> None:
        hosts[at].core.hosting.publish(topics[at], [b"x"] * count)
        wires.work(hosts[at])
        take_all(wires, reader)

    publish(0, 3)
    publish(1, 100)
    listened = reader.messages[0].node
    wires.crash(hosts[0 if listened == "a" else 1])
    wires.settle(0.1)
    left = 1 if listened == "a" else 0
    before = len(reader.messages)
    publish(left, 2)
    new = reader.messages[before:]
    assert [message.node for message in new] == [hosts[left].core.node] * 2
    assert [message.missed for message in new] == [None, 0]
    assert reader.core.counters.missed_msgs == 0
    assert reader.core.counters.missed_unknown == 1
