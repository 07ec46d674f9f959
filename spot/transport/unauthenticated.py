"""Accepted connections that have not greeted: how long they may stay, and what is logged.

libzmq itself closes a connection that does not speak ZMTP. A connection that speaks ZMTP but sends
no greeting of SPOT is ended here. Otherwise it could hold a descriptor for ever, or fill libzmq's
memory with the parts of a message that never ends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from spot.transport.tcp_info import Names, bytes_received, hang_up, names_of

GREETING_BYTES_MAX = 1 << 20
GREETING_S = 0.5
ADDRESSES_TOLD_MAX = 256


class Accepted(NamedTuple):
    """An accepted connection: its time (monotonic), the endpoint of this node, its addresses."""

    since: float
    endpoint: str
    names: Names | None

    @property
    def address(self) -> str:
        """The address of the other end, for people."""
        if self.names is None:
            return "an unknown address"
        peer = self.names[1]
        return str(peer[0]) if isinstance(peer, tuple) else "a local process"


class UnauthenticatedConnections:
    """The accepted connections of a node that are no links yet, by descriptor.

    ``patience`` is how many seconds a greeting may take. ``warn`` logs; ``is_quiet`` switches that
    off.
    """

    def __init__(self, patience: float, warn: Callable[..., None], *, is_quiet: bool) -> None:
        self._warn = warn
        self.refused = 0
        self._patience = patience
        self._is_quiet = is_quiet
        self._waiting: dict[int, Accepted] = {}
        self._told: set[str] = set()

    def accept(self, fd: int, endpoint: str, now: float) -> None:
        """A connection was accepted."""
        self._waiting[fd] = Accepted(now, endpoint, names_of(fd))

    def forget(self, fd: int) -> Accepted | None:
        """The connection is a link, or has ended. Returns its record, if there was one."""
        return self._waiting.pop(fd, None)

    def find(self, fd: int) -> Accepted | None:
        """The record of a connection that is no link yet."""
        return self._waiting.get(fd)

    def log_refusal(self, accepted: Accepted, why: str) -> None:
        """Logs why a connection was refused, once for each address."""
        address = accepted.address
        if self._is_quiet or address in self._told or len(self._told) >= ADDRESSES_TOLD_MAX:
            return
        self._told.add(address)
        self._warn("refused a connection from %s to %s: %s", address, accepted.endpoint, why)

    def excuse(self, late: float, now: float) -> None:
        """This node was itself stopped for ``late`` seconds: connections get that much more
        time."""
        for fd, accepted in self._waiting.items():
            self._waiting[fd] = accepted._replace(since=min(now, accepted.since + late))

    def end_overdue(self, now: float, is_link: Callable[[int], bool]) -> None:
        """Ends connections that have not greeted in time, or that sent more than any greeting
        has."""
        for fd, accepted in list(self._waiting.items()):
            age = now - accepted.since
            if age < GREETING_S:
                continue
            if is_link(fd):
                del self._waiting[fd]
                continue
            if accepted.names is None:
                # There was no descriptor to ask with when it came.
                accepted = self._waiting[fd] = accepted._replace(names=names_of(fd))
            if accepted.names is not None and (
                age > self._patience or (bytes_received(fd) or 0) > GREETING_BYTES_MAX
            ):
                hang_up(fd, accepted.names)
