"""Batches: messages of one topic in one record, and how they are made, cut, joined and read.

A batch is the body of DATA, PUBLISH and AGAIN, and the end of a FORWARD's body; little-endian::

    topic id u32 | first sequence u64 | count u32 | size u32 | [count sizes u32] | payloads

where ``size`` is the size of every payload, or MIXED. If it is MIXED, the sizes stand before the
payloads. A payload of LARGE bytes or more makes a batch alone, and is sent as a part of its own:
its record (DATA_LARGE and so on) ends after ``size``.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from spot.core.wire.codec import (
    DATA,
    DATA_LARGE,
    PUBLISH,
    PUBLISH_LARGE,
    RECORD_OVERHEAD,
    SEQ_MAX,
    ProtocolError,
    Sender,
    decode_sender,
    record,
    topic_of,
)

CHUNK_MSGS = 1024
CHUNK_BYTES = 256 * 1024
LARGE = 64 * 1024
MIXED = 0xFFFFFFFF

_BATCH = struct.Struct("<IQII")
_BATCH_RECORD = struct.Struct("<BIIQII")
_U32 = struct.Struct("<I")

BATCH_OVERHEAD = _BATCH_RECORD.size


class Batch(NamedTuple):
    """The header of a decoded batch, and where its payloads are.

    ``frame[start:end]`` holds the payloads of a small batch. ``large`` is the payload of a large
    batch, which may be a view (memoryview) of what the network brought. ``sizes`` is None if all
    payloads have ``size``.
    """

    topic_id: int
    first: int
    msgs: int
    size: int
    sizes: Sequence[int] | None
    frame: bytes
    start: int
    end: int
    large: bytes | None

    @property
    def payload_bytes(self) -> int:
        return self.end - self.start if self.large is None else len(self.large)


class Chunk:
    """An encoded batch (or, with a count of 0, a record that keeps its place among batches).

    ``size`` are its payload bytes, ``first`` is the sequence of its first message.
    """

    __slots__ = ("count", "data", "first", "large", "size")

    def __init__(
        self,
        data: bytes,
        count: int = 0,
        size: int = 0,
        large: bytes | None = None,
        first: int = 0,
    ) -> None:
        self.data = data
        self.count = count
        self.size = size
        self.large = large
        self.first = first

    @property
    def topic_id(self) -> int:
        """The number of the batch's topic, as its record says it."""
        return topic_of(self.data)

    @property
    def last(self) -> int:
        """The sequence of the batch's last message."""
        return self.first + self.count - 1

    def part(self, first: int, most: int) -> Chunk:
        """The part of the batch from a sequence on, of at most this many messages."""
        skip = first - self.first
        count = min(self.count - skip, most)
        if count == self.count:
            return self
        data, size = cut_batch(self.data, skip, count)
        return Chunk(data, count, size, None, first)


def cut(payloads: Sequence[bytes], most: int) -> Sequence[Sequence[bytes]]:
    """Cuts payloads into batches of at most this many messages and about CHUNK_BYTES. Large
    payloads make batches alone.
    """
    count = len(payloads)
    if count == 1:
        return (payloads,)
    total = sum(map(len, payloads))
    if total <= CHUNK_BYTES and (total < LARGE or max(map(len, payloads)) < LARGE):
        if count <= most:
            return (payloads,)
        return [payloads[at : at + most] for at in range(0, count, most)]
    found: list[Sequence[bytes]] = []
    start = 0
    size = 0
    for at, payload in enumerate(payloads):
        length = len(payload)
        if at > start and (
            at - start >= most
            or size + length > CHUNK_BYTES
            or length >= LARGE
            or len(payloads[at - 1]) >= LARGE
        ):
            found.append(payloads[start:at])
            start = at
            size = 0
        size += length
    found.append(payloads[start:])
    return found


def encoded(kind: int, topic_id: int, first: int, batch: Sequence[bytes]) -> Chunk:
    """One batch, DATA or PUBLISH. A large payload is not in the record, but beside it."""
    if len(batch) == 1 and len(batch[0]) >= LARGE:
        payload = batch[0]
        large = DATA_LARGE if kind == DATA else PUBLISH_LARGE
        data = encode_large(large, topic_id, first, payload)
        return Chunk(data, 1, len(payload), payload, first)
    data, size = encode_batch(kind, topic_id, first, batch)
    return Chunk(data, len(batch), size, None, first)


def encode_batch(
    kind: int, topic_id: int, first: int, payloads: Sequence[bytes]
) -> tuple[bytes, int]:
    """One DATA or PUBLISH record and the number of its payload bytes."""
    count = len(payloads)
    size = len(payloads[0])
    if count == 1:
        head = _BATCH_RECORD.pack(kind, _BATCH.size + size, topic_id, first, 1, size)
        return head + payloads[0], size
    sizes = list(map(len, payloads))
    if sizes.count(size) == count:
        total = size * count
        head = _BATCH_RECORD.pack(kind, _BATCH.size + total, topic_id, first, count, size)
        return b"".join((head, *payloads)), total
    total = sum(sizes)
    length = _BATCH.size + 4 * count + total
    head = _BATCH_RECORD.pack(kind, length, topic_id, first, count, MIXED)
    return b"".join((head, struct.pack(f"<{count}I", *sizes), *payloads)), total


def encode_large(kind: int, topic_id: int, first: int, payload: bytes) -> bytes:
    """The record of one large payload, which is sent as a part of its own."""
    return _BATCH_RECORD.pack(kind, _BATCH.size, topic_id, first, 1, len(payload))


def cut_batch(data: bytes, skip: int, count: int) -> tuple[bytes, int]:
    """The record of ``count`` messages of a batch after its first ``skip``, and the number of its
    payload bytes. The payloads are not read.
    """
    kind, _, topic_id, first, msgs, size = _BATCH_RECORD.unpack_from(data)
    at = _BATCH_RECORD.size
    first += skip
    if size != MIXED:
        at += skip * size
        total = count * size
        head = _BATCH_RECORD.pack(kind, _BATCH.size + total, topic_id, first, count, size)
        return head + data[at : at + total], total
    sizes = struct.unpack_from(f"<{msgs}I", data, at)
    total = sum(sizes[skip : skip + count])
    start = at + 4 * msgs + sum(sizes[:skip])
    if count == 1:
        head = _BATCH_RECORD.pack(kind, _BATCH.size + total, topic_id, first, 1, total)
        return head + data[start : start + total], total
    head = _BATCH_RECORD.pack(kind, _BATCH.size + 4 * count + total, topic_id, first, count, MIXED)
    wanted = data[at + 4 * skip : at + 4 * (skip + count)]
    return b"".join((head, wanted, data[start : start + total])), total


def join_batches(datas: Sequence[bytes]) -> bytes:
    """One record of several batches that follow one another. The payloads are not read."""
    kind, _, topic_id, first, _, size = _BATCH_RECORD.unpack_from(datas[0])
    at = _BATCH_RECORD.size
    count = 0
    sizes: list[bytes] = []
    payloads: list[bytes] = []
    uniform = size != MIXED
    for data in datas:
        _, _, _, _, msgs, each = _BATCH_RECORD.unpack_from(data)
        count += msgs
        start = at
        if each == MIXED:
            start += 4 * msgs
            sizes.append(data[at:start])
        else:
            sizes.append(_U32.pack(each) * msgs)
        payloads.append(data[start:])
        uniform = uniform and each == size
    if uniform:
        sizes.clear()
    body = b"".join((*sizes, *payloads))
    length = _BATCH.size + len(body)
    size = size if uniform else MIXED
    return _BATCH_RECORD.pack(kind, length, topic_id, first, count, size) + body


def record_of(batch: Batch, kind: int, topic_id: int) -> bytes:
    """The record of a batch that arrived, with another type and topic."""
    if batch.large is not None:
        return encode_large(kind, topic_id, batch.first, batch.large)
    at = batch.start - (0 if batch.sizes is None else 4 * batch.msgs)
    size = batch.size if batch.sizes is None else MIXED
    body = batch.frame[at : batch.end]
    length = _BATCH.size + len(body)
    return _BATCH_RECORD.pack(kind, length, topic_id, batch.first, batch.msgs, size) + body


def one_batch(frame: bytes) -> Batch | None:
    """The batch of a frame that is a single DATA record, else None. Raises ProtocolError."""
    if len(frame) < BATCH_OVERHEAD or frame[0] != DATA:
        return None
    _, length, topic_id, first, count, size = _BATCH_RECORD.unpack_from(frame)
    if length != len(frame) - RECORD_OVERHEAD:
        return None
    if size and count and count * size == length - _BATCH.size and 0 < first < SEQ_MAX:
        # Messages of one size, as in most frames.
        return Batch(topic_id, first, count, size, None, frame, BATCH_OVERHEAD, len(frame), None)
    return decode_batch(frame, RECORD_OVERHEAD, len(frame), None)


def decode_batch(frame: bytes, start: int, end: int, large: bytes | None) -> Batch:
    if end - start < _BATCH.size:
        raise ProtocolError(f"a batch has {end - start} bytes")
    topic_id, first, count, size = _BATCH.unpack_from(frame, start)
    start += _BATCH.size
    left = end - start
    if not 0 < first < SEQ_MAX or count == 0:
        raise ProtocolError(f"a batch begins at sequence {first} and holds {count} messages")
    sizes: Sequence[int] | None = None
    if large is not None:
        if count != 1 or size != len(large) or left:
            raise ProtocolError("a large batch does not match its payload")
    elif size == MIXED:
        if count * 4 > left:
            raise ProtocolError(f"a batch says {count} messages, {left} bytes are left")
        sizes = struct.unpack_from(f"<{count}I", frame, start)
        start += 4 * count
        if sum(sizes) != end - start:
            raise ProtocolError(f"a batch's sizes add up to {sum(sizes)}, not {end - start}")
    elif count * size != left:
        raise ProtocolError(f"a batch says {count} times {size} bytes, {left} are left")
    elif size == 0 and count > 1 << 20:
        raise ProtocolError(f"a batch says {count} empty messages")
    return Batch(topic_id, first, count, size, sizes, frame, start, end, large)


def batch_of(data: bytes, large: bytes | None) -> Batch:
    """The batch of a DATA record that was encoded here."""
    return decode_batch(data, RECORD_OVERHEAD, len(data), large)


def decode_forward(
    frame: bytes, start: int, end: int, large: bytes | None
) -> tuple[Sender, Batch, bytes]:
    """The sender, the batch, and the batch again as a PUBLISH record."""
    sender, at = decode_sender(frame[:end], start)
    batch = decode_batch(frame, at, end, large)
    kind = PUBLISH if large is None else PUBLISH_LARGE
    return sender, batch, record(kind, frame[at:end])


def payloads_of(batch: Batch) -> tuple[bytes, ...]:
    """The payloads of a batch, each as its own bytes object."""
    if batch.large is not None:
        # Each is copied when it is handed out, not when it came. So there is one copy at a time.
        return (bytes(batch.large),)
    sizes = batch.sizes
    if sizes is None:
        if batch.size == 0:
            return (b"",) * batch.msgs
        return struct.unpack_from(f"{batch.size}s" * batch.msgs, batch.frame, batch.start)
    frame = batch.frame
    at = batch.start
    found = []
    for size in sizes:
        found.append(frame[at : at + size])
        at += size
    return tuple(found)
