"""Connections between simulated hosts, and the wires that they run over.

A connection behaves like ZeroMQ over TCP: frames arrive whole, in order, or not at all. The host
that ends it sends an end that arrives after the frames before it.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

Frame = tuple[bytes, ...]

LEAVE = "leave"
"""What disturbs a connection when one of its ends says goodbye in good order."""


class Host(Protocol):
    """The owner of connections. ``listening`` is a process that accepts connections. While the
    process is stopped (``frozen``, SIGSTOP) the kernel answers. ``off`` is a machine without
    power."""

    name: str
    listening: bool
    frozen: bool
    off: bool

    def accepted(self, end: End) -> None: ...

    def arrived(self, conn: bytes, frame: Frame) -> None: ...

    def ended(self, conn: bytes, why: str) -> None: ...


class Wire:
    """One direction between two hosts. ``rate`` is in bytes per second, 0 for no limit. It last got
    a limit at ``narrowed_at``.

    What faults do: ``cuts`` end connections at both ends at once, and refuse new ones (a proxy that
    is down). Under ``eats`` bytes vanish, and the connection stays until the heal (a proxy's
    ``timeout`` toxic). Under ``holds`` they wait, and arrive after the heal (packets are dropped,
    and TCP sends them again).
    """

    __slots__ = ("cuts", "eats", "holds", "latency", "narrowed_at", "rate")

    def __init__(self, latency: float) -> None:
        self.latency = latency
        self.rate = 0.0
        self.narrowed_at = 0.0
        self.cuts = 0
        self.eats = 0
        self.holds = 0

    @property
    def is_dead(self) -> bool:
        return bool(self.eats or self.holds)


class Cell:
    """A frame under way; None is the end of the connection."""

    __slots__ = ("begins", "frame", "lands", "lost", "rate")

    def __init__(self, frame: Frame | None, begins: float, lands: float, rate: float) -> None:
        self.frame = frame
        self.rate = rate
        self.begins = begins
        self.lands = lands
        self.lost = False


class End:
    """One end of a connection, and the frames under way from here to the other end.

    ``finished``: the last of these is the end of the connection, and nothing comes after it.
    """

    __slots__ = (
        "conn",
        "connection",
        "finished",
        "flight",
        "held",
        "host",
        "landed",
        "lossy",
        "open",
        "peer",
        "wire",
    )

    def __init__(self, connection: Connection, host: Host, conn: bytes, wire: Wire) -> None:
        self.connection = connection
        self.host = host
        self.conn = conn
        self.wire = wire
        self.open = True
        self.finished = False
        self.peer: End | None = None
        self.flight: deque[Cell] = deque()
        self.held: list[Cell] = []
        self.lossy = False
        self.landed = 0


class Connection:
    """A dialled connection. ``disturbed`` says what was first done to it, and when. ``forgotten``
    says that one machine has lost its power since."""

    __slots__ = ("dialler", "disturbed", "disturbed_at", "forgotten", "made", "waiting")

    def __init__(self) -> None:
        self.dialler: End | None = None
        self.made = False
        self.waiting: list[Frame] = []
        self.disturbed = ""
        self.disturbed_at = 0.0
        self.forgotten = False

    def disturb(self, what: str, now: float) -> None:
        if self.disturbed in ("", LEAVE):
            self.disturbed = what
            self.disturbed_at = now


def ends_of(connection: Connection) -> list[End]:
    end = connection.dialler
    assert end is not None
    return [end] if end.peer is None else [end, end.peer]
