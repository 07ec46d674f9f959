"""What a host's replay buffer surely holds of a topic, by its settings and the traffic.

The library counts bytes with the overhead of its own objects, drops whole batches, and shares the
memory of a node between its topics. Checkers need no exact copy of this. Here a message counts as
held only while it and all later ones fit into half of the buffer, with an overhead that is
estimated too high. Between the two limits a message may be missing, if it was counted as missed.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right

from spot.testbed.checkers.account import Account, IncarnationSpan

__all__ = ["is_held"]

SURE = 0.5
"""The share of a replay buffer that surely holds its messages, however the batches were cut."""
OVERHEAD_BYTES = 256
"""More than a message in a batch of its own takes besides its payload, in bytes."""
JOINED_OVERHEAD_BYTES = 32
"""The same for small messages, of which a buffer joins many in one batch: those of up to"""
JOINED_BYTES = 960
"""so many bytes, and of a small buffer"""
JOINED_SHARE = 1 / 256
"""this share of it, less"""
JOINED_LESS_BYTES = 64
"""so many."""


def is_held(
    account: Account, host: IncarnationSpan, topic: str, since: float, until: float
) -> bool:
    """Whether a host still holds, ``until`` then, all that was published to it from ``since`` on.

    A host that has not recorded ``history_bytes`` keeps none.
    """
    limit = _capacity(host, topic)
    times, payloads = _published(account, topic)
    first, last = bisect_left(times, since), bisect_right(times, until)
    small = min(JOINED_BYTES, limit * JOINED_SHARE - JOINED_LESS_BYTES)
    size = sum(
        payload + (JOINED_OVERHEAD_BYTES if payload <= small else OVERHEAD_BYTES)
        for payload in payloads[first:last]
    )
    return size <= SURE * limit


def _capacity(host: IncarnationSpan, topic: str) -> float:
    """The bytes that a topic's replay buffer may take, if all topics of its host publish alike."""
    limit = float(host.setting("history_bytes", 0))
    topics = set(host.setting("topics", ()))
    for record in host.of("command"):
        fields = record.fields
        if fields["do"] == "create" and fields.get("ok", True):
            topics.add(fields.get("topic"))
            if fields.get("topic") == topic and fields.get("history_bytes") is not None:
                limit = float(fields["history_bytes"])
    total = float(host.setting("history_total_bytes", math.inf))
    return min(limit, total / max(1, len(topics)))


def _published(account: Account, topic: str) -> tuple[list[float], list[int]]:
    """When each message was published to a topic, by time, and the bytes of each."""
    key = ("published", topic)
    if key not in account.memo:
        found = sorted(
            (at, one.span.payload_bytes)
            for one in account.published.values()
            if one.topic == topic
            for at in one.accepted.values()
        )
        account.memo[key] = ([at for at, _ in found], [size for _, size in found])
    known: tuple[list[float], list[int]] = account.memo[key]
    return known
