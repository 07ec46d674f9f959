"""What a toxic is: numbers that the API sets, and what it does to the bytes of one link."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import ClassVar, Protocol

__all__ = ["QueuedBytes", "Toxic", "ToxicQueue", "until"]


@dataclass(frozen=True, slots=True)
class QueuedBytes:
    """Bytes, and when they reached the stage by the loop's clock."""

    data: memoryview
    arrived: float


class ToxicQueue(Protocol):
    """The bytes of one link that wait at a toxic. ``Stage`` has them."""

    @property
    def passed_bytes(self) -> int:
        """How many bytes the toxic has forwarded on this link."""

    async def head(self) -> QueuedBytes | None:
        """Waits for the oldest chunk, which stays in the queue. None: the stream has ended."""

    async def forward(self, size: int | None = None) -> None:
        """Hands on the first ``size`` bytes of the oldest chunk, at most all of it (None: all)."""

    def drop(self, size: int | None = None) -> None:
        """Forgets the first ``size`` bytes of the oldest chunk (None: all of it)."""


@dataclass(frozen=True)
class Toxic:
    """The attributes of one toxic. Fields are named as in the API, and whole numbers.

    Many links share a toxic; what belongs to one link is in its ``Stage``.
    """

    go_name: ClassVar[str]
    """What Toxiproxy calls it in error messages."""
    go_integer: ClassVar[str] = "int64"
    """What Toxiproxy calls its numbers in error messages."""
    queue_bytes: ClassVar[int] = 64 * 1024
    """How much waits here before the sender is held up."""
    closes_when_removed: ClassVar[bool] = False
    resets_on_close: ClassVar[bool] = False
    """Connections that are opened while it is there end with RST instead of FIN."""

    async def pipe(self, queue: ToxicQueue) -> None:
        """Works off the queue. When it returns, the connection is closed.

        It is cancelled when the toxic is changed or removed. Bytes that it has neither forwarded
        nor dropped by then stay in the queue, for the toxic that comes next.
        """
        raise NotImplementedError


async def until(when: float) -> None:
    """Waits for this time of the loop's clock; others get their turn even if it is past."""
    await asyncio.sleep(max(0.0, when - asyncio.get_running_loop().time()))
