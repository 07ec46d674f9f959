"""Every test of this folder runs against the embedded proxy and against Toxiproxy."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from spot.testbed.proxy import ProxyServer, ServerKind, Toxiproxy, find_toxiproxy, open_server
from tests.testbed.proxy.wire import LOOPBACK, Wire, address_of, listening

SERVERS: list[ServerKind] = ["embedded"]
if find_toxiproxy():  # test_both_servers.py says loudly when it is not there
    SERVERS.append("toxiproxy")

_numbers = itertools.count(1)


@pytest.fixture(scope="session", params=SERVERS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProxyServer]:
    """A server of each kind."""
    log = tmp_path_factory.mktemp("proxy") / f"{request.param}.log"
    server = open_server(log, kind=request.param)
    yield server
    alive = server.is_alive
    server.stop()
    assert alive, f"the {server.kind} server died meanwhile"


@pytest.fixture
def toxiproxy(server: ProxyServer) -> Iterator[Toxiproxy]:
    """A client of the server, which has no proxies before nor after."""
    client = server.client()
    yield client
    client.destroy_all()


@pytest.fixture
def wire(toxiproxy: Toxiproxy) -> Iterator[Wire]:
    """A proxy between a client and an upstream."""
    upstream = listening()
    proxy = toxiproxy.create(address_of(upstream), f"wire-{next(_numbers)}", f"{LOOPBACK}:0")
    with Wire(proxy, upstream) as wire:
        yield wire


@pytest.fixture(params=["upstream", "downstream"])
def stream(request: pytest.FixtureRequest) -> str:
    """Each direction."""
    return str(request.param)


@pytest.fixture
def other(stream: str) -> str:
    """The other direction."""
    return "downstream" if stream == "upstream" else "upstream"
