"""slow_close: the end of the connection arrives later."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import ClassVar

from spot.testbed.proxy.embedded.toxics.base import Toxic, ToxicQueue

__all__ = ["SlowCloseToxic"]


@dataclass(frozen=True)
class SlowCloseToxic(Toxic):
    """Passes bytes on at once, and the close after ``delay`` ms."""

    go_name: ClassVar[str] = "SlowCloseToxic"

    delay: int = 0

    async def pipe(self, queue: ToxicQueue) -> None:
        """Forwards everything at once. At the end of the stream, waits for the delay."""
        while await queue.head() is not None:
            await queue.forward()
        await asyncio.sleep(max(0, self.delay) / 1000)
