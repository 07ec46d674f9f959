"""Incarnations of hosts and publishers that not every node knows to be over.

Numbers never begin anew.
"""

from __future__ import annotations

import pytest

from spot.config import Config
from spot.core.data.outbox import Outbox
from spot.core.data.remote_publishing import INCARNATIONS_MAX
from spot.core.wire import batches, codec
from spot.core.wire.codec import NodeEntry, Sender, TopicEntry
from spot.core.wire.greeting import Incarnation
from tests.core.test_cluster_frames import CONN, greeted, victim
from tests.core.wires import End, Node, Wires

RELAY = Config(relay=True)


def published(node: Node, *payloads: bytes) -> None:
    remote = node.core.registry.host_of("t")
    assert remote is not None
    node.core.remote.publish(remote, payloads)


def sender_of(publisher: Incarnation, host: Incarnation) -> Sender:
    incarnations = (publisher.started, publisher.random, host.started, host.random)
    return Sender("host", "publisher", *incarnations)


def run_dry_but_for(wires: Wires, held: End) -> None:
    for node in wires.nodes:
        wires.tick(node)
    while waiting := [end for end in wires.waiting() if end is not held]:
        wires.deliver(waiting[0])


def test_late_greeting_of_a_dead_publisher_forgets_nothing_of_the_next_incarnation() -> None:
    # Its confirmation was under way to the host when it died. The host would order twice what the
    # next incarnation then sends again, by another relay or the same.
    wires = Wires()
    host = wires.add("host", "host")
    topic = host.core.announcer.create_topic("t", 1)
    relay = wires.add("relay", "relay", config=RELAY)
    relay.core.peers.add("host", wires.now)
    wires.settle(0.1)
    first = wires.add("publisher")
    first.core.peers.add("host", wires.now)
    wires.tick(first)
    for _ in range(2):
        wires.deliver(wires.waiting()[0])
    (held,) = wires.waiting()
    assert held.node is host
    assert "publisher" not in host.core.links.by_node
    wires.crash(first)
    wires.now += 0.1
    second = wires.add("publisher")
    second.core.peers.add("relay", wires.now)
    run_dry_but_for(wires, held)
    published(second, b"1", b"2", b"3")
    run_dry_but_for(wires, held)
    assert topic.head == 3
    wires.deliver(held)
    assert "publisher" in host.core.links.by_node
    second.core.lost(second.core.links.by_node["relay"].conn, "closed", wires.now)
    wires.work(second)
    wires.settle(3.0)
    assert topic.head == 3
    published(second, b"4")
    wires.work(second)
    wires.settle(3.0)
    assert topic.head == 4
    (outbox,) = second.core.remote.outboxes["host"].values()
    assert outbox.unsettled == second.core.counters.publish_unknown == 0


def test_what_is_told_to_be_unknown_is_not_told_again_as_refused() -> None:
    # The incarnation seemed to be over, and is not.
    outbox = Outbox(Incarnation(1, 1))
    outbox.keep(batches.encoded(codec.PUBLISH, 7, 1, [b"m"] * 3000), "t")
    outbox.settle(10)
    assert outbox.refuse(2) == 2
    assert (outbox.doubt(), outbox.doubt(), outbox.unsettled) == (2990, 0, 0)
    outbox.clear()
    assert [(chunk.first, chunk.last, chunk.size, name) for chunk, name in outbox.kept] == [
        (11, 1034, 0, ""),
        (1035, 2058, 0, ""),
        (2059, 3000, 0, ""),
    ]
    assert outbox.refuse(2992) == 0
    outbox.keep(batches.encoded(codec.PUBLISH, 7, 3001, [b"m"] * 5), "t")
    assert outbox.unsettled == 5
    outbox.settle(3001)
    assert (outbox.refuse(2993), outbox.doubt(), outbox.unsettled) == (1, 4, 0)


def test_incarnations_of_a_host_are_remembered_up_to_a_bound_and_nothing_uncounted() -> None:
    # A relay offers one incarnation after the other: nobody can tell which of them are over.
    cluster = victim()
    greeted(cluster)
    for at in range(2 * INCARNATIONS_MAX):
        # The clock of the host goes back each time: none seems to be over for its age.
        incarnation = NodeEntry("x", 1000 - at, at, 1 << 20, ("other",), complete=True)
        entry = TopicEntry(10 + at, 1 + at, 0, "far", False, "x")
        frame = codec.encode_node(incarnation) + codec.encode_topics((entry,), complete=False)
        cluster.frame(CONN, (frame,), 10.1)
        remote = cluster.registry.host_of("far")
        assert remote is not None
        assert remote.incarnation == Incarnation(1000 - at, at)
        cluster.remote.publish(remote, [b"m"] * 3)
        assert cluster.counters.publish_unknown == cluster.remote.unknown.get("x", 0) == 3 * at
        assert len(cluster.remote.outboxes["x"]) == min(INCARNATIONS_MAX, at + 1)


@pytest.mark.parametrize("leaves", [True, False])
def test_what_a_host_sent_before_its_end_goes_through_a_relay_before_the_news(leaves: bool) -> None:
    # A relay that reads both in one go has sent nothing on when it hears of the end.
    wires = Wires()
    hub = wires.add("hub", "hub", config=RELAY)
    host = wires.add("host")
    reader = wires.add("reader")
    for node in (host, reader):
        node.core.peers.add("hub", wires.now)
    wires.settle(1.0)
    topic = host.core.announcer.create_topic("t", 1)
    reader.core.announcer.subscribe("t", pattern=False)
    wires.settle(3.0)
    (end,) = [end for end, other in wires.others.items() if end.node is hub and other.node is host]
    host.core.hosting.publish(topic, [b"1", b"2"])
    sends = host.core.take_sends(wires.now)
    if leaves:
        host.core.leave()
        sends += host.core.take_sends(wires.now)
    for _, frame in sends:
        hub.core.frame(end.conn, frame, wires.now)
    hub.core.lost(end.conn, "closed", wires.now)
    wires.nodes.remove(host)
    wires.work(hub)
    wires.run_dry()
    while reader.take(wires.now):
        pass
    assert [message.data for message in reader.messages] == [b"1", b"2"]
    assert [notice.node for notice in reader.notices] == ["host"]
    assert reader.core.counters.missed_msgs == 0


def test_confirmation_goes_back_on_each_path_that_publishes_came_by() -> None:
    # What came last had been under way for long, by a relay that has lost the publisher since then.
    # A publisher that uses the other relay, which works, would never hear of it.
    wires = Wires()
    host = wires.add("host", "host")
    host.core.announcer.create_topic("t", 1)
    relays = [wires.add(name, name, config=RELAY) for name in "ab"]
    publisher = wires.add("publisher")
    for node, endpoints in ((relays[0], ["host"]), (relays[1], "a"), (publisher, "ab")):
        for endpoint in endpoints:
            node.core.peers.add(endpoint, wires.now)
    wires.settle(1.0)
    published(publisher, b"1")
    wires.work(publisher)
    wires.settle(3.0)
    (outbox,) = publisher.core.remote.outboxes["host"].values()
    assert (outbox.published, outbox.unsettled) == (1, 0)
    assert outbox.carrier is not None
    assert outbox.carrier.relays == ("a",)
    sender = sender_of(publisher.core.handshake.me.incarnation, host.core.handshake.me.incarnation)
    number = relays[0].core.relayed.topics["t", "host"].stream.topic_id
    late = codec.forwarded(sender, batches.encode_batch(codec.PUBLISH, number, 1, [b"1"])[0])
    published(publisher, b"2")
    wires.work(publisher)
    wires.run_dry()
    assert outbox.unsettled == 1
    relays[0].core.frame(relays[0].core.links.by_node["b"].conn, (late,), wires.now)
    wires.work(relays[0])
    wires.settle(3.0)
    assert (outbox.published, outbox.unsettled) == (2, 0)


def test_confirmation_that_was_passed_on_is_passed_on_again_when_publishes_come() -> None:
    # The paths back may lead in a circle; but a publisher that sends again has not heard.
    wires = Wires()
    relay = wires.add("relay", "relay", config=RELAY)
    for name in ("host", "publisher"):
        wires.add(name).core.peers.add("relay", wires.now)
    wires.settle(1.0)
    cluster = relay.core
    host, publisher = cluster.links.by_node["host"], cluster.links.by_node["publisher"]
    sender = sender_of(publisher.incarnation, host.incarnation)
    publish = codec.forwarded(sender, batches.encode_batch(codec.PUBLISH, 0, 1, [b"m"])[0])
    confirmed = codec.encode_confirmed(sender, 1, 0)

    def passed_on(*records: bytes) -> int:
        for record in records:
            cluster.frame(host.conn, (record,), wires.now)
        frames = [
            frame[0] for conn, frame in cluster.take_sends(wires.now) if conn == publisher.conn
        ]
        return b"".join(frames).count(confirmed)

    assert passed_on(confirmed) == 0
    cluster.frame(publisher.conn, (publish,), wires.now)
    assert passed_on(confirmed, confirmed) == 1
    cluster.frame(publisher.conn, (publish,), wires.now)
    assert passed_on(confirmed) == 1
