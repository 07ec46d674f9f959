"""Joins a cluster for a short time, as a node that only dials."""

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
    """Makes a node with links to all peers, or to all nodes of the cluster that is up.

    Returns the node, and the topics of each host by the host's id; a host may be known only
    through a relay. ``on``: the topology of the cluster, if several are up. Names each peer that
    doesn't answer on standard error. Raises TimedOut when no peer answers, and NotUp when there is
    no cluster to join.
    """
    if peers and on:
        raise click.UsageError("both --peer and --on say where to join: give one of them")
    endpoints = peers or tuple(the_cluster(on).addresses.values())
    # SPOT_BIND and the like in the environment are for the cluster's nodes, not for this one.
    config = Config.from_env(
        node_id=None,
        bind=(),
        cluster=(),
        topics=(),
        subscribe=(),
        log_level="error",  # the command itself prints what the user should know
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
        # The answer of a peer includes topics that it relays. These events name their host.
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
