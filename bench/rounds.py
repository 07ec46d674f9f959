"""Plays a row round after round. Each contestant runs in fresh processes, and the order rotates."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from bench.progress import Progress
from bench.row import Contestant, Figures, Load, Outcome, Row
from bench.stage import play

__all__ = ["ROUND_TIMEOUT", "Failed", "order", "play_round", "play_row"]

ROUND_TIMEOUT = 120.0
"""Seconds that one contestant may take for one round."""

END_TIMEOUT = 5.0
"""Seconds that a role may take to close what it opened, after the round."""

_spawning = multiprocessing.get_context("spawn")


class Failed(Exception):
    """A contestant's process raised, died, or took too long: its row has no result."""


def order(contestants: Sequence[Contestant], round_index: int) -> list[Contestant]:
    """The order of each round. It begins with the next contestant, so that none is always first."""
    first = round_index % len(contestants)
    return [*contestants[first:], *contestants[:first]]


def play_row(row: Row, load: Load, rounds: int, progress: Progress) -> Outcome:
    """Plays ``rounds`` times the row's scale. A failure ends the row and becomes its outcome."""
    total = rounds * row.rounds_scale
    lacking = row.not_measured
    if lacking is not None:
        progress.skip(total, f"{row.name}: not measured: {lacking}")
        return Outcome(row, load, (), not_measured=lacking)
    played: list[dict[str, Figures]] = []
    for index in range(total):
        figures: dict[str, Figures] = {}
        for contestant in order(row.contestants, index):
            try:
                figures[contestant.name] = play_round(contestant, load)
            except Failed as failure:
                where = f"{row.name}, round {index + 1}, {contestant.name}: {failure}"
                progress.skip(total - index, f"FAILED {where}")
                return Outcome(row, load, tuple(played), where)
        played.append(figures)
        progress.step(f"{row.name}: round {index + 1} of {total}: {_in_short(row, figures)}")
    return Outcome(row, load, tuple(played))


def play_round(contestant: Contestant, load: Load, timeout: float = ROUND_TIMEOUT) -> Figures:
    """The figures of one round of one contestant. Raises Failed; leaves no process behind."""
    deadline = time.monotonic() + timeout
    with _processes(contestant, contestant.carries(load)) as pipes:
        for step in ("meet", "ready", "finish"):
            reports = _gather(contestant, pipes, step, deadline)
            for pipe in pipes:
                pipe.send(reports)
        _gather(contestant, pipes, "end", time.monotonic() + END_TIMEOUT)
    return contestant.sum_up(reports)


@contextmanager
def _processes(contestant: Contestant, load: Load) -> Iterator[list[Connection]]:
    processes: list[SpawnProcess] = []
    pipes: list[Connection] = []
    try:
        for role in contestant.roles:
            ours, theirs = _spawning.Pipe()
            pipes.append(ours)
            process = _spawning.Process(target=play, args=(role, load, theirs), daemon=True)
            process.start()
            processes.append(process)
            theirs.close()  # so that a process that dies ends its pipe
        yield pipes
    finally:
        for process in processes:
            process.kill()
            process.join()
        for pipe in pipes:
            pipe.close()


def _gather(
    contestant: Contestant, pipes: Sequence[Connection], step: str, deadline: float
) -> list[Any]:
    """One report from each role, in the order of roles. Raises at the first failure."""
    reports: dict[int, Any] = {}
    while len(reports) < len(pipes):
        missing = [index for index in range(len(pipes)) if index not in reports]
        ready = wait([pipes[index] for index in missing], max(0.0, deadline - time.monotonic()))
        if not ready:
            roles = ", ".join(contestant.roles[index].__name__ for index in missing)
            raise Failed(f"{roles} did not come to {step!r} in time")
        for index in (index for index in missing if pipes[index] in ready):
            role = contestant.roles[index].__name__
            try:
                kind, value = pipes[index].recv()
            except EOFError:
                raise Failed(f"the process of {role} died before {step!r}") from None
            if kind == "failed":
                raise Failed(f"{role} raised:\n{value}")
            if kind != step:
                raise Failed(f"{role} came to {kind!r} when {step!r} was due")
            reports[index] = value
    return [reports[index] for index in range(len(pipes))]


def _in_short(row: Row, figures: dict[str, Figures]) -> str:
    """One line, such as: SPOT rate 1.61 million/s, raw rate 1.02 million/s."""
    return ", ".join(
        f"{name} {line.figure} {values[line.figure] * line.scale:.3g} {line.unit}"
        for line in row.figures
        for name, values in figures.items()
    )
