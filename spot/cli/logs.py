"""``spot logs``: the logs of a cluster's nodes."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import click

from spot.cli.running import the_cluster
from spot.testbed import Cluster, UnknownNode
from spot.testbed.topology import TOPOLOGIES

__all__ = ["command"]

POLL_S = 0.2
COLOURS = ("cyan", "yellow", "green", "magenta", "blue", "bright_red")
_TOPOLOGIES = f"{', '.join(list(TOPOLOGIES)[:-1])} or {list(TOPOLOGIES)[-1]}"
_BEGINS_ENTRY = re.compile(r'^(\{"time": ")?\d{4}-\d\d-\d\dT')


@click.command("logs")
@click.argument("topology", required=False)
@click.argument("node", required=False)
@click.option("--follow", "-f", is_flag=True, help="Print new lines as they come.")
@click.option(
    "--tail", type=click.IntRange(min=0), help="Print only this many of the newest lines."
)
def command(topology: str | None, node: str | None, follow: bool, tail: int | None) -> None:
    """Show the log of NODE, or of all nodes, merged by time. TOPOLOGY may be left out.

    \b
      spot logs            all nodes of the cluster that is up
      spot logs mesh b     one node
      spot logs b          the same, if nothing else is up
    """  # noqa: D301  click: a \b keeps a paragraph's lines
    if topology is not None and topology not in TOPOLOGIES:
        if node is not None:
            raise click.UsageError(f"there is no topology {topology!r}: take {_TOPOLOGIES}")
        topology, node = None, topology
    naming = f"spot logs {{}} {node}" if node else "spot logs {}"
    cluster = the_cluster(topology, naming=naming)
    names = (_node_named(node, cluster, topology),) if node else cluster.topology.names
    texts = {name: cluster.log(name) for name in names}
    lines = list(_merged(texts))
    for line in lines[len(lines) - tail if tail is not None and tail < len(lines) else 0 :]:
        click.echo(line)
    if follow:
        try:
            _follow(cluster, {name: len(text) for name, text in texts.items()})
        except KeyboardInterrupt:
            return


def _node_named(node: str, cluster: Cluster, topology: str | None) -> str:
    """The node of this name. A single word may also be a misspelt topology."""
    try:
        return cluster.topology.node(node).name
    except UnknownNode as error:
        if topology is not None:
            raise
        raise UnknownNode(f"{error}; nor is it a topology, which is {_TOPOLOGIES}") from None


def _follow(cluster: Cluster, seen: dict[str, int]) -> None:
    while cluster.run.directory.exists():
        time.sleep(POLL_S)
        texts = {name: cluster.log(name, after) for name, after in seen.items()}
        # An unfinished line waits for its end.
        texts = {name: text[: text.rfind("\n") + 1] for name, text in texts.items()}
        for name, text in texts.items():
            seen[name] += len(text)
        for line in _merged(texts):
            click.echo(line)
    click.echo(f"spot: {cluster.topology.name} went down", err=True)


def _merged(texts: dict[str, str]) -> Iterator[str]:
    """The lines of all logs by time, each after its node's name."""
    entries: list[tuple[str, str, list[str]]] = []
    for name, text in texts.items():
        own: list[list[str]] = []
        for line in text.splitlines():
            # A line without a time, such as one of a traceback, stays with the line before it.
            if _BEGINS_ENTRY.match(line) or not own:
                own.append([line])
            else:
                own[-1].append(line)
        entries += [(lines[0], name, lines) for lines in own]
    width = max(map(len, texts), default=0)
    colour_of = {name: COLOURS[place % len(COLOURS)] for place, name in enumerate(texts)}
    for _, name, lines in sorted(entries, key=lambda entry: entry[0][:40]):
        for line in lines:
            yield f"{click.style(name.ljust(width), fg=colour_of[name])} | {line}"
