"""Who gets which message, and that every count is exact, with slow subscribers too."""

import time

from hypothesis import given
from hypothesis import strategies as st

from spot.config import Config
from spot.core.data.hosting import ROOM_MAX
from spot.core.wire import batches
from spot.core.wire.batches import CHUNK_BYTES, cut
from tests.core.fixed import examples
from tests.core.wires import Node, Wires

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(1, 30)),
        st.tuples(st.just("remote"), st.integers(1, 10)),
        st.tuples(st.just("deliver"), st.integers(0, 5)),
        st.tuples(st.just("take"), st.integers(0, 2)),
        st.tuples(st.just("aside"), st.just(0)),
    ),
    max_size=60,
)


def linked(wires: Wires, host: Node, *others: Node) -> None:
    for node in others:
        node.core.peers.add("host", wires.now)
    wires.settle(0.5)
    assert len(host.core.links.by_node) == len(others)


@examples(120)
@given(
    steps=STEPS,
    sndhwm=st.integers(1, 20),
    rcvhwm=st.integers(1, 20),
    local=st.booleans(),
)
def test_received_and_missed_are_exact_whoever_is_slow(
    steps: list[tuple[str, int]], sndhwm: int, rcvhwm: int, local: bool
) -> None:
    # Set aside, caught up, set aside again: no message is lost in silence, none comes twice.
    wires = Wires()
    config = Config(sndhwm=sndhwm, rcvhwm=rcvhwm)
    host = wires.add("host", "host", config=config)
    readers = [wires.add(f"reader-{at}", config=config) for at in range(2)]
    topic = host.core.announcer.create_topic("t", 1)
    linked(wires, host, *readers)
    everyone = [*readers, host] if local else readers
    for node in everyone:
        node.core.announcer.subscribe("t", pattern=False)
        wires.work(node)
    wires.run_dry()
    accepted = 0
    for action, count in (*steps, ("aside", 0)):
        if action == "publish":
            room = host.core.hosting.room(topic)
            payloads = [str(accepted + at).encode() for at in range(min(room, count))]
            if payloads:
                host.core.hosting.publish(topic, payloads)
                accepted += len(payloads)
                wires.work(host)
        elif action == "remote":
            remote = readers[0].core.registry.host_of("t")
            assert remote is not None
            assert remote.link is not None
            room = remote.link.publishes.room(sndhwm)
            payloads = [b"remote"] * min(room, count)
            if payloads:
                readers[0].core.remote.publish(remote, payloads)
                accepted += len(payloads)
                wires.work(readers[0])
        elif action == "deliver":
            wires.deliver_one(count)
        elif action == "take":
            node = everyone[count % len(everyone)]
            node.take(wires.now)
            wires.work(node)
        elif host.core.hosting.room(topic) == 0:
            host.core.replay.set_aside_full(topic, wires.now)
            assert host.core.hosting.room(topic) > 0, "nobody is waited for any more"
        for node in everyone:
            assert node.core.inbox.msgs <= rcvhwm * len(wires.nodes)
        for link in host.core.links.by_node.values():
            assert link.data.out_msgs <= max(sndhwm, link.window_msgs) + topic.chunk_msgs
    # All that is left is taken; then everything must add up.
    for _ in range(10_000):
        # What is replayed waits until it is due.
        wires.settle(0.002)
        taken = [node.take(wires.now) for node in everyone]
        for node in everyone:
            wires.work(node)
        if not any(taken) and not wires.waiting():
            break
    assert topic.head == accepted
    assert not host.core.here.aside
    for node in everyone:
        told = node.core.subscriptions.position("t", "host")
        assert told is not None
        assert told.owed is not None
        sequences = [message.seq for message in node.messages]
        assert sequences == sorted(set(sequences))
        missed = [message.missed for message in node.messages]
        assert None not in missed
        total = len(sequences) + sum(count or 0 for count in missed) + told.owed
        assert total == accepted
        counters = node.core.counters
        assert counters.recv_msgs + counters.missed_msgs == accepted
        assert counters.duplicates == 0
    link = host.core.links.by_node["reader-0"]
    subscriber = host.core.subscribers[link]
    assert not subscriber.aside
    assert not subscriber.cursors


def test_error_mode_gives_the_message_to_nobody() -> None:
    # room() 0 is what EAGAIN rests on: nothing was numbered or queued.
    wires = Wires()
    config = Config(sndhwm=2, rcvhwm=2)
    host = wires.add("host", "host", config=config)
    reader = wires.add("reader", config=config)
    topic = host.core.announcer.create_topic("t", 1)
    linked(wires, host, reader)
    reader.core.announcer.subscribe("t", pattern=False)
    wires.work(reader)
    wires.run_dry()
    sent = 0
    while host.core.hosting.room(topic):
        host.core.hosting.publish(topic, [b"x"])
        wires.work(host)
        wires.run_dry()
        sent += 1
        assert sent <= 4, "sndhwm and rcvhwm bound what may be under way"
    assert topic.head == sent == 4
    reader.take(wires.now)
    reader.take(wires.now)
    wires.work(reader)
    wires.run_dry()
    assert host.core.hosting.room(topic) > 0, "who takes again gets again"


def test_room_without_subscribers_is_no_limit() -> None:
    # A topic that nobody reads must not block its publisher.
    wires = Wires()
    host = wires.add("host", "host")
    topic = host.core.announcer.create_topic("t", 1)
    assert host.core.hosting.room(topic) == ROOM_MAX


SIZES = st.lists(
    st.one_of(
        st.integers(0, 50),
        st.sampled_from([batches.LARGE - 1, batches.LARGE, batches.LARGE + 1, CHUNK_BYTES]),
    ),
    min_size=1,
    max_size=25,
)
ZEROS = bytes(CHUNK_BYTES)


@examples(150)
@given(sizes=SIZES, most=st.integers(1, 30))
def test_batches_keep_order_and_limits(sizes: list[int], most: int) -> None:
    # A batch goes whole: it has to fit the window, and must not hold up the heartbeat.
    payloads = [ZEROS[:size] for size in sizes]
    batches = cut(payloads, most)
    assert [len(one) for batch in batches for one in batch] == sizes
    for batch in batches:
        assert 1 <= len(batch) <= most
        assert len(batch) == 1 or sum(map(len, batch)) <= CHUNK_BYTES


def test_a_topic_that_ended_and_began_again_loses_no_count() -> None:
    # The end of a topic carries its head, so that its lost tail is counted in the next epoch.
    wires = Wires()
    host = wires.add("host", "host", config=Config(sndhwm=2, rcvhwm=2))
    reader = wires.add("reader", config=Config(rcvhwm=2))
    topic = host.core.announcer.create_topic("t", 1)
    linked(wires, host, reader)
    reader.core.announcer.subscribe("t", pattern=False)
    wires.work(reader)
    wires.run_dry()
    for _ in range(10):
        if not host.core.hosting.room(topic):
            host.core.replay.set_aside_full(topic, wires.now)
        host.core.hosting.publish(topic, [b"x"])
        wires.work(host)
        wires.run_dry()
    host.core.announcer.destroy_topic(topic, wires.now)
    again = host.core.announcer.create_topic("t", 1)
    assert again.epoch > topic.epoch
    wires.work(host)
    while reader.take(wires.now):
        wires.work(reader)
        wires.run_dry()
    host.core.hosting.publish(again, [b"new"])
    wires.work(host)
    wires.run_dry()
    reader.take(wires.now)
    assert reader.messages[-1].data == b"new"
    missed = [message.missed for message in reader.messages]
    assert sum(count or 0 for count in missed) + len(reader.messages) == 11
    assert None not in missed


def test_pattern_that_ends_is_one_look_at_what_waits() -> None:
    # A look for each of its topics kept a node with 8,000 of them from answering for 12 s.
    wires = Wires()
    host = wires.add("host", "host")
    reader = wires.add("reader")
    topics = [host.core.announcer.create_topic(f"t:{at}", at + 1) for at in range(2_000)]
    linked(wires, host, reader)
    reader.core.announcer.subscribe("t:*", pattern=True)
    wires.work(reader)
    wires.run_dry()
    (link,) = host.core.links.by_node.values()
    link.data.limit_msgs = 0
    for topic in topics:
        host.core.hosting.publish(topic, (b"x",))
    assert len(link.data.out) == 2_000
    reader.core.announcer.unsubscribe("t:*", pattern=True)
    wires.work(reader)
    began = time.process_time()
    wires.run_dry()
    assert time.process_time() - began < 0.25
    assert not link.data.out
