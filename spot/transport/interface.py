"""The interface between the event loop and the network under a node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from spot.core.effects import Frame


class Transport(Protocol):
    """Connections of one node: frames in and out, dials, and connections that end.

    A connection is named by bytes. The node chooses the name of a connection that it dials, and the
    transport names a connection that it accepts. The caller holds the node's lock.
    """

    def has_input(self) -> bool:
        """Whether ``receive`` has something. Also lets the transport finish delayed work."""

    def receive(self) -> tuple[bytes, Frame] | None:
        """The next frame and its connection. None if there is none, or if it is to be ignored."""

    def send(self, conn: bytes, parts: Frame) -> bool:
        """Sends a frame. False if the connection does not exist or has ended."""

    def is_bound(self, address: str) -> bool:
        """Whether this node itself is bound to the address."""

    def connect(self, conn: bytes, address: str) -> bytes | None:
        """Dials an address that has no names in it.

        None if the dial has begun, else the earlier dial that leads there. Raises OSError if the
        address can't be dialled.
        """

    def forget(self, conn: bytes) -> None:
        """The node no longer needs a connection. A connection that it dialled is ended."""

    def read_monitor(self) -> None:
        """Notes which connections were made and which have ended."""

    @property
    def ended(self) -> bool:
        """Whether ``take_ended`` has something."""

    def take_ended(self) -> list[tuple[bytes, str]]:
        """Connections that have ended, each with the reason. The transport then forgets them.

        Frames that arrived on them earlier may still wait: call ``receive`` until there are none.
        """

    def progressed(self, conn: bytes) -> bool:
        """Whether bytes arrived on a connection since this was last asked."""

    def excuse_unauthenticated(self, late: float, now: float) -> None:
        """The node itself was stopped for ``late`` seconds. Connections get that much more time."""

    def end_unauthenticated(self, now: float, is_link: Callable[[bytes], bool]) -> None:
        """Ends accepted connections that have not become links in time."""

    def log_refusal(self, conn: bytes, why: str) -> None:
        """The core has refused an accepted connection that gave no node id."""
