"""Real sockets on both sides of a proxy, and what can be said about them."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Self

from spot.testbed.proxy import Proxy

LOOPBACK = "127.0.0.1"
DEADLINE_S = 10.0
"""How long anything that must happen may take on a busy machine."""
QUIET_S = 0.1
"""How long nothing must happen, where nothing should."""

Stream = Literal["upstream", "downstream"]
Ending = Literal["fin", "reset"]


@dataclass(frozen=True)
class Line:
    """One connection through a proxy: the client's socket and the upstream's."""

    client: socket.socket
    server: socket.socket

    def sender(self, stream: str) -> socket.socket:
        """The end that sends in this direction."""
        return self.client if stream == "upstream" else self.server

    def receiver(self, stream: str) -> socket.socket:
        """The end that receives in this direction."""
        return self.server if stream == "upstream" else self.client

    def carries(self, stream: str, data: bytes) -> float:
        """Sends bytes and asserts that they arrive. Returns the seconds it took."""
        start = time.monotonic()
        self.sender(stream).sendall(data)
        assert receive(self.receiver(stream), len(data)) == data
        return time.monotonic() - start


@dataclass
class Wire:
    """An upstream that listens, and the proxy that leads to it."""

    proxy: Proxy
    upstream: socket.socket
    _open: list[socket.socket] = field(default_factory=list)

    @property
    def address(self) -> tuple[str, int]:
        """Where the proxy listens."""
        host, _colon, port = self.proxy.listen.rpartition(":")
        return host, int(port)

    def connect(self) -> Line:
        """A connection through the proxy to the upstream."""
        client = self.dial()
        server, _address = self.upstream.accept()
        return Line(client, self._keep(server))

    def dial(self) -> socket.socket:
        """A connection to the proxy, wherever that leads."""
        return self._keep(socket.create_connection(self.address, DEADLINE_S))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for sock in (*self._open, self.upstream):
            sock.close()
        self.proxy.destroy()

    def _keep(self, sock: socket.socket) -> socket.socket:
        sock.settimeout(DEADLINE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._open.append(sock)
        return sock


def listening() -> socket.socket:
    """An upstream on a free port."""
    listener = socket.create_server((LOOPBACK, 0), backlog=256)
    listener.settimeout(DEADLINE_S)
    return listener


def address_of(listener: socket.socket) -> str:
    """Where this one listens, as a proxy takes it."""
    return f"{LOOPBACK}:{listener.getsockname()[1]}"


def receive(sock: socket.socket, size: int, within: float = DEADLINE_S) -> bytes:
    """Reads so many bytes; fewer when the connection ends or the time is up."""
    deadline = time.monotonic() + within
    data = bytearray()
    while len(data) < size and (left := deadline - time.monotonic()) > 0:
        if not select.select([sock], [], [], left)[0]:
            break
        piece = sock.recv(size - len(data))
        if not piece:
            break
        data += piece
    return bytes(data)


def rest(sock: socket.socket) -> tuple[bytes, Ending]:
    """Reads to the end: the bytes, and how it ended. Fails when it doesn't end in time."""
    data = bytearray()
    try:
        while piece := sock.recv(65536):
            data += piece
    except ConnectionResetError:
        return bytes(data), "reset"
    return bytes(data), "fin"


def is_quiet(sock: socket.socket, seconds: float = QUIET_S) -> bool:
    """Whether for so long neither bytes nor an end arrive."""
    return not select.select([sock], [], [], seconds)[0]


def is_refused(address: tuple[str, int]) -> bool:
    """Whether nothing listens there."""
    try:
        socket.create_connection(address, DEADLINE_S).close()
    except OSError as error:
        return error.errno == errno.ECONNREFUSED
    return False


def reset(sock: socket.socket) -> None:
    """Closes a socket by RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def fill(sock: socket.socket, limit: int) -> bytes:
    """Sends until the other side takes no more for a while; at most ``limit`` bytes."""
    sent = bytearray()
    with not_blocking(sock):
        while len(sent) < limit and select.select([], [sock], [], QUIET_S)[1]:
            piece = os.urandom(65536)
            sent += piece[: sock.send(piece)]
    return bytes(sent)


@contextlib.contextmanager
def not_blocking(sock: socket.socket) -> Iterator[None]:
    """Meanwhile calls return at once."""
    before = sock.gettimeout()
    sock.setblocking(False)
    try:
        yield
    finally:
        sock.settimeout(before)
