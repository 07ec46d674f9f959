"""Subscriptions that end and begin anew, while what they bring is under way."""

from __future__ import annotations

import pytest

from spot.core import batches, codec
from spot.core.cluster import Cluster
from spot.core.codec import TopicEntry
from spot.core.inbox import Delivery
from spot.core.link import Link
from tests.core.test_cluster_frames import CONN, greeted, victim

TOPICS = codec.encode_topics((TopicEntry(7, 5, 0, "far", False, ""),), complete=True)


@pytest.fixture
def cluster() -> Cluster:
    """A node that wants nothing."""
    cluster = victim()
    cluster.unsubscribe("*", pattern=True)
    cluster.unsubscribe("a", pattern=False)
    return cluster


def came(cluster: Cluster, link: Link, old: int) -> list[tuple[int, int | None]]:
    """Sequences, and what was missed, of a topic that is announced with what an INTEREST number
    ``old`` began, when what the newest began follows.
    """

    def data(sequence: int) -> bytes:
        return batches.encode_batch(codec.DATA, 7, sequence, [b"m"])[0]

    before = TOPICS + codec.encode_head(7, 10, old) + data(11)
    cluster.frame(CONN, (before,), 10.1)
    if old < link.asks:
        cluster.frame(CONN, (codec.encode_head(7, 30, link.asks) + data(31),), 10.2)
    found = []
    while isinstance(item := cluster.traffic.take(), Delivery):
        found += [(message.seq, message.missed) for message in item.messages()]
    return found


@pytest.mark.parametrize("name", ["far", "f*"])
def test_what_an_earlier_subscription_brings_with_a_topic_is_not_for_the_new_one(
    cluster: Cluster, name: str
) -> None:
    # It would count what passed by between the two as missed, and bring what is older than it.
    pattern = "*" in name
    cluster.subscribe(name, pattern=pattern)
    greeted(cluster)
    link = cluster.nodes["other"]
    old = link.asks
    cluster.unsubscribe(name, pattern=pattern)
    cluster.subscribe(name, pattern=pattern)
    assert old < link.asks
    assert came(cluster, link, old) == [(31, 0)]


@pytest.mark.parametrize(
    ("first", "second"), [("far", "f*"), ("f*", "far"), ("*r", "f*")], ids=lambda name: name
)
def test_what_is_wanted_without_a_break_is_taken_from_the_first_subscription(
    cluster: Cluster, first: str, second: str
) -> None:
    # The host says only to the first of them where it begins.
    cluster.subscribe("x", pattern=False)
    greeted(cluster)
    link = cluster.nodes["other"]
    cluster.unsubscribe("x", pattern=False)
    cluster.subscribe(first, pattern="*" in first)
    old = link.asks
    cluster.subscribe(second, pattern="*" in second)
    cluster.unsubscribe(first, pattern="*" in first)
    assert came(cluster, link, old)[0] == (11, 0)


def test_a_second_subscription_to_what_is_known_by_a_pattern_changes_nothing(
    cluster: Cluster,
) -> None:
    # As above, but both stay.
    cluster.subscribe("f*", pattern=True)
    greeted(cluster)
    link = cluster.nodes["other"]
    old = link.asks
    cluster.subscribe("far", pattern=False)
    cluster.unsubscribe("far", pattern=False)
    cluster.subscribe("far", pattern=False)
    assert came(cluster, link, old)[0] == (11, 0)
