"""Receives messages, notices of lost hosts, and events, and records them."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from spot.errors import HostUnreachable
from spot.program.payload import counter_of

if TYPE_CHECKING:
    from spot import Event, Spot
    from spot.program.recorder import Recorder

__all__ = ["receive", "watch_events"]

log = logging.getLogger(__name__)

SHOWN_BYTES_MAX = 80


def receive(node: Spot, recorder: Recorder) -> None:
    """Receives until the node is closed, and records every message and every lost host."""
    known: set[str] = set()
    while True:
        try:
            for message in node:
                recorder.recv(message)
                if message.topic not in known:
                    known.add(message.topic)
                    log.info("receiving %s from %s", message.topic, message.node)
                if message.missed != 0:
                    lost = "an unknown number of" if message.missed is None else message.missed
                    log.warning("missed %s messages of %s", lost, message.topic)
                if counter_of(message.data) is None:  # a person's, not the program's
                    log.info("%s: %r", message.topic, message.data[:SHOWN_BYTES_MAX])
        except HostUnreachable as error:
            recorder.host_unreachable(error)
            log.warning("%s", error)
        else:
            return


def watch_events(events: Iterable[Event], recorder: Recorder) -> None:
    """Records events of links, hosts and topics until the node is closed."""
    for event in events:
        recorder.event(event)
