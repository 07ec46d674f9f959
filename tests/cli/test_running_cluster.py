import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from spot.testbed import Cluster, Run, build_topology
from spot.testbed.process_id import marked_processes
from spot.testbed.run import state_directory
from tests.cli.test_command_line import ROOT, spot

# Each test is a person who types several commands.
pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def two_node() -> Iterator[Run]:
    """A cluster such as `spot up` leaves up."""
    cluster = Cluster("two-node", rate=20).start()
    cluster.detach()
    yield cluster.run
    for run in Run.all(state_directory()):
        Cluster.attach(run).stop()


def _started(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "spot", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_up_shows_a_working_cluster_and_how_to_go_on(free_ports: int) -> None:
    """The two-minute promise of the README: one command, and messages flow."""
    try:
        result = spot("up", "mesh", "--base-port", str(free_ports))
        assert "3 nodes up and synchronised in" in result.stderr
        for shown in ("a - b", "a - c", "b - c", f"127.0.0.1:{free_ports}", "ms", "spot down mesh"):
            assert shown in result.stdout
        assert max(map(len, result.stdout.splitlines()[:12])) <= 80
        assert "mesh: 3 nodes and 3 links up" in result.stdout
        run_id = Run.all(state_directory())[0].run_id
        assert len(marked_processes("SPOT_TESTBED_RUN", run_id)) == 4  # and the proxy server
    finally:
        result = spot("down")
    assert "mesh is down" in result.stderr
    assert marked_processes("SPOT_TESTBED_RUN", run_id) == []
    assert Run.all(state_directory()) == []


def test_up_twice_says_that_it_is_up(two_node: Run) -> None:
    """A second cluster of the same name would take every later command."""
    pids = [node["pid"] for node in two_node.nodes.values()]
    result = spot("up", "two-node")
    assert "two-node is up already, with 2 nodes" in result.stderr
    (run,) = Run.all(state_directory())
    assert [node["pid"] for node in run.nodes.values()] == pids


def test_up_of_something_else_says_what_differs(two_node: Run) -> None:
    """Whoever asks for containers and is told that it is up already measures processes."""
    asked = ("--backend", "process", "--direct", "--rate", "20", "--journal")
    assert "is up already" in spot("up", "two-node", "--nodes", "2", *asked).stderr
    port = int(two_node.nodes["a"]["address"].rpartition(":")[2])
    spot("up", "two-node", "--base-port", str(port))
    wrong = ("--backend", "docker", "--proxied", "--rate", "5", "--base-port", str(port + 1))
    said = spot("up", "two-node", *wrong, code=1).stderr
    assert said == (
        "spot: two-node is up already, and not as asked for: its backend is process, not docker; "
        "it has no proxies; each of its nodes publishes 20 messages a second, not 5; "
        f"the port of a is {port}, not {port + 1}. 'spot down two-node' first\n"
    )
    assert "process, not docker" in spot("up", "two-node", code=1, BACKEND="docker").stderr
    assert len(Run.all(state_directory())) == 1


def test_up_of_another_shape_says_how_many_nodes_there_are(two_node: Run) -> None:
    """`make mesh-up NODES=7` that leaves three is not what was asked for."""
    spot("up", "hub-spoke", "--nodes", "1", "--rate", "0")
    spot("up", "hub-spoke", "--nodes", "1", "--rate", "0")
    spot("up", "hub-spoke")
    said = spot("up", "hub-spoke", "--nodes", "2", "--relay", "--journal", code=1).stderr
    assert "it has 2 nodes, not 3; its hub is no relay; its nodes record no journal" in said
    assert "'spot down hub-spoke' first" in said


def test_up_starts_anew_where_every_process_is_gone(two_node: Run) -> None:
    """After a reboot the record is still there, and must not be taken for a cluster."""
    for process in marked_processes("SPOT_TESTBED_RUN", two_node.run_id):
        process.send(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while marked_processes("SPOT_TESTBED_RUN", two_node.run_id):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert "not running" in spot("status", code=1).stdout
    assert "2 nodes up" in spot("up", "two-node").stderr


def test_status_shows_rates_and_a_lost_node_by_exit_code(two_node: Run) -> None:
    """A script that waits for health needs the code, a person the word."""
    (document,) = json.loads(spot("status", "--json").stdout)
    assert document["ready"] is True
    assert [node["name"] for node in document["nodes"]] == ["a", "b"]
    # Of a second in which the machine may have been elsewhere; rates are tested in test_status.py.
    assert 4 < document["nodes"][0]["published_per_s"] < 60
    assert document["links"][0]["rtt_s"] < 5
    os.kill(two_node.nodes["b"]["pid"], signal.SIGSTOP)
    result = spot("status", code=1)
    assert "b: paused" in result.stdout


def test_status_watch_goes_on_until_ctrl_c(two_node: Run) -> None:
    """Leaving the live view is no failure."""
    with _started("status", "--watch", "--json") as watch:
        assert watch.stdout is not None
        documents = [json.loads(watch.stdout.readline()) for _ in range(2)]
        assert all(document[0]["ready"] for document in documents)
        watch.send_signal(signal.SIGINT)
        assert "Traceback" not in watch.communicate(timeout=30)[1]
        assert watch.returncode == 0


def test_message_of_a_person_arrives_and_is_seen_in_the_logs(two_node: Run) -> None:
    """The first experiment: say something, and see the other node hear it."""
    with _started("subscribe", "*:data", "--json") as listener:
        assert listener.stdout is not None
        assert "topic" in json.loads(listener.stdout.readline())
        assert "published 5 bytes to a:data" in spot("publish", "a:data", "hello").stdout
        line = next(line for line in listener.stdout if "hello" in line)
        assert json.loads(line).items() >= {"topic": "a:data", "data": "hello"}.items()
        listener.send_signal(signal.SIGINT)
        assert "Traceback" not in listener.communicate(timeout=30)[1]
        assert listener.returncode == 0
    deadline = time.monotonic() + 20
    while "a:data: b'hello'" not in spot("logs", "b").stdout:
        assert time.monotonic() < deadline
    assert "b | " in spot("logs").stdout
    assert "a | " not in spot("logs", "two-node", "b").stdout


def test_publish_to_an_unknown_topic_names_those_there_are(two_node: Run) -> None:
    """A misspelt topic must not vanish in silence."""
    result = spot("publish", "a:date", "x", code=1)
    assert "a:data, b:data" in result.stderr


def test_subscribe_leaves_after_count_messages(two_node: Run) -> None:
    """For scripts, and for a look in passing."""
    lines = spot("subscribe", "a:data", "--count", "3").stdout.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("a:data ") for line in lines)


def test_topics_tell_their_hosts(two_node: Run) -> None:
    """Through named peers as well as through the cluster that is up."""
    expected = [{"topic": "a:data", "host": "a"}, {"topic": "b:data", "host": "b"}]
    assert json.loads(spot("topics", "--json").stdout) == expected
    peer = two_node.nodes["a"]["address"]
    assert json.loads(spot("topics", "--json", "--peer", peer).stdout) == expected[:1]


def test_topic_that_a_relay_passes_on_is_told_with_its_host_alone() -> None:
    """The relay can tell of it, and hosts it no more for that."""
    cluster = Cluster(build_topology("hub-spoke", 2, relay=True), rate=0).start()
    cluster.detach()
    try:
        names = ("hub", "spoke-1", "spoke-2")
        expected = [{"topic": f"{name}:data", "host": name} for name in names]
        assert json.loads(spot("topics", "--json").stdout) == expected
        peer = cluster.addresses["hub"]
        assert json.loads(spot("topics", "--json", "--peer", peer).stdout) == expected
    finally:
        cluster.stop()


def test_peer_that_does_not_answer_is_named() -> None:
    """A wrong --peer must end, and say which endpoint it was."""
    result = spot("topics", "--peer", "tcp://127.0.0.1:9", code=1)
    assert "tcp://127.0.0.1:9" in result.stderr


def test_logs_of_what_is_neither_node_nor_topology_name_both(two_node: Run) -> None:
    """One word may be either, and the mistake may be in either."""
    said = spot("logs", "nomesh", code=1).stderr
    assert "two-node has no node 'nomesh': it has a, b" in said
    assert "nor is it a topology, which is two-node, mesh or hub-spoke" in said
    assert "topology" not in spot("logs", "two-node", "nomesh", code=1).stderr
    said = spot("logs", "nomesh", "a", code=2).stderr
    assert "there is no topology 'nomesh': take two-node, mesh or hub-spoke" in said


def test_logs_follow_until_the_cluster_goes_down(two_node: Run) -> None:
    """The last lines of a node that leaves are the ones that were waited for."""
    with _started("logs", "--follow") as follow:
        assert follow.stdout is not None
        assert "started" in follow.stdout.readline()
        spot("down")
        _, err = follow.communicate(timeout=30)
        assert follow.returncode == 0
    assert "Traceback" not in err
    assert "two-node went down" in err


def test_several_clusters_need_a_name(two_node: Run) -> None:
    """Guessing which one is meant would end or address the wrong one."""
    spot("up", "hub-spoke", "--nodes", "1", "--rate", "0")
    for command in ("topics", "publish a:data x", "subscribe a:data", "fault cut a b", "heal"):
        said = spot(*command.split(), code=1).stderr
        assert "several clusters are up (two-node, hub-spoke): name one of them" in said
        assert "for example with '--on two-node'" in said
    assert "for example with 'spot logs two-node'" in spot("logs", code=1).stderr
    assert "for example with 'spot logs two-node a'" in spot("logs", "a", code=1).stderr
    (topic, _) = json.loads(spot("topics", "--json", "--on", "hub-spoke").stdout)
    assert topic == {"topic": "hub:data", "host": "hub"}
    assert "published 1 bytes" in spot("publish", "hub:data", "x", "--on", "hub-spoke").stdout
    lines = spot("subscribe", "b:data", "--count", "1", "--on", "two-node").stdout.splitlines()
    assert lines[0].startswith("b:data ")
    assert "name one of them, or take --all" in spot("down", code=1).stderr
    assert "hub-spoke is down" in spot("down", "hub-spoke").stderr
    assert len(Run.all(state_directory())) == 1


def test_up_that_is_killed_is_swept_by_down() -> None:
    """kill -9 in the middle of a start, when nothing is recorded yet."""
    with _started("up", "mesh", "--nodes", "8") as up:
        deadline = time.monotonic() + 30
        while not (runs := list((state_directory() / "runs").glob("mesh-*"))):
            assert time.monotonic() < deadline
            time.sleep(0.005)
        while not marked_processes("SPOT_TESTBED_RUN", runs[0].name):
            assert time.monotonic() < deadline
        up.kill()
        up.communicate()
    assert "swept mesh-" in spot("down").stderr
    assert marked_processes("SPOT_TESTBED_RUN", runs[0].name) == []
    assert Run.all(state_directory()) == []


def test_up_that_is_interrupted_leaves_nothing() -> None:
    """Ctrl-C is what one does when it takes too long."""
    with _started("up", "mesh", "--nodes", "12") as up:
        deadline = time.monotonic() + 30
        while not (runs := list((state_directory() / "runs").glob("mesh-*"))):
            assert time.monotonic() < deadline
            time.sleep(0.005)
        while len(marked_processes("SPOT_TESTBED_RUN", runs[0].name)) < 3:
            assert time.monotonic() < deadline
        up.send_signal(signal.SIGINT)
        assert "Traceback" not in up.communicate(timeout=20)[1]
        assert up.returncode == 1
    assert marked_processes("SPOT_TESTBED_RUN", runs[0].name) == []
    assert Run.all(state_directory()) == []


def test_node_that_does_not_come_up_is_told_with_its_log(tmp_path: Path) -> None:
    """The person sees why, not only that."""
    result = spot("up", "two-node", code=1, SPOT_PEER_TIMEOUT="soon")
    assert "ended before the cluster was ready" in result.stderr
    assert "SPOT_PEER_TIMEOUT" in result.stderr
    assert Run.all(state_directory()) == []
