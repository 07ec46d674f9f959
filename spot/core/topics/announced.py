"""What a peer has announced on its link: itself, nodes behind it, and the topics of all of them."""

from __future__ import annotations

from spot.core.effects import Effects
from spot.core.link import Link
from spot.core.topics.position import Position
from spot.core.topics.subscription_requests import Requests
from spot.core.wire.greeting import Incarnation


class Path:
    """How a node can be reached: over the link to itself, or through ``relays``, nearest first.

    ``is_complete`` says that its topics have been announced on that path; ``ended`` are the names
    of topics whose end was told there.
    """

    __slots__ = ("bytes_max", "ended", "incarnation", "is_complete", "link", "node", "relays")

    def __init__(
        self,
        node: str,
        incarnation: Incarnation,
        bytes_max: int,
        relays: tuple[str, ...],
        link: Link,
    ) -> None:
        self.node = node
        self.incarnation = incarnation
        self.bytes_max = bytes_max
        self.relays = relays
        self.link = link
        self.is_complete = False
        self.ended: set[str] = set()

    @property
    def hops(self) -> int:
        """How many relays are on the path. The link to the node itself has none."""
        return len(self.relays)


class RemoteTopic:
    """A topic of another node, as it was announced on one link.

    It outlives the link, so that a publish can say which host is lost: ``link`` is None then.
    A topic behind relays is followed ``for_here``, for subscriptions of this node, and
    ``for_others`` behind this node. Messages that come before the answer to the link's INTEREST or
    FOLLOW number ``asked`` are not for this node's present subscriptions. ``asked`` is 0 when the
    answer has come.
    """

    __slots__ = (
        "asked",
        "epoch",
        "for_here",
        "for_others",
        "link",
        "name",
        "path",
        "standby",
        "topic_id",
    )

    def __init__(
        self,
        topic_id: int,
        name: str,
        epoch: int,
        link: Link,
        standby: bool = False,
        path: Path | None = None,
    ) -> None:
        self.topic_id = topic_id
        self.name = name
        self.epoch = epoch
        self.standby = standby
        self.link: Link | None = link
        self.path = path or Path(link.node, link.incarnation, link.bytes_max, (), link)
        self.for_here = self.for_others = False
        self.asked = 0

    @property
    def is_followed(self) -> bool:
        return self.for_here or self.for_others

    @property
    def node(self) -> str:
        """The host."""
        return self.path.node

    @property
    def incarnation(self) -> Incarnation:
        return self.path.incarnation


class Announced:
    """What the peer has announced on a link: ``topics`` by number, ``paths`` by node.

    ``synced`` says that the peer has announced all its topics. ``ignored`` are numbers of topics
    that are of no use here, with their hosts; ``loops`` nodes that would be reached through this
    node itself. ``awaiting`` are followed topics whose beginning the peer has not told yet.
    ``streams`` are the positions in topics that subscriptions here get as they come, by number of
    the topic; they are valid for the registry's version ``streams_as_of``.
    """

    __slots__ = (
        "awaiting",
        "ignored",
        "link",
        "loops",
        "paths",
        "requests",
        "streams",
        "streams_as_of",
        "synced",
        "topics",
    )

    def __init__(self, link: Link) -> None:
        self.link = link
        self.topics: dict[int, RemoteTopic] = {}
        self.paths: dict[str, Path] = {}
        self.synced = False
        self.ignored: dict[int, str] = {}
        self.loops: set[str] = set()
        self.requests = Requests()
        self.awaiting: set[RemoteTopic] = set()
        self.streams: dict[int, Position] = {}
        self.streams_as_of = -1

    def ask(self, effects: Effects, record: bytes) -> None:
        """Sends an INTEREST or FOLLOW. A HEAD says how many of them its sender had handled."""
        self.requests.sent += 1
        effects.control(self.link, record)
