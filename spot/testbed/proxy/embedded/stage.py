"""One toxic at work on one link: a queue of chunks, and a task that works it off.

    source ─> Stage ─> Stage ─> the other end's socket

A stage takes bytes without waiting; the link pauses its source when too many are queued. When a
stage is removed, its queued bytes go to the next one. So toxics come and go at any time without
waiting for one another, which is where Toxiproxy can deadlock (Shopify/toxiproxy#558).
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from spot.testbed.proxy.embedded.toxics import NoopToxic, Toxic
from spot.testbed.proxy.embedded.toxics.base import QueuedBytes

__all__ = ["PlacedToxic", "Sink", "Stage"]

CHUNK_COST_BYTES = 200
"""What a chunk costs besides its bytes, so that many small ones are bounded too."""


@dataclass
class PlacedToxic:
    """A toxic in the list of a proxy."""

    name: str
    type: str
    stream: str
    """``upstream`` or ``downstream``, in the case in which it was given."""
    toxicity: float
    """The share of links that it acts on, from 0 to 1, drawn for each link."""
    toxic: Toxic

    @property
    def direction(self) -> str:
        """``upstream`` or ``downstream``."""
        return self.stream.lower()

    def to_json(self) -> dict[str, Any]:
        """As the API shows it."""
        toxicity = self.toxicity
        return {
            "attributes": vars(self.toxic),
            "name": self.name,
            "type": self.type,
            "stream": self.stream,
            "toxicity": int(toxicity)
            if toxicity.is_integer() and abs(toxicity) < 1e21
            else toxicity,
        }


class Sink(Protocol):
    """Where bytes go next: another stage, or a socket."""

    def put(self, data: bytes | memoryview) -> None:
        """Takes bytes, which must not change any more. Ignored after the end."""

    def end(self) -> None:
        """Nothing more will come."""

    async def room(self) -> None:
        """Returns when there is room for more bytes."""


class Stage:
    """See the module. ``after``: where it goes next. ``on_drain``: called when bytes have left."""

    def __init__(self, placed: PlacedToxic, after: Sink, on_drain: Callable[[], None]) -> None:
        self.placed = placed
        self.after = after
        self.passed_bytes = 0
        """How many bytes it has forwarded since it was added."""
        self.cost_bytes = 0
        """What its queue takes."""
        self._on_drain = on_drain
        self._queue: deque[QueuedBytes] = deque()
        self._ended = False
        self._closed = False
        self._news = asyncio.Event()
        self._task = self._start()

    def put(self, data: bytes | memoryview) -> None:
        """Queues bytes. Ignored once the stage has closed."""
        if not self._closed:
            arrived = asyncio.get_running_loop().time()
            self._queue.append(QueuedBytes(memoryview(data), arrived))
            self.cost_bytes += len(data) + CHUNK_COST_BYTES
            self._news.set()

    def end(self) -> None:
        """The end comes after what is queued."""
        self._ended = True
        self._news.set()

    async def room(self) -> None:
        """There always is."""

    async def head(self) -> QueuedBytes | None:
        """Waits for the oldest chunk, which stays in the queue. None: the stream has ended."""
        while not self._queue:
            if self._ended:
                return None
            self._news.clear()
            await self._news.wait()
        return self._queue[0]

    async def forward(self, size: int | None = None) -> None:
        """Hands the first ``size`` bytes of the oldest chunk on, all of it at most (None: all)."""
        await self.after.room()
        data = self._queue[0].data[:size]
        self.after.put(data)
        self.passed_bytes += len(data)
        self.drop(len(data))

    def drop(self, size: int | None = None) -> None:
        """Forgets the first ``size`` bytes of the oldest chunk (None: all of it)."""
        chunk = self._queue.popleft()
        rest = memoryview(b"") if size is None else chunk.data[size:]
        if rest:
            self._queue.appendleft(QueuedBytes(rest, chunk.arrived))
            self.cost_bytes -= len(chunk.data) - len(rest)
        else:
            self.cost_bytes -= len(chunk.data) + CHUNK_COST_BYTES
        self._on_drain()

    def restart(self) -> None:
        """Goes on with the changed toxic."""
        if not self._closed:
            self._task.cancel()
            self._task = self._start()

    def leave(self) -> None:
        """Stops for good, and hands the queued bytes to the next stage."""
        self._task.cancel()
        if self.placed.toxic.closes_when_removed:
            self._close()
        for chunk in self._queue:
            self.after.put(chunk.data)
        if self._ended and not self._closed:
            self.after.end()
        self._forget()

    def abort(self) -> None:
        """Stops for good; the connection is gone."""
        self._task.cancel()
        self._forget()

    def _start(self) -> asyncio.Task[None]:
        acts = random.random() < self.placed.toxicity  # noqa: S311
        return asyncio.create_task(self._run(self.placed.toxic if acts else NoopToxic()))

    async def _run(self, toxic: Toxic) -> None:
        await toxic.pipe(self)
        self._close()

    def _close(self) -> None:
        if not self._closed:
            self._forget()
            self.after.end()

    def _forget(self) -> None:
        self._closed = True
        self._queue.clear()
        self.cost_bytes = 0
        self._on_drain()
