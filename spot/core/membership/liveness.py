"""When a peer is lost: its connection closed, it was silent, or it hears nothing from this node.

Anything that arrives is a sign of life, also bytes of an incomplete frame. A link is lost

- when its connection closes: at once;
- when nothing was heard from the peer for ``peer_timeout``;
- when the peer's heartbeat says that it heard nothing from this node for ``peer_timeout``.

If a node was itself stopped, it does not count that time as silence of its peers.
"""

from __future__ import annotations

from spot.core.context import NodeContext
from spot.core.link import Link, LinkState
from spot.core.membership.dials import Dials
from spot.core.membership.lifecycle import Lifecycle
from spot.core.membership.links import GONE_SILENT, Links
from spot.core.membership.timing import UNHEARD_INTERVALS, is_silent, lateness
from spot.core.wire.codec import Heartbeat


class Liveness:
    """Decides that links are lost."""

    def __init__(
        self, context: NodeContext, links: Links, dials: Dials, lifecycle: Lifecycle
    ) -> None:
        self._context = context
        self._links = links
        self._dials = dials
        self._lifecycle = lifecycle
        # Until then, reports that this node was not heard are ignored: it was itself stopped.
        self._trusting_at = context.now
        self._last_look = context.now

    def lost(self, conn: bytes, why: str, now: float) -> None:
        """A connection ended, or could not be made."""
        link = self._links.by_conn.get(conn)
        if link is None:
            return
        if link.is_up:
            self._lifecycle.down(link, why, now)
        elif link.state is LinkState.DIALLING:
            self._dials.failed(link, why, now)
        else:
            del self._links.by_conn[conn]

    def check(self, now: float) -> None:
        """Ends links whose peers are silent, and connections that were not greeted in time."""
        late = lateness(max(self._context.deadline, self._last_look), now)
        self._last_look = now
        if late:
            self._excuse(late, now)
        for link in list(self._links.by_conn.values()):
            if link.is_up:
                if is_silent(link.heard_at, now, self._context.config.peer_timeout):
                    self._give_up(link, GONE_SILENT, now)
            elif now >= link.answer_by:
                if link.state is LinkState.DIALLING:
                    self._dials.failed(link, "no greeting came", now)
                else:
                    self._links.end(link)

    def _excuse(self, late: float, now: float) -> None:
        """This node was not looking. That time does not count as silence of its peers."""
        for link in self._links.by_conn.values():
            link.heard_at = min(now, link.heard_at + late)
            link.answer_by += late
        self._trusting_at = now + self._context.config.peer_timeout

    def on_heartbeat(self, link: Link, beat: Heartbeat, now: float) -> None:
        """A peer says how long it has not heard this node."""
        unheard = beat.heard / 1e6 >= self._context.config.peer_timeout
        if unheard and now >= self._trusting_at:
            self._give_up(link, "the peer hears nothing of this node", now)

    def _give_up(self, link: Link, why: str, now: float) -> None:
        self._links.farewell(link, GONE_SILENT)
        self._lifecycle.down(link, why, now)

    def quiet(self, now: float) -> list[bytes]:
        """Links that were silent for longer than a heartbeat: did bytes arrive since the last
        look?"""
        found = []
        for link in self._links.by_node.values():
            if now - link.heard_at > UNHEARD_INTERVALS * link.interval:
                link.probed_before = link.probed_at
                link.probed_at = now
                found.append(link.conn)
        return found

    def alive(self, conn: bytes, now: float) -> None:
        """Bytes of an incomplete frame have arrived."""
        link = self._links.by_conn.get(conn)
        # Bytes counted before the last frame may belong to that frame. They are no news.
        if link is not None and link.probed_before >= link.heard_at:
            link.heard_at = now

    def next_due(self, deadline: float) -> float:
        """The earlier of a deadline and the next moment at which a link may be lost."""
        timeout = self._context.config.peer_timeout
        for link in self._links.by_conn.values():
            due = link.heard_at + timeout if link.is_up else link.answer_by
            if due < deadline:
                deadline = due
        return deadline
