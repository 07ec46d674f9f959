"""The pytest plugin of SPOT's testbed: ``docs/testing-your-own.md``.

pytest imports this module in every project where SPOT is installed. So it stands outside of the
package, and imports nothing of it before a test asks for a cluster. ``spot.testbed.pytest_plugin``
does the work.
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
        help="where the nodes of clusters run (the BACKEND variable; if that is unset, docker when "
        "an engine answers and has the images, else process)",
    )
    group.addoption(
        "--spot-results",
        metavar="DIR",
        help="where clusters leave reports, journals and logs (results, in the root directory)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Registers the marker."""
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
    """The cluster of ``@pytest.mark.spot``, up and synchronised. It ends with the test."""
    return _spot_under_test.cluster


@pytest.fixture
def spot_fault(_spot_under_test: ClusterUnderTest) -> Callable[[str], ActiveFault]:
    """``spot_fault("cut a b")`` applies a fault and proves it.

    It returns a context manager that heals the fault on exit, with ``heal`` and ``window``. Any
    fault that still acts is healed by ``spot_check``, or when the test ends.
    """
    return _spot_under_test.inject


@pytest.fixture
def spot_check(_spot_under_test: ClusterUnderTest) -> Callable[..., Result]:
    """``spot_check()`` ends the traffic and the cluster, and fails if a guarantee was broken.

    ``spot_check("no-duplicate", "order")`` judges only these guarantees. It then also fails if the
    run has nothing to judge them by. Returns the result, with the times to detect and to recover of
    each fault.
    """
    return _spot_under_test.check


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds the path of the cluster's report to a test that fails."""
    report = yield
    under_test = item.stash.get(_UNDER_TEST, None)
    if under_test is not None and report.failed:
        if call.when == "call":
            under_test.failed(report.longreprtext)
        report.sections.append(("SPOT", under_test.where()))
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Removes what killed tests have left, if this process has had clusters."""
    if session.config.stash.get(_USED, False):
        _sweep()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(error: object) -> None:
    """Hook of pytest-xdist: removes what a crashed worker has left."""
    if error:
        _sweep()


def _sweep() -> None:
    from spot.testbed.cleanup import sweep
    from spot.testbed.errors import ClusterError
    from spot.testbed.run import state_directory

    try:
        sweep(state_directory())
    except (ClusterError, OSError) as error:
        # The tests that needed it have failed by it, and the others are not to.
        print(f"SPOT: what killed runs have left was not swept: {error}")  # noqa: T201
