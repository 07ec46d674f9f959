"""noop: does nothing. It stands in for a toxic that toxicity spares a link."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from spot.testbed.proxy.embedded.toxics.base import Toxic, ToxicQueue

__all__ = ["NoopToxic"]


@dataclass(frozen=True)
class NoopToxic(Toxic):
    """Passes everything on."""

    go_name: ClassVar[str] = "NoopToxic"

    async def pipe(self, queue: ToxicQueue) -> None:
        """Forwards everything at once."""
        while await queue.head() is not None:
            await queue.forward()
