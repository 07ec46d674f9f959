"""What a proxy without toxics does with connections and bytes."""

import os
import socket
import threading
import time

import pytest

from spot.testbed.proxy import Toxiproxy
from tests.testbed.proxy.wire import (
    DEADLINE_S,
    QUIET_S,
    Wire,
    address_of,
    fill,
    is_quiet,
    is_refused,
    listening,
    receive,
    reset,
    rest,
)

LOUD_S = 5.0
"""A cut is told at once: far below any timeout, far above a busy machine's hiccups."""


def test_bytes_go_both_ways_at_once_unchanged(wire: Wire) -> None:
    """A proxy that changes or loses bytes would be blamed on the nodes."""
    line = wire.connect()
    up, down = os.urandom(3_000_000), os.urandom(3_000_000)
    threads = [
        threading.Thread(target=line.client.sendall, args=(up,)),
        threading.Thread(target=line.server.sendall, args=(down,)),
    ]
    for thread in threads:
        thread.start()
    received: dict[str, bytes] = {}
    reader = threading.Thread(target=lambda: received.update(up=receive(line.server, len(up))))
    reader.start()
    received["down"] = receive(line.client, len(down))
    for thread in (*threads, reader):
        thread.join(DEADLINE_S)
    assert received == {"up": up, "down": down}


def test_many_connections_do_not_mix(wire: Wire) -> None:
    """One proxy carries the link again and again, also while old connections linger."""
    lines = [wire.connect() for _ in range(60)]
    for number, line in enumerate(lines):
        line.client.sendall(f"to {number:4}".encode())
        line.server.sendall(f"back {number:4}".encode())
    for number, line in enumerate(lines):
        assert receive(line.server, 7) == f"to {number:4}".encode()
        assert receive(line.client, 9) == f"back {number:4}".encode()


def test_close_arrives_after_all_bytes(wire: Wire, stream: str) -> None:
    """What was sent before a close must not be lost with it."""
    line = wire.connect()
    data = os.urandom(500_000)

    def send() -> None:
        line.sender(stream).sendall(data)
        line.sender(stream).close()

    sending = threading.Thread(target=send)
    sending.start()
    assert rest(line.receiver(stream)) == (data, "fin")
    sending.join(DEADLINE_S)


def test_half_close_closes_both_ways(wire: Wire, stream: str, other: str) -> None:
    """Toxiproxy knows no half-closed connections; who relies on them must learn that here."""
    line = wire.connect()
    line.sender(stream).shutdown(socket.SHUT_WR)
    assert rest(line.receiver(stream)) == (b"", "fin")
    assert rest(line.receiver(other)) == (b"", "fin")


def test_reset_by_one_end_closes_the_other(wire: Wire, stream: str) -> None:
    """A crashed process resets its connections; its peer must learn of it through the proxy."""
    line = wire.connect()
    line.carries(stream, b"hello")
    reset(line.sender(stream))
    data, _how = rest(line.receiver(stream))
    assert data == b""


def test_receiver_that_does_not_read_holds_the_sender_up(wire: Wire, stream: str) -> None:
    """Backpressure must pass a proxy; a slow reader gets everything, and others go on meanwhile."""
    line = wire.connect()
    limit = 100_000_000
    sent = fill(line.sender(stream), limit)
    assert len(sent) < limit, "the proxy takes without bound"
    wire.connect().carries(stream, os.urandom(1_000_000))
    assert receive(line.receiver(stream), len(sent)) == sent
    line.carries(stream, b"and on it goes")


def test_dead_upstream_accepts_then_closes(wire: Wire) -> None:
    """Behind a proxy, connected means nothing: backoff must not start again from it."""
    wire.upstream.close()
    for _ in range(3):
        data, _how = rest(wire.dial())
        assert data == b""


def test_upstream_that_comes_back_is_reached_without_a_call(wire: Wire, free_ports: int) -> None:
    """A restarted node is dialled anew for each connection."""
    wire.upstream.close()
    wire.proxy.set_upstream(f"127.0.0.1:{free_ports}")
    for _ in range(2):
        with socket.create_server(("127.0.0.1", free_ports)) as upstream:
            wire.dial()
            upstream.accept()[0].close()
        rest(wire.dial())
    wire.upstream = socket.create_server(("127.0.0.1", free_ports))
    wire.upstream.settimeout(DEADLINE_S)
    wire.connect().carries("upstream", b"back again")


def test_disable_closes_both_ends_at_once_and_refuses(wire: Wire) -> None:
    """This is the loud cut: no timeout is involved in noticing it."""
    lines = [wire.connect() for _ in range(3)]
    start = time.monotonic()
    wire.proxy.disable()
    for line in lines:
        assert rest(line.client)[0] == b""
        assert rest(line.server)[0] == b""
    assert time.monotonic() - start < LOUD_S
    assert is_refused(wire.address)


def test_enable_listens_at_the_same_address(wire: Wire) -> None:
    """Nodes know one address; it has to be good again after the heal."""
    wire.connect()
    before = wire.address
    wire.proxy.disable()
    wire.proxy.enable()
    assert wire.address == before
    wire.connect().carries("upstream", b"healed")


def test_enable_of_an_enabled_proxy_leaves_connections_alone(wire: Wire) -> None:
    """Healing what is not broken must break nothing."""
    line = wire.connect()
    wire.proxy.enable()
    line.carries("upstream", b"still here")


def test_disable_keeps_toxics(wire: Wire) -> None:
    """A cut on a slow link heals to a slow link."""
    wire.proxy.add_toxic("latency", attributes={"latency": 150})
    wire.proxy.disable()
    wire.proxy.enable()
    assert wire.connect().carries("downstream", b"slow") >= 0.149


def test_disable_loses_what_toxics_hold(wire: Wire, stream: str) -> None:
    """A cut is a cut: bytes under way do not arrive after it."""
    wire.proxy.add_toxic("bandwidth", stream=stream, attributes={"rate": 0})
    line = wire.connect()
    line.sender(stream).sendall(b"held")
    assert is_quiet(line.receiver(stream))
    wire.proxy.disable()
    assert rest(line.receiver(stream))[0] == b""
    assert rest(line.sender(stream))[0] == b""


def test_delete_closes_and_refuses(wire: Wire, toxiproxy: Toxiproxy) -> None:
    """A run that is swept leaves no open connection."""
    address, line = wire.address, wire.connect()
    wire.proxy.destroy()
    assert rest(line.client)[0] == rest(line.server)[0] == b""
    assert is_refused(address)
    # For the fixture, which destroys it.
    toxiproxy.create(address_of(wire.upstream), wire.proxy.name)


def test_other_upstream_closes_and_leads_there(wire: Wire) -> None:
    """A target that got another address is reached after one call."""
    line = wire.connect()
    with listening() as new:
        wire.proxy.set_upstream(address_of(new))
        assert rest(line.client)[0] == rest(line.server)[0] == b""
        client = wire.dial()
        server, _address = new.accept()
        with server:
            client.sendall(b"to the new one")
            assert receive(server, 14) == b"to the new one"


def test_disable_is_for_one_proxy_only(wire: Wire, toxiproxy: Toxiproxy) -> None:
    """A fault on one edge must leave every other pair alone."""
    with Wire(toxiproxy.create(address_of(up := listening()), "neighbour"), up) as neighbour:
        line = neighbour.connect()
        wire.proxy.disable()
        line.carries("upstream", b"not my fault")


def test_reset_call_enables_and_removes_toxics(wire: Wire, toxiproxy: Toxiproxy) -> None:
    """One call heals everything, and what lives through it goes on."""
    wire.proxy.add_toxic("latency", attributes={"latency": 10_000})
    line = wire.connect()
    line.server.sendall(b"under way")
    assert is_quiet(line.client)
    with Wire(toxiproxy.create(address_of(up := listening()), "other"), up) as disabled:
        disabled.proxy.disable()
        toxiproxy.reset()
        disabled.connect().carries("upstream", b"enabled")
    assert receive(line.client, 9) == b"under way"
    assert wire.proxy.toxics() == {}


@pytest.mark.parametrize("size", [1, 1000, 100_000])
def test_small_and_large_messages_take_no_detour(wire: Wire, size: int) -> None:
    """Without toxics a proxy adds next to nothing, so that it is not what a run measures."""
    line = wire.connect()
    took = min(line.carries("upstream", os.urandom(size)) for _ in range(20))
    assert took < QUIET_S / 10
