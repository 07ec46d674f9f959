"""SPOT's nodes: how they are made, connect, and receive.

The send timeout is None, as raw pyzmq's sends block: no subscriber is set aside, so every message
arrives. Settings of the environment are ignored.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from bench.row import Figures, Load
from bench.stage import PATIENCE, Stage
from bench.traffic import Lost
from spot import Config, Message, Spot

__all__ = [
    "TOPIC",
    "in_order",
    "meet_publisher",
    "meet_subscribers",
    "node_of_role",
    "nothing_else",
    "quiet",
    "receive",
    "received",
    "wrong",
]

TOPIC = "bench"


def node_of_role(load: Load, **settings: Any) -> Spot:
    """A node with the load's high-water marks."""
    return quiet(sndhwm=load.hwm, rcvhwm=load.hwm, send_timeout=None, **settings)


def quiet(**settings: Any) -> Spot:
    """A node with default settings, except those that are given."""
    # At the end of a round each side warns that the other one left. That is expected here.
    return Spot(Config(log_level="error", **settings))


def meet_subscribers(node: Spot, stage: Stage) -> None:
    """Hosts the topic, and returns when all subscribers are there and the round starts."""
    node.topic_create(TOPIC)
    stage.meet(node.bind("tcp://127.0.0.1:0"))
    node.wait_for_subscribers(TOPIC, stage.load.subscribers, timeout=PATIENCE)
    stage.ready()


def meet_publisher(node: Spot, stage: Stage) -> None:
    """Subscribes to the topic of the first role, and returns when the round starts."""
    node.cluster_add(stage.meet()[0])
    node.cluster_sync(PATIENCE)
    node.subscribe(TOPIC)
    stage.ready()


def received(node: Spot, count: int) -> Figures:
    """Receives ``count`` messages and no more. Returns how many came after the first, and when."""
    receive(node, 0, 1)
    began = time.perf_counter()
    receive(node, 1, count - 1)
    ended = time.perf_counter()
    nothing_else(node, count)
    return {"msgs": count - 1, "began": began, "ended": ended}


def receive(node: Spot, seen: int, count: int) -> int:
    """Receives the next ``count`` messages one by one, in order. Returns how many came in all."""
    recv = node.recv
    for seq in range(seen + 1, seen + count + 1):
        message = recv(PATIENCE)
        if message is None or message.seq != seq or message.missed:
            raise wrong(seq, message)
    return seen + count


def in_order(messages: Sequence[Message], seen: int) -> int:
    """Checks a batch that follows ``seen`` messages. Returns how many came in all."""
    if not messages:
        raise wrong(seen + 1, None)
    seq = seen
    for message in messages:
        seq += 1
        if message.seq != seq or message.missed:
            raise wrong(seq, message)
    return seq


def nothing_else(node: Spot, count: int) -> None:
    """Checks that nothing came beyond the messages that were sent, and that none was missed."""
    more = node.recv(0)
    missed = node.metrics().missed_msgs
    if more is not None or missed:
        raise Lost(f"of {count} messages sent, {missed} were missed; then came {_short(more)}")


def wrong(seq: int, message: Message | None) -> Lost:
    """The error to raise when a message came that was not due."""
    return Lost(f"message {seq} was due, {_short(message)} came in {PATIENCE:g} s")


def _short(message: Message | None) -> str:
    return "nothing" if message is None else repr(message._replace(data=message.data[:80]))
