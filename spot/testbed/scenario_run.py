"""Runs a scenario: starts, breaks and heals a cluster, and judges its evidence.

    start ── links stable ── timeline ── healed ── recovered ── settle ── quiet ── stop ── judge

A failure of the testbed itself (a proxy that died, a node that ended by itself, Ctrl-C) is
``trouble``. Everything is still healed and ended, and the artefacts are kept. The verdict is then
unknown, unless the evidence until then already shows a fail.
"""

from __future__ import annotations

import contextlib
import errno
import heapq
import itertools
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from spot.testbed.artefacts import PLAN_FILE, new_directory
from spot.testbed.checkers import check_all, check_expectations, fault_results
from spot.testbed.cluster import Cluster
from spot.testbed.collect import end_traffic, read_journals
from spot.testbed.errors import ClusterError, ClusterNotReady
from spot.testbed.evidence import Evidence, FaultWindow, Phases
from spot.testbed.faults import ActiveFault, FaultNotApplied, Late, inject
from spot.testbed.report import write_report
from spot.testbed.results import Result
from spot.testbed.scenario import CommandStep, FaultStep, Scenario
from spot.testbed.status import ClusterStatus
from spot.testbed.verdict import Finding, Verdict

__all__ = ["TIMELINE", "run_scenario", "verdict_of"]

log = logging.getLogger(__name__)

TIMELINE = "timeline"
"""The finding that says whether every command ended as the scenario says."""

SETTLE_S = 1.0
"""Traffic goes on for so long after the recovery, as the next message reports lost ones."""
RECOVERY_GRACE_S = 10.0
"""A link that is not up after the longest wait between two dials and so many seconds is broken."""
GLANCE_S = 0.25
"""Seconds between two looks whether nodes and proxy live."""


class Interrupted(Exception):
    """The user wants to end the run."""


def run_scenario(
    scenario: Scenario,
    *,
    backend: str = "process",
    results: Path = Path("results"),
    state: Path | None = None,
    progress: Callable[[str], object] = lambda text: None,
    cancelled: threading.Event | None = None,
) -> Result:
    """Runs a scenario, writes its report into ``result.directory``, and returns the result.

    ``backend``: ``process`` or ``docker``. ``results``: the directory of artefacts. ``state``: as
    for ``Cluster``. ``progress`` is called with a few words on each step. ``cancelled``: ends the
    run soon after it is set. Ctrl-C in the main thread does the same, and is raised again once
    everything is healed, ended and reported. Several runs may go on in threads of one process.

    Raises OSError when artefacts can't be written, UnknownBackend, and BadProgram when the
    scenario's own program can't be run. The result has any other failure of the run.
    """
    directory = new_directory(results, scenario.name)
    (directory / PLAN_FILE).write_text(scenario.to_yaml(), encoding="utf-8")
    late = {step.fault.node for step in scenario.fault_steps if isinstance(step.fault, Late)}
    attempt = _Attempt(
        scenario,
        Cluster(
            scenario.topology,
            backend=backend,
            proxied=True,
            rate=scenario.traffic.rate,
            settings=scenario.variables,
            files=directory,
            state=state,
            # If both are given, use the one that fits. A single one that does not fit is an error.
            program=scenario.program if backend == "process" or not scenario.image else None,
            image=scenario.image if backend == "docker" or not scenario.program else None,
            late=late,
        ),
        progress,
        cancelled or threading.Event(),
        held_down=late,
    )
    wall, began = time.time(), time.monotonic()
    interrupt: KeyboardInterrupt | None = None
    try:
        attempt.carry_out()
    except KeyboardInterrupt as error:
        interrupt = error
    progress("judging")
    evidence = attempt.evidence(directory)
    findings = attempt.findings(evidence)
    result = Result(
        scenario=scenario.name,
        title=scenario.title,
        backend=backend,
        seed=scenario.seed,
        wall=wall,
        duration_s=time.monotonic() - began,
        verdict=verdict_of(findings, evidence),
        guarantees=findings,
        faults=fault_results(evidence),
        evidence=evidence,
        directory=directory,
    )
    write_report(result)
    if interrupt is not None:
        raise interrupt
    return result


def verdict_of(findings: tuple[Finding, ...], evidence: Evidence) -> Verdict:
    """The verdict on the whole run: at best unknown if the testbed itself was in trouble."""
    trouble = [Verdict.UNKNOWN] if evidence.trouble else []
    return Verdict.of([*(finding.verdict for finding in findings), *trouble])


@dataclass
class _Attempt:
    """One run, from its start until everything has ended."""

    scenario: Scenario
    cluster: Cluster
    progress: Callable[[str], object]
    cancelled: threading.Event
    trouble: list[str] = field(default_factory=list)
    faults: list[ActiveFault] = field(default_factory=list)
    """Every fault that was applied, in order."""
    unapplied: list[FaultWindow] = field(default_factory=list)
    """The faults that could not be applied."""
    held_down: set[str] = field(default_factory=set)
    """Late nodes whose step of the timeline has not come yet."""
    complaints: list[tuple[float, str]] = field(default_factory=list)
    """Commands whose result was not the one that the scenario expects, and when."""
    commands: int = 0
    started: float = field(default_factory=time.monotonic)
    ready: float | None = None
    healed: float | None = None
    recovered: float | None = None
    quiet: float | None = None
    stopped: float | None = None
    _looked: float = 0.0
    _seen_well: float | None = None
    """When nodes and proxy were last seen alive. If the testbed fails, later evidence is not
    judged, as the failure may have caused it."""

    def carry_out(self) -> None:
        """Does everything except judging. Raises only KeyboardInterrupt, after all has ended."""
        try:
            self._start()
            self._timeline()
            self._recover()
            self._end_traffic()
        except Interrupted:
            self.trouble.append(f"interrupted {self._now()}")
        except KeyboardInterrupt:
            self.trouble.append(f"interrupted {self._now()}")
            raise
        except (ClusterError, OSError) as error:
            self.trouble.append(f"{self._now()}: {error}")
            self.stopped = self._seen_well
        except Exception as error:
            log.exception("the run of %s failed", self.scenario.name)
            self.trouble.append(f"{self._now()}: {type(error).__name__}: {error}")
            self.stopped = self._seen_well
        finally:
            with _uninterrupted():
                if self.trouble and self.stopped is None:
                    self.stopped = time.monotonic()  # the plan does not cover an early heal
                self._heal_all()
                self._stop()

    def evidence(self, directory: Path) -> Evidence:
        """The evidence that the run has left. A journal that breaks its contract is noted as
        trouble."""
        journals, trouble = read_journals(directory, self.scenario.topology)
        self.trouble += trouble
        return Evidence(
            topology=self.scenario.topology,
            journals=journals,
            faults=(*(fault.window for fault in self.faults), *self.unapplied),
            phases=Phases(
                started=self.started,
                ready=self.ready,
                healed=self.healed,
                recovered=self.recovered,
                quiet=self.quiet,
                stopped=self.stopped,
            ),
            bounds=self.scenario.bounds,
            trouble=tuple(self.trouble),
        )

    def findings(self, evidence: Evidence) -> tuple[Finding, ...]:
        """The findings on the guarantees, the scenario's own expectations and its commands."""
        findings = [
            *check_all(evidence, self.scenario.holds),
            *check_expectations(evidence, self.scenario.expectations),
        ]
        if self.commands:
            until = evidence.phases.stopped
            wrong = tuple(text for at, text in self.complaints if until is None or at <= until)
            verdict = Verdict.FAIL if wrong else Verdict.PASS
            summary = f"{self.commands} commands, {len(wrong)} ended otherwise than meant"
            findings.append(Finding(TIMELINE, verdict, summary, wrong))
        return tuple(findings)

    def _start(self) -> None:
        count = len(self.scenario.topology.names)
        self.progress(f"starting {count} nodes")
        self.cluster.start(
            progress=lambda ready: self.progress(f"{ready} of {count} nodes are ready"),
            say=self.progress,
        )
        # A node that came up before its peers dialled them with growing waits. They start again.
        self.progress("waiting until the links are stable")
        self._wait_until(time.monotonic() + self.scenario.bounds.stable_after)
        self.ready = time.monotonic()

    def _timeline(self) -> None:
        assert self.ready is not None
        order = itertools.count()
        due: list[tuple[float, int, float, Callable[[], None]]] = []

        def plan(written: float, at: float, act: Callable[[], None]) -> None:
            # A step that is written after a heal comes after it, however late the heal is.
            heapq.heappush(due, (written, next(order), at, act))

        def begin(step: FaultStep, starts: tuple[float, ...]) -> None:
            fault = self._apply(step)
            if step.lasts is not None:
                # Counted from when it acted, so that a fault lasts as long as the plan says.
                healed = partial(end, fault, step, starts[1:])
                plan(starts[0] + step.lasts, time.monotonic() + step.lasts, healed)
            fault.prove()

        def end(fault: ActiveFault, step: FaultStep, starts: tuple[float, ...]) -> None:
            self._say(f"healing {fault.window.text}")
            fault.heal()
            plan_next(step, starts)

        def plan_next(step: FaultStep, starts: tuple[float, ...]) -> None:
            if starts:
                plan(starts[0], ready + starts[0], partial(begin, step, starts))

        ready = self.ready
        for step in self.scenario.timeline:
            if isinstance(step, FaultStep):
                plan_next(step, step.starts)
            else:
                plan(step.at, ready + step.at, partial(self._tell, step))
        while due:
            _, _, at, act = heapq.heappop(due)
            self._wait_until(at)
            act()
            self._look()
        self._wait_until(ready + self.scenario.length)

    def _apply(self, step: FaultStep) -> ActiveFault:
        self._say(str(step.fault))
        if isinstance(step.fault, Late):
            self.held_down.discard(step.fault.node)
        try:
            fault = inject(self.cluster, step.fault)
        except FaultNotApplied as error:
            self.unapplied.append(error.window)
            raise
        self.faults.append(fault)
        return fault

    def _tell(self, step: CommandStep) -> None:
        self._say(step.text)
        self.commands += 1
        answer = self.cluster.tell(step.node, step.do, **step.arguments)
        ended = time.monotonic()
        if answer.get("ok"):
            if step.error:
                text = f"{step.text} succeeded, and {step.error} was meant to come"
                self.complaints.append((ended, text))
            return
        number = answer.get("errno")
        name = errno.errorcode.get(number, "") if isinstance(number, int) else ""
        if not step.error or step.error != name:
            wanted = f", and {step.error} was meant to come" if step.error else ""
            self.complaints.append((ended, f"{step.text} failed: {answer.get('error')}{wanted}"))

    def _recover(self) -> None:
        self._say("healing everything")
        self._heal_all()
        self.healed = time.monotonic()
        self._look()
        self._say("waiting until all links are up")

        def is_whole(status: ClusterStatus) -> bool:
            self._glance()
            return status.is_ready

        bounds = self.scenario.bounds
        timeout = bounds.reconnect_max + bounds.silence + RECOVERY_GRACE_S
        try:
            self.cluster.wait_until(is_whole, timeout)
        except ClusterNotReady as error:
            self._look()
            # This is not trouble: the checker of reconnects judges it.
            self._say(f"not recovered: {error}")
        else:
            self.recovered = time.monotonic()
        self._wait_until(time.monotonic() + SETTLE_S)

    def _end_traffic(self) -> None:
        self._say("waiting for the last deliveries")
        self.quiet = time.monotonic()
        self.trouble += end_traffic(
            self.cluster, lambda seconds: self._wait_until(time.monotonic() + seconds)
        )

    def _heal_all(self) -> None:
        for fault in reversed(self.faults):
            if fault.window.healed is not None:
                continue
            try:
                fault.heal()
            except (ClusterError, OSError) as error:
                self.trouble.append(f"{fault.window.text} could not be healed: {error}")

    def _stop(self) -> None:
        if self.stopped is None:
            self.stopped = time.monotonic()
        self.progress("ending the nodes")
        try:
            self.cluster.stop()
        except (ClusterError, OSError) as error:
            self.trouble.append(f"the cluster could not be ended: {error}")

    def _wait_until(self, at: float) -> None:
        while True:
            self._glance()
            left = at - time.monotonic()
            if left <= 0:
                return
            if self.cancelled.wait(min(left, GLANCE_S)):
                raise Interrupted

    def _glance(self) -> None:
        """Calls ``_look`` from time to time. Also raises Interrupted."""
        if self.cancelled.is_set():
            raise Interrupted
        if time.monotonic() - self._looked >= GLANCE_S:
            self._look()

    def _look(self) -> None:
        """Raises ClusterError when a node or the proxy server has ended that should not have."""
        self._looked = time.monotonic()
        windows = [fault.window for fault in self.faults]
        down = {name for one in windows if one.healed is None for name in one.effect.down}
        down |= self.held_down
        names = [name for name in self.scenario.topology.names if name not in down]
        ended = [f"node {name}" for name in names if self.cluster.state(name) == "exited"]
        if self.cluster.proxy_state() == "exited":
            ended.append("the proxy server")
        if ended:
            raise ClusterError(f"{' and '.join(ended)} ended, and no fault did it")
        self._seen_well = self._looked

    def _say(self, text: str) -> None:
        self.progress(f"{self._now()}: {text}")

    def _now(self) -> str:
        if self.ready is None:
            return "before all nodes were ready"
        return f"at {time.monotonic() - self.ready:.1f} s"


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Blocks Ctrl-C and SIGTERM while everything is healed and ended."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals reach only the main thread
        return
    held = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for number in held:
            signal.signal(number, signal.SIG_IGN)
        yield
    finally:
        for number, handler in held.items():
            signal.signal(number, handler)
