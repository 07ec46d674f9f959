"""Gives credit back: a peer may send as much more as this node has taken."""

from __future__ import annotations

from spot.core.context import NodeContext
from spot.core.data.publishers import Publishers
from spot.core.link import Flow, Link
from spot.core.wire import codec


class Credit:
    """Tells peers how much more they may send."""

    def __init__(self, context: NodeContext, publishers: Publishers) -> None:
        self._context = context
        self._publishers = publishers

    def consumed(self, link: Link, flow: Flow, count: int, size: int) -> None:
        """Messages of the link were taken, or dropped. The peer may send as many more."""
        flow.consumed_msgs += count
        flow.consumed_bytes += size
        if link.is_up and flow.grant(self._context.rcvhwm):
            self._tell(link, b"" if flow is link.data else self._publishers.news(link))

    def window_changed(self, link: Link) -> None:
        """This node takes more, or fewer, messages at a time than before."""
        window = self._context.rcvhwm
        if link.data.grant(window) | link.publishes.grant(window):
            self._tell(link, b"")

    def _tell(self, link: Link, news: bytes) -> None:
        self._context.effects.control(link, codec.encode_credit(link.credit) + news)
