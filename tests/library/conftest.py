"""Nodes, processes and proxies that are ended with the test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from spot import Spot
from tests.library.child import Child
from tests.library.nodes import MakeNode, MakeProxy, StartChild
from tests.library.proxy import Proxy
from tests.ports import neighbouring_ports


@pytest.fixture(autouse=True)
def _no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("SPOT_"):
            monkeypatch.delenv(name)


@pytest.fixture
def make_node() -> Iterator[MakeNode]:
    """Makes nodes as ``Spot(...)`` does; ``make_node(bind=[ANY_PORT])`` and so on."""
    with ExitStack() as stack:

        def make(**settings: Any) -> Spot:
            settings.setdefault("linger", 0.1)
            return stack.enter_context(Spot(**settings))

        yield make


@pytest.fixture
def endpoint() -> Iterator[str]:
    """One to bind again and again: its port is held, so that nobody else takes it meanwhile."""
    with neighbouring_ports(1) as port:
        yield f"tcp://127.0.0.1:{port}"


@pytest.fixture
def host(make_node: MakeNode, endpoint: str) -> Spot:
    """A bound node called ``host`` that hosts topic ``t``; another may bind where it was."""
    return make_node(node_id="host", bind=[endpoint], topics=["t"])


@pytest.fixture
def client(make_node: MakeNode, host: Spot) -> Spot:
    """A node called ``client`` that only dials, synchronised with ``host``."""
    node = make_node(node_id="client", cluster=host.endpoints)
    node.cluster_sync()
    return node


@pytest.fixture
def start_child() -> Iterator[StartChild]:
    """Starts programs of tests/library/programs.py."""
    children: list[Child] = []

    def start(program: str, **arguments: Any) -> Child:
        child = Child(program, **arguments)
        children.append(child)
        return child

    yield start
    for child in children:
        child.end()


@pytest.fixture
def make_proxy() -> Iterator[MakeProxy]:
    """Proxies before a port of this machine."""
    proxies: list[Proxy] = []

    def make(target_port: int, *, rate: float | None = None) -> Proxy:
        proxy = Proxy(target_port, rate=rate)
        proxies.append(proxy)
        return proxy

    yield make
    for proxy in proxies:
        proxy.close()
