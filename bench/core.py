"""``python -m bench core``: the cost of a message in the pure core, without a network.

Each figure is the least CPU time of many repeats, which a busy machine disturbs little. It is also
given, and judged, as a multiple of a plain Python loop on the same machine, which packs and joins
length and payload. That ratio moves little from machine to machine.
"""

from __future__ import annotations

import gc
import struct
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.progress import Progress
from bench.report import number, print_table
from bench.run import Run, parser
from bench.star import NOW, Star
from spot.core.effects import Frame
from spot.core.node import NodeCore
from spot.core.topics.interest import Interest
from spot.core.wire import batches, codec

__all__ = ["MEASURES", "Cost", "Measure", "main"]

BATCH = 1_000
PAYLOADS = [bytes(64) for _ in range(BATCH)]
SECONDS = 1.0
SECONDS_QUICK = 0.15

Step = Callable[[], object]


@dataclass(frozen=True, kw_only=True)
class Measure:
    """Something to time. ``prepare`` makes a step that handles ``ops`` messages (or matches), with
    all that can only be used once. Only the step is timed."""

    name: str
    what: str
    ops: int
    prepare: Callable[[], Callable[[], Step]]
    at_most: float | None = None
    """The highest cost that is allowed, in multiples of the plain loop: about twice the cost when
    this was written. None for the loop itself."""


@dataclass(frozen=True)
class Cost:
    """What was measured: nanoseconds of CPU per operation, and the multiple of the plain loop."""

    measure: Measure
    ns: float
    multiple: float
    repeats: int

    @property
    def is_good(self) -> bool:
        """Whether the cost keeps the measure's bound."""
        return self.measure.at_most is None or self.multiple <= self.measure.at_most


def plain_loop() -> Callable[[], Step]:
    """The loop that every figure is compared with: a length before each payload, one by one."""
    pack = struct.Struct("<I").pack

    def step() -> bytes:
        return b"".join([pack(len(payload)) + payload for payload in PAYLOADS])

    return lambda: step


def encode() -> Callable[[], Step]:
    """A batch becomes a record."""
    return lambda: lambda: batches.encode_batch(codec.DATA, 1, 1, PAYLOADS)


def encode_mixed() -> Callable[[], Step]:
    """A batch of payloads of many sizes becomes a record."""
    mixed = [bytes(index % 128) for index in range(BATCH)]
    return lambda: lambda: batches.encode_batch(codec.DATA, 1, 1, mixed)


def encode_single() -> Callable[[], Step]:
    """Each message becomes a record of its own."""

    def step() -> None:
        for payload in PAYLOADS:
            batches.encode_batch(codec.DATA, 1, 1, (payload,))

    return lambda: step


def flush(peers: int) -> Callable[[], Callable[[], Step]]:
    """A batch is ordered, encoded, and becomes a frame for each subscriber."""

    def prepare() -> Callable[[], Step]:
        star, topics = _hosting(peers, 1)
        star.give_credit()

        def step() -> None:
            star.host.hosting.publish(topics[0], PAYLOADS)
            star.host.take_sends(NOW)

        return lambda: step

    return prepare


def flush_topics() -> Callable[[], Step]:
    """One message to each of many topics, for one subscriber to all of them."""
    star, topics = _hosting(1, BATCH)
    star.give_credit()

    def step() -> None:
        star.host.hosting.publish_across(topics, PAYLOADS)
        star.host.take_sends(NOW)

    return lambda: step


def receive(topics: int) -> Callable[[], Callable[[], Step]]:
    """Frames arrive, and the application takes their messages: a batch to each of many topics."""

    def prepare() -> Callable[[], Step]:
        star, hosted = _hosting(1, topics)
        (name,) = star.peers
        share = PAYLOADS[: BATCH // topics]

        def step_with_frames() -> Step:
            star.give_credit()
            if topics == 1:
                star.host.hosting.publish(hosted[0], share)
            else:
                star.host.hosting.publish_across(hosted, PAYLOADS)
            frames = [frame for _, frame in star.host.take_sends(NOW)]
            return lambda: _take(star, name, frames)

        return step_with_frames

    return prepare


def match(patterns: int) -> Callable[[], Callable[[], Step]]:
    """Topics are looked up in an interest with many patterns that don't match."""

    def prepare() -> Callable[[], Step]:
        interest = Interest()
        for index in range(patterns):
            interest.add(f"nothing:{index:04}:*", pattern=True)
        names = [f"sensor:{index:06}:temperature" for index in range(BATCH)]

        def step() -> None:
            wants = interest.wants
            for name in names:
                wants(name)

        return lambda: step

    return prepare


MEASURES = (
    Measure(
        name="plain-loop", what="length and payload, one by one", ops=BATCH, prepare=plain_loop
    ),
    Measure(name="encode", what="a batch of 1,000", ops=BATCH, prepare=encode, at_most=0.6),
    Measure(
        name="encode-mixed",
        what="a batch of 1,000, sizes differ",
        ops=BATCH,
        prepare=encode_mixed,
        at_most=1.1,
    ),
    Measure(
        name="encode-single", what="batches of one", ops=BATCH, prepare=encode_single, at_most=5.5
    ),
    Measure(
        name="flush-1",
        what="a batch of 1,000 to one peer",
        ops=BATCH,
        prepare=flush(1),
        at_most=1.1,
    ),
    Measure(
        name="flush-16",
        what="a batch of 1,000 to 16 peers",
        ops=BATCH,
        prepare=flush(16),
        at_most=1.6,
    ),
    Measure(
        name="flush-topics",
        what="one message to each of 1,000 topics, to one peer",
        ops=BATCH,
        prepare=flush_topics,
        at_most=11.0,
    ),
    Measure(
        name="receive", what="a batch of 1,000, taken", ops=BATCH, prepare=receive(1), at_most=3.5
    ),
    Measure(
        name="receive-topics",
        what="one message of each of 1,000 topics, taken",
        ops=BATCH,
        prepare=receive(BATCH),
        at_most=8.0,
    ),
    Measure(
        name="match-1", what="a topic and one pattern", ops=BATCH, prepare=match(1), at_most=8.0
    ),
    Measure(
        name="match-100",
        what="a topic and 100 patterns that don't match",
        ops=BATCH,
        prepare=match(100),
        at_most=8.0,
    ),
)


def main(argv: Sequence[str], measures: Sequence[Measure] = MEASURES) -> int:
    """Measures, and judges each measure by its multiple of the plain loop."""
    made = parser(
        "core",
        "Measures what a message costs in the pure core: CPU time, the least of many repeats.",
        {measure.name: measure.what for measure in measures},
        "MEASURE",
    )
    arguments = made.parse_args(argv)
    by_name = {measure.name: measure for measure in measures}
    unknown = [name for name in arguments.names if name not in by_name]
    if unknown:
        made.error(f"no measure is called {', '.join(unknown)}: there are {', '.join(by_name)}")
    chosen = [by_name[name] for name in arguments.names] or list(measures)
    seconds = SECONDS_QUICK if arguments.quick else SECONDS
    run = Run("core", arguments)
    costs = []
    with Progress(len(chosen)) as progress:
        for measure in chosen:
            costs.append(_cost(measure, seconds))
            progress.step(f"{measure.name}: {number(costs[-1].ns)} ns")
    print_table(
        ("measure", "", "ns each", "plain loops", "at most", "", "repeats"),
        [_cells(cost) for cost in costs],
        sys.stdout,
    )
    return run.conclude({"costs": [_json(cost) for cost in costs]}, [], _short(costs))


def _cost(measure: Measure, seconds: float) -> Cost:
    """Times the measure and the plain loop in turn, so that both see the same machine."""
    steps = measure.prepare()
    plain = plain_loop()()
    least = least_plain = float("inf")
    repeats = 0
    ends = time.perf_counter() + seconds
    gc.collect()
    gc.disable()
    try:
        while repeats < 3 or time.perf_counter() < ends:
            least = min(least, _time(steps()))
            least_plain = min(least_plain, _time(plain))
            repeats += 1
    finally:
        gc.enable()
    return Cost(measure, least / measure.ops, least / measure.ops / (least_plain / BATCH), repeats)


def _time(step: Step) -> int:
    clock = time.process_time_ns
    began = clock()
    step()
    return clock() - began


def _hosting(peers: int, topics: int) -> tuple[Star, list[Any]]:
    """A host whose topics all its peers are subscribed to."""
    star = Star(peers)
    hosted = [
        star.host.announcer.create_topic(f"bench:{index:06}", NOW_NS) for index in range(topics)
    ]
    for peer in star.peers.values():
        peer.announcer.subscribe("bench:*", pattern=True)
    star.run_dry()
    return star, hosted


NOW_NS = 1_700_000_000_000_000_000


def _take(star: Star, name: bytes, frames: Sequence[Frame]) -> None:
    for frame in frames:
        star.arrive(name, frame)
    peer: NodeCore = star.peers[name]
    taken = 0
    while (item := peer.take()) is not None:
        taken += len(item.messages())  # type: ignore[union-attr]
        peer.taken(item, NOW)  # type: ignore[arg-type]
    peer.take_sends(NOW)
    assert taken == BATCH


def _cells(cost: Cost) -> tuple[str, ...]:
    measure = cost.measure
    judged = measure.at_most is not None
    return (
        measure.name,
        measure.what,
        number(cost.ns),
        f"{cost.multiple:.2f}",
        f"{measure.at_most:g}" if judged else "",
        ("good" if cost.is_good else "SHORT") if judged else "",
        f"{cost.repeats:,}",
    )


def _json(cost: Cost) -> dict[str, Any]:
    return {
        "name": cost.measure.name,
        "what": cost.measure.what,
        "ns": cost.ns,
        "multiple": cost.multiple,
        "at_most": cost.measure.at_most,
        "repeats": cost.repeats,
    }


def _short(costs: Sequence[Cost]) -> list[str]:
    return [
        f"{cost.measure.name}: {number(cost.ns)} ns are {cost.multiple:.2f} plain loops, "
        f"at most {cost.measure.at_most:g} is the goal"
        for cost in costs
        if not cost.is_good
    ]
