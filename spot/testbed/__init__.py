"""The testbed: clusters of real nodes, for tests and for trying SPOT out.

from spot.testbed import Cluster

with Cluster("mesh", nodes=3, proxied=True) as cluster:
    print(cluster.addresses)
    cluster.edge("a", "b").disable()
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
    "NoStateDirectory",
    "NodeExited",
    "NodeSpec",
    "NodeState",
    "NodeStatus",
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

if not TYPE_CHECKING:
    MODULES = (
        "errors",
        "topology",
        "run",
        "evidence",
        "proxied_link",
        "status",
        "backends",
        "cluster",
        "faults",
    )

    def __getattr__(name: str) -> object:
        """Imports the module that has this name, so that a command loads only what it needs."""
        if name in __all__:
            for module in (import_module(f"{__name__}.{module}") for module in MODULES):
                if name in module.__all__:
                    globals()[name] = value = getattr(module, name)
                    return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
