"""limit_data: closes after so many bytes, in the middle of whatever it is."""

from tests.testbed.proxy.wire import Wire, is_quiet, receive, rest


def test_limit_data_cuts_in_mid_frame(wire: Wire, stream: str) -> None:
    """Exactly so many bytes, then the end: the stream cut in the middle of a frame."""
    wire.proxy.add_toxic("limit_data", stream=stream, attributes={"bytes": 1000})
    line = wire.connect()
    data = bytes(range(256)) * 4
    line.sender(stream).sendall(data)
    received, _how = rest(line.receiver(stream))
    assert received == data[:1000]
    assert rest(line.sender(stream))[0] == b""


def test_limit_data_counts_over_several_sends(wire: Wire, stream: str) -> None:
    """The limit is the connection's, not a chunk's; the last byte allowed closes."""
    wire.proxy.add_toxic("limit_data", stream=stream, attributes={"bytes": 10})
    line = wire.connect()
    line.carries(stream, b"12345")
    line.carries(stream, b"678")
    assert is_quiet(line.receiver(stream))
    line.sender(stream).sendall(b"90")
    assert rest(line.receiver(stream))[0] == b"90"


def test_limit_data_counts_each_connection(wire: Wire, stream: str) -> None:
    """A reconnect starts from nothing."""
    wire.proxy.add_toxic("limit_data", stream=stream, attributes={"bytes": 4})
    for _ in range(2):
        line = wire.connect()
        line.sender(stream).sendall(b"12345")
        assert rest(line.receiver(stream))[0] == b"1234"


def test_limit_data_counts_from_when_it_came(wire: Wire, stream: str) -> None:
    """A living connection is cut so many bytes after the fault began."""
    line = wire.connect()
    line.carries(stream, bytes(100))
    wire.proxy.add_toxic("limit_data", stream=stream, attributes={"bytes": 4})
    line.sender(stream).sendall(b"12345")
    assert rest(line.receiver(stream))[0] == b"1234"


def test_limit_data_zero_passes_nothing(wire: Wire, stream: str) -> None:
    """A close at the first byte, before it arrives."""
    wire.proxy.add_toxic("limit_data", stream=stream, attributes={"bytes": 0})
    line = wire.connect()
    assert is_quiet(line.receiver(stream))
    line.sender(stream).sendall(b"1")
    assert rest(line.receiver(stream))[0] == b""


def test_limit_data_leaves_the_other_stream_alone(wire: Wire, stream: str, other: str) -> None:
    """Bytes back don't count."""
    wire.proxy.add_toxic("limit_data", stream=stream, attributes={"bytes": 4})
    line = wire.connect()
    line.carries(other, bytes(1000))
    line.carries(stream, b"123")


def test_limit_data_changed_keeps_its_count(wire: Wire, stream: str) -> None:
    """Raising the limit gives what is left, not all of it again."""
    wire.proxy.add_toxic("limit_data", stream=stream, attributes={"bytes": 6})
    line = wire.connect()
    line.carries(stream, b"1234")
    wire.proxy.update_toxic(f"limit_data_{stream}", attributes={"bytes": 8})
    line.sender(stream).sendall(b"567890")
    assert rest(line.receiver(stream))[0] == b"5678"


def test_limit_data_removed_lets_all_pass(wire: Wire, stream: str) -> None:
    """A connection that was not cut goes on."""
    wire.proxy.add_toxic("limit_data", stream=stream, attributes={"bytes": 10})
    line = wire.connect()
    line.carries(stream, b"1234")
    wire.proxy.destroy_toxic(f"limit_data_{stream}")
    line.sender(stream).sendall(bytes(1000))
    assert len(receive(line.receiver(stream), 1000)) == 1000
