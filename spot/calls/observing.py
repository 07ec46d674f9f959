"""Metrics, events, limits."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator

from spot.calls.base import deadline
from spot.calls.receiving import ReceivingCalls
from spot.errors import Closed
from spot.message import Event, Metrics, View

EVENTS_KEPT = 10_000


class ObservingCalls(ReceivingCalls):
    """What an operator wants to see."""

    def metrics(self) -> Metrics:
        """Counters and gauges of this node."""
        with self._driver.lock:
            self._driver.check_open()
            self._driver.loop.flush()
            strangers = self._driver.transport.unauthenticated.refused
            waiting = [message.data for message in (*self._current, *self._staged)]
            return self._core.metrics(strangers=strangers, waiting=waiting)

    def events(self, timeout: float | None = None) -> Generator[Event, None, None]:
        """Iterates over what happens to links, hosts, topics and the view from this call on.

        Ends when nothing happened for ``timeout`` seconds, or the node is closed. Each iterator
        keeps the newest 10,000 events that it has not handed out.
        """
        deadline(timeout)
        happened: deque[Event] = deque(maxlen=EVENTS_KEPT)
        with self._driver.lock:
            self._driver.check_open()
            self._driver.event_log.listeners.append(happened)
        return self._events(happened, timeout)

    def _events(
        self, happened: deque[Event], timeout: float | None
    ) -> Generator[Event, None, None]:
        driver = self._driver
        try:
            while True:
                with driver.lock:
                    if driver.closing and not happened:
                        return
                    try:
                        if not self._wait(lambda: bool(happened), deadline(timeout)):
                            return
                    except Closed:
                        return
                    event = happened.popleft()
                yield event
        finally:
            log = driver.event_log
            log.listeners = [kept for kept in log.listeners if kept is not happened]

    def view(self) -> View:
        """Who can be reached now, whether that is a quorum, and which topics are in conflict."""
        with self._driver.lock:
            self._driver.check_open()
            return self._core.views.view

    def set_hwm(self, sndhwm: int, rcvhwm: int) -> None:
        """Sets the message limits of existing and future queues."""
        checked = self._config.with_settings(sndhwm=sndhwm, rcvhwm=rcvhwm)
        with self._driver.lock:
            self._driver.check_open()
            self._config = checked
            self._core.set_hwm(sndhwm, rcvhwm)
            self._driver.loop.act()
