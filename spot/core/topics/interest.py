"""Subscriptions: one's own, what peers say of theirs, and the record that says it."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

from spot.core.topics.patterns import Patterns
from spot.core.topics.position import Position
from spot.core.wire.codec import EVERYTHING, SEQ_MAX, ProtocolError, record, text_of

EXACT = 0
PATTERN = 1
POSITION = 2

_INTEREST = struct.Struct("<BQQB")


class InterestEntry(NamedTuple):
    """A subscription as a peer tells it, and from where on it wants the stream.

    ``kind`` is EXACT, PATTERN, or POSITION: not a subscription, but the position reached in a topic
    that a pattern matches. The position is ``last`` of ``epoch``; where the epoch is 0 there is
    none, and ``last`` says how many of the newest messages are to come first.
    """

    kind: int
    epoch: int
    last: int
    name: str


def encode_interest(kind: int, entries: Iterable[InterestEntry]) -> bytes:
    """INTEREST or INTEREST_GONE."""
    parts = []
    for sort, epoch, last, name in entries:
        encoded = name.encode()
        parts.append(_INTEREST.pack(sort, epoch, last, len(encoded)))
        parts.append(encoded)
    return record(kind, b"".join(parts))


def decode_interest(body: bytes) -> list[InterestEntry]:
    entries = []
    at = 0
    while at < len(body):
        if len(body) - at < _INTEREST.size:
            raise ProtocolError("an interest list is cut off")
        kind, epoch, last, size = _INTEREST.unpack_from(body, at)
        at += _INTEREST.size
        if kind > POSITION or (epoch and last >= SEQ_MAX):
            raise ProtocolError(f"an interest is of kind {kind}, its position {last} of {epoch}")
        entries.append(InterestEntry(kind, epoch, last, text_of(body, at, size)))
        at += size
    return entries


class Interest:
    """A set of exact topics and of patterns."""

    __slots__ = ("patterns", "topics")

    def __init__(self) -> None:
        self.topics: set[str] = set()
        self.patterns = Patterns()

    def add(self, name: str, *, pattern: bool) -> bool:
        """True if it is new."""
        if pattern:
            return self.patterns.add(name)
        if name in self.topics:
            return False
        self.topics.add(name)
        return True

    def remove(self, name: str, *, pattern: bool) -> bool:
        """True if it was there."""
        if pattern:
            return self.patterns.remove(name)
        if name in self.topics:
            self.topics.remove(name)
            return True
        return False

    def wants(self, topic: str) -> bool:
        return topic in self.topics or self.patterns.matches(topic)

    def __len__(self) -> int:
        return len(self.topics) + len(self.patterns)


class Subscriptions(Interest):
    """One's own subscriptions, with the positions reached in the topics that they match.

    A topic has a position for each node that hosts it: their streams are not the same. Where
    there is none yet, a stream is taken from its beginning, as far as history holds it, if the
    topic was announced after the subscription; else from now on. ``newest`` says how many of the
    newest messages a subscription asked for instead. ``told`` has, by node, the subscriptions for
    which it has nothing older than they are but what it has announced.
    """

    __slots__ = ("newest", "positions", "told")

    def __init__(self) -> None:
        super().__init__()
        self.positions: dict[str, dict[str, Position]] = {}
        self.newest: dict[str, int] = {}
        self.told: dict[str, set[str]] = {}

    def position(self, topic: str, node: str) -> Position | None:
        """The position in what one node hosts."""
        return self.positions.get(topic, {}).get(node)

    def new_position(self, topic: str, node: str) -> Position:
        """The same; if there is none, it is there from now on."""
        by_node = self.positions.setdefault(topic, {})
        position = by_node.get(node)
        if position is None:
            position = by_node[node] = Position()
        return position

    def entry(self, name: str, node: str, *, pattern: bool) -> InterestEntry:
        """One subscription, as it is told to a node."""
        if pattern:
            # Who knows of it already has announced every topic that it had then.
            told = name in self.told.get(node, ())
            self.told.setdefault(node, set()).add(name)
            return InterestEntry(PATTERN, 0, EVERYTHING if told else 0, name)
        return InterestEntry(EXACT, *self.reached(name, node), name)

    def reached(self, name: str, node: str) -> tuple[int, int]:
        """Epoch and sequence from where on a topic is wanted of a node, as INTEREST says it."""
        position = self.position(name, node)
        if position is None:
            newest = 0 if name in self.told.get(node, ()) else self.newest.get(name, 0)
            return 0, newest or EVERYTHING
        if position.epoch == 0:
            return 0, self.newest.get(name, 0)
        return position.epoch, position.last

    def awaits(self, name: str, node: str) -> None:
        """A node has announced all its topics, without this one. If it does later, that has begun
        since then, and not only its newest messages are wanted.
        """
        self.told.setdefault(node, set()).add(name)

    def entries(self, node: str) -> list[InterestEntry]:
        """All subscriptions and positions, as they are told to a node on a new link."""
        found = [self.entry(name, node, pattern=False) for name in self.topics]
        found += [
            InterestEntry(POSITION, by_node[node].epoch, by_node[node].last, topic)
            for topic, by_node in self.positions.items()
            if node in by_node and topic not in self.topics
        ]
        found += [self.entry(name, node, pattern=True) for name in self.patterns]
        return found

    def remove(self, name: str, *, pattern: bool) -> bool:
        """Also forgets the positions of topics that nothing matches any more."""
        if not super().remove(name, pattern=pattern):
            return False
        for told in self.told.values():
            told.discard(name)
        self.newest.pop(name, None)
        topics = list(self.positions) if pattern else [name]
        for topic in topics:
            if not self.wants(topic):
                self.positions.pop(topic, None)
        return True
