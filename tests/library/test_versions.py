"""Builds that speak different versions of the protocol refuse each other, and both say why.

The other build is a plain ZeroMQ socket that sends the frames such a build would send.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import zmq

from spot import Spot
from spot.core.wire import codec
from spot.core.wire.greeting import Refusal, decode_refusal
from tests.library.nodes import ANY_PORT, MakeNode, endpoint_of
from tests.library.waiting import wait_until

OURS = codec.PROTOCOL_VERSION
OTHERS = [(1, 1), (OURS + 1, OURS + 3)]
FIELDS = {
    "cluster": "spot",
    "node": "other",
    "incarnation": [1, 2],
    "link": 3,
    "existing": 0,
    "window_msgs": 10,
    "window_bytes": 10,
    "bytes_max": 10,
    "heartbeat": 0.5,
    "peer_timeout": 2,
}


def hello(versions: tuple[int, int], body: bytes) -> bytes:
    return codec.record(codec.HELLO, b"SPOT" + bytes(versions) + body)


def refusal_in(frame: bytes) -> Refusal:
    assert frame[0] == codec.REFUSE
    return decode_refusal(frame[codec.RECORD_OVERHEAD :])


def told(caplog: pytest.LogCaptureFixture, node: Spot) -> list[str]:
    """What the log says of refusals."""
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    return [text for text in said if text.startswith(f"{node.node_id}: refused")]


def names_both(text: str, versions: tuple[int, int], other: str = "other") -> bool:
    ours = f"node me speaks protocol versions {OURS} to {OURS}, "
    return f"version: {ours}node {other} speaks {versions[0]} to {versions[1]}: " in text


@pytest.fixture
def dialler() -> Iterator[zmq.Socket[bytes]]:
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.linger = 0
        socket.rcvtimeo = 5000
        yield socket


@pytest.fixture
def listener() -> Iterator[zmq.Socket[bytes]]:
    with zmq.Context() as context, context.socket(zmq.ROUTER) as socket:
        socket.linger = 0
        socket.rcvtimeo = 5000
        socket.bind(ANY_PORT)
        yield socket


@pytest.mark.parametrize("versions", OTHERS)
@pytest.mark.parametrize(
    ("body", "other"),
    [(json.dumps(FIELDS).encode(), "other"), (b'{"node":"other"}', "other"), (b"\x00", "?")],
)
def test_other_build_that_dials_is_told_both_versions(
    make_node: MakeNode,
    dialler: zmq.Socket[bytes],
    caplog: pytest.LogCaptureFixture,
    versions: tuple[int, int],
    body: bytes,
    other: str,
) -> None:
    """The refusal, the log and the event name the versions, whatever else the greeting says."""
    node = make_node(node_id="me", bind=[ANY_PORT])
    events = node.events(timeout=5)
    with caplog.at_level(logging.WARNING, "spot"):
        dialler.connect(endpoint_of(node))
        dialler.send(hello(versions, body))
        refusal = refusal_in(dialler.recv())
        wait_until(lambda: told(caplog, node))
    assert names_both(f"{refusal.reason}: {refusal.text}", versions, other)
    assert names_both(told(caplog, node)[0], versions, other)
    event = next(event for event in events if event.kind == "refused")
    assert event.node == other
    assert names_both(str(event.reason), versions, other)
    assert node.peers() == ()


@pytest.mark.parametrize("versions", OTHERS)
@pytest.mark.parametrize("body", [json.dumps(FIELDS).encode(), b'{"node":"other"}'])
def test_other_build_that_answers_is_told_both_versions(
    make_node: MakeNode,
    listener: zmq.Socket[bytes],
    caplog: pytest.LogCaptureFixture,
    versions: tuple[int, int],
    body: bytes,
) -> None:
    """The node that dialled says it to the other build, in its log, and in peers()."""
    node = make_node(node_id="me")
    with caplog.at_level(logging.WARNING, "spot"):
        node.cluster_add(listener.getsockopt_string(zmq.LAST_ENDPOINT))
        conn, greeting = listener.recv_multipart()
        assert greeting[0] == codec.HELLO
        assert greeting[codec.RECORD_OVERHEAD :][:6] == b"SPOT" + bytes((OURS, OURS))
        listener.send_multipart([conn, hello(versions, body)])
        refusal = refusal_in(listener.recv_multipart()[1])
        wait_until(lambda: node.peers()[0].state == "refused")
        # The log is emitted once the lock is given up, so later than the state is seen.
        wait_until(lambda: told(caplog, node))
    assert names_both(f"{refusal.reason}: {refusal.text}", versions)
    assert names_both(str(node.peers()[0].last_error), versions)
    assert names_both(told(caplog, node)[0], versions)


def test_refusal_of_the_other_build_is_what_the_application_is_told(
    make_node: MakeNode, listener: zmq.Socket[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    """Where the build that listens refuses, its words reach the operator of the one that dials."""
    node = make_node(node_id="me")
    text = f"node other speaks protocol 1 to 1, node me {OURS} to {OURS}"
    with caplog.at_level(logging.WARNING, "spot"):
        node.cluster_add(listener.getsockopt_string(zmq.LAST_ENDPOINT))
        conn, _ = listener.recv_multipart()
        listener.send_multipart([conn, Refusal("version", text).encode()])
        wait_until(lambda: node.peers()[0].state == "refused")
        # The log is emitted once the lock is given up, so later than the state is seen.
        wait_until(lambda: told(caplog, node))
    assert node.peers()[0].last_error == f"version: {text}"
    assert text in told(caplog, node)[0]
