"""eclipse-zenoh's Python client, peer to peer over TCP, without a router.

Its best fair set-up: a declared publisher, reliable, that waits when it is congested (the default
drops); a FIFO channel as deep as the others' high-water mark (1.3 times as fast as a callback); no
scouting, as both ends know each other's address.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from bench.contestants.broker import free_port
from bench.stage import PATIENCE, Stage
from bench.traffic import NUMBER_BYTES, Lost, numbers, payloads

__all__ = ["publisher", "subscriber"]

TOPIC = "bench"


def publisher(stage: Stage) -> None:
    """Puts the load's messages."""
    import zenoh

    messages = payloads(stage.load)
    endpoint = f"tcp/127.0.0.1:{free_port()}"
    with zenoh.open(_config(listen=endpoint)) as session:
        declared = session.declare_publisher(
            TOPIC,
            congestion_control=zenoh.CongestionControl.BLOCK,
            reliability=zenoh.Reliability.RELIABLE,
        )
        stage.meet(endpoint)
        _await(lambda: declared.matching_status.matching)
        stage.ready()
        put = declared.put
        for payload in messages:
            put(payload)
        stage.finish()


def subscriber(stage: Stage) -> None:
    """Receives the load's messages one by one, and reports when it did."""
    import zenoh

    due = numbers(stage.load.messages)
    with zenoh.open(_config(connect=stage.meet()[0])) as session:
        channel = zenoh.handlers.FifoChannel(stage.load.hwm)
        declared = session.declare_subscriber(TOPIC, channel)
        stage.ready()
        _receive(declared, due[:1])
        began = time.perf_counter()
        _receive(declared, due[1:])
        ended = time.perf_counter()
        if declared.try_recv() is not None:
            raise Lost(f"more than the {len(due)} messages that were sent")
        stage.finish({"msgs": len(due) - 1, "began": began, "ended": ended})


def _receive(declared: Any, due: list[bytes]) -> None:
    recv = declared.recv
    for number in due:
        payload = recv().payload.to_bytes()
        if payload[:NUMBER_BYTES] != number:
            raise Lost(f"message {int.from_bytes(number)} was due, {payload[:80]!r} came")


def _config(listen: str | None = None, connect: str | None = None) -> Any:
    import zenoh

    config = zenoh.Config()
    for key, value in (
        ("mode", "peer"),
        ("scouting/multicast/enabled", False),
        ("listen/endpoints", [listen] if listen else []),
        ("connect/endpoints", [connect] if connect else []),
    ):
        config.insert_json5(key, json.dumps(value))
    return config


def _await(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not done():
        if time.monotonic() > deadline:
            raise Lost(f"no subscriber came in {PATIENCE:g} s")
        time.sleep(0.01)
