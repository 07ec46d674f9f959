"""What a node can't be told by variables is refused before it is started."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spot.testbed import BadSetting, Cluster, ClusterError, NodeSpec, Topology, UnknownTopology
from spot.testbed.pytest_plugin import Wanted
from spot.testbed.scenario_file import parse_scenario
from spot.testbed.spawn import spawn
from spot.testbed.yaml_reader import BadScenario

MANY = tuple(f"floor-2:sensor-{number:06}:temperature" for number in range(5000))
"""169,999 bytes with their commas."""
SCENARIO = """\
title: t
topology: own
traffic: {publish: %s}
settings: {members: %s}
nodes:
  a: {topics: %s}
timeline: []
"""


@pytest.mark.parametrize("backend", ["process", "docker"])
@pytest.mark.parametrize(
    ("node", "says"),
    [
        (NodeSpec("a", topics=("x,y",)), "node a: topics: 'x,y' contains a comma"),
        (NodeSpec("a", subscribe=(" x ",)), "node a: subscribe: ' x ' begins or ends with white"),
        (NodeSpec("a", publish=("x,",)), "node a: publish: 'x,' contains a comma"),
        (NodeSpec("a", publish=("",)), "node a: topics: topic '' has 0 bytes"),
        (NodeSpec("a", topics=("*",)), "node a: topics: topic '*' contains '*'"),
        (NodeSpec("a", topics=MANY), "SPOT_TOPICS would have 169999 bytes for 5000 topics"),
        (NodeSpec("a", subscribe=MANY), "SPOT_SUBSCRIBE would have 169999 bytes"),
    ],
)
def test_list_that_no_variable_can_carry_is_refused_at_once(
    backend: str, node: NodeSpec, says: str
) -> None:
    """The node would host other topics, or not start with a bare 'Argument list too long'."""
    with pytest.raises(UnknownTopology) as error:
        Cluster(Topology("own", (node,)), backend=backend)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"SPOT_MEMBERS": ["a", "b"]}, "SPOT_MEMBERS must be a str, not list"),
        ({"SPOT_TOPICS": "t"}, "SPOT_TOPICS is not for settings"),
        ({"SPOT_JOURNAL": "/tmp/h"}, "SPOT_JOURNAL is not for settings"),
        ({"SPOT_CLUSTER_NAME": "a\0b"}, "has a zero byte"),
        ({"NOTE": "x" * 140_000}, "NOTE has 140000 bytes"),
    ],
)
def test_setting_that_nodes_can_not_be_given_is_refused_at_once(
    settings: dict[str, Any], says: str
) -> None:
    """It was lost without a word, or ended the start with a traceback."""
    with pytest.raises(BadSetting) as error:
        Cluster("two-node", settings=settings)
    assert says in str(error.value)


def test_program_that_the_system_does_not_start_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several long variables together are too long as well, which is an OSError of the system."""
    for number in range(40):
        monkeypatch.setenv(f"LONG_{number}", "x" * 130_000)
    with pytest.raises(ClusterError, match=r"can't be started: Argument list.*ulimit -s"):
        spawn(["/bin/true"], tmp_path / "log", {})
    with pytest.raises(ClusterError, match="/bin/no-such can't be started: No such file"):
        spawn(["/bin/no-such"], tmp_path / "log", {})


def test_sequence_in_the_marker_is_joined() -> None:
    """`str(["a", "b"])` made members `['a'` and `'b']` of it, which no node is called."""
    assert Wanted(settings={"members": ["a", "b", "c"]}).variables == {"SPOT_MEMBERS": "a,b,c"}
    assert Wanted(settings={"publish": ("t",)}).variables == {"SPOT_PUBLISH": "t"}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"members": ["a", "b,c"]}, "node id 'b,c' contains white space or a comma"),
        ({"publish": ["t,u"]}, "publish: 't,u' contains a comma"),
        ({"cluster_name": ""}, "cluster_name '' is empty"),
        ({"node_id": None}, "node_id None would be read"),
        ({"topics": ["t"]}, "SPOT_TOPICS is not for settings"),
    ],
)
def test_value_in_the_marker_that_nodes_would_not_get_is_refused(
    settings: dict[str, object], says: str
) -> None:
    """The test would run, with another cluster than it says."""
    with pytest.raises(ClusterError) as error:
        _ = Wanted(settings=settings).variables
    assert says in str(error.value)


def test_5000_topics_of_one_node_come_up() -> None:
    """As many as that are one node of a building, and must not be a matter of luck."""
    topics = tuple(f"sensor:{number}" for number in range(5000))
    topology = Topology("own", (NodeSpec("a", topics=topics), NodeSpec("b", peers=("a",))))
    with Cluster(topology, rate=0) as cluster:
        document = cluster.status().nodes["a"].document
        assert document is not None
        assert set(document["topics"]["local"]) == set(topics)


@pytest.mark.parametrize(
    ("lists", "field", "says"),
    [
        (("['x,y']", "[a]", "[t]"), "traffic.publish", "'x,y' contains a comma"),
        (("[x]", "['a', ' b']", "[t]"), "settings.members", "node id ' b' contains white space"),
        (("[x]", "[a]", "['t,u']"), "nodes.a", "node a: topics: 't,u' contains a comma"),
    ],
)
def test_list_of_a_scenario_that_no_variable_can_carry_is_told_where_it_stands(
    lists: tuple[str, str, str], field: str, says: str
) -> None:
    """The run would be another one than its file says."""
    with pytest.raises(BadScenario) as error:
        parse_scenario(SCENARIO % lists, "own.yaml")
    assert error.value.field == field
    assert says in str(error.value)


def test_list_in_the_settings_of_a_scenario_is_joined() -> None:
    """A list is how YAML writes one."""
    scenario = parse_scenario(SCENARIO % ("[x]", "[a, b, c]", "[t]"), "own.yaml")
    assert scenario.variables["SPOT_MEMBERS"] == "a,b,c"
    assert parse_scenario(scenario.to_yaml(), "own.yaml").settings == scenario.settings
