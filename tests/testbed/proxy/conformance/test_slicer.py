"""slicer: small pieces, some time apart."""

import os
import time

from tests.testbed.proxy.wire import Wire


def _pieces(wire: Wire, stream: str, data: bytes) -> list[bytes]:
    line = wire.connect()
    line.sender(stream).sendall(data)
    pieces: list[bytes] = []
    while sum(len(piece) for piece in pieces) < len(data):
        pieces.append(line.receiver(stream).recv(65536))
    return pieces


def test_slicer_cuts_into_pieces(wire: Wire, stream: str) -> None:
    """A reader that takes one recv for one message is found out."""
    wire.proxy.add_toxic(
        "slicer",
        stream=stream,
        attributes={"average_size": 10, "size_variation": 2, "delay": 15_000},
    )
    data = os.urandom(200)
    pieces = _pieces(wire, stream, data)
    assert b"".join(pieces) == data
    assert len(pieces[0]) <= 12
    assert len(pieces) >= 8, "a busy reader may find two pieces at once, but not all"


def test_slicer_delay_is_in_microseconds(wire: Wire, stream: str) -> None:
    """Every other toxic counts in ms; as ms this would last 50 s."""
    wire.proxy.add_toxic("slicer", stream=stream, attributes={"average_size": 10, "delay": 5_000})
    start = time.monotonic()
    _pieces(wire, stream, bytes(100))
    assert 0.04 <= time.monotonic() - start < 5.0


def test_slicer_loses_nothing_of_much(wire: Wire, stream: str) -> None:
    """Many pieces without a delay are as good as none."""
    wire.proxy.add_toxic(
        "slicer", stream=stream, attributes={"average_size": 1000, "size_variation": 900}
    )
    wire.connect().carries(stream, os.urandom(300_000))


def test_slicer_removed_releases_the_rest_at_once(wire: Wire, stream: str) -> None:
    """What was being sliced arrives whole and in order."""
    wire.proxy.add_toxic("slicer", stream=stream, attributes={"average_size": 10, "delay": 100_000})
    line, data = wire.connect(), os.urandom(5_000)
    line.sender(stream).sendall(data)
    first = line.receiver(stream).recv(65536)
    wire.proxy.destroy_toxic(f"slicer_{stream}")
    received = first
    while len(received) < len(data):
        received += line.receiver(stream).recv(65536)
    assert received == data
