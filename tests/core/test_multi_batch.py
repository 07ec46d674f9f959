"""Messages of many topics in one record: each topic keeps its order, its counts and its credit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spot.config import Config
from spot.core.effects import Frame
from spot.core.topics.hosted_topic import HostedTopic
from spot.core.wire import codec
from spot.core.wire.multi_batch import decode_multi, encode_multi
from tests.core.fixed import examples
from tests.core.test_cluster_frames import CONN, greeted, victim
from tests.core.wires import Node, Wires

TOPICS = 6


def hosting(
    config: Config | None = None, readers: int = 1
) -> tuple[Wires, Node, list[Node], list[HostedTopic]]:
    """A host of some topics, and readers of all of them."""
    wires = Wires()
    host = wires.add("host", "host", config=config)
    found = [wires.add(f"reader-{at}", config=config) for at in range(readers)]
    topics = [host.core.announcer.create_topic(f"t{at}", at + 1) for at in range(TOPICS)]
    for node in found:
        node.core.peers.add("host", wires.now)
    wires.settle(0.5)
    for node in found:
        node.core.announcer.subscribe("*", pattern=True)
        wires.work(node)
    wires.run_dry()
    return wires, host, found, topics


def frames_to(node: Node, wires: Wires) -> list[Frame]:
    """What is on its way to a node."""
    return [
        frame
        for end in wires.waiting()
        if end.node is node
        for frame in end.arriving
        if frame is not None
    ]


def kinds_in(frames: list[Frame]) -> list[int]:
    return [kind for frame in frames for kind, _, _, _ in codec.records(frame)]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("together"), st.integers(1, 30)),
        st.tuples(st.just("one"), st.integers(0, TOPICS - 1)),
        st.tuples(st.just("deliver"), st.integers(0, 5)),
        st.tuples(st.just("take"), st.integers(0, 2)),
        st.tuples(st.just("aside"), st.integers(0, TOPICS - 1)),
    ),
    max_size=50,
)


@examples(150)
@given(
    steps=STEPS,
    hwm=st.sampled_from((4, 12, 1000)),
    history_bytes=st.sampled_from((0, 2000, 4 << 20)),
    local=st.booleans(),
)
def test_each_topic_is_as_if_it_had_been_published_by_itself(
    steps: list[tuple[str, int]], hwm: int, history_bytes: int, local: bool
) -> None:
    # Queues get full, subscribers are set aside, batches of one topic come between. Every message
    # comes once, in its order; each missing message is counted, and all credit comes back.
    config = Config(sndhwm=hwm, rcvhwm=hwm, history_bytes=history_bytes)
    wires, host, readers, topics = hosting(config, 2)
    everyone = [*readers, host] if local else readers
    if local:
        host.core.announcer.subscribe("t0", pattern=False)
    published: dict[str, list[bytes]] = {topic.name: [] for topic in topics}
    for action, count in steps:
        if action in ("together", "one"):
            room = min(map(host.core.hosting.room, topics))
            rows = []
            for at in range(min(count, room) if action == "together" else min(1, room)):
                topic = topics[at % TOPICS if action == "together" else count]
                payload = b"x" * at + b"%d" % len(published[topic.name])
                rows.append((topic, payload))
                published[topic.name].append(payload)
            if rows and action == "together":
                left = host.core.hosting.publish_across(*zip(*rows, strict=True))
                assert left <= min(host.core.hosting.room(topic) for topic, _ in rows)
            elif rows:
                host.core.hosting.publish(rows[0][0], [rows[0][1]])
            wires.work(host)
        elif action == "deliver":
            wires.deliver_one(count)
        elif action == "take":
            node = everyone[count % len(everyone)]
            node.take(wires.now)
            wires.work(node)
        else:
            host.core.replay.set_aside_full(topics[count], wires.now)
            wires.work(host)
    while True:
        wires.settle(0.01)
        if not any(node.take(wires.now) for node in everyone):
            break
        for node in everyone:
            wires.work(node)
    for node in everyone:
        last = dict.fromkeys(published, 0)
        for message in node.messages:
            assert published[message.topic][message.seq - 1] == message.data
            assert message.missed == message.seq - last[message.topic] - 1
            last[message.topic] = message.seq
    for node in readers:
        counters = node.core.counters
        assert counters.recv_msgs == len(node.messages)
        assert counters.recv_msgs + counters.missed_msgs == sum(map(len, published.values()))
        (link,) = node.core.links.by_node.values()
        assert link.data.recv_msgs == link.data.consumed_msgs
        assert link.data.recv_bytes == link.data.consumed_bytes


def test_one_record_is_made_for_all_who_get_it() -> None:
    # What a multi-topic batch saves would be lost if each reader had its own.
    wires, host, readers, topics = hosting(readers=3)
    host.core.hosting.publish_across(topics, [b"x"] * TOPICS)
    wires.work(host)
    frames = [frame for reader in readers for frame in frames_to(reader, wires)]
    assert kinds_in(frames) == [codec.MULTI_DATA] * 3
    assert len({id(frame[0]) for frame in frames}) == 1


def test_messages_that_follow_are_handed_out_together() -> None:
    # A delivery for each of a thousand topics is what made them slow.
    wires, host, (reader,), topics = hosting()
    for _ in range(2):
        host.core.hosting.publish_across(topics, [b"x"] * TOPICS)
        wires.work(host)
        wires.run_dry()
    assert len(reader.core.inbox.items) == 2


def test_what_does_not_follow_is_counted_or_dropped_by_itself() -> None:
    # Between messages that are as they should be, and each in its place.
    wires, _, (reader,), topics = hosting()
    link = reader.core.links.by_node["host"]
    rows = [(0, 1), (1, 3), (2, 1), (0, 2), (0, 2), (1, 4), (2, 1), (0, 5)]
    record, _ = encode_multi(
        [topics[topic].topic_id for topic, _ in rows],
        [sequence for _, sequence in rows],
        [b"%d" % at for at in range(len(rows))],
    )
    reader.core.receiver.on_multi(reader.core.announced[link], decode_multi(record, 5, len(record)))
    while reader.take(wires.now):
        pass
    assert [(message.topic, message.seq, message.missed) for message in reader.messages] == [
        ("t0", 1, 0),
        ("t1", 3, 2),
        ("t2", 1, 0),
        ("t0", 2, 0),
        ("t1", 4, 0),
        ("t0", 5, 2),
    ]
    assert [message.data for message in reader.messages] == [b"0", b"1", b"2", b"3", b"5", b"7"]
    assert reader.core.counters.duplicates == 2
    flow = link.data
    assert (flow.recv_msgs, flow.recv_bytes) == (flow.consumed_msgs, flow.consumed_bytes) == (8, 8)


@pytest.mark.parametrize("gone", [1, 3, TOPICS])
def test_who_unsubscribes_gets_the_rest_of_a_multi_topic_batch(gone: int) -> None:
    # What waits of an ended subscription goes; the other topics, and other readers, get theirs.
    config = Config(rcvhwm=2 * TOPICS)
    wires, host, (reader, other), topics = hosting(config, 2)
    for node in (reader, other):
        for topic in topics:
            node.core.announcer.subscribe(topic.name, pattern=False)
        node.core.announcer.unsubscribe("*", pattern=True)
        wires.work(node)
    wires.run_dry()
    for number in range(5):
        host.core.hosting.publish_across(topics, [b"%d" % number * number] * TOPICS)
        wires.work(host)
        wires.run_dry()
    link = host.core.links.by_node["reader-0"]
    assert link.data.out
    for topic in topics[:gone]:
        reader.core.announcer.unsubscribe(topic.name, pattern=False)
    wires.work(reader)
    wires.run_dry()
    assert link.data.out_msgs == sum(chunk.count for chunk in link.data.out)
    assert link.data.out_bytes == sum(chunk.size for chunk in link.data.out)
    while any(node.take(wires.now) for node in (reader, other)):
        wires.work(reader)
        wires.work(other)
        wires.run_dry()
    for node, lost in ((reader, gone), (other, 0)):
        for at, topic in enumerate(topics):
            found = [message for message in node.messages if message.topic == topic.name]
            if at >= lost:
                assert [message.seq for message in found] == [1, 2, 3, 4, 5]
                assert not any(message.missed for message in found)
            else:
                assert len(found) < 5


def test_a_full_link_makes_room_for_nobody() -> None:
    # What is left in a queue is left for all topics together.
    wires, host, _, topics = hosting(Config(sndhwm=10, rcvhwm=1))
    assert host.core.hosting.publish_across(topics, [b"x"] * TOPICS) == 10 - TOPICS
    wires.work(host)
    (link,) = host.core.links.by_node.values()
    assert link.data.room(host.core.context.sndhwm) == 10 - TOPICS + 1


def test_heads_are_told_of_every_topic() -> None:
    # A last message that is lost on the way is noticed by what the host says of its topic.
    wires, host, _, topics = hosting()
    host.core.hosting.publish_across(topics, [b"x"] * TOPICS)
    wires.work(host)
    wires.run_dry()
    (link,) = host.core.links.by_node.values()
    (told,) = host.core.feeds.changed_heads(host.core.subscribers[link])
    ((kind, start, end, _),) = codec.records((told,))
    assert kind == codec.HEADS
    assert set(codec.decode_heads(told[start:end])) == {(topic.topic_id, 1) for topic in topics}


@pytest.mark.parametrize(
    "record",
    [
        codec.record(codec.MULTI_DATA, b"\x02"),
        encode_multi([1], [0], [b"x"])[0],
        encode_multi([1] * 1001, range(1, 1002), [b"x"] * 1001)[0],
    ],
    ids=["cut off", "sequence 0", "more than credit"],
)
def test_a_wrong_multi_topic_batch_ends_the_link(record: bytes) -> None:
    # And nothing else: the node goes on.
    cluster = victim()
    greeted(cluster)
    cluster.set_hwm(1000, 1000)
    for link in cluster.links.by_node.values():
        link.data.granted_msgs = 1000
    cluster.frame(CONN, (record,), 10.1)
    assert "other" not in cluster.links.by_node
    assert any("protocol" in (event.reason or "") for event in cluster.effects.events)


def test_a_multi_topic_batch_of_unknown_topics_costs_nothing() -> None:
    # They may have ended while it was on its way: its credit goes back.
    cluster = victim()
    greeted(cluster)
    cluster.frame(CONN, (encode_multi([7, 8], [1, 1], [b"x", b"yy"])[0],), 10.1)
    link = cluster.links.by_node["other"]
    assert (link.data.consumed_msgs, link.data.consumed_bytes) == (2, 3)
    assert not cluster.inbox.items
