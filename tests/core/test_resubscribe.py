"""Subscriptions that end and begin anew, while what they bring is under way."""

from __future__ import annotations

import pytest

from spot.core.data.inbox import Delivery, MultiDelivery
from spot.core.link import Link
from spot.core.node import NodeCore
from spot.core.wire import batches, codec
from spot.core.wire.codec import TopicEntry
from spot.core.wire.interests import EXACT, PATTERN, POSITION, InterestEntry, encode_interest
from tests.core.test_cluster_frames import CONN, greeted, victim

TOPICS = codec.encode_topics((TopicEntry(7, 5, 0, "far", False, ""),), complete=True)


@pytest.fixture
def cluster() -> NodeCore:
    """A node that wants nothing."""
    cluster = victim()
    cluster.announcer.unsubscribe("*", pattern=True)
    cluster.announcer.unsubscribe("a", pattern=False)
    return cluster


def came(cluster: NodeCore, link: Link, old: int) -> list[tuple[int, int | None]]:
    """Sequences, and what was missed, of a topic that is announced with what an INTEREST number
    ``old`` began, when what the newest began follows.
    """

    def data(sequence: int) -> bytes:
        return batches.encode_batch(codec.DATA, 7, sequence, [b"m"])[0]

    before = TOPICS + codec.encode_head(7, 10, old) + data(11)
    cluster.frame(CONN, (before,), 10.1)
    if old < cluster.announced[link].requests.sent:
        cluster.frame(
            CONN,
            (codec.encode_head(7, 30, cluster.announced[link].requests.sent) + data(31),),
            10.2,
        )
    found = []
    while isinstance(item := cluster.take(), Delivery | MultiDelivery):
        found += [(message.seq, message.missed) for message in item.messages()]
    return found


@pytest.mark.parametrize("name", ["far", "f*"])
@pytest.mark.parametrize("beside", ["x", "x*", "*x"])
def test_what_an_earlier_subscription_brings_with_a_topic_is_not_for_the_new_one(
    cluster: NodeCore, name: str, beside: str
) -> None:
    # It would count what passed by between the two as missed, and bring what is older than it.
    pattern = "*" in name
    cluster.announcer.subscribe(beside, pattern="*" in beside)
    cluster.announcer.subscribe(name, pattern=pattern)
    greeted(cluster)
    link = cluster.links.by_node["other"]
    old = cluster.announced[link].requests.sent
    cluster.announcer.unsubscribe(name, pattern=pattern)
    cluster.announcer.subscribe(name, pattern=pattern)
    assert old < cluster.announced[link].requests.sent
    assert came(cluster, link, old) == [(31, 0)]


@pytest.mark.parametrize(
    ("first", "second"), [("far", "f*"), ("f*", "far"), ("*r", "f*")], ids=lambda name: name
)
def test_what_is_wanted_without_a_break_is_taken_from_the_first_subscription(
    cluster: NodeCore, first: str, second: str
) -> None:
    # The host says only to the first of them where it begins.
    cluster.announcer.subscribe("x", pattern=False)
    greeted(cluster)
    link = cluster.links.by_node["other"]
    cluster.announcer.unsubscribe("x", pattern=False)
    cluster.announcer.subscribe(first, pattern="*" in first)
    old = cluster.announced[link].requests.sent
    cluster.announcer.subscribe(second, pattern="*" in second)
    cluster.announcer.unsubscribe(first, pattern="*" in first)
    assert came(cluster, link, old)[0] == (11, 0)


def test_a_second_subscription_to_what_is_known_by_a_pattern_changes_nothing(
    cluster: NodeCore,
) -> None:
    # As above, but both stay.
    cluster.announcer.subscribe("f*", pattern=True)
    greeted(cluster)
    link = cluster.links.by_node["other"]
    old = cluster.announced[link].requests.sent
    cluster.announcer.subscribe("far", pattern=False)
    cluster.announcer.unsubscribe("far", pattern=False)
    cluster.announcer.subscribe("far", pattern=False)
    assert came(cluster, link, old)[0] == (11, 0)


def test_position_is_for_the_subscription_that_it_came_with(cluster: NodeCore) -> None:
    # A later one begins with what comes then, also if others behind the peer went on meanwhile.
    greeted(cluster)
    topic = cluster.registry.local["t"]
    pattern = InterestEntry(PATTERN, 0, 0, "*")
    position = InterestEntry(POSITION, topic.epoch - 1, 4, "t")
    tell(cluster, encode_interest(codec.INTEREST, (position, pattern)))
    tell(cluster, codec.encode_follow(codec.FOLLOW, topic.topic_id))
    cluster.hosting.publish(topic, [b"m"] * 3)
    tell(cluster, encode_interest(codec.INTEREST_GONE, (pattern,)))
    tell(cluster, encode_interest(codec.INTEREST, (pattern,)))
    assert begins(cluster) == [(topic.epoch, 3, 3, "t")]


def test_beginning_is_told_before_the_end_of_an_earlier_topic(cluster: NodeCore) -> None:
    # All of it waits for credit: if the link ends, the next subscription begins where this did.
    greeted(cluster)
    link = cluster.links.by_node["other"]
    link.data.limit_msgs = 0
    topic = cluster.registry.local["t"]
    entry = InterestEntry(EXACT, 0, 0, "t")
    tell(cluster, encode_interest(codec.INTEREST, (entry,)))
    cluster.hosting.publish(topic, [b"m"])
    cluster.announcer.destroy_topic(topic, 10.1)
    tell(cluster, encode_interest(codec.INTEREST_GONE, (entry,)))
    again = cluster.announcer.create_topic("t", 99)
    cluster.hosting.publish(again, [b"m"] * 2)
    cluster.take_sends(10.2)
    tell(cluster, encode_interest(codec.INTEREST, (entry,)))
    assert begins(cluster) == [(again.epoch, 2, 2, "t")]


def test_subscription_that_comes_between_two_epochs_is_told_where_the_next_begins(
    cluster: NodeCore,
) -> None:
    # The news of both epochs waits for credit. If the link is lost before, it begins there again.
    greeted(cluster)
    topic = cluster.registry.local["t"]
    entry = InterestEntry(EXACT, 0, 0, "t")
    tell(cluster, encode_interest(codec.INTEREST, (entry,)))
    cluster.hosting.publish(topic, [b"m"])
    tell(cluster, encode_interest(codec.INTEREST_GONE, (entry,)))
    cluster.announcer.destroy_topic(topic, 10.1)
    tell(cluster, encode_interest(codec.INTEREST, (entry,)))
    again = cluster.announcer.create_topic("t", 99)
    cluster.hosting.publish(again, [b"m"] * 2)
    assert begins(cluster) == [(again.epoch, 0, 2, "t")]


@pytest.mark.parametrize(("asked", "known"), [(-1, (0, 0)), (0, (6, 2))])
def test_subscription_is_asked_for_again_from_where_it_was_told_to_begin(
    cluster: NodeCore, asked: int, known: tuple[int, int]
) -> None:
    # The topic that is known ended long ago, and what was told to an earlier one is none of it.
    greeted(cluster)
    link = cluster.links.by_node["other"]
    cluster.frame(CONN, (TOPICS,), 10.1)
    cluster.announcer.subscribe("far", pattern=False)
    tell(cluster, codec.encode_begin(6, 2, cluster.announced[link].requests.sent + asked, "far"))
    tell(cluster, codec.encode_begin(6, 2, cluster.announced[link].requests.sent, "unknown"))
    cluster.lost(CONN, "closed", 10.3)
    assert cluster.subscriptions.reached("far", "other") == known
    assert "unknown" not in cluster.subscriptions.positions


def tell(cluster: NodeCore, record: bytes) -> None:
    cluster.frame(CONN, (record,), 10.2)


def begins(cluster: NodeCore) -> list[tuple[int, int, int, str]]:
    """Each BEGIN that goes out."""
    return [
        codec.decode_begin(frame[0][start:end])
        for _, frame in cluster.take_sends(10.2)
        for kind, start, end, _ in codec.records(frame)
        if kind == codec.BEGIN
    ]
