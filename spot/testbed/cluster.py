"""``Cluster``: a whole topology of nodes, to start, watch, break and stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from spot.testbed.backends import Backend, NodeState, make_backend
from spot.testbed.cleanup import sweep
from spot.testbed.edges import edge_between, edges
from spot.testbed.errors import (
    AlreadyUp,
    BadProgram,
    ClusterNotReady,
    NoAnswer,
    NodeExited,
    NotProxied,
    NotUp,
    ProxyExited,
)
from spot.testbed.node_names import check_names, check_topology_name
from spot.testbed.proxied_link import ProxiedLink
from spot.testbed.run import Run, state_directory
from spot.testbed.status import ClusterStatus, NodeStatus
from spot.testbed.topology import Topology, build_topology
from spot.testbed.user_program import OwnProgram, check_status
from spot.testbed.variables import check_node_lists, check_variables

__all__ = ["Cluster", "default_rate"]

LOG_TAIL_LINES = 15
ASKED_AT_ONCE_MAX = 16
POLL_S = 0.02
TELL_TIMEOUT_S = 10.0
"""``quiet`` takes up to 6 s, ``sync`` up to 5 s."""
DELIVERIES_PER_S = 2500.0
RATE_MAX_DEFAULT = 10.0


def default_rate(topology: Topology) -> float:
    """The default rate in messages a second for each topic: 10, or less in a large topology.

    Deliveries grow with the square of a mesh's size. This rate keeps them below 2,500 a second in
    all, so that a demonstration does not load the machine.
    """
    pairs = sum(len(node.topics) * len(topology.nodes) for node in topology.nodes)
    return round(min(RATE_MAX_DEFAULT, DELIVERIES_PER_S / max(pairs, 1)), 2)


class Cluster:
    """A cluster of node programs, usable as a context manager.

    ::

        with Cluster("mesh", nodes=3, proxied=True) as cluster:
            cluster.edge("a", "b").disable()
            cluster.wait_until(lambda status: not status.is_ready, timeout=5)
            cluster.edge("a", "b").enable()
            cluster.wait_ready()

    ``topology``: a name (``two-node``, ``mesh``, ``hub-spoke``) with ``nodes`` (nodes of a mesh,
    spokes of a hub-spoke; None: the default), or a ``Topology``.
    ``backend``: ``process`` or ``docker``.
    ``proxied``: whether a proxy stands between every linked pair, and all of their traffic passes
    it. Of two nodes that add each other, only one dials then. Containers use Toxiproxy. Processes
    use the server at ``TOXIPROXY_URL``, else ``toxiproxy-server`` if it is on PATH, else the
    embedded proxy.
    ``rate``: messages a second that each node publishes to each of its topics. 0: none; None: what
    ``default_rate`` says.
    ``settings``: ``SPOT_*`` variables for all nodes.
    ``files``: directory for logs and journals, kept after ``stop``. None: they go with the run.
    ``journal``: whether nodes record journals.
    ``program``: on processes, the command to run as each node instead of SPOT's node program, such
    as ``["python", "node.py"]``. ``image``: the same on containers, an image. Either must speak
    what ``docs/journal.md`` says.
    ``late``: nodes that are not started with the others. ``restart`` starts each, or healing the
    fault ``late`` does. Nodes can't synchronise with all peers before that, so ``start`` waits only
    for the links of the other nodes.
    ``base_port``: port of the first node; the others take the next ones. None: free ports.
    ``state``: the state directory. None: as ``state_directory`` finds it.

    Entering starts the cluster and waits until it is ready; leaving stops it. ``start`` first
    removes what earlier, killed processes left. Not for use by several threads at once. Errors are
    ``ClusterError``. Names and topics of nodes, and settings, that a variable can't carry are
    refused before anything is started.
    """

    def __init__(
        self,
        topology: Topology | str = "mesh",
        *,
        nodes: int | None = None,
        backend: str = "process",
        proxied: bool = False,
        rate: float | None = None,
        settings: Mapping[str, str] | None = None,
        files: Path | None = None,
        journal: bool = True,
        program: Sequence[str] | None = None,
        image: str | None = None,
        late: Iterable[str] = (),
        base_port: int | None = None,
        state: Path | None = None,
    ) -> None:
        if isinstance(topology, str):
            topology = build_topology(topology, nodes)
        check_topology_name(topology.name)
        check_names(topology.names)
        for node in topology.nodes:
            check_node_lists(node)
        self._topology = topology
        self._backend: Backend = make_backend(backend, base_port=base_port)
        if (program and backend != "process") or (image and backend != "docker"):
            what = f"program {program}" if program else f"image {image}"
            raise BadProgram(
                f"backend {backend} can't have {what} as the node: processes take a program, "
                "containers an image"
            )
        self._program = OwnProgram.found(program) if program is not None else None
        self._image = image
        self._late = frozenset(topology.node(name).name for name in late)
        self._proxied = proxied
        rate = default_rate(topology) if rate is None else rate
        self._settings = {"SPOT_RATE": str(rate), **(settings or {})}
        check_variables(self._settings)
        self._files = files.absolute() if files else None
        self._journal = journal
        self._state = state
        self._run: Run | None = None

    @classmethod
    def attach(cls, run: Run) -> Cluster:
        """The cluster of a run that another process started."""
        cluster = cls(run.topology, backend=run.backend, proxied=run.proxied, settings=run.settings)
        cluster._run = run
        return cluster

    def reload(self) -> None:
        """Reads the run's record again, for changes by other processes such as restarted nodes.

        Raises NotUp when the run has ended.
        """
        try:
            self._run = Run.load(self.run.directory)
        except FileNotFoundError:
            raise NotUp(f"the {self._topology.name} cluster went down") from None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def topology(self) -> Topology:
        """The nodes and how they are linked."""
        return self._topology

    @property
    def run(self) -> Run:
        """The run's record. Raises NotUp before ``start`` and after ``stop``."""
        if self._run is None:
            raise NotUp(f"the {self._topology.name} cluster is not up: call start() first")
        return self._run

    @property
    def addresses(self) -> dict[str, str]:
        """The endpoint of each node that binds, to reach it from this machine."""
        found = {name: self._backend.address(self.run, name) for name in self._topology.names}
        return {name: address for name, address in found.items() if address is not None}

    def start(
        self,
        timeout: float | None = None,
        progress: Callable[[int], object] = lambda ready: None,
        say: Callable[[str], object] = lambda text: None,
    ) -> Self:
        """Starts every node and waits until all are synchronised and all links are up.

        ``timeout`` and ``progress``: as for ``wait_ready``. ``say`` is told what is being started,
        in a few words. Raises NodeExited, ProxyExited, ClusterNotReady, PortInUse, AlreadyUp, and
        on containers EngineMissing, ComposeMissing, ImageMissing, ContainersNotStarted; whatever
        it raises, nothing stays up.
        """
        if self._run is not None:
            raise AlreadyUp(f"the {self._topology.name} cluster was started already")
        state = self._state or state_directory()
        sweep(state)
        self._run = Run.create(
            state,
            self._topology,
            self._backend.name,
            settings=self._settings,
            journal=self._journal,
            files=self._files,
            proxied=self._proxied,
            program=self._program,
            image=self._image,
            late=self._late,
        )
        try:
            self._backend.start(self._run, say)
            if self._late:
                self._wait_for_early(timeout)
            else:
                self.wait_ready(timeout, progress)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Ends all nodes and removes the run. Does nothing when the cluster is not up."""
        if self._run is None:
            return
        self._backend.stop(self._run)
        self._run.remove()
        self._run = None

    def detach(self) -> None:
        """Leaves the cluster up after this process has ended; ``spot down`` ends it."""
        self._backend.detach(self.run)
        self.run.detached = True
        self.run.save()

    def status(self) -> ClusterStatus:
        """The state of nodes and links now. A node that hangs delays the answer by a second."""
        names = self._topology.names
        with ThreadPoolExecutor(min(ASKED_AT_ONCE_MAX, len(names))) as pool:
            nodes = {node.name: node for node in pool.map(self.node_status, names)}
        return ClusterStatus(self._topology, nodes, self._backend.proxy_state(self.run))

    def node_status(self, node: str) -> NodeStatus:
        """The state of one node now. Raises UnknownNode, and BadProgram if the user's own program
        does not answer as a node must.
        """
        run, name = self.run, self._topology.node(node).name
        state = self._backend.state(run, name)
        document = self._backend.status(run, name) if state == "running" else None
        if document is not None and (run.program or run.image):
            check_status(name, document)
        return NodeStatus(name, state, self._backend.address(run, name), document)

    def wait_until(self, holds: Callable[[ClusterStatus], object], timeout: float) -> ClusterStatus:
        """Polls until ``holds(status)`` is true, and returns that status.

        Raises ClusterNotReady after ``timeout`` seconds; the text says what is missing.
        """
        deadline = time.monotonic() + timeout
        while not holds(status := self.status()):
            if time.monotonic() >= deadline:
                raise ClusterNotReady(self._not_ready(status, timeout))
            time.sleep(POLL_S)
        return status

    def wait_ready(
        self, timeout: float | None = None, progress: Callable[[int], object] = lambda ready: None
    ) -> ClusterStatus:
        """Waits until every node is synchronised and every link is up.

        ``progress`` is called with the number of nodes that are ready so far. Raises NodeExited as
        soon as a node has ended, and ClusterNotReady after ``timeout`` seconds (None: 10 s plus
        half a second for each node).
        """
        names = self._topology.names
        timeout = 10.0 + 0.5 * len(names) if timeout is None else timeout
        deadline = time.monotonic() + timeout
        # Asks one node after another until it is ready, and all of them only at the end: a large
        # mesh is busy while it starts.
        ready = 0
        while True:
            if ready < len(names) and self.node_status(names[ready]).is_ready_in(self._topology):
                ready += 1
                progress(ready)
                continue
            if ready == len(names) and (status := self.status()).is_ready:
                return status
            for name in names:
                if self._backend.state(self.run, name) == "exited":
                    self._raise_exited(name)
            if self._backend.proxy_state(self.run) == "exited":
                self._raise_proxy_exited()
            if time.monotonic() >= deadline:
                raise ClusterNotReady(self._not_ready(self.status(), timeout))
            time.sleep(POLL_S)

    def log(self, node: str, after: int = 0) -> str:
        """The log of a node, from this character on. Raises UnknownNode."""
        return self._backend.read_log(self.run, self._topology.node(node).name, after)

    def proxy_log(self) -> str:
        """The log of the proxy server; empty when there is none, or it is not the run's own."""
        return self._backend.read_proxy_log(self.run)

    def edge(self, a: str, b: str) -> ProxiedLink:
        """The proxied link of this pair, in either order, to break and heal it.

        Raises UnknownNode when they are not linked, NotProxied when the cluster has no proxies,
        ProxyError when the proxy server doesn't know it or doesn't answer.
        """
        edge = edge_between(self._topology, a, b)
        if not self.run.proxied:
            raise NotProxied(
                f"the {self._topology.name} cluster runs without proxies: start it with "
                "proxied=True, or 'spot up --proxied'"
            )
        return self._backend.link(self.run, edge)

    def edges(self) -> tuple[ProxiedLink, ...]:
        """The proxied links of all pairs, in the order of the topology's links. Raises as edge."""
        return tuple(self.edge(edge.dialler, edge.listener) for edge in edges(self._topology))

    def journal(self, node: str) -> Path:
        """The file of a node's journal. Raises UnknownNode."""
        return self.run.journal_file(self._topology.node(node).name)

    def state(self, node: str) -> NodeState:
        """Whether a node runs, without asking the node itself. Raises UnknownNode."""
        return self._backend.state(self.run, self._topology.node(node).name)

    def proxy_state(self) -> NodeState | None:
        """The state of the proxy server. None: the cluster is not proxied."""
        return self._backend.proxy_state(self.run)

    def terminate(self, node: str) -> None:
        """Asks a node to leave (SIGTERM; SIGKILL after 5 s). Returns when it is gone.

        Raises UnknownNode.
        """
        self._backend.stop_node(self.run, self._topology.node(node).name)

    def kill(self, node: str) -> None:
        """Ends a node by SIGKILL. Returns when it is gone. Raises UnknownNode."""
        self._backend.kill_node(self.run, self._topology.node(node).name)

    def pause(self, node: str) -> None:
        """Stops a node where it is (SIGSTOP), its connections open. Raises UnknownNode."""
        self._backend.pause_node(self.run, self._topology.node(node).name)

    def resume(self, node: str) -> None:
        """Lets a paused node go on (SIGCONT). Raises UnknownNode."""
        self._backend.resume_node(self.run, self._topology.node(node).name)

    def restart(self, node: str) -> None:
        """Starts a node again, on its old port. A node that still runs gets SIGTERM first.

        Returns when the process is started; ``wait_ready`` waits for its links. Raises UnknownNode.
        """
        name = self._topology.node(node).name
        self._backend.stop_node(self.run, name)
        self._backend.start_node(self.run, name)

    def readdress(self, node: str) -> None:
        """Starts a node again at another address. A node that still runs is killed first.

        A container keeps its name and gets another address; a process gets another port, and the
        proxies then dial that. Raises UnknownNode, NotProxied, ProxyError.
        """
        name = self._topology.node(node).name
        if not self.run.proxied:
            raise NotProxied(
                f"{name} can't get another address: without proxies, peers dial the old"
            )
        # Toxiproxy dials without a timeout. At an address that has just vanished it would block for
        # half a minute, and its edge too. So nothing dials there meanwhile.
        edges_to = [edge for edge in self.edges() if edge.listener == name]
        for edge in edges_to:
            edge.disable()
        self._backend.kill_node(self.run, name)
        self._backend.readdress_node(self.run, name)
        for edge in edges_to:
            edge.enable()

    def limit_cpu(self, node: str, share: float | None) -> None:
        """On containers: limits a node to this share of one processor. None: no limit.

        Raises UnknownNode, and ClusterError on processes.
        """
        self._backend.limit_cpu(self.run, self._topology.node(node).name, share)

    def cpu_share(self, node: str) -> float | None:
        """The share of one processor that ``limit_cpu`` has left to the node. None: no limit.

        Raises UnknownNode.
        """
        return self._backend.cpu_share(self.run, self._topology.node(node).name)

    def times_held_back(self, node: str) -> int:
        """How often ``limit_cpu`` has stopped the node since its start. Raises UnknownNode."""
        return self._backend.times_held_back(self.run, self._topology.node(node).name)

    def tell(self, node: str, do: str, **fields: object) -> dict[str, Any]:
        """Sends a node a command, such as ``tell("a", "remove", peer="b")``; returns its answer.

        Commands, fields and answers stand in ``docs/journal.md``. A ``peer`` that is a node of this
        cluster is sent with the endpoint at which this node dials it, if it does. An answer with
        ``error`` is returned, not raised. Raises UnknownNode, and NoAnswer after 10 s.
        """
        run, name = self.run, self._topology.node(node).name
        peer = fields.get("peer")
        if peer in self._topology.names and "endpoint" not in fields:
            endpoint = self._backend.dialled(run, name, str(peer))
            fields = {**fields, **({"endpoint": endpoint} if endpoint else {})}
        answer = self._backend.tell(run, name, {"do": do, **fields}, TELL_TIMEOUT_S)
        if answer is None:
            raise NoAnswer(
                f"node {name} ({self._backend.state(run, name)}) did not answer to {do!r} on its "
                f"control socket within {TELL_TIMEOUT_S:g} s"
            )
        if do != "status" and not {"ok", "error"} & answer.keys():
            return {"error": f"the program of node {name} takes no commands"}
        return answer

    def _wait_for_early(self, timeout: float | None) -> None:
        early = [name for name in self._topology.names if name not in self._late]
        timeout = 10.0 + 0.5 * len(early) if timeout is None else timeout

        def linked(status: ClusterStatus) -> bool:
            for name in early:
                if status.nodes[name].state == "exited":
                    self._raise_exited(name)
            links = [link for link in status.links if not self._late & set(link.link)]
            answer = all(status.nodes[name].document is not None for name in early)
            return answer and all(link.is_up for link in links)

        self.wait_until(linked, timeout)

    def _raise_exited(self, node: str) -> None:
        tail = self.log(node).splitlines()[-LOG_TAIL_LINES:]
        lines = "\n".join(f"  {line}" for line in tail) or "  (empty)"
        own = self.run.image or (self.run.program and " ".join(self.run.program.argv))
        whose = f" (it is {own})" if own else ""
        raise NodeExited(
            f"node {node}{whose} ended before the cluster was ready. The end of its log:\n{lines}",
            node=node,
            log="\n".join(tail),
        )

    def _raise_proxy_exited(self) -> None:
        tail = "\n".join(f"  {line}" for line in self.proxy_log().splitlines()[-LOG_TAIL_LINES:])
        raise ProxyExited(
            "the proxy server ended, and with it every link. Start the cluster again. The end of "
            f"its log:\n{tail or '  (empty)'}",
            log=tail,
        )

    def _not_ready(self, status: ClusterStatus, timeout: float) -> str:
        lacking = status.lacking() or ["what was waited for did not happen"]
        shown = "\n".join(f"  {line}" for line in lacking[:LOG_TAIL_LINES])
        more = len(lacking) - LOG_TAIL_LINES
        if more > 0:
            shown += f"\n  and {more} more"
        tails: list[str] = []
        for node in status.nodes.values():
            if not node.is_synced and len(tails) < 3:
                last = self.log(node.name).splitlines()[-3:]
                tails += [f"  {node.name} | {line}" for line in last]
        text = f"{self._topology.name} is not ready after {timeout:g} s:\n{shown}"
        if tails:
            text += "\nThe end of their logs:\n" + "\n".join(tails)
        return text + "\nOn a slow machine, allow more time or start fewer nodes."
