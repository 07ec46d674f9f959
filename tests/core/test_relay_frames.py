"""Relays that announce wrongly, or in a circle: refused or ignored, with defined results."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spot.core.node import NodeCore
from spot.core.wire import batches, codec
from spot.core.wire.codec import NodeEntry, Sender, TopicEntry
from spot.core.wire.greeting import Incarnation, encode_node_gone
from spot.core.wire.interests import EXACT, InterestEntry, encode_interest
from tests.core.test_cluster_frames import CONN, greeted, victim
from tests.core.wires import new_cluster


def offered(node: str, *path: str) -> bytes:
    return codec.encode_node(NodeEntry(node, 1, 1, 1 << 20, path, complete=True))


def announced(host: str, number: int = 7, epoch: int = 5) -> bytes:
    entry = TopicEntry(number, epoch, 0, "far", False, host)
    return codec.encode_topics((entry,), complete=False)


@pytest.fixture
def cluster() -> NodeCore:
    """A node that is linked with a node called "other"."""
    cluster = victim()
    greeted(cluster)
    assert "other" in cluster.links.by_node
    return cluster


def test_a_node_behind_a_relay_can_be_reached(cluster: NodeCore) -> None:
    # What the tests below leave out one thing of.
    cluster.frame(CONN, (offered("x", "other") + announced("x"),), 10.1)
    remote = cluster.registry.host_of("far")
    assert remote is not None
    assert (remote.node, remote.path.relays) == ("x", ("other",))
    assert "x" in cluster.failover.views.view.reachable


@pytest.mark.parametrize(
    "frame",
    [
        offered("x", "y"),
        offered("x", "other", "y", "z"),
        offered("x", "other", "other"),
        offered("x", "other", "x"),
        announced("x"),
        offered("x", "other") + announced("x") + announced("x"),
    ],
    ids=["not its own id first", "too long", "twice", "through itself", "not offered", "again"],
)
def test_a_wrong_announcement_ends_the_link(cluster: NodeCore, frame: bytes) -> None:
    # A node that believed it would send messages in a circle, or to nowhere.
    cluster.frame(CONN, (frame,), 10.1)
    assert "other" not in cluster.links.by_node
    assert any("protocol" in (event.reason or "") for event in cluster.effects.events)


@pytest.mark.parametrize("entry", [("x", "other", "victim"), ("victim", "other")])
def test_a_circle_is_ignored_with_its_topics(cluster: NodeCore, entry: tuple[str, ...]) -> None:
    # It happens in good order, while paths change: it is no error, and no path.
    frame = offered(*entry) + announced(entry[0])
    cluster.frame(CONN, (frame,), 10.1)
    assert "other" in cluster.links.by_node
    assert cluster.registry.host_of("far") is None
    gone = codec.encode_gone(7, codec.EVERYTHING)
    cluster.frame(CONN, (gone,), 10.2)
    assert "other" in cluster.links.by_node


@pytest.mark.parametrize("known", [False, True])
def test_a_circle_that_has_ended_leaves_nothing(cluster: NodeCore, known: bool) -> None:
    # The path no longer goes through this node, and is offered anew with the same numbers.
    circle = offered("x", "other", "victim")
    if known:
        cluster.frame(CONN, (offered("x", "other") + announced("x") + circle,), 10.1)
    else:
        cluster.frame(CONN, (circle + announced("x"),), 10.1)
    gone = encode_node_gone("x", "changed", {})
    cluster.frame(CONN, (gone + offered("x", "other") + announced("x"),), 10.2)
    assert "other" in cluster.links.by_node
    remote = cluster.registry.host_of("far")
    assert remote is not None
    assert remote.link is cluster.links.by_node["other"]


@pytest.mark.parametrize("topics_first", [False, True])
def test_a_path_that_becomes_a_circle_ends_in_good_order(
    cluster: NodeCore, topics_first: bool
) -> None:
    # Its topics were of use before: that they end is no error.
    circle = offered("x", "other", "victim")
    cluster.frame(CONN, (offered("x", "other") + announced("x") + circle,), 10.1)
    end = codec.encode_gone(7, codec.EVERYTHING) if topics_first else b""
    cluster.frame(CONN, (end + encode_node_gone("x", "closed", {}),), 10.2)
    assert "other" in cluster.links.by_node


def test_a_topic_that_its_host_does_not_announce_is_of_no_use_until_the_offer_ends(
    cluster: NodeCore,
) -> None:
    # A relay that has not heard of the end may offer it again, under the same number.
    offer = offered("x", "other") + announced("x")
    cluster.frame(CONN, (offer,), 10.1)
    link = cluster.links.by_node["other"]
    host = new_cluster("x", now=1.0).handshake.me
    cluster.frame(b"\0x", (replace(host, incarnation=Incarnation(1, 1)).encode(),), 10.2)
    complete = codec.encode_topics((), complete=True)
    cluster.frame(b"\0x", (codec.record(codec.CONFIRM) + complete,), 10.2)
    assert cluster.announced[link].ignored == {7: "x"}
    cluster.frame(CONN, (encode_node_gone("x", "changed", {}) + offer,), 10.3)
    assert cluster.links.by_node["other"] is link
    assert not cluster.announced[link].ignored


def test_what_is_unknown_is_not_followed_or_fetched(cluster: NodeCore) -> None:
    # The news that a topic has ended may cross the wish for it.
    frame = codec.encode_follow(codec.FOLLOW, 99, 3, 4) + codec.encode_fetch(codec.FETCH, 99, 1, 2)
    cluster.frame(CONN, (frame,), 10.1)
    assert "other" in cluster.links.by_node


@pytest.mark.parametrize("host", ["other", "x"])
def test_a_head_for_an_earlier_subscription_does_not_begin_a_stream(
    cluster: NodeCore, host: str
) -> None:
    # It would count as missed what passed by between the two.
    cluster.announcer.unsubscribe("*", pattern=True)
    if host == "x":
        cluster.frame(CONN, (offered("x", "other"),), 10.1)
    cluster.frame(CONN, (announced("" if host == "other" else "x"),), 10.1)
    link = cluster.links.by_node["other"]
    cluster.announcer.subscribe("far", pattern=False)
    before = cluster.announced[link].requests.sent
    cluster.announcer.unsubscribe("far", pattern=False)
    cluster.announcer.subscribe("far", pattern=False)
    position = cluster.subscriptions.position("far", host)
    assert position is not None
    assert cluster.announced[link].requests.sent > before
    cluster.frame(CONN, (codec.encode_head(7, 10, before),), 10.2)
    assert position.epoch == 0
    cluster.frame(CONN, (codec.encode_head(7, 30, cluster.announced[link].requests.sent),), 10.2)
    cluster.frame(CONN, (codec.encode_head(7, 33, cluster.announced[link].requests.sent),), 10.2)
    assert (position.epoch, position.last, position.owed) == (5, 33, 3)


@pytest.mark.parametrize(("last", "begin"), [(0, 3), (2, 1)])
def test_a_relay_knows_where_its_own_subscription_begins_before_it_has_credit(
    cluster: NodeCore, last: int, begin: int
) -> None:
    # Else what is published until the link is lost would be passed over in silence.
    cluster.announcer.unsubscribe("*", pattern=True)
    topic = cluster.registry.local["t"]
    link = cluster.links.by_node["other"]
    cluster.frame(CONN, (codec.encode_follow(codec.FOLLOW, topic.topic_id),), 10.1)
    cluster.take_sends(10.1)
    link.data.limit_msgs = 0
    cluster.hosting.publish(topic, [b"m"] * 3)
    wish = InterestEntry(EXACT, 0, last, "t")
    cluster.frame(CONN, (encode_interest(codec.INTEREST, (wish,)),), 10.2)
    frames = [frame for _, frame in cluster.take_sends(10.2)]
    records = [
        frame[0][start:end]
        for frame in frames
        for kind, start, end, _ in codec.records(frame)
        if kind == codec.BEGIN
    ]
    assert [codec.decode_begin(record) for record in records] == [(topic.epoch, begin, 2, "t")]


def test_a_subscription_begins_where_its_host_said_although_the_link_was_lost(
    cluster: NodeCore,
) -> None:
    # The data before its HEAD belongs to those behind this relay.
    cluster.announcer.unsubscribe("*", pattern=True)
    cluster.frame(CONN, (announced(""),), 10.1)
    link = cluster.links.by_node["other"]
    cluster.announcer.subscribe("far", pattern=False)
    data = batches.encode_batch(codec.DATA, 7, 9, [b"m"] * 2)[0]
    early = codec.encode_begin(5, 8, cluster.announced[link].requests.sent - 1, "far")
    begin = codec.encode_begin(5, 10, cluster.announced[link].requests.sent, "far")
    cluster.frame(CONN, (early + begin + data,), 10.2)
    assert cluster.inbox.msgs == 0
    cluster.lost(CONN, "closed", 10.3)
    entry = cluster.subscriptions.entry("far", "other", pattern=False)
    assert (entry.epoch, entry.last) == (5, 10)


def test_publishes_to_an_earlier_incarnation_of_the_host_are_not_taken_for_later_ones(
    cluster: NodeCore,
) -> None:
    # They wait at relays, and have the same numbers: one of them would be ordered twice or not
    # at all, and the publisher told so of another.
    me = cluster.handshake.me.incarnation
    sender = Sender("victim", "x", 3, 4, me.started, me.random)
    topic = cluster.registry.local["t"]
    publish = batches.encode_batch(codec.PUBLISH, topic.topic_id, 1, [b"late"])[0]
    for earlier in (sender._replace(host_started=1), sender._replace(host_random=1)):
        cluster.frame(CONN, (codec.forwarded(earlier, publish),), 10.1)
    assert topic.head == 0
    flow = cluster.links.by_node["other"].publishes
    assert flow.consumed_msgs == flow.recv_msgs == 2
    cluster.frame(CONN, (codec.forwarded(sender, publish),), 10.2)
    assert topic.head == 1


def test_what_an_earlier_incarnation_of_the_host_confirmed_settles_nothing(
    cluster: NodeCore,
) -> None:
    # What it had ordered is not what this one has.
    cluster.frame(CONN, (offered("x", "other") + announced("x"),), 10.1)
    remote = cluster.registry.host_of("far")
    assert remote is not None
    cluster.remote.publish(remote, [b"m"] * 3)
    me = cluster.handshake.me.incarnation
    sender = Sender("x", "victim", me.started, me.random, 1, 1)
    earlier = codec.encode_confirmed(sender._replace(host_random=2), 3, 3)
    cluster.frame(CONN, (earlier,), 10.2)
    (outbox,) = cluster.remote.outboxes["x"].values()
    assert outbox.unsettled == 3
    assert cluster.counters.publish_unknown == 0
    cluster.frame(CONN, (codec.encode_confirmed(sender, 2, 0),), 10.3)
    assert outbox.unsettled == 1
