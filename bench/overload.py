"""``python -m bench overload``: publishers ten times as fast as their subscribers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TextIO

from bench.contestants import overloaded as roles
from bench.progress import Progress
from bench.report import number, print_table
from bench.rounds import Failed, play_round
from bench.row import Contestant, Figures, Load
from bench.run import Run, parser
from bench.stage import Stage
from spot import Config

__all__ = ["CASES", "Bound", "Case", "CaseOutcome", "main", "summed_up"]

MIB = 1 << 20
SUBSCRIBERS = 3
TAKEN_HZ = 1_500.0
FULL = Load(
    messages=0,
    payload_bytes=1_024,
    hwm=Config().sndhwm,
    topics=4,
    subscribers=SUBSCRIBERS,
    rate_hz=10 * TAKEN_HZ,
    taken_hz=TAKEN_HZ,
    seconds=30.0,
    stopped_s=0.0,
)
QUICK = replace(FULL, hwm=500, seconds=4.0)
STOPPED_S = 30.0
STOPPED_QUICK_S = 3.0
AFTER_STOP = 8.0
"""Seconds of load before and after a subscriber is stopped, added up."""
DRAIN = 150.0
"""Seconds that a case may take beyond its load: queues drain at the slow subscriber's rate."""


@dataclass(frozen=True, kw_only=True)
class Bound:
    """The bounds for one figure of a case."""

    figure: str
    at_least: float | None = None
    at_most: float | None = None

    def keeps(self, value: float) -> bool:
        """Whether the value is within the bounds."""
        return (self.at_least is None or value >= self.at_least) and (
            self.at_most is None or value <= self.at_most
        )

    def __str__(self) -> str:
        if self.at_least is not None:
            return f"at least {self.at_least:g}"
        return f"at most {self.at_most:g}"


EVERY_CASE = (
    Bound(figure="links_lost", at_most=0),
    Bound(figure="unaccounted", at_most=0),
    Bound(figure="publisher_memory", at_most=1.0),
    Bound(figure="subscriber_memory", at_most=1.0),
    Bound(figure="rtt_s", at_most=Config().peer_timeout / 4),
    Bound(figure="answer_s", at_most=Config().peer_timeout / 4),
)
FAIR = (
    Bound(figure="topic_share", at_least=0.8),
    Bound(figure="subscriber_share", at_least=0.8),
    Bound(figure="second_share", at_least=0.5),
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One kind of overload. With ``stops``, the last subscriber is stopped for a while."""

    name: str
    what: str
    roles: tuple[Callable[[Stage], None], ...]
    bounds: tuple[Bound, ...]
    stops: bool = False

    def load(self, arguments: argparse.Namespace) -> Load:
        """What is offered, and for how long."""
        load = QUICK if arguments.quick else FULL
        if self.stops:
            stopped = arguments.stopped or (STOPPED_QUICK_S if arguments.quick else STOPPED_S)
            return replace(load, stopped_s=stopped, seconds=stopped + AFTER_STOP)
        return replace(load, seconds=arguments.seconds or load.seconds)


CASES = (
    Case(
        name="waits",
        what="the publisher waits for slow subscribers as long as it takes (send_timeout=None)",
        roles=(roles.patient_publisher, *[roles.slow_subscriber] * SUBSCRIBERS),
        bounds=(*EVERY_CASE, *FAIR, Bound(figure="missed", at_most=0)),
    ),
    Case(
        name="sets-aside",
        what="slow subscribers are set aside, and catch up (overflow=catch-up, the default)",
        roles=(roles.publisher, *[roles.slow_subscriber] * SUBSCRIBERS),
        bounds=(*EVERY_CASE, *FAIR, Bound(figure="set_aside", at_least=1)),
    ),
    Case(
        name="refuses",
        what="a publish without room raises (overflow=error)",
        roles=(roles.refusing_publisher, *[roles.slow_subscriber] * SUBSCRIBERS),
        bounds=(*EVERY_CASE, *FAIR, Bound(figure="missed", at_most=0)),
    ),
    Case(
        name="one-slow",
        what="one slow subscriber beside two that keep up",
        roles=(
            roles.publisher,
            roles.fast_subscriber,
            roles.fast_subscriber,
            roles.slow_subscriber,
        ),
        bounds=(
            *EVERY_CASE,
            Bound(figure="second_share", at_least=0.5),
            Bound(figure="best_share", at_least=0.5),
        ),
    ),
    Case(
        name="publishers",
        what="three nodes publish to a REMOTE topic whose host takes a tenth",
        roles=(roles.slow_host, *[roles.publisher_of_host] * SUBSCRIBERS),
        bounds=(
            *EVERY_CASE,
            Bound(figure="publisher_share", at_least=0.8),
            Bound(figure="second_share", at_least=0.5),
        ),
    ),
    Case(
        name="stopped",
        what="one of three subscribers is stopped (SIGSTOP) under load, and goes on",
        roles=(
            roles.stopping_publisher,
            roles.fast_subscriber,
            roles.fast_subscriber,
            roles.fast_subscriber,
        ),
        # A node that is stopped for longer than peer_timeout is lost, at both ends of its link.
        bounds=(
            *(bound for bound in EVERY_CASE if bound.figure not in ("links_lost", "rtt_s")),
            Bound(figure="links_lost", at_most=2),
            Bound(figure="live_s", at_most=2.0),
        ),
        stops=True,
    ),
)


@dataclass(frozen=True)
class CaseOutcome:
    """A case that was played: its figures, or why it failed."""

    case: Case
    load: Load
    figures: Figures
    failure: str | None = None

    @property
    def short(self) -> list[str]:
        """The bounds that were not kept, each with the figure."""
        if self.failure is not None:
            return []
        return [
            f"{self.case.name}: {bound.figure} is {number(self.figures[bound.figure])}, "
            f"{bound} is the goal"
            for bound in self.case.bounds
            if not bound.keeps(self.figures[bound.figure])
        ]


def main(argv: Sequence[str], cases: Sequence[Case] = CASES) -> int:
    """Plays each case once, and judges them."""
    by_name = {case.name: case for case in cases}
    made = parser(
        "overload",
        "Publishers offer ten times what is taken: memory, rate, links, heartbeats, fairness.",
        {case.name: case.what for case in cases},
        "CASE",
    )
    made.add_argument(
        "--seconds",
        type=float,
        metavar="S",
        help=f"how long each is under load (default {FULL.seconds:g}, "
        f"with --quick {QUICK.seconds:g}); the queues drain after that",
    )
    made.add_argument(
        "--stopped",
        type=float,
        metavar="S",
        help=f"how long the stopped subscriber is stopped (default {STOPPED_S:g}, "
        f"with --quick {STOPPED_QUICK_S:g})",
    )
    arguments = made.parse_args(argv)
    unknown = [name for name in arguments.names if name not in by_name]
    if unknown:
        made.error(f"no case is called {', '.join(unknown)}: there are {', '.join(by_name)}")
    chosen = [by_name[name] for name in arguments.names] or list(cases)
    run = Run("overload", arguments)
    with Progress(len(chosen)) as progress:
        outcomes = [_play(case, case.load(arguments), progress) for case in chosen]
    show(outcomes, sys.stdout)
    return run.conclude(
        {"cases": [_json(outcome) for outcome in outcomes]},
        [f"{outcome.case.name} failed" for outcome in outcomes if outcome.failure is not None],
        [line for outcome in outcomes for line in outcome.short],
    )


def _play(case: Case, load: Load, progress: Progress) -> CaseOutcome:
    contestant = Contestant("SPOT", case.roles, lambda reports: summed_up(reports, load))
    try:
        figures = play_round(contestant, load, timeout=load.seconds + DRAIN)
    except Failed as failure:
        progress.skip(1, f"FAILED {case.name}: {failure}")
        return CaseOutcome(case, load, {}, str(failure))
    progress.step(f"{case.name}: {number(figures['received'])} received")
    return CaseOutcome(case, load, figures)


def summed_up(reports: Sequence[Figures], load: Load) -> Figures:
    """The figures of a case, made from those of its nodes.

    Memory is given as a share of what the queues may hold. Each end of a link may hold its
    high-water mark, twice over for what Python adds, and 32 MiB for all else (including the replay
    buffer).
    """
    publishers = [figures for figures in reports if figures["role"] == roles.PUBLISHER]
    subscribers = [figures for figures in reports if figures["role"] == roles.SUBSCRIBER]
    queue = 2 * load.hwm * (load.payload_bytes + 64)
    links = max(len(publishers), len(subscribers))
    accepted = sum(figures["accepted"] for figures in publishers)
    received = [figures["received"] for figures in subscribers]
    missed = sum(figures["missed"] for figures in subscribers)
    memory = {
        "publisher": max(figures["memory_bytes"] for figures in publishers),
        "subscriber": max(figures["memory_bytes"] for figures in subscribers),
    }
    live = [figures["live_s"] for figures in subscribers if "live_s" in figures]
    return {
        "accepted": accepted,
        "refused": sum(figures["refused"] for figures in publishers),
        "received": sum(received),
        "best_share": max(received) / (load.rate_hz * load.seconds),
        "missed": missed,
        "unaccounted": abs(accepted * len(subscribers) - sum(received) - missed),
        "links_lost": sum(figures["links_lost"] for figures in reports),
        "set_aside": sum(figures.get("set_aside", 0.0) for figures in publishers),
        "told": sum(figures["told"] for figures in subscribers),
        "publisher_mib": memory["publisher"] / MIB,
        "subscriber_mib": memory["subscriber"] / MIB,
        "publisher_memory": memory["publisher"] / (links * queue + 32 * MIB),
        "subscriber_memory": memory["subscriber"] / (links * queue + 32 * MIB),
        "rtt_s": max(figures["rtt_s"] for figures in reports),
        "answer_s": max(figures["answer_s"] for figures in reports),
        "topic_share": min(figures["topic_share"] for figures in subscribers),
        "publisher_share": min(figures["publisher_share"] for figures in subscribers),
        "subscriber_share": min(received) * len(received) / sum(received),
        # A subscriber that is stopped or slow has no steady rate to judge where others keep up.
        "second_share": max(figures["second_share"] for figures in subscribers),
        **({"live_s": max(live)} if live else {}),
    }


def show(outcomes: Sequence[CaseOutcome], out: TextIO) -> None:
    """A table for each case: what was measured, and its bounds."""
    for outcome in outcomes:
        case, load = outcome.case, outcome.load
        print(
            f"\n{case.name}: {case.what}; {load.rate_hz:,.0f}/s offered, "
            f"{load.taken_hz:,.0f}/s taken by a slow one, {load.payload_bytes} bytes, "
            f"high-water marks {load.hwm:,}, {load.seconds:g} s"
            + (f", stopped for {load.stopped_s:g} s" if case.stops else ""),
            file=out,
        )
        if outcome.failure is not None:
            print(f"  FAILED: {outcome.failure}", file=out)
            continue
        bounds = {bound.figure: bound for bound in case.bounds}
        print_table(
            ("figure", "value", "goal", ""),
            [
                (name, number(value), *_judged(bounds.get(name), value))
                for name, value in outcome.figures.items()
            ],
            out,
        )


def _judged(bound: Bound | None, value: float) -> tuple[str, str]:
    if bound is None:
        return "", ""
    return str(bound), "good" if bound.keeps(value) else "SHORT"


def _json(outcome: CaseOutcome) -> Mapping[str, Any]:
    load = outcome.load
    return {
        "name": outcome.case.name,
        "what": outcome.case.what,
        "offered_hz": load.rate_hz,
        "taken_hz": load.taken_hz,
        "payload_bytes": load.payload_bytes,
        "hwm": load.hwm,
        "seconds": load.seconds,
        "stopped_s": load.stopped_s,
        "failure": outcome.failure,
        "figures": dict(outcome.figures),
        "short": outcome.short,
    }
