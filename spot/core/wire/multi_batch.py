"""Messages of many topics in one record, a multi-topic batch. It is used when each topic has few.

A multi-topic batch is made where a flush finds few messages in each of many topics that the same
peers get. Its body is four columns, little-endian::

    count u32 | size u32 | count topic ids u32 | count sequences u64 | [count sizes u32] | payloads

where ``size`` is the size of every payload, or MIXED. If it is MIXED, the sizes stand before the
payloads. A topic may stand there more than once, in order.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence, Set
from itertools import accumulate
from typing import NamedTuple

from spot.core.wire import batches, codec
from spot.core.wire.batches import Batch
from spot.core.wire.codec import ProtocolError

_COUNTS = struct.Struct("<II")
_RECORD = struct.Struct("<BIII")
_COLUMNS = 12
"""Bytes of topic id and sequence."""


class MultiBatch(NamedTuple):
    """A decoded multi-topic batch: its columns, and where its payloads are.

    Payload ``n`` is ``frame[offsets[n]:offsets[n + 1]]``. If offsets is None, all payloads have
    ``size`` and begin at ``start``.
    """

    topic_ids: Sequence[int]
    sequences: Sequence[int]
    size: int
    offsets: Sequence[int] | None
    frame: bytes
    start: int
    end: int

    @property
    def msgs(self) -> int:
        return len(self.topic_ids)

    @property
    def payload_bytes(self) -> int:
        return self.end - self.start

    def offset(self, at: int) -> int:
        """Where payload number ``at`` begins. After the last payload, where that ends."""
        return self.start + at * self.size if self.offsets is None else self.offsets[at]

    def payloads(self, first: int, end: int) -> Sequence[bytes]:
        """The payloads from one number to before another, each as its own bytes object."""
        frame = self.frame
        if self.offsets is not None:
            offsets = self.offsets
            return [frame[offsets[at] : offsets[at + 1]] for at in range(first, end)]
        if self.size == 0:
            return (b"",) * (end - first)
        return struct.unpack_from(f"{self.size}s" * (end - first), frame, self.offset(first))

    def message(self, at: int) -> Batch:
        """One of the messages as a batch of its own."""
        start = self.offset(at)
        end = self.offset(at + 1)
        sequence = self.sequences[at]
        return Batch(
            self.topic_ids[at], sequence, 1, end - start, None, self.frame, start, end, None
        )


def encode_multi(
    topic_ids: Sequence[int], sequences: Sequence[int], payloads: Sequence[bytes]
) -> tuple[bytes, int]:
    """One MULTI_DATA record and the number of its payload bytes."""
    count = len(payloads)
    sizes = list(map(len, payloads))
    size = sizes[0]
    columns = struct.pack(f"<{count}I{count}Q", *topic_ids, *sequences)
    if sizes.count(size) == count:
        total = size * count
    else:
        total = sum(sizes)
        columns += struct.pack(f"<{count}I", *sizes)
        size = batches.MIXED
    length = _COUNTS.size + len(columns) + total
    return b"".join(
        (_RECORD.pack(codec.MULTI_DATA, length, count, size), columns, *payloads)
    ), total


def decode_multi(frame: bytes, start: int, end: int) -> MultiBatch:
    """Raises ProtocolError if the body is not a multi-topic batch."""
    if end - start < _COUNTS.size:
        raise ProtocolError(f"a multi-topic batch has {end - start} bytes")
    count, size = _COUNTS.unpack_from(frame, start)
    start += _COUNTS.size
    if count == 0 or count * _COLUMNS > end - start:
        raise ProtocolError(
            f"a multi-topic batch says {count} messages, {end - start} bytes are left"
        )
    topic_ids = struct.unpack_from(f"<{count}I", frame, start)
    start += 4 * count
    sequences = struct.unpack_from(f"<{count}Q", frame, start)
    start += 8 * count
    if min(sequences) == 0 or max(sequences) >= codec.SEQ_MAX:
        raise ProtocolError(
            f"a multi-topic batch's sequences are {min(sequences)} to {max(sequences)}"
        )
    offsets: Sequence[int] | None = None
    if size != batches.MIXED:
        if count * size != end - start:
            raise ProtocolError(
                f"a multi-topic batch says {count} times {size} bytes, {end - start} are left"
            )
    else:
        if count * 4 > end - start:
            raise ProtocolError(
                f"a multi-topic batch says {count} sizes, {end - start} bytes are left"
            )
        sizes = struct.unpack_from(f"<{count}I", frame, start)
        start += 4 * count
        offsets = tuple(accumulate(sizes, initial=start))
        if offsets[-1] != end:
            raise ProtocolError(
                f"a multi-topic batch's sizes add up to {offsets[-1] - start}, not {end - start}"
            )
    return MultiBatch(topic_ids, sequences, size, offsets, frame, start, end)


def without(data: bytes, topic_ids: Set[int]) -> tuple[bytes, int, int] | None:
    """A MULTI_DATA record without the messages of some topics. None if no other messages are left.

    Returns the record, the number of its messages, and the number of their payload bytes.
    """
    multi = decode_multi(data, codec.RECORD_OVERHEAD, len(data))
    if topic_ids.isdisjoint(multi.topic_ids):
        return data, multi.msgs, multi.payload_bytes
    left = [at for at, topic_id in enumerate(multi.topic_ids) if topic_id not in topic_ids]
    if not left:
        return None
    payloads = multi.payloads(0, multi.msgs)
    record, size = encode_multi(
        [multi.topic_ids[at] for at in left],
        [multi.sequences[at] for at in left],
        [payloads[at] for at in left],
    )
    return record, len(left), size
