"""reset_peer: the connection ends with RST."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import ClassVar

from spot.testbed.proxy.embedded.toxics.base import Toxic, ToxicQueue

__all__ = ["ResetPeerToxic"]


@dataclass(frozen=True)
class ResetPeerToxic(Toxic):
    """Closes ``timeout`` ms after the first chunk, which is lost. 0: at once.

    By RST, both ways, if the connection was opened while the toxic was there; else by FIN.
    """

    go_name: ClassVar[str] = "ResetToxic"
    resets_on_close: ClassVar[bool] = True

    timeout: int = 0

    async def pipe(self, queue: ToxicQueue) -> None:
        """Waits for the first chunk and then for the timeout. Forwards nothing."""
        await queue.head()
        await asyncio.sleep(max(0, self.timeout) / 1000)
