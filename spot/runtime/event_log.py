"""The event log: events go to their listeners, and to the log."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Mapping

from spot.core.membership.failover import QUORUM_LOST
from spot.message import Event, EventKind
from spot.runtime.late_log import LateLog

REFUSALS_TOLD_MAX = 256

LEVELS: Mapping[EventKind, int] = {
    "dial": logging.DEBUG,
    "dial_failed": logging.DEBUG,
    "synced": logging.DEBUG,
    "topic_up": logging.DEBUG,
    "topic_gone": logging.DEBUG,
    "refused": logging.WARNING,
    "host_lost": logging.WARNING,
    "conflict": logging.WARNING,
    "set_aside": logging.WARNING,
    "link_up": logging.INFO,
    "link_down": logging.INFO,
    "host_back": logging.INFO,
    "caught_up": logging.INFO,
    "conflict_over": logging.INFO,
    "route": logging.WARNING,
    "view": logging.INFO,
}
"""The level at which each kind of event is logged. Repeated refusals are logged at debug, and a
lost quorum as a warning."""


class EventLog:
    """The listeners and the log of one node. The node's lock guards it."""

    def __init__(self, node: str, log_level: str, log: LateLog) -> None:
        self._node = node
        self._log = log
        self._log_level = getattr(logging, log_level.upper())
        self.listeners: list[deque[Event]] = []
        self._refusals_told: dict[str, str | None] = {}

    def tell(self, events: Iterable[Event]) -> None:
        """Hands events to all listeners, and logs those that the setting ``log_level`` asks for."""
        for event in events:
            for listener in self.listeners:
                listener.append(event)
            level = self._level_of(event)
            if level >= self._log_level:
                # Not asked before whether logging is on: another thread may have locked logging.
                self._log.log(level, "%s: %s", self._node, _sentence(event))

    def tell_bad_frame(self, error: Exception) -> None:
        """Logs that the core has failed on a frame."""
        self._log.log(
            logging.ERROR,
            "%s: a frame could not be handled; its link ends",
            self._node,
            error=error,
        )

    def tell_failure(self, error: BaseException) -> None:
        """Logs what has ended the node."""
        self._log.log(
            logging.ERROR, "%s: the node has failed, and is closed", self._node, error=error
        )

    def _level_of(self, event: Event) -> int:
        """The level of an event. A refusal that repeats with each dial is a warning only once."""
        told = self._refusals_told
        if event.kind == "link_up":
            told.pop(event.node or "", None)
        elif event.kind == "refused":
            who = event.node or event.endpoint or ""
            if told.get(who) == event.reason or len(told) >= REFUSALS_TOLD_MAX:
                return logging.DEBUG
            told[who] = event.reason
        elif event.kind == "view" and event.reason == QUORUM_LOST:
            return logging.WARNING
        return LEVELS[event.kind]


def _sentence(event: Event) -> str:
    words = [event.kind.replace("_", " ")]
    if event.node is not None:
        words.append(f"node {event.node}")
    if event.endpoint is not None:
        words.append(f"at {event.endpoint}")
    if event.reason is not None:
        words.append(f"({event.reason})")
    if event.topics:
        words.append(
            f"topics {', '.join(event.topics[:5])}{' ...' if len(event.topics) > 5 else ''}"
        )
    if event.delay is not None:
        words.append(f"next dial in {event.delay:.2f} s")
    if event.count is not None:
        words.append(f"{event.count} messages dropped")
    if event.view is not None:
        view = event.view
        words.append(
            f"version {view.version}, reaches {', '.join(sorted(view.reachable)) or 'nobody'}"
        )
    return " ".join(words)
