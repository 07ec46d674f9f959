"""Whatever arrives on the port: refused, logged once, bounded, and unnoticed by other links."""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
import resource
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import zmq

from spot import Spot
from spot.core.wire import codec
from spot.transport.unauthenticated import UnauthenticatedConnections
from tests.core.frames import START
from tests.library.connections import established, memory_mib, port_of
from tests.library.nodes import ANY_PORT, MakeNode, endpoint_of, is_up
from tests.library.waiting import receive, stays, wait_until

GREETING = b"\xff" + b"\0" * 8 + b"\x7f" + b"\x03\x00" + b"NULL".ljust(20, b"\0") + b"\0" * 32


def ready(socket_type: bytes) -> bytes:
    body = b"\x05READY" + b"\x0bSocket-Type" + struct.pack(">I", len(socket_type)) + socket_type
    return b"\x04" + bytes([len(body)]) + body


RAW = {
    "garbage": os.urandom(1000),
    "zeros": b"\0" * 1000,
    "text": b"hello\r\n" * 50,
    "http": b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: curl\r\n\r\n",
    "http post": b"POST /publish HTTP/1.1\r\nContent-Length: 100000\r\n\r\n" + b"x" * 10_000,
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(500),
    "half a greeting": GREETING[:20],
    "greeting and silence": GREETING,
    "greeting and garbage": GREETING + os.urandom(1000),
    "ZMTP 1.0": b"\x01\x00" + b"\x05\x00abcd" * 10,
    "ZMTP 2.0": b"\xff\0\0\0\0\0\0\0\x01\x7f\x01\x05" + b"\0\0" + b"\x00\x04abcd",
    "wrong mechanism": GREETING.replace(b"NULL".ljust(20, b"\0"), b"CURVE".ljust(20, b"\0")),
    "huge command": GREETING + b"\x06" + struct.pack(">Q", 1 << 62) + b"x" * 1000,
    "huge frame": GREETING + ready(b"DEALER") + b"\x02" + struct.pack(">Q", 1 << 40) + b"x" * 9000,
    "too large a frame": GREETING + ready(b"DEALER") + b"\x02" + struct.pack(">Q", 100 << 20),
    "subscriber": GREETING + ready(b"SUB") + b"\x00\x01\x01",
    "publisher": GREETING + ready(b"PUB") + b"\x00\x05hello",
}


def record(kind: int, body: bytes = b"") -> bytes:
    return codec.record(kind, body)


def hello(body: object) -> bytes:
    return record(codec.HELLO, START + json.dumps(body).encode())


HELLO: dict[str, object] = {
    "cluster": "spot",
    "node": "evil",
    "incarnation": [1, 2],
    "link": 3,
    "existing": 0,
    "window_msgs": 10,
    "window_bytes": 10,
    "bytes_max": 10,
    "peer_timeout": 2,
    "heartbeat": 0.5,
}

FRAMES = {
    "empty": [b""],
    "text": [b"hello"],
    "many parts": [b"x"] * 1000,
    "random": [os.urandom(100)],
    "unknown record": [record(200, b"x")],
    "length beyond the frame": [b"\x01\xff\xff\xff\xff"],
    "data before a greeting": [record(codec.DATA, b"\0" * 40)],
    "topics before a greeting": [codec.encode_topics((), complete=True)],
    "confirmation of nothing": [record(codec.CONFIRM)],
    "goodbye of nobody": [record(codec.GOODBYE, b'{"reason":"left"}')],
    "hello without magic": [record(codec.HELLO, b"x" * 100)],
    "hello that is no JSON": [record(codec.HELLO, START + b"{{{")],
    "hello of nested JSON": [record(codec.HELLO, START + b"[" * 5000)],
    "hello that is huge": [record(codec.HELLO, START + b" " * 100_000)],
    "hello without fields": [hello({})],
    "hello of the future": [record(codec.HELLO, b"SPOT\x09\x0a{}")],
    "hello of bad names": [hello({**HELLO, "node": "a\nb"})],
    "hello of bad numbers": [hello({**HELLO, "window_msgs": -1})],
    "hello of infinite numbers": [hello({**HELLO, "peer_timeout": float("inf")})],
    "hello of another cluster": [hello({**HELLO, "cluster": "blue"})],
    "hello with our name": [hello({**HELLO, "node": "host"})],
}


@pytest.fixture
def busy(make_node: MakeNode, host: Spot, client: Spot) -> Iterator[Callable[[], None]]:
    """A pair with traffic both ways; the function checks that it never stumbled."""
    client.topic_create("c")
    host.subscribe_pattern("c")
    client.subscribe("t")
    ended = threading.Event()
    latencies: list[float] = []

    def ping() -> None:
        for at in itertools.count():
            if ended.is_set():
                return
            began = time.monotonic()
            host.publish("t", b"%d" % at)
            message = client.recv(10)
            assert message is not None
            assert (message.data, message.missed) == (b"%d" % at, 0)
            latencies.append(time.monotonic() - began)
            time.sleep(0.001)

    thread = threading.Thread(target=ping)
    thread.start()

    def check() -> None:
        count = len(latencies)
        wait_until(lambda: len(latencies) > count + 5, what="traffic")
        assert (host.metrics().links_lost, client.metrics().links_lost) == (0, 0)
        assert host.is_healthy("client", timeout=2)

    yield check
    ended.set()
    thread.join()
    assert max(latencies) < 5, "traffic stalled"
    # Whoever is new is still welcome.
    assert make_node(cluster=host.endpoints).cluster_sync()


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("kind", RAW)
def test_raw_bytes_are_refused_and_told_once(
    busy: Callable[[], None], host: Spot, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    """The connection is closed by the node, counted, and logged once with its address."""
    refused = host.metrics().refused
    with socket.create_connection(("127.0.0.1", port_of(endpoint_of(host)))) as stranger:
        stranger.settimeout(10)
        with contextlib.suppress(ConnectionError):
            stranger.sendall(RAW[kind])
        with contextlib.suppress(ConnectionError):
            while stranger.recv(1000):
                pass
    wait_until(lambda: host.metrics().refused == refused + 1, 10, what="a refusal")
    busy()
    told = warnings_of(caplog)
    assert len(told) == 1, told
    assert "127.0.0.1" in told[0]
    assert [peer.node for peer in host.peers()] == ["client"]


@pytest.mark.parametrize("kind", FRAMES)
def test_frames_that_are_no_spot_are_refused_and_told_once(
    busy: Callable[[], None], host: Spot, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    """It speaks ZMTP as a DEALER may, but not SPOT: it is told so, and ignored from then on."""
    before = host.metrics()
    with zmq.Context() as context, context.socket(zmq.DEALER) as stranger:
        stranger.linger = 0
        stranger.rcvtimeo = 5000
        stranger.connect(endpoint_of(host))
        for _ in range(20):
            stranger.send_multipart(FRAMES[kind])
        if kind != "goodbye of nobody":
            answer = stranger.recv()
            assert answer[0] == codec.REFUSE
            assert host.metrics().refused >= before.refused + 1
        busy()
        told = warnings_of(caplog)
        assert len(told) <= 1, told
        if kind != "goodbye of nobody":
            assert "refused" in told[0]
    assert [peer.node for peer in host.peers()] == ["client"]


@pytest.mark.parametrize("socket_type", [zmq.SUB, zmq.PUB, zmq.REQ, zmq.REP, zmq.ROUTER, zmq.PAIR])
def test_other_zmq_sockets_are_refused(
    busy: Callable[[], None], host: Spot, caplog: pytest.LogCaptureFixture, socket_type: int
) -> None:
    """A ZeroMQ program with a wrong address: REQ and ROUTER pass libzmq's check, not SPOT's."""
    with zmq.Context() as context, context.socket(socket_type) as stranger:
        stranger.linger = 0
        stranger.setsockopt(zmq.RECONNECT_IVL, -1)
        stranger.setsockopt(zmq.ROUTING_ID, b"\x01chosen-by-a-stranger")
        if socket_type == zmq.ROUTER:
            stranger.setsockopt(zmq.CONNECT_ROUTING_ID, b"host")
        if socket_type == zmq.SUB:
            stranger.subscribe(b"")
        stranger.connect(endpoint_of(host))
        until = time.monotonic() + 0.3
        while time.monotonic() < until:
            with contextlib.suppress(zmq.ZMQError):
                parts = [b"host", b"junk"] if socket_type == zmq.ROUTER else [b"junk", b"junk"]
                stranger.send_multipart(parts, zmq.NOBLOCK)
            time.sleep(0.01)
        busy()
        assert [peer.node for peer in host.peers()] == ["client"]
    wait_until(lambda: host.metrics().refused >= 1, 10)
    assert len(warnings_of(caplog)) <= 1, warnings_of(caplog)


def test_stranger_with_the_routing_id_of_a_link_does_not_take_it(
    busy: Callable[[], None], host: Spot, client: Spot
) -> None:
    """A routing id that is taken must not hand a link over to who claims it."""
    taken = [bytes(conn) for conn in (*host._core.links.by_conn, *client._core.links.by_conn)]
    with zmq.Context() as context:
        for conn in taken:
            with context.socket(zmq.DEALER) as stranger:
                stranger.linger = 0
                with contextlib.suppress(zmq.ZMQError):
                    stranger.setsockopt(zmq.ROUTING_ID, conn)
                stranger.connect(endpoint_of(host))
                stranger.send(b"junk")
                time.sleep(0.2)
                busy()


def test_mute_connections_are_closed(busy: Callable[[], None], host: Spot) -> None:
    """Who says nothing must not hold a descriptor for ever, before ZMTP's handshake or after."""
    port = port_of(endpoint_of(host))
    with zmq.Context() as context, contextlib.ExitStack() as stack:
        for _ in range(50):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        for _ in range(10):
            stranger = stack.enter_context(context.socket(zmq.DEALER))
            stranger.linger = 0
            stranger.setsockopt(zmq.RECONNECT_IVL, -1)
            stranger.connect(endpoint_of(host))
        wait_until(lambda: established([port]) > 30)
        wait_until(lambda: established([port]) == 1, 10, what="the end of mute connections")
        busy()


def test_flood_of_strangers_is_bounded(
    busy: Callable[[], None], host: Spot, caplog: pytest.LogCaptureFixture
) -> None:
    """A thousand connections of every sort: memory, log and links stay as they were."""
    port = port_of(endpoint_of(host))

    def flood(count: int) -> None:
        for at, data in zip(range(count), itertools.cycle(RAW.values()), strict=False):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as s:
                s.sendall(data)
                if at % 50 == 0:
                    busy()

    flood(200)
    before = memory_mib()
    flood(800)
    wait_until(lambda: established([port]) == 1, 10)
    assert memory_mib() - before < 20
    # One for the address; one more if an address could not be had any more.
    assert len(warnings_of(caplog)) <= 2
    wait_until(lambda: host.metrics().refused >= 900, 10)


def test_flood_of_junk_frames_is_bounded(
    busy: Callable[[], None], host: Spot, caplog: pytest.LogCaptureFixture
) -> None:
    """DEALERs that come again and again, each with junk: one warning, not a full disk."""
    before = memory_mib()
    with zmq.Context() as context:
        for at in range(100):
            with context.socket(zmq.DEALER) as stranger:
                stranger.linger = 0
                stranger.rcvtimeo = 5000
                stranger.connect(endpoint_of(host))
                stranger.send(b"junk %d" % at)
                assert stranger.recv()[0] == codec.REFUSE
                for _ in range(100):
                    stranger.send(os.urandom(1000))
    busy()
    assert memory_mib() - before < 20
    assert len(warnings_of(caplog)) == 1, warnings_of(caplog)


def test_endless_message_of_a_stranger_is_bounded(busy: Callable[[], None], host: Spot) -> None:
    """Parts without end, never the last one: libzmq keeps them all until it comes."""
    part = b"\x03" + struct.pack(">Q", 1 << 20) + b"x" * (1 << 20)
    before = memory_mib()
    with socket.create_connection(("127.0.0.1", port_of(endpoint_of(host)))) as stranger:
        stranger.settimeout(10)
        stranger.sendall(GREETING + ready(b"DEALER"))
        with contextlib.suppress(ConnectionError):
            for _ in range(2000):
                stranger.sendall(part)
                time.sleep(0.005)
            raise AssertionError("2000 MiB were taken")
        busy()
    assert memory_mib() - before < 300


def test_peer_that_breaks_the_protocol_loses_its_link_only(
    busy: Callable[[], None], host: Spot
) -> None:
    """After a right greeting, wrong records: that link ends, with a reason, and no other."""
    for wrong in (
        record(200),
        record(codec.DATA, b"\0" * 40),
        record(codec.CREDIT, b"x"),
        codec.encode_gone(77, 1),
        record(codec.TOPICS, b"\x00" + b"\xff" * 40),
        record(codec.INTEREST, b"\x01\x02"),
        hello(HELLO),
        b"\x01",
    ):
        with zmq.Context() as context, context.socket(zmq.DEALER) as stranger:
            stranger.linger = 0
            stranger.rcvtimeo = 5000
            stranger.connect(endpoint_of(host))
            stranger.send(hello(HELLO))
            assert stranger.recv()[0] == codec.HELLO
            stranger.send(record(codec.CONFIRM))
            wait_until(lambda: is_up(host, "evil"))
            stranger.send(wrong)
            wait_until(lambda: not is_up(host, "evil"), what=f"the end of the link, {wrong!r:.20}")
        client_link = [peer.state for peer in host.peers() if peer.node == "client"]
        assert client_link == ["up"]
    assert host.metrics().links_lost == 8


def test_greeting_that_is_never_confirmed_ends(busy: Callable[[], None], host: Spot) -> None:
    """HELLO and then nothing: no link comes up, and nothing stays behind."""
    with zmq.Context() as context:
        with contextlib.ExitStack() as stack:
            for at in range(50):
                stranger = stack.enter_context(context.socket(zmq.DEALER))
                stranger.linger = 0
                stranger.connect(endpoint_of(host))
                stranger.send(hello({**HELLO, "node": f"evil-{at}"}))
            stays(lambda: [peer.node for peer in host.peers()] == ["client"], 0.5)
            busy()
        wait_until(lambda: len(host._core.links.by_conn) == 1, 10)


def test_port_that_runs_out_of_descriptors_recovers(make_node: MakeNode, host: Spot) -> None:
    """More connections than the process may open: links stay, and it accepts again afterwards."""
    client = make_node(node_id="client", cluster=host.endpoints)
    client.cluster_sync()
    client.subscribe("t")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(os.listdir("/proc/self/fd"))
    port = port_of(endpoint_of(host))
    strangers = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 60, hard))
    try:
        with contextlib.suppress(OSError):
            while True:
                stranger = socket.socket()
                strangers.append(stranger)
                stranger.connect(("127.0.0.1", port))
        host.publish("t", b"still here")
        assert receive(client, 1)[0].data == b"still here"
    finally:
        for stranger in strangers:
            stranger.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    newcomer = make_node(cluster=host.endpoints)
    newcomer.cluster_sync(timeout=5)
    assert host.metrics().links_lost == 0
    assert make_node(bind=[ANY_PORT]).endpoints


def test_time_in_which_a_node_was_stopped_counts_for_no_stranger() -> None:
    # A greeting that was under way when the machine went to sleep goes on when it wakes.
    with socket.create_server(("127.0.0.1", 0)) as server:
        dialler = socket.create_connection(server.getsockname())
        accepted = server.accept()[0]
    with dialler, accepted:
        strangers = UnauthenticatedConnections(2.0, logging.warning, is_quiet=True)
        strangers.accept(accepted.fileno(), "here", 0.0)
        strangers.excuse(9.0, 10.0)
        strangers.end_overdue(10.5, lambda fd: False)
        dialler.setblocking(False)
        with pytest.raises(BlockingIOError):
            dialler.recv(1)
        strangers.excuse(9.0, 10.5)
        strangers.end_overdue(12.4, lambda fd: False)
        with pytest.raises(BlockingIOError):
            dialler.recv(1)
        dialler.settimeout(5)
        strangers.end_overdue(12.6, lambda fd: False)
        assert dialler.recv(1) == b""
