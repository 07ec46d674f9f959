"""A canary: a test connection through an edge, which shows what the edge does to bytes.

It speaks the part of ZMTP that every ZeroMQ socket answers by itself (RFC 23/ZMTP 3.0, 37/ZMTP
3.1):

    connect                         the proxy listens
    10 bytes come unprompted        bytes pass from listener to dialler
    54 more come for 11 of ours     and from dialler to listener
    PING, PONG, any number          how many bytes pass, and how quickly

So the program behind the edge has nothing to do: it only sees a connection that closes again.
"""

from __future__ import annotations

import select
import socket
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

__all__ = ["PING_BYTES", "PONG_BYTES", "Canary", "Echoes", "Ended"]

SIGNATURE_BYTES = 10
GREETING_BYTES = 64
GREETING = (
    b"\xff" + b"\0" * 7 + b"\x01\x7f" + b"\x03\x01" + b"NULL".ljust(20, b"\0") + b"\0" + b"\0" * 31
)
PROMPT_BYTES = 11
"""The signature and the first byte of the version. A peer waits for these before it goes on."""
LAST = b"the last of them"
CHUNK_BYTES = 65_536
ASK_AGAIN_MS = 100
PING_BYTES = 25
PONG_BYTES = 23
CONNECT_TIMEOUT_S = 1.0
_FITTING = {
    b"PUB": b"SUB",
    b"XPUB": b"SUB",
    b"SUB": b"PUB",
    b"XSUB": b"PUB",
    b"REP": b"REQ",
    b"REQ": b"REP",
    b"PULL": b"PUSH",
    b"PUSH": b"PULL",
    b"PAIR": b"PAIR",
}


class Ended(Exception):
    """The connection ended. ``how`` is ``reset`` (RST) or ``closed`` (FIN)."""

    def __init__(self, how: str) -> None:
        super().__init__(f"the connection was {how}")
        self.how = how


@dataclass(frozen=True)
class Echoes:
    """The answers to many PINGs."""

    received: int
    """Bytes."""
    seconds: float
    whole: bool
    """Whether the last PING was answered. libzmq may skip some of the earlier ones."""
    ended: str | None
    """How the connection ended. None: it did not."""


class Canary:
    """One connection to ``address``. A context manager. Times are seconds.

    Making one raises OSError when nobody accepts it. Not for several threads at once.
    """

    def __init__(self, address: tuple[str, int]) -> None:
        self._dialled = time.monotonic()
        self._socket = socket.create_connection(address, timeout=CONNECT_TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._heard = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._socket.close()

    def hear(self, timeout: float) -> float | None:
        """Waits for the bytes that come unprompted. Returns seconds since the dial; None: none.

        Counting from the dial, a canary that was itself delayed measures too much, never too
        little. Raises Ended, as the other calls do.
        """
        heard = self._read_until(SIGNATURE_BYTES, timeout)
        return time.monotonic() - self._dialled if heard else None

    def prompt(self, timeout: float) -> float | None:
        """After ``hear``: sends the start of a greeting, and waits for the rest of the listener's.

        Returns how long that took. None: it did not come.
        """
        began = time.monotonic()
        self._send(GREETING[:PROMPT_BYTES])
        answered = self._read_until(GREETING_BYTES, timeout)
        return time.monotonic() - began if answered else None

    def shake_hands(self, timeout: float) -> bool:
        """After ``prompt``: ends the handshake, so that PINGs are answered. False: not in time."""
        self._send(GREETING[PROMPT_BYTES:])
        deadline = time.monotonic() + timeout
        if not self._read_until(GREETING_BYTES + 2, timeout):
            return False
        whole = GREETING_BYTES + 2 + self._heard[GREETING_BYTES + 1]
        if not self._read_until(whole, deadline - time.monotonic()):
            return False
        ready = self._heard[GREETING_BYTES:whole]
        self._send(_command(b"READY", _property(b"Socket-Type", _fitting(ready))))
        return True

    def echo(self, count: int, timeout: float) -> Echoes:
        """After ``shake_hands``: sends so many PINGs at once, and waits for the last one's PONG."""
        left = memoryview(_ping(b"spot-canary") * (count - 1) + _ping(LAST))
        begun = time.monotonic()
        received, tail, ended = 0, b"", None
        self._socket.setblocking(False)
        poll = select.poll()
        try:
            while LAST not in tail and time.monotonic() - begun < timeout:
                poll.register(self._socket, select.POLLIN | (select.POLLOUT if left else 0))
                ready = dict(poll.poll(ASK_AGAIN_MS)).get(self._socket.fileno(), 0)
                if ready & ~select.POLLOUT:
                    data = self._receive()
                    received += len(data)
                    tail = (tail + data)[-2 * PONG_BYTES :]
                elif ready:
                    left = left[self._socket.send(left[:CHUNK_BYTES]) :]
                elif not left:
                    left = memoryview(_ping(LAST))  # libzmq skips one now and then
        except Ended as error:
            ended = error.how
        except OSError:
            ended = "reset"
        return Echoes(received, time.monotonic() - begun, LAST in tail, ended)

    def _read_until(self, size: int, timeout: float) -> bool:
        """Whether so many bytes were heard in all, in time."""
        deadline = time.monotonic() + timeout
        while len(self._heard) < size:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._socket.settimeout(left)
            try:
                self._heard += self._receive()
            except TimeoutError:
                return False
        return True

    def _receive(self) -> bytes:
        try:
            data = self._socket.recv(CHUNK_BYTES)
        except TimeoutError:
            raise
        except ConnectionError:
            raise Ended("reset") from None
        if not data:
            raise Ended("closed")
        return data

    def _send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except TimeoutError:
            return  # no answer will come, and the caller looks at that
        except OSError:
            raise Ended("reset") from None


def _command(name: bytes, body: bytes) -> bytes:
    content = bytes([len(name)]) + name + body
    return b"\x04" + bytes([len(content)]) + content


def _ping(context: bytes) -> bytes:
    """``context``: up to 16 bytes, which the PONG brings back."""
    return _command(b"PING", b"\0\0" + context.ljust(16))


def _property(name: bytes, value: bytes) -> bytes:
    return bytes([len(name)]) + name + len(value).to_bytes(4, "big") + value


def _fitting(ready: bytes) -> bytes:
    """The socket type that a peer with this READY takes."""
    _, _, value = ready.partition(b"Socket-Type")
    size = int.from_bytes(value[:4], "big")
    return _FITTING.get(value[4 : 4 + size], b"DEALER")
