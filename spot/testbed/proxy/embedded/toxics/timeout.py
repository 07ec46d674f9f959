"""timeout: a blackhole, with or without an end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import ClassVar

from spot.testbed.proxy.embedded.toxics.base import Toxic, ToxicQueue

__all__ = ["TimeoutToxic"]


@dataclass(frozen=True)
class TimeoutToxic(Toxic):
    """Drops everything, and closes when nothing has come for ``timeout`` ms. 0: never.

    Removing it closes the connection too, as no stream can go on after a gap. Toxicity doesn't
    matter to that.
    """

    go_name: ClassVar[str] = "TimeoutToxic"
    closes_when_removed: ClassVar[bool] = True

    timeout: int = 0

    async def pipe(self, queue: ToxicQueue) -> None:
        """Drops everything until the timeout passes without a chunk."""
        limit_s = self.timeout / 1000 if self.timeout > 0 else None
        try:
            while True:
                async with asyncio.timeout(limit_s):
                    if await queue.head() is None:
                        return
                queue.drop()
        except TimeoutError:
            return
