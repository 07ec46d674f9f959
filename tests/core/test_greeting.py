"""Greetings, refusals and goodbyes."""

import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spot.core.wire import codec
from spot.core.wire.codec import ProtocolError
from spot.core.wire.greeting import (
    HELLO_BYTES_MAX,
    NODE_UNKNOWN,
    REFUSED_CLUSTER,
    REFUSED_DUPLICATE,
    REFUSED_SELF,
    REFUSED_VERSION,
    Hello,
    Incarnation,
    Refusal,
    decode_goodbye,
    decode_hello,
    decode_refusal,
    encode_goodbye,
    judge,
    versions_of,
)
from tests.core.fixed import examples
from tests.core.frames import START

ME = Hello("spot", "me", Incarnation(1, 2), 3, 0, 100, 1 << 20, 1 << 26, 0.5, 2.0)
OTHER = replace(ME, node="other", incarnation=Incarnation(1, 5))
NEXT = codec.PROTOCOL_VERSION + 1
U64 = st.integers(0, (1 << 64) - 1)
WORDS = st.text("abcäö-.:日1", min_size=1, max_size=40)
SECONDS = st.floats(0.001, 1e9)
HELLOS = st.builds(
    Hello,
    cluster=WORDS,
    node=WORDS,
    incarnation=st.builds(Incarnation, U64, U64),
    link=U64,
    existing=U64,
    window_msgs=st.integers(1, 1 << 31),
    window_bytes=st.integers(1, 1 << 31),
    bytes_max=st.integers(0, 1 << 31),
    heartbeat=SECONDS,
    peer_timeout=SECONDS,
    version_low=st.integers(0, codec.PROTOCOL_VERSION),
    version_high=st.integers(codec.PROTOCOL_VERSION, 255),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


def body_of(record: bytes) -> bytes:
    return record[codec.RECORD_OVERHEAD :]


def fields_of(hello: Hello) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(body_of(hello.encode())[6:])
    return fields


def with_fields(fields: object) -> bytes:
    return START + json.dumps(fields).encode()


@examples(200)
@given(hello=HELLOS)
def test_hello_roundtrip(hello: Hello) -> None:
    # A node must know the other exactly: its id, its incarnation, and the credit that it gives.
    body = body_of(hello.encode())
    assert decode_hello(body) == hello
    assert versions_of(body) == (hello.version_low, hello.version_high)
    assert len(body) <= HELLO_BYTES_MAX


def test_the_longest_names_fit() -> None:
    # JSON escapes may make a name six times as long: it must still be greeted with.
    hello = replace(ME, node="\u0378" * 127, cluster="\u0378" * 127)
    assert decode_hello(body_of(hello.encode())) == hello


def test_a_later_version_may_add_fields() -> None:
    # Or no version could ever be added.
    assert decode_hello(with_fields(fields_of(ME) | {"news": [1, 2]})) == ME


@pytest.mark.parametrize(
    ("rest", "node"),
    [
        (json.dumps({"node": "other", "speaks": "otherwise"}).encode(), "other"),
        (b"not JSON", NODE_UNKNOWN),
        (b"{}", NODE_UNKNOWN),
        (b'{"node": "line\\nbreak"}', NODE_UNKNOWN),
        (b"[" * 8000, NODE_UNKNOWN),
    ],
)
@pytest.mark.parametrize("versions", [(0, NEXT - 2), (NEXT, NEXT), (NEXT, 255)])
def test_greeting_of_another_version_is_refused_for_its_version(
    rest: bytes, node: str, versions: tuple[int, int]
) -> None:
    # It may say nothing that this version understands: the reason must still be the right one.
    hello = decode_hello(b"SPOT" + bytes(versions) + rest)
    refusal = judge(hello, ME)
    assert refusal is not None
    assert refusal.reason == REFUSED_VERSION
    assert f"node me speaks protocol versions {NEXT - 1} to {NEXT - 1}" in refusal.text
    assert f"node {node} speaks {versions[0]} to {versions[1]}" in refusal.text


NOT_NUMBERS: list[object] = [None, -1, 1 << 64, 1.5, "1", True, [], {}, 10**4000]
NOT_SECONDS: list[object] = [None, 0, -1.0, 1e10, 10**400, float("nan"), float("inf"), "1", [], {}]
NOT_WORDS: list[object] = [None, 5, "", "x" * 256, "a b", "a,b", "a\nb", "a\0", "\ud800", [], {}]
NOT_PAIRS: list[object] = [None, 5, [], [1], [1, 2, 3], {}, "12"]
MALFORMED: list[tuple[str, object]] = [
    *((name, value) for name in ("cluster", "node") for value in NOT_WORDS),
    *(
        (name, value)
        for name in ("link", "existing", "window_msgs", "window_bytes", "bytes_max")
        for value in NOT_NUMBERS
    ),
    *((name, value) for name in ("heartbeat", "peer_timeout") for value in NOT_SECONDS),
    *(("incarnation", value) for value in NOT_PAIRS),
    *(("incarnation", [value, 1]) for value in NOT_NUMBERS),
    *(("incarnation", [1, value]) for value in NOT_NUMBERS),
]


@pytest.mark.parametrize(("name", "value"), MALFORMED, ids=lambda value: f"{value!r:.20}")
def test_each_malformed_field_is_named(name: str, value: object) -> None:
    # Who debugs a refusal needs to know which field is wrong.
    with pytest.raises(ProtocolError, match="greeting") as raised:
        decode_hello(with_fields(fields_of(ME) | {name: value}))
    parts = (name, "started", "random") if name == "incarnation" else (name,)
    assert any(part in str(raised.value) for part in parts)
    assert len(str(raised.value)) < 400


@pytest.mark.parametrize("name", sorted(fields_of(ME)))
def test_each_missing_field_is_refused(name: str) -> None:
    # Half a greeting is none.
    fields = fields_of(ME)
    del fields[name]
    with pytest.raises(ProtocolError, match=name):
        decode_hello(with_fields(fields))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"SPOT",
        b"SPOT\1",
        b"TOPS\1\1{}",
        b"GET / HTTP/1.1\r\n\r\n",
        b"SPOT\2\1{}",
        START,
        START + b"{",
        START + b"[]",
        START + b"null",
        START + b"\xff\xfe\xfd",
        START + b"[" * 8000,
        START + b'{"a":' * 1600,
        START + b"9" * 8000,
        START + b"{}" + b" " * HELLO_BYTES_MAX,
    ],
)
def test_what_is_no_greeting_is_refused(body: bytes) -> None:
    # The first bytes of every stranger pass through here.
    with pytest.raises(ProtocolError):
        decode_hello(body)


@pytest.mark.parametrize("name", sorted(fields_of(ME)))
def test_nesting_of_any_depth_is_refused(name: str) -> None:
    # Printing a deeply nested value may overflow the stack that parsing it just did not.
    text = json.dumps(fields_of(ME) | {name: "HERE"})
    for depth in (10, *range(900, 1000, 3), 3500):
        nested = "[" * depth + "]" * depth
        with pytest.raises(ProtocolError):
            decode_hello(START + text.replace('"HERE"', nested).encode())


@examples(120)
@given(body=st.one_of(st.binary(max_size=80), JSON.map(lambda value: json.dumps(value).encode())))
def test_any_body_is_refused_or_decoded(body: bytes) -> None:
    # Any other exception would end the node's I/O thread.
    for decode in (decode_hello, decode_refusal, decode_goodbye, versions_of):
        for start in (b"", START):
            with suppress(ProtocolError):
                decode(start + body)


@examples(120)
@given(name=st.sampled_from(sorted(fields_of(ME))), value=JSON)
def test_any_value_of_a_field_is_refused_or_decoded(name: str, value: object) -> None:
    # JSON has more kinds of value than one thinks of.
    try:
        hello = decode_hello(with_fields(fields_of(ME) | {name: value}))
    except ProtocolError:
        return
    assert (
        judge(hello, OTHER) is None
        or hello.cluster != OTHER.cluster
        or (hello.node == OTHER.node or hello.incarnation == OTHER.incarnation)
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"incarnation": ME.incarnation}, REFUSED_SELF),
        ({"incarnation": ME.incarnation, "cluster": "x"}, REFUSED_SELF),
        ({"version_low": NEXT, "version_high": 9}, REFUSED_VERSION),
        ({"version_low": 0, "version_high": NEXT - 2}, REFUSED_VERSION),
        ({"version_low": 0, "version_high": 9}, None),
        ({"version_low": NEXT, "version_high": 9, "cluster": "x"}, REFUSED_VERSION),
        ({"cluster": "prod"}, REFUSED_CLUSTER),
        ({"cluster": "prod", "node": "me"}, REFUSED_CLUSTER),
        ({"node": "me"}, REFUSED_DUPLICATE),
    ],
)
def test_judge(changes: dict[str, Any], reason: str | None) -> None:
    # The reason stands in peers() and in the log of both: it has to be the right one.
    refusal = judge(replace(OTHER, **changes), ME)
    assert (refusal.reason if refusal else None) == reason
    if refusal is not None:
        assert "me" in refusal.text


@examples(100)
@given(reason=st.text(max_size=80), text=st.text(max_size=400))
def test_refusal_roundtrip(reason: str, text: str) -> None:
    # What one node says is what the other's user reads.
    found = decode_refusal(body_of(Refusal(reason, text).encode()))
    if reason.isprintable() and text.isprintable():
        assert found == Refusal(reason, text)


@pytest.mark.parametrize("text", ["\ud800", "line\nbreak", "\x1b[31mred", "nul\0"])
def test_what_a_stranger_says_can_be_printed(text: str) -> None:
    # It goes into logs, error texts and terminals: no escapes, no second line, no surrogates.
    refusal = decode_refusal(json.dumps({"reason": text, "text": text}).encode())
    reason, _ = decode_goodbye(json.dumps({"reason": text}).encode())
    for said in (refusal.reason, refusal.text, reason):
        assert said.isprintable()
        said.encode()


def test_long_refusals_are_cut() -> None:
    # A stranger doesn't decide how long a line of the log is.
    refusal = decode_refusal(body_of(Refusal("r" * 1000, "t" * 5000).encode()))
    assert len(refusal.reason) == 80
    assert len(refusal.text) == 400


@examples(100)
@given(
    reason=st.sampled_from(["left", "silent", "linked already"]),
    heads=st.dictionaries(
        st.integers(0, (1 << 32) - 1), st.integers(0, codec.SEQ_MAX - 1), max_size=8
    ),
)
def test_goodbye_roundtrip(reason: str, heads: dict[int, int]) -> None:
    # The final heads make a planned restart lose no count.
    assert decode_goodbye(body_of(encode_goodbye(reason, heads))) == (reason, heads)


@pytest.mark.parametrize(
    "heads", [5, {}, None, [5], [[1]], [[1, 2, 3]], [[1, -1]], [["1", 2]], [[1, codec.SEQ_MAX]]]
)
def test_malformed_goodbye_heads_are_refused(heads: object) -> None:
    # A wrong head would be believed as a count of missed messages.
    with pytest.raises(ProtocolError, match="head"):
        decode_goodbye(json.dumps({"reason": "left", "heads": heads}).encode())
