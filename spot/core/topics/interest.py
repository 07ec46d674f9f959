"""The topics that are wanted: a set of subscriptions, and this node's own with their positions."""

from __future__ import annotations

from spot.core.topics.patterns import Patterns
from spot.core.topics.position import Position
from spot.core.wire.codec import EVERYTHING
from spot.core.wire.interests import EXACT, PATTERN, POSITION, InterestEntry


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


class Subscriptions:
    """This node's own subscriptions, with the positions reached in the topics that they match.

    A topic has a position for each node that hosts it, as the streams of two hosts differ. Where
    there is no position yet, the stream of a topic that was announced after the subscription is
    taken from its beginning, as far as the host's replay buffer holds it; every other stream is
    taken from now on. ``newest`` says how many of the newest messages a subscription asked for
    instead. ``told`` has, by node, the subscriptions that the node knew when it announced all its
    topics: topics that it announces later are younger than these subscriptions. ``in_doubt`` has,
    by topic, the streams that were lost while their ends were unknown, and that no stream has
    followed yet: the epoch by node.
    """

    __slots__ = ("in_doubt", "interest", "newest", "positions", "told", "wants")

    def __init__(self) -> None:
        self.interest = Interest()
        # Whether any subscription matches a topic. Called for each batch, so without a detour.
        self.wants = self.interest.wants
        self.positions: dict[str, dict[str, Position]] = {}
        self.newest: dict[str, int] = {}
        self.told: dict[str, set[str]] = {}
        self.in_doubt: dict[str, dict[str, int]] = {}

    @property
    def topics(self) -> set[str]:
        """The subscriptions to exact topics."""
        return self.interest.topics

    @property
    def patterns(self) -> Patterns:
        """The subscriptions to patterns."""
        return self.interest.patterns

    def add(self, name: str, *, pattern: bool) -> bool:
        """True if it is new."""
        return self.interest.add(name, pattern=pattern)

    def remove(self, name: str, *, pattern: bool) -> bool:
        """True if it was there. Forgets the positions of topics that nothing matches any more."""
        if not self.interest.remove(name, pattern=pattern):
            return False
        for told in self.told.values():
            told.discard(name)
        self.newest.pop(name, None)
        topics = list(self.positions) if pattern else [name]
        for topic in topics:
            if not self.wants(topic):
                self.positions.pop(topic, None)
                self.in_doubt.pop(topic, None)
        return True

    def position(self, topic: str, node: str) -> Position | None:
        """The position in the stream that one node hosts under a name."""
        return self.positions.get(topic, {}).get(node)

    def new_position(self, topic: str, node: str) -> Position:
        """The same position. It is made if there is none."""
        by_node = self.positions.setdefault(topic, {})
        position = by_node.get(node)
        if position is None:
            position = by_node[node] = Position()
        return position

    # Streams that were lost

    def stream_lost(self, topic: str, node: str, epoch: int) -> None:
        """A stream that was listened to has broken off. It is in doubt, unless its end is known.

        Before any host has told where a subscription begins, nothing can be missed. The position
        may be in a later epoch, whose announcement is still to come.
        """
        positions = self.positions.get(topic, {})
        has_begun = any(position.epoch for position in positions.values())
        position = positions.get(node)
        if position is not None:
            epoch = max(epoch, position.epoch)
        is_final = position is not None and position.epoch == epoch and position.final
        if has_begun and not is_final:
            self.in_doubt.setdefault(topic, {}).setdefault(node, epoch)
            if position is not None:
                position.told = False

    def stream_ended(self, topic: str, node: str, epoch: int) -> None:
        """A host has told the end of a stream."""
        lost = self.in_doubt.get(topic)
        if lost is not None and lost.get(node) == epoch:
            del lost[node]
            if not lost:
                del self.in_doubt[topic]

    def stream_goes_on(self, topic: str, node: str, epoch: int) -> int | None:
        """A message of a stream is about to be delivered. Settles the doubt about other streams.

        If one of them was lost, nobody can know how many of its messages are missed, and this
        message says so. Returns None if that is news, otherwise 0.
        """
        lost = self.in_doubt.pop(topic)
        if lost == {node: epoch}:
            return 0
        is_news = True
        for other, ended in lost.items():
            lost_position = self.position(topic, other)
            if lost_position is None:
                # Nothing of it had come. A position made now would say: from now on.
                continue
            if lost_position.owed is None:
                # It was counted when the host began another epoch, and is told now.
                is_news = False
                lost_position.owed = 0
            if lost_position.epoch == ended:
                lost_position.told = True
        position = self.new_position(topic, node)
        is_news = is_news and position.owed is not None
        position.owed = None
        position.told = False
        return None if is_news else 0

    # What nodes are told

    def entry(self, name: str, node: str, *, pattern: bool) -> InterestEntry:
        """One subscription, in the form that a node is told."""
        if pattern:
            # A node that knows the pattern has announced every topic that it had then.
            told = name in self.told.get(node, ())
            self.told.setdefault(node, set()).add(name)
            return InterestEntry(PATTERN, 0, EVERYTHING if told else 0, name)
        return InterestEntry(EXACT, *self.reached(name, node), name)

    def reached(self, name: str, node: str) -> tuple[int, int]:
        """Epoch and sequence from which on a topic is wanted of a node, as INTEREST says it."""
        position = self.position(name, node)
        if position is None:
            newest = 0 if name in self.told.get(node, ()) else self.newest.get(name, 0)
            return 0, newest or EVERYTHING
        if position.epoch == 0:
            return 0, self.newest.get(name, 0)
        return position.epoch, position.last

    def awaits(self, name: str, node: str) -> None:
        """Notes that a node has announced all its topics, and not this one.

        If the node announces the topic later, the topic has begun since then. The subscription
        gets it from its first message, and not only its newest messages.
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
