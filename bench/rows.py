"""The rows: what is compared with what, under which load, and with which goal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from bench.contestants import (
    broker,
    nats_client,
    raw_inproc,
    raw_multipart,
    redis_client,
    spot_local,
    zenoh_peer,
)
from bench.contestants import raw_pyzmq as raw
from bench.contestants import spot_node as spot
from bench.needs import Need, package, program, setting
from bench.row import Contestant, Line, Load, Row, delivered
from bench.stage import Stage
from spot import Config

__all__ = ["RAW", "ROWS", "SPOT", "fan_out", "one_way"]

Role = Callable[[Stage], None]

XPUB_SUB = "raw pyzmq XPUB/SUB, one frame"
INPROC = "raw pyzmq XPUB/SUB over inproc, one frame"
SUBSCRIBERS = 16


def one_way(
    name: str, *roles: Role, fewer: int = 1, hwm: int | None = None, needs: tuple[Need, ...] = ()
) -> Contestant:
    """A contestant whose receivers' rate is measured. ``fewer``: it carries only one of this many
    messages; ``hwm``: it has high-water marks of its own."""

    def carries(load: Load) -> Load:
        return replace(load, messages=load.messages // fewer, hwm=load.hwm if hwm is None else hwm)

    return Contestant(name, roles, delivered, carries, needs)


def fan_out(contestant: Contestant, subscribers: int) -> Contestant:
    """A publisher and the given number of subscribers."""
    publisher, subscriber = contestant.roles
    return replace(contestant, roles=(publisher, *[subscriber] * subscribers))


SPOT = one_way("SPOT", spot.publisher, spot.subscriber)
RAW = one_way("raw", raw.publisher, raw.subscriber)


def _rate(at_least: float, guard: float | None = None, against: str = "raw") -> Line:
    return Line(
        figure="rate",
        unit="million/s",
        scale=1e-6,
        against=against,
        at_least=at_least,
        guard=guard,
    )


ROWS = (
    Row(
        name="one-to-one",
        what="publish/recv, one to one, TCP, two processes",
        against=XPUB_SUB,
        contestants=(SPOT, RAW),
        load=Load(messages=500_000),
        quick=Load(messages=100_000),
        lines=(_rate(1.5, guard=0.7),),
    ),
    Row(
        name="defaults",
        what="the same, SPOT with default settings (its marks 10,000), raw with its marks, "
        "and with those of the row above",
        against=XPUB_SUB,
        contestants=(
            one_way("SPOT", spot.default_publisher, spot.default_subscriber),
            RAW,
            one_way("raw 100k", raw.publisher, raw.subscriber, hwm=100_000),
        ),
        load=Load(messages=500_000, hwm=Config().sndhwm),
        quick=Load(messages=100_000, hwm=Config().sndhwm),
        lines=(_rate(1.2, guard=0.6), _rate(1.2, guard=0.6, against="raw 100k")),
    ),
    Row(
        name="topics",
        what="the same, round robin over 1,000 topics",
        against=XPUB_SUB,
        contestants=(
            one_way("SPOT", spot.topics_publisher, spot.topics_subscriber),
            one_way("raw", raw.topics_publisher, raw.topics_subscriber),
        ),
        load=Load(messages=300_000, topics=1_000),
        quick=Load(messages=50_000, topics=1_000),
        lines=(_rate(1.0),),
    ),
    Row(
        name="multipart",
        what="publish/recv, one to one",
        against="raw pyzmq XPUB/SUB, two frames by send_multipart",
        contestants=(
            SPOT,
            one_way("multipart", raw_multipart.publisher, raw_multipart.subscriber, fewer=5),
        ),
        load=Load(messages=500_000),
        lines=(_rate(8.0, against="multipart"),),
    ),
    Row(
        name="zenoh",
        what="publish/recv, one to one",
        against="eclipse-zenoh, peer to peer, FIFO channel",
        contestants=(
            SPOT,
            one_way(
                "zenoh",
                zenoh_peer.publisher,
                zenoh_peer.subscriber,
                needs=(package("zenoh", "eclipse-zenoh"),),
            ),
        ),
        load=Load(messages=500_000),
        lines=(_rate(2.0, against="zenoh"),),
    ),
    Row(
        name="nats",
        what="publish/recv, one to one",
        against="nats-py on uvloop, through nats-server",
        contestants=(
            SPOT,
            one_way(
                "nats",
                broker.nats_server,
                nats_client.publisher,
                nats_client.subscriber,
                fewer=5,
                needs=(
                    package("nats", "nats-py"),
                    package("uvloop", "uvloop"),
                    program("nats-server", "nats-server"),
                ),
            ),
        ),
        load=Load(messages=500_000),
        lines=(_rate(8.0, against="nats"),),
    ),
    Row(
        name="redis",
        what="publish/recv, one to one",
        against="redis-py with hiredis, pipelines of 100, through redis-server",
        contestants=(
            SPOT,
            one_way(
                "redis",
                broker.redis_server,
                redis_client.publisher,
                redis_client.subscriber,
                fewer=10,
                needs=(
                    package("redis", "redis"),
                    package("hiredis", "hiredis"),
                    program("redis-server", "redis-server"),
                ),
            ),
        ),
        load=Load(messages=500_000),
        lines=(_rate(20.0, against="redis"),),
    ),
    Row(
        name="batched",
        what="publish_many/recv_many, 1,000 a call, one to one, TCP, two processes",
        against=XPUB_SUB,
        contestants=(one_way("SPOT", spot.batch_publisher, spot.batch_subscriber), RAW),
        load=Load(messages=500_000),
        quick=Load(messages=100_000),
        lines=(_rate(2.5, guard=1.0),),
    ),
    Row(
        name="fan-out",
        what=f"one to {SUBSCRIBERS} subscribers, each a process; deliveries a second",
        against=XPUB_SUB,
        contestants=(fan_out(SPOT, SUBSCRIBERS), fan_out(RAW, SUBSCRIBERS)),
        load=Load(messages=50_000, subscribers=SUBSCRIBERS),
        lines=(_rate(1.5),),
    ),
    Row(
        name="local-threads",
        what="LOCAL publish/recv, one process, two threads",
        against=INPROC,
        contestants=(
            one_way("SPOT", spot_local.two_threads),
            one_way("raw", raw_inproc.two_threads),
        ),
        load=Load(messages=300_000),
        quick=Load(messages=100_000),
        lines=(_rate(2.0, guard=0.7),),
    ),
    Row(
        name="local",
        what="LOCAL publish/recv, one thread, 100 published and then received",
        against=INPROC,
        contestants=(
            one_way("SPOT", spot_local.one_thread),
            one_way("raw", raw_inproc.one_thread),
        ),
        # 100 is where raw pyzmq is fastest. 1 halves its rate, and 10,000 does not fit the cache.
        load=Load(messages=300_000, batch=100),
        quick=Load(messages=100_000, batch=100),
        lines=(_rate(1.2, guard=0.4),),
    ),
    Row(
        name="large",
        what="messages of 1 MiB, one to one, TCP, two processes",
        against="raw pyzmq XPUB/SUB, one frame, copying as by default",
        contestants=(SPOT, RAW),
        load=Load(messages=256, payload_bytes=1 << 20),
        quick=Load(messages=64, payload_bytes=1 << 20),
        lines=(replace(_rate(0.8, guard=0.3), unit="MiB/s", scale=1.0),),
    ),
    Row(
        name="round-trip",
        what="ping-pong, TCP, two processes",
        against=XPUB_SUB,
        contestants=(
            Contestant("SPOT", (spot.ping, spot.echo)),
            Contestant("raw", (raw.ping, raw.echo)),
        ),
        load=Load(messages=1_500),
        quick=Load(messages=500),
        lines=(
            Line(figure="p50", unit="us", scale=1e6, at_most=1.25, guard=3.0),
            Line(figure="p99", unit="us", scale=1e6, at_most=2.0),
        ),
        rounds_scale=3,
    ),
    Row(
        name="history",
        what="publish/recv, one to one, history kept as by default",
        against="SPOT with history_bytes=0",
        contestants=(
            SPOT,
            one_way(
                "off",
                spot.forgetful_publisher,
                spot.subscriber,
                needs=(setting("history_bytes"),),
            ),
        ),
        load=Load(messages=500_000),
        lines=(_rate(0.9, against="off"),),
    ),
)
