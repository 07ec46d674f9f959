"""``spot fault`` and ``spot heal`` on a cluster that ``spot up`` has left up."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from spot.testbed import Cluster, Run
from spot.testbed.faults.by_hand import faults_by_hand
from spot.testbed.run import state_directory
from tests.cli.test_command_line import ROOT, spot

# Each test is a person who types several commands.
pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def mesh(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """Three nodes behind the embedded proxy."""
    monkeypatch.delenv("TOXIPROXY_URL", raising=False)
    settings = {"SPOT_RECONNECT_MAX": "1"}
    cluster = Cluster("mesh", rate=20, proxied=True, settings=settings).start()
    cluster.detach()
    yield cluster
    for run in Run.all(state_directory()):
        Cluster.attach(run).stop()


def _started(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "spot", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _wait_for_fault(cluster: Cluster, *, proved: bool = True) -> None:
    deadline = time.monotonic() + 30
    while not any(fault.proved >= proved for fault in faults_by_hand(cluster.run)):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_cut_is_shown_listed_and_healed(mesh: Cluster) -> None:
    """The newcomer's first experiment, each step a command of its own."""
    shown = spot("fault", "cut", "a", "b").stdout
    assert "cut a b: it acts" in shown
    assert "seen  connections to b-to-a are refused" in shown
    assert "both ends raise HostUnreachable at once" in shown
    mesh.wait_until(lambda status: len(status.lacking()) == 1, timeout=20)
    assert "cut a b: for" in spot("fault", "list").stdout
    status = spot("status", code=1).stdout
    assert "link a - b: down" in status
    assert "Faults made by hand ('spot heal' undoes them):\n  cut a b for" in status
    (document,) = json.loads(spot("status", "--json", code=1).stdout)
    assert document["faults"] == ["cut a b"]
    assert "heal that first" in spot("fault", "cut", "b", "a", code=1).stderr
    healed = spot("heal", "b", "a").stdout
    assert "healed cut a b" in healed
    assert "a canary passes b-to-a again" in healed
    assert "all links up after" in healed
    assert "no fault acts on mesh" in spot("fault", "list").stdout


def test_heal_without_names_undoes_everything(mesh: Cluster) -> None:
    """Whoever has lost track must get back to a whole cluster, by one command."""
    spot("fault", "latency", "a", "b", "latency=50")
    spot("fault", "pause", "c")
    spot("fault", "crash", "a")
    # As a command that was killed half-way leaves it: no record tells of these.
    mesh.edge("b", "c").blackhole()
    mesh.edge("a", "c").disable()
    assert len(faults_by_hand(mesh.run)) == 3
    document = json.loads(spot("heal", "--json").stdout)
    assert document == {
        "healed": ["crash a", "latency a b latency=50", "pause c"],
        "left": [],
        "ready": True,
    }
    mesh.reload()
    assert mesh.status().is_ready
    assert all(edge.is_enabled and not edge.toxics() for edge in mesh.edges())


def test_heal_of_one_link_leaves_other_faults(mesh: Cluster) -> None:
    """Naming a link means that link."""
    spot("fault", "cut", "a", "b")
    spot("fault", "cut", "b", "c")
    assert "still broken: cut b c" in spot("heal", "a", "b").stdout
    assert mesh.edge("a", "b").is_enabled
    assert not mesh.edge("b", "c").is_enabled


def test_fault_with_an_end_heals_by_itself(mesh: Cluster) -> None:
    """A fault that is forgotten is one that is debugged later."""
    document = json.loads(spot("fault", "blackhole", "a", "c", "--for", "0.5", "--json").stdout)
    assert document["proved"] is True
    assert document["healed"] is True
    assert document["fault"] == "blackhole a c"
    assert all(proof["shown"] for proof in document["proof"])
    assert mesh.edge("a", "c").toxics() == {}
    assert faults_by_hand(mesh.run) == ()


@pytest.mark.parametrize("how", ["ctrl-c", "heal"])
def test_kept_fault_ends_with_its_process(mesh: Cluster, how: str) -> None:
    """Nobody flaps a link but the command in the foreground; its end must leave the link open."""
    with _started("fault", "flap", "a", "b", "period=0.2") as keeper:
        _wait_for_fault(mesh)
        assert "kept by process" in spot("fault", "list").stdout
        if how == "heal":
            assert "healed flap a b" in spot("heal").stdout
        else:
            keeper.send_signal(signal.SIGINT)
        output = keeper.communicate(timeout=30)[0]
        assert keeper.returncode == 0
    assert "healed:" in output
    assert "Traceback" not in output
    assert mesh.edge("a", "b").is_enabled
    assert faults_by_hand(mesh.run) == ()


def test_kept_fault_of_a_killed_process_is_healed_all_the_same(mesh: Cluster) -> None:
    """kill -9 leaves the link in whichever phase it was."""
    with _started("fault", "starve", "b", "cpu=0.05") as keeper:
        _wait_for_fault(mesh)
        keeper.kill()
        keeper.communicate()
    assert "left by the killed process" in spot("fault", "list").stdout
    assert "healed starve b" in spot("heal").stdout
    assert mesh.state("b") == "running"


def test_down_ends_a_broken_cluster_and_its_keeper(mesh: Cluster) -> None:
    """Paused nodes, cut links and a flapping one are no reason to stay."""
    spot("fault", "pause", "c")
    with _started("fault", "flap", "a", "b", "period=0.2") as keeper:
        _wait_for_fault(mesh)
        assert "mesh is down" in spot("down").stderr
        keeper.communicate(timeout=30)
    assert Run.all(state_directory()) == []


def test_live_view_tells_what_happened(mesh: Cluster) -> None:
    """Link down, HostUnreachable, dials, heal, synchronised: the story of SPOT in one picture."""
    with _started("status", "--watch") as watch:
        spot("fault", "cut", "a", "b", "--for", "1.5")
        mesh.wait_ready(20)
        deadline = time.monotonic() + 3  # a picture or two more
        while time.monotonic() < deadline:
            time.sleep(0.1)
        watch.send_signal(signal.SIGINT)
        shown = watch.communicate(timeout=30)[0]
    # What is no terminal gets the last picture only.
    assert "What happened:" in shown
    for event in ("link to b up", "synchronised with a"):
        assert event in shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("cut", "a"), "a node is missing"),
        (("cut", "a", "z"), "mesh has no node 'z'"),
        (("ring",), "would cut no link of mesh"),
        (("latency", "a", "b", "latency=x"), "latency=x is no number"),
        (("cuddle", "a"), "'cuddle' is not one of 'list', 'cut'"),
        (("list", "a"), "takes --kinds, --on and --json only"),
    ],
)
def test_wrong_usage_is_told_with_code_2(
    mesh: Cluster, arguments: tuple[str, ...], said: str
) -> None:
    """Before anything is touched."""
    assert said in " ".join(spot("fault", *arguments, code=2).stderr.split())


def test_fault_needs_a_cluster_with_proxies() -> None:
    """The message must say how to get one."""
    assert "no cluster is up" in spot("fault", "cut", "a", "b", code=1).stderr
    assert "no cluster is up" in spot("heal", code=1).stderr
    spot("up", "two-node", "--direct")
    try:
        assert "'spot up' without --direct" in spot("fault", "cut", "a", "b", code=1).stderr
    finally:
        spot("down")


def test_kinds_are_listed_without_a_cluster() -> None:
    """What can be done is asked before anything runs."""
    shown = spot("fault", "list", "--kinds").stdout
    for usage in ("cut A B", "blackhole A B [towards=A]", "starve A [cpu=SHARE]"):
        assert usage in shown
    kinds = json.loads(spot("fault", "list", "--kinds", "--json").stdout)
    assert {"partition", "flap", "hub-lost"} <= {kind["kind"] for kind in kinds}
    assert all(kind["proof"] for kind in kinds)
