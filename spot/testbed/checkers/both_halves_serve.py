"""both-halves-serve: the sides of a split go on serving their own topics."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from spot.testbed.checkers.account import Account, account_of
from spot.testbed.checkers.deliveries import excuses, without_quorum
from spot.testbed.checkers.finding import Wrongs, counted, judged, not_exercised
from spot.testbed.checkers.outages import BUSY_S, incarnation_at, is_covered, is_held
from spot.testbed.evidence import Evidence, FaultWindow
from spot.testbed.verdict import Finding

__all__ = ["both_halves_serve", "sides"]

NAME = "both-halves-serve"
MESSAGES_MIN = 5
"""If a host publishes fewer messages than this in a split, the split is too short to judge."""


def sides(account: Account, window: FaultWindow) -> list[list[str]]:
    """The groups of running nodes that a fault leaves connected."""
    effect = window.effect
    left = [name for name in account.topology.names if name not in effect.down | effect.paused]
    found: list[list[str]] = []
    while left:
        side = [left.pop(0)]
        for node in side:
            near = [
                other
                for other in left
                if account.are_linked(node, other)
                and (min(node, other), max(node, other)) not in effect.pairs
            ]
            side += near
            left = [other for other in left if other not in near]
        found.append(side)
    return found


def both_halves_serve(evidence: Evidence) -> Finding:
    """Whether messages were published and received on each side during each split.

    A side counts if one of its nodes hears a topic that is hosted in it.
    """
    account = account_of(evidence)
    splits = [
        window
        for window in account.faults
        if window.effect.severed
        and window.effect.notice != "maybe"
        and len(sides(account, window)) > 1
    ]
    if not splits:
        return not_exercised(NAME, "no fault split the network")
    if not any(
        account.hears(node, host)
        for window in splits
        for side in sides(account, window)
        for node in side
        for host in side
    ):
        return not_exercised(NAME, "on no side of a split anybody hears a topic of that side")
    arrived = _arrived(account)
    wrongs = Wrongs()
    served = 0
    for window in splits:
        for side in sides(account, window):
            for host in side:
                served += _judge(account, window, side, host, arrived, wrongs)
    if not served and not wrongs.count:
        return not_exercised(NAME, "no split lasted long enough")
    summary = (
        f"{counted(len(splits), 'split')}, {counted(served, 'subscription')} served within a side, "
        f"{wrongs.count:,} not"
    )
    return judged(NAME, wrongs, summary)


def _arrived(account: Account) -> dict[tuple[str, str], list[float]]:
    """By node and topic: when the messages that it received from the topic's host came."""
    found: dict[tuple[str, str], list[float]] = {}
    for stream in account.streams:
        times = found.setdefault((stream.node, stream.topic), [])
        times += [arrival.at for arrival in stream.arrivals]
    return found


def _judge(
    account: Account,
    window: FaultWindow,
    side: list[str],
    host: str,
    arrived: dict[tuple[str, str], list[float]],
    wrongs: Wrongs,
) -> int:
    """How many subscriptions to this host's topics were served within its side."""
    began = window.acted + BUSY_S
    ended = _ended(account, window)
    served = 0
    for topic in account.topics_of(host):
        sent = sorted(
            at
            for one in account.published.values()
            if one.topic == topic and one.span.node == host
            for at in one.accepted.values()
            if began <= at <= ended - BUSY_S
        )
        if not sent and _should_publish(account, host, topic, began, ended):
            wrongs.add(
                f"{host} published nothing to its own {topic} during {window.text} "
                f"({account.clock(began)} to {account.clock(ended)})"
            )
        for node in side:
            if topic not in account.hears(node, host):
                continue
            if node != host and not account.are_linked(node, host):
                continue  # its relays may be on another side
            owed = [at for at in sent if not is_covered(at, excuses(account, host, node))]
            owed = [at for at in owed if is_covered(at, account.subscribed(node, topic))]
            if not owed:
                continue
            times = arrived.get((node, topic), [])
            if bisect_right(times, ended) > bisect_left(times, owed[0]):
                served += 1
            else:
                wrongs.add(
                    f"{node} received nothing of {topic} from {host}, on its own side, during "
                    f"{window.text} ({account.clock(began)} to {account.clock(ended)}), of "
                    f"{len(owed)} published"
                )
    return served


def _should_publish(account: Account, host: str, topic: str, began: float, ended: float) -> bool:
    """Whether it hosted the topic all the time, and its rate makes for some messages in it.

    A host that requires a quorum, and has none, must not.
    """
    span = incarnation_at(account, host, began)
    hosted = any(
        one == host and since <= began and until >= ended
        for one, since, until in account.hosts[topic]
    )
    if span is None or not hosted or not span.rate:
        return False
    if any(since <= ended and until >= began for since, until in without_quorum(account, host)):
        return False
    if is_held(account, host, began, ended):
        return False
    return span.ended >= ended and span.rate * (ended - began - BUSY_S) >= MESSAGES_MIN


def _ended(account: Account, window: FaultWindow) -> float:
    ends = [window.healing, window.healed, account.phases.quiet, account.phases.stopped]
    recorded = [spans[-1].ended for spans in account.spans.values() if spans]
    return min([at for at in ends if at is not None] + recorded)
