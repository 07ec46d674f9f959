"""Tells the application that hosts of its topics are lost, and that they are back.

A lost host also puts the streams of its topics in doubt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spot.core.context import NodeContext
from spot.core.data.inbox import Inbox, Notice
from spot.core.topics.announced import Announced, RemoteTopic
from spot.core.topics.interest import Subscriptions
from spot.core.topics.paths import Paths
from spot.core.topics.registry import Registry
from spot.core.topics.topic_sources import Listening
from spot.message import Event


class LostHosts:
    """Puts notices of lost hosts into the inbox: one for each host and outage."""

    def __init__(
        self,
        context: NodeContext,
        registry: Registry,
        subscriptions: Subscriptions,
        listening: Listening,
        paths: Paths,
        inbox: Inbox,
    ) -> None:
        self._context = context
        self._registry = registry
        self._subscriptions = subscriptions
        self._listening = listening
        self._paths = paths
        self._inbox = inbox
        self._lost: set[str] = set()
        # By host: topics that were lost while another path to the host was being made.
        self._unannounced: dict[str, set[str]] = {}

    def listened_on(self, announced: Announced, node: str | None = None) -> list[RemoteTopic]:
        """The topics that subscriptions here get on a link, from all hosts or from one."""
        return [
            topic
            for topic in announced.topics.values()
            if node in (None, topic.node)
            and self._listening.is_listened(topic)
            and self._subscriptions.wants(topic.name)
        ]

    def note_broken_off(self, topics: Sequence[RemoteTopic]) -> None:
        """Their link, or the path to their host, has ended. Other streams may follow."""
        for topic in topics:
            self._subscriptions.stream_lost(topic.name, topic.node, topic.epoch)

    def tell(
        self,
        topics: Sequence[RemoteTopic],
        endpoints: Mapping[str, str | None],
        why: str,
        now: float,
    ) -> None:
        """There is no path to these topics any more. Each host gets one notice.

        There is no notice while another path exists on which the topics may yet be announced.
        """
        for topic in topics:
            if self._listening.is_active(topic):
                self._unannounced.setdefault(topic.node, set()).add(topic.name)
        hosted: dict[str, list[str]] = {}
        for node in [node for node in self._unannounced if node not in self._paths]:
            names = self._unannounced.pop(node)
            hosted[node] = [name for name in names if self._subscriptions.wants(name)]
        for node, found in hosted.items():
            lost = tuple(sorted(found))
            if self._context.leaving or not lost:
                continue
            endpoint = endpoints.get(node)
            self._lost.add(node)
            self._inbox.notify(Notice(node, endpoint, lost, why))
            self._context.effects.events.append(
                Event("host_lost", now, node=node, endpoint=endpoint, topics=lost, reason=why)
            )

    def announced(self, node: str) -> None:
        """A host has announced all its topics: no notice about them is still to come."""
        self._unannounced.pop(node, None)

    def back(self, node: str, names: tuple[str, ...], now: float) -> None:
        """A host has announced these topics again."""
        if node in self._lost:
            self._lost.discard(node)
            self._context.effects.events.append(Event("host_back", now, node=node, topics=names))

    def forget(self, node: str) -> None:
        """The application has removed the node."""
        self._lost.discard(node)
