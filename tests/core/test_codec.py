"""Frames: what goes in comes out, and whatever a stranger sends is decoded or refused."""

import struct
import tracemalloc
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spot.core.wire import batches, codec
from spot.core.wire.codec import Heartbeat, ProtocolError, TopicEntry
from spot.core.wire.interests import InterestEntry, decode_interest, encode_interest
from spot.core.wire.multi_batch import decode_multi, encode_multi
from tests.core.fixed import examples
from tests.core.frames import (
    HEAD,
    INTERESTS,
    NAMES,
    PAYLOADS,
    RECORDS,
    ROWS,
    SEQ,
    TOPICS,
    U8,
    U32,
    U64,
)

BATCH_KINDS = (codec.DATA, codec.PUBLISH)
LARGE_KINDS = (codec.DATA_LARGE, codec.PUBLISH_LARGE)


def split(frame: bytes, *larges: bytes) -> list[tuple[int, bytes, bytes | None]]:
    return [
        (kind, frame[start:end], large)
        for kind, start, end, large in codec.records((frame, *larges))
    ]


def body_of(record: bytes) -> bytes:
    ((_, body, _),) = split(record)
    return body


def decode_all(parts: tuple[bytes, ...]) -> int:
    """Decodes a frame as a node does, and returns how many records it held."""
    count = 0
    for kind, start, end, large in codec.records(parts):
        body = parts[0][start:end]
        if kind in (*BATCH_KINDS, *LARGE_KINDS):
            batch = batches.decode_batch(parts[0], start, end, large)
            # A node takes no payloads before credit has bounded the number of messages.
            if batch.msgs <= 10_000:
                payloads = batches.payloads_of(batch)
                assert len(payloads) == batch.msgs
                assert sum(map(len, payloads)) == batch.payload_bytes
        elif kind == codec.MULTI_DATA:
            multi = decode_multi(parts[0], start, end)
            found = multi.payloads(0, multi.msgs)
            assert len(found) == len(multi.sequences) == multi.msgs
            assert sum(map(len, found)) == multi.payload_bytes
        elif kind in DECODERS:
            DECODERS[kind](body)
        count += 1
    return count


DECODERS: dict[int, Callable[[bytes], object]] = {
    codec.HEARTBEAT: codec.decode_heartbeat,
    codec.PING: codec.decode_nonce,
    codec.PONG: codec.decode_nonce,
    codec.QUERY: codec.decode_nonce,
    codec.QUERY_RESP: codec.decode_nonce,
    codec.TOPICS: codec.decode_topics,
    codec.TOPIC_GONE: codec.decode_gone,
    codec.INTEREST: decode_interest,
    codec.INTEREST_GONE: decode_interest,
    codec.CREDIT: codec.decode_credit,
    codec.HEAD: codec.decode_head,
    codec.BEGIN: codec.decode_begin,
    codec.QUORUM: codec.decode_quorum,
    codec.HEADS: codec.decode_heads,
    codec.SETTLED: codec.decode_settled,
}

# What goes in comes out


@examples(120)
@given(kind=st.sampled_from(BATCH_KINDS), topic_id=U32, first=SEQ, payloads=PAYLOADS)
def test_batch_roundtrip(kind: int, topic_id: int, first: int, payloads: list[bytes]) -> None:
    # Three layouts (one, equal sizes, mixed sizes) must all give back the very bytes.
    frame, size = batches.encode_batch(kind, topic_id, first, payloads)
    ((found, start, end, large),) = codec.records((frame,))
    assert found == kind
    batch = batches.decode_batch(frame, start, end, large)
    assert batches.one_batch(frame) == (batch if kind == codec.DATA else None)
    assert (batch.topic_id, batch.first, batch.msgs) == (topic_id, first, len(payloads))
    assert batches.payloads_of(batch) == tuple(payloads)
    assert batch.payload_bytes == size == sum(map(len, payloads))


@examples(120)
@given(rows=ROWS, cut=st.integers(0, 20))
def test_multi_batch_roundtrip(rows: tuple[list[int], list[int], list[bytes]], cut: int) -> None:
    # Whoever gets the payload of another topic can't know it; from any message on, and singly.
    topic_ids, sequences, payloads = rows
    frame, size = encode_multi(*rows)
    ((kind, start, end, _),) = codec.records((frame,))
    assert kind == codec.MULTI_DATA
    multi = decode_multi(frame, start, end)
    assert (list(multi.topic_ids), list(multi.sequences)) == (topic_ids, sequences)
    assert multi.payload_bytes == size == sum(map(len, payloads))
    cut = min(cut, len(payloads))
    assert [*multi.payloads(0, cut), *multi.payloads(cut, len(payloads))] == payloads
    for at, payload in enumerate(payloads):
        batch = multi.message(at)
        assert (batch.topic_id, batch.first, batch.msgs) == (topic_ids[at], sequences[at], 1)
        assert batches.payloads_of(batch) == (payload,)
        assert batch.payload_bytes == len(payload)
        again, _, _, _ = next(codec.records((batches.record_of(batch, codec.DATA, 1),)))
        assert again == codec.DATA


@examples(50)
@given(kind=st.sampled_from(LARGE_KINDS), topic_id=U32, first=SEQ, extra=st.integers(0, 3))
def test_large_batch_roundtrip(kind: int, topic_id: int, first: int, extra: int) -> None:
    # A large payload isn't copied into the frame: it must be the same object at the other end.
    payload = b"x" * (batches.LARGE + extra)
    head = batches.encode_large(kind, topic_id, first, payload)
    ((found, start, end, large),) = codec.records((head, payload))
    assert found == kind
    batch = batches.decode_batch(head, start, end, large)
    assert batches.payloads_of(batch)[0] is payload
    assert (batch.topic_id, batch.first, batch.payload_bytes) == (topic_id, first, len(payload))


@examples(150)
@given(entries=TOPICS, complete=st.booleans())
def test_topics_roundtrip(entries: list[TopicEntry], complete: bool) -> None:
    # A lost announcement is a topic that nobody finds.
    assert codec.decode_topics(body_of(codec.encode_topics(entries, complete=complete))) == (
        complete,
        entries,
    )


@examples(150)
@given(entries=INTERESTS, kind=st.sampled_from((codec.INTEREST, codec.INTEREST_GONE)))
def test_interest_roundtrip(entries: list[InterestEntry], kind: int) -> None:
    # A lost subscription is silence.
    assert decode_interest(body_of(encode_interest(kind, entries))) == entries


def test_quorum_roundtrip() -> None:
    # A host that refuses and isn't believed gets publishes that it will not take.
    for taken in (True, False):
        assert codec.decode_quorum(body_of(codec.encode_quorum(taken))) is taken


@examples(100)
@given(
    beat=st.builds(Heartbeat, U64, U64, U32, U32),
    topic=U32,
    head=HEAD,
    nonce=U64,
    limits=st.tuples(U64, U64, U64, U64),
    name=NAMES,
)
def test_small_records_roundtrip(
    beat: Heartbeat,
    topic: int,
    head: int,
    nonce: int,
    limits: tuple[int, int, int, int],
    name: str,
) -> None:
    # Heartbeats, credit and heads keep a link alive and its counts exact.
    assert codec.decode_heartbeat(body_of(codec.encode_heartbeat(beat))) == beat
    assert codec.decode_gone(body_of(codec.encode_gone(topic, head))) == (topic, head)
    head_of = body_of(codec.encode_head(topic, head, nonce))
    assert codec.decode_head(head_of) == (topic, head, nonce)
    begin_of = body_of(codec.encode_begin(nonce, head, topic, name))
    assert codec.decode_begin(begin_of) == (nonce, head, topic, name)
    assert codec.decode_nonce(body_of(codec.encode_nonce(codec.PING, nonce))) == nonce
    assert codec.decode_credit(body_of(codec.encode_credit(limits))) == limits


@examples(200)
@given(records=st.lists(st.one_of(RECORDS, st.just(None)), min_size=1, max_size=8))
def test_records_share_a_frame_in_order(records: list[bytes | None]) -> None:
    # Order within a frame is the order of the stream; each large part belongs to its record.
    larges = [bytes([at]) * batches.LARGE for at, one in enumerate(records) if one is None]
    left = iter(larges)
    encoded = [
        batches.encode_large(codec.DATA_LARGE, 1, 1, next(left)) if one is None else one
        for one in records
    ]
    found = split(b"".join(encoded), *larges)
    assert [codec.record(kind, body) for kind, body, _ in found] == encoded
    assert [large for _, _, large in found if large is not None] == larges


# Whatever arrives


@examples(250)
@given(frame=st.binary(max_size=120), larges=st.lists(st.binary(max_size=8), max_size=2))
def test_any_bytes_are_refused_or_decoded(frame: bytes, larges: list[bytes]) -> None:
    # Any other exception would end the I/O thread, and with it the node.
    with suppress(ProtocolError):
        decode_all((frame, *larges))


@examples(250)
@given(
    kind=st.integers(0, codec.BEGIN + 1), body=st.binary(max_size=80), large=st.binary(max_size=3)
)
def test_any_body_of_any_type_is_refused_or_decoded(kind: int, body: bytes, large: bytes) -> None:
    # Random bytes alone seldom get past the record's length: these always reach the decoders.
    parts = (codec.record(kind, body), *((large,) if kind in LARGE_KINDS else ()))
    with suppress(ProtocolError):
        decode_all(parts)


@examples(250)
@given(records=st.lists(RECORDS, min_size=1, max_size=3), data=st.data())
def test_mutated_frames_are_refused_or_decoded(records: list[bytes], data: st.DataObject) -> None:
    # What was nearly right gets further into a decoder than what is random.
    frame = bytearray(b"".join(records))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(0, len(frame) - 1)))
        action = data.draw(st.sampled_from(["set", "cut", "insert", "huge"]))
        if action == "set" and frame:
            frame[at] = data.draw(U8)
        elif action == "cut":
            del frame[at : at + data.draw(st.integers(1, 9))]
        elif action == "insert":
            frame[at:at] = data.draw(st.binary(min_size=1, max_size=9))
        else:
            frame[at : at + 4] = b"\xff\xff\xff\xff"
    with suppress(ProtocolError):
        decode_all((bytes(frame),))


@examples(200)
@given(record=RECORDS, data=st.data())
def test_a_frame_that_was_cut_off_is_refused(record: bytes, data: st.DataObject) -> None:
    # Half a record must never pass for a whole one.
    cut = data.draw(st.integers(1, len(record) - 1))
    with pytest.raises(ProtocolError):
        decode_all((record[:cut],))


def batch_record(first: int, count: int, size: int, rest: bytes, kind: int = codec.DATA) -> bytes:
    return codec.record(kind, struct.pack("<IQII", 1, first, count, size) + rest)


HUGE = (1 << 32) - 1


def multi_record(count: int, size: int, rest: bytes) -> bytes:
    return codec.record(codec.MULTI_DATA, struct.pack("<II", count, size) + rest)


def columns(*sequences: int) -> bytes:
    count = len(sequences)
    return struct.pack(f"<{count}I{count}Q", *(1,) * count, *sequences)


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param((struct.pack("<BI", codec.DATA, HUGE),), id="record of 4 GiB"),
        pytest.param((batch_record(1, HUGE, HUGE - 1, b"x" * 64),), id="product overflows"),
        pytest.param((batch_record(1, HUGE, batches.MIXED, b"x" * 64),), id="4 billion sizes"),
        pytest.param((batch_record(1, HUGE, 0, b""),), id="4 billion empty messages"),
        pytest.param((batch_record(1, HUGE, 1, b"x"),), id="4 billion bytes"),
        pytest.param((batch_record(1, 2, batches.MIXED, struct.pack("<II", HUGE, 1)),), id="sizes"),
        pytest.param((batch_record(0, 1, 1, b"x"),), id="sequence 0"),
        pytest.param((batch_record(codec.SEQ_MAX, 1, 1, b"x"),), id="sequence too high"),
        pytest.param((batch_record(1, 0, 0, b""),), id="no messages"),
        pytest.param((batch_record(1, 1, 4, b"", codec.DATA_LARGE), b"xyz"), id="large size"),
        pytest.param((batch_record(1, 2, 3, b"", codec.DATA_LARGE), b"xyz"), id="two in a large"),
        pytest.param((batch_record(1, 1, 3, b"x", codec.DATA_LARGE), b"xyz"), id="large and rest"),
        pytest.param((batch_record(1, 1, 3, b"", codec.DATA_LARGE),), id="large part missing"),
        pytest.param((batch_record(1, 1, 1, b"x"), b"part"), id="part without record"),
        pytest.param((b"", b"part"), id="only a part"),
        pytest.param((multi_record(HUGE, 0, columns(1)),), id="4 billion topics"),
        pytest.param((multi_record(0, 0, b""),), id="no topics"),
        pytest.param((multi_record(1, 2, columns(1) + b"x"),), id="multi batch: size"),
        pytest.param((multi_record(2, 0, columns(1) + b"x" * 11),), id="columns cut off"),
        pytest.param((multi_record(1, 0, columns(0)),), id="multi batch: sequence 0"),
        pytest.param((multi_record(1, 0, columns(1 << 63)),), id="multi batch: sequence too high"),
        pytest.param((multi_record(1, batches.MIXED, columns(1)),), id="multi batch: no sizes"),
        pytest.param(
            (multi_record(1, batches.MIXED, columns(1) + struct.pack("<I", HUGE)),),
            id="multi batch: sizes",
        ),
        pytest.param((codec.record(codec.TOPICS),), id="empty topic list"),
        pytest.param(
            (codec.record(codec.TOPICS, b"\1" + struct.pack("<IQQB", 1, 0, 0, 1) + b"t"),),
            id="epoch 0",
        ),
        pytest.param(
            (codec.record(codec.TOPICS, b"\1" + struct.pack("<IQQB", 1, 1, 1 << 63, 1) + b"t"),),
            id="head too high",
        ),
        pytest.param(
            (codec.record(codec.TOPICS, b"\1" + struct.pack("<IQQB", 1, 1, 1, 0)),), id="no name"
        ),
        pytest.param(
            (codec.record(codec.TOPICS, b"\1" + struct.pack("<IQQB", 1, 1, 1, 255) + b"t"),),
            id="name cut off",
        ),
        pytest.param(
            (codec.record(codec.TOPICS, b"\1" + struct.pack("<IQQB", 1, 1, 1, 2) + b"\xff\xfe"),),
            id="name not UTF-8",
        ),
        pytest.param((codec.encode_head(1, codec.SEQ_MAX, 0),), id="head of 2**62"),
        pytest.param((codec.encode_begin(1, codec.SEQ_MAX, 0, "t"),), id="begin at 2**62"),
        pytest.param((codec.encode_begin(1, 1, 0, ""),), id="begin of nothing"),
        pytest.param((codec.record(codec.HEARTBEAT, b"x" * 23),), id="short heartbeat"),
        pytest.param((codec.record(codec.HEARTBEAT, b"x" * 25),), id="long heartbeat"),
        pytest.param((codec.record(codec.CREDIT, b"x" * 31),), id="short credit"),
        pytest.param((codec.record(codec.PING, b""),), id="empty ping"),
        pytest.param((codec.record(codec.PING, b"x" * 9),), id="long ping"),
    ],
)
def test_impossible_frames_are_refused_at_no_cost(parts: tuple[bytes, ...]) -> None:
    # Counts and lengths are believed only as far as bytes are there: a frame of 100 bytes must
    # not make a node allocate gigabytes.
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError):
            decode_all(parts)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 256 * 1024


def test_unknown_record_types_are_passed_over() -> None:
    # A later version may add some.
    frame = codec.record(200, b"what is this") + codec.encode_nonce(codec.PING, 5)
    assert [kind for kind, _, _ in split(frame)] == [200, codec.PING]
