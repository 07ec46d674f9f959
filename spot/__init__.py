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
from spot.message import Event, Message, Metrics, Peer, View
from spot.node import Spot

__version__ = "0.1.0"

__all__ = [
    "AddressInUse",
    "Closed",
    "Config",
    "EndpointExists",
    "Event",
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
    "QueueFull",
    "Spot",
    "SpotError",
    "TimedOut",
    "TopicExists",
    "TopicNotFound",
    "View",
]
