"""The overlays: Toxiproxy between every pair, and no way around it."""

import functools
import json
import time
from collections.abc import Iterator

import docker
import pytest

from spot.testbed.compose import NODE_PORT, PROXY_SERVICE, node_network
from spot.testbed.edges import edges
from tests.containers.deployment import Deployment, StartDeployment, wait_until

SHIPPED = ("two-node", "mesh", "hub-spoke")
CONNECT_TIMEOUT_S = 1.0
UP_MAX_S = 30.0
DOWN_MAX_S = 9.0
"""Docker kills after 10 s what does not end by itself."""

PROBE = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor

def accepts(target):
    try:
        socket.create_connection(target, timeout=float(sys.argv[2])).close()
    except OSError:
        return False
    return True

targets = json.loads(sys.argv[1])
with ThreadPoolExecutor(len(targets)) as pool:
    accepted = list(pool.map(accepts, targets))
print(json.dumps([target for target, yes in zip(targets, accepted) if yes]))
"""


def reachable_from(
    deployment: Deployment, node: str, targets: list[tuple[str, int]]
) -> list[tuple[str, int]]:
    """Which of these (host, port) accept a connection from inside the node's container."""
    text = deployment.run_in(
        node, "python3", "-c", PROBE, json.dumps(targets), str(CONNECT_TIMEOUT_S)
    )
    return [(host, port) for host, port in json.loads(text)]


@pytest.fixture(scope="module", params=SHIPPED)
def deployment(
    request: pytest.FixtureRequest,
    client: docker.DockerClient,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Deployment]:
    """One deployment of each topology for all tests that leave it as they found it."""
    files = tmp_path_factory.mktemp("proxied")
    with Deployment(client, request.param, files, proxied=True) as deployment:
        yield deployment


@pytest.mark.parametrize("topology", SHIPPED)
def test_overlay_comes_up_linked_and_goes_down_at_once(
    start: StartDeployment, topology: str
) -> None:
    """The same bounds as without proxies: the testbed starts it for every scenario."""
    began = time.monotonic()
    deployment = start(topology, proxied=True)
    assert time.monotonic() - began < UP_MAX_S
    wait_until(
        lambda: all(
            deployment.peers_up(node.name) == set(node.peers) for node in deployment.topology.nodes
        ),
        30,
        "every node is linked to its peers",
    )
    began = time.monotonic()
    deployment.compose.stop()
    assert time.monotonic() - began < DOWN_MAX_S
    assert deployment.left_behind() == []


def test_no_node_can_reach_another_but_through_the_proxy(deployment: Deployment) -> None:
    """A fault on the proxy means nothing where there is a way around it."""
    names = deployment.topology.names
    address = {name: deployment.address(name, node_network(name)) for name in names}
    for node in names:
        others = [name for name in names if name != node]
        around = [(host, NODE_PORT) for name in others for host in (name, address[name])]
        # The machine itself might pass the packets on, or publish a port of the others.
        gateway = deployment.container(node).attrs["NetworkSettings"]["Networks"]
        around += [
            (network["Gateway"], port)
            for network in gateway.values()
            for port in range(NODE_PORT, NODE_PORT + len(names))
            if network["Gateway"]
        ]
        around += [
            (deployment.proxy_address(other), edge.port)
            for other in others
            for edge in edges(deployment.topology)
        ]
        assert reachable_from(deployment, node, around) == []
        # The probe itself works: it does reach what is meant to be reached.
        through = [(PROXY_SERVICE, edge.port) for edge in edges(deployment.topology)]
        assert reachable_from(deployment, node, through) == through
        assert deployment.container(node).attrs["HostConfig"]["PortBindings"] in ({}, None)


def test_every_connection_of_a_node_ends_at_the_proxy(deployment: Deployment) -> None:
    """Counted in the kernel's table of each container, whatever the nodes say of themselves."""
    all_edges = edges(deployment.topology)

    def is_as_planned(node: str) -> bool:
        dialled = {edge.port for edge in all_edges if edge.dialler == node}
        accepted = sum(edge.listener == node for edge in all_edges)
        connections = deployment.connections(node)
        return (
            {address for address, _, _ in connections} == {deployment.proxy_address(node)}
            and {remote for _, remote, local in connections if local != NODE_PORT} == dialled
            and sum(local == NODE_PORT for _, _, local in connections) == accepted
            and len(connections) == len(dialled) + accepted
        )

    for node in deployment.topology.names:
        # The table changes while it is read, as others connect on the machine: a reading may lack
        # rows. A way around the proxy would be there in each of them.
        wait_until(
            functools.partial(is_as_planned, node),
            30,
            f"{node} has the planned connections, and to the proxy alone",
        )


def test_disabled_edge_stops_its_pair_and_no_other(deployment: Deployment) -> None:
    """Faults are aimed at one pair; what they do to the others would be blamed on SPOT."""
    edge = edges(deployment.topology)[0]
    pair = {edge.dialler, edge.listener}
    names = deployment.topology.names
    lost_before = {name: deployment.status(name)["metrics"]["links_lost"] for name in names}
    dials_before = deployment.status(edge.dialler)["metrics"]["dials"]

    deployment.set_proxy(edge.name, enabled=False)
    wait_until(
        lambda: (
            edge.listener not in deployment.peers_up(edge.dialler)
            and edge.dialler not in deployment.peers_up(edge.listener)
        ),
        30,
        f"{edge.name} is lost at both ends",
    )
    # Long enough for others to be harmed, too: several vain dials.
    wait_until(
        lambda: deployment.status(edge.dialler)["metrics"]["dials"] >= dials_before + 4,
        40,  # the waits may have grown while the nodes started
        f"{edge.dialler} dials in vain",
    )
    for node in deployment.topology.nodes:
        expected = set(node.peers) - (pair if node.name in pair else set())
        status = deployment.status(node.name)
        assert {peer["node"] for peer in status["peers"] if peer["state"] == "up"} == expected
        lost = status["metrics"]["links_lost"] - lost_before[node.name]
        assert lost == (1 if node.name in pair else 0)

    deployment.set_proxy(edge.name, enabled=True)
    wait_until(
        lambda: edge.listener in deployment.peers_up(edge.dialler),
        30,
        f"{edge.name} heals by itself",
    )
    received = deployment.status(edge.dialler)["metrics"]["recv_msgs"]
    wait_until(
        lambda: deployment.status(edge.dialler)["metrics"]["recv_msgs"] > received,
        30,
        "messages flow again",
    )
