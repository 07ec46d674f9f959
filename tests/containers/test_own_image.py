"""An image of the user's own as the node."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from spot.testbed import Cluster, ImageMissing, Run
from spot.testbed.collect import end_traffic
from tests.containers.test_images import NODE_IMAGE

EXAMPLE = Path(__file__).parents[2] / "examples" / "raw_pyzmq_node"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keeps these runs away from the clusters of whoever runs the tests."""
    directory = tmp_path / "state"
    monkeypatch.setenv("SPOT_STATE_DIR", str(directory))
    return directory


@pytest.fixture
def image(client: docker.DockerClient) -> Iterator[str]:
    """The example's image, under a name of this process."""
    name = f"spot-test-own-node:{os.getpid()}"
    subprocess.run(
        ["docker", "build", "--quiet", f"--build-arg=IMAGE={NODE_IMAGE}", "--tag", name, EXAMPLE],
        check=True,
        timeout=120,
    )
    yield name
    client.images.remove(name, force=True)


def test_image_of_the_users_own_takes_the_place_of_the_node(image: str, tmp_path: Path) -> None:
    """It gets the same variables and folders, and no more rights, than SPOT's own."""
    files = tmp_path / "files"
    with Cluster(
        "two-node", backend="docker", image=image, proxied=True, rate=50, files=files
    ) as cluster:
        assert "raw pyzmq can't" in cluster.tell("a", "remove", peer="b")["error"]
        edge = cluster.edge("a", "b")
        edge.disable()
        cluster.wait_until(lambda status: not status.links[0].is_up, timeout=20)
        edge.enable()
        cluster.wait_ready(timeout=30)
        assert Run.load(cluster.run.directory).image == image
        assert end_traffic(cluster) == ()
    for name in "ab":
        records = [
            json.loads(line)
            for line in (files / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        ]
        assert records[0]["kind"] == "start"
        assert records[-1]["kind"] == "closed", "SIGTERM reached the program"
        assert any(record["kind"] == "recv" for record in records)


def test_commands_reach_a_node_in_a_container(client: docker.DockerClient) -> None:
    """A scenario tells nodes the same on both backends; what leads to a peer differs."""
    for proxied in (True, False):
        with Cluster("two-node", backend="docker", proxied=proxied, rate=0) as cluster:
            for node, peer in (("a", "b"), ("b", "a")):
                assert cluster.tell(node, "remove", peer=peer) == {"ok": True}
                cluster.wait_until(lambda status: not status.links[0].is_up, timeout=20)
                assert cluster.tell(node, "add", peer=peer) == {"ok": True}
                cluster.wait_ready(timeout=30)


def test_image_that_is_not_there_is_named(client: docker.DockerClient, state: Path) -> None:
    """Compose would try to pull it, and tell of a registry that nobody meant."""
    with pytest.raises(ImageMissing, match="no image no-such-node:1, which should be the node"):
        Cluster("two-node", backend="docker", image="no-such-node:1").start()
    assert Run.all(state) == []
