import json
import sys
import textwrap
from pathlib import Path

import pytest

from spot.testbed import BadProgram, Cluster, ClusterNotReady, NodeExited
from spot.testbed.collect import end_traffic
from spot.testbed.run import Run
from spot.testbed.user_program import check_status

RAW = [sys.executable, str(Path(__file__).parents[2] / "examples" / "raw_pyzmq_node" / "node.py")]


def _script(directory: Path, text: str) -> list[str]:
    path = directory / "node.py"
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return [sys.executable, str(path)]


# Answers for its state with what it is given as argument, and does nothing else.
ANSWERING = """
    import os, socket, sys
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(os.environ["SPOT_CONTROL"])
    listener.listen()
    while True:
        client, _ = listener.accept()
        client.sendall(sys.argv[1].encode())
        client.close()
"""


def test_program_of_the_users_own_takes_the_place_of_the_node(tmp_path: Path) -> None:
    """Whatever keeps the contract can be started, watched, killed, restarted and ended."""
    with Cluster("two-node", program=RAW, proxied=True, rate=50, files=tmp_path) as cluster:
        assert cluster.tell("a", "remove", peer="b") == {"error": "raw pyzmq can't remove"}
        cluster.kill("b")
        cluster.wait_until(lambda status: status.nodes["b"].state == "exited", timeout=20)
        # Whoever attaches, from wherever, starts the same program again.
        attached = Cluster.attach(Run.load(cluster.run.directory))
        attached.restart("b")
        cluster.run.nodes = attached.run.nodes
        cluster.wait_ready(timeout=20)
        assert end_traffic(cluster) == ()
    kinds = [json.loads(line)["kind"] for line in (tmp_path / "b.jsonl").read_text().splitlines()]
    assert kinds.count("start") == 2
    assert kinds[-1] == "closed"


def test_program_is_run_in_the_directory_where_it_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``spot fault restart`` is called from anywhere, and must find ``node.py`` all the same."""
    _script(tmp_path, "import os; print('in', os.getcwd(), flush=True); raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    cluster = Cluster("two-node", program=[sys.executable, "node.py"])
    monkeypatch.chdir("/")
    with pytest.raises(NodeExited, match=f"in {tmp_path}"):
        cluster.start()


def test_program_that_ends_at_once_is_named_with_the_end_of_its_log(tmp_path: Path) -> None:
    """The first thing that goes wrong with every program of one's own."""
    program = _script(tmp_path, "raise SystemExit('cannot import name zmq')")
    with pytest.raises(NodeExited) as error:
        Cluster("two-node", program=program).start()
    assert "cannot import name zmq" in str(error.value)
    assert "node.py" in str(error.value)


def test_program_that_cannot_be_run_is_told_before_anything_starts(tmp_path: Path) -> None:
    """Each of the three has another remedy."""
    plain = tmp_path / "node"
    plain.write_text("#!/bin/sh\n", encoding="ascii")
    for program, said in (
        (["no-such-program-here"], "not on PATH"),
        (["./no/such/file"], "no such file in"),
        ([str(plain)], "not executable: 'chmod \\+x'"),
        ([], "must be a list of words"),
        ("python node.py", "must be a list of words"),
    ):
        with pytest.raises(BadProgram, match=said):
            Cluster("two-node", program=program)


def test_program_belongs_to_processes_and_image_to_containers() -> None:
    """Otherwise it would be passed over in silence, and SPOT's own node judged instead."""
    with pytest.raises(BadProgram, match="processes take a program"):
        Cluster("two-node", backend="docker", program=RAW)
    with pytest.raises(BadProgram, match="containers an image"):
        Cluster("two-node", backend="process", image="mine:1")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({}, "lacks at, uptime, synced, failure, peers, metrics"),
        ({"metrics": 1, "peers": {}}, r"metrics \(an object\), peers \(a list of objects\)"),
        ({"metrics": {}, "peers": [{"node": "b"}]}, "metrics.publishes.* state of each of peers"),
    ],
)
def test_program_with_an_incomplete_status_is_told_what_is_lacking(
    answer: dict[str, object], said: str
) -> None:
    """A KeyError of the testbed would send its author looking in the wrong place."""
    with pytest.raises(BadProgram, match=said):
        check_status("a", answer)


def test_cluster_tells_of_an_incomplete_status(tmp_path: Path) -> None:
    """The check above must reach whoever starts the cluster."""
    program = _script(tmp_path, ANSWERING)
    with pytest.raises(BadProgram, match="node a lacks at, uptime"):
        Cluster("two-node", program=[*program, "{}"]).start()


def test_program_without_a_control_socket_is_never_ready(tmp_path: Path) -> None:
    """It runs, so it must be said that it does not answer."""
    program = _script(tmp_path, "import time; time.sleep(600)")
    with pytest.raises(ClusterNotReady, match="a: does not answer"):
        Cluster("two-node", program=program).start(timeout=1)


def test_program_that_takes_no_commands_is_trouble_at_the_end_of_a_run(tmp_path: Path) -> None:
    """Its last messages are on their way when it is stopped, so nobody can judge them."""
    peers = [{"node": name, "endpoint": name, "state": "up", "rtt": None} for name in "ab"]
    metrics = {"publishes": 0, "recv_msgs": 0, "missed_msgs": 0}
    status = {"at": 1, "uptime": 1, "synced": True, "failure": None, "peers": peers}
    program = [*_script(tmp_path, ANSWERING), json.dumps({**status, "metrics": metrics})]
    with Cluster("two-node", program=program) as cluster:
        trouble = end_traffic(cluster)
    takes_none = "did not become quiet: the program of node"
    assert [takes_none in text for text in trouble] == [True, True]
