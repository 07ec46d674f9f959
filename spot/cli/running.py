"""Finds the cluster that a command is for, among those that are up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from spot.testbed.errors import NotUp
from spot.testbed.run import Run, state_directory
from spot.testbed.topology import TOPOLOGIES

if TYPE_CHECKING:
    from spot.testbed.cluster import Cluster

__all__ = ["clusters_up", "on_option", "the_cluster"]

on_option = click.option(
    "--on", type=click.Choice(list(TOPOLOGIES)), help="Which cluster, if several are up."
)


def clusters_up(topology: str | None = None) -> list[Cluster]:
    """The clusters that ``spot up`` started, oldest first. ``topology``: only clusters of this
    topology. None: all clusters.

    Clusters of test suites are not included, as they belong to their runner.
    """
    runs = [run for run in Run.all(state_directory()) if run.detached]
    named = [run for run in runs if topology in (None, run.topology.name)]
    if not named:
        return []
    from spot.testbed.cluster import Cluster  # slow to import

    return [Cluster.attach(run) for run in named]


def the_cluster(topology: str | None = None, *, naming: str = "--on {}") -> Cluster:
    """The cluster of this topology. None: the only one. Raises NotUp unless there is exactly one.

    ``naming``: how the user names a topology to the command, for the error message.
    """
    found = clusters_up(topology)
    if not found:
        what = f"no {topology} cluster is up" if topology else "no cluster is up"
        raise NotUp(f"{what}: start one with 'spot up {topology or 'mesh'}'")
    if len(found) > 1:
        names = [cluster.topology.name for cluster in found]
        raise NotUp(
            f"several clusters are up ({', '.join(names)}): name one of them, for example with "
            f"'{naming.format(names[0])}'"
        )
    return found[0]
