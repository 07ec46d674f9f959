"""no-silent-gap: every message says how many of its topic were missed just before it."""

from __future__ import annotations

from spot.testbed.checkers.account import (
    FLUSH_S,
    Account,
    Arrival,
    Published,
    Stream,
    account_of,
)
from spot.testbed.checkers.deliveries import unobserved
from spot.testbed.checkers.finding import Wrongs, counted, judged, nothing_seen
from spot.testbed.checkers.outages import alarm_slack, breaks, link_events
from spot.testbed.evidence import Evidence
from spot.testbed.verdict import Finding

__all__ = ["no_silent_gap"]

NAME = "no-silent-gap"


def no_silent_gap(evidence: Evidence) -> Finding:
    """Whether ``missed`` is the number of messages in between that did not come, by the counters.

    After a host was lost without a goodbye, the first message of another host, or of the host's
    next incarnation, must say None. If other nodes publish to a topic too, only sequence numbers
    tell in which order the host took the messages. There ``missed`` is compared with those.
    """
    account = account_of(evidence)
    messages = sum(len(stream.arrivals) for stream in account.streams)
    if not messages:
        return nothing_seen(NAME, "no node received a message")
    wrongs = Wrongs()
    missed = unknown = 0
    for stream in account.streams:
        is_mixed = any(_is_foreign(one) and not _is_invented(one) for one in stream.arrivals)
        before: Arrival | None = None
        for arrival in stream.arrivals:
            if _is_invented(arrival):
                continue
            if arrival.missed is None:
                unknown += 1
            else:
                missed += arrival.missed
            wrong = _wrong(account, stream, before, arrival, is_mixed)
            if wrong:
                wrongs.add(
                    f"{stream.node} was told with message {arrival.counter} of {stream.topic} at "
                    f"{account.clock(arrival.at)} that it missed {_text(arrival.missed)}: {wrong}"
                )
            if before is None or not _is_older(before, arrival):
                before = arrival
    summary = f"{counted(messages, 'message')} received, {missed:,} told as missed"
    if unknown:
        summary += f", {unknown:,} times an unknown number"
    summary += f"; {wrongs.count:,} of these figures wrong"
    return judged(NAME, wrongs, summary, unobserved(account))


def _text(missed: int | None) -> str:
    return "an unknown number" if missed is None else f"{missed:,}"


def _is_invented(arrival: Arrival) -> bool:
    """Nobody published it, so it has no place among what was: no-invention's."""
    return arrival.counter is not None and arrival.source is None


def _is_foreign(arrival: Arrival) -> bool:
    """Whether it was not the program of its host that published it."""
    return arrival.source is None or arrival.source.span.node != arrival.host


def _is_older(before: Arrival, arrival: Arrival) -> bool:
    """Repeated and out of order: those are other guarantees', and leave the position alone."""
    if before.source is not arrival.source or before.counter is None or arrival.counter is None:
        return False
    return arrival.counter <= before.counter


def _wrong(
    account: Account, stream: Stream, before: Arrival | None, arrival: Arrival, is_mixed: bool
) -> str | None:
    """What is wrong with the missed count of a message. None: it is right."""
    if before is None:
        return _first_wrong(account, stream, arrival)
    if before.host != arrival.host:
        return _takeover_wrong(account, stream, before, arrival)
    if is_mixed:
        return _mixed_wrong(before, arrival)
    if before.source is None or arrival.source is None:
        return None
    if _is_older(before, arrival):
        return None
    assert before.counter is not None
    assert arrival.counter is not None
    if before.source is arrival.source:
        actual = before.source.between(before.counter, arrival.counter)
        # A killed node may not have recorded its last messages.
        unrecorded = max(0, arrival.counter - max(before.counter, before.source.last) - 1)
        if arrival.missed is not None and 0 <= arrival.missed - actual <= unrecorded:
            return None
        if arrival.missed is None and before.epoch != arrival.epoch:
            apart = _was_apart(account, stream, before, arrival, arrival.host)
            return None if apart else _known(actual)
        return f"{actual:,} were published in between"
    return _next_incarnation_wrong(account, stream, before, arrival)


def _first_wrong(account: Account, stream: Stream, arrival: Arrival) -> str | None:
    if arrival.missed == 0:
        return None
    # The position begins when the subscription is in force, which may be before an outage.
    if any(
        stream.span.began < outage.began < arrival.at
        for outage in breaks(account, stream.node, arrival.host)
    ):
        return None
    return "it is the first of its subscription"


def _takeover_wrong(
    account: Account, stream: Stream, before: Arrival, arrival: Arrival
) -> str | None:
    """Another host sends the topic now: how far the last one had come is known only from itself."""
    if arrival.missed is None:
        hosts = {host for host, _, _ in account.hosts.get(stream.topic, ())} | {before.host}
        if any(_was_apart(account, stream, before, arrival, host) for host in hosts):
            return None
        return f"none of its hosts ({', '.join(sorted(hosts))}) was lost in between"
    lost = _lost_at(account, stream, before, arrival)
    if lost is None:
        return None
    return (
        f"the link with its host {before.host} was lost at {account.clock(lost)}: nobody can know "
        "how much"
    )


def _lost_at(account: Account, stream: Stream, before: Arrival, arrival: Arrival) -> float | None:
    """When the earlier message's host was lost without a goodbye. None: never for sure.

    What the node itself recorded says so. It may have turned to another host before: by a route,
    as the host only stood by, or as the topic ended there.
    """
    topic, node = stream.topic, stream.node
    if account.relays or (topic, before.host) in account.standbys:
        return None
    for event in link_events(account, node, before.host):
        if event.kind != "link_down" or not before.at < event.at < arrival.at:
            continue
        turned = any(
            before.at - FLUSH_S < record.at < event.at
            and (topic in record.fields.get("topics", ()) or topic == record.fields.get("topic"))
            for record in stream.span.of("route", "command")
        )
        ended = any(
            host == before.host and before.at - FLUSH_S < until < event.at
            for host, _, until in account.hosts.get(topic, ())
            if not _was_killed(account, before.host, until)
        )
        return None if turned or ended or event.fields.get("reason") == "left" else event.at
    return None


def _was_killed(account: Account, host: str, at: float) -> bool:
    """Whether an incarnation of a host was killed at that moment."""
    return any(
        span.is_killed and span.ended <= at <= span.ended + FLUSH_S
        for span in account.spans.get(host, [])
    )


def _mixed_wrong(before: Arrival, arrival: Arrival) -> str | None:
    if before.epoch != arrival.epoch or before.seq is None or arrival.seq is None:
        return None
    actual = arrival.seq - before.seq - 1
    if actual < 0 or arrival.missed == actual:
        return None
    return f"by its sequence number {actual:,} are lacking"


def _known(actual: int) -> str:
    return f"it is known: {actual:,}"


def _next_incarnation_wrong(
    account: Account, stream: Stream, before: Arrival, arrival: Arrival
) -> str | None:
    """The host has ended and begun again in between."""
    old, new = before.source, arrival.source
    assert old is not None
    assert new is not None
    assert before.counter is not None
    assert arrival.counter is not None
    if new.span.number < old.span.number:
        return None  # the order's
    least = old.after(before.counter) + new.between(0, arrival.counter)
    # Incarnations in between that this node never saw leave no trace.
    most = least + old.tail + _in_between(account, old, new)
    if arrival.missed is None:
        if old.span.is_killed or _was_apart(account, stream, before, arrival, arrival.host):
            return None
        return _known(least)
    if old.span.is_killed and not _was_destroyed(old, before.at):
        return f"{old.span.node} was killed in between: nobody can know how much"
    if least <= arrival.missed <= most:
        return None
    return f"{least:,} were published in between"


def _in_between(account: Account, old: Published, new: Published) -> int:
    return sum(
        len(one.accepted) + one.tail
        for (node, number, topic), one in account.published.items()
        if node == old.span.node
        and topic == old.topic
        and old.span.number < number < new.span.number
    )


def _was_destroyed(old: Published, since: float) -> bool:
    """Whether the topic was ended before its host was."""
    return any(
        record.fields["do"] == "destroy"
        and record.fields.get("topic") == old.topic
        and record.at >= since - FLUSH_S
        for record in old.span.of("command")
    )


def _was_apart(
    account: Account, stream: Stream, before: Arrival, arrival: Arrival, host: str
) -> bool:
    """Whether the node may not have heard how far a host had come when its stream ended.

    A host that left said so to all nodes that it had a link with.
    """
    return any(
        outage.ended + alarm_slack(account) >= before.at
        and outage.began <= arrival.at
        and not (outage.notice == "left" and host in outage.gone)
        for outage in breaks(account, stream.node, host)
        if stream.node != host
    )
