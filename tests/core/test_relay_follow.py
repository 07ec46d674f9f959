"""What a relay asks for where it and others behind it want one topic, from different positions."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from spot.config import Config
from spot.core.link import Link
from spot.core.wire import batches, codec
from spot.core.wire.codec import NodeEntry, TopicEntry
from tests.core.wires import new_cluster

INCARNATION = (1, 1)


class Relay:
    """A relay that is subscribed to "far", which x hosts; it is linked with relays, one and two,
    by which x can be reached, and with third, which is behind this relay.
    """

    def __init__(self) -> None:
        self.now = 10.1
        self.core = new_cluster("relay", Config(relay=True), now=10.0)
        self.core.announcer.subscribe("far", pattern=False)
        for node in ("one", "two", "third"):
            hello = new_cluster(node, now=1.0).handshake.me.encode()
            self.comes(node, hello)
            self.comes(node, codec.record(codec.CONFIRM))
        self.sent()

    def link(self, node: str) -> Link:
        return self.core.links.by_node[node]

    def comes(self, node: str, *records: bytes) -> None:
        self.core.frame(node.encode(), (b"".join(records),), self.now)

    def offers(self, node: str, number: int, epoch: int) -> None:
        entry = TopicEntry(number, epoch, 0, "far", False, "x")
        topics = codec.encode_topics((entry,), complete=False)
        self.comes(node, path_record(node, complete=False), topics, path_record(node))

    def begins(self, node: str, number: int, head: int, messages: int = 0) -> None:
        """All that was asked is answered: so does the stream begin, and so many come."""
        self.comes(
            node,
            codec.encode_head(number, head, self.core.announced[self.link(node)].requests.sent),
        )
        if messages:
            data = batches.encode_batch(codec.DATA, number, head + 1, [b"m"] * messages)[0]
            self.comes(node, data)

    def follows(self, *wishes: tuple[int, int]) -> None:
        """The third node follows the topic, once from each of these."""
        number = self.core.relayed.topics["far", "x"].stream.topic_id
        for wish in wishes:
            self.comes("third", codec.encode_follow(codec.FOLLOW, number, *wish))

    def sent(
        self,
        wanted: int = codec.FOLLOW,
        decode: Callable[[bytes], tuple[int, ...]] = codec.decode_follow,
    ) -> list[tuple[str, tuple[int, ...]]]:
        """Each FOLLOW that has gone out since it was last asked, and to whom; or other records."""
        frames = []
        for _ in range(3):  # what is replayed, or asked for, goes out with the next call
            self.now += 0.01
            frames += self.core.take_sends(self.now)
        return [
            (conn.decode(), decode(frame[0][start:end]))
            for conn, frame in frames
            for kind, start, end, _ in codec.records(frame)
            if kind == wanted
        ]


def path_record(*relays: str, complete: bool = True) -> bytes:
    return codec.encode_node(NodeEntry("x", *INCARNATION, 1 << 20, relays, complete))


@pytest.fixture
def relay() -> Relay:
    """Its own subscription is in force, and has got three messages."""
    relay = Relay()
    relay.offers("one", 7, epoch=5)
    assert relay.sent() == [("one", (7, 0, codec.EVERYTHING))]
    relay.begins("one", 7, 0, messages=3)
    return relay


def test_path_that_takes_over_is_asked_from_where_the_first_of_them_is(relay: Relay) -> None:
    # The peers behind do not know yet where they begin: for them the end would be enough. But this
    # node's own subscription would then miss what it lacks.
    relay.offers("two", 9, epoch=5)
    relay.follows((0, 0))
    relay.sent()
    relay.core.lost(b"one", "closed", 10.2)
    assert relay.sent() == [("two", (9, 5, 3))]


def test_path_that_this_node_listens_to_already_is_asked_for_those_behind(relay: Relay) -> None:
    # They waited for the answer on the other path, and to another number.
    relay.offers("two", 9, epoch=5)
    relay.follows((0, 0))
    for _ in range(3):
        relay.core.announced[relay.link("one")].ask(relay.core.effects, b"")
    relay.sent()
    relay.comes("one", path_record("one", "farther"))
    assert relay.sent() == [("two", (9, 5, 3)), ("two", (9, 0, 0))]
    relay.begins("two", 9, 3)
    assert relay.core.relayed.topics["far", "x"].is_begun


def test_path_that_goes_on_for_those_behind_is_asked_for_this_node(relay: Relay) -> None:
    # Its own subscription was about to go over to a newer epoch, of which no more is heard.
    relay.offers("two", 9, epoch=6)
    relay.follows((0, 0))
    relay.begins("one", 7, 20)
    relay.sent()
    relay.core.lost(b"two", "closed", 10.2)
    assert relay.sent() == [("one", (7, 5, 3))]
    relay.comes("one", batches.encode_batch(codec.DATA, 7, 21, [b"m"])[0])
    relay.begins("one", 7, 3, messages=18)
    assert relay.core.counters.missed_msgs == 0


@pytest.mark.parametrize(
    ("wishes", "begin"),
    [
        ([(4, 30), (5, 10)], 1),
        ([(5, 10), (4, 30)], 1),
        ([(5, 10), (0, codec.EVERYTHING)], 1),
        ([(5, 10), (5, 8), (0, 0)], 9),
        ([(0, 0), (5, 10)], 11),
        ([(0, 0), (0, 5), (0, 0)], 16),
    ],
)
def test_wishes_of_a_link_that_wait_become_the_one_for_which_most_comes(
    relay: Relay, wishes: list[tuple[int, int]], begin: int
) -> None:
    relay.follows(*wishes)
    relay.begins("one", 7, 20)
    topic = relay.core.relayed.topics["far", "x"]
    assert relay.core.subscribers[relay.link("third")].cursors[topic.stream] == begin


def test_wish_that_comes_before_it_is_known_where_the_first_begins_tells_nothing(
    relay: Relay,
) -> None:
    # It would be told that it begins at the first message ever, and count all that is not held.
    relay.follows((0, codec.EVERYTHING))
    relay.begins("one", 7, 20)
    relay.follows((0, 7))
    assert relay.sent(codec.HEAD, codec.decode_head) == []
    topic = relay.core.relayed.topics["far", "x"]
    assert relay.core.subscribers[relay.link("third")].cursors[topic.stream] == 1
    relay.comes("one", codec.encode_fetch(codec.FETCHED, 7, 1, 20))
    assert relay.sent(codec.HEAD, codec.decode_head) == [("third", (topic.stream.topic_id, 20, 2))]


def test_hole_in_what_the_host_holds_is_none_of_what_comes_before_it(relay: Relay) -> None:
    # A message too large for a relay is gone for it; what is older can be had all the same.
    for record in (
        new_cluster("fourth", now=1.0).handshake.me.encode(),
        codec.record(codec.CONFIRM),
    ):
        relay.comes("fourth", record)
    relay.follows((5, 9))
    relay.begins("one", 7, 20)
    topic = relay.core.relayed.topics["far", "x"]
    assert relay.sent(codec.FETCH, codec.decode_fetch) == [("one", (7, 10, 20))]
    relay.comes("one", codec.encode_fetch(codec.FETCHED, 7, 10, 12))
    relay.comes("fourth", codec.encode_follow(codec.FOLLOW, topic.stream.topic_id, 5, 3))
    assert relay.sent(codec.FETCH, codec.decode_fetch) == [("one", (7, 13, 20))]
    relay.comes("one", codec.encode_fetch(codec.FETCHED, 7, 13, 20))
    assert relay.sent(codec.FETCH, codec.decode_fetch) == [("one", (7, 4, 20))]
    again = batches.encode_batch(codec.AGAIN, 7, 4, [b"m"] * 6)[0]
    relay.comes("one", again, codec.encode_fetch(codec.FETCHED, 7, 4, 0))
    heads = relay.sent(codec.HEAD, codec.decode_head)
    assert {(conn, head) for conn, (_, head, _) in heads} == {("fourth", 12), ("fourth", 20)}
    assert relay.core.counters.replayed_msgs == 6
