"""SPOT over TCP: its calls as an application makes them, with raw pyzmq's high-water marks."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import cycle

from bench.contestants.spot_setup import (
    TOPIC,
    in_order,
    meet_publisher,
    meet_subscribers,
    node_of_role,
    nothing_else,
    quiet,
    received,
    wrong,
)
from bench.stage import PATIENCE, Stage
from bench.traffic import in_batches, latencies, payloads, topics
from spot import Spot

__all__ = [
    "batch_publisher",
    "batch_subscriber",
    "default_publisher",
    "default_subscriber",
    "echo",
    "forgetful_publisher",
    "ping",
    "publisher",
    "subscriber",
    "topics_publisher",
    "topics_subscriber",
]

PING = "ping"
PONG = "pong"
TOPICS_PATIENCE = 60.0
"""Seconds that the steps of a round with many topics may take."""


def publisher(stage: Stage) -> None:
    """Publishes the load's messages one by one."""
    _publish(stage, node_of_role(stage.load))


def subscriber(stage: Stage) -> None:
    """Receives the load's messages one by one, and reports when it did."""
    _subscribe(stage, node_of_role(stage.load))


def default_publisher(stage: Stage) -> None:
    """The publisher, with default settings."""
    _publish(stage, quiet())


def default_subscriber(stage: Stage) -> None:
    """The subscriber, with default settings."""
    _subscribe(stage, quiet())


def forgetful_publisher(stage: Stage) -> None:
    """The publisher, which has no replay buffer."""
    _publish(stage, node_of_role(stage.load, history_bytes=0))


def batch_publisher(stage: Stage) -> None:
    """Publishes the load's messages, one batch in each call."""
    batches = in_batches(payloads(stage.load), stage.load.batch)
    with node_of_role(stage.load) as node:
        meet_subscribers(node, stage)
        publish_many = node.publish_many
        for batch in batches:
            publish_many(TOPIC, batch)
        node.flush(PATIENCE)
        stage.finish()


def batch_subscriber(stage: Stage) -> None:
    """Receives the load's messages, up to a batch in each call, and reports when it did."""
    count, batch = stage.load.messages, stage.load.batch
    with node_of_role(stage.load) as node:
        meet_publisher(node, stage)
        first = seen = in_order(node.recv_many(batch, PATIENCE), 0)
        recv_many = node.recv_many
        began = time.perf_counter()
        while seen < count:
            seen = in_order(recv_many(batch, PATIENCE), seen)
        ended = time.perf_counter()
        nothing_else(node, count)
        stage.finish({"msgs": count - first, "began": began, "ended": ended})


def topics_publisher(stage: Stage) -> None:
    """Publishes the load's messages to its topics in turn."""
    names = topics(stage.load)
    turn = cycle(names)
    messages = [(next(turn), payload) for payload in payloads(stage.load)]
    with node_of_role(stage.load) as node:
        for name in names:
            node.topic_create(name)
        stage.meet(node.bind("tcp://127.0.0.1:0"))
        for name in names:
            node.wait_for_subscribers(name, timeout=TOPICS_PATIENCE)
        stage.ready()
        publish = node.publish
        for name, payload in messages:
            publish(name, payload)
        node.flush(TOPICS_PATIENCE)
        stage.finish()


def topics_subscriber(stage: Stage) -> None:
    """Receives the load's messages by one pattern, and checks each topic's order."""
    load = stage.load
    last = dict.fromkeys(topics(load), 0)
    with node_of_role(load) as node:
        node.cluster_add(stage.meet()[0])
        node.cluster_sync(TOPICS_PATIENCE)
        node.subscribe_pattern("bench:*")
        stage.ready()
        _receive_by_topic(node, last, 1)
        began = time.perf_counter()
        _receive_by_topic(node, last, load.messages - 1)
        ended = time.perf_counter()
        nothing_else(node, load.messages)
        stage.finish({"msgs": load.messages - 1, "began": began, "ended": ended})


def ping(stage: Stage) -> None:
    """Publishes, waits for the answer, and times it."""
    with node_of_role(stage.load) as node:
        node.topic_create(PING)
        stage.meet(node.bind("tcp://127.0.0.1:0"))
        node.wait_for_subscribers(PING, timeout=PATIENCE)
        node.subscribe(PONG)
        trip = _round_trip(node)
        stage.ready()
        stage.finish(latencies(trip, payloads(stage.load)))


def echo(stage: Stage) -> None:
    """Answers every message with its payload."""
    with node_of_role(stage.load) as node:
        node.topic_create(PONG)
        node.cluster_add(stage.meet()[0])
        node.cluster_sync(PATIENCE)
        node.subscribe(PING)
        node.wait_for_subscribers(PONG, timeout=PATIENCE)
        stage.ready()
        publish, recv = node.publish, node.recv
        for seq in range(1, stage.load.messages + 1):
            message = recv(PATIENCE)
            if message is None or message.seq != seq or message.missed:
                raise wrong(seq, message)
            publish(PONG, message.data)
        node.flush(PATIENCE)
        stage.finish()


def _publish(stage: Stage, node: Spot) -> None:
    messages = payloads(stage.load)
    with node:
        meet_subscribers(node, stage)
        publish = node.publish
        began = time.process_time()
        for payload in messages:
            publish(TOPIC, payload)
        node.flush(PATIENCE)
        stage.finish({"publisher_cpu_s": (time.process_time() - began) / len(messages)})


def _subscribe(stage: Stage, node: Spot) -> None:
    with node:
        meet_publisher(node, stage)
        stage.finish(received(node, stage.load.messages))


def _receive_by_topic(node: Spot, last: dict[str, int], count: int) -> None:
    recv = node.recv
    for _ in range(count):
        message = recv(PATIENCE)
        if message is None:
            raise wrong(sum(last.values()) + 1, None)
        topic = message.topic
        last[topic] = seq = last[topic] + 1
        if message.seq != seq or message.missed:
            raise wrong(seq, message)


def _round_trip(node: Spot) -> Callable[[bytes], bytes]:
    publish, recv = node.publish, node.recv
    seq = 0

    def trip(payload: bytes) -> bytes:
        nonlocal seq
        publish(PING, payload)
        message = recv(PATIENCE)
        seq += 1
        if message is None or message.seq != seq or message.missed:
            raise wrong(seq, message)
        return message.data

    return trip
