"""``spot status``: nodes, links and traffic of the clusters that are up."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import click
from rich.console import Console, Group
from rich.live import Live

from spot.cli.display import as_document, picture
from spot.cli.happened import Happened
from spot.cli.running import clusters_up, the_cluster
from spot.testbed import Cluster, ClusterStatus
from spot.testbed.faults.by_hand import faults_by_hand
from spot.testbed.status import Rates, rates_between
from spot.testbed.topology import TOPOLOGIES

__all__ = ["command"]

RATE_SAMPLE_S = 1.0
EXIT_NOT_READY = 1

Sample = list[tuple[Cluster, ClusterStatus]]


@click.command("status", short_help="Show nodes, links and traffic.")
@click.argument("topology", required=False, type=click.Choice(list(TOPOLOGIES)))
@click.option("--watch", is_flag=True, help="Show it live, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="As JSON; with --watch, a line each second.")
def command(topology: str | None, watch: bool, as_json: bool) -> None:
    """Show the nodes, links and traffic of TOPOLOGY, or of every cluster that is up.

    Exits with 0 when all nodes and links are as they should be, with 1 when not.
    """
    # Several clusters are all shown; one that is named, or none at all, is an error if not up.
    clusters = clusters_up(topology) or [the_cluster(topology)]
    before = _sample(clusters)
    if watch:
        try:
            _watch(clusters, before, as_json)
        except KeyboardInterrupt:
            return
    time.sleep(RATE_SAMPLE_S)
    after = _sample(clusters)
    if as_json:
        click.echo(json.dumps(_documents(before, after)))
    else:
        Console(highlight=False).print(_pictures(before, after, ()))
    if not all(status.is_ready for _, status in after):
        raise SystemExit(EXIT_NOT_READY)


def _sample(clusters: list[Cluster]) -> Sample:
    return [(cluster, cluster.status()) for cluster in clusters]


def _rates(before: Sample, after: Sample) -> list[dict[str, Rates]]:
    return [rates_between(then, now) for (_, then), (_, now) in zip(before, after, strict=True)]


def _pictures(before: Sample, after: Sample, happened: Sequence[Happened]) -> Group:
    """``happened``: of each cluster; empty: not shown."""
    rates = _rates(before, after)
    return Group(
        *(
            picture(status, rate, faults_by_hand(cluster.run), events)
            for (cluster, status), rate, events in zip_longest(after, rates, happened)
        )
    )


def _documents(before: Sample, after: Sample) -> list[dict[str, Any]]:
    rates = _rates(before, after)
    return [
        as_document(cluster, status, rate)
        for (cluster, status), rate in zip(after, rates, strict=True)
    ]


def _watch(clusters: list[Cluster], before: Sample, as_json: bool) -> None:
    happened = [Happened() for _ in clusters]
    console = Console(highlight=False, quiet=as_json)
    with Live(_pictures(before, before, happened), console=console, screen=False) as live:
        while True:
            time.sleep(RATE_SAMPLE_S)
            for cluster in clusters:
                cluster.reload()
            after = _sample(clusters)
            for events, (_, status) in zip(happened, after, strict=True):
                events.add(status)
            if as_json:
                click.echo(json.dumps(_documents(before, after)))
            else:
                live.update(_pictures(before, after, happened), refresh=True)
            before = after
