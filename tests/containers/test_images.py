"""The images: what is in them, and how they behave on a root that can't be written to."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.models.containers import Container

from spot.testbed.compose import VERSIONS
from tests.containers.deployment import wait_until
from tests.containers.engine import project_name

ROOT = Path(__file__).parents[2]
NODE_IMAGE = f"spot-node:{VERSIONS['SPOT_VERSION']}"
PROXY_IMAGE = f"spot-toxiproxy:{VERSIONS['TOXIPROXY_VERSION']}"
IMAGES = (NODE_IMAGE, PROXY_IMAGE)
STOP_MAX_S = 8.0
"""Docker kills after 10 s what does not end by itself."""
BUILD_AGAIN_MAX_S = 30.0

Run = Callable[..., Container]


@pytest.fixture
def run(client: docker.DockerClient) -> Iterator[Run]:
    """Starts one container, without a network, that is removed with the test."""
    with ExitStack() as stack:

        def run(image: str, *command: str, **options: Any) -> Container:
            container = client.containers.run(
                image,
                list(command) or None,
                detach=True,
                read_only=True,
                cap_drop=["ALL"],
                network_mode="none",
                labels={"com.docker.compose.project": project_name("image")},
                **options,
            )
            stack.callback(container.remove, force=True)
            return container

        yield run


@pytest.mark.parametrize("image", IMAGES)
def test_image_runs_locked_down_is_healthy_and_stops_at_once(run: Run, image: str) -> None:
    """No capability, no writable root, no user of name root; and `down` waits for nobody."""
    container = run(image)

    def health() -> str:
        container.reload()
        return str(container.health)

    wait_until(lambda: health() == "healthy", 60, f"{image} is healthy")
    top = container.top(ps_args="-eo pid,uid")
    # More than one while its health is being checked.
    assert {uid for _, uid in top["Processes"]} == {"10001"}
    began = time.monotonic()
    container.stop(timeout=10)
    assert time.monotonic() - began < STOP_MAX_S
    assert container.wait()["StatusCode"] == 0


def test_node_image_runs_the_command_that_it_is_given(run: Run) -> None:
    """`docker run spot-node node --help` lists the settings where there is no Python."""
    container = run(NODE_IMAGE, "--version")
    assert container.wait(timeout=60)["StatusCode"] == 0
    assert container.logs().decode() == f"spot {VERSIONS['SPOT_VERSION']}\n"


def test_node_image_holds_what_a_node_needs_and_no_more(run: Run) -> None:
    """Whatever else is in it is pulled, scanned and patched by everyone who deploys it."""
    code = (
        "import importlib.metadata as m; print(sorted(d.metadata['Name'] for d in m.distributions("
        "path=['/opt/spot/lib/python3.11/site-packages'])))"
    )
    container = run(NODE_IMAGE, "-c", code, entrypoint="python3")
    assert container.wait(timeout=60)["StatusCode"] == 0, container.logs().decode()
    assert container.logs().decode() == "['click', 'pyzmq', 'spot-cluster']\n"


def test_toxiproxy_is_the_pinned_version(run: Run) -> None:
    """The embedded proxy is held to the behaviour of this one."""
    container = run(PROXY_IMAGE, "-version")
    assert container.wait(timeout=60)["StatusCode"] == 0
    version = VERSIONS["TOXIPROXY_VERSION"]
    assert container.logs().decode() == f"toxiproxy-server version {version}\n"


@pytest.mark.parametrize(("image", "size_max_mb"), [(NODE_IMAGE, 160), (PROXY_IMAGE, 40)])
def test_image_is_small_labelled_and_has_a_health_check(
    client: docker.DockerClient, image: str, size_max_mb: int
) -> None:
    """A hundred megabytes, most of them Python; and it says what it is."""
    attributes = client.images.get(image).attrs
    assert attributes["Size"] < size_max_mb * 1_000_000
    config = attributes["Config"]
    name, version = image.split(":")
    assert config["Labels"]["org.opencontainers.image.title"] == name
    assert config["Labels"]["org.opencontainers.image.version"] == version
    assert config["User"] == "10001:10001"
    assert config["Healthcheck"]["Test"][0] == "CMD"


def test_images_built_again_without_a_change_take_seconds(client: docker.DockerClient) -> None:
    """`make images` stands before every run on containers."""
    began = time.monotonic()
    built = subprocess.run(
        [str(ROOT / "scripts" / "images.sh")],
        env={"PATH": os.environ["PATH"], "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=True,
    )
    assert time.monotonic() - began < BUILD_AGAIN_MAX_S
    for image in IMAGES:
        assert f"{image} is up to date" in built.stdout
