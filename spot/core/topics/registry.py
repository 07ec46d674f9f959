"""Which topics there are, who hosts them, and which host of several is listened to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from spot.core.link import Link
from spot.core.topics.announced import RemoteTopic
from spot.core.topics.hosted_topic import HostedTopic
from spot.core.topics.patterns import Pattern, Patterns


class Registry:
    """LOCAL topics by name, REMOTE topics by name and host, and which host is listened to.

    Where several nodes host a topic, a subscriber stays with its host while that one is up.
    Otherwise the topic that was created first wins, then the lowest node id. A host that stands by
    is listened to only while no other host is up. A route names the host itself. ``wants`` says
    whether there is a subscription to a topic, which would have to change hosts. ``version`` rises
    with every change that may change what a subscription gets.

    ``sent`` has every topic that this node sends, by number: LOCAL topics, and the topics of other
    nodes that it relays. ``announced`` has each REMOTE topic by name and host, and by the link on
    which it was announced.
    """

    def __init__(self, wants: Callable[[str], bool]) -> None:
        self._wants = wants
        self.local: dict[str, HostedTopic] = {}
        self.sent: dict[int, HostedTopic] = {}
        self.standbys: dict[str, HostedTopic] = {}
        self.remote: dict[str, dict[str, RemoteTopic]] = {}
        self.announced: dict[tuple[str, str], dict[Link, RemoteTopic]] = {}
        self.routes: dict[str, str] = {}
        self._chosen: dict[str, str] = {}
        self.next_id = 1
        self.version = 0

    def take_id(self) -> int:
        """A number for a topic that this node sends. It is not used again."""
        topic_id = self.next_id
        self.next_id += 1
        return topic_id

    def create(self, name: str, epoch: int, *, standby: bool = False) -> HostedTopic:
        """A new LOCAL topic."""
        self.version += 1
        topic = HostedTopic(self.take_id(), name, epoch, standby)
        if standby:
            self.standbys[name] = topic
        self.local[name] = topic
        self.sent[topic.topic_id] = topic
        return topic

    def destroy(self, topic: HostedTopic) -> None:
        self.version += 1
        topic.has_ended = True
        del self.local[topic.name]
        del self.sent[topic.topic_id]
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
        """A host's topic was announced on a link. Of several such links, one is active."""
        assert topic.link is not None
        by_link = self.announced.setdefault((topic.name, topic.node), {})
        if not topic.path.relays:
            # There is one link to a node: an earlier one has been replaced.
            for link in [link for link, other in by_link.items() if not other.path.relays]:
                del by_link[link]
        by_link[topic.link] = topic
        self.settle(topic.name, topic.node)

    def end_announcement(self, topic: RemoteTopic) -> None:
        """A host's topic is not announced on its link any more. Another link may take over."""
        key = (topic.name, topic.node)
        by_link = self.announced.get(key, {})
        if topic.link is not None and by_link.get(topic.link) is topic:
            del by_link[topic.link]
            if not by_link:
                del self.announced[key]
        topic.link = None
        self.settle(*key)

    def settle(self, name: str, node: str) -> None:
        """Chooses on which link a host's topic is taken.

        The link to the host itself comes first, then the newest epoch, then the fewest relays,
        then the link that it is taken on now.
        """
        by_link = self.announced.get((name, node))
        if by_link:
            hosts = self.remote.setdefault(name, {})
            now = hosts.get(node)
            hosts[node] = min(
                by_link.values(),
                key=lambda topic: (
                    topic.path.hops > 0,
                    -topic.epoch,
                    topic.path.hops,
                    topic is not now,
                    topic.path.relays,
                ),
            )
        self.choose(name)

    def active(self, name: str, node: str) -> RemoteTopic | None:
        """The topic of a host on the active link, or as it was when the last link was lost."""
        return self.remote.get(name, {}).get(node)

    def withdraw(self, name: str, node: str) -> None:
        self.version += 1
        self.announced.pop((name, node), None)
        hosts = self.remote.get(name)
        if hosts is None or hosts.pop(node, None) is None:
            return
        if not hosts:
            del self.remote[name]
            self._chosen.pop(name, None)
        else:
            self.choose(name)

    def choose(self, name: str) -> None:
        """Chooses the host that is listened to, after hosts came, went, or were lost."""
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
        """The REMOTE topic that is listened to and published to; its link is None while lost."""
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
