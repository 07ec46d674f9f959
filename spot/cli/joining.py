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


def join(peers: tuple[str, ...]) -> tuple[Spot, dict[str, frozenset[str]]]:
    """A node linked to every peer, or to every node of the cluster that is up; and their topics.

    The topics are by node id or endpoint. Peers that don't answer are named on standard error;
    raises TimedOut when none does, NotUp when there is no cluster to join.
    """
    endpoints = peers or tuple(the_cluster().addresses.values())
    # The environment's SPOT_BIND and the like are meant for nodes, not for this visitor.
    config = Config.from_env(
        node_id=None,
        bind=(),
        cluster=endpoints,
        topics=(),
        subscribe=(),
        log_level="error",  # what a person should know, the command prints
    )
    node = Spot(config)
    try:
        return node, node.cluster_sync(timeout=SYNC_TIMEOUT_S)
    except TimedOut as error:
        if not error.answers:
            node.close()
            raise
        click.echo(f"spot: going on without {', '.join(error.missing)}: no answer", err=True)
        return node, error.answers
    except BaseException:
        node.close()
        raise
