"""The seeds of bugs that the simulation has found, in one table.

Each row is a schedule that broke a guarantee once, or that the oracle judged wrongly. Tests run
all of them (test_seeds.py). To add a row: give the kind of the schedule, its seed, what was wrong
(in the core, or in the oracle), and the guarantees of docs/guarantees.md that were broken.

The causes of the oldest rows were written down for many seeds together. Where only one of those
schedules contains what a cause needs, its row names that cause. The other rows name their group,
and the guarantees of the group.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from tests.simulation.plan import Plan
from tests.simulation.recreated import draw_recreated
from tests.simulation.resubscribing import renewed_often
from tests.simulation.schedule import draw, draw_many_topics, draw_relays
from tests.simulation.stale_relays import draw_stale_relays, draw_stale_streams

KINDS: dict[str, Callable[[int], Plan]] = {
    "any": draw,
    "many topics": draw_many_topics,
    "recreated": draw_recreated,
    "relays": draw_relays,
    "resubscribed": partial(renewed_often, draw_many_topics),
    "stale relays": draw_stale_relays,
    "stale streams": draw_stale_streams,
}
"""The function that draws a schedule of each kind from a seed."""


class Found(NamedTuple):
    """A schedule that has found a bug: ``guarantees`` is empty where
    only the oracle was wrong."""

    kind: str
    seed: int
    wrong: str
    guarantees: tuple[str, ...]


_WITHOUT_RELAYS = (
    "of a group without relays: the core lost a topic that began, on the way, after "
    "subscribe(last=); a new subscription's beginning waited for credit behind the old one. The "
    "oracle judged wrongly: cuts that took what was under way and let pass what followed; one "
    "direction that ends before it can tell of the other; what a destroyed topic or a host without "
    "listeners had promised; what was under way to a host before it took less; half a frame that a "
    "blackhole took"
)
_THROUGH_RELAYS = (
    "of a group with relays: publishes went by one path and were counted on another; a relay "
    "went on with what it had fetched only at the next heartbeat; relays passed publishes to a "
    "host that restarted on to its next incarnation; the beginning of a relay's own subscription "
    "waited for credit. The oracle expected too much of a relay that had not noticed a crash"
)
_RELAYS = (
    "of a group: heads that were under way to an earlier subscription; a link to a host whose "
    "topic had not come through the relay yet; the newest of a stream, dropped before there was "
    "credit, or lost on the way to the relay; publishes that wait for one host while another "
    "hosts the topic; publishes that go by one path and were counted on another"
)
_BEGINNINGS = ("no-silent-gap", "healed-without-loss")
_OF_RELAYS = ("relay", "remote-once", "no-silent-gap")
_PATTERN_POSITION = "a position told with a pattern was taken for a later subscription too"
_EARLIER_END = (
    "a topic was created anew while the end of the last one waited for credit: the subscription "
    "began at another place after the link was lost"
)
_OTHER_PATTERNS = (
    "the oracle lost sight of the subscription that a late delivery belonged to, or of the time "
    "since when a topic was wanted"
)

FOUND = (
    Found("any", 2645, _WITHOUT_RELAYS, _BEGINNINGS),
    Found("any", 8058, _WITHOUT_RELAYS, _BEGINNINGS),
    Found("any", 9391, _WITHOUT_RELAYS, _BEGINNINGS),
    Found("any", 10223, _WITHOUT_RELAYS, _BEGINNINGS),
    Found("any", 12359, _WITHOUT_RELAYS, _BEGINNINGS),
    Found("any", 13180, "a machine slept through a greeting", ("no-false-alarm", "reconnect")),
    Found("any", 14732, _THROUGH_RELAYS, _OF_RELAYS),
    Found("any", 17470, _WITHOUT_RELAYS, _BEGINNINGS),
    Found("any", 23810, _WITHOUT_RELAYS, _BEGINNINGS),
    Found("any", 23958, _WITHOUT_RELAYS, _BEGINNINGS),
    Found("any", 24921, _THROUGH_RELAYS, _OF_RELAYS),
    Found("any", 25759, "a view went on after the goodbye", ("view-stable",)),
    Found("any", 29903, _WITHOUT_RELAYS, _BEGINNINGS),
    Found("any", 34923, "the oracle blamed a node that was started on a starved machine", ()),
    Found("any", 39519, _THROUGH_RELAYS, _OF_RELAYS),
    Found("any", 39721, _WITHOUT_RELAYS, _BEGINNINGS),
    Found("any", 42351, _WITHOUT_RELAYS, _BEGINNINGS),
    Found("any", 100111, _THROUGH_RELAYS, _OF_RELAYS),
    Found("any", 108726, _THROUGH_RELAYS, _OF_RELAYS),
    Found("any", 401644, _EARLIER_END, ("no-silent-gap",)),
    Found("any", 402561, _PATTERN_POSITION, ("no-silent-gap",)),
    Found(
        "any",
        403696,
        "a relay took a hole in what its host held, or could not send, for the end of all older "
        "messages",
        ("healed-without-loss", "relay"),
    ),
    Found("any", 407501, _PATTERN_POSITION, ("no-silent-gap",)),
    Found(
        "any",
        407655,
        "a relay told where a stream begins before it knew that",
        ("no-silent-gap", "relay"),
    ),
    Found(
        "many topics",
        527,
        "a subscription ended and began anew while a multi-topic batch with its topic waited for "
        "credit",
        ("no-silent-gap",),
    ),
    Found(
        "recreated",
        44,
        "a subscription came while its topic had ended and was to begin anew, and where it began "
        "waited for credit: after the link was lost, it was taken from then on",
        ("no-silent-gap", "healed-without-loss"),
    ),
    Found("relays", 1470, _RELAYS, _OF_RELAYS),
    Found("relays", 2427, _RELAYS, _OF_RELAYS),
    Found("relays", 5959, _RELAYS, _OF_RELAYS),
    Found("relays", 6250, _RELAYS, _OF_RELAYS),
    Found("relays", 9549, _RELAYS, _OF_RELAYS),
    Found("relays", 20506, _RELAYS, _OF_RELAYS),
    Found("relays", 2001795, _EARLIER_END, ("no-silent-gap", "relay")),
    Found("resubscribed", 10701, _OTHER_PATTERNS, ()),
    Found("resubscribed", 10879, _OTHER_PATTERNS, ()),
    Found(
        "resubscribed",
        12488,
        "what an earlier pattern had brought was taken for what a later one was to get, as the "
        "node had other patterns",
        ("no-silent-gap",),
    ),
    Found(
        "stale relays",
        52843,
        "a relay sent CONFIRMED back only on the link that an old publish had come by",
        ("remote-once",),
    ),
    Found(
        "stale streams",
        9487,
        "a relay asked a path for a topic on behalf of the nodes behind it and not for its own "
        "subscription, or the other way round",
        ("healed-without-loss", "relay"),
    ),
)
