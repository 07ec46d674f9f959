"""Names of nodes are DNS labels on both backends, and are checked before anything is started."""

from __future__ import annotations

import pytest

from spot.testbed import Cluster, NodeSpec, Topology, UnknownTopology
from spot.testbed.compose import compose_file
from spot.testbed.edges import edges
from spot.testbed.node_names import check_names
from spot.testbed.scenario_file import parse_scenario
from spot.testbed.yaml_reader import BadScenario

SCENARIO = """\
title: t
topology: own
nodes:
  ok: {topics: [t]}
  %r: {peers: [ok]}
timeline: []
"""
BAD = {
    "n_1": "DNS label",
    "a.": "DNS label",
    "a.b": "DNS label",
    "-a": "DNS label",
    "a-": "DNS label",
    "": "DNS label",
    "a b": "DNS label",
    "a/b": "DNS label",
    "ä": "DNS label",
    "x" * 70: "1 to 63 letters",
    "localhost": "the machine itself",
    "LocalHost": "the machine itself",
    "toxiproxy": "the proxy server in containers",
    "proxy-server": "the log of the proxy server",
    "7": "an IPv4 address",
    "0x7f": "an IPv4 address",
    "a-to-b": "the name of their edge",
}


@pytest.mark.parametrize("name", list(BAD))
@pytest.mark.parametrize("backend", ["process", "docker"])
def test_name_that_dns_or_docker_can_not_have_is_refused_at_once(name: str, backend: str) -> None:
    """It failed late, with what resolver, engine or file system had to say of it."""
    topology = Topology("own", (NodeSpec("ok"), NodeSpec(name, peers=("ok",))))
    with pytest.raises(UnknownTopology, match="can't be called") as error:
        Cluster(topology, backend=backend)
    assert BAD[name] in str(error.value)
    with pytest.raises(UnknownTopology, match="can't be called"):
        compose_file(topology)
    with pytest.raises(BadScenario, match="can't be called") as told:
        parse_scenario(SCENARIO % name, "own.yaml")
    assert told.value.line == 5


@pytest.mark.parametrize("backend", ["process", "docker"])
def test_names_that_are_one_to_dns_are_refused_at_once(backend: str) -> None:
    """Both containers would answer to the name, and either get the other's connections."""
    topology = Topology("own", (NodeSpec("a"), NodeSpec("A", peers=("a",))))
    with pytest.raises(UnknownTopology, match="'a' and 'A' are one name to DNS"):
        Cluster(topology, backend=backend)
    with pytest.raises(BadScenario, match="are one name to DNS"):
        parse_scenario((SCENARIO % "OK"), "own.yaml")


@pytest.mark.parametrize("name", ["a", "A", "n-1", "1a", "x" * 63, "hub", "to", "a--b"])
def test_name_that_is_a_label_will_do(name: str) -> None:
    """No name that works is refused."""
    check_names([name])


def test_edges_of_allowed_names_have_names_of_their_own() -> None:
    """Toxiproxy would refuse, or mix up, two proxies of one name."""
    names = ("a", "b", "c", "to", "a-to", "to-b")
    check_names(names)
    nodes = [NodeSpec(name, peers=names[:place]) for place, name in enumerate(names)]
    found = [edge.name for edge in edges(Topology("own", tuple(nodes)))]
    assert len(found) == len(set(found))


@pytest.mark.parametrize("name", ["", "a/b", ".a", "x" * 101, "a b"])
def test_topology_name_that_no_file_can_have_is_refused_at_once(name: str) -> None:
    """The directory of a run is called after it."""
    with pytest.raises(UnknownTopology, match="topology can't be called"):
        Cluster(Topology(name, (NodeSpec("a"),)))
