"""Every error that SPOT raises, in one tree.

    SpotError(OSError)
    ├── InvalidArgument     EINVAL        also a ValueError
    ├── Closed              EBADF
    ├── TopicExists         EEXIST
    ├── TopicNotFound       ENOENT
    ├── NotSubscribed       ENOENT
    ├── PeerExists          EEXIST
    ├── PeerNotFound        ENOENT
    ├── EndpointExists      EEXIST
    ├── AddressInUse        EADDRINUSE
    ├── HostUnreachable     EHOSTUNREACH
    ├── NoQuorum            ENETUNREACH
    ├── QueueFull           EAGAIN
    ├── MessageTooLarge     EMSGSIZE
    ├── TooManyOpenFiles    EMFILE
    ├── TooManyThreads      EAGAIN
    ├── TimedOut            ETIMEDOUT     also a TimeoutError
    └── WouldDeadlock       EDEADLK

Each error has the errno of this table. Its text says what is wrong and what to do; its fields hold
the names and values. The library raises no raw ``zmq.ZMQError``; one that was the cause is chained.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence

__all__ = [
    "AddressInUse",
    "Closed",
    "EndpointExists",
    "HostUnreachable",
    "InvalidArgument",
    "MessageTooLarge",
    "NoQuorum",
    "NotSubscribed",
    "PeerExists",
    "PeerNotFound",
    "QueueFull",
    "SpotError",
    "TimedOut",
    "TooManyOpenFiles",
    "TooManyThreads",
    "TopicExists",
    "TopicNotFound",
    "WouldDeadlock",
]


class SpotError(OSError):
    """The base of all errors of SPOT. Fields that do not apply are None or empty."""

    code: int = errno.EIO
    """The errno of the class."""
    endpoint: str | None
    """The endpoint as the caller wrote it, or a node id in its place."""
    node: str | None
    """The id of the node that is meant."""
    topic: str | None
    """The topic that is meant."""
    topics: tuple[str, ...]
    """The topics that are meant; the one topic, if there is one."""
    limit: int | None
    """The limit that was reached: a number of messages, members, bytes or descriptors, as the text
    says.
    """
    reason: str | None
    """Why, in a few words that stay the same from version to version."""

    def __init__(
        self,
        text: str,
        *,
        endpoint: str | None = None,
        node: str | None = None,
        topic: str | None = None,
        topics: Sequence[str] = (),
        limit: int | None = None,
        reason: str | None = None,
    ) -> None:
        super().__init__(self.code, text)
        self.endpoint = endpoint
        self.node = node
        self.topic = topic
        self.topics = tuple(topics) or ((topic,) if topic is not None else ())
        self.limit = limit
        self.reason = reason

    def __str__(self) -> str:
        return str(self.strerror)

    def __reduce__(self) -> tuple[object, ...]:
        # OSError's own would call the class with errno and text.
        return type(self), (str(self),), vars(self)


class InvalidArgument(SpotError, ValueError):
    """An argument, setting, endpoint or topic name is not valid."""

    code = errno.EINVAL


class Closed(SpotError):
    """The node was closed, has failed, or belongs to the parent of this forked process.

    If it has failed, ``__cause__`` is the error that ended it.
    """

    code = errno.EBADF


class TopicExists(SpotError):
    """The topic is hosted already, by this node or by a peer that is up."""

    code = errno.EEXIST


class TopicNotFound(SpotError):
    """The topic is not known: this node does not host it, and no peer has announced it."""

    code = errno.ENOENT


class NotSubscribed(SpotError):
    """There is no subscription to this topic or pattern."""

    code = errno.ENOENT


class PeerExists(SpotError):
    """The endpoint was added before, or its node has dialled this one."""

    code = errno.EEXIST


class PeerNotFound(SpotError):
    """No peer has this endpoint or node id."""

    code = errno.ENOENT


class EndpointExists(SpotError):
    """This node listens on the endpoint already."""

    code = errno.EEXIST


class AddressInUse(SpotError):
    """Another socket listens on the address."""

    code = errno.EADDRINUSE


class HostUnreachable(SpotError):
    """A host of subscribed topics was lost, or the host of a REMOTE topic can't be reached.

    ``node`` is the host. Out of ``recv``, ``topics`` are its topics to which this node has
    subscribed. ``reason`` says why the link ended: ``"closed"``, ``"silent"``, ``"left"`` after the
    host's goodbye, and so on. A publish to a host that has restarted has ``reason``
    ``"restarted"``; its own message was not accepted.
    """

    code = errno.EHOSTUNREACH
    unknown: int = 0
    """After ``"restarted"``: how many earlier publishes the host may have lost."""


class NoQuorum(SpotError):
    """The topic's host, ``node``, has ``require_quorum`` and reaches no majority of the members.

    If this node is the host, ``limit`` is how many members it needs.
    """

    code = errno.ENETUNREACH
    missing: tuple[str, ...] = ()
    """Ids of the members that this node does not reach, if it is the host."""
    accepted: int = 0
    """After ``publish_many``: how many of its payloads were accepted before."""


class QueueFull(SpotError):
    """A queue stayed full until the timeout of the publish was over.

    It is the queue of the subscriber ``node``, with ``overflow="error"``; or the queue to the host
    ``node`` of a REMOTE topic. ``limit`` is ``sndhwm``.
    """

    code = errno.EAGAIN
    accepted: int = 0
    """After ``publish_many``: how many of its payloads were accepted before."""


class MessageTooLarge(SpotError):
    """The payload is larger than ``max_message_bytes``, which is ``limit``."""

    code = errno.EMSGSIZE


class TooManyOpenFiles(SpotError):
    """The process may open no more descriptors, or not as many as the call needs.

    ``limit`` is the limit of the process. A node asks for a few more descriptors than it needs.
    """

    code = errno.EMFILE


class TooManyThreads(SpotError):
    """The process can't start the threads that a node needs."""

    code = errno.EAGAIN


class TimedOut(SpotError, TimeoutError):
    """The call was not done within its timeout."""

    code = errno.ETIMEDOUT
    answers: dict[str, frozenset[str]]
    """After ``cluster_sync``: the topics of the peers that answered, as it would return them."""
    missing: tuple[str, ...]
    """After ``cluster_sync``: the endpoints or node ids of the peers that did not answer."""

    def __init__(
        self,
        text: str,
        *,
        answers: Mapping[str, frozenset[str]] | None = None,
        missing: Sequence[str] = (),
        endpoint: str | None = None,
        topic: str | None = None,
    ) -> None:
        super().__init__(text, endpoint=endpoint, topic=topic)
        self.answers = dict(answers or {})
        self.missing = tuple(missing)


class WouldDeadlock(SpotError):
    """The same thread is within another call of the node, which the caller has interrupted.

    Finalizers, trace functions and handlers of some signals run in the middle of calls. See
    "Thread safety, signals, callbacks" in docs/guarantees.md.
    """

    code = errno.EDEADLK
