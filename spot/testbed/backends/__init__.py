"""Where nodes run. A backend starts, ends and observes the nodes of a run, and decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

from spot.testbed.edges import Edge
from spot.testbed.errors import UnknownBackend
from spot.testbed.proxied_link import ProxiedLink
from spot.testbed.run import Run

__all__ = ["BACKENDS", "RUN_VARIABLE", "Backend", "NodeState", "make_backend"]

NodeState = Literal["running", "paused", "exited"]

BACKENDS = ("process", "docker")

RUN_VARIABLE = "SPOT_TESTBED_RUN"
"""Marks a run's processes: they are found even if the runner died before recording them."""


class Backend(Protocol):
    """What a cluster needs of the place where its nodes run.

    Calls come from one thread at a time, but for ``state`` and ``status``. A backend keeps in
    ``run.nodes`` and ``run.proxy`` what another process needs to go on with the run.
    """

    name: str

    def start(self, run: Run, say: Callable[[str], object]) -> None:
        """Starts all nodes but ``run.late`` at once; returns without waiting for their links.

        If ``run.proxied``, a proxy stands between every pair from the beginning. ``say`` is told
        what it is doing, in a few words each. Raises ClusterError.
        """

    def stop(self, run: Run) -> None:
        """Ends everything that the run has started, recorded or not; returns when it is gone."""

    def detach(self, run: Run) -> None:
        """Lets go of what only this process holds; the nodes go on."""

    def start_node(self, run: Run, node: str) -> None:
        """Starts one node that has ended, at its old address."""

    def readdress_node(self, run: Run, node: str) -> None:
        """Starts one node that has ended, at another address, to which its proxies lead then."""

    def limit_cpu(self, run: Run, node: str, share: float | None) -> None:
        """Leaves a node this share of one processor. None: no limit. Raises ClusterError."""

    def cpu_share(self, run: Run, node: str) -> float | None:
        """The share of one processor that ``limit_cpu`` has left to the node. None: no limit."""

    def times_held_back(self, run: Run, node: str) -> int:
        """How often a limit of processor time has held the node since it was started."""

    def stop_node(self, run: Run, node: str) -> None:
        """Asks one node to leave (SIGTERM), and returns when it has."""

    def kill_node(self, run: Run, node: str) -> None:
        """Ends one node at once (SIGKILL), and returns when it is gone."""

    def pause_node(self, run: Run, node: str) -> None:
        """Holds one node still (SIGSTOP), links open."""

    def resume_node(self, run: Run, node: str) -> None:
        """Lets a paused node go on."""

    def state(self, run: Run, node: str) -> NodeState:
        """What has become of the node."""

    def status(self, run: Run, node: str) -> dict[str, Any] | None:
        """The node's own status document. None: it doesn't answer."""

    def tell(
        self, run: Run, node: str, command: Mapping[str, Any], timeout: float
    ) -> dict[str, Any] | None:
        """The node's answer to a command (``docs/history.md``). None: none in ``timeout`` s."""

    def dialled(self, run: Run, node: str, peer: str) -> str | None:
        """The endpoint at which this node dials that peer. None: it doesn't, the peer dials it."""

    def address(self, run: Run, node: str) -> str | None:
        """The endpoint at which this machine reaches the node. None: it only dials."""

    def read_log(self, run: Run, node: str, after: int = 0) -> str:
        """The node's log from this character on."""

    def link(self, run: Run, edge: Edge) -> ProxiedLink:
        """The handle of this edge of a proxied run. Raises ProxyError."""

    def proxy_state(self, run: Run) -> NodeState | None:
        """What has become of the proxy server. None: the run is not proxied."""

    def read_proxy_log(self, run: Run) -> str:
        """The log of the proxy server; empty when it isn't the run's own."""


def make_backend(name: str, *, base_port: int | None = None) -> Backend:
    """The backend of this name. Raises UnknownBackend.

    ``base_port``: the first node binds it, the next ones those that follow. None: free ports.
    """
    if name == "process":
        from spot.testbed.backends.process import ProcessBackend

        return ProcessBackend(base_port=base_port)
    if name == "docker":
        # Its packages take a quarter of a second to import.
        from spot.testbed.backends.docker import DockerBackend

        return DockerBackend(base_port=base_port)
    raise UnknownBackend(f"there is no backend {name!r}: take {', '.join(BACKENDS)}")
