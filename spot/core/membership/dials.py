"""The endpoints that a node dials: when it dials them, and with which result."""

from __future__ import annotations

from collections.abc import Callable

from spot.core.context import NodeContext
from spot.core.link import Link, LinkState
from spot.core.membership.backoff import Backoff
from spot.core.membership.links import Links
from spot.core.membership.timing import greeting_timeout
from spot.message import Event, EventKind, PeerState


class Dial:
    """An endpoint that was added and not removed.

    It is *linked* while the node behind it has a link, whichever end dialled. It is *dialling*
    while a connection is being made and greeted. Otherwise it waits until ``due``.
    """

    __slots__ = (
        "attempts",
        "backoff",
        "due",
        "endpoint",
        "last_error",
        "link",
        "node",
        "refused",
    )

    def __init__(
        self, endpoint: str, now: float, first: float, most: float, random: Callable[[], float]
    ) -> None:
        self.endpoint = endpoint
        self.backoff = Backoff(first, most, random)
        self.due = now
        self.link: Link | None = None
        self.node: str | None = None
        self.attempts = 0
        self.last_error: str | None = None
        self.refused: str | None = None

    @property
    def is_linked(self) -> bool:
        return self.link is not None and self.link.is_up

    @property
    def state(self) -> PeerState:
        if self.link is not None:
            return "up" if self.link.is_up else "dialling"
        return "refused" if self.refused else "waiting"

    def wait(self, now: float, why: str) -> float:
        """The endpoint has no link. The next dial comes after the next wait, which is returned."""
        self.link = None
        self.last_error = why
        delay = self.backoff.draw()
        self.due = now + delay
        return delay


class Dials:
    """The configured endpoints of a node, by endpoint.

    ``random`` gives floats in [0, 1), ``token`` unguessable 64-bit numbers.
    """

    def __init__(
        self,
        context: NodeContext,
        links: Links,
        random: Callable[[], float],
        token: Callable[[], int],
    ) -> None:
        self._context = context
        self._links = links
        self._random = random
        self._token = token
        self.by_endpoint: dict[str, Dial] = {}

    def add(self, endpoint: str, now: float) -> Dial:
        """An endpoint to be dialled from now on."""
        config = self._context.config
        dial = Dial(endpoint, now, config.reconnect_min, config.reconnect_max, self._random)
        self.by_endpoint[endpoint] = dial
        self._context.deadline = now
        return dial

    def remove(self, dial: Dial) -> None:
        """Drops only an endpoint. A link with the node behind it stays."""
        del self.by_endpoint[dial.endpoint]
        if dial.link is not None and not dial.link.is_up:
            self._links.end(dial.link)

    def remove_all(self) -> None:
        """Drops all endpoints."""
        for dial in list(self.by_endpoint.values()):
            self.remove(dial)

    def of(self, link: Link) -> Dial | None:
        """The dial that a link came from, as long as the dial still has that link."""
        dial = self.by_endpoint.get(link.endpoint or "")
        return dial if dial is not None and dial.link is link else None

    def start(self, now: float) -> None:
        """Begins the dials that are due."""
        for dial in list(self.by_endpoint.values()):
            if dial.link is None and now >= dial.due:
                self._start(dial, now)

    def _start(self, dial: Dial, now: float) -> None:
        context = self._context
        conn = b"\x01" + self._token().to_bytes(8, "big")
        answer_by = now + greeting_timeout(context.config.peer_timeout)
        link = Link(conn, LinkState.DIALLING, self._token(), now, answer_by, dial.endpoint)
        dial.link = link
        dial.attempts += 1
        self._links.by_conn[conn] = link
        context.counters.dials += 1
        context.effects.dials.append((conn, dial.endpoint))
        context.effects.events.append(Event("dial", now, node=dial.node, endpoint=dial.endpoint))

    def failed(self, link: Link, why: str, now: float) -> None:
        """A dial led to no link. The next dial comes after a wait."""
        self._links.end(link)
        dial = self.of(link)
        if dial is None:
            return
        effects = self._context.effects
        delay = dial.wait(now, why)
        self._context.due(dial.due)
        effects.progress = True
        kind: EventKind = "refused" if dial.refused else "dial_failed"
        effects.events.append(
            Event(kind, now, node=dial.node, endpoint=dial.endpoint, reason=why, delay=delay)
        )

    def link_up(self, link: Link) -> None:
        """A node is linked, and so are all endpoints that lead to it."""
        for dial in self.by_endpoint.values():
            if dial.node == link.node:
                if dial.link is not None and dial.link is not link:
                    self._links.withdraw(dial.link)
                dial.link = link

    def link_down(self, link: Link, why: str, now: float) -> tuple[str | None, float | None]:
        """A link was lost. Its endpoints are dialled again. Returns the last of them, with the wait
        before its next dial.
        """
        endpoint = None
        delay = None
        for dial in self.by_endpoint.values():
            if dial.link is link:
                endpoint = dial.endpoint
                if now - link.up_since >= self._context.config.stable_after:
                    dial.backoff.restart()
                delay = dial.wait(now, why)
                self._context.due(dial.due)
        return endpoint, delay

    def next_due(self, deadline: float) -> float:
        """The earlier of a deadline and the next dial."""
        for dial in self.by_endpoint.values():
            if dial.link is None and dial.due < deadline:
                deadline = dial.due
        return deadline
