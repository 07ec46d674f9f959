"""no-invention: what arrives was published, on that topic."""

from __future__ import annotations

import math

from spot.testbed.checkers.account import Account, Arrival, Stream, account_of
from spot.testbed.checkers.deliveries import unobserved
from spot.testbed.checkers.finding import Wrongs, counted, judged, nothing_seen
from spot.testbed.evidence import Evidence
from spot.testbed.verdict import Finding

__all__ = ["no_invention"]

NAME = "no-invention"
CLOCK_S = 0.001
"""How much the clock readings of two processes may differ, in seconds."""


def no_invention(evidence: Evidence) -> Finding:
    """Whether every numbered message that came had been published, and before it came.

    Messages without a counter, which other programs publish, can't be judged.
    """
    account = account_of(evidence)
    wrongs = Wrongs()
    messages = unnumbered = 0
    for stream in account.streams:
        messages += len(stream.arrivals)
        for arrival in stream.arrivals:
            if arrival.counter is None:
                unnumbered += 1
                continue
            if arrival.source is not None:
                # No time: it raised (accepted-or-raised), or was published as its node was killed.
                published = arrival.source.accepted.get(arrival.counter, -math.inf)
                if published <= arrival.at + CLOCK_S:
                    continue
            wrongs.add(_text(account, stream, arrival))
    numbered = messages - unnumbered
    if not numbered:
        return nothing_seen(NAME, "no node received a numbered message")
    summary = f"{counted(numbered, 'message')} received, {wrongs.count:,} of them never published"
    if unnumbered:
        summary += f"; {unnumbered:,} without a number not judged"
    return judged(NAME, wrongs, summary, unobserved(account))


def _text(account: Account, stream: Stream, arrival: Arrival) -> str:
    told = (
        f"{stream.node} received message {arrival.counter} of {stream.topic} from "
        f"{arrival.host} at {account.clock(arrival.at)}, "
    )
    source = arrival.source
    if source is None or arrival.counter is None or arrival.counter not in source.accepted:
        return told + "which nobody had published"
    return told + f"which was published at {account.clock(source.accepted[arrival.counter])}"
