"""Toxics together, by chance, and under traffic."""

import hashlib
import os
import select
import socket
import threading

from tests.testbed.proxy.wire import DEADLINE_S, QUIET_S, Wire, is_quiet, receive, rest


def test_toxicity_zero_spares_all(wire: Wire, stream: str) -> None:
    """The share is of connections, and 0 is none."""
    wire.proxy.add_toxic("bandwidth", stream=stream, toxicity=0.0, attributes={"rate": 0})
    for _ in range(5):
        wire.connect().carries(stream, b"spared")


def test_toxicity_is_drawn_once_a_connection(wire: Wire, stream: str) -> None:
    """Half of the connections are slow, and those stay so: it is no loss by the packet."""
    wire.proxy.add_toxic("bandwidth", stream=stream, toxicity=0.5, attributes={"rate": 0})
    lines = [wire.connect() for _ in range(60)]
    for line in lines:
        line.sender(stream).sendall(b"1")
    receivers = {line.receiver(stream): line for line in lines}
    spared = []
    # Long enough for a proxy that was held up: a byte that comes later is one that was held.
    while ready := select.select(list(receivers), [], [], 10 * QUIET_S)[0]:
        spared += [receivers.pop(sock) for sock in ready]
    for line in spared:
        assert receive(line.receiver(stream), 1) == b"1"
    assert 10 <= len(spared) <= 50, "of 60 with a chance of one half; less likely than 1e-6"
    for line in spared:
        for _ in range(3):
            line.carries(stream, b"again")
    assert all(is_quiet(sock, 0) for sock in receivers)


def test_toxicity_changed_is_drawn_again(wire: Wire, stream: str) -> None:
    """A fault can be switched on and off by its share."""
    wire.proxy.add_toxic("bandwidth", stream=stream, toxicity=0.0, attributes={"rate": 0})
    line = wire.connect()
    line.carries(stream, b"spared")
    wire.proxy.update_toxic(f"bandwidth_{stream}", toxicity=1.0)
    line.sender(stream).sendall(b"held")
    assert is_quiet(line.receiver(stream))
    wire.proxy.update_toxic(f"bandwidth_{stream}", toxicity=0.0)
    assert receive(line.receiver(stream), 4) == b"held"


def test_toxics_act_in_a_row(wire: Wire, stream: str) -> None:
    """A slow link that is cut off as well is both."""
    wire.proxy.add_toxic("latency", stream=stream, attributes={"latency": 100})
    wire.proxy.add_toxic("limit_data", stream=stream, attributes={"bytes": 8})
    line = wire.connect()
    assert line.carries(stream, b"1234") >= 0.099
    line.sender(stream).sendall(b"567890")
    assert rest(line.receiver(stream))[0] == b"5678"


def test_toxic_removed_from_the_middle_leaves_the_others(wire: Wire, stream: str) -> None:
    """Faults end in another order than they began."""
    for name, kind, attributes in (
        ("first", "latency", {"latency": 50}),
        ("middle", "bandwidth", {"rate": 0}),
        ("last", "latency", {"latency": 50}),
    ):
        wire.proxy.add_toxic(kind, stream=stream, name=name, attributes=attributes)
    line = wire.connect()
    line.sender(stream).sendall(b"held")
    assert is_quiet(line.receiver(stream))
    wire.proxy.destroy_toxic("middle")
    assert receive(line.receiver(stream), 4) == b"held"
    assert line.carries(stream, b"both") >= 0.099
    wire.proxy.destroy_toxic("first")
    assert line.carries(stream, b"one") >= 0.049
    wire.proxy.destroy_toxic("last")
    assert min(line.carries(stream, b"none") for _ in range(5)) < 0.04


def test_half_close_lets_arrive_what_is_under_way_back(wire: Wire, stream: str, other: str) -> None:
    """An end one way must not lose what a toxic holds the other way."""
    wire.proxy.add_toxic("latency", stream=other, attributes={"latency": 120})
    line = wire.connect()
    line.sender(other).sendall(b"reply")
    for _ in range(3):  # once these have passed, the proxy has read the reply as well
        line.carries(stream, b"go on")
    line.sender(stream).shutdown(socket.SHUT_WR)
    assert rest(line.receiver(stream)) == (b"", "fin")
    assert rest(line.receiver(other)) == (b"reply", "fin")


def test_noop_does_nothing(wire: Wire, stream: str) -> None:
    """It is a toxic like the others to the API, and none to the bytes."""
    wire.proxy.add_toxic("noop", stream=stream)
    wire.connect().carries(stream, os.urandom(100_000))


def test_toxics_on_a_streaming_connection_lose_nothing(wire: Wire, stream: str) -> None:
    """Faults come, change and go under load; each byte still arrives once and in order."""
    line = wire.connect()
    total, sent = 8_000_000, hashlib.sha256()

    def send() -> None:
        left = total
        while left:
            piece = os.urandom(min(left, 50_000))
            sent.update(piece)
            line.sender(stream).sendall(piece)
            left -= len(piece)

    got: list[bytes] = []
    threads = [
        threading.Thread(target=send),
        threading.Thread(target=lambda: got.append(receive(line.receiver(stream), total))),
    ]
    for thread in threads:
        thread.start()
    for latency in (5, 1):
        wire.proxy.add_toxic("latency", stream=stream, attributes={"latency": latency})
        wire.proxy.add_toxic("bandwidth", stream=stream, attributes={"rate": 40_000})
        wire.proxy.add_toxic("slicer", stream=stream, attributes={"average_size": 5_000})
        wire.proxy.update_toxic(f"bandwidth_{stream}", attributes={"rate": 60_000})
        wire.proxy.destroy_toxic(f"latency_{stream}")
        wire.proxy.update_toxic(f"slicer_{stream}", attributes={"average_size": 2_000})
        wire.proxy.destroy_toxic(f"slicer_{stream}")
        wire.proxy.destroy_toxic(f"bandwidth_{stream}")
    for thread in threads:
        thread.join(DEADLINE_S)
    assert hashlib.sha256(got[0]).digest() == sent.digest()
