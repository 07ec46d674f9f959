from dataclasses import replace

import pytest

from spot.testbed import Cluster, ClusterStatus, NoAnswer, Topology, UnknownNode, build_topology
from spot.testbed import cluster as cluster_module


def _links_up(status: ClusterStatus) -> int:
    return sum(link.is_up for link in status.links)


@pytest.mark.parametrize("proxied", [False, True])
def test_node_removes_a_peer_and_adds_it_again_by_its_name(proxied: bool) -> None:
    """A scenario names nodes; what leads to them, and who dials whom, the cluster knows."""
    with Cluster("two-node", proxied=proxied, rate=0) as cluster:
        for node, peer in (("a", "b"), ("b", "a")):
            assert cluster.tell(node, "remove", peer=peer) == {"ok": True}
            cluster.wait_until(lambda status: _links_up(status) == 0, timeout=20)
            assert cluster.tell(node, "add", peer=peer) == {"ok": True}
            cluster.wait_ready(timeout=20)
            assert cluster.tell(node, "sync")["ok"] is True
        assert cluster.tell("a", "status")["node"] == "a"


def test_node_publishes_to_the_topics_of_others_that_its_spec_names() -> None:
    """Several publishers of one topic is what order and accepted-or-raised are hard for."""
    a, b = build_topology("two-node").nodes
    topology = Topology(
        "shared", (replace(a, subscribe=("a:data",)), replace(b, publish=("a:data",)))
    )
    assert Topology.from_json(topology.to_json()) == topology
    with Cluster(topology, rate=100) as cluster:
        cluster.wait_until(lambda _: '"from":"b"' in cluster.journal("a").read_text(), timeout=20)
        answers = [cluster.tell(name, "quiet") for name in "ab"]
    assert answers == [{"ok": True, "flushed": True}] * 2


def test_command_that_goes_wrong_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scenario must go on to heal and to judge, whatever a node says."""
    with Cluster("two-node", rate=0) as cluster:
        assert "no topic" in cluster.tell("a", "destroy", topic="x")["error"]
        assert "no command" in cluster.tell("a", "explode")["error"]
        with pytest.raises(UnknownNode):
            cluster.tell("z", "quiet")
        monkeypatch.setattr(cluster_module, "TELL_TIMEOUT_S", 0.5)
        cluster.pause("a")
        with pytest.raises(NoAnswer, match=r"node a \(paused\) did not answer to 'quiet'"):
            cluster.tell("a", "quiet")
        cluster.kill("b")
        with pytest.raises(NoAnswer, match=r"node b \(exited\)"):
            cluster.tell("b", "quiet")
