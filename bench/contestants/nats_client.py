"""nats-py through nats-server, both ends on uvloop.

Its best fair set-up: a callback as receiver, no limit for what waits for the callback, and a large
buffer before the socket. When the buffer is full, the publisher's ``publish`` waits.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from bench.stage import PATIENCE, Stage
from bench.traffic import NUMBER_BYTES, Lost, numbers, payloads

__all__ = ["publisher", "subscriber"]

TOPIC = "bench"


def publisher(stage: Stage) -> None:
    """Publishes the load's messages."""
    _run(_publish(stage))


def subscriber(stage: Stage) -> None:
    """Receives the load's messages, and reports when it did."""
    _run(_subscribe(stage))


def _run(role: Any) -> None:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(role)


async def _publish(stage: Stage) -> None:
    messages = payloads(stage.load)
    client = await _connected(stage)
    stage.ready()
    publish = client.publish
    for payload in messages:
        await publish(TOPIC, payload)
    # A flush may return before all is written. So the loop runs until the other roles are done.
    await client.flush(PATIENCE)
    await asyncio.to_thread(stage.finish)
    await client.close()


async def _subscribe(stage: Stage) -> None:
    due = iter(numbers(stage.load.messages))
    client = await _connected(stage)
    loop = asyncio.get_running_loop()
    complete = loop.create_future()
    began = ended = 0.0
    seen = 0

    async def on_message(message: Any) -> None:
        nonlocal began, ended, seen
        number = next(due, b"nothing")
        if message.data[:NUMBER_BYTES] != number and not complete.done():
            error = Lost(f"message {seen + 1} was due, {message.data[:80]!r} came")
            complete.set_exception(error)
        seen += 1
        if seen == 1:
            began = time.perf_counter()
        if seen == stage.load.messages and not complete.done():
            ended = time.perf_counter()
            complete.set_result(None)

    await client.subscribe(TOPIC, cb=on_message, pending_msgs_limit=-1, pending_bytes_limit=-1)
    await client.flush(PATIENCE)  # the server knows of the subscription
    stage.ready()
    await asyncio.wait_for(complete, 6 * PATIENCE)
    await client.flush(PATIENCE)  # anything else that was sent to us comes before the answer
    if seen != stage.load.messages:
        raise Lost(f"{stage.load.messages} messages were sent, {seen} came")
    stage.finish({"msgs": seen - 1, "began": began, "ended": ended})
    await client.close()


async def _connected(stage: Stage) -> Any:
    import nats

    port = stage.meet()[0]
    return await nats.connect(
        f"nats://127.0.0.1:{port}",
        pending_size=64 << 20,
        allow_reconnect=False,
        error_cb=_ignore,
    )


async def _ignore(error: Exception) -> None:
    """Ignores errors: a lost message shows in the count, and the server ends after each round."""
