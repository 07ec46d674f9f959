"""What the calls share: the core and the driver of the node, and how they wait."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import TypeVar

from spot.config import Config
from spot.runtime.threads import Driver

Found = TypeVar("Found")


class CalledOff(BaseException):
    """Ends the wait of a call whose caller has gone. It does so as any other error would."""


class Caller:
    """The task that waits for a call in another thread. The task may be cancelled before the call
    has ended."""

    __slots__ = ("has_gone",)

    def __init__(self) -> None:
        self.has_gone = False


CALLER: ContextVar[Caller | None] = ContextVar("caller", default=None)
"""The task for which this thread makes a call; None if it calls for itself."""


class Calls:
    """The base of all calls: a core and its driver, whose lock guards the core."""

    def __init__(self, config: Config, node_id: str) -> None:
        self._config = config
        self._node_id = node_id
        self._driver = Driver(config, node_id)
        self._core = self._driver.core

    def _wait(self, ready: Callable[[], Found], until: float | None) -> Found:
        """Lock held. Waits as the driver does; raises CalledOff when the caller has gone."""
        caller = CALLER.get()
        if caller is None:
            return self._driver.wait(ready, until)

        def ready_or_off() -> Found:
            if caller.has_gone:
                raise CalledOff
            return ready()

        return self._driver.wait(ready_or_off, until)

    def _call_off(self, caller: Caller) -> None:
        """The caller goes: its call ends at once if it waits, or else at its next wait."""
        with self._driver.lock:
            caller.has_gone = True
            self._driver.wakeups.tell_progress()
