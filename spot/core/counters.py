"""The counters behind ``metrics()``."""

from __future__ import annotations


class Counters:
    """Counts since the node was made. The docstring of Metrics says what each one means."""

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
