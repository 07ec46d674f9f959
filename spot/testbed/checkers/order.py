"""order: messages of a topic arrive in the order in which its host took them."""

from __future__ import annotations

from spot.testbed.checkers.account import account_of
from spot.testbed.checkers.deliveries import unobserved
from spot.testbed.checkers.finding import Wrongs, counted, judged, nothing_seen
from spot.testbed.evidence import Evidence
from spot.testbed.verdict import Finding

__all__ = ["order"]

NAME = "order"


def order(evidence: Evidence) -> Finding:
    """Whether counters rise for each publisher, and sequence numbers for each epoch.

    no-duplicate judges a message that comes a second time; it does not count as out of order here.
    """
    account = account_of(evidence)
    messages = sum(len(stream.arrivals) for stream in account.streams)
    if not messages:
        return nothing_seen(NAME, "no node received a message")
    wrongs = Wrongs()
    for stream in account.streams:
        newest: dict[object, int] = {}
        seen: dict[object, set[int]] = {}
        for arrival in stream.arrivals:
            places: list[tuple[object, int | None, str]] = []
            if arrival.source is not None:
                what = f"{arrival.source.span.node}'s message"
                places.append((arrival.source, arrival.counter, what))
            if arrival.epoch is not None:
                places.append(((arrival.host, arrival.epoch), arrival.seq, "number"))
            for key, value, what in places:
                if value is None:
                    continue
                last = newest.get(key, 0)
                had = seen.setdefault(key, set())
                if value < last and value not in had:
                    wrongs.add(
                        f"{stream.node} received {what} {value} of {stream.topic} at "
                        f"{account.clock(arrival.at)}, after {last}"
                    )
                    break
                newest[key] = max(last, value)
                had.add(value)
    summary = f"{counted(messages, 'message')} received, {wrongs.count:,} of them out of order"
    return judged(NAME, wrongs, summary, unobserved(account))
