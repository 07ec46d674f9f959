"""Golden vectors of the wire: frames in hex, and what they say.

A vector is a frame: records, as fields that people can read, and the parts that a node sends for
them. ``EXAMPLES`` has the fields; vectors/wire.json has fields and bytes, and the version of the
protocol that they belong to. Tests compare both ways. ``python -m tests.core.write_vectors`` writes
the file, and refuses to change bytes that belong to the present version.

Vectors show what frames look like. A change of what a record means, or of when it is sent, changes
no byte here: PROTOCOL_VERSION has to rise all the same if older builds would get it wrong.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from spot.core.wire import batches, codec, greeting
from spot.core.wire.batches import LARGE, Batch
from spot.core.wire.codec import Heartbeat, NodeEntry, Sender, TopicEntry
from spot.core.wire.greeting import Hello, Incarnation, Refusal
from spot.core.wire.interests import InterestEntry, decode_interest, encode_interest
from spot.core.wire.multi_batch import decode_multi, encode_multi

FILE = Path(__file__).with_name("vectors") / "wire.json"
U32_MAX = (1 << 32) - 1
U64_MAX = (1 << 64) - 1

Fields = dict[str, Any]
Encoded = tuple[bytes, bytes | None]
"""A record, and the large payload that follows the frame as a part of its own."""


class Form(NamedTuple):
    """How a type of record is made from fields, and read: frame, start and end of the body, and
    its large payload.
    """

    encode: Callable[[Fields], Encoded]
    decode: Callable[[bytes, int, int, bytes | None], Fields]


def kinds() -> dict[str, int]:
    """The types of all records, by name."""
    others = {"PROTOCOL_VERSION", "RELAYS_MAX", "RECORD_OVERHEAD"}
    return {
        name: value
        for name, value in vars(codec).items()
        if name.isupper() and name not in others and type(value) is int and value < 256
    }


def encode(records: Sequence[Fields]) -> list[bytes]:
    """The parts of a frame of these records."""
    made = [FORMS[fields["type"]].encode(fields) for fields in records]
    return [
        b"".join(record for record, _ in made),
        *(large for _, large in made if large is not None),
    ]


def decode(parts: Sequence[bytes]) -> list[Fields]:
    """The records of a frame."""
    names = {value: name for name, value in kinds().items()}
    return [
        {"type": names[kind], **FORMS[names[kind]].decode(parts[0], start, end, large)}
        for kind, start, end, large in codec.records(parts)
    ]


_RUN = re.compile(rb"(.)\1{63,}", re.DOTALL)


def to_text(data: bytes) -> str:
    """Bytes as hex; a long run of one byte, between spaces, as ``5a*65536``."""
    words = []
    at = 0
    for run in _RUN.finditer(data):
        words += [data[at : run.start()].hex(), f"{run[1].hex()}*{len(run[0])}"]
        at = run.end()
    return " ".join(filter(None, (*words, data[at:].hex())))


def from_text(text: str) -> bytes:
    words = (word.partition("*") for word in text.split())
    return b"".join(bytes.fromhex(byte) * int(count or 1) for byte, _, count in words)


# How each record is made and read. JSON has no tuples and no bytes, so fields have neither.


def _body(read: Callable[[bytes], Fields]) -> Callable[[bytes, int, int, bytes | None], Fields]:
    """A record without payloads is read from its body alone."""
    return lambda frame, start, end, large: read(frame[start:end])


def _plain(make: Callable[[Fields], bytes], read: Callable[[bytes], Fields]) -> Form:
    return Form(lambda fields: (make(fields), None), _body(read))


def _row(make: Callable[..., bytes], read: Callable[[bytes], Sequence[Any]], *names: str) -> Form:
    """A record that is a row of values."""
    return _plain(
        lambda fields: make(*(fields[name] for name in names)),
        lambda body: dict(zip(names, read(body), strict=True)),
    )


def _empty() -> Form:
    return _plain(lambda fields: codec.record(codec.CONFIRM), lambda body: {})


def _nonce(kind: int) -> Form:
    return _row(
        lambda nonce: codec.encode_nonce(kind, nonce),
        lambda body: [codec.decode_nonce(body)],
        "nonce",
    )


def _hello(fields: Fields) -> bytes:
    said = {name: value for name, value in fields.items() if name != "type"}
    return Hello(**{**said, "incarnation": Incarnation(*fields["incarnation"])}).encode()


def _read_hello(body: bytes) -> Fields:
    hello = greeting.decode_hello(body)
    life = hello.incarnation
    return {**asdict(hello), "incarnation": [life.started, life.random]}


def _heads(pairs: dict[int, int]) -> list[list[int]]:
    return [list(pair) for pair in pairs.items()]


def _read_goodbye(body: bytes) -> Fields:
    reason, heads = greeting.decode_goodbye(body)
    return {"reason": reason, "heads": _heads(heads)}


def _read_node_gone(body: bytes) -> Fields:
    node, reason, heads = greeting.decode_node_gone(body)
    return {"node": node, "reason": reason, "heads": _heads(heads)}


TOPIC = ("topic", "epoch", "head", "name", "standby", "host")
NODE = ("node", "started", "random", "bytes_max", "path", "complete")
ENTRY = ("kind", "epoch", "last", "name")
SENDER = (
    *("host", "publisher", "publisher_started", "publisher_random"),
    *("host_started", "host_random"),
)


def _listed(names: Sequence[str], entry: Sequence[Any]) -> Fields:
    return dict(zip(names, entry, strict=True))


def _topics(fields: Fields) -> bytes:
    entries = [TopicEntry(*(entry[name] for name in TOPIC)) for entry in fields["entries"]]
    return codec.encode_topics(entries, complete=fields["complete"])


def _read_topics(body: bytes) -> Fields:
    complete, entries = codec.decode_topics(body)
    return {"complete": complete, "entries": [_listed(TOPIC, entry) for entry in entries]}


def _interest(kind: int) -> Form:
    return _plain(
        lambda fields: encode_interest(
            kind, [InterestEntry(*(entry[name] for name in ENTRY)) for entry in fields["entries"]]
        ),
        lambda body: {"entries": [_listed(ENTRY, entry) for entry in decode_interest(body)]},
    )


def _node(fields: Fields) -> bytes:
    said = {name: fields[name] for name in NODE} | {"path": tuple(fields["path"])}
    return codec.encode_node(NodeEntry(*said.values()))


def _read_node(body: bytes) -> Fields:
    found = _listed(NODE, codec.decode_node(body))
    return found | {"path": list(found["path"])}


def _read_batch(batch: Batch) -> Fields:
    payloads = [to_text(payload) for payload in batches.payloads_of(batch)]
    return {"topic": batch.topic_id, "first": batch.first, "payloads": payloads}


def _batch(kind: int, of: int) -> Form:
    """DATA or PUBLISH (``of``), or a record that is like one of them but for its type."""

    def make(fields: Fields) -> Encoded:
        payloads = [from_text(payload) for payload in fields["payloads"]]
        chunk = batches.encoded(of, fields["topic"], fields["first"], payloads)
        return codec.with_kind(chunk.data, kind), chunk.large

    return Form(make, lambda *where: _read_batch(batches.decode_batch(*where)))


def _sender(fields: Fields) -> Sender:
    return Sender(*(fields[name] for name in SENDER))


def _forward(fields: Fields) -> Encoded:
    payloads = [from_text(payload) for payload in fields["payloads"]]
    chunk = batches.encoded(codec.PUBLISH, fields["topic"], fields["first"], payloads)
    return codec.forwarded(_sender(fields), chunk.data), chunk.large


def _read_forward(frame: bytes, start: int, end: int, large: bytes | None) -> Fields:
    sender, batch, _ = batches.decode_forward(frame, start, end, large)
    return {**_listed(SENDER, sender), **_read_batch(batch)}


def _read_confirmed(body: bytes) -> Fields:
    sender, number, refused = codec.decode_confirmed(body)
    return {**_listed(SENDER, sender), "number": number, "refused": refused}


def _multi_data(fields: Fields) -> Encoded:
    payloads = [from_text(payload) for payload in fields["payloads"]]
    return encode_multi(fields["topics"], fields["sequences"], payloads)[0], None


def _read_multi_data(frame: bytes, start: int, end: int, large: bytes | None) -> Fields:
    batch = decode_multi(frame, start, end)
    return {
        "topics": list(batch.topic_ids),
        "sequences": list(batch.sequences),
        "payloads": [to_text(payload) for payload in batch.payloads(0, batch.msgs)],
    }


def _follow(kind: int) -> Form:
    return _row(
        lambda *position: codec.encode_follow(kind, *position),
        codec.decode_follow,
        *("topic", "epoch", "last"),
    )


def _fetch(kind: int) -> Form:
    return _row(
        lambda *which: codec.encode_fetch(kind, *which),
        codec.decode_fetch,
        *("topic", "first", "last"),
    )


FORMS: dict[str, Form] = {
    "HELLO": _plain(_hello, _read_hello),
    "CONFIRM": _empty(),
    "REFUSE": _plain(
        lambda fields: Refusal(fields["reason"], fields["text"]).encode(),
        lambda body: asdict(greeting.decode_refusal(body)),
    ),
    "GOODBYE": _plain(
        lambda fields: greeting.encode_goodbye(fields["reason"], dict(fields["heads"])),
        _read_goodbye,
    ),
    "HEARTBEAT": _row(
        lambda *beat: codec.encode_heartbeat(Heartbeat(*beat)),
        codec.decode_heartbeat,
        *("sent", "echo", "held", "heard"),
    ),
    "PING": _nonce(codec.PING),
    "PONG": _nonce(codec.PONG),
    "QUERY": _nonce(codec.QUERY),
    "QUERY_RESP": _nonce(codec.QUERY_RESP),
    "TOPICS": _plain(_topics, _read_topics),
    "TOPIC_GONE": _row(codec.encode_gone, codec.decode_gone, "topic", "head"),
    "INTEREST": _interest(codec.INTEREST),
    "INTEREST_GONE": _interest(codec.INTEREST_GONE),
    "CREDIT": _row(
        lambda *limits: codec.encode_credit(limits),
        codec.decode_credit,
        *("data_msgs", "data_bytes", "publish_msgs", "publish_bytes"),
    ),
    "HEAD": _row(codec.encode_head, codec.decode_head, "topic", "head", "asked"),
    "DATA": _batch(codec.DATA, codec.DATA),
    "DATA_LARGE": _batch(codec.DATA_LARGE, codec.DATA),
    "PUBLISH": _batch(codec.PUBLISH, codec.PUBLISH),
    "PUBLISH_LARGE": _batch(codec.PUBLISH_LARGE, codec.PUBLISH),
    "HEADS": _plain(
        lambda fields: codec.encode_heads([(topic, head) for topic, head in fields["heads"]]),
        lambda body: {"heads": [list(pair) for pair in codec.decode_heads(body)]},
    ),
    "SETTLED": _row(codec.encode_settled, codec.decode_settled, "number", "refused"),
    "NODE": _plain(_node, _read_node),
    "NODE_GONE": _plain(
        lambda fields: greeting.encode_node_gone(
            fields["node"], fields["reason"], dict(fields["heads"])
        ),
        _read_node_gone,
    ),
    "QUORUM": _row(codec.encode_quorum, lambda body: [codec.decode_quorum(body)], "taken"),
    "FOLLOW": _follow(codec.FOLLOW),
    "UNFOLLOW": _follow(codec.UNFOLLOW),
    "FETCH": _fetch(codec.FETCH),
    "FETCHED": _fetch(codec.FETCHED),
    "AGAIN": _batch(codec.AGAIN, codec.DATA),
    "AGAIN_LARGE": _batch(codec.AGAIN_LARGE, codec.DATA),
    "FORWARD": Form(_forward, _read_forward),
    "FORWARD_LARGE": Form(_forward, _read_forward),
    "CONFIRMED": _plain(
        lambda fields: codec.encode_confirmed(_sender(fields), fields["number"], fields["refused"]),
        _read_confirmed,
    ),
    "MULTI_DATA": Form(_multi_data, _read_multi_data),
    "BEGIN": _row(codec.encode_begin, codec.decode_begin, "epoch", "head", "asked", "name"),
}


# What the vectors say.

STARTED = 1_700_000_000_000_000_000
EPOCH = 1_700_000_000_000_000_001
HELLO: Fields = {
    "type": "HELLO",
    "cluster": "spot",
    "node": "a",
    "incarnation": [STARTED, 7],
    "link": 11,
    "existing": 0,
    "window_msgs": 10_000,
    "window_bytes": 16_777_216,
    "bytes_max": 67_108_864,
    "heartbeat": 0.5,
    "peer_timeout": 2.0,
    "version_low": codec.PROTOCOL_VERSION,
    "version_high": codec.PROTOCOL_VERSION,
}
FORWARDED = {
    "host": "c",
    "publisher": "a",
    "publisher_started": STARTED,
    "publisher_random": 7,
    "host_started": STARTED + 1,
    "host_random": U64_MAX,
}
LARGEST = f"5a*{LARGE}"
"""The smallest payload that goes as a part of its own."""
JUST_SMALL = f"5a*{LARGE - 1}"


def _batches(kind: str, **more: Any) -> dict[str, list[Fields]]:
    def one(first: int, *payloads: str) -> Fields:
        return {"type": kind, **more, "topic": 3, "first": first, "payloads": list(payloads)}

    return {
        f"{kind} of one message": [one(1, "68656c6c6f")],
        f"{kind} of messages of one size": [one(2, "0001", "0203", "0405")],
        f"{kind} of mixed sizes, one empty": [one(5, "00", "", "010203")],
        f"{kind} of an empty message": [one(8, "")],
        f"{kind} of empty messages": [one(9, "", "")],
        f"{kind} with the largest numbers": [
            {**one(codec.SEQ_MAX - 1, "ff"), "topic": U32_MAX},
        ],
        f"{kind} of the largest payload that is not large": [one(12, JUST_SMALL)],
    }


def _large(kind: str, **more: Any) -> dict[str, list[Fields]]:
    small = {
        "type": kind.removesuffix("_LARGE"),
        **more,
        "topic": 3,
        "first": 2,
        "payloads": ["00"],
    }
    first = {"type": kind, **more, "topic": 3, "first": 1, "payloads": [LARGEST]}
    last = {"type": kind, **more, "topic": 4, "first": 3, "payloads": [f"a5*{LARGE + 1}"]}
    return {
        f"{kind} with its payload behind the frame": [first],
        f"two {kind} around a small batch": [first, small, last],
    }


EXAMPLES: dict[str, list[Fields]] = {
    "HELLO of a dialler": [HELLO],
    "HELLO of a listener that has a link already, with names in UTF-8": [
        HELLO
        | {"cluster": "größe", "node": "日本", "incarnation": [0, U64_MAX], "existing": U64_MAX}
    ],
    "HELLO of a build that speaks all versions": [HELLO | {"version_low": 0, "version_high": 255}],
    "CONFIRM": [{"type": "CONFIRM"}],
    "CONFIRM with what a dialler says first": [
        {"type": "CONFIRM"},
        {"type": "TOPICS", "complete": True, "entries": []},
        {"type": "INTEREST", "entries": [{"kind": 0, "epoch": 0, "last": 0, "name": "t"}]},
    ],
    "REFUSE": [{"type": "REFUSE", "reason": "cluster", "text": "node a belongs to 'x'"}],
    "REFUSE with text in UTF-8": [{"type": "REFUSE", "reason": "protocol", "text": "größe"}],
    "GOODBYE of a node that leaves": [
        {"type": "GOODBYE", "reason": "left", "heads": [[1, 10], [U32_MAX, codec.SEQ_MAX - 1]]}
    ],
    "GOODBYE of a link too many": [{"type": "GOODBYE", "reason": "linked already", "heads": []}],
    "HEARTBEAT": [{"type": "HEARTBEAT", "sent": 1, "echo": 2, "held": 3, "heard": 4}],
    "HEARTBEAT with the largest times, HEADS and SETTLED": [
        {"type": "HEARTBEAT", "sent": U64_MAX, "echo": U64_MAX, "held": U32_MAX, "heard": U32_MAX},
        {"type": "HEADS", "heads": [[1, 5], [2, 0]]},
        {"type": "SETTLED", "number": 9, "refused": 0},
    ],
    "PING": [{"type": "PING", "nonce": 1}],
    "PONG": [{"type": "PONG", "nonce": 1}],
    "QUERY": [{"type": "QUERY", "nonce": 2}],
    "QUERY_RESP": [{"type": "QUERY_RESP", "nonce": 2}],
    "PING, PONG, QUERY and QUERY_RESP with the largest nonces": [
        {"type": kind, "nonce": U64_MAX} for kind in ("PING", "PONG", "QUERY", "QUERY_RESP")
    ],
    "TOPICS of a node and of one behind it": [
        {
            "type": "TOPICS",
            "complete": False,
            "entries": [
                _listed(TOPIC, (1, EPOCH, 0, "sensor:temperature", False, "")),
                _listed(TOPIC, (U32_MAX, codec.SEQ_MAX - 1, codec.SEQ_MAX - 1, "ö", True, "b")),
            ],
        }
    ],
    "TOPIC_GONE": [{"type": "TOPIC_GONE", "topic": 1, "head": 10}],
    "TOPIC_GONE of a relay that does not know the last": [
        {"type": "TOPIC_GONE", "topic": U32_MAX, "head": codec.EVERYTHING}
    ],
    "INTEREST of each kind": [
        {
            "type": "INTEREST",
            "entries": [
                _listed(ENTRY, (0, EPOCH, 5, "t")),
                _listed(ENTRY, (0, 0, codec.EVERYTHING, "new")),
                _listed(ENTRY, (2, EPOCH, 7, "sensor:ö")),
                _listed(ENTRY, (1, 0, 0, "sensor:*")),
            ],
        }
    ],
    "INTEREST_GONE of a topic": [
        {"type": "INTEREST_GONE", "entries": [_listed(ENTRY, (0, 0, 0, "t"))]}
    ],
    "INTEREST_GONE of a pattern": [
        {"type": "INTEREST_GONE", "entries": [_listed(ENTRY, (1, 0, 0, "*"))]}
    ],
    "CREDIT": [
        _listed(("type", "data_msgs", "data_bytes", "publish_msgs", "publish_bytes"), row)
        for row in (("CREDIT", 1, 2, 3, 4),)
    ],
    "CREDIT with the largest numbers": [
        {"type": "CREDIT"}
        | dict.fromkeys(("data_msgs", "data_bytes", "publish_msgs", "publish_bytes"), U64_MAX)
    ],
    "HEAD": [{"type": "HEAD", "topic": 1, "head": 0, "asked": 1}],
    "HEAD with the largest numbers": [
        {"type": "HEAD", "topic": U32_MAX, "head": codec.SEQ_MAX - 1, "asked": U64_MAX}
    ],
    **_batches("DATA"),
    **_large("DATA_LARGE"),
    **_batches("PUBLISH"),
    **_large("PUBLISH_LARGE"),
    "HEADS of no topic": [{"type": "HEADS", "heads": []}],
    "SETTLED with the largest numbers": [
        {"type": "SETTLED", "number": U64_MAX, "refused": U64_MAX}
    ],
    "NODE behind one relay": [
        _listed(("type", *NODE), ("NODE", "c", STARTED, 7, 67_108_864, ["hub"], True))
    ],
    "NODE behind two relays": [
        _listed(("type", *NODE), ("NODE", "日本", 0, U64_MAX, U64_MAX, ["hub", "far"], False))
    ],
    "NODE_GONE of a node that left": [
        {"type": "NODE_GONE", "node": "c", "reason": "left", "heads": [[1, 10]]}
    ],
    "NODE_GONE of a node that is lost": [
        {"type": "NODE_GONE", "node": "c", "reason": "silent", "heads": []}
    ],
    "QUORUM lost": [{"type": "QUORUM", "taken": False}],
    "QUORUM found": [{"type": "QUORUM", "taken": True}],
    "FOLLOW from a position": [{"type": "FOLLOW", "topic": 1, "epoch": EPOCH, "last": 5}],
    "FOLLOW from the oldest message, and UNFOLLOW": [
        {"type": "FOLLOW", "topic": U32_MAX, "epoch": 0, "last": codec.EVERYTHING},
        {"type": "UNFOLLOW", "topic": 2, "epoch": 0, "last": 0},
    ],
    "UNFOLLOW": [{"type": "UNFOLLOW", "topic": 1, "epoch": 0, "last": 0}],
    "FETCH": [{"type": "FETCH", "topic": 1, "first": 2, "last": 9}],
    "FETCH with the largest numbers": [
        _listed(
            ("type", "topic", "first", "last"),
            ("FETCH", U32_MAX, codec.SEQ_MAX - 1, codec.SEQ_MAX - 1),
        )
    ],
    "FETCHED where all came": [{"type": "FETCHED", "topic": 1, "first": 2, "last": 0}],
    "FETCHED where nobody holds the first": [
        {"type": "FETCHED", "topic": 1, "first": 2, "last": 4}
    ],
    **_batches("AGAIN"),
    **_large("AGAIN_LARGE"),
    **_batches("FORWARD", **FORWARDED),
    **_large("FORWARD_LARGE", **FORWARDED),
    "CONFIRMED": [{"type": "CONFIRMED", **FORWARDED, "number": 9, "refused": 2}],
    "CONFIRMED with the largest numbers": [
        {
            "type": "CONFIRMED",
            "host": "日本",
            "publisher": "ö",
            **dict.fromkeys((*SENDER[2:], "number", "refused"), U64_MAX),
        }
    ],
    "MULTI_DATA of messages of one size": [
        {
            "type": "MULTI_DATA",
            "topics": [1, 2, 1],
            "sequences": [10, 1, 11],
            "payloads": ["00", "01", "02"],
        }
    ],
    "MULTI_DATA of mixed sizes, one empty": [
        {
            "type": "MULTI_DATA",
            "topics": [1, U32_MAX, 3],
            "sequences": [1, codec.SEQ_MAX - 1, 2],
            "payloads": ["00", "", "010203"],
        }
    ],
    "MULTI_DATA of empty messages": [
        {"type": "MULTI_DATA", "topics": [1, 2], "sequences": [1, 1], "payloads": ["", ""]}
    ],
    "BEGIN": [{"type": "BEGIN", "epoch": EPOCH, "head": 0, "asked": 1, "name": "t"}],
    "BEGIN with the largest numbers": [
        _listed(
            ("type", "epoch", "head", "asked", "name"),
            ("BEGIN", U64_MAX, codec.SEQ_MAX - 1, U64_MAX, "größe"),
        )
    ],
}


class Vector(NamedTuple):
    """A frame of the file: its records, and its parts as text."""

    records: list[Fields]
    parts: list[str]


class Stored(NamedTuple):
    """What the file holds."""

    version: int
    vectors: dict[str, Vector]


def current() -> Stored:
    """The vectors as this build encodes the examples."""
    return Stored(
        codec.PROTOCOL_VERSION,
        {
            name: Vector(records, [to_text(part) for part in encode(records)])
            for name, records in EXAMPLES.items()
        },
    )


def load(path: Path = FILE) -> Stored:
    """The vectors of the file."""
    stored = json.loads(path.read_text())
    return Stored(
        stored["protocol_version"],
        {
            name: Vector(vector["records"], vector["parts"])
            for name, vector in stored["vectors"].items()
        },
    )


def changed(before: Stored, now: Stored) -> list[str]:
    """The vectors of the file that this build would not write as they are."""
    return [name for name, vector in before.vectors.items() if now.vectors.get(name) != vector]
