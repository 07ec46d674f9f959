"""bandwidth: so many kB/s; 0 holds what comes."""

import os
import threading
import time

from tests.testbed.proxy.wire import DEADLINE_S, Wire, fill, is_quiet, receive, rest

HOLD = {"rate": 0}


def test_bandwidth_limits_its_stream_only(wire: Wire, stream: str, other: str) -> None:
    """1 kB is 1,000 bytes: 50,000 at 100 kB/s are half a second."""
    wire.proxy.add_toxic("bandwidth", stream=stream, attributes={"rate": 100})
    line = wire.connect()
    took = line.carries(stream, os.urandom(50_000))
    assert 0.4 <= took < 5.0
    assert min(line.carries(other, os.urandom(50_000)) for _ in range(5)) < 0.3


def test_bandwidth_moves_slowly_rather_than_in_leaps(wire: Wire, stream: str) -> None:
    """A large message on a slow link arrives bit by bit: any traffic counts as life."""
    wire.proxy.add_toxic("bandwidth", stream=stream, attributes={"rate": 20})
    line = wire.connect()
    line.sender(stream).sendall(bytes(30_000))
    start = time.monotonic()
    first = receive(line.receiver(stream), 1)
    soon = time.monotonic() - start
    assert first == b"\0"
    assert len(receive(line.receiver(stream), 29_999)) == 29_999
    assert soon < 1.1 < 1.2 < time.monotonic() - start


def test_bandwidth_zero_holds_bytes_until_removed(wire: Wire, stream: str, other: str) -> None:
    """The nearest to a network that is partitioned and heals: nothing is lost, only late."""
    line = wire.connect()
    line.carries(stream, b"before")
    wire.proxy.add_toxic("bandwidth", stream=stream, attributes=HOLD)
    data = os.urandom(200_000)
    sending = threading.Thread(target=line.sender(stream).sendall, args=(data,))
    sending.start()
    assert is_quiet(line.receiver(stream))
    line.carries(other, b"the other way is open")
    wire.proxy.destroy_toxic(f"bandwidth_{stream}")
    assert receive(line.receiver(stream), len(data)) == data
    sending.join(DEADLINE_S)
    line.carries(stream, b"after")


def test_bandwidth_zero_holds_the_sender_up(wire: Wire, stream: str) -> None:
    """What is held is bounded, as a kernel's buffers are."""
    wire.proxy.add_toxic("bandwidth", stream=stream, attributes=HOLD)
    line = wire.connect()
    limit = 100_000_000
    sent = fill(line.sender(stream), limit)
    assert len(sent) < limit
    wire.proxy.destroy_toxic(f"bandwidth_{stream}")
    assert receive(line.receiver(stream), len(sent)) == sent


def test_bandwidth_zero_holds_the_close_behind_bytes(wire: Wire, stream: str) -> None:
    """A peer that died behind a partition is heard of when the partition ends."""
    wire.proxy.add_toxic("bandwidth", stream=stream, attributes=HOLD)
    line = wire.connect()
    line.sender(stream).sendall(b"last words")
    assert is_quiet(line.receiver(stream))
    line.sender(stream).close()
    assert is_quiet(line.receiver(stream))
    wire.proxy.destroy_toxic(f"bandwidth_{stream}")
    assert rest(line.receiver(stream)) == (b"last words", "fin")


def test_bandwidth_zero_passes_a_close_without_bytes(wire: Wire, stream: str) -> None:
    """On an idle link a close gets through: who wants silence must know."""
    wire.proxy.add_toxic("bandwidth", stream=stream, attributes=HOLD)
    line = wire.connect()
    line.sender(stream).close()
    assert rest(line.receiver(stream)) == (b"", "fin")


def test_bandwidth_changed_acts_on_living_connections(wire: Wire, stream: str) -> None:
    """Held bytes go on at the new rate."""
    wire.proxy.add_toxic("bandwidth", stream=stream, attributes=HOLD)
    line = wire.connect()
    data = os.urandom(100_000)
    line.sender(stream).sendall(data)
    assert is_quiet(line.receiver(stream))
    wire.proxy.update_toxic(f"bandwidth_{stream}", attributes={"rate": 100_000})
    assert receive(line.receiver(stream), len(data)) == data
