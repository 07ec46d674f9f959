"""Metrics, events, limits."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator

from spot.calls.receiving import ReceivingCalls
from spot.errors import Closed
from spot.message import Event, Metrics, View
from spot.timeout import deadline

EVENTS_KEPT = 10_000


class ObservingCalls(ReceivingCalls):
    """Metrics, events and the view, for operators; and the limits of queues."""

    def metrics(self) -> Metrics:
        """Counts what this node has done, and what waits in it.

        Returns:
            A Metrics of this moment.
        """
        with self._driver.lock:
            self._driver.check_open()
            self._driver.loop.flush()
            refused = self._driver.transport.unauthenticated.refused
            waiting = [message.data for message in (*self._current, *self._staged)]
            return self._core.metrics(refused=refused, waiting=waiting)

    def events(self, timeout: float | None = None) -> Generator[Event, None, None]:
        """Iterates over what happens to links, hosts, topics and the view, from this call on.

        Each iterator gets every event, and keeps the newest 10,000 that it has not handed out yet.
        It ends when the node is closed.

        Args:
            timeout: Seconds without an event after which the iterator ends. None (the default):
                never. 0: it hands out what there is, and ends.

        Returns:
            An iterator of Event.

        Raises:
            InvalidArgument: ``timeout`` is negative or not a number.
            Closed: The node has failed.
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
                    if driver.closing and not happened and driver.failure is None:
                        return
                    try:
                        if not self._wait(lambda: bool(happened), deadline(timeout)):
                            return
                    except Closed as error:
                        if error.__cause__ is not None:
                            raise  # the node has failed
                        return
                    event = happened.popleft()
                yield event
        finally:
            log = driver.event_log
            log.listeners = [kept for kept in log.listeners if kept is not happened]

    def view(self) -> View:
        """Tells which nodes can be reached, and whether they are a quorum.

        Returns:
            A View of this moment. It also names the topics that have several hosts.
        """
        with self._driver.lock:
            self._driver.check_open()
            return self._core.failover.views.view

    def set_hwm(self, sndhwm: int, rcvhwm: int) -> None:
        """Changes the limits of all queues, existing and future, while the node runs.

        Args:
            sndhwm: How many messages may wait in this node for one peer, from 1. The limit of 16
                MiB stays.
            rcvhwm: How many messages of one peer may wait here for ``recv``, from 1. The limit of
                16 MiB stays.

        Raises:
            InvalidArgument: One of the two is not a whole number from 1.
        """
        checked = self._config.with_settings(sndhwm=sndhwm, rcvhwm=rcvhwm)
        with self._driver.lock:
            self._driver.check_open()
            self._config = checked
            self._core.set_hwm(sndhwm, rcvhwm)
            self._driver.loop.act()
