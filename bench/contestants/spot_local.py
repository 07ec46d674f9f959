"""SPOT within one process: a LOCAL topic, published and received by the same node."""

from __future__ import annotations

import threading
import time

from bench.contestants.spot_setup import TOPIC, node_of_role, nothing_else, receive, received
from bench.stage import Stage
from bench.traffic import in_batches, payloads
from spot import Spot

__all__ = ["one_thread", "two_threads"]


def two_threads(stage: Stage) -> None:
    """One thread publishes, another receives."""
    messages = payloads(stage.load)
    with _node(stage) as node:

        def publish_all() -> None:
            publish = node.publish
            for payload in messages:
                publish(TOPIC, payload)

        thread = threading.Thread(target=publish_all, daemon=True)
        stage.ready()
        thread.start()
        figures = received(node, len(messages))
        thread.join()
        stage.finish(figures)


def one_thread(stage: Stage) -> None:
    """One thread publishes a batch, then receives it."""
    load = stage.load
    batches = in_batches(payloads(load), load.batch)
    with _node(stage) as node:
        stage.ready()
        publish = node.publish
        seen = 0
        began = time.perf_counter()
        for batch in batches:
            for payload in batch:
                publish(TOPIC, payload)
            seen = receive(node, seen, len(batch))
        ended = time.perf_counter()
        nothing_else(node, load.messages)
        stage.finish({"msgs": load.messages, "began": began, "ended": ended})


def _node(stage: Stage) -> Spot:
    node = node_of_role(stage.load)
    node.topic_create(TOPIC)
    node.subscribe(TOPIC)
    stage.meet()
    return node
