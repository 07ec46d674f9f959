"""redis-py through redis-server, publishing by pipelines.

Its best fair set-up: pipelines of 100 without a transaction, the parser in C (hiredis), and a
subscriber that reads responses without looking for anything else.
"""

from __future__ import annotations

import time
from typing import Any

from bench.stage import PATIENCE, Stage
from bench.traffic import NUMBER_BYTES, Lost, in_batches, numbers, payloads

__all__ = ["publisher", "subscriber"]

TOPIC = "bench"
PIPELINE = 100
"""Messages in one pipeline."""


def publisher(stage: Stage) -> None:
    """Publishes the load's messages, 100 in each pipeline."""
    batches = in_batches(payloads(stage.load), PIPELINE)
    with _connected(stage) as client:
        stage.ready()
        pipeline = client.pipeline(transaction=False)
        for batch in batches:
            for payload in batch:
                pipeline.publish(TOPIC, payload)
            pipeline.execute()
        stage.finish()


def subscriber(stage: Stage) -> None:
    """Receives the load's messages one by one, and reports when it did."""
    due = numbers(stage.load.messages)
    with _connected(stage) as client, client.pubsub() as listener:
        listener.subscribe(TOPIC)
        listener.parse_response(timeout=PATIENCE)  # the subscription is confirmed
        stage.ready()
        _receive(listener, due[:1])
        began = time.perf_counter()
        _receive(listener, due[1:])
        ended = time.perf_counter()
        if listener.parse_response(block=False, timeout=0) is not None:
            raise Lost(f"more than the {len(due)} messages that were sent")
        stage.finish({"msgs": len(due) - 1, "began": began, "ended": ended})


def _receive(listener: Any, due: list[bytes]) -> None:
    parse_response = listener.parse_response
    for number in due:
        _, _, payload = parse_response()
        if payload[:NUMBER_BYTES] != number:
            raise Lost(f"message {int.from_bytes(number)} was due, {payload[:80]!r} came")


def _connected(stage: Stage) -> Any:
    import redis

    return redis.Redis(host="127.0.0.1", port=int(stage.meet()[0]), socket_timeout=PATIENCE)
