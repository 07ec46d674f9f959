"""The sweeps: which number grows, who is measured, and how fast the cost may grow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bench.contestants import many_nodes, many_topics, paced
from bench.contestants import raw_pyzmq as raw
from bench.contestants import spot_node as spot
from bench.row import Contestant, Figures, Load, delivered
from bench.rows import RAW, SPOT, fan_out, one_way
from bench.sweep import Curve, Sweep

__all__ = ["GROWTH", "PICTURE", "SWEEPS"]

MIB = 1 << 20
LINEAR = 1.2
"""Linear, with room for what a noisy machine adds at the largest size."""
FLAT = 0.3
"""The same at every size, with room for noise."""
SQUARE = 2.3
"""Like the number of links in a mesh."""

SIZE_MESSAGES = 200_000
SIZE_BYTES = 128 * MIB
LATENCY_SECONDS = 1.5
DELIVERIES = 320_000


def _cost(reports: Sequence[Figures]) -> Figures:
    """Turns the rate into the time for one message."""
    figures = delivered(reports)
    return {**figures, "message_s": 1 / figures["rate"]}


def _costing(contestant: Contestant) -> Contestant:
    return replace(contestant, sum_up=_cost)


SIZE = Sweep(
    name="size",
    what="throughput over message size, one to one, TCP",
    size="payload [bytes]",
    sizes=(16, 64, 256, 1024, 4096, 16_384, 65_536, 262_144, MIB),
    quick=(16, 4096, MIB),
    contestants=lambda size: (SPOT, RAW),
    load=lambda size: Load(messages=min(SIZE_MESSAGES, SIZE_BYTES // size), payload_bytes=size),
    curves=(Curve(figure="rate", label="messages/s"),),
)

LATENCY = Sweep(
    name="latency",
    what="latency over offered load, one to one, TCP, from when a message was due",
    size="offered [messages/s]",
    sizes=(100, 1_000, 10_000, 50_000, 100_000, 200_000, 400_000),
    quick=(1_000, 10_000, 50_000),
    contestants=lambda size: (
        Contestant("SPOT", (paced.spot_publisher, paced.spot_subscriber)),
        Contestant("raw", (paced.raw_publisher, paced.raw_subscriber)),
    ),
    load=lambda size: Load(messages=int(size * LATENCY_SECONDS), rate_hz=size),
    curves=(
        Curve(figure="p50", label="latency p50 [ms]", scale=1e3),
        Curve(figure="p99", label="latency p99 [ms]", scale=1e3),
    ),
)

FAN_OUT = Sweep(
    name="fan-out",
    what="one publisher, each subscriber a process, TCP",
    size="subscribers",
    sizes=(1, 2, 4, 8, 16, 32, 64),
    quick=(1, 2, 4),
    contestants=lambda size: (fan_out(SPOT, size), fan_out(RAW, size)),
    load=lambda size: Load(messages=max(5_000, DELIVERIES // size), subscribers=size),
    curves=(
        Curve(figure="rate", label="deliveries/s"),
        Curve(
            figure="publisher_cpu_s",
            label="publisher's CPU [us/message]",
            scale=1e6,
            order_at_most=LINEAR,
        ),
    ),
)

TOPICS = Sweep(
    name="topics",
    what="a host, and a subscriber to each of its topics by name, TCP",
    size="topics",
    sizes=(1, 10, 100, 1_000, 10_000, 100_000),
    quick=(10, 100, 1_000),
    contestants=lambda size: (
        Contestant("SPOT", (many_topics.spot_host, many_topics.spot_listener)),
        Contestant("raw", (many_topics.raw_host, many_topics.raw_listener)),
    ),
    load=lambda size: Load(messages=0, topics=size),
    curves=(
        Curve(figure="in_force_s", label="until in force [s]", order_at_most=LINEAR),
        Curve(
            figure="host_bytes", label="host's memory [MiB]", scale=1 / MIB, order_at_most=LINEAR
        ),
        Curve(
            figure="subscriber_bytes",
            label="subscriber's memory [MiB]",
            scale=1 / MIB,
            order_at_most=LINEAR,
        ),
    ),
)

TOPIC_RATE = Sweep(
    name="topic-rate",
    what="round robin over the topics, one to one, TCP",
    size="topics",
    sizes=(1, 10, 100, 1_000, 10_000, 100_000),
    quick=(10, 100, 1_000),
    contestants=lambda size: (
        _costing(one_way("SPOT", spot.topics_publisher, spot.topics_subscriber)),
        _costing(one_way("raw", raw.topics_publisher, raw.topics_subscriber)),
    ),
    load=lambda size: Load(messages=max(50_000, 2 * size), topics=size),
    # Not judged: the fewer messages of its topic share a flush with a message, the more it costs.
    # Many topics share a batch, but the cost does not follow one power of the number of topics: in
    # a run at a load of 20 on two cores, 4 to 5 us up to 100 topics, 10 at 1,000, 19 at 10,000.
    curves=(Curve(figure="message_s", label="time [us/message]", scale=1e6),),
)

PATTERNS = Sweep(
    name="patterns",
    what="one to one, the subscriber having patterns that match nothing",
    size="patterns",
    sizes=(1, 10, 30, 100),
    quick=(1, 10, 100),
    contestants=lambda size: (
        _costing(one_way("SPOT", spot.publisher, many_topics.spot_selective_subscriber)),
        _costing(one_way("raw", raw.publisher, many_topics.raw_selective_subscriber)),
    ),
    load=lambda size: Load(messages=100_000, patterns=size),
    curves=(Curve(figure="message_s", label="time [us/message]", scale=1e6, order_at_most=FLAT),),
)

MATCHING = Sweep(
    name="matching",
    what="topics created, a peer having patterns that match none of them",
    size="patterns",
    sizes=(1, 10, 30, 100, 300, 1_000),
    quick=(1, 10, 100),
    contestants=lambda size: (
        Contestant("SPOT", (many_topics.spot_creator, many_topics.spot_picky)),
    ),
    load=lambda size: Load(messages=0, patterns=size),
    curves=(Curve(figure="create_s", label="CPU [us/topic]", scale=1e6, order_at_most=FLAT),),
)

MESH = Sweep(
    name="mesh",
    what="a mesh without topics, each node a process: until it is up, then idle for 3 s",
    size="nodes",
    sizes=(2, 5, 10, 20, 35, 50),
    quick=(2, 3, 5),
    contestants=lambda size: (
        Contestant("SPOT", (many_nodes.spot_mesh_node,) * size, many_nodes.mesh_figures),
        Contestant("raw", (many_nodes.raw_mesh_node,) * size, many_nodes.mesh_figures),
    ),
    load=lambda size: Load(messages=0, seconds=3.0),
    curves=(
        Curve(figure="up_s", label="until up [s]", order_at_most=SQUARE),
        Curve(figure="up_cpu_s", label="CPU until up [s]", order_at_most=SQUARE),
        Curve(
            figure="node_bytes", label="a node's memory [MiB]", scale=1 / MIB, order_at_most=LINEAR
        ),
        Curve(figure="idle_cores", label="idle CPU of all [cores]", order_at_most=SQUARE),
        Curve(figure="links_lost", label="links lost", is_drawn=False),
    ),
)

LINKS = Sweep(
    name="links",
    what="one node without topics and all that dial it: its memory, and its CPU idle for 3 s",
    size="links",
    sizes=(1, 2, 5, 10, 20, 50),
    quick=(1, 2, 5),
    contestants=lambda size: (
        Contestant("SPOT", (many_nodes.spot_hub, many_nodes.spot_spokes)),
        Contestant("raw", (many_nodes.raw_hub, many_nodes.raw_spokes)),
    ),
    load=lambda size: Load(messages=0, subscribers=size, seconds=3.0),
    curves=(
        Curve(figure="hub_bytes", label="memory [MiB]", scale=1 / MIB, order_at_most=LINEAR),
        Curve(figure="hub_idle_cores", label="idle CPU [cores]", order_at_most=LINEAR),
    ),
)

SWEEPS = (SIZE, LATENCY, FAN_OUT, TOPICS, TOPIC_RATE, PATTERNS, MATCHING, MESH, LINKS)

GROWTH = (FAN_OUT, TOPICS, TOPIC_RATE, PATTERNS, MATCHING, MESH, LINKS)
"""The sweeps that ``growth`` plays: how time and memory grow."""

PICTURE = (SIZE, LATENCY, FAN_OUT, TOPICS, MESH)
"""The sweeps that ``--picture`` draws beside the rows."""
