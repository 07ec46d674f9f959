"""``spot down``: ends clusters, and removes what dead runners left."""

from __future__ import annotations

import json

import click
from rich.console import Console

from spot.cli.running import clusters_up
from spot.testbed import NotUp
from spot.testbed.cleanup import sweep_everything
from spot.testbed.run import state_directory, state_lock
from spot.testbed.topology import TOPOLOGIES

__all__ = ["command"]


@click.command("down")
@click.argument("topology", required=False, type=click.Choice(list(TOPOLOGIES)))
@click.option("--all", "every", is_flag=True, help="End every cluster that 'spot up' has started.")
@click.option("--json", "as_json", is_flag=True, help="Print what was ended as JSON.")
def command(topology: str | None, every: bool, as_json: bool) -> None:
    """End TOPOLOGY, or the cluster that is up. If no cluster is up, that is not an error.

    Also remove what a killed 'spot up' or a killed test run left. Clusters of test runs that are
    still alive stay, and so does everything that the testbed did not start.
    """
    if topology and every:
        raise click.UsageError("give a topology or --all, not both")
    say = Console(stderr=True, highlight=False)
    swept = sweep_everything(state_directory())
    for run_id in swept:
        say.print(f"swept {run_id}, which a killed run had left")
    found = clusters_up(topology)
    if len(found) > 1 and not every:
        names = ", ".join(cluster.topology.name for cluster in found)
        raise NotUp(f"several clusters are up ({names}): name one of them, or take --all")
    for cluster in found:
        name = cluster.topology.name
        with (
            state_lock(state_directory(), f"up-{name}"),
            say.status(f"ending the {len(cluster.topology.nodes)} nodes of {name}"),
        ):
            cluster.stop()
        say.print(f"{name} is down")
    if not found and not swept:
        say.print(f"{topology} is not up" if topology else "no cluster is up")
    if as_json:
        ended = [cluster.topology.name for cluster in found]
        click.echo(json.dumps({"down": ended, "swept": swept}))
