"""The records INTEREST and INTEREST_GONE: what a node subscribes to."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

from spot.core.wire.codec import SEQ_MAX, ProtocolError, record, text_of

EXACT = 0
PATTERN = 1
POSITION = 2

_INTEREST = struct.Struct("<BQQB")


class InterestEntry(NamedTuple):
    """A subscription as a peer tells it, and from where on it wants the stream.

    ``kind`` is EXACT, PATTERN, or POSITION: not a subscription, but the position reached in a topic
    that a pattern matches. The position is ``last`` of ``epoch``; where the epoch is 0 there is
    none, and ``last`` says how many of the newest messages are to come first.
    """

    kind: int
    epoch: int
    last: int
    name: str


def encode_interest(kind: int, entries: Iterable[InterestEntry]) -> bytes:
    """INTEREST or INTEREST_GONE."""
    parts = []
    for sort, epoch, last, name in entries:
        encoded = name.encode()
        parts.append(_INTEREST.pack(sort, epoch, last, len(encoded)))
        parts.append(encoded)
    return record(kind, b"".join(parts))


def decode_interest(body: bytes) -> list[InterestEntry]:
    entries = []
    at = 0
    while at < len(body):
        if len(body) - at < _INTEREST.size:
            raise ProtocolError("an interest list is cut off")
        kind, epoch, last, size = _INTEREST.unpack_from(body, at)
        at += _INTEREST.size
        if kind > POSITION or (epoch and last >= SEQ_MAX):
            raise ProtocolError(f"an interest is of kind {kind}, its position {last} of {epoch}")
        entries.append(InterestEntry(kind, epoch, last, text_of(body, at, size)))
        at += size
    return entries
