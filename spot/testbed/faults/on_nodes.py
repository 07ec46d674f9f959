"""The common parts of faults on nodes: their target and effect, and the proofs of a node's end and
its return.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from spot.testbed.errors import ClusterError
from spot.testbed.evidence import Effect, Notice, Proof
from spot.testbed.faults.fault import Action, Fault, Proofs
from spot.testbed.faults.starved import is_starved

if TYPE_CHECKING:
    from spot.testbed.backends import NodeState
    from spot.testbed.cluster import Cluster
    from spot.testbed.faults.groups import Pairs
    from spot.testbed.faults.wording import Words
    from spot.testbed.topology import Topology

__all__ = ["NodeDown", "OneNode", "down", "in_state", "links_of", "require_running", "runs_again"]

STATE_TIMEOUT_S = 2.0
ANSWER_TIMEOUT_S = 10.0
POLL_S = 0.01


@dataclass(frozen=True)
class OneNode(Fault):
    """A fault of one node."""

    node: str

    @classmethod
    def parse(cls, words: Words) -> Self:
        """Takes a node."""
        return cls(words.node())

    @property
    def target(self) -> str:
        """The node."""
        return self.node

    def check(self, topology: Topology) -> None:
        """Raises UnknownNode if the topology has no such node."""
        topology.node(self.node)


def links_of(topology: Topology, node: str) -> Pairs:
    """All links of a node, both ways."""
    pairs = [link for link in topology.links if node in link]
    return frozenset([*pairs, *((b, a) for a, b in pairs)])


def down(topology: Topology, node: str, notice: Notice) -> Effect:
    """The effect of a node that does not run."""
    return Effect(severed=links_of(topology, node), notice=notice, down=frozenset({node}))


def require_running(cluster: Cluster, node: str, fault: Fault) -> None:
    """Raises ClusterError if the node does not run, or is starved.

    Then the fault would do nothing, or the starving would undo it at once.
    """
    if is_starved(cluster, node):
        raise ClusterError(f"'{fault}' needs {node} running, and it is starved: heal that first")
    state = cluster.state(node)
    if state != "running":
        raise ClusterError(f"'{fault}' needs {node} running, and it is {state}: heal that first")


def in_state(cluster: Cluster, node: str, wanted: NodeState) -> Proof:
    """Proves by the operating system or the engine that the node is in this state."""
    begun = time.monotonic()
    words = {"exited": "does not run", "paused": "is held still", "running": "runs"}
    while (state := cluster.state(node)) != wanted:
        if time.monotonic() - begun >= STATE_TIMEOUT_S:
            break
        time.sleep(POLL_S)
    what = {"process": "process", "docker": "container"}[cluster.run.backend]
    return Proof(f"the {what} of {node} {words[wanted]}", state == wanted, f"it is {state}")


def runs_again(cluster: Cluster, node: str) -> Proof:
    """Proves that the node runs and answers within 10 s."""
    begun = time.monotonic()
    wanted = f"{node} runs and answers"
    while True:
        status = cluster.node_status(node)
        took = time.monotonic() - begun
        if status.document is not None:
            return Proof(wanted, True, f"answered after {took:.2f} s")
        if took >= ANSWER_TIMEOUT_S:
            return Proof(wanted, False, f"it is {status.state}, no answer in {took:.0f} s")
        time.sleep(POLL_S)


class NodeDown(Action):
    """Ends a node, by SIGKILL or by SIGTERM, and starts it again."""

    def __init__(self, cluster: Cluster, fault: Fault, node: str, *, kill: bool) -> None:
        self._cluster = cluster
        self._fault = fault
        self._node = node
        self._kill = kill

    def prepare(self) -> Proofs:
        """Checks that the node runs."""
        require_running(self._cluster, self._node, self._fault)
        return ()

    def apply(self) -> None:
        """Ends the node, and waits until it has ended."""
        if self._kill:
            self._cluster.kill(self._node)
        else:
            self._cluster.terminate(self._node)

    def prove(self) -> Proofs:
        """Proves that the process or container has ended."""
        return (in_state(self._cluster, self._node, "exited"),)

    def undo(self) -> None:
        """Starts the node again, unless it runs already."""
        if self._cluster.state(self._node) == "exited":
            self._cluster.restart(self._node)

    def prove_undone(self) -> Proofs:
        """Proves that the node runs and answers."""
        return (runs_again(self._cluster, self._node),)
