import io

from rich.console import Console

from spot.cli.display import picture
from spot.cli.happened import Happened
from spot.testbed import ClusterStatus, NodeStatus, build_topology


def _shown(status: ClusterStatus) -> str:
    console = Console(file=io.StringIO(), width=80)
    console.print(picture(status, {}))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def _silent(name: str, nodes: int) -> ClusterStatus:
    topology = build_topology(name, nodes)
    address = "tcp://127.0.0.1:65535"
    return ClusterStatus(
        topology,
        {node: NodeStatus(node, "running", address, None) for node in topology.names},
    )


def test_picture_of_a_cluster_that_does_not_answer_says_so() -> None:
    """The view matters most when something is wrong, and must not fail then."""
    text = _shown(_silent("hub-spoke", 3))
    assert "silent" in text
    assert "spoke-1: does not answer" in text
    assert "0/3" in text


def test_picture_of_a_large_mesh_stays_readable() -> None:
    """1,225 lines of links help nobody."""
    text = _shown(_silent("mesh", 50))
    assert "links: 0 of 1225 up" in text
    assert "and 1265 more" in text
    assert len(text.splitlines()) < 80


def test_picture_fits_a_terminal_of_80_columns() -> None:
    """Cut-off numbers are worse than none."""
    text = _shown(_silent("mesh", 3))
    assert "…" not in text
    for heading in ("recv/s", "received", "missed", "127.0.0.1:65535"):
        assert heading in text


def _remembering(*records: dict[str, object]) -> ClusterStatus:
    peers = [{"endpoint": "tcp://127.0.0.1:9", "node": "b", "state": "waiting", "rtt": None}]
    document = {"recent": list(records), "peers": peers}
    node = NodeStatus("a", "running", None, document)
    return ClusterStatus(build_topology("two-node"), {"a": node, "b": node})


def _told(happened: Happened, now: float) -> list[str]:
    console = Console(file=io.StringIO(), width=100)
    console.print(happened.table(now))
    assert isinstance(console.file, io.StringIO)
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines()]


def test_what_happened_is_told_in_order_once_and_by_name() -> None:
    """Nodes are asked each second and remember the same things again; people know no ports."""
    down = {"kind": "link_down", "at": 10.0, "node": "b", "reason": "closed", "delay": 0.07}
    failed = {"kind": "dial_failed", "at": 10.5, "endpoint": "tcp://127.0.0.1:9", "reason": "no"}
    happened = Happened()
    happened.add(_remembering(failed, {"kind": "dial", "at": 10.4}, {"kind": "unknown", "at": 11}))
    happened.add(_remembering(down, failed))
    assert _told(happened, 12.0) == [
        "2.0 s ago a: link to b down (closed), next dial in 0.07 s",
        "2.0 s ago b: link to b down (closed), next dial in 0.07 s",
        "1.5 s ago a: dial of b failed (no)",
        "1.5 s ago b: dial of b failed (no)",
    ]


def test_only_the_last_of_what_happened_is_shown() -> None:
    """A link that flaps for an hour must not push the tables off the screen."""
    happened = Happened()
    for at in range(1000):
        happened.add(_remembering({"kind": "link_up", "at": float(at), "node": "b"}))
    assert len(_told(happened, 1000.0)) == 8
    assert not Happened()
