"""What the library hands out: messages, peers, metrics, views, events. All of it immutable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

__all__ = ["Event", "Message", "Metrics", "Peer", "View"]


class Message(NamedTuple):
    """One message of one topic.

    ``seq`` counts from 1 within ``epoch``, which stands for one creation of the topic (the
    wall-clock nanoseconds of it). ``missed`` is how many messages of this topic were lost just
    before this one: 0 on a subscription's first message, ``None`` where nobody can know,
    because the host crashed and began a new epoch. ``node`` is the id of the topic's host.
    """

    topic: str
    data: bytes
    seq: int
    missed: int | None
    node: str
    epoch: int


class _Plain(tuple[Any, ...]):
    """Gives a class that names it first among its bases the constructor of tuple itself."""

    __slots__ = ()
    __new__ = tuple.__new__


class ReceivedMessage(_Plain, Message):
    """A message as it is received, made of an iterable of its fields in two thirds of the time that
    ``tuple.__new__(Message, fields)`` takes, and a third of that of ``Message(...)``.
    """

    __slots__ = ()

    def __reduce__(self) -> tuple[type[Message], tuple[Any, ...]]:
        return Message, tuple(self)


ReceivedMessage.__name__ = ReceivedMessage.__qualname__ = Message.__name__


@dataclass(frozen=True, slots=True)
class Peer:
    """One configured endpoint, or one node that dialled us without being configured.

    ``endpoint`` is as it was given to ``cluster_add``; of a peer that only dials us, its node
    id. ``state`` is one of ``"up"``, ``"dialling"`` (a connection is being made or greeted),
    ``"waiting"`` (for the next dial), ``"refused"`` (waiting, and the last greeting was refused).
    ``rtt`` is the last round trip in seconds, measured by heartbeats. ``last_error`` says why the
    last link or dial ended. Byte and message counts are of the present link.
    """

    endpoint: str
    node: str | None
    state: str
    rtt: float | None
    dialled: bool
    sent_bytes: int
    recv_bytes: int
    sent_msgs: int
    recv_msgs: int
    queued_msgs: int
    topics: int
    dials: int
    last_error: str | None


@dataclass(frozen=True, slots=True)
class Metrics:
    """Counters since the node was made, and gauges of now (the second group)."""

    publishes: int
    """messages accepted by ``publish`` and ``publish_many``"""
    subscribes: int
    """subscriptions made, patterns included"""
    recv_msgs: int
    """messages handed to the application"""
    recv_bytes: int
    """their payload bytes"""
    missed_msgs: int
    """messages known to be lost on the way to this node's subscriptions"""
    missed_unknown: int
    """times that a host began a new epoch and nobody can know how much was lost (``missed``
    None)
    """
    dropped_msgs: int
    """messages that a subscriber of ours lacked, and that history did not hold (any more): counted
    once a subscriber"""
    replayed_msgs: int
    """messages sent from history, to subscribers that lacked them"""
    publish_unknown: int
    """publishes to REMOTE topics of which nobody knows whether they were ordered, as the host
    restarted meanwhile, or that came to it when the topic had ended or it had no quorum"""
    duplicates: int
    """messages that arrived a second time and were dropped"""
    set_aside: int
    """times that a slow subscriber was set aside"""
    links_made: int
    links_lost: int
    dials: int
    refused: int
    """links refused, ours by peers and peers' and strangers' by us"""

    links_up: int
    topics_local: int
    topics_remote: int
    queued_msgs: int
    """waiting in this node for the credit of subscribers"""
    queued_bytes: int
    inbox_msgs: int
    """arrived, not yet taken by ``recv``"""
    history_bytes: int
    """what the histories of LOCAL topics take"""
    conflicts: int
    """topics that two nodes host, neither of them as a standby"""


@dataclass(frozen=True, slots=True)
class View:
    """What a node thinks of who can be reached: its own judgement, which others need not share.

    It holds no lock and elects nobody: a node may have a quorum for a moment after it was cut off,
    and so may the others already (docs/guarantees.md, *quorum*).
    """

    version: int
    """1 for the first view of a node's life, and one more with each change"""
    node: str
    """whose view it is"""
    members: frozenset[str]
    """the setting ``members``"""
    reachable: frozenset[str]
    """ids of the nodes that can be reached, members or not, without this node itself"""
    since: float
    """``time.monotonic()`` seconds of the last change"""
    conflicts: Mapping[str, tuple[str, ...]] = field(hash=False)
    """topics that several nodes host, none of these as a standby, with the ids of the hosts"""
    quorum: bool | None
    """whether this node and whom it reaches are more than half of the members; a node that is no
    member does not count itself. None without members"""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a link, host, topic or view.

    ``kind`` is one of: ``"dial"``, ``"dial_failed"``, ``"link_up"``, ``"link_down"``,
    ``"refused"``, ``"host_lost"``, ``"host_back"``, ``"topic_up"``, ``"topic_gone"``,
    ``"set_aside"``, ``"caught_up"``, ``"conflict"``, ``"conflict_over"``, ``"route"`` (``node`` is
    now the host of routed ``topics``), ``"view"``, ``"synced"``. ``at`` is
    ``time.monotonic()`` seconds. ``delay`` is the wait before the next dial (seconds, of
    ``"dial_failed"``, ``"link_down"`` and ``"refused"``); ``count`` the messages that it missed (of
    ``"caught_up"``); ``view`` the new view (of ``"view"``).
    """

    kind: str
    at: float
    node: str | None = None
    endpoint: str | None = None
    topics: tuple[str, ...] = ()
    reason: str | None = None
    delay: float | None = None
    count: int | None = None
    view: View | None = None
