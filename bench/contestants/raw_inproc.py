"""Raw pyzmq, XPUB/SUB over inproc, one frame a message: the measure for LOCAL topics."""

from __future__ import annotations

import threading
import time

from bench.contestants.raw_sockets import (
    TOPIC,
    Context,
    Socket,
    await_subscribers,
    context_of_role,
    receive,
    received,
    sub,
    xpub,
)
from bench.row import Load
from bench.stage import Stage
from bench.traffic import in_batches, numbers, payloads

__all__ = ["one_thread", "two_threads"]


def two_threads(stage: Stage) -> None:
    """One thread sends, another receives."""
    load = stage.load
    frames = [TOPIC + payload for payload in payloads(load)]
    due = numbers(load.messages)
    with context_of_role() as context:
        sender, receiver = _pair(context, load)

        def send_all() -> None:
            send = sender.send
            for frame in frames:
                send(frame)

        stage.meet()
        thread = threading.Thread(target=send_all, daemon=True)
        stage.ready()
        thread.start()
        figures = received(receiver, due)
        thread.join()
        stage.finish(figures)


def one_thread(stage: Stage) -> None:
    """One thread sends a batch, then receives it."""
    load = stage.load
    frames = in_batches([TOPIC + payload for payload in payloads(load)], load.batch)
    due = in_batches(numbers(load.messages), load.batch)
    with context_of_role() as context:
        sender, receiver = _pair(context, load)
        stage.meet()
        stage.ready()
        send = sender.send
        began = time.perf_counter()
        for batch, expected in zip(frames, due, strict=True):
            for frame in batch:
                send(frame)
            receive(receiver, expected)
        ended = time.perf_counter()
        stage.finish({"msgs": load.messages, "began": began, "ended": ended})


def _pair(context: Context, load: Load) -> tuple[Socket, Socket]:
    sender, receiver = xpub(context, load), sub(context, load, TOPIC)
    sender.bind("inproc://bench")
    receiver.connect("inproc://bench")
    await_subscribers(sender)
    return sender, receiver
