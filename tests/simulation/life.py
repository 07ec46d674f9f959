"""The memory of the oracle: each creation of a topic, and each run of a node's process."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING

from spot.core.data.inbox import Delivery, MultiDelivery
from spot.core.link import Link
from tests.simulation.connections import LEAVE, Connection

if TYPE_CHECKING:
    from tests.simulation.node import Node

TOLD_S = 0.5
"""An orderly end reaches a peer within this time, over a link that no fault disturbed."""


@cache
def _matcher(name: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(piece) for piece in name.split("*")), re.DOTALL)


@cache
def matches(name: str, topic: str) -> bool:
    """The reference for subscriptions, exact ones and patterns."""
    return _matcher(name).fullmatch(topic) is not None


class Stream:
    """One creation of a topic: what its host ordered, and how it ended.

    The host's replay buffer has dropped messages up to ``dropped``; those in ``unkept`` were too
    large for it. ``heralded`` has the nodes that the news of its creation should reach at once, and
    on what; ``told`` those that the news of an orderly end should reach.
    """

    def __init__(
        self, topic: str, node: str, epoch: int, now: float, *, standby: bool = False
    ) -> None:
        self.topic = topic
        self.node = node
        self.epoch = epoch
        self.standby = standby
        self.payloads: list[bytes] = []
        self.times: list[float] = []
        self.dropped = 0
        self.drops: list[tuple[float, int]] = []
        self.unkept: set[int] = set()
        self.created = now
        self.ended = ""
        self.ended_at = 0.0
        self.heralded: dict[Life, Connection] = {}
        self.told: dict[Life, Connection] = {}

    def is_known_to(self, life: Life, following: Stream) -> bool:
        """Whether its end must have reached a subscriber, and whether another stream follows it."""
        connection = self.told.get(life)
        if connection is None:
            return False
        if self.ended == "left":
            heard = not connection.disturbed or connection.disturbed_at >= self.ended_at + TOLD_S
            return heard or connection.disturbed == LEAVE
        if life.name == self.node:
            return True
        if following.heralded.get(life) is not connection:
            return False
        return not connection.disturbed or connection.disturbed_at >= following.created + TOLD_S

    def drop(self, last: int, now: float) -> None:
        """The host's replay buffer drops its messages up to this one."""
        self.dropped = last
        self.drops.append((now, last))

    def is_lost(self, sequence: int) -> bool:
        """Whether the replay buffer could not replay this message."""
        return sequence <= self.dropped or sequence in self.unkept

    def asked_and_lost(self, moment: float, before: int) -> int:
        """How many below ``before``, older than a moment, the buffer held then and has dropped."""
        older = bisect_left(self.times, moment)
        return max(0, min(self.dropped, older, before - 1) - self._gone_at(moment))

    def held_at(self, moment: float) -> int:
        """How many messages the replay buffer held at a moment."""
        if self.ended and self.ended_at < moment:
            return 0
        return max(0, bisect_left(self.times, moment) - self._gone_at(moment))

    def _gone_at(self, moment: float) -> int:
        """The last message that the replay buffer had dropped at a moment."""
        at = bisect_left(self.drops, (moment, 0))
        return self.drops[at - 1][1] if at else 0

    def under_way(self, head: int, moment: float, before: int) -> int:
        """How many below ``before``, older than a moment, come after a sequence."""
        return max(0, min(bisect_left(self.times, moment), before - 1) - head)

    def since(self, moment: float, before: int) -> int:
        """How many messages with a sequence below ``before`` were ordered at or after a moment."""
        return max(0, before - 1 - bisect_left(self.times, moment))


class Reader:
    """What one subscription got of one topic. ``fresh`` until the first message since it began.

    It began at ``since``; one before it was ``left``. ``in_force`` says since when it is, by host.
    ``stale`` is what waited for the application when it unsubscribed and subscribed again; the
    ``turns`` among that are where what another subscription got begins. What waits may belong to
    one that began at ``oldest``. ``unknown`` counts messages that said None.
    """

    def __init__(self, since: float) -> None:
        self.stream: Stream | None = None
        self.last: dict[Stream, int] = {}
        self.link: Link | None = None
        self.fresh = True
        self.unknown = 0
        self.since = self.left = self.oldest = since
        self.in_force: dict[str, float] = {}
        self.stale: list[Delivery | MultiDelivery] = []
        self.turns: list[Delivery | MultiDelivery] = []


class Seen:
    """A link that is up, as events tell it, with an incarnation of the peer (``life``)."""

    def __init__(
        self, link: Link | None, connection: Connection | None, since: float, life: Life | None
    ) -> None:
        self.link = link
        self.connection = connection
        self.since = since
        self.life = life
        self.topics: set[str] = set()


class Wait:
    """The expected backoff of one configured endpoint. It is not ``strict`` where several endpoints
    lead to one node."""

    def __init__(self, first: float) -> None:
        self.step = first
        self.due: float | None = None
        self.strict = True


class Life:
    """One run of a node's process.

    ``names`` are its subscriptions, and when they began; ``confirmed`` says since when hosts know
    of them. ``published`` has what it published to REMOTE topics, and to which life of their host.
    ``untold`` has the links with lost hosts that ``recv`` has not told of yet, ``maybe`` the lost
    hosts of topics that others host too: who was listened to is the core's choice. No message
    may come of a link that is ``closed``. With relays, ``lost`` counts outages not yet
    told, by host, and ``begins`` has where relays were in streams when it subscribed to them.
    ``broken`` has the peers of links that ended without a goodbye, or just after they began, and
    when.
    """

    def __init__(self, node: Node, now: float) -> None:
        self.node = node
        self.started = now
        self.leaving = False
        self.still_until = now
        self.names: dict[str, float] = {}
        self.readers: dict[str, Reader] = {}
        self.streams: list[Stream] = []
        self.published: dict[bytes, Life | None] = {}
        self.confirmed: dict[str, dict[str, float]] = {}
        self.up: dict[str, Seen] = {}
        self.untold: dict[str, list[Link | None]] = {}
        self.maybe: set[str] = set()
        self.closed: set[Link] = set()
        self.lost: Counter[str] = Counter()
        self.begins: dict[Stream, int] = {}
        self.broken: list[tuple[float, str]] = []
        self.waits: dict[str, Wait] = {}
        self.messages = 0
        self.missed = 0
        self.unknown = 0

    @property
    def name(self) -> str:
        return self.node.name

    def still(self, until: float) -> None:
        """The node is stopped, or late, until then."""
        self.still_until = max(self.still_until, until)

    def wants(self, topic: str) -> bool:
        return any(matches(name, topic) for name in self.names)

    def reader(self, topic: str) -> Reader:
        reader = self.readers.get(topic)
        if reader is None:
            began = [since for name, since in self.names.items() if matches(name, topic)]
            reader = self.readers[topic] = Reader(min(began, default=self.started))
        return reader
