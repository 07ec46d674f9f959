"""The testbed: clusters of real nodes, for tests and for trying SPOT out.

from spot.testbed import Cluster

with Cluster("mesh", nodes=3, proxied=True) as cluster:
    print(cluster.addresses)
    cluster.edge("a", "b").disable()
"""

from spot.testbed.backends import Backend, NodeState
from spot.testbed.cluster import Cluster
from spot.testbed.errors import (
    AlreadyUp,
    BadFault,
    BadProgram,
    BadSetting,
    ClusterError,
    ClusterNotReady,
    ComposeMissing,
    ContainersNotStarted,
    ContextMissing,
    EngineMissing,
    ImageMissing,
    NoAnswer,
    NodeExited,
    NoStateDirectory,
    NotOurs,
    NotProxied,
    NotUp,
    PortInUse,
    ProxyExited,
    UnknownBackend,
    UnknownNode,
    UnknownTopology,
)
from spot.testbed.evidence import Effect, FaultWindow, Proof
from spot.testbed.faults import (
    FAULTS,
    ActiveFault,
    Fault,
    FaultNotApplied,
    FaultNotHealed,
    inject,
    parse_fault,
)
from spot.testbed.proxied_link import ProxiedLink
from spot.testbed.run import Run
from spot.testbed.status import ClusterStatus, LinkStatus, NodeStatus
from spot.testbed.topology import NodeSpec, Topology, build_topology

__all__ = [
    "FAULTS",
    "ActiveFault",
    "AlreadyUp",
    "Backend",
    "BadFault",
    "BadProgram",
    "BadSetting",
    "Cluster",
    "ClusterError",
    "ClusterNotReady",
    "ClusterStatus",
    "ComposeMissing",
    "ContainersNotStarted",
    "ContextMissing",
    "Effect",
    "EngineMissing",
    "Fault",
    "FaultNotApplied",
    "FaultNotHealed",
    "FaultWindow",
    "ImageMissing",
    "LinkStatus",
    "NoAnswer",
    "NodeExited",
    "NodeSpec",
    "NodeState",
    "NodeStatus",
    "NoStateDirectory",
    "NotOurs",
    "NotProxied",
    "NotUp",
    "PortInUse",
    "Proof",
    "ProxiedLink",
    "ProxyExited",
    "Run",
    "Topology",
    "UnknownBackend",
    "UnknownNode",
    "UnknownTopology",
    "build_topology",
    "inject",
    "parse_fault",
]
