"""The cost of topics and patterns: the time until all are in force, and the memory they take."""

from __future__ import annotations

import time

import zmq

from bench.contestants import raw_sockets as raw
from bench.contestants import spot_setup as spot
from bench.contestants.spot_node import TOPICS_PATIENCE
from bench.memory import private_bytes
from bench.stage import PATIENCE, Stage
from bench.traffic import Lost, numbers, topics
from spot import Spot

__all__ = [
    "raw_host",
    "raw_listener",
    "raw_selective_subscriber",
    "spot_creator",
    "spot_host",
    "spot_listener",
    "spot_picky",
    "spot_selective_subscriber",
]

CREATED = 1_000
"""Topics that are created while peers hold patterns that don't match them."""


def spot_host(stage: Stage) -> None:
    """Hosts the load's topics."""
    names = topics(stage.load)
    with spot.node_of_role(stage.load) as node:
        endpoint = node.bind("tcp://127.0.0.1:0")
        before = private_bytes()
        for name in names:
            node.topic_create(name)
        stage.meet(endpoint)
        for name in names:
            node.wait_for_subscribers(name, timeout=TOPICS_PATIENCE)
        stage.ready()
        stage.finish({"host_bytes": private_bytes() - before})


def spot_listener(stage: Stage) -> None:
    """Subscribes to each of the host's topics by its name."""
    names = tuple(topics(stage.load))
    endpoint = stage.meet()[0]
    before = private_bytes()
    began = time.perf_counter()
    with spot.node_of_role(stage.load, subscribe=names) as node:
        node.cluster_add(endpoint)
        answers = node.cluster_sync(TOPICS_PATIENCE)
        took = time.perf_counter() - began
        if answers[endpoint] != frozenset(names):
            raise Lost(f"{len(answers[endpoint])} of {len(names)} topics were announced")
        stage.ready()
        stage.finish({"in_force_s": took, "subscriber_bytes": private_bytes() - before})


def raw_host(stage: Stage) -> None:
    """A publisher that is told of each subscription."""
    with raw.context_of_role() as context:
        socket = raw.xpub(context, stage.load)
        endpoint = raw.bound(socket)
        before = private_bytes()
        stage.meet(endpoint)
        began = time.perf_counter()
        raw.await_subscribers(socket, stage.load.topics)
        took = time.perf_counter() - began
        stage.ready()
        stage.finish({"in_force_s": took, "host_bytes": private_bytes() - before})


def raw_listener(stage: Stage) -> None:
    """Subscribes to each topic by its name."""
    endpoint = stage.meet()[0]
    with raw.context_of_role() as context:
        names = [name.encode() + b"\0" for name in topics(stage.load)]
        before = private_bytes()
        socket = raw.sub(context, stage.load, names[0])
        socket.connect(endpoint)
        for name in names[1:]:
            socket.setsockopt(zmq.SUBSCRIBE, name)
        stage.ready()
        stage.finish({"subscriber_bytes": private_bytes() - before})


def spot_selective_subscriber(stage: Stage) -> None:
    """A subscriber that also has patterns which match nothing."""
    with spot.node_of_role(stage.load) as node:
        _add_patterns(node, stage)
        spot.meet_publisher(node, stage)
        stage.finish(spot.received(node, stage.load.messages))


def raw_selective_subscriber(stage: Stage) -> None:
    """The subscriber of raw pyzmq, which also has prefixes that match nothing."""
    with raw.context_of_role() as context:
        socket = raw.sub(context, stage.load, raw.TOPIC)
        for index in range(stage.load.patterns):
            socket.setsockopt(zmq.SUBSCRIBE, f"nothing:{index:04}:".encode())
        socket.connect(stage.meet()[0])
        due = numbers(stage.load.messages)
        stage.ready()
        stage.finish(raw.received(socket, due))


def spot_creator(stage: Stage) -> None:
    """Creates topics while a peer holds patterns that match none of them."""
    with spot.node_of_role(stage.load) as node:
        stage.meet(node.bind("tcp://127.0.0.1:0"))
        stage.ready()
        names = [f"created:{index:06}" for index in range(CREATED)]
        began = time.process_time()
        for name in names:
            node.topic_create(name)
        took = time.process_time() - began
        stage.finish({"create_s": took / CREATED})


def spot_picky(stage: Stage) -> None:
    """Subscribes to patterns that match nothing."""
    with spot.node_of_role(stage.load) as node:
        _add_patterns(node, stage)
        node.cluster_add(stage.meet()[0])
        node.cluster_sync(PATIENCE)
        stage.ready()
        stage.finish()


def _add_patterns(node: Spot, stage: Stage) -> None:
    for index in range(stage.load.patterns):
        node.subscribe_pattern(f"nothing:{index:04}:*")
