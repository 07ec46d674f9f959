"""The values that the library returns: messages, peers, metrics, views, events. All immutable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

__all__ = ["Event", "EventKind", "Message", "Metrics", "Peer", "PeerState", "View"]

PeerState: TypeAlias = Literal["up", "dialling", "waiting", "refused"]
"""The states of a peer; see Peer. ``typing.get_args(PeerState)`` lists them."""

EventKind: TypeAlias = Literal[
    "dial",
    "dial_failed",
    "link_up",
    "link_down",
    "refused",
    "synced",
    "topic_up",
    "topic_gone",
    "host_lost",
    "host_back",
    "route",
    "set_aside",
    "caught_up",
    "conflict",
    "conflict_over",
    "view",
]
"""The kinds of events; see Event. ``typing.get_args(EventKind)`` lists them."""


class Message(NamedTuple):
    """One message of one topic."""

    topic: str
    """The topic that the message was published to."""
    data: bytes
    """The payload."""
    seq: int
    """The number of the message in its topic and epoch, from 1."""
    missed: int | None
    """How many messages of this topic were lost just before this one. 0: none, also on the first
    message of a subscription. None: nobody can know, because the last host of the topic was lost
    without a goodbye, and this message is of another host or epoch."""
    node: str
    """The node id of the topic's host."""
    epoch: int
    """Which creation of the topic this is: its time, in nanoseconds since 1970."""


class _Plain(tuple[Any, ...]):
    """A class that names this one first among its bases has the constructor of tuple itself."""

    __slots__ = ()
    __new__ = tuple.__new__


class ReceivedMessage(_Plain, Message):
    """A message as it is received, made from an iterable of its fields.

    It takes two thirds of the time of ``tuple.__new__(Message, fields)``, and a third of the time
    of ``Message(...)``.
    """

    __slots__ = ()

    def __reduce__(self) -> tuple[type[Message], tuple[Any, ...]]:
        return Message, tuple(self)


ReceivedMessage.__name__ = ReceivedMessage.__qualname__ = Message.__name__


@dataclass(frozen=True, slots=True)
class Peer:
    """An endpoint that was added, or a node that has dialled this one without being added.

    Counts of bytes and messages are those of the present link, 0 while there is none.
    """

    endpoint: str
    """The endpoint as it was added; the node id, if the peer was not added."""
    node: str | None
    """The node id. None: no node has answered at the endpoint yet."""
    state: PeerState
    """``"up"``: there is a link. ``"dialling"``: a connection is being made, or the greeting is
    awaited. ``"waiting"``: for the next dial. ``"refused"``: the same, after the last greeting was
    refused."""
    rtt: float | None
    """The last round trip of a heartbeat, in seconds. None: none was measured, or no link."""
    dialled: bool
    """Whether this node has dialled the present link, and not the peer."""
    sent_bytes: int
    """Payload bytes of messages sent to the peer."""
    recv_bytes: int
    """Payload bytes of messages received from the peer."""
    sent_msgs: int
    """Messages sent to the peer."""
    recv_msgs: int
    """Messages received from the peer."""
    queued_msgs: int
    """Messages that wait in this node for the peer to take them."""
    topics: int
    """Topics that the peer hosts."""
    dials: int
    """Dials of this endpoint since it was added."""
    last_error: str | None
    """Why the last link or dial ended. None: none has ended."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """Counters since the node was made, then gauges of now, from ``links_up`` on."""

    publishes: int
    """Messages that ``publish`` and ``publish_many`` accepted."""
    subscribes: int
    """Subscriptions made, patterns included."""
    recv_msgs: int
    """Messages that ``recv`` and ``recv_many`` returned."""
    recv_bytes: int
    """Payload bytes of these messages."""
    missed_msgs: int
    """Messages that this node's subscriptions are known to have lost."""
    missed_unknown: int
    """Times that another host or epoch followed the loss of a topic's host, and nobody can know how
    many messages were lost: the next message has ``missed`` None."""
    dropped_msgs: int
    """Messages that a subscriber lacked and that the replay buffer of this host no longer held.
    Each counts once for each subscriber."""
    replayed_msgs: int
    """Messages sent from replay buffers to subscribers that lacked them."""
    publish_unknown: int
    """Publishes to REMOTE topics whose fate nobody knows: their host restarted, or the topic had
    ended or the host had lost its quorum when they arrived."""
    duplicates: int
    """Messages that arrived a second time and were dropped."""
    set_aside: int
    """Times that this host set a slow subscriber aside."""
    links_made: int
    """Links that came up."""
    links_lost: int
    """Links that went down."""
    dials: int
    """Dials of all endpoints."""
    refused: int
    """Links that were refused, by a peer or by this node. Connections that are not of SPOT are
    counted too."""

    links_up: int
    """Links that are up."""
    topics_local: int
    """LOCAL topics: those that this node hosts."""
    topics_remote: int
    """REMOTE topics: those that peers host."""
    queued_msgs: int
    """Messages that wait in this node for peers to take them."""
    queued_bytes: int
    """Payload bytes of these messages."""
    inbox_msgs: int
    """Messages that have arrived and that the application has not taken yet."""
    history_bytes: int
    """Bytes in the replay buffers of all LOCAL topics, with overhead."""
    conflicts: int
    """Topics that several nodes host, none of them as a standby."""


@dataclass(frozen=True, slots=True)
class View:
    """Which nodes one node can reach, in its own judgement. Other nodes may judge otherwise.

    A view holds no lock and elects no leader. Just after a partition, a node may believe for a
    moment that it has a quorum while the other side has one already (docs/guarantees.md, *quorum*).
    """

    version: int
    """1 for the first view of a node, and one more with each change."""
    node: str
    """The id of the node whose view this is."""
    members: frozenset[str]
    """The setting ``members``."""
    reachable: frozenset[str]
    """Ids of the nodes that can be reached, members or not, without this node itself."""
    since: float
    """When the view last changed, in seconds of ``time.monotonic()``."""
    conflicts: Mapping[str, tuple[str, ...]] = field(hash=False)
    """Topics that several nodes host, none of them as a standby, with the ids of the hosts."""
    quorum: bool | None
    """Whether this node and the nodes that it reaches include more than half of the members. A node
    that is no member does not count itself. None: there are no members."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a link, host, topic or view.

    The kinds, with the fields that they fill beside ``at``:

    - ``"dial"``: a connection to ``endpoint`` is being made.
    - ``"dial_failed"``: it was not made, for ``reason``; the next dial follows after ``delay``.
    - ``"link_up"``: the peer ``node`` was greeted, messages can flow.
    - ``"link_down"``: the link with ``node`` ended, for ``reason``; ``delay`` if this node dials.
    - ``"refused"``: this node or the peer refused a link, for ``reason``; ``delay`` likewise.
    - ``"synced"``: this node and ``node`` know each other's ``topics`` and subscriptions.
    - ``"topic_up"``: ``node`` announced ``topics``.
    - ``"topic_gone"``: ``node`` hosts ``topics`` no longer.
    - ``"host_lost"``: ``node``, the host of subscribed ``topics``, was lost, for ``reason``.
    - ``"host_back"``: ``node`` hosts these ``topics`` again.
    - ``"route"``: ``node`` is the host of the routed ``topics`` now, for ``reason``.
    - ``"set_aside"``: this host waits for the slow subscriber ``node`` of ``topics`` no longer.
    - ``"caught_up"``: that subscriber has drained its queue; it missed ``count`` messages.
    - ``"conflict"``: several nodes, named in ``reason``, host ``topics``.
    - ``"conflict_over"``: ``topics`` have one host again, or none.
    - ``"view"``: ``view`` is the new view; ``reason`` says so if the quorum was lost or came back.
    """

    kind: EventKind
    """What happened."""
    at: float
    """When, in seconds of ``time.monotonic()``."""
    node: str | None = None
    """The id of the peer. None: it is not known, or the event is not about one peer."""
    endpoint: str | None = None
    """The endpoint of the peer. None: the event is not about one endpoint."""
    topics: tuple[str, ...] = ()
    """The topics that are meant."""
    reason: str | None = None
    """Why, in a few words."""
    delay: float | None = None
    """The wait before the next dial, in seconds. None: no dial follows."""
    count: int | None = None
    """The number of messages that the subscriber missed. None for other kinds."""
    view: View | None = None
    """The new view. None for other kinds."""
