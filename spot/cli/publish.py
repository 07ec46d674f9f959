"""``spot publish``: publishes one message to a running cluster."""

from __future__ import annotations

import click

from spot import TopicNotFound
from spot.cli.joining import join, peer_option
from spot.cli.running import on_option

__all__ = ["command"]

FLUSH_TIMEOUT_S = 5.0
TOPICS_SHOWN_MAX = 10


@click.command("publish")
@click.argument("topic")
@click.argument("data")
@on_option
@peer_option
def command(topic: str, data: str, on: str | None, peers: tuple[str, ...]) -> None:
    """Publish DATA to TOPIC, through the node that hosts it."""
    node, _ = join(peers, on)
    with node:
        payload = data.encode("utf-8", errors="surrogateescape")
        try:
            node.publish(topic, payload)
        except TopicNotFound as error:
            known = sorted(node.list_topics())
            shown = ", ".join(known[:TOPICS_SHOWN_MAX]) or "none"
            more = len(known) - TOPICS_SHOWN_MAX
            shown += f" and {more} more" if more > 0 else ""
            raise TopicNotFound(f"no node hosts {topic!r}; topics are: {shown}") from error
        node.flush(timeout=FLUSH_TIMEOUT_S)
    click.echo(f"published {len(payload)} bytes to {topic}")
