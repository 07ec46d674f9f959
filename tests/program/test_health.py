from typing import Any

import pytest

from spot.program.health import is_healthy, summary

STATUS: dict[str, Any] = {
    "node": "a",
    "synced": True,
    "failure": None,
    "last_error": None,
    "peers": [{"endpoint": "tcp://b:5555", "state": "up"}],
}


@pytest.mark.parametrize(
    ("change", "healthy"),
    [
        ({}, True),
        ({"synced": False}, False),
        ({"failure": "the receive thread failed"}, False),
        ({"peers": [{"endpoint": "tcp://b:5555", "state": "waiting"}]}, True),
    ],
)
def test_health_is_about_the_node_and_not_its_peers(change: dict[str, Any], healthy: bool) -> None:
    """An orchestrator that restarts a node because its peer died would spread the outage."""
    assert is_healthy({**STATUS, **change}) is healthy


def test_summary_names_the_peer_that_is_not_up() -> None:
    """The one line of --check is what stands in `docker inspect` when a node won't get healthy."""
    peers = [{"endpoint": "tcp://b:5555", "state": "waiting"}]
    text = summary({**STATUS, "synced": False, "peers": peers, "last_error": "refused"})
    assert text == (
        "a: not healthy, not yet synchronised, 0 of 1 peers up, tcp://b:5555 is waiting, "
        "last error: refused"
    )
