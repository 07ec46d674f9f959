"""bandwidth: the link has a limited speed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import ClassVar

from spot.testbed.proxy.embedded.toxics.base import Toxic, ToxicQueue, until

__all__ = ["BandwidthToxic"]

PIECE_MS = 100
"""The longest time in ms for one piece of bytes, so that bytes leave steadily on a slow line."""


@dataclass(frozen=True)
class BandwidthToxic(Toxic):
    """``rate`` kB/s (1 kB is 1,000 bytes). 0: bytes are held until it is changed or removed."""

    go_name: ClassVar[str] = "BandwidthToxic"

    rate: int = 0

    async def pipe(self, queue: ToxicQueue) -> None:
        """Forwards pieces of at most 100 ms each, at the rate."""
        free_at = asyncio.get_running_loop().time()
        while (chunk := await queue.head()) is not None:
            if self.rate <= 0:
                await asyncio.Future()  # until it is cancelled
            size = min(len(chunk.data), self.rate * PIECE_MS)
            # Counted from when the line was free, not from now: timers are late, rates are not.
            free_at = max(free_at, chunk.arrived) + size / (self.rate * 1000)
            await until(free_at)
            await queue.forward(size)
