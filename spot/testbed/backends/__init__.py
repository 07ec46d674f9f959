"""Where nodes run. A backend starts, ends and observes the nodes of a run, and decides nothing."""

from __future__ import annotations

from spot.testbed.backends.backend import Backend, NodeState
from spot.testbed.errors import UnknownBackend

__all__ = ["BACKENDS", "Backend", "NodeState", "make_backend"]

BACKENDS = ("process", "docker")


def make_backend(name: str, *, base_port: int | None = None) -> Backend:
    """The backend of this name. Raises UnknownBackend.

    ``base_port``: port of the first node; the others take the next ones. None: free ports.
    """
    if name == "process":
        from spot.testbed.backends.process import ProcessBackend

        return ProcessBackend(base_port=base_port)
    if name == "docker":
        # Its packages take a quarter of a second to import.
        from spot.testbed.backends.docker import DockerBackend

        return DockerBackend(base_port=base_port)
    raise UnknownBackend(f"there is no backend {name!r}: take {', '.join(BACKENDS)}")
