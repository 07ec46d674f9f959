"""One direction of a connection: from one socket, through toxics, to the other one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from spot.testbed.proxy.embedded.stage import PlacedToxic, Sink, Stage

__all__ = ["ToxicLink"]


class LinkSource(Protocol):
    """The socket that a link reads."""

    def pause(self) -> None:
        """Reads no more for now."""

    def resume(self) -> None:
        """Reads again."""


class LinkTarget(Sink, Protocol):
    """The socket that a link writes to."""

    @property
    def is_full(self) -> bool:
        """Whether bytes wait here for the kernel to take them."""


class ToxicLink:
    """Bytes from ``source`` to ``target``. Without toxics they are sent from the buffer that they
    were read into.

    ``toxics``: those that are there when it starts. Its calls are made in the event loop.
    """

    def __init__(
        self, source: LinkSource, target: LinkTarget, toxics: Iterable[PlacedToxic]
    ) -> None:
        self._source = source
        self._target = target
        self._stages: list[Stage] = []
        self._ended = False
        for placed in toxics:
            self._append(placed)

    @property
    def has_toxics(self) -> bool:
        """Whether bytes are queued on their way."""
        return bool(self._stages)

    def feed(self, data: memoryview) -> None:
        """Takes what the source has read. Without toxics the target may keep a view of it."""
        if self._stages:
            self._stages[0].put(bytes(data))
        else:
            self._target.put(data)
        self.throttle()

    def end(self) -> None:
        """The source has ended. Queued bytes still arrive."""
        if not self._ended:
            self._ended = True
            (self._stages[0] if self._stages else self._target).end()

    def add(self, placed: PlacedToxic) -> None:
        """Puts a toxic behind those that are there."""
        self._append(placed)
        self.throttle()

    def update(self, placed: PlacedToxic) -> None:
        """The attributes or the toxicity of a toxic have changed."""
        for stage in self._stages:
            if stage.placed is placed:
                stage.restart()

    def remove(self, placed: PlacedToxic) -> None:
        """Removes a toxic. The bytes that it holds go on, or are lost if the toxic says so."""
        for place, stage in enumerate(self._stages):
            if stage.placed is placed:
                if place > 0:
                    self._stages[place - 1].after = stage.after
                del self._stages[place]
                stage.leave()
                self.throttle()
                return

    def throttle(self) -> None:
        """Pauses the source while too many bytes are queued."""
        if self._stages:
            limit = sum(stage.placed.toxic.queue_bytes for stage in self._stages)
            full = sum(stage.cost_bytes for stage in self._stages) >= limit
        else:
            full = self._target.is_full
        if full:
            self._source.pause()
        else:
            self._source.resume()

    def abort(self) -> None:
        """The connection is gone."""
        self._ended = True
        for stage in self._stages:
            stage.abort()

    def _append(self, placed: PlacedToxic) -> None:
        stage = Stage(placed, self._target, self.throttle)
        if self._stages:
            self._stages[-1].after = stage
        elif self._ended:
            stage.end()
        self._stages.append(stage)
