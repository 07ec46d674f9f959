"""The container engine: whether it answers, and whether it has what the testbed needs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, replace
from typing import Any

import docker
from docker.errors import DockerException, ImageNotFound

from spot.testbed.compose import VERSIONS
from spot.testbed.engine_endpoint import EngineEndpoint
from spot.testbed.errors import ComposeMissing, EngineMissing, ImageMissing

__all__ = [
    "COMPOSE_MIN",
    "Images",
    "compose_version",
    "connect",
    "require_compose",
    "require_images",
]

CONNECT_TIMEOUT_S = 2
"""An engine that takes longer to answer is too slow for a cluster."""
CALL_TIMEOUT_S = 60
COMMAND_TIMEOUT_S = 10.0
COMPOSE_MIN = (2, 24)
"""The first version with ``!override`` and ``!reset``, which the proxied overlays use."""


def connect(
    endpoint: EngineEndpoint | None = None, timeout: int = CONNECT_TIMEOUT_S
) -> docker.DockerClient:
    """A client of the engine at ``endpoint``. None: the engine that the docker command would use.

    ``timeout``: seconds in which it must answer a ping. Later calls may take a minute. Raises
    EngineMissing, or its subclass ContextMissing if a Docker context names no engine.
    """
    endpoint = endpoint or EngineEndpoint.current()
    try:
        client = docker.from_env(
            environment=dict(endpoint.variables), use_context=False, timeout=timeout
        )
    except (DockerException, ValueError) as error:
        raise EngineMissing(_why_not(error, endpoint)) from error
    try:
        client.ping()
    except (DockerException, OSError) as error:
        client.close()
        raise EngineMissing(_why_not(error, endpoint)) from error
    client.api.timeout = CALL_TIMEOUT_S
    return client


def _why_not(error: Exception, endpoint: EngineEndpoint) -> str:
    causes: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        causes.append(f"{type(cause).__name__} {cause}")
        cause = cause.__cause__ or cause.__context__
    if any("PermissionError" in text or "Permission denied" in text for text in causes):
        return (
            f"a container engine runs at {endpoint}, but you may not use it: become a member of "
            "its group ('sudo usermod -aG docker $USER', then log in again), or take "
            "BACKEND=process"
        )
    if endpoint.context:
        return (
            f"no container engine answers at {endpoint.host}, of the Docker context "
            f"{endpoint.context!r}: start it, choose another context ('docker context use "
            "default'), or take BACKEND=process"
        )
    if os.environ.get("DOCKER_HOST"):
        return (
            f"no container engine answers at DOCKER_HOST={endpoint.host}: start it, unset "
            "DOCKER_HOST, or take BACKEND=process"
        )
    return (
        "no container engine answers: start yours, install one (scripts/engine.sh does on "
        "Debian), or take BACKEND=process"
    )


def compose_version() -> str | None:
    """The version of ``docker compose``. None: it doesn't run."""
    if shutil.which("docker") is None:
        return None
    try:
        answer = subprocess.run(
            ["docker", "compose", "version", "--short"],  # noqa: S607  as the user would call it
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = answer.stdout.strip().removeprefix("v")
    return version if answer.returncode == 0 and version else None


def require_compose() -> str:
    """The version of ``docker compose``. Raises ComposeMissing if it is too old or doesn't run."""
    least = ".".join(map(str, COMPOSE_MIN))
    how = (
        f"install Docker's compose plugin, {least} or newer (scripts/engine.sh does on Debian), "
        "or take BACKEND=process"
    )
    version = compose_version()
    if version is None:
        raise ComposeMissing(f"an engine answers, but 'docker compose' doesn't run: {how}")
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if numbers < COMPOSE_MIN:
        raise ComposeMissing(f"'docker compose' is {version}, which is too old: {how}")
    return version


@dataclass(frozen=True)
class Images:
    """The names of the images of nodes and of Toxiproxy."""

    node: str
    proxy: str

    @classmethod
    def from_env(cls) -> Images:
        """The images of this version, or those that the variables of ``compose/.env`` name."""

        def name(image: str, default: str, version: str) -> str:
            tag = os.environ.get(version) or VERSIONS[version]
            return f"{os.environ.get(image) or default}:{tag}"

        return cls(
            node=name("SPOT_NODE_IMAGE", "spot-node", "SPOT_VERSION"),
            proxy=name("TOXIPROXY_IMAGE", "spot-toxiproxy", "TOXIPROXY_VERSION"),
        )

    def missing(self, client: docker.DockerClient) -> list[str]:
        """The images that the engine doesn't have."""
        return [name for name in (self.node, self.proxy) if image_attributes(client, name) is None]


def image_attributes(client: docker.DockerClient, name: str) -> dict[str, Any] | None:
    """The engine's attributes of an image. None: it doesn't have it. Raises EngineMissing."""
    try:
        attributes: dict[str, Any] = client.images.get(name).attrs
    except ImageNotFound:
        return None
    except (DockerException, OSError) as error:
        raise EngineMissing(f"the container engine failed: {error}") from error
    return attributes


def require_images(client: docker.DockerClient, node: str | None = None) -> Images:
    """The images; ``node``: the user's own image. Raises ImageMissing if one isn't there."""
    images = Images.from_env()
    if node is not None:
        if image_attributes(client, node) is None:
            raise ImageMissing(
                f"the engine has no image {node}, which should be the node: build it or "
                "'docker pull' it first, and name it with its tag"
            )
        images = replace(images, node=node)
    missing = images.missing(client)
    if missing:
        raise ImageMissing(
            f"the engine has no image {' and no image '.join(missing)}: 'make images' builds them "
            "in a clone of the repository; or name others by SPOT_NODE_IMAGE and TOXIPROXY_IMAGE "
            "and 'docker pull' them; or take BACKEND=process"
        )
    return images
