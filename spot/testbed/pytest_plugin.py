"""The cluster of one test in a user's suite: starts, breaks, judges and ends it for pytest.

The fixtures are in ``pytest_spot.py``, outside of the package, so that pytest need not import it.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeVar

import pytest

from spot.config import Config
from spot.errors import InvalidArgument
from spot.program.settings import PROGRAM_VARIABLES, variable_text
from spot.testbed.artefacts import new_directory
from spot.testbed.backends import BACKENDS, make_backend
from spot.testbed.checkers import check_all, fault_results
from spot.testbed.cluster import Cluster
from spot.testbed.collect import bounds_of, end_traffic, read_journals
from spot.testbed.errors import (
    BadSetting,
    ClusterError,
    ClusterNotReady,
    ContextMissing,
    EngineMissing,
)
from spot.testbed.evidence import Evidence, Phases
from spot.testbed.faults import ActiveFault, inject, parse_fault
from spot.testbed.report import write_report
from spot.testbed.report.files import PAGE_FILE
from spot.testbed.results import Result
from spot.testbed.scenario_run import verdict_of
from spot.testbed.topology import Topology
from spot.testbed.variables import check_variables
from spot.testbed.verdict import Finding, Verdict

__all__ = ["ClusterUnderTest", "Wanted", "cluster_under_test"]

ASSERTION = "the test itself"
"""The name of the finding for a failure of the user's own test."""
SETTLE_S = 1.0
"""Traffic goes on for so long after the recovery, as the next message reports lost ones."""
RECOVERY_GRACE_S = 10.0
NAME_LENGTH_MAX = 100

T = TypeVar("T")


@dataclass(frozen=True)
class Wanted:
    """The arguments of ``@pytest.mark.spot``, a field each."""

    topology: str | Topology = "mesh"
    nodes: int | None = None
    backend: str | None = None
    """None: that of ``--spot-backend`` or BACKEND, else docker if possible, else process."""
    rate: float = 100.0
    settings: Mapping[str, object] | None = None
    """Settings of the nodes by name, such as ``{"peer_timeout": 0.6}``. A sequence is a list, a
    str is what the variable of the setting holds."""
    proxied: bool = True
    program: tuple[str, ...] | list[str] | None = None
    image: str | None = None

    @classmethod
    def of(cls, item: pytest.Item) -> Wanted:
        """The arguments of the test's nearest marker. Raises ClusterError for unknown ones."""
        marker = item.get_closest_marker("spot")
        if marker is None:
            return cls()
        known = [one.name for one in fields(cls)]
        unknown = [name for name in marker.kwargs if name not in known]
        if unknown or len(marker.args) > 1:
            what = f"no argument {unknown[0]!r}" if unknown else "one argument without a name"
            raise ClusterError(f"@pytest.mark.spot has {what}: it takes {', '.join(known)}")
        return cls(*marker.args, **marker.kwargs)

    @property
    def variables(self) -> dict[str, str]:
        """The settings as ``SPOT_*`` variables. Raises ClusterError for unknown or bad ones."""
        given = {}
        known = {f"SPOT_{one.name.upper()}" for one in fields(Config)} | set(PROGRAM_VARIABLES)
        for name, value in (self.settings or {}).items():
            variable = f"SPOT_{name.upper()}"
            if variable not in known:
                raise ClusterError(
                    f"@pytest.mark.spot: there is no setting {name!r}: 'spot node --help' lists "
                    "them, to be written as peer_timeout=0.6 is"
                )
            try:
                given[variable] = variable_text(name.lower(), value)
                check_variables({variable: given[variable]})
            except (InvalidArgument, BadSetting) as error:
                raise ClusterError(
                    f"@pytest.mark.spot: settings={{{name!r}: {value!r}}}: {error}"
                ) from error
        return given


@contextlib.contextmanager
def cluster_under_test(item: pytest.Item) -> Iterator[ClusterUnderTest]:
    """The cluster of this test, not started yet. Ends it, and reports it if the test failed."""
    under_test = _made(lambda: ClusterUnderTest(item))
    try:
        yield under_test
    finally:
        under_test.end()


class ClusterUnderTest:
    """One cluster, its faults and its verdict. Raises ClusterError if it can't be made."""

    def __init__(self, item: pytest.Item) -> None:
        wanted = Wanted.of(item)
        self._backend = _backend(wanted.backend or item.config.getoption("--spot-backend"))
        results = item.config.getoption("--spot-results")
        root = item.config.rootpath / "results" if results is None else Path(results)
        name = re.sub(r"[^\w.-]+", "-", f"{item.path.stem}-{item.name}").strip("-")
        self._name = name[:NAME_LENGTH_MAX]
        self._title = item.nodeid
        variables = wanted.variables
        self._bounds = bounds_of({**os.environ, **variables})
        # Checked before the directory is made, so that a wrong marker leaves none.
        make_backend(self._backend)
        self._directory = new_directory(root, self._name)
        self.cluster = Cluster(
            wanted.topology,
            nodes=wanted.nodes,
            backend=self._backend,
            proxied=wanted.proxied,
            rate=wanted.rate,
            settings=variables,
            files=self._directory,
            program=wanted.program,
            image=wanted.image,
        )
        self._faults: list[ActiveFault] = []
        self._trouble: list[str] = []
        self._failure: str | None = None
        self._is_told = False
        self._wall = time.time()
        self._started = time.monotonic()
        self._ready: float | None = None
        self._healed: float | None = None
        self._recovered: float | None = None
        self._quiet: float | None = None
        self._evidence: Evidence | None = None
        self._findings: dict[str, Finding] = {}

    def start(self) -> None:
        """Starts the cluster, and waits until it is synchronised. Fails the test if it isn't."""
        __tracebackhide__ = True
        self._started = time.monotonic()
        _made(self.cluster.start)
        self._ready = time.monotonic()

    def inject(self, fault: str) -> ActiveFault:
        """Applies and proves a fault, written as for ``spot fault``. Raises ClusterError."""
        active = inject(self.cluster, parse_fault(fault))
        self._faults.append(active)
        active.prove()
        return active

    def check(self, *guarantees: str) -> Result:
        """Heals, waits for the recovery, ends traffic and cluster, judges and reports. May fail.

        A second call judges the same run by other guarantees. Without names, it judges all that
        the run has tested. Raises UnknownGuarantee.
        """
        __tracebackhide__ = True
        if self._evidence is None:
            self._conclude(recover=True)
        result = self._judged(guarantees or None)
        if result.verdict is not Verdict.PASS:
            self._is_told = True
            pytest.fail(self._told(result), pytrace=False)
        return result

    def failed(self, text: str) -> None:
        """Notes that the test failed with this text, unless ``check`` made it fail."""
        if self._is_told:
            return
        lines = [line for line in text.splitlines() if line.startswith("E  ")] or text.splitlines()
        self._failure = lines[0].removeprefix("E").strip() if lines else "it failed"

    def where(self) -> str:
        """The paths of the run's timeline and its other artefacts."""
        files = f"journals and logs: {self._directory}"
        # A cluster that did not start has no timeline.
        return files if self._ready is None else f"timeline: {self._directory / PAGE_FILE}\n{files}"

    def end(self) -> None:
        """Ends what is still up, in any case. A test that failed gets a report."""
        try:
            if self._failure and self._ready is not None:
                if self._evidence is None:
                    self._conclude(recover=False)
                self._judged(None)
        finally:
            self._heal()
            self.cluster.stop()

    def _conclude(self, *, recover: bool) -> None:
        self._heal()
        self._healed = time.monotonic()
        self._trouble += self._ended()
        if recover and not self._trouble:
            timeout = self._bounds.reconnect_max + self._bounds.silence + RECOVERY_GRACE_S
            # The checker of reconnects judges links that are not up again.
            with contextlib.suppress(ClusterNotReady):
                self.cluster.wait_until(lambda status: status.is_ready, timeout)
                self._recovered = time.monotonic()
            time.sleep(SETTLE_S)
        self._quiet = time.monotonic()
        self._trouble += end_traffic(self.cluster)
        stopped = time.monotonic()
        self.cluster.stop()
        journals, trouble = read_journals(self._directory, self.cluster.topology)
        self._evidence = Evidence(
            topology=self.cluster.topology,
            journals=journals,
            faults=tuple(fault.window for fault in self._faults),
            phases=Phases(
                started=self._started,
                ready=self._ready,
                healed=self._healed,
                recovered=self._recovered,
                quiet=self._quiet,
                stopped=stopped,
            ),
            bounds=self._bounds,
            trouble=(*self._trouble, *trouble),
        )

    def _ended(self) -> list[str]:
        names = self.cluster.topology.names
        ended = [name for name in names if self.cluster.node_status(name).state == "exited"]
        return [f"node {name} has ended, and no fault did it" for name in ended]

    def _heal(self) -> None:
        for fault in reversed(self._faults):
            try:
                fault.heal()
            except (ClusterError, OSError) as error:
                self._trouble.append(f"{fault.window.text} could not be healed: {error}")

    def _judged(self, guarantees: tuple[str, ...] | None) -> Result:
        evidence = self._evidence
        assert evidence is not None
        for finding in check_all(evidence, guarantees):
            self._findings[finding.guarantee] = finding
        if self._failure:
            self._findings[ASSERTION] = Finding(ASSERTION, Verdict.FAIL, self._failure)
        findings = tuple(self._findings.values())
        result = Result(
            scenario=self._name,
            title=self._title,
            backend=self._backend,
            seed=None,
            wall=self._wall,
            duration_s=time.monotonic() - self._started,
            verdict=verdict_of(findings, evidence),
            guarantees=findings,
            faults=fault_results(evidence),
            evidence=evidence,
            directory=self._directory,
        )
        write_report(result)
        return result

    def _told(self, result: Result) -> str:
        lines = [f"SPOT: the verdict is {result.verdict}"]
        for finding in result.guarantees:
            if finding.verdict is not Verdict.PASS:
                lines.append(f"  {finding.guarantee}: {finding.verdict}: {finding.summary}")
                lines += [f"    {detail}" for detail in finding.details]
        lines += [f"  trouble: {text}" for text in result.evidence.trouble]
        return "\n".join([*lines, f"  timeline: {self._directory / PAGE_FILE}"])


def _made(make: Callable[[], T]) -> T:
    """Returns what ``make`` returns. An error of the testbed fails the test with only its text."""
    try:
        return make()
    except (ClusterError, InvalidArgument, OSError) as error:
        text = str(error)
    pytest.fail(text, pytrace=False)


def _backend(given: str | None) -> str:
    """The given backend, else containers if possible, else processes."""
    given = given or os.environ.get("BACKEND")
    if given:
        if given not in BACKENDS:
            make_backend(given)  # raises
        return given
    # The packages for containers take a quarter of a second to import.
    from spot.testbed.engine import connect, require_compose, require_images

    try:
        client = connect()
    except ContextMissing as error:
        print(f"SPOT: {error}. Taking local processes")  # noqa: T201  pytest shows it on failure
        return "process"
    except EngineMissing:
        return "process"
    try:
        require_compose()
        require_images(client)
    except ClusterError as error:
        print(f"SPOT: {error}. Using local processes")  # noqa: T201  pytest shows it on failure
        return "process"
    finally:
        client.close()
    return "docker"
