"""What ``spot status`` shows of clusters: once, or live."""

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
from spot.testbed.cluster import Cluster
from spot.testbed.faults.by_hand import faults_by_hand
from spot.testbed.status import ClusterStatus, Rates, rates_between

__all__ = ["show_live", "show_once"]

RATE_SAMPLE_S = 1.0

Sample = list[tuple[Cluster, ClusterStatus]]


def show_once(clusters: list[Cluster], as_json: bool) -> bool:
    """Prints them with the rates of one second. Returns whether all of them are ready."""
    before = _sample(clusters)
    time.sleep(RATE_SAMPLE_S)
    after = _sample(clusters)
    if as_json:
        click.echo(json.dumps(_documents(before, after)))
    else:
        Console(highlight=False).print(_pictures(before, after, ()))
    return all(status.is_ready for _, status in after)


def show_live(clusters: list[Cluster], as_json: bool) -> None:
    """Prints them every second, until Ctrl-C."""
    before = _sample(clusters)
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
