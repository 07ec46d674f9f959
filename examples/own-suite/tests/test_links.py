"""What our project relies on when links between its nodes break."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from spot.testbed import Cluster
from spot.testbed.faults import ActiveFault
from spot.testbed.results import Result

Inject = Callable[[str], ActiveFault]
Check = Callable[..., Result]


@pytest.mark.spot(topology="mesh", nodes=3, rate=100)
def test_cut_link_is_told_and_heals(
    spot_cluster: Cluster, spot_fault: Inject, spot_check: Check
) -> None:
    """A cut link loses no message in silence."""
    with spot_fault("cut a b"):
        spot_cluster.wait_until(lambda status: not status.is_ready, timeout=5)
    spot_cluster.wait_ready(timeout=10)
    spot_check()


@pytest.mark.spot("two-node", settings={"peer_timeout": 0.9})
def test_silent_link_is_noticed_in_time(
    spot_cluster: Cluster, spot_fault: Inject, spot_check: Check
) -> None:
    """A firewall that forgets a connection sends nothing, so only heartbeats can tell."""
    with spot_fault("blackhole a b"):
        time.sleep(2)  # longer than peer_timeout and a heartbeat, so the nodes must notice
    result = spot_check("host-unreachable-told", "detection-time", "reconnect")
    (blackhole,) = result.faults
    assert blackhole.detect_s is not None
    assert blackhole.detect_s < 0.9 + 0.5
