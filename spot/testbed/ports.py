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

    A socket holds each port: it is bound, but doesn't listen. A node can still bind and listen
    there, also after a restart, as libzmq sets SO_REUSEADDR. A dial is refused until it does.

    Free ports come from outside the kernel's range for outgoing connections, so that no dial takes
    a port that a node is about to bind. Hosts that are tuned for many connections may leave too
    few ports outside that range. Then ports come from within: the kernel gives no dial a port that
    a socket holds.
    """

    def __init__(self) -> None:
        self._held: list[socket.socket] = []

    def free(self, count: int) -> list[int]:
        """``count`` free ports. Raises PortInUse if there are fewer."""
        low, high = _ephemeral_range()
        candidates = list(range(PORT_MIN, PORT_MAX + 1))
        random.shuffle(candidates)
        # The loop takes them from the end, so the ports outside the range come last here.
        candidates.sort(key=lambda port: not low <= port <= high)
        taken: list[int] = []
        while len(taken) < count and candidates:
            port = candidates.pop()
            # Held exclusively, so that two testbeds that choose at once get different ports.
            if self._hold(port, exclusive=True):
                taken.append(port)
        if len(taken) < count:
            raise PortInUse(f"only {len(taken)} of {count} ports are free on {LOOPBACK}")
        return taken

    def from_base(self, base: int, names: tuple[str, ...]) -> list[int]:
        """``base`` and the next ports, one for each name. Raises PortInUse, naming the first."""
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
        """Releases all of them. Nodes that listen there go on."""
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
        # From now on it is shared with its node.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._held.append(held)
        return True


def _ephemeral_range() -> tuple[int, int]:
    text = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii")
    low, high = text.split()
    return int(low), int(high)
