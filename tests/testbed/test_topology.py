from itertools import combinations

import pytest

from spot.testbed import NodeSpec, Topology, UnknownNode, UnknownTopology, build_topology


def test_two_node_is_two_nodes_that_add_each_other() -> None:
    """The guide's smallest cluster, and the only one without a size."""
    topology = build_topology("two-node")
    assert topology.names == ("a", "b")
    assert topology.links == (("a", "b"),)
    assert topology.node("a").subscribe == ("b:data",)


@pytest.mark.parametrize("nodes", [2, 3, 10, 50])
def test_mesh_adds_everyone_to_everyone_and_links_each_pair_once(nodes: int) -> None:
    """N(N-1)/2 links is what the operating system is asked for later."""
    topology = build_topology("mesh", nodes)
    assert len(topology.nodes) == nodes
    assert set(topology.links) == {tuple(sorted(pair)) for pair in combinations(topology.names, 2)}
    for node in topology.nodes:
        assert set(node.peers) == set(topology.names) - {node.name}


def test_mesh_names_go_on_after_z() -> None:
    """Names are node ids: they must stay unique at any size."""
    names = build_topology("mesh", 54).names
    assert names[:3] == ("a", "b", "c")
    assert names[25:28] == ("z", "aa", "ab")
    assert names[51:54] == ("az", "ba", "bb")


def test_hub_spoke_links_every_spoke_to_the_hub_only() -> None:
    """Spokes that had a link of their own would hide what a hub is for."""
    topology = build_topology("hub-spoke", 2)
    assert topology.names == ("hub", "spoke-1", "spoke-2")
    assert set(topology.links) == {("hub", "spoke-1"), ("hub", "spoke-2")}
    assert topology.node("hub").peers == ("spoke-1", "spoke-2")
    assert topology.node("spoke-1").peers == ("hub",)


@pytest.mark.parametrize("name", ["mesh", "hub-spoke", "two-node"])
def test_topology_comes_back_from_a_record_as_it_was(name: str) -> None:
    """`spot down` knows a cluster only from its record."""
    topology = build_topology(name)
    assert Topology.from_json(topology.to_json()) == topology


@pytest.mark.parametrize(
    ("name", "nodes", "said"),
    [
        ("ring", None, "mesh"),
        ("two-node", 3, "2 nodes"),
        ("mesh", 1, "2 to"),
        ("hub-spoke", 0, "1 to"),
        ("mesh", 100_000, "100000"),
    ],
)
def test_topology_that_does_not_exist_is_refused(name: str, nodes: int | None, said: str) -> None:
    """The text must say what there is instead."""
    with pytest.raises(UnknownTopology, match=said):
        build_topology(name, nodes)


def test_topology_of_a_user_must_not_contradict_itself() -> None:
    """A peer that nobody can dial would show only as a cluster that never gets ready."""
    with pytest.raises(UnknownTopology, match="adds b"):
        Topology("own", (NodeSpec("a", peers=("b",)), NodeSpec("b", binds=False)))
    with pytest.raises(UnknownTopology, match="unique"):
        Topology("own", (NodeSpec("a"), NodeSpec("a")))


def test_unknown_node_is_named_with_those_that_exist() -> None:
    """`spot logs mesh d` in a mesh of three."""
    with pytest.raises(UnknownNode, match="'d': it has a, b, c"):
        build_topology("mesh").node("d")
