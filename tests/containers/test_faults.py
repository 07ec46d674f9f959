"""Every fault on containers behind Toxiproxy: the same values, the same proofs."""

from __future__ import annotations

from collections.abc import Iterator

import docker
import pytest

from spot.testbed import Cluster, FaultNotApplied, FaultNotHealed, inject, parse_fault
from tests.testbed.faults.each_fault import FAULTS_OF_A_MESH, check_fault


@pytest.fixture(scope="module")
def mesh(
    client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """One cluster for all faults that leave it whole."""
    settings = {"SPOT_STABLE_AFTER": "0.3", "SPOT_RECONNECT_MAX": "1"}
    with Cluster(
        "mesh",
        nodes=4,
        backend="docker",
        rate=20,
        proxied=True,
        settings=settings,
        state=tmp_path_factory.mktemp("state"),
    ) as cluster:
        yield cluster


@pytest.mark.parametrize("text", FAULTS_OF_A_MESH)
def test_fault_is_applied_proved_and_healed(mesh: Cluster, text: str) -> None:
    """A fault that means one thing on processes and another on containers would mislead."""
    check_fault(mesh, text)


def test_readdressed_container_keeps_its_name(mesh: Cluster, client: docker.DockerClient) -> None:
    """The engine forgets a container's aliases when it is moved; nobody would find it again."""
    before = mesh.addresses["b"]
    with inject(mesh, parse_fault("readdress b")) as active:
        active.prove()
    assert active.window.is_proved
    assert mesh.addresses["b"] != before
    mesh.wait_ready(30)
    name = f"spot-{mesh.run.run_id}-b-1"
    (network,) = client.containers.get(name).attrs["NetworkSettings"]["Networks"].values()
    assert "b" in network["Aliases"]
    assert mesh.addresses["b"] == f"tcp://{network['IPAddress']}:5555"


def test_starved_container_gets_its_processor_back(
    mesh: Cluster, client: docker.DockerClient
) -> None:
    """A quota that stays would slow every later test down."""
    container = client.containers.get(f"spot-{mesh.run.run_id}-c-1")
    with inject(mesh, parse_fault("starve c cpu=0.1")):
        container.reload()
        assert container.attrs["HostConfig"]["CpuQuota"] == 10_000
        for coming in ("starve c", "pause c"):  # healing one would end the other
            with pytest.raises(FaultNotApplied, match="c running, and it is starved"):
                inject(mesh, parse_fault(coming))
        container.reload()
        assert container.attrs["HostConfig"]["CpuQuota"] == 10_000
    container.reload()
    assert container.attrs["HostConfig"]["CpuQuota"] == -1


def test_late_container_is_made_and_not_started(
    client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Start order, on containers: what compose starts by itself would not be late."""
    with Cluster(
        "two-node",
        backend="docker",
        rate=0,
        proxied=True,
        late=["b"],
        state=tmp_path_factory.mktemp("state"),
    ) as cluster:
        container = client.containers.get(f"spot-{cluster.run.run_id}-b-1")
        assert container.status == "created"
        with inject(cluster, parse_fault("late b")) as active:
            active.prove()
        assert active.window.is_proved
        cluster.wait_ready(30)


def test_toxiproxy_that_dies_in_mid_fault_is_an_error_and_no_proof(
    client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """All links are down then, which looks like a cut that acts."""
    state = tmp_path_factory.mktemp("state")
    with Cluster("two-node", backend="docker", rate=0, proxied=True, state=state) as cluster:
        active = inject(cluster, parse_fault("cut a b"))
        client.containers.get(f"spot-{cluster.run.run_id}-toxiproxy-1").kill()
        cluster.wait_until(lambda status: status.proxy == "exited", timeout=20)
        active.prove()
        with pytest.raises(FaultNotHealed):
            active.heal()
        assert active.window.error is not None
        assert not active.window.is_proved
