"""Edges: one proxy a pair, found and deleted by their run."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from spot.testbed import ClusterError
from spot.testbed.ports import PortReservation
from spot.testbed.proxy import (
    ProxyRefused,
    Toxiproxy,
    delete_edges,
    edge_name,
    find_edges,
    make_edges,
    open_server,
)
from tests.testbed.proxy.wire import Wire, address_of, is_refused, listening, rest


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toxiproxy]:
    """An embedded server; conformance says that the other is alike."""
    opened = open_server(tmp_path_factory.mktemp("proxy") / "log", kind="embedded")
    yield opened.client()
    opened.stop()


def test_edges_lead_to_their_targets(server: Toxiproxy) -> None:
    """Each pair has a way of its own, and a fault on it is that pair's alone."""
    targets = {"b": listening(), "c": listening()}
    edges = make_edges(
        server,
        "mesh-1",
        {("a", name): f"tcp://{address_of(target)}" for name, target in targets.items()},
    )
    wires = {name: Wire(edges["a", name].proxy, target) for name, target in targets.items()}
    with wires["b"] as to_b, wires["c"] as to_c:
        line_b, line_c = to_b.connect(), to_c.connect()
        line_b.carries("upstream", b"to b")
        line_c.carries("downstream", b"from c")
        edges["a", "b"].proxy.disable()
        assert rest(line_b.client)[0] == b""
        line_c.carries("upstream", b"to c")
        assert edges["a", "b"].endpoint == f"tcp://127.0.0.1:{edges['a', 'b'].address[1]}"
        assert is_refused(edges["a", "b"].address)


def test_edges_keep_their_ports_while_disabled(server: Toxiproxy) -> None:
    """A port that another program takes meanwhile could never be healed."""
    ports = PortReservation()
    try:
        edges = make_edges(server, "ports-1", {("a", "b"): "127.0.0.1:9"}, ports)
        edge = edges["a", "b"]
        edge.proxy.disable()
        with socket.socket() as greedy, pytest.raises(OSError, match="in use"):
            greedy.bind(edge.address)
        edge.proxy.enable()
        assert edge.proxy.refresh().enabled
    finally:
        delete_edges(server, "ports-1")
        ports.release()


def test_edges_are_found_and_deleted_by_their_run(server: Toxiproxy) -> None:
    """Sweeping deletes a run's edges, and nothing that is anyone else's."""
    pairs = {("a", "b"): "127.0.0.1:9", ("spoke-1", "hub"): "127.0.0.1:9"}
    made = make_edges(server, "run-1", pairs)
    make_edges(server, "run-10", pairs)
    foreign = server.create("127.0.0.1:9", "run-1 of someone else")
    found = find_edges(server, "run-1")
    assert {pair: edge.endpoint for pair, edge in found.items()} == {
        pair: edge.endpoint for pair, edge in made.items()
    }
    assert delete_edges(server, "run-1") == 2
    assert delete_edges(server, "run-1") == 0
    assert len(find_edges(server, "run-10")) == 2
    assert delete_edges(server, "run-10") == 2
    assert set(server.proxies()) == {foreign.name}
    foreign.destroy()


def test_edges_are_all_made_or_none(server: Toxiproxy) -> None:
    """A start that failed leaves nothing behind."""
    ports = PortReservation()
    with listening() as taken:
        monopolist = taken.getsockname()[1]
        ports.free = lambda count: [0, monopolist][:count]  # type: ignore[method-assign]
        with pytest.raises(ProxyRefused, match="address already in use"):
            make_edges(
                server, "fails", {("a", "b"): "127.0.0.1:9", ("a", "c"): "127.0.0.1:9"}, ports
            )
    assert server.proxies() == {}


def test_large_mesh_is_made_in_one_call(server: Toxiproxy) -> None:
    """50 nodes have 1,225 pairs: one call each would take seconds."""
    names = [f"n{number}" for number in range(20)]
    pairs = {(a, b): "127.0.0.1:9" for a in names for b in names if a < b}
    assert len(make_edges(server, "large", pairs)) == 190
    assert delete_edges(server, "large") == 190


@pytest.mark.parametrize("name", ["", "a~b", "a/b"])
def test_names_that_cannot_stand_in_an_edge(name: str) -> None:
    """They would be found as something else, or not at all."""
    with pytest.raises(ClusterError, match="can't name an edge"):
        edge_name("run", "a", name)
