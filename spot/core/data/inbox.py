"""The deliveries and the notices of lost hosts that wait for ``recv``, in the order of arrival."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import repeat

from spot.core.link import Link
from spot.core.topics.announced import RemoteTopic
from spot.core.wire.batches import Batch, payloads_of
from spot.core.wire.multi_batch import MultiBatch
from spot.message import Message, ReceivedMessage


class Delivery:
    """A batch of one topic for the application. It is decoded when the application takes it.

    ``link`` is None for messages that this node published itself. ``count`` and ``size`` are what
    the batch costs in credit. The first ``skip`` messages were handed out before, and are not
    handed out again.
    """

    __slots__ = (
        "batch",
        "count",
        "epoch",
        "first",
        "link",
        "missed",
        "node",
        "payloads",
        "size",
        "skip",
        "topic",
    )

    def __init__(
        self,
        topic: str,
        node: str,
        epoch: int,
        first: int,
        missed: int | None,
        link: Link | None,
        count: int,
        size: int,
        *,
        batch: Batch | None = None,
        payloads: Sequence[bytes] = (),
        skip: int = 0,
    ) -> None:
        self.topic = topic
        self.node = node
        self.epoch = epoch
        self.first = first
        self.missed = missed
        self.link = link
        self.count = count
        self.size = size
        self.batch = batch
        self.payloads = payloads
        self.skip = skip

    def messages(self) -> list[Message]:
        batch = self.batch
        if batch is not None and batch.msgs == 1 and batch.large is None:
            payload = batch.frame[batch.start : batch.end]
            row = (self.topic, payload, self.first, self.missed, self.node, self.epoch)
            return [ReceivedMessage(row)]
        payloads = self.payloads if batch is None else payloads_of(batch)
        if self.skip:
            payloads = payloads[self.skip :]
        rows = zip(
            repeat(self.topic),
            payloads,
            range(self.first, self.first + len(payloads)),
            repeat(0),
            repeat(self.node),
            repeat(self.epoch),
            strict=False,
        )
        found: list[Message] = list(map(ReceivedMessage, rows))
        if self.missed != 0:
            found[0] = found[0]._replace(missed=self.missed)
        return found


class MultiDelivery:
    """Messages of several topics for the application. None of them reports missed messages.

    They are the messages of a multi-topic batch from number ``at`` on, one for each of ``topics``.
    """

    __slots__ = ("at", "batch", "count", "link", "size", "skip", "topics")

    def __init__(
        self, link: Link, batch: MultiBatch, at: int, topics: Sequence[RemoteTopic]
    ) -> None:
        self.link: Link | None = link
        self.batch = batch
        self.at = at
        self.topics = topics
        self.count = len(topics)
        self.size = batch.offset(at + self.count) - batch.offset(at)
        self.skip = 0

    def messages(self) -> list[Message]:
        assert self.link is not None
        end = self.at + self.count
        rows = zip(
            [topic.name for topic in self.topics],
            self.batch.payloads(self.at, end),
            self.batch.sequences[self.at : end],
            repeat(0),
            repeat(self.link.node),
            [topic.epoch for topic in self.topics],
            strict=False,
        )
        return list(map(ReceivedMessage, rows))


class Notice:
    """A host of subscribed topics was lost. ``recv`` raises it as HostUnreachable."""

    __slots__ = ("endpoint", "node", "reason", "topics")

    def __init__(
        self, node: str, endpoint: str | None, topics: tuple[str, ...], reason: str
    ) -> None:
        self.node = node
        self.endpoint = endpoint
        self.topics = topics
        self.reason = reason


Item = Delivery | MultiDelivery | Notice


class Inbox:
    """The queue before ``recv``. Credit bounds its deliveries, and the number of hosts its
    notices."""

    __slots__ = ("_notices", "items", "msgs")

    def __init__(self) -> None:
        self.items: deque[Item] = deque()
        self.msgs = 0
        self._notices: dict[str, Notice] = {}

    def deliver(self, delivery: Delivery | MultiDelivery) -> None:
        self.items.append(delivery)
        self.msgs += delivery.count - delivery.skip

    def notify(self, notice: Notice) -> None:
        """Unread notices of one host become one."""
        unread = self._notices.get(notice.node)
        if unread is not None:
            unread.topics = tuple(sorted({*unread.topics, *notice.topics}))
            unread.reason = notice.reason
            return
        self._notices[notice.node] = notice
        self.items.append(notice)

    def take(self) -> Item | None:
        """The next item. None if there is none."""
        if not self.items:
            return None
        item = self.items.popleft()
        if isinstance(item, Notice):
            del self._notices[item.node]
        else:
            self.msgs -= item.count - item.skip
        return item
