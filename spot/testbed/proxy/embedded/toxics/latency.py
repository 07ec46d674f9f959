"""latency: everything arrives later, in the same order."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import ClassVar

from spot.testbed.proxy.embedded.toxics.base import Toxic, ToxicQueue, until

__all__ = ["LatencyToxic"]


@dataclass(frozen=True)
class LatencyToxic(Toxic):
    """Delays each chunk by ``latency`` ms, give or take ``jitter`` ms."""

    go_name: ClassVar[str] = "LatencyToxic"
    # A long line holds much: this allows 32 MiB for each latency that passes.
    queue_bytes: ClassVar[int] = 32 * 1024 * 1024

    latency: int = 0
    jitter: int = 0

    async def pipe(self, queue: ToxicQueue) -> None:
        """Forwards each chunk after its delay, counted from its arrival.

        A change of the toxic also applies to the chunks that wait already.
        """
        while (chunk := await queue.head()) is not None:
            delay_ms = self.latency + (
                random.uniform(-self.jitter, self.jitter) if self.jitter > 0 else 0  # noqa: S311
            )
            await until(chunk.arrived + delay_ms / 1000)
            await queue.forward()
