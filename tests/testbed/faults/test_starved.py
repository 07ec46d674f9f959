"""A node that is starved: what can't begin meanwhile is told, by plan and by hand."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from spot.testbed import Cluster, FaultNotApplied, build_topology, inject, parse_fault
from spot.testbed.faults.overlap import obstacle
from spot.testbed.scenario_file import parse_scenario
from spot.testbed.yaml_reader import BadScenario

pytestmark = pytest.mark.timeout(120)

SCENARIO = """\
title: t
topology: mesh
timeline:
  - {at: 1, fault: starve a cpu=0.5, for: 3}
  - {at: %s, fault: %s, for: 1}
"""
ON_A = ("starve a", "starve a cpu=0.1", "pause a", "crash a", "stop a", "restart a", "readdress a")


@pytest.fixture
def mesh() -> Iterator[Cluster]:
    with Cluster("mesh", rate=10, proxied=True) as cluster:
        yield cluster


@pytest.mark.parametrize("coming", [*ON_A, "garbage a"])
def test_fault_of_a_starved_node_is_an_error_of_the_file(coming: str) -> None:
    """It found the node stopped or not, by chance; a pause was undone fifty times a second."""
    with pytest.raises(BadScenario, match="as a is starved then") as error:
        parse_scenario(SCENARIO % (2, coming), "own.yaml")
    assert error.value.field == "timeline[1].fault"
    parse_scenario(SCENARIO % (5, coming), "own.yaml")


@pytest.mark.parametrize("coming", ["starve b", "pause b", "cut a b", "latency a b latency=5"])
def test_fault_of_another_node_or_of_a_link_may_begin(coming: str) -> None:
    """Only what stops and continues, or must run, gets into starvation's way."""
    topology = build_topology("mesh")
    acting = parse_fault("starve a cpu=0.5")
    assert obstacle(acting, parse_fault(coming), topology) is None


def test_second_fault_of_a_starved_node_is_not_applied(mesh: Cluster) -> None:
    """Healing one of two would continue the node for the other, which went on to be 'proved'."""
    with inject(mesh, parse_fault("starve b cpu=0.9")) as first:
        for coming in ON_A:
            with pytest.raises(FaultNotApplied, match="b running, and it is starved") as error:
                inject(mesh, parse_fault(coming.replace(" a", " b", 1)))
            assert error.value.window.error is not None
        other = Cluster.attach(mesh.run)  # as another process would see it
        with pytest.raises(FaultNotApplied, match="it is starved"):
            inject(other, parse_fault("starve b"))
        with inject(mesh, parse_fault("starve a cpu=0.9")):
            pass
        first.prove()
    assert first.window.is_proved
    assert first.window.healed is not None
    with inject(mesh, parse_fault("pause b")) as paused:
        paused.prove()
    assert paused.window.is_proved
    with inject(mesh, parse_fault("starve b cpu=0.9")):
        pass
    assert mesh.state("b") == "running"
