"""This node's publishes to topics of other nodes, and the paths that they take."""

from __future__ import annotations

from collections.abc import Sequence

from spot.core.context import NodeContext
from spot.core.data.outbox import Outbox
from spot.core.link import Link, chunk_msgs
from spot.core.topics.announced import Path, RemoteTopic
from spot.core.topics.paths import Paths
from spot.core.topics.registry import Registry
from spot.core.wire import batches, codec
from spot.core.wire.batches import CHUNK_MSGS, Chunk
from spot.core.wire.codec import ProtocolError, Sender
from spot.core.wire.greeting import Incarnation

INCARNATIONS_MAX = 4
"""Incarnations of a host that a publisher remembers, in addition to those with a path."""


class RemotePublishing:
    """Publishes to other hosts. Each incarnation of a host has an outbox and paths of its own."""

    def __init__(self, context: NodeContext, registry: Registry, paths: Paths) -> None:
        self._context = context
        self._registry = registry
        self._paths = paths
        # By host, and by its incarnations in the order in which each was first published to.
        self.outboxes: dict[str, dict[Incarnation, Outbox]] = {}
        # By host: how many publishes have an unknown outcome, until a publish has reported that.
        self.unknown: dict[str, int] = {}

    def publish(self, topic: RemoteTopic, payloads: Sequence[bytes]) -> None:
        """Sends messages to the topic's host, which will order them.

        If the last path to the host has just ended, they wait for the next one.
        """
        outbox = self._outbox_to(topic.node, topic.incarnation) or self._new_outbox(topic)
        carrier = outbox.carrier
        most = CHUNK_MSGS if carrier is None else chunk_msgs(carrier.link.window_msgs)
        for batch in batches.cut(payloads, most):
            chunk = batches.encoded(codec.PUBLISH, topic.topic_id, outbox.published + 1, batch)
            outbox.keep(chunk, topic.name)
            if outbox.carrier is not None:
                number = self._number_on(outbox.carrier, topic.name)
                if number is None:
                    # It is sent with the rest, when the topic is announced on that path.
                    outbox.carrier = None
                else:
                    self._carry(outbox.carrier, chunk, number)
        if outbox.carrier is None:
            self.doubt_lost(topic.node)

    def room(self, topic: RemoteTopic) -> int:
        """How many messages can be published to a topic before their queue is full.

        Publishes to a host may take another path than the one that the topic's messages come by.
        """
        incarnation = topic.incarnation
        outbox = self._outbox_to(topic.node, incarnation)
        if outbox is None:
            carrier = self._paths.best(topic.node, incarnation=incarnation)
        else:
            carrier = outbox.carrier
        hwm = self._context.sndhwm
        if carrier is not None:
            return carrier.link.publishes.room(hwm)
        return hwm if outbox is None else max(0, hwm - outbox.unsettled)

    def _outbox_to(self, node: str, incarnation: Incarnation) -> Outbox | None:
        return self.outboxes.get(node, {}).get(incarnation)

    def _new_outbox(self, topic: RemoteTopic) -> Outbox:
        node = topic.node
        outboxes = self.outboxes.setdefault(node, {})
        reached = {path.incarnation for path in self._paths.to(node)}
        others = [incarnation for incarnation in outboxes if incarnation not in reached]
        for incarnation in others[: max(0, len(others) + 1 - INCARNATIONS_MAX)]:
            self.lose(node, outboxes.pop(incarnation).unsettled)
        outbox = outboxes[topic.incarnation] = Outbox(topic.incarnation)
        outbox.carrier = self._paths.best(node, incarnation=topic.incarnation)
        return outbox

    def _number_on(self, path: Path, name: str) -> int | None:
        topic = self._registry.announced.get((name, path.node), {}).get(path.link)
        return None if topic is None else topic.topic_id

    def _carry(self, path: Path, chunk: Chunk, number: int) -> None:
        data = chunk.data if number == chunk.topic_id else codec.with_topic(chunk.data, number)
        if path.relays:
            data = codec.forwarded(self._sender(path.node, path.incarnation), data)
        if data is not chunk.data:
            chunk = Chunk(data, chunk.count, chunk.size, chunk.large, chunk.first)
        path.link.publishes.queue(chunk)
        self._context.effects.touched[path.link] = None

    def _sender(self, host: str, incarnation: Incarnation) -> Sender:
        """The publishes of this node to one incarnation of a host, which have their own numbers."""
        me = self._context.incarnation
        return Sender(
            host,
            self._context.node,
            me.started,
            me.random,
            incarnation.started,
            incarnation.random,
        )

    # Paths

    def steer(self, node: str, *, again: Path | None = None) -> None:
        """Paths to a host came or went. Messages that an incarnation of the host has not dealt with
        are sent on the best of the paths that lead to it.

        Something may have been lost on the path ``again``.
        """
        for incarnation, outbox in self.outboxes.get(node, {}).items():
            carrier = self._paths.best(node, outbox.carrier, incarnation)
            if carrier is outbox.carrier and carrier is not again:
                continue
            outbox.carrier = carrier
            if carrier is None:
                continue
            most = chunk_msgs(carrier.link.window_msgs)
            for chunk, name in outbox.kept:
                # A topic that has ended has no number. The host refuses number 0.
                number = self._number_on(carrier, name) or 0
                for first in range(max(chunk.first, outbox.settled + 1), chunk.last + 1, most):
                    self._carry(carrier, chunk.part(first, most), number)
        self.doubt_lost(node)

    def doubt_lost(self, node: str) -> None:
        """If a path leads to one incarnation of a host and none to another, the other may be over.

        The other may also live behind relays that learn of changes late. Then it gets the rest when
        they do. An incarnation that is older than the newest known one is over.
        """
        outboxes = self.outboxes.get(node)
        if not outboxes:
            return
        paths = self._paths.to(node)
        known = [path.incarnation for path in paths if path.is_complete or not path.relays]
        if not known:
            return
        newest = max(known)
        reached = {path.incarnation for path in paths}
        for incarnation, outbox in outboxes.items():
            if incarnation not in reached:
                self.lose(node, outbox.doubt())
                if incarnation < newest:
                    outbox.clear()

    def lose(self, node: str, count: int) -> None:
        """The outcome of this many publishes to a host is unknown."""
        if count:
            self._context.counters.publish_unknown += count
            self.unknown[node] = self.unknown.get(node, 0) + count

    # What became of publishes

    def on_settled(self, link: Link, number: int, refused: int) -> None:
        """A host tells up to which number it has dealt with this node's publishes."""
        self._settle(self._outbox_to(link.node, link.incarnation), number, refused)

    def on_confirmed(self, sender: Sender, number: int, refused: int) -> None:
        """A host behind relays tells the same."""
        host = Incarnation(sender.host_started, sender.host_random)
        outbox = self._outbox_to(sender.host, host)
        if outbox is None or number > outbox.published:
            return
        if Incarnation(sender.started, sender.random) == self._context.incarnation:
            self._settle(outbox, number, refused)

    def _settle(self, outbox: Outbox | None, number: int, refused: int) -> None:
        if outbox is None or number > outbox.published or refused > number:
            raise ProtocolError(f"publishes up to {number} are settled, but were never published")
        self._context.counters.publish_unknown += outbox.refuse(refused)
        outbox.settle(number)
