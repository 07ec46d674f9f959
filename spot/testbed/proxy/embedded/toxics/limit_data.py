"""limit_data: the stream is cut off after so many bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from spot.testbed.proxy.embedded.toxics.base import Toxic, ToxicQueue

__all__ = ["LimitDataToxic"]


@dataclass(frozen=True)
class LimitDataToxic(Toxic):
    """Closes after ``bytes`` bytes of each connection, counted from when the toxic was added."""

    go_name: ClassVar[str] = "LimitDataToxic"

    bytes: int = 0

    async def pipe(self, queue: ToxicQueue) -> None:
        """Forwards bytes up to the limit, then returns."""
        while (chunk := await queue.head()) is not None:
            left = self.bytes - queue.passed_bytes
            if left > 0:
                await queue.forward(min(left, len(chunk.data)))
            if queue.passed_bytes >= self.bytes:
                return
