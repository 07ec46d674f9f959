"""``python -m bench replay``: how a replay of 100 MB to one subscriber affects the others."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

from bench.contestants.spot_setup import quiet
from bench.progress import Progress
from bench.report import number, print_table
from bench.rounds import Failed, play_round
from bench.row import Contestant, Figures, Load, merged
from bench.run import Run, parser, positive
from bench.stage import PATIENCE, Stage
from bench.traffic import Lost

__all__ = ["main"]

MIB = 1 << 20
P99_RATIO_MAX = 2.0
LIVE_HZ = 1_000.0
QUIET_S = 5.0
"""Seconds of live traffic before the replay begins. The replay is compared with them."""
BULK = "bulk"
LIVE = "live"
PHASE = "phase"
FULL = Load(messages=100_000, payload_bytes=1_024)
QUICK = Load(messages=20_000, payload_bytes=1_024)


def host(stage: Stage) -> None:
    """Holds the bulk in its replay buffer. Publishes the time at a rate until it is told to end."""
    load = stage.load
    held = 2 * load.messages * load.payload_bytes
    with quiet(history_total_bytes=2 * held) as node:
        node.topic_create(BULK, history_bytes=held)
        node.topic_create(LIVE)
        payload = bytes(load.payload_bytes)
        for _ in range(load.messages // 1_000):
            node.publish_many(BULK, [payload] * 1_000)
        addresses = stage.meet(node.bind("tcp://127.0.0.1:0"))
        node.cluster_add(addresses[2])
        node.cluster_sync(PATIENCE)
        node.subscribe(PHASE)
        node.wait_for_subscribers(LIVE, 1, timeout=PATIENCE)
        stage.ready()
        due = time.perf_counter()
        ended = False
        while not ended:
            due += 1 / LIVE_HZ
            time.sleep(max(0.0, due - time.perf_counter()))
            node.publish(LIVE, b"%d" % time.perf_counter_ns())
            message = node.recv(0)
            ended = message is not None and message.data == b"end"
        stage.finish({"held": float(node.metrics().history_bytes)})


def listener(stage: Stage) -> None:
    """Measures how late live messages come, before and during the replay."""
    with quiet() as node:
        addresses = stage.meet()
        for address in (addresses[0], addresses[2]):
            node.cluster_add(address)
        node.cluster_sync(PATIENCE)
        node.subscribe(LIVE)
        node.subscribe(PHASE)
        stage.ready()
        before: list[float] = []
        during: list[float] = []
        late = before
        while True:
            message = node.recv(PATIENCE)
            if message is None or message.missed:
                raise Lost(f"a live message was due, {message!r} came")
            if message.topic == LIVE:
                late.append((time.perf_counter_ns() - int(message.data)) / 1e9)
            elif message.data == b"begin":
                late = during
            else:
                break
        stage.finish(
            {
                "before_p99": _p99(before),
                "during_p99": _p99(during),
                "before_p50": statistics.median(before),
                "during_p50": statistics.median(during),
            }
        )


def late_comer(stage: Stage) -> None:
    """Subscribes once the live traffic has flowed for a while, and receives the whole replay."""
    load = stage.load
    with quiet() as node:
        node.topic_create(PHASE)
        addresses = stage.meet(node.bind("tcp://127.0.0.1:0"))
        node.cluster_add(addresses[0])
        node.cluster_sync(PATIENCE)
        node.wait_for_subscribers(PHASE, 2, timeout=PATIENCE)
        stage.ready()
        time.sleep(QUIET_S)
        node.publish(PHASE, b"begin")
        began = time.perf_counter()
        node.subscribe(BULK, last=load.messages)
        for seq in range(1, load.messages + 1):
            message = node.recv(PATIENCE)
            if message is None or message.seq != seq or message.missed:
                raise Lost(f"message {seq} of the replay was due, {message!r:.80} came")
        took = time.perf_counter() - began
        node.publish(PHASE, b"end")
        node.flush(PATIENCE)
        stage.finish({"took": took, "mib_s": load.messages * load.payload_bytes / MIB / took})


def _p99(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=100)[98]


def main(argv: Sequence[str]) -> int:
    """Plays the rounds, prints and writes them. Returns the exit code."""
    made = parser(
        "replay", "Latency on a link while another one's subscriber gets a replay.", {}, "NAME"
    )
    made.add_argument("--rounds", type=positive, default=3, metavar="N", help="default: 3")
    arguments = made.parse_args(argv)
    load = QUICK if arguments.quick else FULL
    played = Contestant(name="SPOT", roles=(host, listener, late_comer), sum_up=merged)
    run = Run("replay", arguments)
    rounds: list[Figures] = []
    failed: list[str] = []
    with Progress(arguments.rounds) as progress:
        for _ in range(arguments.rounds):
            try:
                rounds.append(play_round(played, load))
            except Failed as failure:
                failed.append(f"replay: {failure}")
                break
            progress.step(f"replay: {number(rounds[-1]['mib_s'])} MiB/s")
    ratios = [figures["during_p99"] / figures["before_p99"] for figures in rounds]
    print_table(
        ("round", "replayed MiB/s", "p50 before", "during", "p99 before", "during [us]", "ratio"),
        [_cells(index, figures) for index, figures in enumerate(rounds, 1)],
        sys.stdout,
    )
    short = []
    if ratios and statistics.median(ratios) > P99_RATIO_MAX:
        short.append(
            f"replay: p99 of an untouched link rose to {statistics.median(ratios):.2f} times its "
            f"own, {P99_RATIO_MAX:g} is the goal"
        )
    found: dict[str, Any] = {"rounds": [dict(figures) for figures in rounds], "ratios": ratios}
    return run.conclude(found, failed, short)


def _cells(index: int, figures: Figures) -> tuple[str, ...]:
    latencies = (figures[name] for name in ("before_p50", "during_p50", "before_p99", "during_p99"))
    return (
        str(index),
        number(figures["mib_s"]),
        *(number(one * 1e6) for one in latencies),
        f"{figures['during_p99'] / figures['before_p99']:.2f}",
    )
