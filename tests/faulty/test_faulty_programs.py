"""Faulty node programs, really run: each must be failed by the checker that is meant for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from spot.testbed.checkers import CHECKERS, check_all, unproved
from spot.testbed.evidence import Evidence
from spot.testbed.verdict import Verdict
from tests.faulty.run import play_run

Played = tuple[str, str | None, float, dict[str, str]]

CUT: Played = ("two-node", "cut a b", 1.2, {})
LONG_CUT: Played = ("two-node", "cut a b", 2.0, {})
SPLIT: Played = ("mesh", "partition a,b c", 2.0, {})
QUORUM: Played = (*SPLIT[:3], {"SPOT_MEMBERS": "a,b,c", "SPOT_REQUIRE_QUORUM": "1"})
FORGETFUL: Played = (*CUT[:3], {"SPOT_HISTORY_BYTES": "0"})
REMOTE: Played = (*CUT[:3], {"SPOT_PUBLISH": "a:data"})
QUIET: Played = ("two-node", None, 0.0, {})

FAULTY: list[tuple[str, Played, str, set[str]]] = [
    # the program, its run, the checker that must fail it, and those that it may fail besides
    ("loses", QUIET, "loss-only-in-faults", {"no-silent-gap"}),
    ("repeats", QUIET, "no-duplicate", {"order"}),
    ("reorders", QUIET, "order", {"no-silent-gap", "loss-only-in-faults"}),
    ("invents", QUIET, "no-invention", {"order"}),
    ("cries_wolf", QUIET, "no-false-alarm", {"host-unreachable-told"}),
    ("publishes_what_raised", QUIET, "accepted-or-raised", {"no-silent-gap"}),
    ("miscounts", FORGETFUL, "no-silent-gap", {"replay-overrun"}),
    ("replays_nothing", CUT, "healed-without-loss", {"loss-only-in-faults"}),
    ("replays_too_much", CUT, "no-duplicate", {"order"}),
    ("publishes_twice", REMOTE, "remote-once", {"no-duplicate", "no-silent-gap"}),
    ("trusts_a_link_at_once", CUT, "view-stable", {"backoff"}),
    ("always_has_a_quorum", QUORUM, "quorum", set()),
    ("hides_lost_hosts", CUT, "host-unreachable-told", set()),
    ("tells_late", LONG_CUT, "detection-time", set()),
    ("never_resyncs", CUT, "reconnect", {"loss-only-in-faults", "healed-without-loss"}),
    ("never_backs_off", CUT, "backoff", set()),
    ("stops_alone", SPLIT, "both-halves-serve", set()),
]


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps these runs away from the clusters of whoever runs the tests."""
    monkeypatch.setenv("SPOT_STATE_DIR", str(tmp_path / "state"))


def play(program: str | None, directory: Path, played: Played) -> Evidence:
    topology, fault, lasts, settings = played
    return play_run(
        program,
        directory / "run",
        topology=topology,
        fault=fault,
        lasts=lasts,
        settings=settings,
    )


def failed(evidence: Evidence) -> dict[str, tuple[str, ...]]:
    findings = [checker(evidence) for checker in CHECKERS.values()]
    return {one.guarantee: one.details for one in findings if one.verdict is Verdict.FAIL}


@pytest.mark.parametrize(
    ("program", "played", "checker", "besides"), FAULTY, ids=[one[0] for one in FAULTY]
)
def test_faulty_program_is_failed_by_its_checker(
    program: str, played: Played, checker: str, besides: set[str], tmp_path: Path
) -> None:
    """A testbed that passes a node which breaks its promises is worth nothing."""
    evidence = play(program, tmp_path, played)

    found = failed(evidence)
    assert checker in found
    assert set(found) <= {checker} | besides, found
    assert unproved(evidence).verdict is Verdict.PASS
    assert evidence.trouble == ()


@pytest.mark.parametrize(
    "played",
    [QUIET, CUT, SPLIT, QUORUM, REMOTE],
    ids=["quiet", "cut", "split", "quorum", "remote"],
)
def test_right_program_passes_all(played: Played, tmp_path: Path) -> None:
    """The same runs with SPOT's own program: else it would be the run that fails, not the node."""
    evidence = play(None, tmp_path, played)

    found = check_all(evidence)
    assert [one for one in found if one.verdict is not Verdict.PASS] == []
    assert {"no-duplicate", "no-silent-gap", "loss-only-in-faults"} <= {
        one.guarantee for one in found
    }
    assert evidence.trouble == ()
