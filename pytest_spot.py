"""The pytest plugin of SPOT's testbed: ``docs/testing-your-own.md``.

pytest imports this module in every project where SPOT is installed, so it stands outside of the
package, and imports none of it before a test asks for a cluster. The work is done in
``spot.testbed.pytest_plugin``.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from spot.testbed import Cluster
    from spot.testbed.faults import ActiveFault
    from spot.testbed.pytest_plugin import ClusterUnderTest
    from spot.testbed.results import Result

_UNDER_TEST: pytest.StashKey[ClusterUnderTest] = pytest.StashKey()
_USED: pytest.StashKey[bool] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--spot-backend`` and ``--spot-results``."""
    group = parser.getgroup("spot", "clusters of SPOT nodes")
    group.addoption(
        "--spot-backend",
        choices=("process", "docker"),
        help="where the nodes of clusters run. Unset: as BACKEND says; if that is unset, too: "
        "docker when an engine answers and has the images, else process",
    )
    group.addoption(
        "--spot-results",
        metavar="DIR",
        help="where clusters leave reports, histories and logs (results, in the root directory)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Makes the marker known."""
    config.addinivalue_line(
        "markers",
        "spot(topology='mesh', nodes=3, backend=None, rate=100, settings={}, proxied=True, "
        "program=None, image=None): the cluster that the fixture spot_cluster starts",
    )


@pytest.fixture
def _spot_under_test(request: pytest.FixtureRequest) -> Iterator[ClusterUnderTest]:
    from spot.testbed.pytest_plugin import cluster_under_test

    item: pytest.Item = request.node
    request.config.stash[_USED] = True
    with cluster_under_test(item) as under_test:
        item.stash[_UNDER_TEST] = under_test
        under_test.start()
        yield under_test


@pytest.fixture
def spot_cluster(_spot_under_test: ClusterUnderTest) -> Cluster:
    """A cluster that is up and synchronised, as ``@pytest.mark.spot`` says; ended with the test."""
    return _spot_under_test.cluster


@pytest.fixture
def spot_fault(_spot_under_test: ClusterUnderTest) -> Callable[[str], ActiveFault]:
    """``spot_fault("cut a b")`` applies a fault and proves it.

    What it returns is a context manager that heals, and has ``heal`` and ``window``. What is not
    healed is healed by ``spot_check``, or with the end of the test.
    """
    return _spot_under_test.inject


@pytest.fixture
def spot_check(_spot_under_test: ClusterUnderTest) -> Callable[..., Result]:
    """``spot_check()`` ends the traffic and the cluster, and fails if a guarantee was broken.

    ``spot_check("no-duplicate", "order")`` judges these alone, and then nothing to judge them by is
    a failure as well. Returns the result, with the time to detect and to recover of each fault.
    """
    return _spot_under_test.check


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that fails says where the report of its cluster is."""
    report = yield
    under_test = item.stash.get(_UNDER_TEST, None)
    if under_test is not None and report.failed:
        if call.when == "call":
            under_test.failed(report.longreprtext)
        report.sections.append(("SPOT", under_test.where()))
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Sweeps what a test that was killed has left, if this process has had clusters."""
    if session.config.stash.get(_USED, False):
        _sweep()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(error: object) -> None:
    """Of pytest-xdist: sweeps what a worker that crashed has left."""
    if error:
        _sweep()


def _sweep() -> None:
    from spot.testbed.errors import ClusterError
    from spot.testbed.run import state_directory
    from spot.testbed.sweep import sweep

    try:
        sweep(state_directory())
    except (ClusterError, OSError) as error:
        # The tests that needed it have failed by it, and the others are not to.
        print(f"SPOT: what killed runs have left was not swept: {error}")  # noqa: T201
