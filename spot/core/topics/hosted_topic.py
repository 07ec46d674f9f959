"""A topic that this node sends, and a subscriber that it sends topics to."""

from __future__ import annotations

from typing import Protocol

from spot.core.link import QUEUE_BYTES, Flow, Link
from spot.core.topics.interest import Interest
from spot.core.topics.replay_buffer import ReplayBuffer
from spot.core.wire.batches import Chunk


class Subscriber:
    """A peer that gets topics from here; or this node itself, where ``link`` is None.

    A subscriber that is set ``aside`` is not waited for. ``cursors`` has the topics of which it
    lacks something, and the sequence from which on it reads their replay buffers; ``lost`` counts
    what the buffers did not hold any more.

    The rest concerns peers only, but for ``msgs`` and ``size``: what waits for this node's own
    ``recv``. ``interest`` are the peer's subscriptions, ``follows`` the topics that it asked for
    by number, ``feeds`` the topics that it gets. ``requests`` counts the INTEREST and FOLLOW
    records that it has sent. ``changed`` are topics of which something went out since their heads
    were last told. ``positions`` has what the peer said of topics that its patterns match.
    ``behind`` are topics with something in the queue that a HEAD must not overtake. ``ending`` are
    names of topics whose end waits in the queue.
    """

    __slots__ = (
        "aside",
        "aside_told",
        "behind",
        "changed",
        "cursors",
        "ending",
        "feeds",
        "flow",
        "follows",
        "interest",
        "link",
        "lost",
        "msgs",
        "positions",
        "requests",
        "size",
    )

    def __init__(self, link: Link | None) -> None:
        self.link = link
        # The queue of a peer, at hand for the code that handles each batch.
        self.flow = Flow() if link is None else link.data
        self.aside = False
        self.aside_told = False
        self.cursors: dict[HostedTopic, int] = {}
        self.lost = 0
        self.msgs = 0
        self.size = 0
        self.interest = Interest()
        self.feeds: set[HostedTopic] = set()
        self.follows: set[HostedTopic] = set()
        self.requests = 0
        self.changed: set[HostedTopic] = set()
        self.positions: dict[HostedTopic, tuple[int, int]] = {}
        self.behind: set[HostedTopic] = set()
        self.ending: set[str] = set()

    def room(self, hwm: int) -> int:
        """How many more messages may wait for it."""
        if self.link is not None:
            return self.flow.room(hwm)
        return 0 if self.size >= QUEUE_BYTES else max(0, hwm - self.msgs)


class Upstream(Protocol):
    """Where a relay gets the messages of a topic that its replay buffer does not hold."""

    def find_again(self, subscriber: Subscriber, at: int, after: Chunk | None) -> Chunk | None:
        """The batch with a sequence, if the source has sent it again. Otherwise the relay asks for
        it.

        ``after`` is the next batch that the replay buffer holds.
        """


class HostedTopic:
    """A topic that this node sends to subscribers: its epoch, its head, its replay buffer.

    The node is the topic's host, or a relay: then ``upstream`` is set. ``head`` is the sequence of
    its newest message. Of the ``subscribers`` that get it, those that are ``live`` get each batch
    as it is made. A subscriber that is ``catching_up``, this node itself included, reads the replay
    buffer. A subscriber that is ``untold`` has not heard where its stream begins. ``local`` says
    that this node's own subscriptions get it.
    """

    __slots__ = (
        "buffer",
        "catching_up",
        "chunk_msgs",
        "epoch",
        "has_ended",
        "head",
        "live",
        "local",
        "name",
        "standby",
        "subscribers",
        "topic_id",
        "untold",
        "upstream",
    )

    buffer: ReplayBuffer

    def __init__(
        self,
        topic_id: int,
        name: str,
        epoch: int,
        standby: bool = False,
        upstream: Upstream | None = None,
    ) -> None:
        self.topic_id = topic_id
        self.name = name
        self.epoch = epoch
        self.standby = standby
        self.upstream = upstream
        self.has_ended = False
        self.head = 0
        self.subscribers: list[Subscriber] = []
        self.live: list[Subscriber] = []
        self.catching_up: dict[Subscriber, None] = {}
        self.untold: set[Subscriber] = set()
        self.local = False
        self.chunk_msgs = 1

    def fit_chunks(self, most: int) -> None:
        """A batch is never more than a quarter of any subscriber's window."""
        windows = [each.link.window_msgs for each in self.subscribers if each.link is not None]
        self.chunk_msgs = min([most, *(max(1, window // 4) for window in windows)])
