"""SPOT: clustered publish/subscribe on ZeroMQ, without a broker."""

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
    TopicExists,
    TopicNotFound,
)
from spot.message import Event, EventKind, Message, Metrics, Peer, PeerState, View
from spot.node import Spot
from spot.timeout import SEND_TIMEOUT, Timeout

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
    "TopicExists",
    "TopicNotFound",
    "View",
]
