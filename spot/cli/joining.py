"""Joins a cluster for a moment, as a node that only dials."""

from __future__ import annotations

import click

from spot import Config, Spot, TimedOut
from spot.cli.running import the_cluster

__all__ = ["join", "peer_option"]

SYNC_TIMEOUT_S = 3.0

peer_option = click.option(
    "--peer",
    "peers",
    multiple=True,
    metavar="ENDPOINT",
    help="Join through this endpoint instead of the cluster that is up. May be repeated.",
)


def join(peers: tuple[str, ...], on: str | None) -> tuple[Spot, dict[str, set[str]]]:
    """A node linked to every peer, or to every node of the cluster that is up; and who hosts what.

    ``on``: the topology of that cluster, if several are up. The topics are by the id of their host,
    which a relay may have told of. Peers that don't answer are named on standard error; raises
    TimedOut when none does, NotUp when there is no cluster to join.
    """
    if peers and on:
        raise click.UsageError("--peer names where to join, and so does --on: give one of them")
    endpoints = peers or tuple(the_cluster(on).addresses.values())
    # The environment's SPOT_BIND and the like are meant for nodes, not for this visitor.
    config = Config.from_env(
        node_id=None,
        bind=(),
        cluster=(),
        topics=(),
        subscribe=(),
        log_level="error",  # what a person should know, the command prints
    )
    node = Spot(config)
    try:
        happened = node.events(timeout=0)
        for endpoint in dict.fromkeys(endpoints):
            node.cluster_add(endpoint)
        try:
            node.cluster_sync(timeout=SYNC_TIMEOUT_S)
        except TimedOut as error:
            if not error.answers:
                raise
            click.echo(f"spot: going on without {', '.join(error.missing)}: no answer", err=True)
        hosted: dict[str, set[str]] = {}
        # What a peer answers holds what it passes on; these say which node hosts it.
        for event in happened:
            if event.node is None or event.kind not in ("synced", "topic_up", "topic_gone"):
                continue
            topics = hosted.setdefault(event.node, set())
            if event.kind == "topic_gone":
                topics.difference_update(event.topics)
            else:
                topics.update(event.topics)
    except BaseException:
        node.close()
        raise
    return node, hosted
