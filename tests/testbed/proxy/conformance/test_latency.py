"""latency: everything later, in order."""

import os
import threading
import time

from tests.testbed.proxy.wire import DEADLINE_S, Wire, is_quiet, receive, rest

LATENCY_MS = 120
LATENCY_S = 0.119
"""A timer may be a millisecond early by the clock of another process."""
AT_ONCE_S = 0.08


def test_latency_delays_its_stream_only(wire: Wire, stream: str, other: str) -> None:
    """A fault in one direction must not touch the other."""
    wire.proxy.add_toxic("latency", stream=stream, attributes={"latency": LATENCY_MS})
    line = wire.connect()
    assert line.carries(stream, b"late") >= LATENCY_S
    assert min(line.carries(other, b"soon") for _ in range(5)) < AT_ONCE_S


def test_latency_comes_to_living_connections(wire: Wire, stream: str) -> None:
    """Faults start in the middle of a run, on links that are up."""
    line = wire.connect()
    line.carries(stream, b"soon")
    wire.proxy.add_toxic("latency", stream=stream, attributes={"latency": LATENCY_MS})
    assert line.carries(stream, b"late") >= LATENCY_S


def test_latency_changed_acts_on_living_connections(wire: Wire, stream: str) -> None:
    """A link that gets slower by the minute is one toxic, changed."""
    wire.proxy.add_toxic("latency", stream=stream, attributes={"latency": 1})
    line = wire.connect()
    line.carries(stream, b"soon")
    wire.proxy.update_toxic(f"latency_{stream}", attributes={"latency": LATENCY_MS})
    assert line.carries(stream, b"late") >= LATENCY_S


def test_latency_removed_releases_what_is_under_way(wire: Wire, stream: str) -> None:
    """After the heal nothing is late any more, and nothing is lost."""
    wire.proxy.add_toxic("latency", stream=stream, attributes={"latency": 60_000})
    line = wire.connect()
    for number in range(5):
        line.sender(stream).sendall(b"%d" % number)
        assert is_quiet(line.receiver(stream), 0.02)
    wire.proxy.destroy_toxic(f"latency_{stream}")
    assert receive(line.receiver(stream), 5) == b"01234"
    assert min(line.carries(stream, b"soon") for _ in range(5)) < AT_ONCE_S


def test_latency_is_no_bandwidth(wire: Wire, stream: str) -> None:
    """A long line carries many bytes at once: they are all late by the same time."""
    wire.proxy.add_toxic("latency", stream=stream, attributes={"latency": LATENCY_MS})
    line = wire.connect()
    data = os.urandom(4_000_000)
    sending = threading.Thread(target=line.sender(stream).sendall, args=(data,))
    start = time.monotonic()
    sending.start()
    assert receive(line.receiver(stream), len(data)) == data
    took = time.monotonic() - start
    sending.join(DEADLINE_S)
    assert LATENCY_S <= took < 9.0, "125 chunks, one after the other, would take 19 s"


def test_latency_jitter_varies_and_keeps_the_order(wire: Wire, stream: str) -> None:
    """Jitter must not turn a stream's bytes round."""
    wire.proxy.add_toxic("latency", stream=stream, attributes={"latency": 60, "jitter": 50})
    line = wire.connect()
    times = [line.carries(stream, b"x") for _ in range(8)]
    assert min(times) >= 0.009
    assert max(times) - min(times) > 0.005, "sixteen equal draws are no jitter"
    for number in range(20):
        line.sender(stream).sendall(b"%02d" % number)
    assert receive(line.receiver(stream), 40) == b"".join(b"%02d" % n for n in range(20))


def test_latencies_add_up(wire: Wire, stream: str) -> None:
    """Two toxics of a kind stand in a row."""
    for name in ("near", "far"):
        wire.proxy.add_toxic(
            "latency", stream=stream, name=name, attributes={"latency": LATENCY_MS}
        )
    assert wire.connect().carries(stream, b"late") >= 2 * LATENCY_S


def test_latency_delays_no_close_but_keeps_it_behind_the_bytes(wire: Wire, stream: str) -> None:
    """The end comes after the last byte, however late that is."""
    wire.proxy.add_toxic("latency", stream=stream, attributes={"latency": LATENCY_MS})
    line = wire.connect()
    start = time.monotonic()
    line.sender(stream).sendall(b"last words")
    line.sender(stream).close()
    assert rest(line.receiver(stream)) == (b"last words", "fin")
    assert time.monotonic() - start >= LATENCY_S
