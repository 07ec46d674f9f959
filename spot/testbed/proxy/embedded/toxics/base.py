"""What a toxic is: numbers that the API sets, and what it does to the bytes of one link."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import ClassVar, Protocol

__all__ = ["QueuedBytes", "Toxic", "ToxicQueue", "until"]


@dataclass(frozen=True, slots=True)
class QueuedBytes:
    """Bytes, and when they came to the stage by the loop's clock."""

    data: memoryview
    arrived: float


class ToxicQueue(Protocol):
    """What a toxic sees of its stage: the bytes that wait there, in chunks."""

    passed_bytes: int
    """How much it has forwarded since it is there."""

    async def head(self) -> QueuedBytes | None:
        """Waits for the oldest chunk, which stays in the queue. None: the stream has ended."""

    async def forward(self, size: int | None = None) -> None:
        """Hands the first ``size`` bytes of the oldest chunk on, all of it at most (None: all)."""

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

    async def pipe(self, stage: ToxicQueue) -> None:
        """Works off the stage's queue; on return the connection is closed.

        It is cancelled when the toxic is changed or removed. What it has neither forwarded nor
        dropped by then stays in the queue, for whatever comes next.
        """
        raise NotImplementedError


async def until(when: float) -> None:
    """Waits for this time of the loop's clock; others get their turn even if it is past."""
    await asyncio.sleep(max(0.0, when - asyncio.get_running_loop().time()))
