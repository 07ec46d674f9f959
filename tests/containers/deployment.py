"""A shipped compose file, started under a name, ports and addresses of its own."""

from __future__ import annotations

import itertools
import json
import random
import time
import urllib.request
from collections.abc import Callable
from ipaddress import IPv4Network
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import docker
from docker.models.containers import Container
from testcontainers.compose import DockerCompose

from spot.testbed import Topology, build_topology
from spot.testbed.compose import (
    NODE_PORT,
    PROXY_API_PORT,
    PROXY_SERVICE,
    node_network,
)
from spot.testbed.subnets import routed_networks
from tests.containers.engine import project_name

__all__ = ["Deployment", "StartDeployment", "wait_until"]

COMPOSE = Path(__file__).parents[2] / "compose"
ESTABLISHED = "01"
_number = itertools.count(1)


class StartDeployment(Protocol):
    """The fixture ``start``."""

    def __call__(self, topology: str, *, proxied: bool = False) -> Deployment: ...


class Deployment:
    """One shipped topology on the engine, from entering until leaving."""

    def __init__(
        self, client: docker.DockerClient, topology: str, files: Path, *, proxied: bool
    ) -> None:
        self.topology: Topology = build_topology(topology)
        self.project = project_name(f"{topology}-{next(_number)}")
        self._client = client
        env = files / f"{self.project}.env"
        variables = {
            "COMPOSE_PROJECT_NAME": self.project,
            "SPOT_NETWORK": _free_network(),
            "SPOT_RATE": "20",
            "TOXIPROXY_PORT": "0",
            **{f"SPOT_PORT_{name.upper().replace('-', '_')}": "0" for name in self.topology.names},
        }
        env.write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
        overlay = [f"{topology}.proxied.yaml"] if proxied else []
        self.compose = DockerCompose(
            COMPOSE, [f"{topology}.yaml", *overlay], env_file=[".env", str(env)], wait=True
        )

    def __enter__(self) -> Self:
        self.compose.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.compose.stop()

    def container(self, service: str) -> Container:
        """The container of a node, or of ``toxiproxy``, as it is now."""
        found: list[Container] = self._client.containers.list(
            all=True, filters={"label": self._labels(f"com.docker.compose.service={service}")}
        )
        assert len(found) == 1, f"{self.project} has {len(found)} containers of {service}"
        return found[0]

    def left_behind(self) -> list[str]:
        """Names of the project's containers, networks and volumes."""
        label: dict[str, Any] = {"label": self._labels()}
        engine = self._client
        containers = [str(found.name) for found in engine.containers.list(True, filters=label)]
        networks = [str(found.name) for found in engine.networks.list(filters=label)]
        volumes = [str(found.id) for found in engine.volumes.list(filters=label)]
        return containers + networks + volumes

    def run_in(self, service: str, *command: str) -> str:
        """What this command prints inside the container. AssertionError when it fails."""
        code, output = self.container(service).exec_run(list(command))
        assert isinstance(output, bytes)
        text = output.decode()
        assert code == 0, f"{command} in {service} ended with {code}: {text}"
        return text

    def status(self, node: str) -> dict[str, Any]:
        """The status document of a node."""
        document: dict[str, Any] = json.loads(
            self.run_in(node, "spot", "node", "--check", "--json")
        )
        return document

    def peers_up(self, node: str) -> set[str]:
        """The nodes to which this one says it has a link."""
        return {peer["node"] for peer in self.status(node)["peers"] if peer["state"] == "up"}

    def address(self, service: str, network: str) -> str:
        """The container's address on one of the project's networks."""
        networks = self.container(service).attrs["NetworkSettings"]["Networks"]
        address: str = networks[f"{self.project}_{network}"]["IPAddress"]
        return address

    def endpoint(self, node: str) -> str:
        """Where this machine reaches a node of a plain deployment."""
        return f"tcp://127.0.0.1:{self._host_port(node, NODE_PORT)}"

    def connections(self, node: str) -> list[tuple[str, int, int]]:
        """(remote address, remote port, local port) of a node's TCP connections."""
        found = []
        table = self.run_in(node, "cat", "/proc/net/tcp")
        for line in table.splitlines()[1:]:
            _, local, remote, state = line.split()[:4]
            if state == ESTABLISHED:
                address, port = remote.split(":")
                octets = bytes.fromhex(address)[::-1]
                found.append(
                    (".".join(map(str, octets)), int(port, 16), int(local.split(":")[1], 16))
                )
        return found

    def proxy_address(self, node: str) -> str:
        """Toxiproxy's address on the network that it shares with this node."""
        return self.address(PROXY_SERVICE, node_network(node))

    def set_proxy(self, name: str, *, enabled: bool) -> None:
        """Enables or disables one of Toxiproxy's proxies, over its API."""
        port = self._host_port(PROXY_SERVICE, PROXY_API_PORT)
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/proxies/{name}",
            json.dumps({"enabled": enabled}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=5) as answer:
            assert json.load(answer)["enabled"] is enabled

    def _host_port(self, service: str, port: int) -> int:
        ports = self.container(service).attrs["NetworkSettings"]["Ports"]
        return int(ports[f"{port}/tcp"][0]["HostPort"])

    def _labels(self, *others: str) -> list[str]:
        return [f"com.docker.compose.project={self.project}", *others]


def wait_until(holds: Callable[[], object], timeout: float, what: str) -> None:
    """Polls until ``holds()`` is true. AssertionError naming ``what`` after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while not holds():
        assert time.monotonic() < deadline, f"not within {timeout:g} s: {what}"
        time.sleep(0.1)


def _free_network() -> str:
    """Two numbers of which nothing on this machine has an address, nor the shipped default."""
    taken = routed_networks()
    free = [
        f"10.{number}"
        for number in range(214, 255)
        if not any(IPv4Network(f"10.{number}.0.0/16").overlaps(other) for other in taken)
    ]
    return random.choice(free)
