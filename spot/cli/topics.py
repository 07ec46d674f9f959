"""``spot topics``: which topics a running cluster has, and where."""

from __future__ import annotations

import json

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from spot.cli.joining import join, peer_option
from spot.cli.running import on_option

__all__ = ["command"]


@click.command("topics")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of topics and hosts.")
@on_option
@peer_option
def command(as_json: bool, on: str | None, peers: tuple[str, ...]) -> None:
    """List every topic of the cluster and the node that hosts it."""
    node, hosted = join(peers, on)
    node.close()
    hosts = sorted((topic, host) for host, topics in hosted.items() for topic in topics)
    if as_json:
        click.echo(json.dumps([{"topic": topic, "host": host} for topic, host in hosts]))
        return
    table = Table()
    table.add_column("topic")
    table.add_column("host")
    for topic, host in hosts:
        table.add_row(Text(topic), Text(host))
    Console(highlight=False).print(table)
