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
    └── TimedOut            ETIMEDOUT     also a TimeoutError

Each error has the errno that the table in the README names, says in its text which
thing and value are meant and what to do, and carries them as fields. A raw
``zmq.ZMQError`` never leaves the library; where one was the cause, it is chained.
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
    "TopicExists",
    "TopicNotFound",
]


class SpotError(OSError):
    """The root of the tree.

    Fields are ``None`` or empty where they do not apply: ``endpoint`` (as the caller wrote
    it, or a node id), ``node`` (node id), ``topic``, ``topics``, ``limit`` (a count or bytes,
    as the text says), ``reason`` (a short stable word or phrase).
    """

    code: int = errno.EIO

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
        self.topics: tuple[str, ...] = tuple(topics) or ((topic,) if topic is not None else ())
        self.limit = limit
        self.reason = reason

    def __str__(self) -> str:
        return str(self.strerror)

    def __reduce__(self) -> tuple[object, ...]:
        # OSError's own would call the class with errno and text.
        return type(self), (str(self),), vars(self)


class InvalidArgument(SpotError, ValueError):
    """An argument, setting, endpoint or topic is not one that SPOT can take."""

    code = errno.EINVAL


class Closed(SpotError):
    """The node was closed, or belongs to the parent of this forked process."""

    code = errno.EBADF


class TopicExists(SpotError):
    """The topic is hosted already: here, or by a peer that is up."""

    code = errno.EEXIST


class TopicNotFound(SpotError):
    """No such topic: not hosted here, and announced by no peer."""

    code = errno.ENOENT


class NotSubscribed(SpotError):
    """There is no such subscription."""

    code = errno.ENOENT


class PeerExists(SpotError):
    """The endpoint was added before."""

    code = errno.EEXIST


class PeerNotFound(SpotError):
    """No peer has this endpoint or node id."""

    code = errno.ENOENT


class EndpointExists(SpotError):
    """This node is bound to the endpoint already."""

    code = errno.EEXIST


class AddressInUse(SpotError):
    """Another socket is bound to the address."""

    code = errno.EADDRINUSE


class HostUnreachable(SpotError):
    """A host of subscribed topics was lost, or the host of a REMOTE topic can't be reached.

    ``node`` is the host, ``topics`` what it hosted of one's subscriptions, ``reason`` why the
    link ended (``"closed"``, ``"silent"``, ``"left"`` after its goodbye, ...). A publish to a host
    that has restarted says in ``unknown`` of how many earlier ones nobody knows whether they were
    ordered (``reason`` ``"restarted"``); what it was to publish was not accepted.
    """

    code = errno.EHOSTUNREACH
    unknown: int = 0


class NoQuorum(SpotError):
    """The topic's host, ``node``, reaches no majority of the members, and has ``require_quorum``.

    ``limit`` is how many members it needs, and ``missing`` the ids of those that it does not
    reach; both are known of this node only, not of another host. After ``publish_many``,
    ``accepted`` says how many of its payloads were accepted before.
    """

    code = errno.ENETUNREACH
    missing: tuple[str, ...] = ()
    accepted: int = 0


class QueueFull(SpotError):
    """A queue stayed full for the send timeout: a subscriber's with ``overflow="error"``, or the
    host's.

    After ``publish_many``, ``accepted`` says how many of its payloads were accepted before.
    """

    code = errno.EAGAIN
    accepted: int = 0


class MessageTooLarge(SpotError):
    """The payload is larger than ``max_message_bytes`` (``limit``)."""

    code = errno.EMSGSIZE


class TimedOut(SpotError, TimeoutError):
    """Not done within the time given.

    After ``cluster_sync``: ``answers`` holds what did answer (as its return value would), and
    ``missing`` the endpoints or node ids that did not.
    """

    code = errno.ETIMEDOUT

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
        self.answers: dict[str, frozenset[str]] = dict(answers or {})
        self.missing: tuple[str, ...] = tuple(missing)
