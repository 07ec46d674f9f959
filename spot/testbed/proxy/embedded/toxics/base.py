"""What a toxic is: numbers that the API sets, and what it does to the bytes of one link."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from spot.testbed.proxy.embedded.stage import Stage

__all__ = ["Toxic", "until"]


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

    async def pipe(self, stage: Stage) -> None:
        """Works off the stage's queue; on return the connection is closed.

        It is cancelled when the toxic is changed or removed. What it has neither forwarded nor
        dropped by then stays in the queue, for whatever comes next.
        """
        raise NotImplementedError


async def until(when: float) -> None:
    """Waits for this time of the loop's clock; others get their turn even if it is past."""
    await asyncio.sleep(max(0.0, when - asyncio.get_running_loop().time()))
