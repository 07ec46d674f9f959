"""``spot heal``: undoes faults that were made by hand."""

from __future__ import annotations

import json
import time

import click
from rich.console import Console

from spot.cli.fault import print_proofs
from spot.cli.running import on_option, the_cluster
from spot.testbed import ClusterNotReady, UnknownNode
from spot.testbed.faults.by_hand import faults_by_hand, heal_by_hand

__all__ = ["command"]

READY_TIMEOUT_S = 15.0
EXIT_NOT_READY = 1


@click.command("heal")
@click.argument("nodes", nargs=-1)
@on_option
@click.option("--json", "as_json", is_flag=True, help="Print what was healed as JSON.")
def command(nodes: tuple[str, ...], on: str | None, as_json: bool) -> None:
    """Undo the faults of the cluster that is up, or only those of NODES (spot heal a b).

    Then wait until all links are up again, and exit with 1 if they are not up after 15 s. A cluster
    without faults stays as it is.
    """
    if len(nodes) > 2:
        raise click.UsageError("name one node, the two ends of a link, or nothing for all")
    cluster = the_cluster(on)
    console = Console(highlight=False, quiet=as_json)
    before = {one.text for one in faults_by_hand(cluster.run)}
    try:
        proofs = heal_by_hand(cluster, nodes)
    except UnknownNode as error:
        raise click.UsageError(str(error)) from error
    left = {one.text for one in faults_by_hand(cluster.run)}
    for text in sorted(before - left):
        console.print(f"healed {text}", markup=False)
    print_proofs(console, proofs)
    begun = time.monotonic()
    ready = True
    if left:
        console.print(f"still broken: {', '.join(sorted(left))}", markup=False)
    else:
        try:
            cluster.wait_until(lambda status: status.is_ready, READY_TIMEOUT_S)
            console.print(f"all links up after {time.monotonic() - begun:.1f} s more")
        except ClusterNotReady as error:
            ready = False
            console.print(str(error), markup=False, soft_wrap=True)
    if as_json:
        document = {"healed": sorted(before - left), "left": sorted(left), "ready": ready}
        click.echo(json.dumps(document))
    if not ready:
        raise SystemExit(EXIT_NOT_READY)
