"""remote-once: a publish to a REMOTE topic is ordered once, across any number of cuts."""

from __future__ import annotations

from spot.testbed.checkers.account import Account, Published, account_of
from spot.testbed.checkers.deliveries import deliveries, excuses
from spot.testbed.checkers.finding import Wrongs, counted, judged, not_exercised
from spot.testbed.checkers.outages import is_covered
from spot.testbed.evidence import Evidence
from spot.testbed.verdict import Finding

__all__ = ["remote_once"]

NAME = "remote-once"

Place = tuple[str, int, int]
"""Host, epoch and sequence number: where a message was ordered."""


def remote_once(evidence: Evidence) -> Finding:
    """Whether messages to topics of other nodes were ordered once, in order, and not lost.

    Judged by what was received: a message that came to two nodes under two numbers was ordered
    twice. loss-only-in-faults judges messages that one node received and another did not.
    """
    account = account_of(evidence)
    remote = {
        one.published: one.host
        for one in deliveries(account)
        if one.published.span.node != one.host and one.published.accepted
    }
    broken = sum(_while_broken(account, published, host) for published, host in remote.items())
    if not broken:
        return not_exercised(NAME, "nothing was published to the topic of a node out of reach")
    places = _places(account)
    wrongs = Wrongs()
    for (published, counter), found in places.items():
        if published in remote and len(found) > 1:
            numbers = " and ".join(str(seq) for _, _, seq in sorted(found))
            wrongs.add(
                f"{published.span.node}'s message {counter} to {published.topic} was ordered "
                f"{len(found)} times by {remote[published]}: as {numbers}"
            )
    for published, host in remote.items():
        _judge_order(account, published, host, places, wrongs)
    for one in deliveries(account):
        lost = [item for item in one.lost if (one.published, item[0]) not in places]
        if lost and one.published in remote:
            wrongs.add(
                f"{one.published.span.node} published message {lost[0][0]} to "
                f"{one.published.topic} at {account.clock(lost[0][1])}, and {one.host} never "
                f"ordered it, nor {len(lost) - 1:,} others",
                len(lost),
            )
    summary = (
        f"{counted(broken, 'message')} published to a host out of reach, "
        f"{wrongs.count:,} ordered twice, out of order or never"
    )
    return judged(NAME, wrongs, summary)


def _while_broken(account: Account, published: Published, host: str) -> int:
    spans = excuses(account, published.span.node, host)[1:]  # without the time before ready
    return sum(is_covered(at, spans) for at in published.accepted.values())


def _places(account: Account) -> dict[tuple[Published, int], set[Place]]:
    found: dict[tuple[Published, int], set[Place]] = {}
    for stream in account.streams:
        for one in stream.arrivals:
            if one.source is None or one.counter is None or one.epoch is None or one.seq is None:
                continue
            if one.source.span.node != one.host:
                place = (one.host, one.epoch, one.seq)
                found.setdefault((one.source, one.counter), set()).add(place)
    return found


def _judge_order(
    account: Account,
    published: Published,
    host: str,
    places: dict[tuple[Published, int], set[Place]],
    wrongs: Wrongs,
) -> None:
    before: dict[tuple[str, int], tuple[int, int]] = {}
    for counter in published.counters:
        for where, epoch, seq in places.get((published, counter), ()):
            last, number = before.get((where, epoch), (0, 0))
            if seq < number:
                wrongs.add(
                    f"{host} ordered {published.span.node}'s message {counter} to "
                    f"{published.topic} (published at "
                    f"{account.clock(published.accepted[counter])}) before its message {last}"
                )
            else:
                before[where, epoch] = (counter, seq)
