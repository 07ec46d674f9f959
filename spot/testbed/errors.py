"""The errors of a cluster under test. Each text says what to do."""

from __future__ import annotations

__all__ = [
    "AlreadyUp",
    "BadFault",
    "BadProgram",
    "BadSetting",
    "ClusterError",
    "ClusterNotReady",
    "ComposeMissing",
    "ContainersNotStarted",
    "ContextMissing",
    "EngineMissing",
    "ImageMissing",
    "NoAnswer",
    "NoStateDirectory",
    "NodeExited",
    "NotOurs",
    "NotProxied",
    "NotUp",
    "PortInUse",
    "ProxyExited",
    "UnknownBackend",
    "UnknownNode",
    "UnknownTopology",
]


class ClusterError(RuntimeError):
    """The root of the testbed's errors."""


class UnknownTopology(ClusterError, ValueError):
    """There is no topology of this name, or it can't have so many nodes."""


class UnknownBackend(ClusterError, ValueError):
    """There is no backend of this name."""


class UnknownNode(ClusterError, LookupError):
    """The cluster has no node of this name."""


class BadFault(ClusterError, ValueError):
    """There is no fault of this name, it is written wrongly, or it can't act on this topology."""


class BadProgram(ClusterError, ValueError):
    """The user's node program can't be run, or does not answer as a node must."""


class BadSetting(ClusterError, ValueError):
    """Nodes can't have a setting as it is written."""


class AlreadyUp(ClusterError):
    """The cluster is up already."""


class NoAnswer(ClusterError, TimeoutError):
    """A node did not answer a command on its control socket."""


class NotUp(ClusterError):
    """No such cluster is up."""


class PortInUse(ClusterError):
    """Another program uses a port that a node should bind."""


class NoStateDirectory(ClusterError):
    """The directory of the runs can't be made, or can't be written to."""


class NotOurs(ClusterError, PermissionError):
    """The run belongs to another user of this machine."""


class NotProxied(ClusterError):
    """The cluster was started without proxies, so it has no edges."""


class EngineMissing(ClusterError):
    """No container engine answers, or this user may not use it."""


class ContextMissing(EngineMissing):
    """The Docker context that names the engine doesn't exist, or can't be read."""


class ComposeMissing(ClusterError):
    """The engine answers, but ``docker compose`` doesn't run or is too old."""


class ImageMissing(ClusterError):
    """The engine lacks an image that containers need."""


class ContainersNotStarted(ClusterError):
    """The engine did not start the containers. The text has the engine's message."""


class ProxyExited(ClusterError):
    """The proxy server ended, and all links with it. ``log`` is the end of its log."""

    def __init__(self, text: str, *, log: str) -> None:
        super().__init__(text)
        self.log = log


class NodeExited(ClusterError):
    """A node ended instead of coming up. ``node`` is its name, ``log`` the end of its log."""

    def __init__(self, text: str, *, node: str, log: str) -> None:
        super().__init__(text)
        self.node = node
        self.log = log


class ClusterNotReady(ClusterError, TimeoutError):
    """The nodes run, but did not all synchronise and link up within the time given."""
