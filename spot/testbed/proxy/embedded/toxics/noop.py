"""noop: does nothing. It stands in for a toxic that toxicity spares a link."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from spot.testbed.proxy.embedded.toxics.base import Toxic

if TYPE_CHECKING:
    from spot.testbed.proxy.embedded.stage import Stage

__all__ = ["NoopToxic"]


@dataclass(frozen=True)
class NoopToxic(Toxic):
    """Passes everything on."""

    go_name: ClassVar[str] = "NoopToxic"

    async def pipe(self, stage: Stage) -> None:
        """See ``Toxic``."""
        while await stage.head() is not None:
            await stage.forward()
