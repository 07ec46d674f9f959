"""The figures of faults: seconds to detect, seconds to recover, and missed messages."""

from __future__ import annotations

import math

from spot.testbed.checkers.account import Account, account_of
from spot.testbed.checkers.outages import breaks, due_notices, notices, touched
from spot.testbed.checkers.reconnect import recoveries
from spot.testbed.evidence import Evidence, FaultWindow
from spot.testbed.results import FaultResult

__all__ = ["fault_results"]


def fault_results(evidence: Evidence) -> tuple[FaultResult, ...]:
    """The figures of every fault of the run, in order."""
    account = account_of(evidence)
    return tuple(_of(account, window) for window in evidence.faults)


def _of(account: Account, window: FaultWindow) -> FaultResult:
    started = account.phases.started
    return FaultResult(
        window=window,
        start_s=window.began - started,
        end_s=None if window.healed is None else window.healed - started,
        proof=window.proofs,
        detect_s=_detect(account, window),
        recover_s=_recover(account, window),
        missed=_missed(account, window),
    )


def _detect(account: Account, window: FaultWindow) -> float | None:
    """Seconds until the last node that must be told was told. None: no node was, or had to be."""
    times = []
    for due in due_notices(account):
        if due.window is window:
            told = [
                notice.at - window.began
                for notice in notices(account, due.node, due.host)
                if window.began <= notice.at <= max(due.ended, due.deadline)
            ]
            times += told[:1]
    return max(times, default=None)


def _recover(account: Account, window: FaultWindow) -> float | None:
    """Seconds until a message had come over every link. None: over one link, none came."""
    found = [one for one in recoveries(account) if one.window is window]
    if not found or window.healed is None or any(one.back is None for one in found):
        return None
    return max(max(0.0, one.back - window.healed) for one in found if one.back is not None)


def _missed(account: Account, window: FaultWindow) -> int | None:
    """The sum of ``missed`` of all messages from this fault until the pair's next one."""
    pairs = set(touched(account, window))
    total = 0
    for stream in account.streams:
        node = stream.node
        for arrival in stream.arrivals:
            if arrival.missed == 0 or arrival.at < window.began:
                continue
            pair = (min(node, arrival.host), max(node, arrival.host))
            if pair not in pairs or _latest(account, pair, arrival.at) is not window:
                continue
            if arrival.missed is None:
                return None
            total += arrival.missed
    return total


def _latest(account: Account, pair: tuple[str, str], at: float) -> FaultWindow | None:
    """The last fault of this pair that began before this time."""
    began = -math.inf
    found = None
    for outage in breaks(account, *pair):
        if outage.window is not None and began <= outage.began <= at:
            began, found = outage.began, outage.window
    return found
