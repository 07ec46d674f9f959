"""accepted-or-raised: a publish that raised never arrives."""

from __future__ import annotations

from spot.testbed.checkers.account import account_of
from spot.testbed.checkers.finding import Wrongs, counted, judged, not_exercised, nothing_seen
from spot.testbed.evidence import Evidence
from spot.testbed.verdict import Finding

__all__ = ["accepted_or_raised"]

NAME = "accepted-or-raised"


def accepted_or_raised(evidence: Evidence) -> Finding:
    """Whether no message arrived whose publish had raised.

    loss-only-in-faults and no-silent-gap judge whether accepted messages arrive.
    """
    account = account_of(evidence)
    raised = sum(len(published.raised) for published in account.published.values())
    accepted = sum(len(published.accepted) for published in account.published.values())
    messages = sum(len(stream.arrivals) for stream in account.streams)
    if not raised + accepted:
        return nothing_seen(NAME, "no node published")
    if not raised:
        return not_exercised(NAME, f"none of {counted(accepted, 'publish')[:-1]}es raised")
    if not messages:
        return nothing_seen(NAME, "no node received a message")
    wrongs = Wrongs()
    for stream in account.streams:
        for arrival in stream.arrivals:
            source, counter = arrival.source, arrival.counter
            if source is None or counter is None or counter not in source.raised:
                continue
            if counter not in source.accepted:
                wrongs.add(
                    f"{stream.node} received {source.span.node}'s message {counter} of "
                    f"{stream.topic} at {account.clock(arrival.at)}, but its publish at "
                    f"{account.clock(source.raised[counter])} had raised"
                )
    summary = (
        f"{raised:,} of {raised + accepted:,} publishes raised, {wrongs.count:,} of them arrived"
    )
    return judged(NAME, wrongs, summary)
