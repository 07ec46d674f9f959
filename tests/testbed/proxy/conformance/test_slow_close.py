"""slow_close: the end arrives later, bytes don't."""

import time

from tests.testbed.proxy.wire import Wire, is_quiet, rest

DELAY_S = 0.199


def test_slow_close_delays_the_close_only(wire: Wire, stream: str) -> None:
    """A goodbye is heard long before the connection is gone."""
    wire.proxy.add_toxic("slow_close", stream=stream, attributes={"delay": 200})
    line = wire.connect()
    assert min(line.carries(stream, b"soon") for _ in range(5)) < 0.1
    line.sender(stream).sendall(b"last words")
    start = time.monotonic()
    line.sender(stream).close()
    assert line.receiver(stream).recv(100) == b"last words"
    assert rest(line.receiver(stream)) == (b"", "fin")
    assert time.monotonic() - start >= DELAY_S


def test_slow_close_leaves_the_other_stream_alone(wire: Wire, stream: str, other: str) -> None:
    """A close by the other end is heard at once."""
    wire.proxy.add_toxic("slow_close", stream=stream, attributes={"delay": 60_000})
    line = wire.connect()
    line.sender(other).close()
    assert rest(line.receiver(other)) == (b"", "fin")


def test_slow_close_removed_closes_at_once(wire: Wire, stream: str) -> None:
    """Healing ends the wait."""
    wire.proxy.add_toxic("slow_close", stream=stream, attributes={"delay": 60_000})
    line = wire.connect()
    line.sender(stream).close()
    assert is_quiet(line.receiver(stream))
    wire.proxy.destroy_toxic(f"slow_close_{stream}")
    assert rest(line.receiver(stream)) == (b"", "fin")
