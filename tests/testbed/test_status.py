from typing import Any

from spot.testbed import ClusterStatus, NodeStatus, build_topology
from spot.testbed.cluster import default_rate
from spot.testbed.status import Rates, rates_between


def document(*peers: str, **changes: Any) -> dict[str, Any]:
    return {
        "pid": 1,
        "at": 10.0,
        "uptime": 100.0,
        "synced": True,
        "failure": None,
        "peers": [{"node": name, "state": "up", "rtt": 0.001} for name in peers],
        "metrics": {"publishes": 0, "recv_msgs": 0},
        **changes,
    }


def two_node(a: dict[str, Any] | None, b: dict[str, Any] | None) -> ClusterStatus:
    return ClusterStatus(
        build_topology("two-node"),
        {
            "a": NodeStatus("a", "running", "tcp://127.0.0.1:1", a),
            "b": NodeStatus("b", "running", "tcp://127.0.0.1:2", b),
        },
    )


def test_cluster_is_ready_when_everyone_says_so() -> None:
    """Readiness is what `spot up` and every test's start wait for."""
    status = two_node(document("b"), document("a"))
    assert status.is_ready
    assert status.lacking() == []
    assert status.links[0].rtt == 0.001


def test_link_that_only_one_end_takes_for_up_is_not() -> None:
    """Half a link is the very fault that a testbed exists to show."""
    status = two_node(document("b"), document())
    assert status.lacking() == ["link a - b: down"]


def test_what_is_lacking_is_said_of_each_node() -> None:
    """These words are all that a person gets when a start times out."""
    assert "a: does not answer" in two_node(None, document()).lacking()
    assert "a: not synchronised" in two_node(document("b", synced=False), document("a")).lacking()
    failed = document("b", failure="the receive thread failed")
    assert two_node(failed, document("a")).lacking() == ["a: the receive thread failed"]


def test_peer_that_is_up_hides_an_older_entry_of_the_same_node() -> None:
    """A node may be listed by its endpoint and by its own dial; one link that is up is enough."""
    waiting = {"node": "b", "state": "waiting", "rtt": None}
    up = {"node": "b", "state": "up", "rtt": 0.002}
    status = two_node(document(peers=[waiting, up]), document("a"))
    assert status.is_ready


def test_rates_are_per_second_of_the_nodes_own_clock() -> None:
    """A slow answer must not look like less traffic."""
    before = two_node(document("b"), document("a"))
    later = document("b", at=12.0, metrics={"publishes": 20, "recv_msgs": 60})
    assert rates_between(before, two_node(later, document("a", at=12.0))) == {
        "a": Rates(10.0, 30.0),
        "b": Rates(0.0, 0.0),
    }


def test_rates_leave_out_nodes_that_were_restarted_or_silent() -> None:
    """Counters that began again would show as a negative rate."""
    before = two_node(document("b"), None)
    after = two_node(document("b", at=12.0, uptime=1.0), document("a", at=12.0))
    assert rates_between(before, after) == {}


def test_default_rate_keeps_deliveries_bounded() -> None:
    """Deliveries grow with the square of a mesh; fifty nodes must leave their machine alone."""
    assert default_rate(build_topology("mesh", 3)) == 10
    assert default_rate(build_topology("mesh", 10)) == 10
    assert default_rate(build_topology("mesh", 50)) == 1
