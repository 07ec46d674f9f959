"""Publishes numbered messages at a rate, to the node's own topics and to those of other nodes.

It uses no counter twice, even if the publish raised. payload.py says what counters are for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection
from typing import TYPE_CHECKING

from spot.errors import Closed, SpotError
from spot.program.payload import Publisher, numbered_payload

if TYPE_CHECKING:
    from spot import Spot
    from spot.program.recorder import Recorder
    from spot.program.settings import ProgramSettings

__all__ = ["Traffic", "publish_numbered"]

NAP_MIN_S = 0.001
"""Shorter waits cost too much. So at higher rates messages leave in small bursts."""
IDLE_S = 0.05
"""Seconds between two looks of a publisher without topics for a new one."""
BEHIND_MAX_S = 1.0
"""A publisher that was held up for longer skips the messages that it missed."""


class Traffic:
    """Publishes to a node's own topics on one thread, and to REMOTE topics on another.

    So a slow host of a REMOTE topic does not hold up the node's own topics. ``quiet`` ends both.
    """

    def __init__(self, node: Spot, recorder: Recorder, settings: ProgramSettings) -> None:
        self._node = node
        self._recorder = recorder
        self._settings = settings
        self.incarnation = f"{time.time_ns():x}"
        """Payloads have it beside the node's id, to keep the counters of two incarnations apart."""
        self._own = list(settings.config.topics)
        self._remote = [topic for topic in settings.publish if topic not in self._own]
        self._quiet = threading.Event()
        # Each is held while its thread publishes.
        self._publishing_own = threading.Lock()
        self._publishing_remote = threading.Lock()

    def publish_own(self) -> None:
        """Publishes to the node's own topics until ``quiet``."""
        with self._publishing_own:
            self._publish(self._own, None)

    def publish_remote(self) -> None:
        """Publishes to the topics of ``settings.publish`` until ``quiet``."""
        with self._publishing_remote:
            self._publish(self._remote, Publisher(self.incarnation, self._node.node_id))

    def add(self, topic: str) -> None:
        """Begins to publish to this topic of the node too."""
        if topic not in (*self._own, *self._remote):
            self._own.append(topic)

    def drop(self, topic: str) -> None:
        """Ends publishing to this topic of the node."""
        if topic in self._own:
            self._own.remove(topic)

    def quiet(self, timeout: float) -> bool:
        """Ends publishing. Whether every publish under way returned within ``timeout`` seconds."""
        self._quiet.set()
        until = time.monotonic() + timeout
        for publishing in (self._publishing_own, self._publishing_remote):
            if not publishing.acquire(timeout=max(until - time.monotonic(), 0)):
                return False
            publishing.release()
        return True

    def _publish(self, topics: Collection[str], publisher: Publisher | None) -> None:
        publish_numbered(
            self._node,
            self._recorder,
            topics,
            rate=self._settings.rate,
            payload_bytes=self._settings.payload_bytes,
            stopped=self._quiet,
            publisher=publisher,
        )


def publish_numbered(
    node: Spot,
    recorder: Recorder,
    topics: Collection[str],
    *,
    rate: float,
    payload_bytes: int,
    stopped: threading.Event,
    publisher: Publisher | None = None,
) -> None:
    """Publishes to each topic ``rate`` times a second (more than 0) until ``stopped`` is set.

    ``topics`` may change meanwhile. It records an error of SPOT, and goes on with the next message
    at its time. ``publisher``: the publisher that payloads name. None: they name none.
    """
    counter = 0
    due = time.monotonic()
    while not stopped.is_set():
        now = time.monotonic()
        if not topics:
            stopped.wait(IDLE_S)
            due = time.monotonic()
            continue
        if due > now:
            stopped.wait(max(due - now, NAP_MIN_S))
            continue
        if now - due > BEHIND_MAX_S:
            due = now
        due += 1 / rate
        counter += 1
        payload = numbered_payload(counter, payload_bytes, publisher)
        for topic in tuple(topics):
            at = time.monotonic()
            try:
                node.publish(topic, payload)
            except Closed:
                return
            except SpotError as error:
                recorder.publish_error(at, topic, counter, error)
            else:
                recorder.publish(at, topic, counter)
