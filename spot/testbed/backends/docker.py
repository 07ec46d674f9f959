"""Nodes as containers of this machine's engine, started by compose, with Toxiproxy between them.

``docker compose`` starts a run; from then on the engine is asked by the docker SDK. Nodes answer
for their status on sockets in a folder that they share with this machine: a hundred times as quick
as ``docker exec``.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Network
from typing import Any
from urllib.parse import urlsplit

import docker
from docker.errors import APIError, DockerException, NotFound
from docker.models.containers import Container
from docker.models.networks import Network

from spot.program.control import ask
from spot.program.health import ask_status
from spot.testbed.backends.backend import NodeState
from spot.testbed.backends.compose_project import (
    SubnetRefused,
    compose_up,
    container_name,
    end_compose,
    project_name,
    write_project,
)
from spot.testbed.backends.labels import RUN_LABEL, orphaned_runs
from spot.testbed.compose import (
    NODE_PORT,
    PROXY_SERVICE,
    edge_endpoint,
    node_network,
    peer_endpoint,
)
from spot.testbed.edges import Edge, edge_between
from spot.testbed.engine import connect, require_compose, require_images
from spot.testbed.engine_endpoint import EngineEndpoint
from spot.testbed.errors import ClusterError
from spot.testbed.ports import LOOPBACK, PortReservation
from spot.testbed.proxied_link import ProxiedLink
from spot.testbed.proxy import ProxyError, ProxyNotStarted, Toxiproxy
from spot.testbed.run import Run

__all__ = ["DockerBackend", "sweep_engine"]

STOP_GRACE_S = 5
CPU_PERIOD_US = 100_000
CPU_QUOTA_MIN_US = 1000
"""Linux takes no smaller quota."""
ASK_TIMEOUT_S = 1.0
START_TIMEOUT_S = 60.0
START_TIMEOUT_NODE_S = 2.0
PROXY_TIMEOUT_S = 10.0
SUBNET_TRIES = 3
AT_ONCE_MAX = 8
SETTLE_S = 1.0
REMOVE_TIMEOUT_S = 15.0
POLL_S = 0.02


class DockerBackend:
    """Starts containers. ``base_port`` None: published on ports that are free."""

    name = "docker"

    def __init__(self, *, base_port: int | None = None) -> None:
        self._base_port = base_port
        self._ports = PortReservation()
        self._interrupted = False
        self._connecting = threading.Lock()
        self._connected: docker.DockerClient | None = None

    def start(self, run: Run, say: Callable[[str], object]) -> None:
        """Writes compose files and brings them up. Raises ClusterError."""
        require_compose()
        endpoint = EngineEndpoint.current()
        run.engine = dict(endpoint.variables)
        self._connected = connect(endpoint)
        sweep_engine(self._client(run))
        images = require_images(self._client(run), run.image)
        run.files.mkdir(parents=True, exist_ok=True)
        ports = self._choose_ports(run)
        run.nodes = {name: {} for name in run.topology.names}
        if run.proxied:
            run.proxy = {"url": f"http://{LOOPBACK}:{ports[PROXY_SERVICE]}"}
        run.save()
        timeout = START_TIMEOUT_S + START_TIMEOUT_NODE_S * len(run.nodes)
        for tries_left in reversed(range(SUBNET_TRIES)):
            files = write_project(run, images, self._client(run))
            try:
                compose_up(run, files, ports, endpoint, timeout, say)
                break
            except SubnetRefused:
                # Another run chose the same addresses at the same moment.
                remove_run(self._client(run), run.run_id, interrupted=True)
                if not tries_left:
                    raise
            except BaseException:
                self._interrupted = True
                raise
        for name in run.topology.names:
            self._record_address(run, name)
        run.save()
        if run.proxied:
            self._wait_for_proxy(run)

    def stop(self, run: Run) -> None:
        """SIGTERM, then SIGKILL, to all containers with the run's label, and removes its networks.

        Toxiproxy goes last, so that nodes can say goodbye through it. Logs are kept if the run's
        files are.
        """
        interrupted = end_compose(run.run_id) or self._interrupted
        if run.files != run.directory:
            end_nodes(self._client(run), run.run_id)
            self._keep_logs(run)
        remove_run(self._client(run), run.run_id, interrupted=interrupted)
        self._ports.release()

    def detach(self, run: Run) -> None:
        """Lets the reserved ports go; the engine listens there by now."""
        self._ports.release()

    def start_node(self, run: Run, node: str) -> None:
        """Starts the container again, with the same settings and published port."""
        with _told():
            self._container(run, node).start()
        self._record_address(run, node)
        run.save()

    def readdress_node(self, run: Run, node: str) -> None:
        """Starts the node at another address of its own network, under its old name."""
        with _told():
            container = self._container(run, node)
            network = self._client(run).networks.get(f"{project_name(run)}_{node_network(node)}")
            taken = self._attributes(run, node)["NetworkSettings"]["Networks"]
            aliases = taken[network.name]["Aliases"]
            network.disconnect(container)
            # The engine forgets a container's aliases with the disconnect (moby#24322).
            network.connect(container, aliases=aliases, ipv4_address=self._free_address(run, node))
        self.start_node(run, node)

    def limit_cpu(self, run: Run, node: str, share: float | None) -> None:
        """A quota of the engine."""
        quota = -1 if share is None else max(CPU_QUOTA_MIN_US, round(share * CPU_PERIOD_US))
        with _told():
            self._container(run, node).update(cpu_period=CPU_PERIOD_US, cpu_quota=quota)

    def cpu_share(self, run: Run, node: str) -> float | None:
        """The node's quota, as the engine tells it."""
        quota = self._attributes(run, node)["HostConfig"].get("CpuQuota") or 0
        return quota / CPU_PERIOD_US if quota > 0 else None

    def times_held_back(self, run: Run, node: str) -> int:
        """As the engine counts it."""
        with _told():
            stats = self._client(run).api.stats(
                container_name(run, node), stream=False, one_shot=True
            )
        times: int = stats["cpu_stats"]["throttling_data"]["throttled_periods"]
        return times

    def stop_node(self, run: Run, node: str) -> None:
        """SIGTERM; SIGKILL after 5 s."""
        with _told():
            end_container(self._container(run, node))

    def kill_node(self, run: Run, node: str) -> None:
        """SIGKILL."""
        if self.state(run, node) == "exited":
            return
        with _told():
            container = self._container(run, node)
            container.kill()
            container.wait(timeout=STOP_GRACE_S)

    def pause_node(self, run: Run, node: str) -> None:
        """``docker pause``: neither FIN nor RST is sent."""
        if self.state(run, node) == "running":
            with _told():
                self._container(run, node).pause()

    def resume_node(self, run: Run, node: str) -> None:
        """``docker unpause``."""
        if self.state(run, node) == "paused":
            with _told():
                self._container(run, node).unpause()

    def state(self, run: Run, node: str) -> NodeState:
        """By what the engine says of the container."""
        return self._state(run, node)

    def status(self, run: Run, node: str) -> dict[str, Any] | None:
        """Asked over the node's control socket."""
        return ask_status(run.control_socket(node), ASK_TIMEOUT_S)

    def tell(
        self, run: Run, node: str, command: Mapping[str, Any], timeout: float
    ) -> dict[str, Any] | None:
        """Over the node's control socket."""
        return ask(run.control_socket(node), json.dumps(command).encode(), timeout)

    def dialled(self, run: Run, node: str, peer: str) -> str | None:
        """As the compose files say it."""
        if not run.proxied:
            return peer_endpoint(peer) if peer in run.topology.node(node).peers else None
        edge = edge_between(run.topology, node, peer)
        return edge_endpoint(edge) if edge.dialler == node else None

    def address(self, run: Run, node: str) -> str | None:
        """Its published port; behind proxies the container's own address."""
        address: str | None = run.nodes.get(node, {}).get("address")
        return address

    def read_log(self, run: Run, node: str, after: int = 0) -> str:
        """From the engine."""
        return self._log(run, node)[after:]

    def link(self, run: Run, edge: Edge) -> ProxiedLink:
        """A proxy of the run's Toxiproxy."""
        proxy = self._toxiproxy(run).get_proxy(edge.name)
        if proxy is None:
            raise ProxyError(
                f"Toxiproxy has lost the edge {edge.name}: was it reset? Start the cluster again"
            )
        networks = self._attributes(run, PROXY_SERVICE)["NetworkSettings"]["Networks"]
        address = networks[f"{project_name(run)}_outside"]["IPAddress"]
        return ProxiedLink(edge.dialler, edge.listener, proxy, (address, edge.port))

    def proxy_state(self, run: Run) -> NodeState | None:
        """By what the engine says of its container."""
        return self._state(run, PROXY_SERVICE) if run.proxied else None

    def read_proxy_log(self, run: Run) -> str:
        """From the engine."""
        return self._log(run, PROXY_SERVICE) if run.proxied else ""

    def _client(self, run: Run) -> docker.DockerClient:
        """Of the engine on which the run was started, whichever is the current one by now."""
        with self._connecting:
            if self._connected is None:
                self._connected = connect(EngineEndpoint(run.engine) if run.engine else None)
            return self._connected

    def _choose_ports(self, run: Run) -> dict[str, int]:
        if run.proxied:  # nodes are on networks that lead nowhere else, so they publish nothing
            return {PROXY_SERVICE: self._ports.free(1)[0]}
        binding = tuple(node.name for node in run.topology.nodes if node.binds)
        if self._base_port is None:
            ports = self._ports.free(len(binding))
        else:
            ports = self._ports.from_base(self._base_port, binding)
        return dict(zip(binding, ports, strict=True))

    def _record_address(self, run: Run, node: str) -> None:
        if not run.topology.node(node).binds:
            return
        network = self._attributes(run, node)["NetworkSettings"]
        if run.proxied:
            own = f"{project_name(run)}_{node_network(node)}"
            where = f"{network['Networks'][own]['IPAddress']}:{NODE_PORT}"
            if where.startswith(":"):
                return  # it ended at once
        else:
            published = (network["Ports"] or {}).get(f"{NODE_PORT}/tcp")
            if not published:
                return
            where = f"{published[0]['HostIp']}:{published[0]['HostPort']}"
        run.nodes[node]["address"] = f"tcp://{where}"

    def _free_address(self, run: Run, node: str) -> str:
        """An address of the node's own network that is not in use, and that the node never had."""
        own = f"{project_name(run)}_{node_network(node)}"
        network = self._client(run).networks.get(own)
        taken = {network.attrs["IPAM"]["Config"][0].get("Gateway")}
        taken |= {
            one["IPv4Address"].partition("/")[0] for one in network.attrs["Containers"].values()
        }
        taken.add(urlsplit(run.nodes[node]["address"]).hostname)
        subnet = IPv4Network(network.attrs["IPAM"]["Config"][0]["Subnet"])
        return next(str(one) for one in list(subnet.hosts())[1:] if str(one) not in taken)

    def _wait_for_proxy(self, run: Run) -> None:
        client = self._toxiproxy(run)
        deadline = time.monotonic() + PROXY_TIMEOUT_S
        while not client.running():
            state = self._state(run, PROXY_SERVICE)
            if state != "running" or time.monotonic() >= deadline:
                what = "ended at once" if state == "exited" else "doesn't answer"
                tail = "\n".join(f"  {line}" for line in self.read_proxy_log(run).splitlines()[-5:])
                raise ProxyNotStarted(
                    f"the container of Toxiproxy {what}. The end of its log:\n{tail or '  (empty)'}"
                )
            time.sleep(POLL_S)

    def _toxiproxy(self, run: Run) -> Toxiproxy:
        if run.proxy is None:
            raise ProxyError(f"run {run.run_id} has no proxy server")
        return Toxiproxy(run.proxy["url"])

    def _container(self, run: Run, service: str) -> Container:
        return self._client(run).containers.get(container_name(run, service))

    def _attributes(self, run: Run, service: str) -> dict[str, Any]:
        with _told():
            attributes: dict[str, Any] = self._client(run).api.inspect_container(
                container_name(run, service)
            )
        return attributes

    def _state(self, run: Run, service: str) -> NodeState:
        try:
            state = self._client(run).api.inspect_container(container_name(run, service))["State"]
        except NotFound:
            return "exited"
        except (DockerException, OSError) as error:
            raise ClusterError(_trouble(error)) from error
        if state["Paused"]:
            return "paused"
        return "running" if state["Running"] else "exited"

    def _log(self, run: Run, service: str) -> str:
        try:
            text: bytes = self._container(run, service).logs()
        except NotFound:
            return ""
        except (DockerException, OSError) as error:
            raise ClusterError(_trouble(error)) from error
        return text.decode(errors="replace")

    def _keep_logs(self, run: Run) -> None:
        logs = {run.log_file(name): name for name in run.topology.names}
        if run.proxied:
            logs[run.proxy_log_file] = PROXY_SERVICE
        for path, service in logs.items():
            if text := self._log(run, service):
                path.write_text(text, encoding="utf-8")


def sweep_engine(client: docker.DockerClient) -> list[str]:
    """Ends this user's runs that belong to nobody any more, wherever their records are or were.

    Returns their ids. See ``orphaned_runs`` for what is left alone.
    """
    swept = []
    for run_id, run in orphaned_runs(client):
        remove_run(client, run_id, interrupted=end_compose(run_id))
        if run is not None:
            run.remove()
        swept.append(run_id)
    return swept


def remove_run(client: docker.DockerClient, run_id: str, *, interrupted: bool = False) -> None:
    """Ends and removes every container and network with this run's label.

    ``interrupted``: a compose was ended at its work, so the engine may still be making what it had
    asked for: whatever appears within a second is removed, too.
    """
    deadline = time.monotonic() + REMOVE_TIMEOUT_S
    quiet_since = time.monotonic()
    while True:
        if _remove_what_is_there(client, run_id, deadline):
            quiet_since = time.monotonic()
        elif not interrupted or time.monotonic() - quiet_since >= SETTLE_S:
            return
        time.sleep(SETTLE_S / 20)


def _remove_what_is_there(client: docker.DockerClient, run_id: str, deadline: float) -> bool:
    """Removes what it finds. Returns whether it found something: then there may be more."""
    end_nodes(client, run_id)
    with _told():
        containers = _containers(client, run_id)
        _at_once(_remove_container, containers)
        networks = client.networks.list(filters=_of_run(run_id))
        for network in networks:
            _remove_network(client, network, deadline)
    return bool(containers or networks)


def _remove_network(client: docker.DockerClient, network: Network, deadline: float) -> None:
    """Removes a network, unless a container is in it yet.

    The engine may still be making that container, or may have removed it and not yet released its
    endpoint. If the engine forgot an endpoint, it is removed by force. Raises APIError if one stays
    until ``deadline``.
    """
    try:
        with _gone_already():
            network.remove()
    except APIError as error:
        left = deadline - time.monotonic()
        if "has active endpoints" not in str(error) or left <= 0:
            raise
        if left <= REMOVE_TIMEOUT_S / 2:
            _release_endpoints(client, network)


def _release_endpoints(client: docker.DockerClient, network: Network) -> None:
    """Takes containers that are gone out of a network that still counts them."""
    with _gone_already():
        network.reload()
    for endpoint in (network.attrs.get("Containers") or {}).values():
        try:
            client.containers.get(endpoint["Name"])
        except NotFound:
            with contextlib.suppress(APIError):
                network.disconnect(endpoint["Name"], force=True)


def end_nodes(client: docker.DockerClient, run_id: str) -> None:
    """Ends the nodes of a run; their containers and logs stay."""
    with _told():
        containers = _containers(client, run_id)
        _at_once(end_container, [one for one in containers if _service(one) != PROXY_SERVICE])


def _containers(client: docker.DockerClient, run_id: str) -> list[Container]:
    return client.containers.list(all=True, filters=_of_run(run_id), ignore_removed=True)


def _of_run(run_id: str) -> dict[str, str | list[str] | bool]:
    return {"label": f"{RUN_LABEL}={run_id}"}


def _service(container: Container) -> str:
    return container.labels.get("com.docker.compose.service", "")


def end_container(container: Container) -> None:
    """SIGTERM; SIGKILL after 5 s. Does nothing when it has ended."""
    with _gone_already():
        container.reload()
        if container.status == "paused":
            container.unpause()  # it could not leave
        container.stop(timeout=STOP_GRACE_S)


def _remove_container(container: Container) -> None:
    with _gone_already():
        container.remove(force=True, v=True)


def _at_once(work: Callable[[Container], None], containers: Iterable[Container]) -> None:
    with ThreadPoolExecutor(AT_ONCE_MAX) as pool:
        list(pool.map(work, containers))


@contextlib.contextmanager
def _gone_already() -> Iterator[None]:
    """Passes over what another sweep has removed, or is removing."""
    try:
        yield
    except NotFound:
        return
    except APIError as error:
        if "is already in progress" not in str(error):
            raise


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Turns the SDK's errors into ours."""
    try:
        yield
    except (DockerException, OSError) as error:
        raise ClusterError(_trouble(error)) from error


def _trouble(error: Exception) -> str:
    return (
        f"the container engine failed: {error}. If it was stopped, start it and call 'spot down', "
        "which sweeps what is left"
    )
