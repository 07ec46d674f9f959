"""``spot subscribe``: prints what a running cluster publishes."""

from __future__ import annotations

import base64
import json
from typing import Any

import click

from spot import HostUnreachable, Message, Spot
from spot.cli.joining import join, peer_option
from spot.cli.running import on_option

__all__ = ["command"]


@click.command("subscribe")
@click.argument("topic")
@click.option("--count", type=click.IntRange(min=1), help="Stop after this many messages.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document a line.")
@on_option
@peer_option
def command(
    topic: str, count: int | None, as_json: bool, on: str | None, peers: tuple[str, ...]
) -> None:
    """Print the messages of TOPIC, or of all topics that a pattern with '*' matches.

    Each line has the topic, the sequence number and the data of a message. Runs until Ctrl-C, or
    until --count messages came. Reports lost nodes and missed messages on standard error.
    """
    node, _ = join(peers, on)
    with node:
        try:
            if "*" in topic:
                node.subscribe_pattern(topic)
            else:
                node.subscribe(topic)
            _print_messages(node, count, as_json)
        except KeyboardInterrupt:
            return


def _print_messages(node: Spot, count: int | None, as_json: bool) -> None:
    printed = 0
    while True:
        try:
            for message in node:
                if message.missed != 0:
                    lost = "an unknown number of" if message.missed is None else message.missed
                    click.echo(f"spot: missed {lost} messages of {message.topic}", err=True)
                if as_json:
                    click.echo(json.dumps(_document(message)))
                else:
                    text = message.data.decode(errors="backslashreplace")
                    click.echo(f"{message.topic} {message.seq} {text}")
                printed += 1
                if printed == count:
                    return
        except HostUnreachable as error:
            click.echo(f"spot: {error}", err=True)
        else:
            return


def _document(message: Message) -> dict[str, Any]:
    document: dict[str, Any] = message._asdict()
    try:
        document["data"] = message.data.decode()
    except UnicodeDecodeError:
        del document["data"]
        document["data_base64"] = base64.b64encode(message.data).decode()
    return document
