"""tcp over IPv4 and IPv6, ipc, and inproc: the same node over all of them."""

from __future__ import annotations

import errno
import os
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from spot import AddressInUse, HostUnreachable, InvalidArgument, Spot
from tests.library.nodes import ANY_PORT, MakeNode, StartChild, is_up
from tests.library.waiting import receive, receive_told, wait_until


@pytest.fixture(params=["tcp://127.0.0.1", "tcp://*", "tcp://[::1]:0", "ipc", "inproc"])
def endpoint(request: pytest.FixtureRequest, tmp_path: Path, free_ports: int) -> str:
    """Something to bind, of each transport."""
    kind = str(request.param)
    if kind in ("tcp://127.0.0.1", "tcp://*"):
        return f"{kind}:{free_ports}"
    if kind == "ipc":
        return f"ipc://{tmp_path}/node"
    if kind == "inproc":
        return f"inproc://{tmp_path.name}"
    return kind


def dialled(bound: str) -> str:
    return bound.replace("0.0.0.0", "localhost")


def test_pair_talks_both_ways(make_node: MakeNode, endpoint: str) -> None:
    """Topics, subscriptions, large and small messages, both directions."""
    host = make_node(node_id="host", topics=["h"])
    bound = host.bind(endpoint)
    assert host.endpoints == (bound,)
    node = make_node(node_id="node", topics=["n"])
    node.cluster_add(dialled(bound), timeout=5)
    assert node.cluster_sync() == {dialled(bound): frozenset({"h"})}
    node.subscribe("h")
    host.subscribe("n")
    for size in (0, 10, 1000, 100_000, 3_000_000):
        host.publish("h", b"h" * size)
        node.publish("n", b"n" * size)
        node.publish("h", b"x" * size)
        assert sorted(m.data for m in receive(node, 2)) == sorted([b"h" * size, b"x" * size])
        assert receive(host, 1)[0].data == b"n" * size
    assert node.is_healthy("host", timeout=2)
    assert is_up(host, "node")


def test_host_that_leaves_and_comes_back(make_node: MakeNode, endpoint: str) -> None:
    """Told once, and back by itself, whatever the transport."""
    host = make_node(node_id="host", topics=["h"])
    bound = host.bind(endpoint)
    node = make_node(reconnect_max=0.2)
    node.cluster_add(dialled(bound), timeout=5)
    node.cluster_sync()
    node.subscribe("h")
    host.publish("h", b"1")
    assert receive(node, 1)[0].data == b"1"
    host.close()
    error = receive_told(node)
    assert (error.node, error.topics, error.reason) == ("host", ("h",), "left")
    again = make_node(node_id="host", topics=["h"])
    wait_until(lambda: bind_again(again, bound))
    again.wait_for_subscribers("h", timeout=5)
    again.publish("h", b"2")
    assert receive(node, 1)[0].data == b"2"


def bind_again(node: Spot, endpoint: str) -> bool:
    try:
        node.bind(endpoint)
    except AddressInUse:
        return False
    return True


def test_port_is_free_when_close_returns(free_ports: int) -> None:
    """A program that restarts its node must not fail at random on its own port."""
    endpoint = f"tcp://127.0.0.1:{free_ports}"
    for _ in range(30):
        with Spot(bind=[endpoint], linger=0.1) as node, Spot(cluster=[endpoint]) as peer:
            peer.cluster_sync()
            assert node.endpoints == (endpoint,)


def test_ipc_path_of_a_living_node_is_in_use(make_node: MakeNode, tmp_path: Path) -> None:
    """zmq would take the path away from the node that listens there, in silence."""
    endpoint = f"ipc://{tmp_path}/node"
    host = make_node(bind=[endpoint], topics=["t"])
    with pytest.raises(AddressInUse, match="another path") as caught:
        make_node(bind=[endpoint])
    assert caught.value.errno == errno.EADDRINUSE
    node = make_node(cluster=[endpoint])
    assert node.cluster_sync() == {endpoint: frozenset({"t"})}
    assert is_up(host, node.node_id)


def test_ipc_path_of_a_dead_process_is_taken_over(
    make_node: MakeNode, start_child: StartChild, tmp_path: Path
) -> None:
    """SIGKILL leaves the file: the next start must not need a person to delete it."""
    endpoint = f"ipc://{tmp_path}/node"
    child = start_child("publisher", topics=["t"], bind=endpoint)
    child.said("bound")
    node = make_node(cluster=[endpoint], reconnect_max=0.2)
    node.cluster_sync(timeout=5)
    node.subscribe("t")
    child.kill()
    receive_told(node, 10)
    start_child("publisher", topics=["t"], bind=endpoint).said("bound")
    wait_until(lambda: node.list_topics() == ["t"] and node.peers()[0].state == "up")


def test_inproc_of_another_name_is_nobody(make_node: MakeNode) -> None:
    """zmq connects to names that nobody has bound yet: that must not look like a peer."""
    node = make_node()
    with pytest.raises(HostUnreachable):
        node.cluster_add("inproc://nobody", timeout=0.2)
    assert node.peers()[0].state != "up"
    make_node(bind=["inproc://nobody"])
    wait_until(lambda: node.peers()[0].state == "up", 10)


def test_name_that_has_both_families_reaches_either(make_node: MakeNode) -> None:
    """localhost may be ::1 first: a node that is bound to IPv4 only must be found."""
    host = make_node(bind=["tcp://127.0.0.1:0"])
    port = host.endpoints[0].rpartition(":")[2]
    node = make_node()
    node.cluster_add(f"tcp://localhost:{port}", timeout=5)


@pytest.mark.parametrize("transport", ["tcp", "ipc", "inproc"])
def test_own_endpoint_is_refused_and_harms_nothing(
    make_node: MakeNode, tmp_path: Path, transport: str
) -> None:
    """libzmq would end the listener with the dial: of one text, it ends whatever there is."""
    endpoints = {"tcp": ANY_PORT, "ipc": f"ipc://{tmp_path}/own", "inproc": "inproc://own"}
    host = make_node(node_id="host", bind=[endpoints[transport]], topics=["t"])
    (endpoint,) = host.endpoints
    node = make_node(cluster=[endpoint])
    node.cluster_sync()
    node.subscribe("t")
    with pytest.raises(HostUnreachable, match="of node host itself") as caught:
        host.cluster_add(endpoint, timeout=5)
    assert caught.value.reason == "self"
    wait_until(lambda: host.peers()[0].dials >= 3)
    assert host.peers()[0].state == "refused"
    assert is_up(host, node.node_id)
    other = make_node(cluster=[endpoint])
    other.cluster_sync()
    host.publish("t", b"x")
    assert receive(node, 1)[0].data == b"x"
    assert node.metrics().links_lost == 0


def test_one_list_of_all_nodes_makes_a_mesh(make_node: MakeNode) -> None:
    """One environment for all: each node's list of peers has its own endpoint in it."""
    nodes = [make_node(node_id=f"n{at}", bind=[ANY_PORT]) for at in range(3)]
    endpoints = [node.endpoints[0] for node in nodes]
    for node in nodes:
        for endpoint in endpoints:
            node.cluster_add(endpoint)
    everybody = {node.node_id for node in nodes}

    def is_complete() -> bool:
        return all(node.view().reachable | {node.node_id} == everybody for node in nodes)

    wait_until(is_complete)
    wait_until(lambda: all(peer.dials >= 3 or peer.state == "up" for peer in nodes[0].peers()))
    assert is_complete()


def test_bind_of_what_was_dialled_takes_over(make_node: MakeNode, free_ports: int) -> None:
    """A standby that dials the address of a host, and is to take it over when that is gone."""
    endpoint = f"tcp://127.0.0.1:{free_ports}"
    host = make_node(bind=[endpoint])
    standby = make_node(node_id="standby", cluster=[endpoint])
    standby.cluster_sync()
    host.close()
    wait_until(lambda: standby.peers()[0].state != "up")
    wait_until(lambda: bind_again(standby, endpoint))
    wait_until(lambda: standby.peers()[0].state == "refused")
    peer = make_node(node_id="peer")
    peer.cluster_add(endpoint, timeout=5)
    wait_until(lambda: standby.peers()[0].dials >= 3)
    assert is_up(peer, "standby")


def test_ipc_path_of_a_file_is_left_alone(make_node: MakeNode, tmp_path: Path) -> None:
    """zmq would remove it in silence."""
    path = tmp_path / "precious.db"
    path.write_text("contents")
    with pytest.raises(InvalidArgument, match="no socket"):
        make_node(bind=[f"ipc://{path}"])
    assert path.read_text() == "contents"
    with pytest.raises(InvalidArgument, match="no directory"):
        make_node(bind=[f"ipc://{tmp_path}/nowhere/node"])


def test_ipc_path_is_gone_after_close(make_node: MakeNode, tmp_path: Path) -> None:
    """And what a killed program has left there is no obstacle."""
    path = tmp_path / "node"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    assert path.exists()
    make_node(bind=[f"ipc://{path}"]).close()
    assert not path.exists()


@contextmanager
def full_listener(path: str) -> Iterator[socket.socket]:
    """A listener at a path that takes no more connections, as nobody accepts any."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(path)
        listener.listen(0)
        while True:
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            try:
                client.connect(path)
            except BlockingIOError:
                break
        yield listener


def test_ipc_path_of_a_listener_that_is_full_is_in_use(make_node: MakeNode, tmp_path: Path) -> None:
    """To ask who listens there must not wait until the other program accepts."""
    path = f"{tmp_path}/busy"
    endpoint = f"ipc://{path}"
    with full_listener(path) as listener:
        node = make_node()
        began = time.monotonic()
        with pytest.raises(AddressInUse, match="another path"):
            node.bind(endpoint)
        with pytest.raises(AddressInUse):
            make_node(bind=[endpoint])
        assert time.monotonic() - began < 1
        # It is still its own.
        listener.accept()[0].close()
        assert stat.S_ISSOCK(os.stat(path).st_mode)
    os.unlink(path)
    assert node.bind(endpoint) == endpoint


def test_ipc_path_of_a_socket_of_another_type_is_in_use(
    make_node: MakeNode, tmp_path: Path
) -> None:
    """zmq would take the path away from it, as from a node."""
    path = f"{tmp_path}/datagrams"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(path)
        with pytest.raises(AddressInUse):
            make_node(bind=[f"ipc://{path}"])
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
            client.sendto(b"x", path)
        assert other.recv(10) == b"x"


def test_ipc_node_whose_path_a_full_listener_has_taken_closes(
    make_node: MakeNode, tmp_path: Path
) -> None:
    """``close`` asks as well: it leaves the other's file, and does not wait."""
    path = f"{tmp_path}/taken"
    node = make_node(bind=[f"ipc://{path}"])
    os.rename(path, f"{path}-before")
    with full_listener(path):
        began = time.monotonic()
        node.close()
        assert time.monotonic() - began < 2
        assert os.path.exists(path)


def test_ipc_peer_that_is_full_is_dialled_again(make_node: MakeNode, tmp_path: Path) -> None:
    """A dial never waits in the call, and goes on until there is a node."""
    path = f"{tmp_path}/peer"
    node = make_node(reconnect_max=0.2)
    with full_listener(path):
        node.cluster_add(f"ipc://{path}")
        wait_until(lambda: node.peers()[0].last_error)
    os.unlink(path)
    make_node(bind=[f"ipc://{path}"], node_id="host")
    wait_until(lambda: is_up(node, "host"), 10)
