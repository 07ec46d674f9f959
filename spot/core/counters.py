"""The counters behind ``metrics()``.

A new counter is an attribute here, set to 0, and a field of the same name of ``Metrics`` in
spot/message.py, with what it means. A new gauge is such a field, computed in ``metrics`` of
spot/core/node.py.
"""

from __future__ import annotations


class Counters:
    """Counts since the node was made. ``Metrics`` in spot/message.py says what each one means."""

    def __init__(self) -> None:
        self.publishes = 0
        self.subscribes = 0
        self.recv_msgs = 0
        self.recv_bytes = 0
        self.missed_msgs = 0
        self.missed_unknown = 0
        self.dropped_msgs = 0
        self.replayed_msgs = 0
        self.publish_unknown = 0
        self.duplicates = 0
        self.set_aside = 0
        self.links_made = 0
        self.links_lost = 0
        self.dials = 0
        self.refused = 0
