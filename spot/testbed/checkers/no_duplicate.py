"""no-duplicate: a subscription gets no message twice."""

from __future__ import annotations

from spot.testbed.checkers.account import Stream, account_of
from spot.testbed.checkers.deliveries import unobserved
from spot.testbed.checkers.finding import Wrongs, counted, judged, nothing_seen
from spot.testbed.evidence import Evidence
from spot.testbed.verdict import Finding

__all__ = ["no_duplicate"]

NAME = "no-duplicate"


def no_duplicate(evidence: Evidence) -> Finding:
    """Whether each message came once, by its counter and by its sequence number."""
    account = account_of(evidence)
    messages = sum(len(stream.arrivals) for stream in account.streams)
    if not messages:
        return nothing_seen(NAME, "no node received a message")
    wrongs = Wrongs()
    for stream in account.streams:
        for at, before, what in _repeated(stream):
            wrongs.add(
                f"{stream.node} received {what} of {stream.topic} at {account.clock(at)}, "
                f"and had it at {account.clock(before)}"
            )
    summary = f"{counted(messages, 'message')} received, {wrongs.count:,} of them a second time"
    return judged(NAME, wrongs, summary, unobserved(account))


def _repeated(stream: Stream) -> list[tuple[float, float, str]]:
    """When a message came again, when it had come, and which it is."""
    found = []
    counters: dict[object, dict[int, float]] = {}
    numbers: dict[object, dict[int, float]] = {}
    for arrival in stream.arrivals:
        at, seq, counter = arrival.at, arrival.seq, arrival.counter
        if counter is not None and arrival.source is not None:
            had = counters.setdefault(arrival.source, {})
            if counter in had:
                name = arrival.source.span.node
                found.append((at, had[counter], f"{name}'s message {counter}"))
                continue
            had[counter] = at
        if seq is not None and arrival.epoch is not None:
            had = numbers.setdefault((arrival.host, arrival.epoch), {})
            if seq in had:
                found.append((at, had[seq], f"number {seq} of epoch {arrival.epoch}"))
            had[seq] = at
    return found
