"""What the calls share: the node's core and driver, how they wait, and how a timeout is read."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import TypeVar

from spot.config import Config
from spot.errors import InvalidArgument
from spot.runtime.driver import Driver

FOREVER_S = 1e8
"""Longer timeouts wait for as long as it takes: locks and polls can't count so far."""

Found = TypeVar("Found")


class CalledOff(BaseException):
    """Ends the wait of a call whose caller has gone, as other errors end it."""


class Caller:
    """Who waits for a call that runs in another thread, and may go before it has ended."""

    __slots__ = ("has_gone",)

    def __init__(self) -> None:
        self.has_gone = False


CALLER: ContextVar[Caller | None] = ContextVar("caller", default=None)
"""In whose place this thread calls; None if it calls for itself."""


class Calls:
    """A node's core and driver. The lock of the driver guards the core."""

    def __init__(self, config: Config, node_id: str) -> None:
        self._config = config
        self._node_id = node_id
        self._driver = Driver(config, node_id)
        self._core = self._driver.core
        self._traffic = self._driver.core.traffic

    def _wait(self, ready: Callable[[], Found], until: float | None) -> Found:
        """Lock held. As the driver's; raises CalledOff when the caller has gone."""
        caller = CALLER.get()
        if caller is None:
            return self._driver.wait(ready, until)

        def ready_or_off() -> Found:
            if caller.has_gone:
                raise CalledOff
            return ready()

        return self._driver.wait(ready_or_off, until)

    def _call_off(self, caller: Caller) -> None:
        """The caller goes: its call ends where it waits, or when it comes to that."""
        with self._driver.lock:
            caller.has_gone = True
            self._driver.wakeups.tell_progress()


def deadline(timeout: float | None) -> float | None:
    """The moment when a timeout ends. InvalidArgument if it is none."""
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout >= 0:
        raise InvalidArgument(f"timeout must be None or seconds from 0, not {timeout!r}")
    return time.monotonic() + timeout if timeout < FOREVER_S else None
