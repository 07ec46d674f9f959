"""What these tests leave on the engine when they are killed, and who removes it."""

import docker
from docker.models.networks import Network
from docker.types import IPAMConfig, IPAMPool

from spot.testbed.subnets import free_subnets, routed_networks
from tests.containers.engine import project_name, sweep_dead_runs

PROJECT_LABEL = "com.docker.compose.project"
DEAD = "spot-test-1-never-killed"
"""As of a run by process 1, whose start it doesn't name: so it is another process by now."""


def test_sweep_removes_what_dead_runs_left_and_nothing_else(client: docker.DockerClient) -> None:
    """A killed runner must not fill the engine, and nobody else's things are ours to remove."""

    def make(project: str) -> Network:
        subnet = str(free_subnets(1, routed_networks()).outside)
        return client.networks.create(
            f"{project}-net",
            labels={PROJECT_LABEL: project},
            ipam=IPAMConfig(pool_configs=[IPAMPool(subnet=subnet)]),
        )

    made = {name: make(name) for name in (DEAD, project_name("sweep"), "someone-else")}
    try:
        sweep_dead_runs(client)
        left = {network.id for network in client.networks.list()}
        assert [name for name, network in made.items() if network.id not in left] == [DEAD]
    finally:
        for network in client.networks.list():
            if network.id in {found.id for found in made.values()}:
                network.remove()
