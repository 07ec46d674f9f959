"""The transport of a simulated host: how the event loop of SPOT sees the simulated network."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import Random

from tests.simulation.connections import End, Frame, Host
from tests.simulation.ledger import Violation
from tests.simulation.network import Network

HANGUP_DROPS = 0.3
"""How often frames sent just before a hang-up do not leave any more."""
FRAMES_AT_ONCE_MAX = 20_000
"""A loop that reads more in one moment, in which nothing else can happen, would never stop."""


class SimulatedTransport:
    """The connections of one host: a Transport as in spot/transport/interface.py.

    ``patience`` is how many seconds a connection that was accepted may take to become a link.

    It reports input as zmq's descriptors do: once, when it arrives, and not again if the transport
    was used meanwhile. The monitor reports what happens to connections.
    """

    def __init__(self, network: Network, host: Host, patience: float, random: Random) -> None:
        self.ends: dict[bytes, End] = {}
        # Connections whose end was reported to the loop.
        self.told_ended: list[bytes] = []
        self._network = network
        self._host = host
        self._patience = patience
        self._random = random
        self._dialled: dict[str, bytes] = {}
        self._frames: deque[tuple[bytes, Frame]] = deque()
        self._news: list[tuple[bytes, str]] = []
        self._withheld: deque[tuple[bytes, Frame]] | None = None
        self._withheld_news: list[tuple[bytes, str]] = []
        self._ended: list[tuple[bytes, str]] = []
        self._counted: dict[bytes, float] = {}
        self._overdue_at: dict[bytes, float] = {}
        self._is_readable = False
        self._has_news = False
        # How many frames of a flood were read.
        self.flooded = 0
        self._flood: tuple[bytes, Frame] | None = None
        self._read_at = 0.0
        self._read_count = 0

    # What arrives from the network

    def accepted(self, end: End) -> None:
        self.ends[end.conn] = end
        self._overdue_at[end.conn] = self._network.now + self._patience
        self._has_news = True

    def arrived(self, conn: bytes, frame: Frame) -> None:
        if self._withheld is not None:
            self._withheld.append((conn, frame))
        else:
            self._frames.append((conn, frame))
            self._is_readable = True

    def has_ended(self, conn: bytes, why: str) -> None:
        if self._flood is not None and self._flood[0] == conn:
            self._flood = None
        if self._withheld is not None:
            self._withheld_news.append((conn, why))
        else:
            self._news.append((conn, why))
            self._has_news = True

    def withhold(self) -> None:
        """From now on, frames that are there or arrive can't be seen."""
        self._withheld, self._frames = self._frames, deque()
        self._withheld_news, self._news = self._news, []
        self._is_readable = self._has_news = False

    def release(self) -> None:
        """The withheld frames can be seen."""
        if self._withheld is not None:
            self._frames, self._withheld = self._withheld, None
            self._news, self._withheld_news = self._withheld_news, []
            self._is_readable = bool(self._frames)
            self._has_news = bool(self._news)

    def flood(self, conn: bytes, frame: Frame) -> None:
        """From now on there is always one more of this frame on a connection, until that ends."""
        if conn in self.ends:
            self._flood = conn, frame
            self._is_readable = True

    # Polling

    @property
    def is_ready(self) -> bool:
        """Whether a poll would end now."""
        return self._is_readable or self._has_news

    def poll(self) -> tuple[bool, bool]:
        """A poll ends: whether the socket was readable, and whether the monitor was."""
        found = self._is_readable, self._has_news
        self._is_readable = self._has_news = False
        return found

    @property
    def is_read(self) -> bool:
        """Whether no frame waits."""
        return not self._frames and not self._is_flooded

    # Transport

    def has_input(self) -> bool:
        self._is_readable = False
        return not self.is_read

    def receive(self) -> tuple[bytes, Frame] | None:
        self._is_readable = False
        self._bound_reading()
        if self._frames:
            conn, frame = self._frames.popleft()
        elif self._flood is not None and self._is_flooded:
            conn, frame = self._flood
            self.flooded += 1
        else:
            return None
        return (conn, frame) if conn in self.ends else None

    @property
    def _is_flooded(self) -> bool:
        if self._flood is None:
            return False
        end = self.ends.get(self._flood[0])
        return end is not None and end.open

    def _bound_reading(self) -> None:
        now = self._network.now
        if now != self._read_at:
            self._read_at = now
            self._read_count = 0
        self._read_count += 1
        if self._read_count > FRAMES_AT_ONCE_MAX:
            raise Violation(f"at {now:.4f} s, node {self._host.name}: never stops reading")

    def send(self, conn: bytes, parts: Frame) -> bool:
        self._is_readable = False
        end = self.ends.get(conn)
        return end is not None and self._network.send(end, parts)

    def is_bound(self, address: str) -> bool:
        return False

    def connect(self, conn: bytes, address: str) -> bytes | None:
        other = self._dialled.get(address)
        if other is not None:
            return other
        self._dialled[address] = conn
        self.ends[conn] = self._network.dial(self._host, conn, address.partition(":")[0])
        return None

    def forget(self, conn: bytes) -> None:
        end = self.ends.pop(conn, None)
        self._counted.pop(conn, None)
        self._overdue_at.pop(conn, None)
        for address, dialled in self._dialled.items():
            if dialled == conn:
                del self._dialled[address]
                assert end is not None
                self._network.close(end, drop_unsent=self._random.random() < HANGUP_DROPS)
                break

    def read_monitor(self) -> None:
        news, self._news = self._news, []
        self._ended += news
        self.told_ended += [conn for conn, _ in news]

    @property
    def ended(self) -> bool:
        return bool(self._ended)

    def take_ended(self) -> list[tuple[bytes, str]]:
        ended, self._ended = self._ended, []
        for conn, _ in ended:
            self.forget(conn)
        return ended

    def progressed(self, conn: bytes) -> bool:
        end = self.ends.get(conn)
        if end is None:
            return False
        received = self._network.received(end)
        before = self._counted.get(conn)
        self._counted[conn] = received
        # Bytes of a frame whose wire died are not counted any more: that is no news.
        return before is not None and received > before

    def excuse_unauthenticated(self, late: float, now: float) -> None:
        for conn, at in self._overdue_at.items():
            self._overdue_at[conn] = min(now + self._patience, at + late)

    def end_unauthenticated(self, now: float, is_link: Callable[[bytes], bool]) -> None:
        for conn in [conn for conn, at in self._overdue_at.items() if at <= now]:
            del self._overdue_at[conn]
            end = self.ends.get(conn)
            if end is not None and end.open and not is_link(conn):
                self._network.close(end)
                self._network.at(now, lambda conn=conn: self._host.ended(conn, "closed"))  # type: ignore[misc]

    def log_refusal(self, conn: bytes, why: str) -> None:
        return
