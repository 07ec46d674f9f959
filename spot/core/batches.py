"""How payloads become batches."""

from __future__ import annotations

from collections.abc import Sequence

from spot.core import codec
from spot.core.link import Chunk

CHUNK_BYTES = 256 * 1024


def encoded(kind: int, topic_id: int, first: int, batch: Sequence[bytes]) -> Chunk:
    """One batch, DATA or PUBLISH; a large payload goes beside its record."""
    if len(batch) == 1 and len(batch[0]) >= codec.LARGE:
        payload = batch[0]
        large = codec.DATA_LARGE if kind == codec.DATA else codec.PUBLISH_LARGE
        data = codec.encode_large(large, topic_id, first, payload)
        return Chunk(data, 1, len(payload), payload, first)
    data, size = codec.encode_batch(kind, topic_id, first, batch)
    return Chunk(data, len(batch), size, None, first)


def cut(payloads: Sequence[bytes], most: int) -> Sequence[Sequence[bytes]]:
    """Cuts payloads into batches of at most so many messages and about CHUNK_BYTES; large ones
    go alone.
    """
    count = len(payloads)
    if count == 1:
        return (payloads,)
    if sum(map(len, payloads)) <= CHUNK_BYTES:
        if count <= most:
            return (payloads,)
        if max(map(len, payloads)) < codec.LARGE:
            return [payloads[at : at + most] for at in range(0, count, most)]
    found: list[Sequence[bytes]] = []
    start = 0
    size = 0
    for at, payload in enumerate(payloads):
        length = len(payload)
        if at > start and (
            at - start >= most or size + length > CHUNK_BYTES or length >= codec.LARGE
        ):
            found.append(payloads[start:at])
            start = at
            size = 0
        size += length
    found.append(payloads[start:])
    return found
