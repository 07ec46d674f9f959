"""Raw pyzmq, XPUB/SUB, one frame a message, in its best fair set-up.

One frame of topic, zero byte and payload is the fastest form (two frames halve the rate). With
XPUB_NODROP a blocking send waits for a full queue, so that nothing is lost. The frames are made
before and the methods are bound before, so the loops hold only ``send`` and ``recv``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import cycle

from bench.contestants.raw_sockets import (
    TOPIC,
    Context,
    Socket,
    await_subscribers,
    bound,
    context_of_role,
    nothing_else,
    received,
    sub,
    xpub,
)
from bench.stage import Stage
from bench.traffic import NUMBER_BYTES, Lost, latencies, numbers, payloads, topics

__all__ = ["echo", "ping", "publisher", "subscriber", "topics_publisher", "topics_subscriber"]

PING = b"ping\0"
PONG = b"pong\0"


def publisher(stage: Stage) -> None:
    """Sends the load's messages."""
    _publish(stage, [TOPIC + payload for payload in payloads(stage.load)])


def subscriber(stage: Stage) -> None:
    """Receives the load's messages, and reports when it did."""
    with context_of_role() as context:
        socket = sub(context, stage.load, TOPIC)
        socket.connect(stage.meet()[0])
        due = numbers(stage.load.messages)
        stage.ready()
        stage.finish(received(socket, due))


def topics_publisher(stage: Stage) -> None:
    """Sends the load's messages to its topics in turn."""
    names = cycle([name.encode() + b"\0" for name in topics(stage.load)])
    _publish(stage, [next(names) + payload for payload in payloads(stage.load)])


def topics_subscriber(stage: Stage) -> None:
    """Receives the load's messages by one subscription to a prefix, and checks their order.

    It splits off the topic's name, as an application that listens to many topics must.
    """
    load = stage.load
    names = {name.encode() for name in topics(load)}
    due = numbers(load.messages)
    with context_of_role() as context:
        socket = sub(context, load, b"bench:")
        socket.connect(stage.meet()[0])
        stage.ready()
        _receive_named(socket, names, due[:1])
        began = time.perf_counter()
        _receive_named(socket, names, due[1:])
        ended = time.perf_counter()
        nothing_else(socket, len(due))
        stage.finish({"msgs": len(due) - 1, "began": began, "ended": ended})


def ping(stage: Stage) -> None:
    """Sends, waits for the answer, and times it."""
    with context_of_role() as context:
        send, receive = _both_ways(context, stage, PONG, other=1)
        stage.ready()

        def trip(payload: bytes) -> bytes:
            send(PING + payload)
            return receive()[len(PONG) :]

        stage.finish(latencies(trip, payloads(stage.load)))


def echo(stage: Stage) -> None:
    """Answers every message with its payload."""
    with context_of_role() as context:
        send, receive = _both_ways(context, stage, PING, other=0)
        stage.ready()
        for _ in range(stage.load.messages):
            send(PONG + receive()[len(PING) :])
        stage.finish()


def _publish(stage: Stage, frames: list[bytes]) -> None:
    with context_of_role() as context:
        socket = xpub(context, stage.load)
        stage.meet(bound(socket))
        await_subscribers(socket, stage.load.subscribers)
        stage.ready()
        send = socket.send
        began = time.process_time()
        for frame in frames:
            send(frame)
        stage.finish({"publisher_cpu_s": (time.process_time() - began) / len(frames)})


def _receive_named(socket: Socket, names: set[bytes], due: list[bytes]) -> None:
    recv = socket.recv
    topic = slice(len(next(iter(names))))
    counter = slice(topic.stop + 1, topic.stop + 1 + NUMBER_BYTES)
    for number in due:
        frame = recv()
        if frame[topic] not in names or frame[counter] != number:
            raise Lost(f"message {int.from_bytes(number)} was due, {frame[:80]!r} came")


def _both_ways(
    context: Context, stage: Stage, wanted: bytes, other: int
) -> tuple[Callable[[bytes], object], Callable[[], bytes]]:
    """Makes a socket to send by and one to receive ``wanted`` by. Returns their calls."""
    sender, receiver = xpub(context, stage.load), sub(context, stage.load, wanted)
    receiver.connect(stage.meet(bound(sender))[other])
    await_subscribers(sender)
    return sender.send, receiver.recv
