"""The cost of peers: a mesh of processes, starting and then idle, and one node with many links."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from bench.contestants import raw_sockets as raw
from bench.contestants import spot_setup as spot
from bench.memory import private_bytes
from bench.row import Figures
from bench.stage import Stage
from bench.traffic import Lost

__all__ = [
    "mesh_figures",
    "raw_hub",
    "raw_mesh_node",
    "raw_spokes",
    "spot_hub",
    "spot_mesh_node",
    "spot_spokes",
]

MESH_PATIENCE = 60.0
"""Seconds within which a mesh has to be up."""


def mesh_figures(reports: Sequence[Figures]) -> Figures:
    """Figures of all nodes together: seconds until the last was up, CPU of all for that, memory of
    one, CPU when idle, links that either end lost."""
    began = min(figures["began"] for figures in reports)
    return {
        "up_s": max(figures["up_at"] for figures in reports) - began,
        "up_cpu_s": sum(figures["up_cpu_s"] for figures in reports),
        "node_bytes": statistics.median(figures["bytes"] for figures in reports),
        "idle_cores": sum(figures["idle_cores"] for figures in reports),
        "links_lost": sum(figures["links_lost"] for figures in reports),
    }


def spot_mesh_node(stage: Stage) -> None:
    """One node of a mesh without topics. It adds all nodes that come before it, then idles."""
    before = private_bytes()
    with spot.quiet() as node:
        endpoint = node.bind("tcp://127.0.0.1:0")
        endpoints = stage.meet(endpoint)
        began, cpu = time.perf_counter(), time.process_time()
        for other in endpoints[: endpoints.index(endpoint)]:
            node.cluster_add(other)
        _await(lambda: node.metrics().links_up == len(endpoints) - 1)
        node.cluster_sync(MESH_PATIENCE)
        _idle(stage, before, began, cpu, lambda: node.metrics().links_lost)


def raw_mesh_node(stage: Stage) -> None:
    """The usual mesh of raw pyzmq: each node binds a publisher, and subscribes to all others."""
    before = private_bytes()
    with raw.context_of_role() as context:
        publisher = raw.xpub(context, stage.load)
        subscriber = raw.sub(context, stage.load, raw.TOPIC)
        endpoint = raw.bound(publisher)
        endpoints = stage.meet(endpoint)
        began, cpu = time.perf_counter(), time.process_time()
        for other in endpoints:
            if other != endpoint:
                subscriber.connect(other)
        raw.await_subscribers(publisher, len(endpoints) - 1)
        _idle(stage, before, began, cpu, lambda: 0)


def spot_hub(stage: Stage) -> None:
    """A node with a link to each of the subscribers, and no topics."""
    before = private_bytes()
    with spot.quiet() as node:
        stage.meet(node.bind("tcp://127.0.0.1:0"))
        _await(lambda: node.metrics().links_up == stage.load.subscribers)
        stage.ready()
        _idle_hub(stage, before)


def spot_spokes(stage: Stage) -> None:
    """All peers of the hub, in one process, as the hub is what is measured."""
    endpoint = stage.meet()[0]
    with ExitStack() as nodes:
        for _ in range(stage.load.subscribers):
            nodes.enter_context(spot.quiet()).cluster_add(endpoint)
        stage.ready()
        stage.finish()


def raw_hub(stage: Stage) -> None:
    """A bound publisher with the load's number of subscribers."""
    before = private_bytes()
    with raw.context_of_role() as context:
        publisher = raw.xpub(context, stage.load)
        stage.meet(raw.bound(publisher))
        raw.await_subscribers(publisher, stage.load.subscribers)
        stage.ready()
        _idle_hub(stage, before)


def raw_spokes(stage: Stage) -> None:
    """The publisher's subscribers, each a socket, all in one process."""
    endpoint = stage.meet()[0]
    with raw.context_of_role() as context:
        count = stage.load.subscribers
        subscribers = [raw.sub(context, stage.load, raw.TOPIC) for _ in range(count)]
        for subscriber in subscribers:
            subscriber.connect(endpoint)
        stage.ready()
        stage.finish()


def _idle(
    stage: Stage, before: int, began: float, cpu: float, links_lost: Callable[[], int]
) -> None:
    up_at, up_cpu = time.perf_counter(), time.process_time() - cpu
    stage.ready()  # all are up
    idle = _idle_cores(stage.load.seconds)
    stage.finish(
        {
            "began": began,
            "up_at": up_at,
            "up_cpu_s": up_cpu,
            "bytes": private_bytes() - before,
            "idle_cores": idle,
            "links_lost": links_lost(),
        }
    )


def _idle_hub(stage: Stage, before: int) -> None:
    idle = _idle_cores(stage.load.seconds)
    stage.finish({"hub_bytes": private_bytes() - before, "hub_idle_cores": idle})


def _idle_cores(seconds: float) -> float:
    began, cpu = time.perf_counter(), time.process_time()
    time.sleep(seconds)
    return (time.process_time() - cpu) / (time.perf_counter() - began)


def _await(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + MESH_PATIENCE
    while not done():
        if time.monotonic() > deadline:
            raise Lost(f"not all links were up in {MESH_PATIENCE:g} s")
        time.sleep(0.02)
