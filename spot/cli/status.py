"""``spot status``: nodes, links and traffic of the clusters that are up."""

from __future__ import annotations

import click

from spot.cli.running import clusters_up, the_cluster
from spot.testbed.topology import TOPOLOGIES

__all__ = ["command"]

EXIT_NOT_READY = 1


@click.command("status")
@click.argument("topology", required=False, type=click.Choice(list(TOPOLOGIES)))
@click.option("--watch", is_flag=True, help="Show it live, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="As JSON; with --watch, a line each second.")
def command(topology: str | None, watch: bool, as_json: bool) -> None:
    """Show the nodes, links and traffic of TOPOLOGY, or of every cluster that is up.

    Exit with 0 if all nodes and links are up, else with 1.
    """
    # Without a name, all clusters are shown. It is an error if none is up, or not the named one.
    clusters = clusters_up(topology) or [the_cluster(topology)]
    from spot.cli.watching import show_live, show_once  # slow to import

    if watch:
        try:
            show_live(clusters, as_json)
        except KeyboardInterrupt:
            return
    if not show_once(clusters, as_json):
        raise SystemExit(EXIT_NOT_READY)
