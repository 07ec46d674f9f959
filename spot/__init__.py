"""SPOT: clustered publish/subscribe on ZeroMQ, without a broker."""

from typing import TYPE_CHECKING

from spot.config import Config
from spot.errors import (
    AddressInUse,
    Closed,
    EndpointExists,
    HostUnreachable,
    InvalidArgument,
    MessageTooLarge,
    NoQuorum,
    NotSubscribed,
    PeerExists,
    PeerNotFound,
    QueueFull,
    SpotError,
    TimedOut,
    TooManyOpenFiles,
    TooManyThreads,
    TopicExists,
    TopicNotFound,
    WouldDeadlock,
)
from spot.message import Event, EventKind, Message, Metrics, Peer, PeerState, View
from spot.timeout import SEND_TIMEOUT, Timeout

if TYPE_CHECKING:
    from spot.node import Spot
else:

    def __getattr__(name: str) -> object:
        """Imports ``Spot`` when it is first asked for: commands and the testbed do without it."""
        if name != "Spot":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from spot.node import Spot

        globals()[name] = Spot
        return Spot

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


__version__ = "0.1.0"

__all__ = [
    "SEND_TIMEOUT",
    "AddressInUse",
    "Closed",
    "Config",
    "EndpointExists",
    "Event",
    "EventKind",
    "HostUnreachable",
    "InvalidArgument",
    "Message",
    "MessageTooLarge",
    "Metrics",
    "NoQuorum",
    "NotSubscribed",
    "Peer",
    "PeerExists",
    "PeerNotFound",
    "PeerState",
    "QueueFull",
    "Spot",
    "SpotError",
    "TimedOut",
    "Timeout",
    "TooManyOpenFiles",
    "TooManyThreads",
    "TopicExists",
    "TopicNotFound",
    "View",
    "WouldDeadlock",
]
