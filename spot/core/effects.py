"""The effects that the core asks for: it collects them, and the event loop carries them out."""

from __future__ import annotations

from spot.core.link import Link
from spot.message import Event

Frame = tuple[bytes, ...]
"""Records, and large payloads beside them. Arriving parts may be views (memoryview)."""


class Effects:
    """Frames to send, connections to make and to end, events to tell.

    ``progress`` says that something happened which a blocked call may wait for. ``rerouted`` says
    that publishes to REMOTE topics may have another host, or none. ``unnamed_refusals`` are
    connections that were refused before they gave a node id, with the reason.
    """

    __slots__ = (
        "dials",
        "events",
        "hangups",
        "progress",
        "rerouted",
        "sends",
        "touched",
        "unnamed_refusals",
    )

    def __init__(self) -> None:
        self.sends: list[tuple[bytes, Frame]] = []
        self.dials: list[tuple[bytes, str]] = []
        self.hangups: list[bytes] = []
        self.events: list[Event] = []
        self.unnamed_refusals: list[tuple[bytes, str]] = []
        self.touched: dict[Link, None] = {}
        self.progress = False
        self.rerouted = False

    def control(self, link: Link, record: bytes) -> None:
        """Queues a record that is exempt from credit."""
        link.control.append(record)
        self.touched[link] = None
