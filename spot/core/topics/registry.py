"""Which topics there are, and who hosts them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from spot.core.link import Link
from spot.core.topics.patterns import Pattern, Patterns
from spot.core.wire.greeting import Incarnation

if TYPE_CHECKING:
    from spot.core.data.replay import Here
    from spot.core.data.replay_buffer import History
    from spot.core.wire.batches import Chunk


class HostedTopic:
    """A LOCAL topic: its epoch, its newest sequence, its history, and who wants it.

    Of the ``links`` that want it, those that are ``live`` get each batch as it is made; who is
    ``lacking`` something, this node itself included, reads its history. Who is ``untold`` has not
    heard where its stream begins. When it is destroyed it ``has_ended``.
    """

    __slots__ = (
        "chunk_msgs",
        "epoch",
        "has_ended",
        "head",
        "history",
        "lacking",
        "links",
        "live",
        "local",
        "name",
        "standby",
        "topic_id",
        "untold",
    )

    history: History
    is_relayed = False

    def __init__(self, topic_id: int, name: str, epoch: int, standby: bool = False) -> None:
        self.topic_id = topic_id
        self.name = name
        self.epoch = epoch
        self.standby = standby
        self.has_ended = False
        self.head = 0
        self.links: list[Link] = []
        self.live: list[Link] = []
        self.lacking: dict[Link | Here, None] = {}
        self.untold: set[Link | Here] = set()
        self.local = False
        self.chunk_msgs = 1

    def fit_chunks(self, most: int) -> None:
        """A batch is never more than a quarter of any subscriber's window."""
        self.chunk_msgs = min([most, *(max(1, link.window_msgs // 4) for link in self.links)])


class Relayed(HostedTopic):
    """A topic of another node that this one passes on, under a number of its own.

    While somebody wants it, ``source`` is followed: once ``is_begun``, ``head`` is the newest
    sequence that came. Until then who wants it waits in ``pending``, with a position. What the
    history does not hold is fetched from the source, a piece at a time (``is_fetching``): it
    stands in ``again``. What nobody holds any more, or can send here, is ``gone``: ranges, first
    and last, of what somebody still lacks. ``asking`` has the relays behind that fetch from
    here. What comes before the answer to the source's FOLLOW number ``asked`` belongs to an
    earlier one; 0 when it has come. ``final`` is the last sequence, once its host has left.
    """

    __slots__ = (
        "again",
        "asked",
        "asking",
        "final",
        "gone",
        "is_begun",
        "is_fetching",
        "node",
        "pending",
        "source",
    )

    is_relayed = True

    def __init__(self, topic_id: int, source: RemoteTopic) -> None:
        super().__init__(topic_id, source.name, source.epoch, source.standby)
        self.node = source.node
        self.source = source
        self.is_begun = False
        self.is_fetching = False
        self.asked = 0
        self.pending: dict[Link, tuple[int, int]] = {}
        self.again: list[Chunk] = []
        self.asking: dict[Link, tuple[int, int]] = {}
        self.gone: list[tuple[int, int]] = []
        self.final: int | None = None

    @property
    def is_wanted(self) -> bool:
        return bool(self.pending or self.links or self.asking)

    def forget(self) -> None:
        """Nobody wants it any more."""
        self.is_begun = self.is_fetching = False
        self.again.clear()
        self.head = 0
        self.gone.clear()

    def gone_from(self, at: int) -> int:
        """Up to where nobody holds anything from a sequence on; 0 if that is not known."""
        return next((last for first, last in self.gone if first <= at <= last), 0)

    def note_gone(self, first: int, last: int) -> None:
        """Nobody holds anything of these. What nobody asks for any more is forgotten."""
        wanted = [one.lacks[self] for one in self.lacking]
        wanted += [asked for asked, _ in self.asking.values()]
        oldest = min(wanted, default=last + 1)
        self.gone = [gone for gone in (*self.gone, (first, last)) if gone[1] >= oldest]


class Way:
    """How a node can be reached: over a link to itself, or through relays, nearest first.

    ``is_complete`` says that its topics have been announced on that way.
    """

    __slots__ = ("bytes_max", "ended", "incarnation", "is_complete", "link", "node", "path")

    def __init__(
        self,
        node: str,
        incarnation: Incarnation,
        bytes_max: int,
        path: tuple[str, ...],
        link: Link,
    ) -> None:
        self.node = node
        self.incarnation = incarnation
        self.bytes_max = bytes_max
        self.path = path
        self.link = link
        self.is_complete = False
        self.ended: set[str] = set()

    @property
    def rank(self) -> int:
        """A link to the node itself comes first, then who has fewer relays between."""
        return len(self.path)


class RemoteTopic:
    """A topic as one peer hosts it. It outlives the link, so that a publish can say who is lost.

    It is followed ``for_here``, for subscriptions of this node, and ``for_others`` behind it. What
    comes before the answer to the link's INTEREST or FOLLOW number ``asked`` is not for this node's
    subscriptions as they are now; 0 when it has come.
    """

    __slots__ = (
        "asked",
        "epoch",
        "for_here",
        "for_others",
        "link",
        "name",
        "standby",
        "topic_id",
        "way",
    )

    def __init__(
        self,
        topic_id: int,
        name: str,
        epoch: int,
        link: Link,
        standby: bool = False,
        way: Way | None = None,
    ) -> None:
        self.topic_id = topic_id
        self.name = name
        self.epoch = epoch
        self.standby = standby
        self.link: Link | None = link
        self.way = way or Way(link.node, link.incarnation, link.bytes_max, (), link)
        self.for_here = self.for_others = False
        self.asked = 0

    @property
    def followed(self) -> bool:
        return self.for_here or self.for_others

    @property
    def node(self) -> str:
        """The host."""
        return self.way.node

    @property
    def incarnation(self) -> Incarnation:
        return self.way.incarnation


class Registry:
    """LOCAL topics by name and number, REMOTE topics by name and host, and who is listened to.

    Where several nodes host a topic, a subscriber stays with the host that it has while that one is
    up; else the earliest created wins, then the lowest node id. A host that stands by is listened
    to only while no other is up. A route names the host itself. ``wants`` says whether there is a
    subscription to a topic, which would have to change hosts. ``version`` rises with all that may
    change what a subscription gets.
    """

    def __init__(self, wants: Callable[[str], bool]) -> None:
        self._wants = wants
        self.local: dict[str, HostedTopic] = {}
        self.local_by_id: dict[int, HostedTopic] = {}
        self.standbys: dict[str, HostedTopic] = {}
        self.remote: dict[str, dict[str, RemoteTopic]] = {}
        self.ways: dict[tuple[str, str], dict[Link, RemoteTopic]] = {}
        self.relayed: dict[tuple[str, str], Relayed] = {}
        self.relayed_by_id: dict[int, Relayed] = {}
        self.routes: dict[str, str] = {}
        self._chosen: dict[str, str] = {}
        self.next_id = 1
        self.version = 0

    def create(self, name: str, epoch: int, *, standby: bool = False) -> HostedTopic:
        self.version += 1
        topic = HostedTopic(self.next_id, name, epoch, standby)
        if standby:
            self.standbys[name] = topic
        self.next_id += 1
        self.local[name] = topic
        self.local_by_id[topic.topic_id] = topic
        return topic

    def destroy(self, topic: HostedTopic) -> None:
        self.version += 1
        topic.has_ended = True
        del self.local[topic.name]
        del self.local_by_id[topic.topic_id]
        self.standbys.pop(topic.name, None)

    def matching(self, name: str, *, pattern: bool) -> list[HostedTopic]:
        """The LOCAL topics that a subscription matches."""
        return [self.local[topic] for topic in _matching(self.local, name, pattern=pattern)]

    def matching_remote(self, name: str, *, pattern: bool) -> list[str]:
        """The names of the REMOTE topics that a subscription matches."""
        return _matching(self.remote, name, pattern=pattern)

    def matched(self, patterns: Iterable[str]) -> Iterator[tuple[HostedTopic, list[str]]]:
        """The LOCAL topics that any of the patterns matches, each with all that match it."""
        index = Patterns(patterns)
        for topic in self.local.values() if index else ():
            matching = index.matching(topic.name)
            if matching:
                yield topic, matching

    def announce(self, topic: RemoteTopic) -> None:
        """A way to a host's topic is there; of several, one is active."""
        assert topic.link is not None
        ways = self.ways.setdefault((topic.name, topic.node), {})
        if not topic.way.path:
            # There is one link to a node: an earlier one has been replaced.
            for link in [link for link, way in ways.items() if not way.way.path]:
                del ways[link]
        ways[topic.link] = topic
        self.settle(topic.name, topic.node)

    def end_way(self, topic: RemoteTopic) -> None:
        """A way to a host's topic is lost; another may take over."""
        key = (topic.name, topic.node)
        ways = self.ways.get(key, {})
        if topic.link is not None and ways.get(topic.link) is topic:
            del ways[topic.link]
            if not ways:
                del self.ways[key]
        topic.link = None
        self.settle(*key)

    def settle(self, name: str, node: str) -> None:
        """Takes the best way to a host's topic: direct, else the newest epoch, else the shortest,
        else the one that it is.
        """
        ways = self.ways.get((name, node))
        if ways:
            hosts = self.remote.setdefault(name, {})
            now = hosts.get(node)
            hosts[node] = min(
                ways.values(),
                key=lambda topic: (
                    topic.way.rank > 0,
                    -topic.epoch,
                    topic.way.rank,
                    topic is not now,
                    topic.way.path,
                ),
            )
        self.choose(name)

    def active(self, name: str, node: str) -> RemoteTopic | None:
        """The topic of a host on the active way, or as it was when the last way was lost."""
        return self.remote.get(name, {}).get(node)

    def withdraw(self, name: str, node: str) -> None:
        self.version += 1
        self.ways.pop((name, node), None)
        hosts = self.remote.get(name)
        if hosts is None or hosts.pop(node, None) is None:
            return
        if not hosts:
            del self.remote[name]
            self._chosen.pop(name, None)
        else:
            self.choose(name)

    def choose(self, name: str) -> None:
        """Settles who is listened to, after hosts of the topic came, went, or were lost."""
        self.version += 1
        hosts = self.remote.get(name)
        if not hosts:
            self._chosen.pop(name, None)
            return
        route = self.routes.get(name)
        if route is not None:
            self._chosen[name] = route
            return
        now = hosts.get(self._chosen.get(name, ""))
        up = [topic for topic in hosts.values() if topic.link is not None]
        if now is not None and now.link is not None:
            stays = len(hosts) == 1 or self._wants(name)
            if stays and (not now.standby or _all_stand_by(up)):
                return
        if up:
            self._chosen[name] = min(up, key=_precedence).node
        elif now is None:
            self._chosen[name] = min(hosts.values(), key=_precedence).node

    def host_of(self, name: str) -> RemoteTopic | None:
        """The REMOTE topic that is listened and published to; its link is None while it is lost."""
        hosts = self.remote.get(name)
        if not hosts:
            return None
        return hosts.get(self.routes.get(name) or self._chosen.get(name, ""))

    def choose_anew(self, names: Iterable[str]) -> None:
        """A subscription has ended: its topics have no host to stay with any more."""
        self.version += 1
        for name in names:
            if len(self.remote.get(name, ())) > 1:
                self.choose(name)

    def hears_itself(self, topic: HostedTopic) -> bool:
        """Whether subscriptions here get the LOCAL topic, and not that of another host."""
        if not topic.standby:
            return True
        hosts = self.remote.get(topic.name, {}).values()
        return _all_stand_by([host for host in hosts if host.link is not None])

    def listened(self, name: str) -> RemoteTopic | None:
        """The REMOTE topic whose messages subscriptions here get."""
        local = self.local.get(name)
        if local is not None and self.hears_itself(local):
            return None
        return self.host_of(name)

    def names(self) -> set[str]:
        return {*self.local, *self.remote}


def _matching(names: Mapping[str, object], name: str, *, pattern: bool) -> list[str]:
    if pattern:
        return list(filter(Pattern(name).matches, names))
    return [name] if name in names else []


def _precedence(topic: RemoteTopic) -> tuple[bool, int, str]:
    return topic.standby, topic.epoch, topic.node


def _all_stand_by(hosts: list[RemoteTopic]) -> bool:
    return all(host.standby for host in hosts)
