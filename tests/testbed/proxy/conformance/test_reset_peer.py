"""reset_peer: RST for connections that were opened after it."""

import time

import pytest

from tests.testbed.proxy.wire import Wire, is_quiet, rest


def test_reset_peer_resets_both_ends_at_the_first_bytes(wire: Wire, stream: str) -> None:
    """ECONNRESET is another error than a close, and must be handled as well."""
    wire.proxy.add_toxic("reset_peer", stream=stream)
    line = wire.connect()
    assert is_quiet(line.client)
    line.sender(stream).sendall(b"lost")
    assert rest(line.receiver(stream)) == (b"", "reset")
    assert rest(line.sender(stream)) == (b"", "reset")


def test_reset_peer_waits_for_its_timeout(wire: Wire, stream: str) -> None:
    """It counts from the first bytes, which are lost."""
    wire.proxy.add_toxic("reset_peer", stream=stream, attributes={"timeout": 200})
    line = wire.connect()
    start = time.monotonic()
    line.sender(stream).sendall(b"lost")
    assert rest(line.receiver(stream)) == (b"", "reset")
    assert time.monotonic() - start >= 0.199


def test_reset_peer_closes_living_connections_by_fin(wire: Wire, stream: str) -> None:
    """A connection that was there before it is closed, not reset: a fault has to know."""
    line = wire.connect()
    wire.proxy.add_toxic("reset_peer", stream=stream)
    assert is_quiet(line.receiver(stream))
    line.sender(stream).sendall(b"lost")
    assert rest(line.receiver(stream)) == (b"", "fin")
    assert rest(line.sender(stream)) == (b"", "fin")


def test_reset_peer_turns_a_close_into_a_reset(wire: Wire, stream: str) -> None:
    """An end counts as the first bytes do."""
    wire.proxy.add_toxic("reset_peer", stream=stream)
    line = wire.connect()
    line.sender(stream).close()
    assert rest(line.receiver(stream)) == (b"", "reset")


def test_reset_peer_leaves_the_other_stream_alone(wire: Wire, stream: str, other: str) -> None:
    """Until bytes come its way, the connection works."""
    wire.proxy.add_toxic("reset_peer", stream=stream)
    line = wire.connect()
    line.carries(other, b"unharmed")


@pytest.mark.parametrize("toxicity", [0.0])
def test_reset_peer_spared_by_toxicity_still_ends_with_reset(
    wire: Wire, stream: str, toxicity: float
) -> None:
    """Bytes pass, but the way it closes is set when it opens."""
    wire.proxy.add_toxic("reset_peer", stream=stream, toxicity=toxicity)
    line = wire.connect()
    line.carries(stream, b"spared")
    line.sender(stream).close()
    assert rest(line.receiver(stream)) == (b"", "reset")
