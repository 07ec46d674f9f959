"""Nodes as processes of this machine, on 127.0.0.1, each in a session of its own."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any

from spot.config import join_list
from spot.program.control import ask
from spot.program.health import ask_status
from spot.program.settings import JOURNAL_NONE
from spot.testbed.backends.backend import RUN_VARIABLE, NodeState
from spot.testbed.backends.local_proxy import (
    proxied_link,
    proxy_server,
    proxy_state,
    start_proxy,
    stop_proxy,
)
from spot.testbed.edges import Edge, edges
from spot.testbed.errors import ClusterError
from spot.testbed.ports import LOOPBACK, PortReservation
from spot.testbed.process_id import ProcessId, end_processes, marked_processes
from spot.testbed.proxied_link import ProxiedLink
from spot.testbed.run import Run
from spot.testbed.spawn import spawn
from spot.testbed.topology import NodeSpec
from spot.testbed.variables import node_lists

__all__ = ["ProcessBackend"]

STOP_GRACE_S = 5.0
ASK_TIMEOUT_S = 1.0
NODE_COMMAND = (sys.executable, "-P", "-m", "spot.program")
"""``spot node`` without its flags: 30 ms less for each of fifty nodes."""


class ProcessBackend:
    """Starts node programs. ``base_port`` None: ports that are free."""

    name = "process"

    def __init__(self, *, base_port: int | None = None) -> None:
        self._base_port = base_port
        self._ports = PortReservation()

    def start(self, run: Run, say: Callable[[str], object]) -> None:
        """Chooses ports, starts the proxy server and every process, and records them."""
        binding = tuple(node.name for node in run.topology.nodes if node.binds)
        if self._base_port is None:
            ports = self._ports.free(len(binding))
        else:
            ports = self._ports.from_base(self._base_port, binding)
        run.nodes = {name: {} for name in run.topology.names}
        for name, port in zip(binding, ports, strict=True):
            run.nodes[name]["address"] = f"tcp://{LOOPBACK}:{port}"
        run.files.mkdir(parents=True, exist_ok=True)
        if run.proxied:
            say("starting the proxy server")
            dials = start_proxy(run, self._ports)
        else:
            dials = {
                node.name: {peer: str(run.nodes[peer]["address"]) for peer in node.peers}
                for node in run.topology.nodes
            }
        say(f"starting {len(run.nodes)} processes")
        for name, endpoints in dials.items():
            run.nodes[name]["dials"] = endpoints
        for name in run.topology.names:
            if name not in run.late:
                self._spawn(run, name)
        run.save()

    def stop(self, run: Run) -> None:
        """SIGTERM, then SIGKILL, to all that is recorded or marked as this run's.

        The proxy server goes last, so that nodes can say goodbye through it.
        """
        recorded = [
            process for name in run.topology.names if (process := _process(run, name)) is not None
        ]
        server = proxy_server(run)
        for _ in range(2):
            # One that was being started as Ctrl-C came is not recorded, and bears the mark only
            # when the kernel has given it its environment, a moment after it runs.
            marked = set(marked_processes(RUN_VARIABLE, run.run_id))
            end_processes({*recorded, *marked} - {server and server.process}, STOP_GRACE_S)
        stop_proxy(run)
        self._ports.release()

    def detach(self, run: Run) -> None:
        """Lets the reserved ports go; the nodes listen there by now."""
        self._ports.release()

    def start_node(self, run: Run, node: str) -> None:
        """Starts the process again, with the same settings and port."""
        self._spawn(run, node)
        run.save()

    def readdress_node(self, run: Run, node: str) -> None:
        """On another port. Processes have no names: the proxies that lead to it are told."""
        own = PortReservation()
        try:
            where = f"{LOOPBACK}:{own.free(1)[0]}"
            for edge in edges(run.topology):
                if edge.listener == node:
                    proxied_link(run, edge).proxy.set_upstream(where)
            run.nodes[node]["address"] = f"tcp://{where}"
        finally:
            own.release()
        self.start_node(run, node)

    def limit_cpu(self, run: Run, node: str, share: float | None) -> None:
        """Raises ClusterError: it would need a control group, and so root."""
        raise ClusterError("processes can't be given a quota of processor time: take containers")

    def cpu_share(self, run: Run, node: str) -> float | None:
        """None, as processes have no limit."""
        return None

    def times_held_back(self, run: Run, node: str) -> int:
        """0, as processes have no limit."""
        return 0

    def stop_node(self, run: Run, node: str) -> None:
        """SIGTERM; SIGKILL after 5 s."""
        if process := _process(run, node):
            end_processes([process], STOP_GRACE_S)

    def kill_node(self, run: Run, node: str) -> None:
        """SIGKILL."""
        if process := _process(run, node):
            process.send(signal.SIGKILL)
            end_processes([process], STOP_GRACE_S)

    def pause_node(self, run: Run, node: str) -> None:
        """SIGSTOP."""
        if process := _process(run, node):
            process.send(signal.SIGSTOP)

    def resume_node(self, run: Run, node: str) -> None:
        """SIGCONT."""
        if process := _process(run, node):
            process.send(signal.SIGCONT)

    def state(self, run: Run, node: str) -> NodeState:
        """The state that ``/proc`` shows for the process."""
        process = _process(run, node)
        if process is None or not process.is_alive:
            return "exited"
        return "paused" if process.is_paused else "running"

    def status(self, run: Run, node: str) -> dict[str, Any] | None:
        """Asked over the node's control socket."""
        return ask_status(run.control_socket(node), ASK_TIMEOUT_S)

    def tell(
        self, run: Run, node: str, command: Mapping[str, Any], timeout: float
    ) -> dict[str, Any] | None:
        """Over the node's control socket."""
        return ask(run.control_socket(node), json.dumps(command).encode(), timeout)

    def dialled(self, run: Run, node: str, peer: str) -> str | None:
        """As it was recorded at the start."""
        endpoint: str | None = run.nodes[node]["dials"].get(peer)
        return endpoint

    def address(self, run: Run, node: str) -> str | None:
        """The node's endpoint on the loopback interface."""
        address: str | None = run.nodes.get(node, {}).get("address")
        return address

    def read_log(self, run: Run, node: str, after: int = 0) -> str:
        """From the node's log file."""
        try:
            return run.log_file(node).read_text(encoding="utf-8", errors="replace")[after:]
        except FileNotFoundError:
            return ""

    def link(self, run: Run, edge: Edge) -> ProxiedLink:
        """A proxy of the run's server."""
        return proxied_link(run, edge)

    def proxy_state(self, run: Run) -> NodeState | None:
        """By its process."""
        return proxy_state(run)

    def read_proxy_log(self, run: Run) -> str:
        """From its log file."""
        try:
            return run.proxy_log_file.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    def _spawn(self, run: Run, node: str) -> None:
        variables = {
            **run.settings,
            **_node_variables(run, run.topology.node(node)),
            RUN_VARIABLE: run.run_id,
        }
        command = run.program.command if run.program else NODE_COMMAND
        process = spawn(command, run.log_file(node), variables)
        run.nodes[node].update(pid=process.pid, start=process.start)


def _process(run: Run, node: str) -> ProcessId | None:
    recorded = run.nodes.get(node, {})
    return ProcessId(recorded["pid"], recorded["start"]) if "pid" in recorded else None


def _node_variables(run: Run, node: NodeSpec) -> dict[str, str]:
    recorded = run.nodes[node.name]
    return {
        "SPOT_NODE_ID": node.name,
        "SPOT_BIND": recorded.get("address", ""),
        "SPOT_CLUSTER": join_list("cluster", recorded["dials"].values()),
        **node_lists(node),
        **({"SPOT_RELAY": "1"} if node.relay else {}),
        "SPOT_JOURNAL": str(run.journal_file(node.name)) if run.journal else JOURNAL_NONE,
        "SPOT_CONTROL": str(run.control_socket(node.name)),
    }
