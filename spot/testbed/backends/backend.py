"""What a backend is: where the nodes of a run are started, ended and observed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

from spot.testbed.edges import Edge
from spot.testbed.proxied_link import ProxiedLink
from spot.testbed.run import Run

__all__ = ["RUN_VARIABLE", "Backend", "NodeState"]

NodeState = Literal["running", "paused", "exited"]

RUN_VARIABLE = "SPOT_TESTBED_RUN"
"""Marks a run's processes, so that they are found even if the runner died before recording them."""


class Backend(Protocol):
    """The calls that a cluster makes on the place where its nodes run.

    Calls come from one thread at a time, except ``state`` and ``status``. A backend keeps the data
    that another process needs to go on with the run in ``run.nodes`` and ``run.proxy``.
    """

    name: str

    def start(self, run: Run, say: Callable[[str], object]) -> None:
        """Starts all nodes except ``run.late``. Returns without waiting for their links.

        If ``run.proxied``, a proxy stands between every pair from the start. ``say`` is called with
        a few words on each step. Raises ClusterError.
        """

    def stop(self, run: Run) -> None:
        """Ends everything that the run started, recorded or not. Returns when all has ended."""

    def detach(self, run: Run) -> None:
        """Releases what this process holds. The nodes go on."""

    def start_node(self, run: Run, node: str) -> None:
        """Starts one node that has ended, at its old address."""

    def readdress_node(self, run: Run, node: str) -> None:
        """Starts one node that has ended, at another address, and points its proxies there."""

    def limit_cpu(self, run: Run, node: str, share: float | None) -> None:
        """Limits a node to this share of one processor. None: no limit. Raises ClusterError."""

    def cpu_share(self, run: Run, node: str) -> float | None:
        """The share of one processor that ``limit_cpu`` has left to the node. None: no limit."""

    def times_held_back(self, run: Run, node: str) -> int:
        """How often a limit of processor time has stopped the node since its start."""

    def stop_node(self, run: Run, node: str) -> None:
        """Asks one node to leave (SIGTERM), and returns when it has."""

    def kill_node(self, run: Run, node: str) -> None:
        """Ends one node at once (SIGKILL), and returns when it is gone."""

    def pause_node(self, run: Run, node: str) -> None:
        """Pauses one node (SIGSTOP), with its links open."""

    def resume_node(self, run: Run, node: str) -> None:
        """Lets a paused node go on."""

    def state(self, run: Run, node: str) -> NodeState:
        """The state of the node."""

    def status(self, run: Run, node: str) -> dict[str, Any] | None:
        """The node's own status document. None: it doesn't answer."""

    def tell(
        self, run: Run, node: str, command: Mapping[str, Any], timeout: float
    ) -> dict[str, Any] | None:
        """The node's answer to a command (``docs/journal.md``). None: no answer in time."""

    def dialled(self, run: Run, node: str, peer: str) -> str | None:
        """The endpoint at which this node dials that peer. None: the peer dials this node."""

    def address(self, run: Run, node: str) -> str | None:
        """The endpoint at which this machine reaches the node. None: it only dials."""

    def read_log(self, run: Run, node: str, after: int = 0) -> str:
        """The node's log from this character on."""

    def link(self, run: Run, edge: Edge) -> ProxiedLink:
        """The handle of this edge of a proxied run. Raises ProxyError."""

    def proxy_state(self, run: Run) -> NodeState | None:
        """The state of the proxy server. None: the run is not proxied."""

    def read_proxy_log(self, run: Run) -> str:
        """The log of the proxy server; empty when it isn't the run's own."""
