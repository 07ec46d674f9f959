"""replay-overrun: messages that the replay buffer no longer held are counted exactly."""

from __future__ import annotations

from itertools import groupby

from spot.testbed.checkers.account import Arrival, Published, account_of
from spot.testbed.checkers.deliveries import deliveries
from spot.testbed.checkers.finding import Wrongs, counted, judged, not_exercised
from spot.testbed.evidence import Evidence
from spot.testbed.verdict import Finding

__all__ = ["replay_overrun"]

NAME = "replay-overrun"


def replay_overrun(evidence: Evidence) -> Finding:
    """Whether the sum of ``missed`` is the number of missing messages, if the buffer was too short.

    Compares between the first and the last message that came. loss-only-in-faults judges whether
    the rest of the buffer came. Topics with several publishers are left to no-silent-gap, as only
    sequence numbers tell in which order the host took the missing messages.
    """
    account = account_of(evidence)
    over = {(one.node, one.published) for one in deliveries(account) if one.overrun}
    wrongs = Wrongs()
    lacking = told = 0
    for stream in account.streams:
        if any(
            one.source is not None and one.source.span.node != one.host for one in stream.arrivals
        ):
            continue
        for source, group in groupby(stream.arrivals, key=lambda arrival: arrival.source):
            if source is None or (stream.node, source) not in over:
                continue
            arrivals = list(group)
            gone, said = _lacking(source, arrivals), _told(arrivals)
            lacking += gone
            told += said
            if not gone <= said <= gone + _unrecorded(source, arrivals):
                wrongs.add(
                    f"{stream.node} lacks {gone:,} messages of {stream.topic}, which "
                    f"{source.span.node} published between message {arrivals[0].counter} at "
                    f"{account.clock(arrivals[0].at)} and {arrivals[-1].counter} at "
                    f"{account.clock(arrivals[-1].at)}, and was told of {said:,}"
                )
    if not lacking and not told:
        return not_exercised(NAME, "no outage outlasted the replay buffer of a topic")
    summary = f"{counted(lacking, 'message')} lacking, {told:,} told as missed"
    return judged(NAME, wrongs, summary)


def _lacking(source: Published, arrivals: list[Arrival]) -> int:
    """How many were published from the first that came to the last, and did not come."""
    came = {one.counter for one in arrivals if one.counter in source.accepted}
    first, last = arrivals[0].counter or 0, arrivals[-1].counter or 0
    return source.between(first - 1, last + 1) - len(came)


def _unrecorded(source: Published, arrivals: list[Arrival]) -> int:
    """The messages that a killed node may have published last without a record."""
    return max(0, (arrivals[-1].counter or 0) - source.last)


def _told(arrivals: list[Arrival]) -> int:
    return sum(one.missed or 0 for one in arrivals[1:])
