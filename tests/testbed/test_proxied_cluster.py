import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from spot.testbed import Cluster, NodeSpec, NotProxied, Run, Topology, UnknownNode
from spot.testbed.cleanup import sweep
from spot.testbed.process_id import marked_processes
from spot.testbed.proxy import ProxyError, ProxyUnreachable, Toxiproxy, open_server
from tests.testbed.proxied_checks import (
    SETTINGS,
    all_answer,
    check_blackholes,
    check_edge_stops_its_pair_alone,
    links_up,
    metrics,
)
from tests.testbed.tcp_table import connections_of


@pytest.fixture(autouse=True)
def embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy that is always there; Toxiproxy is held to the same in tests/testbed/proxy."""
    monkeypatch.delenv("TOXIPROXY_URL", raising=False)
    monkeypatch.setattr("spot.testbed.proxy.server.find_toxiproxy", lambda: None)


def proxy_pid(cluster: Cluster) -> int:
    assert cluster.run.proxy is not None
    pid: int = cluster.run.proxy["process"]["pid"]
    return pid


@pytest.mark.parametrize(("topology", "pairs"), [("mesh", 3), ("hub-spoke", 3), ("two-node", 1)])
def test_every_connection_of_a_node_ends_at_the_proxy(topology: str, pairs: int) -> None:
    """A fault on the proxy means nothing where there is a way around it."""
    with Cluster(topology, rate=0, proxied=True) as cluster:
        assert len(cluster.edges()) == pairs

        def all_end_at_the_proxy() -> bool:
            of_proxy = {(there, here) for here, there in connections_of(proxy_pid(cluster))}
            of_nodes = [
                connections_of(cluster.run.nodes[name]["pid"]) for name in cluster.topology.names
            ]
            return all(found <= of_proxy for found in of_nodes) and (
                sum(map(len, of_nodes)) == 2 * pairs
            )

        # A reading of the kernel's table may lack rows: a way around would be there in each.
        cluster.wait_until(lambda _: all_end_at_the_proxy(), timeout=20)


def test_disabled_edge_stops_its_pair_and_no_other() -> None:
    """Faults are aimed at one pair; what they do to the others would be blamed on SPOT."""
    with Cluster("mesh", rate=50, proxied=True) as cluster:
        check_edge_stops_its_pair_alone(cluster)


def test_blackhole_is_noticed_in_either_direction_and_heals() -> None:
    """The fault that TCP itself never tells of."""
    with Cluster("two-node", rate=20, proxied=True, settings=SETTINGS) as cluster:
        check_blackholes(cluster)


def test_edge_can_be_driven_by_another_process_after_a_detach() -> None:
    """A fault made by hand is one command, the cluster another."""
    cluster = Cluster("two-node", rate=0, proxied=True).start()
    cluster.detach()
    try:
        other = Cluster.attach(Run.load(cluster.run.directory))
        other.edge("a", "b").disable()
        other.wait_until(lambda status: links_up(status) == set(), timeout=20)
        other.edge("a", "b").enable()
        other.wait_ready(timeout=20)
    finally:
        cluster.stop()


def test_restarted_node_still_goes_through_the_proxy() -> None:
    """A node that came back by another way would be out of reach for every later fault."""
    with Cluster("two-node", rate=0, proxied=True) as cluster:
        for name in ("a", "b"):
            cluster.kill(name)
            cluster.restart(name)
            cluster.wait_ready(timeout=25)
        cluster.edge("a", "b").disable()
        cluster.wait_until(lambda status: links_up(status) == set(), timeout=20)


def test_node_that_only_dials_is_behind_its_edge() -> None:
    """Whoever cannot be dialled still needs its link to be breakable."""
    topology = Topology(
        "behind-nat", (NodeSpec("a", topics=("a:data",)), NodeSpec("b", peers=("a",), binds=False))
    )
    with Cluster(topology, rate=0, proxied=True) as cluster:
        cluster.edge("a", "b").disable()
        cluster.wait_until(lambda status: links_up(status) == set(), timeout=20)


def test_proxy_that_dies_is_named_and_swept(state: Path) -> None:
    """Every link goes down at once then; without the reason one would look for it in SPOT."""
    with Cluster("two-node", rate=0, proxied=True) as cluster:
        os.kill(proxy_pid(cluster), signal.SIGKILL)
        status = cluster.wait_until(lambda status: links_up(status) == set(), timeout=20)
        assert status.proxy == "exited"
        assert "proxy: not running, and every link goes through it" in status.lacking()
        with pytest.raises(ProxyUnreachable, match="is it running"):
            cluster.edge("a", "b")
        run_id = cluster.run.run_id
    assert marked_processes("SPOT_TESTBED_RUN", run_id) == []
    assert Run.all(state) == []


def test_misuse_of_edges_is_told() -> None:
    """Each of these would otherwise be a fault that was believed to act and did not."""
    with Cluster("hub-spoke", rate=0) as cluster:
        with pytest.raises(NotProxied, match="spot up --proxied"):
            cluster.edge("hub", "spoke-1")
        with pytest.raises(UnknownNode, match="no link between spoke-1 and spoke-2"):
            cluster.edge("spoke-1", "spoke-2")
    with Cluster("two-node", rate=0, proxied=True) as cluster:
        edge = cluster.edge("a", "b")
        with pytest.raises(ValueError, match="no end of the link"):
            edge.add_toxic("latency", towards="c", latency=1)
        edge.proxy.destroy()
        with pytest.raises(ProxyError, match="has lost the edge"):
            cluster.edge("a", "b")


def test_toxiproxy_on_path_goes_before_the_embedded_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has installed the real one means to use it."""
    program = tmp_path / "toxiproxy-server"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m spot.testbed.proxy.embedded "$@"\n')
    program.chmod(0o755)
    monkeypatch.undo()
    monkeypatch.setenv("SPOT_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("TOXIPROXY_URL", raising=False)
    monkeypatch.delenv("TOXIPROXY_SERVER", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with Cluster("two-node", rate=0, proxied=True) as cluster:
        assert cluster.run.proxy is not None
        assert cluster.run.proxy["kind"] == "toxiproxy"
        cluster.edge("a", "b").disable()
        cluster.wait_until(lambda status: links_up(status) == set(), timeout=20)


def test_running_toxiproxy_is_used_and_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be shared: what others have on it stays, and nothing of ours does."""
    server = open_server(tmp_path / "shared.log", kind="embedded")
    try:
        client = Toxiproxy(server.url)
        client.create("127.0.0.1:9", "someone-else")
        monkeypatch.setenv("TOXIPROXY_URL", server.url)
        with Cluster("two-node", rate=0, proxied=True) as cluster:
            assert len(client.proxies()) == 2
            cluster.edge("a", "b").disable()
            cluster.wait_until(lambda status: links_up(status) == set(), timeout=20)
        assert list(client.proxies()) == ["someone-else"]
        assert server.is_alive
    finally:
        server.stop()


def test_proxied_run_of_a_killed_runner_is_swept(state: Path) -> None:
    """The proxy server is a process of its own, which would else stay for ever."""
    script = (
        "import time; from spot.testbed import Cluster\n"
        "cluster = Cluster('two-node', rate=0, proxied=True).start()\n"
        "print(cluster.run.run_id, flush=True); time.sleep(600)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with (
        subprocess.Popen(["sleep", "600"]) as foreign,
        subprocess.Popen(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, env=environment
        ) as runner,
    ):
        assert runner.stdout is not None
        run_id = runner.stdout.readline().decode().strip()
        left = marked_processes("SPOT_TESTBED_RUN", run_id)
        assert len(left) == 3
        runner.kill()
        runner.wait()
        assert [run.run_id for run in sweep(state)] == [run_id]
        assert not any(process.is_alive for process in left)
        assert foreign.poll() is None
        foreign.kill()


def test_two_proxied_clusters_stand_side_by_side() -> None:
    """Two test workers on one machine must not break each other's links."""
    with (
        Cluster("two-node", rate=0, proxied=True) as one,
        Cluster("two-node", rate=0, proxied=True) as other,
    ):
        before = other.wait_until(all_answer, timeout=20)
        edge = one.edge("a", "b")
        edge.disable()
        one.wait_until(lambda status: links_up(status) == set(), timeout=20)
        # Time enough for the other to be harmed, too.
        dials = metrics(one.wait_until(all_answer, timeout=20), edge.dialler)["dials"]
        one.wait_until(lambda status: metrics(status, edge.dialler)["dials"] > dials, timeout=30)
        after = other.wait_ready(timeout=20)
        for node in ("a", "b"):
            assert metrics(after, node)["links_lost"] == metrics(before, node)["links_lost"]
