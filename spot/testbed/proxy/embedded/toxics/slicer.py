"""slicer: the stream arrives in small pieces."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import ClassVar

from spot.testbed.proxy.embedded.toxics.base import Toxic, ToxicQueue, until

__all__ = ["SlicerToxic"]


@dataclass(frozen=True)
class SlicerToxic(Toxic):
    """Pieces of ``average_size`` bytes, give or take ``size_variation``, ``delay`` us apart."""

    go_name: ClassVar[str] = "SlicerToxic"
    go_integer: ClassVar[str] = "int"

    average_size: int = 0
    size_variation: int = 0
    delay: int = 0

    async def pipe(self, queue: ToxicQueue) -> None:
        """Forwards pieces of random sizes, with the delay after each."""
        loop = asyncio.get_running_loop()
        next_at = loop.time()
        while await queue.head() is not None:
            await queue.forward(self._size())
            # The loop's timers are exact to a millisecond: what one oversleeps, the next catch up.
            next_at = max(next_at, loop.time() - 0.01) + self.delay / 1_000_000
            await until(next_at)

    def _size(self) -> int:
        varied = max(0, self.size_variation)
        return max(1, self.average_size + random.randint(-varied, varied))  # noqa: S311
