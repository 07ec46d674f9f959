"""Ports of this machine for nodes to bind, reserved until they do."""

from __future__ import annotations

import errno
import random
import socket
from pathlib import Path

from spot.testbed.errors import PortInUse

__all__ = ["PortReservation"]

LOOPBACK = "127.0.0.1"
PORT_MIN = 10_000
PORT_MAX = 65_535


class PortReservation:
    """Ports that no other reservation takes, until ``release``.

    Each is held by a socket that is bound but doesn't listen: a node (whose socket has
    SO_REUSEADDR, as libzmq sets it) can still bind and listen there, also after a restart, and a
    dial before it does is refused. Free ports come from outside the range that the kernel gives to
    outgoing connections, so that no dial takes the port of a node that is about to start again.
    Where that range leaves too few, as on hosts that were tuned for many connections, they come
    from within: the kernel gives none to a dial that a socket holds.
    """

    def __init__(self) -> None:
        self._held: list[socket.socket] = []

    def free(self, count: int) -> list[int]:
        """So many free ports. Raises PortInUse when there are not so many."""
        low, high = _ephemeral_range()
        candidates = list(range(PORT_MIN, PORT_MAX + 1))
        random.shuffle(candidates)
        # Taken from the end: those outside the range first.
        candidates.sort(key=lambda port: not low <= port <= high)
        taken: list[int] = []
        while len(taken) < count and candidates:
            port = candidates.pop()
            # Held exclusively, so that two testbeds that choose at once choose differently.
            if self._hold(port, exclusive=True):
                taken.append(port)
        if len(taken) < count:
            raise PortInUse(f"only {len(taken)} of {count} ports are free on {LOOPBACK}")
        return taken

    def from_base(self, base: int, names: tuple[str, ...]) -> list[int]:
        """``base`` and those that follow, one for each name. Raises PortInUse naming the first."""
        if not 1 <= base <= PORT_MAX - len(names) + 1:
            raise PortInUse(f"ports {base} to {base + len(names) - 1} are not all from 1 to 65535")
        ports = list(range(base, base + len(names)))
        for name, port in zip(names, ports, strict=True):
            if not self._hold(port, exclusive=False):
                raise PortInUse(
                    f"port {port} for node {name} is in use ('ss -ltnp' says by whom): "
                    "choose another base port, or none to take free ones"
                )
        return ports

    def release(self) -> None:
        """Lets all of them go; nodes that listen there are not touched."""
        for held in self._held:
            held.close()
        self._held.clear()

    def _hold(self, port: int, *, exclusive: bool) -> bool:
        held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            if not exclusive:  # a port that a node left a moment ago will do
                held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.bind((LOOPBACK, port))
        except OSError as error:
            held.close()
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
        # From now on shared with the node that it is meant for.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._held.append(held)
        return True


def _ephemeral_range() -> tuple[int, int]:
    text = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii")
    low, high = text.split()
    return int(low), int(high)
