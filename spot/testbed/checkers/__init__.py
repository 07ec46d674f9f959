"""Checkers: one guarantee of ``docs/guarantees.md`` a file, judged by the journals of a run.

A checker is a pure function of the evidence, and says pass, fail or unknown, with figures:

- *fail*: the journals show that the guarantee was broken. The details say where.
- *unknown*: the journals lack what is needed to judge, or nothing in this run could have broken
  the guarantee (``is_exercised`` is false).
- *pass*: the run could have broken it, and did not.

``account`` puts journals together. ``outages`` says when two nodes could not talk, and which nodes
must be told. ``kept`` says what a host's buffer is sure to hold, ``deliveries`` what each node
should have received, and ``views`` which nodes each node said that it reaches. ``timing`` measures
faults, ``expectations`` judges what a scenario itself expects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from spot.testbed.checkers.accepted_or_raised import accepted_or_raised
from spot.testbed.checkers.backoff import backoff
from spot.testbed.checkers.both_halves_serve import both_halves_serve
from spot.testbed.checkers.conflict_visible import conflict_visible
from spot.testbed.checkers.detection_time import detection_time
from spot.testbed.checkers.expectations import check_expectations
from spot.testbed.checkers.failover import failover
from spot.testbed.checkers.faults_proved import unproved
from spot.testbed.checkers.healed_without_loss import healed_without_loss
from spot.testbed.checkers.host_unreachable_told import host_unreachable_told
from spot.testbed.checkers.last_tail import last_tail
from spot.testbed.checkers.loss_only_in_faults import loss_only_in_faults
from spot.testbed.checkers.no_duplicate import no_duplicate
from spot.testbed.checkers.no_false_alarm import no_false_alarm
from spot.testbed.checkers.no_invention import no_invention
from spot.testbed.checkers.no_silent_gap import no_silent_gap
from spot.testbed.checkers.order import order
from spot.testbed.checkers.quorum import quorum
from spot.testbed.checkers.reconnect import reconnect
from spot.testbed.checkers.remote_once import remote_once
from spot.testbed.checkers.replay_overrun import replay_overrun
from spot.testbed.checkers.timing import fault_results
from spot.testbed.checkers.view_stable import view_stable
from spot.testbed.errors import ClusterError
from spot.testbed.evidence import Evidence
from spot.testbed.expectation import Expectation
from spot.testbed.verdict import Finding

__all__ = [
    "CHECKERS",
    "Checker",
    "UnknownGuarantee",
    "check_all",
    "check_expectations",
    "fault_results",
    "unproved",
]

Checker = Callable[[Evidence], Finding]

CHECKERS: Mapping[str, Checker] = {
    "no-duplicate": no_duplicate,
    "no-invention": no_invention,
    "order": order,
    "no-silent-gap": no_silent_gap,
    "loss-only-in-faults": loss_only_in_faults,
    "healed-without-loss": healed_without_loss,
    "replay-overrun": replay_overrun,
    "last-tail": last_tail,
    "remote-once": remote_once,
    "accepted-or-raised": accepted_or_raised,
    "host-unreachable-told": host_unreachable_told,
    "detection-time": detection_time,
    "no-false-alarm": no_false_alarm,
    "reconnect": reconnect,
    "backoff": backoff,
    "both-halves-serve": both_halves_serve,
    "view-stable": view_stable,
    "quorum": quorum,
    "conflict-visible": conflict_visible,
    "failover": failover,
}
"""By the name of the guarantee, in the order of ``docs/guarantees.md``."""


class UnknownGuarantee(ClusterError, LookupError):
    """There is no checker of this name."""


def check_all(
    evidence: Evidence,
    guarantees: Sequence[str] | None = None,
    expectations: Iterable[Expectation] = (),
) -> tuple[Finding, ...]:
    """The findings on the proofs of faults, on the guarantees, and on the expectations.

    ``guarantees`` None: all that this run exercised. A guarantee that is asked for by name and was
    not exercised is unknown. Raises UnknownGuarantee.
    """
    proved = (unproved(evidence),) if evidence.faults else ()
    expected = check_expectations(evidence, expectations)
    if guarantees is None:
        found = [checker(evidence) for checker in CHECKERS.values()]
        return (*proved, *(finding for finding in found if finding.is_exercised), *expected)
    for name in guarantees:
        if name not in CHECKERS:
            raise UnknownGuarantee(f"there is no checker of {name!r}: take {', '.join(CHECKERS)}")
    return (*proved, *(CHECKERS[name](evidence) for name in guarantees), *expected)
