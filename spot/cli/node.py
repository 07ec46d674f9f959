"""``spot node``: runs one node, or asks a running one for its health."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import click

from spot.config import Config, join_list
from spot.errors import InvalidArgument

__all__ = ["NODE_OPTIONS", "PROGRAM_OPTIONS", "command"]

LISTS = ("bind", "cluster", "members", "topics", "subscribe", "publish")

PROGRAM_OPTIONS = {
    "rate": "Messages a second to publish to each of its and the --publish topics (0: none).",
    "publish": "Topic of another node to publish to.",
    "payload_bytes": "Size of each published message (64).",
    "journal": "File to append the journal to; '-' is standard output, 'none' nowhere (-).",
    "control": "Unix socket on which the node answers --check and takes commands (none).",
    "log_format": "Log lines as 'text' or 'json' (text).",
}
"""Settings of the program; in brackets the default."""

NODE_OPTIONS = {
    "node_id": "Name of the node, unique in the cluster (host name and a random tail).",
    "cluster_name": "Name of the cluster. The node refuses peers with another name.",
    "bind": "Endpoint to bind, such as tcp://*:5555.",
    "cluster": "Endpoint of a peer to add.",
    "members": "Id of a member of the cluster. A majority of the members is a quorum.",
    "require_quorum": "1: refuse to publish while no majority of the members is reached.",
    "relay": "1: pass topics and messages on between peers that have no link of their own.",
    "topics": "Topic to host.",
    "subscribe": "Topic, or pattern with '*', to subscribe to.",
    "sndhwm": "Messages that may wait in this node for one peer.",
    "rcvhwm": "Messages of one peer that may wait in this node to be received.",
    "history_bytes": "Bytes of the newest traffic to keep of each topic, for replays; 0: none.",
    "history_total_bytes": "Bytes to keep of all topics together.",
    "overflow": "When a queue stays full: 'catch-up' sets the subscriber aside, 'error' raises.",
    "sync_timeout": "Seconds that a subscription waits for its confirmation.",
    "heartbeat": "Seconds between heartbeats.",
    "peer_timeout": "Seconds of silence after which a peer is lost.",
    "send_timeout": "Seconds that a publish waits for a full queue, or 'none'.",
    "linger": "Seconds that a leaving node may take to deliver accepted messages.",
    "stable_after": "Seconds that a link must be up before reconnect waits are short again.",
    "reconnect_min": "Seconds: first wait between dials.",
    "reconnect_max": "Seconds: longest wait between dials.",
    "max_message_bytes": "Largest message to publish. Larger ones of 64 KiB or more are missed.",
    "keepalive_idle": "TCP keepalive: seconds before the first probe.",
    "keepalive_interval": "TCP keepalive: seconds between probes.",
    "keepalive_count": "TCP keepalive: probes without an answer.",
    "log_level": "debug, info, warning or error (info).",
}
"""Settings of the library, one option each."""


def _setting_options(command: Callable[..., Any]) -> Callable[..., Any]:
    defaults = Config()
    for name, text in reversed((NODE_OPTIONS | PROGRAM_OPTIONS).items()):
        default = getattr(defaults, name) if name in NODE_OPTIONS else None
        if default not in (None, ()) and name != "log_level":
            text = (
                f"{text.rstrip('.')} ({default:g})."
                if isinstance(default, float | int)
                else (f"{text.rstrip('.')} ({default}).")
            )
        several = name in LISTS
        text += " May be repeated." if several else ""
        command = click.option(
            f"--{name.replace('_', '-')}",
            name,
            multiple=several,
            metavar="TEXT",
            help=f"{text} [SPOT_{name.upper()}]",
        )(command)
    return command


@click.command("node")
@_setting_options
@click.option("--check", is_flag=True, help="Ask the node at --control for its health, and leave.")
@click.option("--json", "as_json", is_flag=True, help="With --check: its whole status as JSON.")
def command(check: bool, as_json: bool, **given: Any) -> None:
    """Run one node until Ctrl-C or SIGTERM.

    Every option may come from the environment, by the name in square brackets, where lists are
    separated by commas. What the node does is printed as JSON lines (see --journal); its log goes
    to standard error.

    \b
      spot node --node-id a --bind tcp://*:5555 --topics a:data --rate 1
      spot node --node-id b --cluster tcp://localhost:5555 --subscribe '*:data'

    --check exits with 0 when the node is healthy, 1 when it is not, 3 when it doesn't answer.
    A node is healthy once it has synchronised with its peers.
    """  # noqa: D301  click: a \b keeps a paragraph's lines
    environ = dict(os.environ)
    try:
        for name, value in given.items():
            if value not in (None, ()):
                text = join_list(name, value) if name in LISTS else value
                environ[f"SPOT_{name.upper()}"] = text
    except InvalidArgument as error:
        raise click.UsageError(f"{error}; for several, repeat the option") from error
    if check:
        from spot.program.health import check as check_health

        raise SystemExit(check_health(environ.get("SPOT_CONTROL", ""), as_json=as_json))
    if as_json:
        raise click.UsageError("--json belongs to --check; the journal is JSON lines anyway")

    from spot.program.run import run
    from spot.program.settings import ProgramSettings

    try:
        settings = ProgramSettings.from_env(environ)
    except InvalidArgument as error:
        raise click.UsageError(str(error)) from error
    raise SystemExit(run(settings))
