"""``Cluster`` on containers: the same API as on processes, tested the same way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container

from spot import Spot, __version__
from spot.testbed import (
    Cluster,
    ContainersNotStarted,
    ImageMissing,
    NodeExited,
    PortInUse,
    ProxyExited,
    Run,
)
from spot.testbed.backends.docker import sweep_engine
from spot.testbed.cleanup import sweep, sweep_everything
from spot.testbed.compose import PROXY_SERVICE
from spot.testbed.proxy import ProxyUnreachable
from tests.testbed.proxied_checks import (
    SETTINGS,
    all_answer,
    check_blackholes,
    check_edge_stops_its_pair_alone,
    links_up,
    metrics,
)

ROOT = Path(__file__).parents[2]
UP_MAX_S = 30.0
DOWN_MAX_S = 10.0


@pytest.fixture(autouse=True)
def state(client: docker.DockerClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The images are built, and runs kept away from those of whoever runs the tests."""
    directory = tmp_path / "state"
    monkeypatch.setenv("SPOT_STATE_DIR", str(directory))
    return directory


def left_of(client: docker.DockerClient, run_id: str) -> list[str]:
    """Names of what the engine still has of a run."""
    filters: dict[str, str | list[str] | bool] = {"label": f"spot.run={run_id}"}
    return [
        *(str(one.name) for one in client.containers.list(all=True, filters=filters)),
        *(str(one.name) for one in client.networks.list(filters=filters)),
        *(str(one.name) for one in client.volumes.list(filters=filters)),
    ]


def proxy_container(client: docker.DockerClient, run: Run) -> Container:
    return client.containers.get(f"spot-{run.run_id}-{PROXY_SERVICE}-1")


@pytest.mark.parametrize("proxied", [False, True], ids=["direct", "proxied"])
@pytest.mark.parametrize("topology", ["two-node", "mesh", "hub-spoke"])
def test_cluster_comes_up_in_time_and_leaves_nothing(
    client: docker.DockerClient, topology: str, proxied: bool
) -> None:
    """The promise of `make mesh-up`; what stays behind makes every later run slower."""
    begun = time.monotonic()
    with Cluster(topology, backend="docker", proxied=proxied) as cluster:
        assert time.monotonic() - begun < UP_MAX_S
        run_id = cluster.run.run_id
        status = cluster.wait_ready()
        assert status.proxy == ("running" if proxied else None)
        assert len(left_of(client, run_id)) >= len(cluster.topology.nodes) + 1
        begun = time.monotonic()
    assert time.monotonic() - begun < DOWN_MAX_S
    assert left_of(client, run_id) == []


def test_run_is_ended_on_the_engine_on_which_it_was_started(
    client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After 'docker context use' its containers would stay, and nothing would know of them."""
    cluster = Cluster("two-node", backend="docker").start()
    cluster.detach()
    run = Run.load(cluster.run.directory)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    Cluster.attach(run).stop()
    assert left_of(client, run.run_id) == []


@pytest.mark.parametrize("proxied", [False, True], ids=["direct", "proxied"])
def test_addresses_let_a_program_of_this_machine_in(proxied: bool) -> None:
    """`spot publish` and `spot subscribe` are such programs."""
    with Cluster("two-node", backend="docker", proxied=proxied, rate=50) as cluster:
        assert set(cluster.addresses) == {"a", "b"}
        with Spot(node_id="visitor", cluster=[cluster.addresses["b"]]) as visitor:
            visitor.cluster_sync(timeout=20)
            visitor.subscribe("b:data")
            assert visitor.recv(timeout=20) is not None


def test_disabled_edge_stops_its_pair_and_no_other() -> None:
    """Faults are aimed at one pair; what they do to the others would be blamed on SPOT."""
    with Cluster("mesh", backend="docker", rate=50, proxied=True) as cluster:
        check_edge_stops_its_pair_alone(cluster)


def test_blackhole_is_noticed_in_either_direction_and_heals() -> None:
    """The fault that TCP itself never tells of."""
    with Cluster("two-node", backend="docker", rate=20, proxied=True, settings=SETTINGS) as cluster:
        check_blackholes(cluster)


def test_node_is_killed_paused_and_restarted_where_it_was() -> None:
    """Crash, silence and restart of the same node, at the same address."""
    with Cluster("two-node", backend="docker", rate=50, settings=SETTINGS) as cluster:
        address = cluster.addresses["b"]
        cluster.pause("b")
        cluster.pause("b")
        status = cluster.wait_until(
            lambda status: metrics(status, "a")["links_up"] == 0, timeout=20
        )
        assert status.nodes["b"].state == "paused"
        cluster.resume("b")
        cluster.resume("b")
        cluster.wait_ready(timeout=30)
        cluster.pause("b")
        cluster.kill("b")
        cluster.kill("b")
        status = cluster.wait_until(
            lambda status: metrics(status, "a")["links_up"] == 0, timeout=20
        )
        assert status.nodes["b"].state == "exited"
        assert "b: not running" in status.lacking()
        for _ in range(2):  # one that has ended, one that runs
            cluster.restart("b")
            cluster.wait_ready(timeout=30)
            assert cluster.addresses["b"] == address
        with Spot(node_id="visitor", cluster=[address]) as visitor:
            assert visitor.cluster_sync(timeout=20)


def test_journals_and_logs_are_files_of_the_one_who_asked(tmp_path: Path) -> None:
    """They are what verdicts rest on, and outlive the containers."""
    files = tmp_path / "out"
    with Cluster("two-node", backend="docker", rate=50, proxied=True, files=files) as cluster:
        cluster.wait_until(lambda status: metrics(status, "a")["recv_msgs"] > 20, timeout=30)
        assert "node a started" in cluster.log("a")
        whole = cluster.log("b")
        assert cluster.log("b", after=len(whole) - 1).startswith(whole[-1])
        cluster.wait_until(
            lambda _: '"kind":"recv"' in cluster.journal("a").read_text(), timeout=20
        )
    for name in ("a", "b"):
        records = (files / f"{name}.jsonl").read_text().splitlines()
        assert json.loads(records[-1])["kind"] == "closed"
        assert (files / f"{name}.jsonl").stat().st_uid == os.getuid()
        assert "leaving: SIGTERM" in (files / f"{name}.log").read_text()


def test_another_process_goes_on_with_a_detached_cluster() -> None:
    """`spot up` is one process, `spot down` another."""
    cluster = Cluster("two-node", backend="docker", rate=0, proxied=True).start()
    cluster.detach()
    other = Cluster.attach(Run.load(cluster.run.directory))
    try:
        other.edge("a", "b").disable()
        other.wait_until(lambda status: links_up(status) == set(), timeout=20)
        other.edge("a", "b").enable()
        other.restart("a")
        other.wait_ready(timeout=30)
    finally:
        other.stop()


def test_proxy_that_dies_is_named(client: docker.DockerClient) -> None:
    """Every link goes down at once then; without the reason one would look for it in SPOT."""
    with Cluster("two-node", backend="docker", rate=0, proxied=True) as cluster:
        proxy_container(client, cluster.run).kill()
        status = cluster.wait_until(lambda status: links_up(status) == set(), timeout=20)
        assert status.proxy == "exited"
        with pytest.raises(ProxyUnreachable, match="is it running"):
            cluster.edge("a", "b").disable()
        with pytest.raises(ProxyExited, match="end of its log"):
            cluster.wait_ready(timeout=20)


def test_container_that_ends_at_once_is_named_with_its_log(
    client: docker.DockerClient, state: Path
) -> None:
    """Its log is gone with the container, and the next thing that a person would ask for."""
    with pytest.raises(NodeExited, match="SPOT_HEARTBEAT") as error:
        Cluster("two-node", backend="docker", settings={"SPOT_HEARTBEAT": "often"}).start()
    assert error.value.node in ("a", "b")
    assert Run.all(state) == []


def test_port_in_use_is_named(client: docker.DockerClient, state: Path) -> None:
    """The engine's own words for it are three lines of driver internals."""
    with Cluster("two-node", backend="docker", rate=0) as cluster:
        base = min(int(address.rpartition(":")[2]) for address in cluster.addresses.values())
        with pytest.raises(PortInUse, match=f"port {base} for node a is in use"):
            Cluster("two-node", backend="docker", base_port=base).start()
        # Also where only the engine can tell.
        cluster.detach()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("spot.testbed.ports.PortReservation._hold", lambda *_, **__: True)
            with pytest.raises(PortInUse, match="choose another base port"):
                Cluster("two-node", backend="docker", base_port=base).start()
        cluster.wait_ready()
        assert [run.run_id for run in Run.all(state)] == [cluster.run.run_id]


def test_missing_image_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, state: Path) -> None:
    """The engine would try to pull it from wherever, and say 'access denied'."""
    monkeypatch.setenv("SPOT_NODE_IMAGE", "spot-no-such-node")
    with pytest.raises(ImageMissing, match=r"spot-no-such-node:0\.1\.0: 'make images' builds"):
        Cluster("two-node", backend="docker").start()
    assert Run.all(state) == []


def test_engine_that_cannot_start_a_container_is_quoted(
    monkeypatch: pytest.MonkeyPatch, state: Path, client: docker.DockerClient
) -> None:
    """What nobody foresaw must still reach the person, and nothing half-made may stay."""
    monkeypatch.setenv("SPOT_MEMORY", "1k")  # less than any container may have
    with pytest.raises(ContainersNotStarted, match=r"(?s)It said:.*memory"):
        Cluster("two-node", backend="docker").start()
    assert Run.all(state) == []


def test_settings_of_the_environment_reach_the_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """As they do on processes; but not those that say who a node is."""
    monkeypatch.setenv("SPOT_PEER_TIMEOUT", "0.9")
    monkeypatch.setenv("SPOT_NODE_ID", "wrong")
    monkeypatch.setenv("SPOT_CLUSTER_NAME", "$HOME${x}")
    with Cluster("two-node", backend="docker", rate=0) as cluster:
        # Nodes write their journals ten times a second.
        cluster.wait_until(lambda _: "\n" in cluster.journal("a").read_text(), timeout=20)
        start = json.loads(cluster.journal("a").read_text().splitlines()[0])
        assert start["node"] == "a"
        assert start["config"]["peer_timeout"] == 0.9
        assert start["config"]["cluster_name"] == "$HOME${x}"


@pytest.mark.parametrize(("page", "place"), [("README.md", 2), ("docs/testbed.md", 0)])
def test_documented_program_runs(page: str, place: int) -> None:
    """The first thing that anyone copies into a suite of their own."""
    blocks = (ROOT / page).read_text().split("```python\n")[1:]
    program = blocks[place].partition("```")[0]
    assert 'backend="docker"' in program
    exec(compile(program, page, "exec"), {})


START_AND_SLEEP = """
import time
from spot.testbed import Cluster
cluster = Cluster("two-node", backend="docker", rate=0, proxied=True)
try:
    cluster.start(say=lambda text: print(text, flush=True))
    print("run", cluster.run.run_id, flush=True)
    time.sleep(600)
finally:
    cluster.stop()
"""


@pytest.mark.usefixtures("orphans")
@pytest.mark.parametrize("moment", ["1 of 3 containers started", "run"])
def test_run_of_a_killed_runner_is_swept_and_nothing_else(
    client: docker.DockerClient, state: Path, moment: str
) -> None:
    """kill -9, also while compose is at work, which would go on making containers."""
    foreign = client.containers.run(
        "spot-toxiproxy:2.12.0",
        detach=True,
        name=f"foreign-{os.getpid()}-{time.monotonic_ns()}",
        # As like one of ours as another user's can be.
        labels={"spot.run": "mesh-1", "spot.owner": "12345 elsewhere", "spot.runner": "1 x"},
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        with subprocess.Popen(
            [sys.executable, "-c", START_AND_SLEEP],
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        ) as runner:
            try:
                assert runner.stdout is not None
                while not (line := runner.stdout.readline()).startswith(moment):
                    assert line
                (run,) = Run.all(state)
                assert sweep(state) == [], "a run that is alive must not be touched"
                assert sweep_engine(client) == []
                assert left_of(client, run.run_id)
            finally:
                runner.kill()
        assert run.run_id in sweep_everything(state)
        assert left_of(client, run.run_id) == []
        assert Run.all(state) == []
        foreign.reload()
        assert foreign.status == "running"
    finally:
        foreign.remove(force=True)


def test_down_waits_for_a_container_that_is_still_leaving_the_network(
    client: docker.DockerClient,
) -> None:
    """The engine counts an endpoint for a moment longer than there is a container."""
    with Cluster("two-node", backend="docker", rate=0) as cluster:
        run_id = cluster.run.run_id
        (network, *_others) = client.networks.list(filters={"label": f"spot.run={run_id}"})
        client.containers.run(
            f"spot-node:{__version__}",
            ["-c", "import time; time.sleep(2)"],
            entrypoint="python3",
            network=str(network.name),
            detach=True,
            auto_remove=True,
        )
    assert left_of(client, run_id) == []


@pytest.mark.parametrize("moment", ["starting 3 containers", "1 of 3 containers started", "run"])
def test_interrupted_start_leaves_nothing(
    client: docker.DockerClient, state: Path, moment: str
) -> None:
    """Ctrl-C at any moment, also while the engine makes what compose has asked of it."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        [sys.executable, "-c", START_AND_SLEEP],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        text=True,
    ) as runner:
        assert runner.stdout is not None
        while not (line := runner.stdout.readline()).startswith(moment):
            assert line
        (run,) = Run.all(state)
        runner.send_signal(signal.SIGINT)
        runner.wait(timeout=60)
    assert left_of(client, run.run_id) == []
    assert Run.all(state) == []


@pytest.mark.usefixtures("orphans")
def test_run_whose_record_is_elsewhere_or_gone_is_swept(
    client: docker.DockerClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Test suites keep their state in a folder of their own, which nobody looks into later."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    for name in ("elsewhere", "gone"):
        with subprocess.Popen(
            [sys.executable, "-c", START_AND_SLEEP],
            stdout=subprocess.PIPE,
            env={**environment, "SPOT_STATE_DIR": str(tmp_path / name)},
            text=True,
        ) as runner:
            assert runner.stdout is not None
            while not (line := runner.stdout.readline()).startswith("run"):
                assert line
            runner.kill()
        run_id = line.split()[1]
        if name == "gone":
            (tmp_path / name).rename(tmp_path / "renamed")
        assert run_id in sweep_engine(client)
        assert left_of(client, run_id) == []


def test_two_clusters_stand_side_by_side() -> None:
    """Two users, or two test workers, share one engine."""
    with (
        Cluster("two-node", backend="docker", rate=0, proxied=True) as one,
        Cluster("two-node", backend="docker", rate=0, proxied=True) as other,
    ):
        one.edge("a", "b").disable()
        one.wait_until(lambda status: links_up(status) == set(), timeout=20)
        assert links_up(other.wait_until(all_answer, timeout=20)) == {("a", "b")}
