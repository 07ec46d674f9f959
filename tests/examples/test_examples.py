"""Every program of examples/ runs as its first lines say, in processes of its own."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from .conftest import ROOT, Start

TICK = "--interval=0.02"


def test_single_node(start: Start) -> None:
    """The first thing a newcomer runs: subscriptions get theirs, in order, and nothing else."""
    lines = start("examples/single_node.py", "--messages=3").wait_for_end()
    spawn = [line for line in lines if line.startswith("game:player:spawn")]
    chat = [line for line in lines if line.startswith("chat:lobby")]
    assert spawn == [f"game:player:spawn #{n}: player {n}" for n in (1, 2, 3)]
    assert chat == [f"chat:lobby #{n}: player {n} says hello" for n in (1, 2, 3)]
    assert len(lines) == 6


def test_two_nodes(start: Start, free_ports: int) -> None:
    """The smallest cluster: every reading crosses from one process to the other, in order."""
    server = start(
        "examples/two_node_server.py", f"--bind=tcp://127.0.0.1:{free_ports}", "--messages=10", TICK
    )
    server.wait_for_line("node A ready")
    client = start(
        "examples/two_node_client.py", f"--server=tcp://127.0.0.1:{free_ports}", "--messages=10"
    )
    lines = client.wait_for_end()
    assert [line.split(" = ")[0] for line in lines if " = " in line] == [
        f"sensor:temperature #{n}" for n in range(1, 11)
    ]
    assert "published 20 messages" in server.wait_for_end()


def test_two_nodes_client_first_and_server_restarted(start: Start, free_ports: int) -> None:
    """What the program says of itself: either starts first, a loss is told, and it goes on."""
    endpoint = f"tcp://127.0.0.1:{free_ports}"
    client = start("examples/two_node_client.py", f"--server={endpoint}")
    client.wait_for_line("going on, as the subscription binds")
    server = start("examples/two_node_server.py", f"--bind={endpoint}", TICK)
    client.wait_for_line("sensor:temperature #")
    server.kill()
    client.wait_for_line("lost node-a (closed)")
    before = sum("sensor:temperature #" in line for line in client.lines)
    start("examples/two_node_server.py", f"--bind={endpoint}", TICK)
    client.wait_for_line("sensor:temperature #", count=before + 3)


def test_mesh(start: Start, free_ports: int) -> None:
    """Three nodes that know one another all get everything, whoever starts first."""
    nodes = {
        name: start("examples/mesh.py", name, f"--base-port={free_ports}", "--messages=5", TICK)
        for name in ("c", "a", "b")
    }
    for name, program in nodes.items():
        lines = program.wait_for_end()
        for other in nodes.keys() - {name}:
            got = [line for line in lines if line.startswith(f"from {other}: ")]
            assert got == [f"from {other}: message {n} of {other}" for n in range(1, 6)]


def test_hub_spoke(start: Start, free_ports: int) -> None:
    """Spokes without a link of their own hear one another through the hub."""
    spokes = [
        start(
            "examples/hub_spoke.py", "spoke", number, f"--hub=tcp://127.0.0.1:{free_ports}",
            "--messages=5", TICK,
        )
        for number in (1, 2, 3)
    ]  # fmt: skip
    hub = start(
        "examples/hub_spoke.py", "hub", f"--bind=tcp://127.0.0.1:{free_ports}", "--messages=5"
    )
    for number, spoke in enumerate(spokes, 1):
        lines = spoke.wait_for_end()
        for other in {1, 2, 3} - {number}:
            got = [line for line in lines if line.startswith(f"spoke-{other}: ")]
            assert got == [f"spoke-{other}: reading {n}" for n in range(1, 6)]
    assert "passed on 15 messages" in hub.wait_for_end()


def test_failover_there_and_back(start: Start, free_ports: int) -> None:
    """A killed primary is replaced by the backup, and a stopped backup by the primary."""
    primary_at, backup_at = (f"tcp://127.0.0.1:{free_ports + place}" for place in (0, 1))
    primary = start("examples/failover.py", "primary", f"--bind={primary_at}", TICK)
    backup = start("examples/failover.py", "backup", f"--bind={backup_at}", TICK)
    primary.wait_for_line("primary on")
    backup.wait_for_line("backup on")
    client = start(
        "examples/failover.py", "client", f"--primary={primary_at}", f"--backup={backup_at}"
    )
    client.wait_for_line("received from primary")
    primary.kill()
    client.wait_for_line("lost primary (closed)")
    client.wait_for_line(f"following {backup_at}")
    client.wait_for_line("received from backup")

    of_primary = sum("received from primary" in line for line in client.lines)
    start("examples/failover.py", "primary", f"--bind={primary_at}", TICK).wait_for_line("primary")
    backup.process.send_signal(signal.SIGINT)
    backup.wait_for_end()
    client.wait_for_line("lost backup (left)")
    client.wait_for_line("received from primary", count=of_primary + 1)


def test_failover_primary_absent_at_the_start(start: Start, free_ports: int) -> None:
    """A route that fails leaves nothing behind, so the backup can be taken at once."""
    backup_at = f"tcp://127.0.0.1:{free_ports + 1}"
    start("examples/failover.py", "backup", f"--bind={backup_at}", TICK).wait_for_line("backup on")
    client = start(
        "examples/failover.py", "client", "--messages=3",
        f"--primary=tcp://127.0.0.1:{free_ports}", f"--backup={backup_at}",
    )  # fmt: skip
    lines = client.wait_for_end()
    assert any(line.startswith(f"no route to tcp://127.0.0.1:{free_ports}") for line in lines)
    assert sum("received from backup" in line for line in lines) == 3


def test_production_alone(start: Start) -> None:
    """It runs without any setting, reports, and ends when it has published what was asked."""
    program = start("examples/production.py", "--messages=3", TICK)
    lines = program.wait_for_end()
    assert sum("received demo:status" in line for line in lines) == 3
    report = json.loads(next(line for line in lines if " report " in line).partition(" report ")[2])
    assert report["publishes"] == 3
    assert report["healthy"] == {}


def test_production_two_nodes(start: Start, free_ports: int) -> None:
    """SPOT_* alone make it a cluster: health is reported, a crash told, SIGTERM ends it cleanly."""
    a_at, b_at = (f"tcp://127.0.0.1:{free_ports + place}" for place in (0, 1))
    a = start(
        "examples/production.py", TICK, "--report=0.1",
        node_id="a", bind=a_at, cluster=b_at, topics="a:status", subscribe="*:status",
    )  # fmt: skip
    b = start(
        "examples/production.py", TICK,
        node_id="b", bind=b_at, cluster=a_at, topics="b:status", subscribe="*:status",
    )  # fmt: skip
    a.wait_for_line("received b:status b is well")
    b.wait_for_line("received a:status a is well")
    a.wait_for_line(f'"healthy": {{"{b_at}": true}}')
    b.kill()
    a.wait_for_line("lost b (closed): b:status")
    a.wait_for_line("event link_down node=b")
    a.process.send_signal(signal.SIGTERM)
    assert a.wait_for_end()[-1].endswith("node left")


def test_asyncio_two_nodes(start: Start) -> None:
    """The asyncio form has the same calls; two nodes share one loop without stopping it."""
    lines = start("examples/aio_two_node.py", "--messages=5").wait_for_end()
    assert [line.split(" = ")[0] for line in lines] == [
        f"sensor:temperature #{n}" for n in range(1, 6)
    ]


def test_programs_of_the_readme(start: Start, free_ports: int, tmp_path: Path) -> None:
    """The first code that a visitor copies has to work as it stands."""
    blocks = (ROOT / "README.md").read_text().split("```python\n")[1:]
    paths = []
    for number, block in enumerate(blocks):
        path = tmp_path / f"readme_{number}.py"
        path.write_text(block.partition("```")[0].replace("5555", str(free_ports)))
        paths.append(path)
    assert len(paths) == 3  # the third one starts a cluster: see tests/containers
    expected = [f"{n + 1} b'{20 + n / 10}' 0" for n in range(10)]
    start(str(paths[0]))
    subscriber = start(str(paths[1]))
    subscriber.wait_for_line("is gone: left")
    assert [line for line in subscriber.lines if line in expected] == expected
    start(str(paths[0]))  # "Start the first again: messages flow again, without a call"
    subscriber.wait_for_line("is gone: left", count=2)
    assert [line for line in subscriber.lines if line in expected] == expected * 2


def test_every_example_is_tested() -> None:
    """A program that nobody runs rots."""
    tests = Path(__file__).read_text()
    for path in (ROOT / "examples").glob("*.py"):
        assert f'"examples/{path.name}"' in tests, path.name
