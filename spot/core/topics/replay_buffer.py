"""The newest traffic of each topic, kept in memory and replayed to subscribers that lack it.

A replay buffer is a queue of the batches that a flush encodes anyway, oldest first. It is bounded
in bytes, including what the Python objects take. Small batches are joined, a few at a time, so that
a topic with one message a batch is kept nearly as densely as one with a thousand. Messages that
nobody needs encoded now are encoded some at a time. ReplayBuffers bounds all buffers of a node
together: the buffers that hold more than an equal share give way first.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence

from spot.core.wire import batches, codec
from spot.core.wire.batches import CHUNK_MSGS, Chunk

CHUNK_OVERHEAD = 192
"""Bytes of memory of a batch beside its record: objects, numbers, a place in the queue."""

PLAIN_MSGS = 64
PLAIN_BYTES = 8192
PLAIN_OVERHEAD = 120
"""Messages that are not encoded yet: so many at the most, and what each takes beside its bytes."""

JOINED = 16
JOINED_BYTES = 1024


def cost_of(chunk: Chunk) -> int:
    """How many bytes a buffer spends on a batch."""
    size = len(chunk.data) + CHUNK_OVERHEAD
    return size if chunk.large is None else size + len(chunk.large)


class ReplayBuffer:
    """The newest batches of one topic. ``limit`` and ``size`` are in bytes, 0 keeps nothing.
    A message that need not be encoded at once may have ``plain_most`` bytes.

    Sequences rise, with holes where a message was larger than the whole buffer.
    """

    __slots__ = (
        "_all",
        "_plain",
        "_plain_bytes",
        "_plain_first",
        "_plain_size",
        "_small",
        "_small_bytes",
        "chunks",
        "limit",
        "plain_most",
        "size",
        "topic_id",
    )

    def __init__(self, limit: int, topic_id: int, buffers: ReplayBuffers) -> None:
        self.limit = limit
        self.topic_id = topic_id
        self._all = buffers
        self.chunks: deque[Chunk] = deque()
        self.size = 0
        self._plain: list[bytes] = []
        self._plain_first = 0
        self._plain_size = 0
        self._plain_bytes = min(PLAIN_BYTES, limit // 16)
        self.plain_most = self._plain_bytes - PLAIN_OVERHEAD if limit else PLAIN_BYTES
        self._small = 0
        # So that what was joined is never more than a sixteenth of what is kept.
        self._small_bytes = min(JOINED_BYTES, limit // (JOINED * JOINED))

    def fitting(self, chunk: Chunk) -> list[Chunk]:
        """The batch in pieces that the buffer can keep, without messages that are too large."""
        cost = cost_of(chunk)
        if cost <= self.limit:
            return [chunk]
        if chunk.count == 1:
            return []
        most = max(1, chunk.count * (self.limit // 4) // cost)
        pieces = [chunk.part(at, most) for at in range(chunk.first, chunk.last + 1, most)]
        # Cut once more where its messages are not alike in size.
        return [part for piece in pieces for part in self.fitting(piece)]

    def _grow(self, size: int) -> None:
        self.size += size
        self._all.size += size

    def takes_plain(self, batch: Sequence[bytes], size: int) -> bool:
        """Whether messages may be kept as they are, to be encoded later with others."""
        return size + PLAIN_OVERHEAD * len(batch) <= self._plain_bytes

    def add_plain(self, first: int, batch: Sequence[bytes], size: int) -> None:
        """Keeps messages for which ``takes_plain``; then there may be too much, of the topic or of
        all.
        """
        self._begin_plain(first)
        self._plain += batch
        size += PLAIN_OVERHEAD * len(batch)
        self._grow(size)
        self._plain_size += size
        if self._plain_size > self._plain_bytes or len(self._plain) >= PLAIN_MSGS:
            self._encode()

    def add_one(self, sequence: int, payload: bytes, size: int) -> bool:
        """The same with one message, of at most ``plain_most`` bytes: True if there is too much of
        the topic. This is done for each message where topics have few.
        """
        plain = self._plain
        if not plain or sequence != self._plain_first + len(plain):
            self._begin_plain(sequence)
        plain.append(payload)
        size += PLAIN_OVERHEAD
        self.size += size
        self._all.size += size
        self._plain_size += size
        if self._plain_size > self._plain_bytes or len(plain) >= PLAIN_MSGS:
            self._encode()
        return self.size > self.limit

    def _begin_plain(self, first: int) -> None:
        plain = self._plain
        if plain and first != self._plain_first + len(plain):
            self._encode()
        if not plain:
            self._plain_first = first
            self._all.buffers[self] = None

    def _encode(self) -> None:
        topic_id = self.topic_id
        chunk = batches.encoded(codec.DATA, topic_id, self._plain_first, self._plain)
        self._grow(-self._plain_size)
        self._plain_size = 0
        self._plain.clear()
        self.add(chunk)
        self._all.note(self)

    def add(self, chunk: Chunk) -> None:
        """Keeps a batch."""
        if self._plain:
            self._encode()
        chunks = self.chunks
        self._grow(cost_of(chunk))
        if (
            len(chunk.data) > self._small_bytes
            or chunk.count > CHUNK_MSGS // JOINED
            or chunk.large is not None
        ):
            self._small = 0
        elif self._small and chunks and chunks[-1].last + 1 == chunk.first:
            self._small += 1
        else:
            self._small = 1
        chunks.append(chunk)
        if self._small == JOINED:
            self._join()

    def _join(self) -> None:
        self._small = 0
        chunks = self.chunks
        count = min(JOINED, len(chunks))
        few = [chunks.pop() for _ in range(count)]
        few.reverse()
        joined = Chunk(
            batches.join_batches([chunk.data for chunk in few]),
            sum(chunk.count for chunk in few),
            sum(chunk.size for chunk in few),
            None,
            few[0].first,
        )
        self._grow(cost_of(joined) - sum(map(cost_of, few)))
        chunks.append(joined)

    @property
    def oldest(self) -> Chunk:
        """The first batch of a buffer that is not empty."""
        if not self.chunks:
            self._encode()
        return self.chunks[0]

    def drop_oldest(self) -> Chunk:
        if not self.chunks:
            self._encode()
        chunk = self.chunks.popleft()
        self._grow(-cost_of(chunk))
        return chunk

    def clear(self) -> None:
        self.chunks.clear()
        self._plain.clear()
        self._plain_size = 0
        self._grow(-self.size)

    def find(self, sequence: int) -> Chunk | None:
        """The batch with this sequence, or the first after it. None if there is none."""
        if self._plain:
            self._encode()
        chunks = self.chunks
        if not chunks or chunks[-1].last < sequence:
            return None
        if chunks[0].last >= sequence:
            return chunks[0]
        return chunks[bisect_left(chunks, sequence, key=_last_of)]


def _last_of(chunk: Chunk) -> int:
    return chunk.last


class ReplayBuffers:
    """All buffers of a node. ``limit`` and ``size`` are in bytes."""

    __slots__ = ("_large", "buffers", "limit", "size")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0
        self.buffers: dict[ReplayBuffer, None] = {}
        self._large: dict[ReplayBuffer, None] = {}

    def add(self, buffer: ReplayBuffer, chunk: Chunk) -> None:
        """Keeps a batch. Afterwards the topic, or the node, may hold too much."""
        if not buffer.size:
            self.buffers[buffer] = None
        buffer.add(chunk)
        self.note(buffer)

    def note(self, buffer: ReplayBuffer) -> None:
        """A buffer has grown."""
        if buffer.size * len(self.buffers) > self.limit:
            self._large[buffer] = None

    def largest(self) -> ReplayBuffer:
        """A buffer that holds more than its share, if all together hold too much."""
        while True:
            for large in self._large:
                del self._large[large]
                if large.size * len(self.buffers) >= self.limit:
                    # It stands behind the others that hold more than their share.
                    self._large[large] = None
                    return large
                break
            else:
                # The share has become smaller since they grew.
                self._large = {
                    each: None
                    for each in self.buffers
                    if each.size * len(self.buffers) >= self.limit
                }

    def drop_oldest(self, buffer: ReplayBuffer) -> Chunk:
        chunk = buffer.drop_oldest()
        if not buffer.size:
            self.forget(buffer)
        return chunk

    def forget(self, buffer: ReplayBuffer) -> None:
        """The topic has ended, or its buffer is empty."""
        buffer.clear()
        self.buffers.pop(buffer, None)
        self._large.pop(buffer, None)
