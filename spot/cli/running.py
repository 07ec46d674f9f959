"""Which of the clusters that are up is meant."""

from __future__ import annotations

from spot.testbed import Cluster, NotUp, Run
from spot.testbed.run import state_directory

__all__ = ["clusters_up", "the_cluster"]


def clusters_up(topology: str | None = None) -> list[Cluster]:
    """The clusters that ``spot up`` has left up, oldest first; of one topology if it is named.

    Clusters of test suites are not among them: they belong to their runner.
    """
    runs = [run for run in Run.all(state_directory()) if run.detached]
    return [Cluster.attach(run) for run in runs if topology in (None, run.topology.name)]


def the_cluster(topology: str | None = None) -> Cluster:
    """The cluster of this topology, or the only one. Raises NotUp when that is not one."""
    found = clusters_up(topology)
    if not found:
        what = f"no {topology} cluster is up" if topology else "no cluster is up"
        raise NotUp(f"{what}: start one with 'spot up {topology or 'mesh'}'")
    if len(found) > 1:
        names = ", ".join(cluster.topology.name for cluster in found)
        raise NotUp(f"several clusters are up ({names}): name one of them")
    return found[0]
