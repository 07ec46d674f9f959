"""The embedded proxy must not be what a run measures."""

from __future__ import annotations

import multiprocessing
import selectors
import socket
import time
from multiprocessing.connection import Connection
from pathlib import Path

from spot.testbed.proxy import open_server

PROXIES = 50
BYTES_A_ROUND = 200_000_000
WANTED_BYTES_PER_S = 200_000_000
ROUNDS_MAX = 5


def _drain(report: Connection) -> None:
    """Takes whatever comes on any connection, and tells how much it was when all have ended."""
    with socket.create_server(("127.0.0.1", 0), backlog=PROXIES) as listener:
        report.send(listener.getsockname()[1])
        with selectors.DefaultSelector() as selector:
            for _ in range(PROXIES):
                selector.register(listener.accept()[0], selectors.EVENT_READ)
            buffer, total = bytearray(1 << 20), 0
            while selector.get_map():
                for key, _events in selector.select():
                    assert isinstance(key.fileobj, socket.socket)
                    size = key.fileobj.recv_into(buffer)
                    total += size
                    if size == 0:
                        selector.unregister(key.fileobj)
                        key.fileobj.close()
    report.send(total)


def _send(addresses: list[tuple[str, int]]) -> None:
    """Sends on all connections at once."""
    data = bytes(1 << 18)
    with selectors.DefaultSelector() as selector:
        for address in addresses:
            sock = socket.create_connection(address)
            sock.setblocking(False)
            selector.register(sock, selectors.EVENT_WRITE)
        sent = 0
        while sent < BYTES_A_ROUND:
            for key, _events in selector.select():
                assert isinstance(key.fileobj, socket.socket)
                sent += key.fileobj.send(data)
        for key in list(selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()


def test_fifty_proxies_carry_200_megabytes_a_second(tmp_path: Path) -> None:
    """The best of a few rounds, as it says what the proxy can do and not who else is busy."""
    server = open_server(tmp_path / "log", kind="embedded")
    process = multiprocessing.get_context("spawn")
    try:
        best = 0.0
        for number in range(ROUNDS_MAX):
            ours, theirs = process.Pipe()
            drain = process.Process(target=_drain, args=(theirs,))
            drain.start()
            upstream = f"127.0.0.1:{ours.recv()}"
            proxies = server.client().populate(
                {"name": f"{number}-{place}", "upstream": upstream} for place in range(PROXIES)
            )
            addresses = [("127.0.0.1", int(proxy.listen.rpartition(":")[2])) for proxy in proxies]
            start = time.monotonic()
            _send(addresses)
            assert ours.poll(30), "the bytes did not arrive"
            total = ours.recv()
            best = max(best, total / (time.monotonic() - start))
            drain.join()
            assert total >= BYTES_A_ROUND
            if best >= WANTED_BYTES_PER_S:
                return
        raise AssertionError(f"{best / 1e6:.0f} MB/s")
    finally:
        server.stop()
