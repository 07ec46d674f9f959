"""Latency under an offered load: messages are due at fixed times, even if the last one was late.

A message says when it was due, not when it was sent. So a publisher that is held up does not hide
how late its messages are (an error known as coordinated omission). All processes of a machine share
the clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from struct import Struct

from bench.contestants import raw_sockets as raw
from bench.contestants import spot_setup as spot
from bench.row import Figures, Load
from bench.stage import PATIENCE, Stage
from bench.traffic import Lost, quantile

__all__ = ["raw_publisher", "raw_subscriber", "spot_publisher", "spot_subscriber"]

STAMP = Struct("<QQ")
"""The head of a payload: its number from 1, and when it was due, in ns of ``perf_counter``."""

WARM_UP = 0.2
"""The share of the messages, at the start, whose latency is not counted."""


def spot_publisher(stage: Stage) -> None:
    """SPOT offers the load."""
    with spot.node_of_role(stage.load) as node:
        spot.meet_subscribers(node, stage)
        publish = node.publish
        _offer(stage.load, lambda payload: publish(spot.TOPIC, payload))
        node.flush(PATIENCE)
        stage.finish()


def spot_subscriber(stage: Stage) -> None:
    """SPOT receives it."""
    with spot.node_of_role(stage.load) as node:
        spot.meet_publisher(node, stage)
        recv = node.recv

        def payload() -> bytes:
            message = recv(PATIENCE)
            if message is None:
                raise Lost(f"nothing came in {PATIENCE:g} s")
            return message.data

        stage.finish(_timed(stage.load, payload))


def raw_publisher(stage: Stage) -> None:
    """Raw pyzmq offers the load."""
    with raw.context_of_role() as context:
        socket = raw.xpub(context, stage.load)
        stage.meet(raw.bound(socket))
        raw.await_subscribers(socket)
        stage.ready()
        send = socket.send
        _offer(stage.load, lambda payload: send(raw.TOPIC + payload))
        stage.finish()


def raw_subscriber(stage: Stage) -> None:
    """Raw pyzmq receives the load."""
    with raw.context_of_role() as context:
        socket = raw.sub(context, stage.load, raw.TOPIC)
        socket.connect(stage.meet()[0])
        stage.ready()
        recv, start = socket.recv, len(raw.TOPIC)
        stage.finish(_timed(stage.load, lambda: recv()[start:]))


def _offer(load: Load, publish: Callable[[bytes], object]) -> None:
    filling = bytes(load.payload_bytes - STAMP.size)
    interval = 1e9 / load.rate_hz
    clock, pack = time.perf_counter_ns, STAMP.pack
    began = clock()
    for number in range(1, load.messages + 1):
        due = began + int(number * interval)
        early = due - clock()
        if early > 0:
            time.sleep(early * 1e-9)
        publish(pack(number, due) + filling)


def _timed(load: Load, payload: Callable[[], bytes]) -> Figures:
    clock, unpack = time.perf_counter_ns, STAMP.unpack_from
    late = []
    for due in range(1, load.messages + 1):
        number, sent = unpack(payload())
        late.append(clock() - sent)
        if number != due:
            raise Lost(f"message {due} was due, {number} came")
    counted = sorted(late[int(len(late) * WARM_UP) :])
    return {"p50": quantile(counted, 0.5) * 1e-9, "p99": quantile(counted, 0.99) * 1e-9}
