"""timeout: a blackhole, for ever (0) or until nothing has come for so long."""

import time

from tests.testbed.proxy.wire import Wire, is_quiet, receive, rest

FOREVER = {"timeout": 0}


def test_timeout_zero_swallows_and_stays_open(wire: Wire, stream: str, other: str) -> None:
    """The half-open link: one side talks to nobody and is not told."""
    line = wire.connect()
    line.carries(stream, b"before")
    wire.proxy.add_toxic("timeout", stream=stream, attributes=FOREVER)
    for _ in range(3):
        line.sender(stream).sendall(b"into the void")
    assert is_quiet(line.receiver(stream))
    assert is_quiet(line.sender(stream), 0)
    line.carries(other, b"the other way is open")


def test_timeout_zero_both_ways_is_silence(wire: Wire) -> None:
    """The blackhole: neither end hears anything, neither end is told."""
    for stream in ("upstream", "downstream"):
        wire.proxy.add_toxic("timeout", stream=stream, attributes=FOREVER)
    line = wire.connect()
    line.client.sendall(b"hello?")
    line.server.sendall(b"hello?")
    assert is_quiet(line.client)
    assert is_quiet(line.server)


def test_timeout_removed_closes_both_ends(wire: Wire, stream: str) -> None:
    """A stream with a gap can't go on; the heal of a blackhole is loud."""
    wire.proxy.add_toxic("timeout", stream=stream, attributes=FOREVER)
    line = wire.connect()
    line.sender(stream).sendall(b"lost")
    assert is_quiet(line.receiver(stream))
    wire.proxy.destroy_toxic(f"timeout_{stream}")
    assert rest(line.receiver(stream))[0] == b""
    assert rest(line.sender(stream))[0] == b""
    wire.connect().carries(stream, b"healed")


def test_timeout_removed_closes_those_it_spared_too(wire: Wire, stream: str) -> None:
    """Toxicity spares a connection the silence, but not the end of it."""
    wire.proxy.add_toxic("timeout", stream=stream, toxicity=0.0, attributes=FOREVER)
    line = wire.connect()
    line.carries(stream, b"spared")
    wire.proxy.destroy_toxic(f"timeout_{stream}")
    assert rest(line.receiver(stream))[0] == b""


def test_timeout_passes_a_close(wire: Wire, stream: str) -> None:
    """A peer that dies behind this blackhole is noticed at once; one that is paused is not."""
    wire.proxy.add_toxic("timeout", stream=stream, attributes=FOREVER)
    line = wire.connect()
    line.sender(stream).sendall(b"lost")
    line.sender(stream).close()
    assert rest(line.receiver(stream)) == (b"", "fin")


def test_timeout_closes_after_silence(wire: Wire, stream: str) -> None:
    """With a time, both ends are told when it is over."""
    line = wire.connect()
    start = time.monotonic()
    wire.proxy.add_toxic("timeout", stream=stream, attributes={"timeout": 200})
    assert rest(line.receiver(stream))[0] == b""
    assert time.monotonic() - start >= 0.199
    assert rest(line.sender(stream))[0] == b""


def test_timeout_starts_again_with_every_chunk(wire: Wire, stream: str) -> None:
    """Heartbeats can keep this timeout from ever firing."""
    wire.proxy.add_toxic("timeout", stream=stream, attributes={"timeout": 1500})
    line = wire.connect()
    start = time.monotonic()
    while time.monotonic() - start < 2.2:
        line.sender(stream).sendall(b"beat")
        assert is_quiet(line.receiver(stream), 0.05)
    assert rest(line.receiver(stream))[0] == b""


def test_timeout_changed_acts_on_living_connections(wire: Wire, stream: str) -> None:
    """An endless blackhole can be given an end."""
    wire.proxy.add_toxic("timeout", stream=stream, attributes=FOREVER)
    line = wire.connect()
    assert is_quiet(line.receiver(stream))
    wire.proxy.update_toxic(f"timeout_{stream}", attributes={"timeout": 50})
    assert rest(line.receiver(stream))[0] == b""


def test_timeout_swallows_what_the_upstream_greets_with(wire: Wire) -> None:
    """A canary that hears no greeting proves a blackhole downstream."""
    wire.proxy.add_toxic("timeout", stream="downstream", attributes=FOREVER)
    line = wire.connect()
    line.server.sendall(b"\xff\0\0\0\0\0\0\0\1\x7f")
    assert receive(line.client, 1, within=0.1) == b""
