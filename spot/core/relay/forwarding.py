"""Publishes that go through a relay to their hosts, and the confirmations that come back."""

from __future__ import annotations

from spot.core.context import NodeContext
from spot.core.data.publishers import PUBLISHERS_MAX, UNTOLD
from spot.core.link import Link, chunk_msgs
from spot.core.relay.state import RelayState
from spot.core.topics.paths import Paths
from spot.core.wire import codec
from spot.core.wire.batches import Chunk
from spot.core.wire.codec import Sender
from spot.core.wire.greeting import Incarnation


class PublishForwarding:
    """Sends publishes on towards their hosts, and confirmations back to their publishers."""

    def __init__(self, context: NodeContext, paths: Paths, relayed: RelayState) -> None:
        self._context = context
        self._paths = paths
        self._relayed = relayed
        # By link: the publishers whose messages came by it, and the number last confirmed there.
        self._returns: dict[Link, dict[Sender, int]] = {}

    def link_down(self, link: Link) -> None:
        """The link has ended."""
        self._returns.pop(link, None)

    def forward(self, link: Link, topic_id: int, sender: Sender, chunk: Chunk) -> Chunk | None:
        """Sends on publishes that came by a link. Returns those for which there is no room now."""
        path = self._relayed.best.get(sender.host)
        host = Incarnation(sender.host_started, sender.host_random)
        if path is None or path.link is link or path.incarnation != host:
            # The publisher was offered another path. It will hear that, and send this again.
            return None
        topic = self._relayed.by_id.get(topic_id)
        if topic is None and topic_id and topic_id not in self._relayed.ended:
            # The path by which the topic was offered has changed.
            return None
        self._remember(sender, link)
        number = 0 if topic is None else topic.source.topic_id
        most = chunk_msgs(path.link.window_msgs)
        flow = path.link.publishes
        first = chunk.first
        while first <= chunk.last:
            room = flow.room(self._context.sndhwm)
            if not room:
                return chunk.part(first, chunk.count)
            piece = chunk.part(first, min(most, room))
            data = codec.forwarded(sender, codec.with_topic(piece.data, number))
            flow.queue(Chunk(data, piece.count, piece.size, piece.large, first))
            self._context.effects.touched[path.link] = None
            first = piece.last + 1
        return None

    def _remember(self, sender: Sender, link: Link) -> None:
        """Confirmations are to be sent on this link, even if they were sent before."""
        returns = self._returns.setdefault(link, {})
        returns.pop(sender, None)
        returns[sender] = UNTOLD
        if len(returns) > PUBLISHERS_MAX:
            del returns[next(iter(returns))]

    def confirm(self, sender: Sender, number: int, refused: int) -> None:
        """CONFIRMED goes on towards its publisher, on each link that its publishes came by.

        The publishes that came last may have been under way for long, and their link may no longer
        be a path. Each link is told only once, as links may form a circle.
        """
        for link in self._paths.direct_links():
            returns = self._returns.get(link, {})
            if returns.get(sender, number) < number:
                returns[sender] = number
                self._context.effects.control(link, codec.encode_confirmed(sender, number, refused))
