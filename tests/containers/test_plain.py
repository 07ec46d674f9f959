"""The plain compose files: deployments to take away."""

import time
from functools import partial

import pytest

from spot import Spot
from tests.containers.deployment import Deployment, StartDeployment, wait_until

SHIPPED = ("two-node", "mesh", "hub-spoke")
UP_MAX_S = 30.0
DOWN_MAX_S = 9.0
"""Docker kills after 10 s what does not end by itself."""


@pytest.mark.parametrize("topology", SHIPPED)
def test_plain_file_comes_up_linked_and_goes_down_at_once(
    start: StartDeployment, topology: str
) -> None:
    """`up -d --wait` and `down` are all that most users ever type."""
    began = time.monotonic()
    deployment = start(topology)
    assert time.monotonic() - began < UP_MAX_S
    for node in deployment.topology.nodes:
        container = deployment.container(node.name)
        assert container.health == "healthy"
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


@pytest.mark.parametrize("topology", SHIPPED)
def test_published_port_lets_a_program_outside_in(start: StartDeployment, topology: str) -> None:
    """What the ports are for: an application that is no container joins the cluster."""
    deployment = start(topology)
    node = deployment.topology.nodes[0]
    with Spot(node_id="outside", cluster=[deployment.endpoint(node.name)]) as outside:
        answers = outside.cluster_sync(timeout=20)
        assert set(node.topics) <= set.union(*map(set, answers.values()))
        outside.subscribe(node.topics[0])
        message = outside.recv(timeout=20)
        assert message is not None
        assert message.node == node.name


def test_containers_are_bounded_and_locked_down(start: StartDeployment) -> None:
    """One node of a deployment must not fill its host's memory or disk, nor write to its image."""
    deployment = start("two-node")
    container = deployment.container("a").attrs
    host, config = container["HostConfig"], container["Config"]
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert host["Memory"] == 256 * 2**20
    assert host["LogConfig"] == {
        "Type": "json-file",
        "Config": {"max-size": "10m", "max-file": "3"},
    }
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert config["User"] == "10001:10001"
    assert config["Labels"]["spot.node"] == "a"
    assert all(port["HostIp"] == "127.0.0.1" for port in host["PortBindings"]["5555/tcp"])


def test_ended_node_is_restarted_and_linked_again(start: StartDeployment) -> None:
    """The restart policy is worth something only if the node finds its way back by itself."""
    deployment = start("two-node")
    before = deployment.status("b")["metrics"]["links_made"]
    # From inside: `docker kill` would count as a wish of the user's.
    deployment.run_in("a", "python3", "-c", "import os; os.kill(1, 15)")
    wait_until(
        lambda: deployment.container("a").attrs["RestartCount"] >= 1, 30, "the engine restarts a"
    )
    wait_until(
        lambda: (
            deployment.peers_up("b") == {"a"}
            and deployment.status("b")["metrics"]["links_made"] > before
        ),
        30,
        "b is linked to the new a",
    )


def is_linked(deployment: Deployment) -> bool:
    return deployment.peers_up("a") == {"b"}


def test_two_deployments_of_one_file_stand_side_by_side(start: StartDeployment) -> None:
    """Two users of one machine, or two test workers, take the same file."""
    first, second = start("two-node"), start("two-node")
    assert first.project != second.project
    for deployment in (first, second):
        wait_until(partial(is_linked, deployment), 30, "a is linked to b")
    first.compose.stop()
    assert second.peers_up("a") == {"b"}
