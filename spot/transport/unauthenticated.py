"""Accepted connections that have not greeted: how long they may stay, and what is told of them.

libzmq itself closes who does not speak ZMTP. Who does, and then says nothing, or nothing that
SPOT understands, is ended here: else a stranger could hold a descriptor for ever, or fill
libzmq's memory with the parts of a message that never ends.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

from spot.transport.tcp_info import Names, bytes_received, hang_up, names_of

log = logging.getLogger("spot")

GREETING_BYTES_MAX = 1 << 20
GREETING_S = 0.5
ADDRESSES_TOLD_MAX = 256


class Stranger(NamedTuple):
    """An accepted connection: since when (monotonic), at which of our endpoints, between whom."""

    since: float
    endpoint: str
    names: Names | None

    @property
    def address(self) -> str:
        """From where it came, as people write it."""
        if self.names is None:
            return "an unknown address"
        peer = self.names[1]
        return str(peer[0]) if isinstance(peer, tuple) else "a local process"


class Strangers:
    """The accepted connections of a node that are no links yet, by descriptor.

    ``patience`` is how many seconds a greeting may take; ``is_quiet`` says that nothing is logged.
    """

    def __init__(self, patience: float, *, is_quiet: bool) -> None:
        self.refused = 0
        self._patience = patience
        self._is_quiet = is_quiet
        self._waiting: dict[int, Stranger] = {}
        self._told: set[str] = set()

    def accept(self, fd: int, endpoint: str, now: float) -> None:
        """A connection came."""
        self._waiting[fd] = Stranger(now, endpoint, names_of(fd))

    def forget(self, fd: int) -> Stranger | None:
        """The connection is a link, or has ended. Returns what was known of it."""
        return self._waiting.pop(fd, None)

    def find(self, fd: int) -> Stranger | None:
        """What is known of a connection that is no link yet."""
        return self._waiting.get(fd)

    def tell(self, stranger: Stranger, why: str) -> None:
        """Logs why a connection was refused, once for each address."""
        address = stranger.address
        if self._is_quiet or address in self._told or len(self._told) >= ADDRESSES_TOLD_MAX:
            return
        self._told.add(address)
        log.warning("refused a connection from %s to %s: %s", address, stranger.endpoint, why)

    def excuse(self, late: float, now: float) -> None:
        """This node was itself stopped for so many seconds: they count for nobody."""
        for fd, stranger in self._waiting.items():
            self._waiting[fd] = stranger._replace(since=min(now, stranger.since + late))

    def end_overdue(self, now: float, is_link: Callable[[int], bool]) -> None:
        """Ends who has not greeted in time, or sent more than any greeting has."""
        for fd, stranger in list(self._waiting.items()):
            age = now - stranger.since
            if age < GREETING_S:
                continue
            if is_link(fd):
                del self._waiting[fd]
            elif stranger.names is not None and (
                age > self._patience or (bytes_received(fd) or 0) > GREETING_BYTES_MAX
            ):
                hang_up(fd, stranger.names)
