"""The sockets of raw pyzmq: how they are made, connect, and receive."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import zmq

from bench.row import Figures, Load
from bench.stage import PATIENCE
from bench.traffic import NUMBER_BYTES, Lost

__all__ = [
    "TOPIC",
    "Context",
    "Socket",
    "await_subscribers",
    "bound",
    "context_of_role",
    "receive",
    "received",
    "sub",
    "xpub",
]

Socket = zmq.Socket[bytes]
Context = zmq.Context[Socket]

TOPIC = b"bench\0"


@contextmanager
def context_of_role() -> Iterator[Context]:
    """A context whose sockets are closed at the end, even if not everything was sent."""
    context = zmq.Context()
    try:
        yield context
    finally:
        context.destroy(linger=0)


def xpub(context: Context, load: Load) -> Socket:
    """A publisher that waits for full queues and gets every subscription as a message."""
    socket = context.socket(zmq.XPUB)
    socket.setsockopt(zmq.SNDHWM, load.hwm)
    socket.setsockopt(zmq.XPUB_NODROP, 1)
    socket.setsockopt(zmq.XPUB_VERBOSE, 1)
    socket.setsockopt(zmq.RCVHWM, 0)  # subscriptions come in by this queue
    socket.setsockopt(zmq.SNDTIMEO, int(PATIENCE * 1000))
    socket.setsockopt(zmq.RCVTIMEO, int(PATIENCE * 1000))
    return socket


def sub(context: Context, load: Load, wanted: bytes) -> Socket:
    """A subscriber to messages that begin with ``wanted``."""
    socket = context.socket(zmq.SUB)
    socket.setsockopt(zmq.RCVHWM, load.hwm)
    # Subscriptions go out by this queue, and those that don't fit are dropped in silence.
    socket.setsockopt(zmq.SNDHWM, 0)
    socket.setsockopt(zmq.RCVTIMEO, int(PATIENCE * 1000))
    socket.setsockopt(zmq.SUBSCRIBE, wanted)
    return socket


def bound(socket: Socket) -> str:
    """Binds to a free port. Returns the endpoint."""
    socket.bind("tcp://127.0.0.1:*")
    return socket.getsockopt_string(zmq.LAST_ENDPOINT)


def await_subscribers(socket: Socket, count: int = 1) -> None:
    """Returns when this many subscriptions are in force: later messages arrive there."""
    for _ in range(count):
        if not socket.recv().startswith(b"\1"):
            raise Lost("the first thing to reach an XPUB must be a subscription")


def received(socket: Socket, due: Sequence[bytes]) -> Figures:
    """Receives the messages that are due, and no more. Returns how many after the first, and
    when."""
    receive(socket, due[:1])
    rest = due[1:]
    began = time.perf_counter()
    receive(socket, rest)
    ended = time.perf_counter()
    nothing_else(socket, len(due))
    return {"msgs": len(rest), "began": began, "ended": ended}


def receive(socket: Socket, due: Sequence[bytes]) -> None:
    """Receives the messages with these counters, in this order."""
    recv, counter = socket.recv, slice(len(TOPIC), len(TOPIC) + NUMBER_BYTES)
    for number in due:
        frame = recv()
        if frame[counter] != number:
            raise Lost(f"message {int.from_bytes(number)} was due, {frame[:80]!r} came")


def nothing_else(socket: Socket, count: int) -> None:
    """Checks that nothing came beyond the messages that were sent."""
    if socket.poll(0):
        raise Lost(f"more than the {count} messages that were sent: {socket.recv()[:80]!r}")
