"""What holds of a proxied cluster on whatever backend: the same checks for both."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from spot.testbed import Cluster, ClusterStatus

__all__ = [
    "all_answer",
    "check_blackholes",
    "check_edge_stops_its_pair_alone",
    "links_up",
    "metrics",
]

PEER_TIMEOUT_S = 0.6
SETTINGS = {"SPOT_PEER_TIMEOUT": str(PEER_TIMEOUT_S), "SPOT_HEARTBEAT": "0.2"}


def metrics(status: ClusterStatus, node: str) -> Mapping[str, Any]:
    """The node's own counters. Of one that did not answer in time: such as compare to nothing."""
    document = status.nodes[node].document
    return defaultdict(lambda: math.nan) if document is None else document["metrics"]


def all_answer(status: ClusterStatus) -> bool:
    return all(node.document is not None for node in status.nodes.values())


def links_up(status: ClusterStatus) -> set[tuple[str, str]]:
    return {link.link for link in status.links if link.is_up}


def check_edge_stops_its_pair_alone(cluster: Cluster) -> None:
    """Of a mesh of a, b, c: a and b lose each other, c nobody; and all is well after the heal."""
    before = cluster.wait_until(all_answer, timeout=20)
    assert links_up(before) == {("a", "b"), ("a", "c"), ("b", "c")}
    edge = cluster.edge("b", "a")
    assert set(edge.pair) == {"a", "b"}
    edge.disable()
    assert not edge.is_enabled
    cluster.wait_until(lambda status: links_up(status) == {("a", "c"), ("b", "c")}, timeout=20)
    # Time enough for others to be harmed, too: several vain dials.
    dials = metrics(before, edge.dialler)["dials"]
    after = cluster.wait_until(
        lambda status: all_answer(status) and metrics(status, edge.dialler)["dials"] >= dials + 3,
        timeout=30,  # the waits may have grown while the nodes started
    )
    lost = {
        name: metrics(after, name)["links_lost"] - metrics(before, name)["links_lost"]
        for name in cluster.topology.names
    }
    assert lost == {"a": 1, "b": 1, "c": 0}
    edge.enable()
    cluster.wait_ready(timeout=20)
    received = metrics(cluster.wait_until(all_answer, timeout=20), "a")["recv_msgs"]
    cluster.wait_until(lambda status: metrics(status, "a")["recv_msgs"] > received + 10, timeout=20)


def check_blackholes(cluster: Cluster) -> None:
    """Silence, both ways or one, is noticed at both ends; removing it heals; nothing else does."""
    for towards in (None, "a", "b"):
        edge = cluster.edge("a", "b")
        edge.blackhole(towards=towards)
        assert edge.toxics(), "the proxy shows what was done to it"
        cluster.wait_until(
            lambda status: all(metrics(status, name)["links_up"] == 0 for name in ("a", "b")),
            timeout=PEER_TIMEOUT_S + 15,
        )
        edge.heal()
        assert edge.toxics() == {}
        cluster.wait_ready(timeout=25)
