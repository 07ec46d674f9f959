"""Raw pyzmq, XPUB/SUB, two frames a message by ``send_multipart``, as the ZeroMQ guide shows it."""

from __future__ import annotations

import time

from bench.contestants.raw_sockets import (
    Socket,
    await_subscribers,
    bound,
    context_of_role,
    nothing_else,
    sub,
    xpub,
)
from bench.stage import Stage
from bench.traffic import NUMBER_BYTES, Lost, numbers, payloads

__all__ = ["publisher", "subscriber"]

TOPIC = b"bench"


def publisher(stage: Stage) -> None:
    """Sends the load's messages, the topic in a frame of its own."""
    messages = [(TOPIC, payload) for payload in payloads(stage.load)]
    with context_of_role() as context:
        socket = xpub(context, stage.load)
        stage.meet(bound(socket))
        await_subscribers(socket)
        stage.ready()
        send_multipart = socket.send_multipart
        for message in messages:
            send_multipart(message)
        stage.finish()


def subscriber(stage: Stage) -> None:
    """Receives the load's messages by ``recv_multipart``, and reports when it did."""
    due = numbers(stage.load.messages)
    with context_of_role() as context:
        socket = sub(context, stage.load, TOPIC)
        socket.connect(stage.meet()[0])
        stage.ready()
        _receive(socket, due[:1])
        began = time.perf_counter()
        _receive(socket, due[1:])
        ended = time.perf_counter()
        nothing_else(socket, len(due))
        stage.finish({"msgs": len(due) - 1, "began": began, "ended": ended})


def _receive(socket: Socket, due: list[bytes]) -> None:
    recv_multipart = socket.recv_multipart
    for number in due:
        _, payload = recv_multipart()
        if payload[:NUMBER_BYTES] != number:
            raise Lost(f"message {int.from_bytes(number)} was due, {payload[:80]!r} came")
