"""What a frame looks like.

A frame is a sequence of records. A record is ``type u8 | length u32 | body``, little-endian.
Records of any type may share a frame, and are handled in order. A large payload is not copied into
the frame. Its record (DATA_LARGE, PUBLISH_LARGE) holds all but the payload. The payload follows as
the next part of the same ZeroMQ message, in the order of the records.

This file has the types of all records, and the bodies of most. The greeting is in greeting.py,
subscriptions in interests.py, payloads in batches.py and multi_batch.py. A decoder may meet bytes
from any sender. It raises ProtocolError, and nothing else, for bytes that are not valid.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

PROTOCOL_VERSION = 2
"""Rises with every change of what frames look like. tests/core/vectors/wire.json shows the frames
of a version, and a test compares them with what is encoded.
"""

HELLO = 1
CONFIRM = 2
REFUSE = 3
GOODBYE = 4
HEARTBEAT = 5
PING = 6
PONG = 7
QUERY = 8
QUERY_RESP = 9
TOPICS = 10
TOPIC_GONE = 11
INTEREST = 12
INTEREST_GONE = 13
CREDIT = 14
HEAD = 15
DATA = 16
DATA_LARGE = 17
PUBLISH = 18
PUBLISH_LARGE = 19
HEADS = 20
SETTLED = 21
NODE = 22
NODE_GONE = 23
QUORUM = 24
FOLLOW = 25
UNFOLLOW = 26
FETCH = 27
FETCHED = 28
AGAIN = 29
AGAIN_LARGE = 30
FORWARD = 31
FORWARD_LARGE = 32
CONFIRMED = 33
MULTI_DATA = 34
BEGIN = 35

WITH_LARGE = frozenset((DATA_LARGE, PUBLISH_LARGE, AGAIN_LARGE, FORWARD_LARGE))
RELAYS_MAX = 2
"""How many relays may stand between a publisher and a subscriber."""

EVERYTHING = (1 << 64) - 1
"""Stands for a number of newest messages: as many as the host holds."""

SEQ_MAX = 1 << 62

_RECORD = struct.Struct("<BI")
_TOPIC = struct.Struct("<IQQBBB")
_NODE = struct.Struct("<QQQB")
_FOLLOW = struct.Struct("<IQQ")
_FETCH = struct.Struct("<IQQ")
_LIVES = struct.Struct("<QQQQ")
_GONE = struct.Struct("<IQ")
_HEAD = struct.Struct("<IQQ")
_BEGIN = struct.Struct("<QQQ")
_HEARTBEAT = struct.Struct("<QQII")
_SETTLED = struct.Struct("<QQ")
_CREDIT = struct.Struct("<QQQQ")
_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")

RECORD_OVERHEAD = _RECORD.size


class ProtocolError(Exception):
    """A peer sent something that the protocol does not allow. The text says what."""


class TopicEntry(NamedTuple):
    """An announced topic: the sender's number for it, its epoch, its newest sequence, its name,
    whether the host only stands by, and the host's node id, which is empty for the sender's own.
    """

    topic_id: int
    epoch: int
    head: int
    name: str
    standby: bool = False
    origin: str = ""


class NodeEntry(NamedTuple):
    """A node that can be reached through the sender: one incarnation of it, the largest payload
    that the path takes, and the relays on the path, nearest first, so the sender itself stands
    first.

    ``complete`` says that all topics of the node have been announced.
    """

    node: str
    started: int
    random: int
    bytes_max: int
    path: tuple[str, ...]
    complete: bool


class Sender(NamedTuple):
    """The publisher and the host that a FORWARD or CONFIRMED is about: one incarnation of each."""

    host: str
    node: str
    started: int
    random: int
    host_started: int
    host_random: int


class Heartbeat(NamedTuple):
    """``sent`` by the sender's clock; ``echo``, the receiver's last ``sent``, with the time that it
    was ``held``; and ``heard``, how long ago the sender heard from the receiver. All in
    microseconds."""

    sent: int
    echo: int
    held: int
    heard: int


def record(kind: int, body: bytes = b"") -> bytes:
    return _RECORD.pack(kind, len(body)) + body


def records(parts: Sequence[bytes]) -> Iterator[tuple[int, int, int, bytes | None]]:
    """Yields (type, start, end, large) of each record. ``start`` and ``end`` are those of its body
    in parts[0].
    """
    frame = parts[0]
    size = len(frame)
    at = 0
    large_used = 1
    while at < size:
        if size - at < _RECORD.size:
            raise ProtocolError(f"{size - at} bytes stand where a record should begin")
        kind, length = _RECORD.unpack_from(frame, at)
        start = at + _RECORD.size
        at = start + length
        if at > size:
            raise ProtocolError(
                f"record of type {kind} says {length} bytes, {size - start} are left"
            )
        large = None
        if kind in WITH_LARGE:
            if large_used >= len(parts):
                raise ProtocolError("a large payload is missing")
            large = parts[large_used]
            large_used += 1
        yield kind, start, at, large
    if large_used != len(parts):
        raise ProtocolError(f"{len(parts) - large_used} parts belong to no record")


def text_of(body: bytes, at: int, size: int) -> str:
    """A name with a length of this many bytes."""
    if size == 0 or at + size > len(body):
        raise ProtocolError("a name is empty or cut off")
    try:
        return body[at : at + size].decode()
    except UnicodeDecodeError as error:
        raise ProtocolError("a name is not UTF-8") from error


def encode_topics(entries: Iterable[TopicEntry], *, complete: bool) -> bytes:
    """TOPICS. ``complete`` says that all topics of the node have been announced on this link."""
    parts = [b"\x01" if complete else b"\x00"]
    for topic_id, epoch, head, name, standby, origin in entries:
        encoded = name.encode()
        host = origin.encode()
        parts += (
            _TOPIC.pack(topic_id, epoch, head, standby, len(encoded), len(host)),
            encoded,
            host,
        )
    return record(TOPICS, b"".join(parts))


def decode_topics(body: bytes) -> tuple[bool, list[TopicEntry]]:
    if not body:
        raise ProtocolError("a topic list is cut off")
    entries = []
    at = 1
    while at < len(body):
        if len(body) - at < _TOPIC.size:
            raise ProtocolError("a topic list is cut off")
        topic_id, epoch, head, standby, size, host_size = _TOPIC.unpack_from(body, at)
        at += _TOPIC.size
        if not 0 < epoch < SEQ_MAX or head >= SEQ_MAX:
            raise ProtocolError(f"a topic's epoch is {epoch} and its head {head}")
        name = text_of(body, at, size)
        at += size
        origin = text_of(body, at, host_size) if host_size else ""
        at += host_size
        entries.append(TopicEntry(topic_id, epoch, head, name, bool(standby), origin))
    return body[0] == 1, entries


def _packed(words: Iterable[str]) -> bytes:
    encoded = [word.encode() for word in words]
    return b"".join([bytes((len(word),)) + word for word in encoded])


def _unpacked(body: bytes, at: int, count: int) -> tuple[list[str], int]:
    words = []
    for _ in range(count):
        if at >= len(body):
            raise ProtocolError("a list of node ids is cut off")
        size = body[at]
        words.append(text_of(body, at + 1, size))
        at += 1 + size
    return words, at


def encode_node(entry: NodeEntry) -> bytes:
    head = _NODE.pack(entry.started, entry.random, entry.bytes_max, entry.complete)
    return record(NODE, head + _packed((entry.node, *entry.path)))


def decode_node(body: bytes) -> NodeEntry:
    """Raises ProtocolError also for a path that no node may announce."""
    if len(body) < _NODE.size:
        raise ProtocolError("a node's announcement is cut off")
    started, random, bytes_max, complete = _NODE.unpack_from(body)
    at = _NODE.size
    words: list[str] = []
    while at < len(body):
        if len(words) > RELAYS_MAX:
            raise ProtocolError(f"a path has more than {RELAYS_MAX} relays")
        found, at = _unpacked(body, at, 1)
        words += found
    if len(words) < 2 or len(set(words)) < len(words):
        raise ProtocolError(f"a path to a node is {' '.join(words)!r}")
    return NodeEntry(words[0], started, random, bytes_max, tuple(words[1:]), bool(complete))


def encode_follow(kind: int, topic_id: int, epoch: int = 0, last: int = 0) -> bytes:
    """FOLLOW, with a position as in INTEREST, or UNFOLLOW."""
    return record(kind, _FOLLOW.pack(topic_id, epoch, last))


def decode_follow(body: bytes) -> tuple[int, int, int]:
    if len(body) != _FOLLOW.size:
        raise ProtocolError("what is followed is cut off")
    topic_id, epoch, last = _FOLLOW.unpack(body)
    if epoch and last >= SEQ_MAX:
        raise ProtocolError(f"a position is {last} of {epoch}")
    return topic_id, epoch, last


def encode_fetch(kind: int, topic_id: int, first: int, last: int) -> bytes:
    """FETCH of messages from first to last. Or FETCHED, the end of the answer: messages from the
    same first up to last can't be had (0: all that can be had has come).
    """
    return record(kind, _FETCH.pack(topic_id, first, last))


def decode_fetch(body: bytes) -> tuple[int, int, int]:
    if len(body) != _FETCH.size:
        raise ProtocolError("what is fetched is cut off")
    topic_id, first, last = _FETCH.unpack(body)
    if first >= SEQ_MAX or last >= SEQ_MAX:
        raise ProtocolError(f"messages {first} to {last} are fetched")
    return topic_id, first, last


def _sender(sender: Sender) -> bytes:
    host, node, *lives = sender
    return _LIVES.pack(*lives) + _packed((host, node))


def decode_sender(body: bytes, at: int) -> tuple[Sender, int]:
    """Also where it ends."""
    if len(body) - at < _LIVES.size:
        raise ProtocolError("whose publishes these are is cut off")
    lives = _LIVES.unpack_from(body, at)
    (host, node), at = _unpacked(body, at + _LIVES.size, 2)
    return Sender(host, node, *lives), at


def forwarded(sender: Sender, data: bytes) -> bytes:
    """A PUBLISH record (without its payload, if that is large) as FORWARD."""
    kind = FORWARD if data[0] == PUBLISH else FORWARD_LARGE
    return record(kind, _sender(sender) + data[_RECORD.size :])


def encode_confirmed(sender: Sender, number: int, refused: int) -> bytes:
    return record(CONFIRMED, _SETTLED.pack(number, refused) + _sender(sender))


def decode_confirmed(body: bytes) -> tuple[Sender, int, int]:
    if len(body) < _SETTLED.size:
        raise ProtocolError("what became of publishes is cut off")
    number, refused = _SETTLED.unpack_from(body)
    sender, _ = decode_sender(body, _SETTLED.size)
    return sender, number, refused


def topic_of(data: bytes) -> int:
    """The topic's number in the record of a batch."""
    return int.from_bytes(data[_RECORD.size : _RECORD.size + _U32.size], "little")


def with_topic(data: bytes, topic_id: int) -> bytes:
    """The record of a batch, with another number for its topic."""
    at = _RECORD.size
    return b"".join((data[:at], _U32.pack(topic_id), data[at + _U32.size :]))


def with_kind(data: bytes, kind: int) -> bytes:
    """A record with its type changed."""
    return bytes((kind,)) + data[1:]


def encode_gone(topic_id: int, head: int) -> bytes:
    """TOPIC_GONE. The head is EVERYTHING if a relay does not know the last sequence."""
    return record(TOPIC_GONE, _GONE.pack(topic_id, head))


def encode_head(topic_id: int, head: int, asked: int) -> bytes:
    return record(HEAD, _HEAD.pack(topic_id, head, asked))


def decode_head(body: bytes) -> tuple[int, int, int]:
    """(topic id, newest sequence, how many INTEREST and FOLLOW were handled before)."""
    if len(body) != _HEAD.size:
        raise ProtocolError("a topic's head is cut off")
    topic_id, head, asked = _HEAD.unpack(body)
    if head >= SEQ_MAX:
        raise ProtocolError(f"a topic's head is {head}")
    return topic_id, head, asked


def encode_begin(epoch: int, head: int, asked: int, name: str) -> bytes:
    return record(BEGIN, _BEGIN.pack(epoch, head, asked) + name.encode())


def decode_begin(body: bytes) -> tuple[int, int, int, str]:
    """(epoch, sequence before the first, as in HEAD, name of the topic)."""
    if len(body) <= _BEGIN.size:
        raise ProtocolError("where a topic begins is cut off")
    epoch, head, asked = _BEGIN.unpack_from(body)
    if head >= SEQ_MAX:
        raise ProtocolError(f"a topic begins at {head}")
    return epoch, head, asked, text_of(body, _BEGIN.size, len(body) - _BEGIN.size)


def decode_gone(body: bytes) -> tuple[int, int]:
    """(topic id, newest sequence) of TOPIC_GONE."""
    if len(body) != _GONE.size:
        raise ProtocolError("a topic's head is cut off")
    topic_id, head = _GONE.unpack(body)
    if head >= SEQ_MAX and head != EVERYTHING:
        raise ProtocolError(f"a topic's head is {head}")
    return topic_id, head


def encode_heads(heads: Sequence[tuple[int, int]]) -> bytes:
    """HEADS, of (topic id, newest sequence)."""
    return record(HEADS, b"".join([_GONE.pack(topic_id, head) for topic_id, head in heads]))


def decode_heads(body: bytes) -> list[tuple[int, int]]:
    if len(body) % _GONE.size:
        raise ProtocolError("a list of heads is cut off")
    heads = list(_GONE.iter_unpack(body))
    for _, head in heads:
        if head >= SEQ_MAX:
            raise ProtocolError(f"a topic's head is {head}")
    return heads


def encode_settled(number: int, refused: int) -> bytes:
    return record(SETTLED, _SETTLED.pack(number, refused))


def decode_settled(body: bytes) -> tuple[int, int]:
    """The number up to which the host has dealt with the receiver's publishes, and how many of them
    it refused because their topic had ended.
    """
    if len(body) != _SETTLED.size:
        raise ProtocolError("what became of publishes is cut off")
    number, refused = _SETTLED.unpack(body)
    return number, refused


def encode_heartbeat(beat: Heartbeat) -> bytes:
    return record(HEARTBEAT, _HEARTBEAT.pack(*beat))


def decode_heartbeat(body: bytes) -> Heartbeat:
    if len(body) != _HEARTBEAT.size:
        raise ProtocolError("a heartbeat is cut off")
    return Heartbeat(*_HEARTBEAT.unpack(body))


def encode_credit(limits: tuple[int, int, int, int]) -> bytes:
    return record(CREDIT, _CREDIT.pack(*limits))


def decode_credit(body: bytes) -> tuple[int, int, int, int]:
    """Messages and bytes of DATA, then of PUBLISH, that may be sent since the link was made."""
    if len(body) != _CREDIT.size:
        raise ProtocolError("a credit is cut off")
    messages, size, publishes, publishes_size = _CREDIT.unpack(body)
    return messages, size, publishes, publishes_size


def encode_quorum(taken: bool) -> bytes:
    """QUORUM: whether the node takes publishes to its topics."""
    return record(QUORUM, b"\x01" if taken else b"\x00")


def decode_quorum(body: bytes) -> bool:
    if len(body) != 1:
        raise ProtocolError("a word on quorum is cut off")
    return body != b"\x00"


def encode_nonce(kind: int, nonce: int) -> bytes:
    """PING, PONG, QUERY, QUERY_RESP."""
    return record(kind, _U64.pack(nonce))


def decode_nonce(body: bytes) -> int:
    if len(body) != _U64.size:
        raise ProtocolError("a ping or query is cut off")
    (nonce,) = _U64.unpack(body)
    return int(nonce)
