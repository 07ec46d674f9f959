"""Routes with backups, quorum among peers, and conflicts: what a cluster makes of lost links."""

from itertools import product

import pytest

from spot.config import Config
from spot.message import Event
from tests.core.wires import Node, Wires

QUICK = Config(stable_after=0.5, reconnect_max=0.2)


def linked(wires: Wires, node: Node, *hosts: str) -> None:
    for host in hosts:
        node.cluster.add_peer(host, wires.now)
    wires.settle(0.5)
    assert set(node.cluster.nodes) == set(hosts)


def lose(wires: Wires, node: Node, host: str) -> None:
    node.cluster.lost(node.cluster.nodes[host].conn, "closed", wires.now)
    wires.work(node)


def told(node: Node, kind: str) -> list[Event]:
    return [event for event in node.events if event.kind == kind]


def routed(standbys: str) -> tuple[Wires, Node, dict[str, Node]]:
    """A node with a route over a, b and c, which host ``t``, and its subscription."""
    wires = Wires()
    hosts = {name: wires.add(name, name) for name in "abc"}
    for name, host in hosts.items():
        host.cluster.create_topic("t", 1, standby=name in standbys)
    node = wires.add("node", config=QUICK)
    node.cluster.subscribe("t", pattern=False)
    linked(wires, node, *hosts)
    node.cluster.route("t", tuple(hosts), 0, "a", wires.now)
    wires.work(node)
    return wires, node, hosts


@pytest.mark.parametrize("standbys", ["", "bc", "abc", "a"])
def test_route_goes_round_in_its_order(standbys: str) -> None:
    # Whether the hosts stand by or not: the route names them.
    wires, node, _ = routed(standbys)
    for host in "abcabc":
        assert node.cluster.traffic.registry.routes["t"] == host
        lose(wires, node, host)
        wires.settle(1.0)
        assert set(node.cluster.nodes) == set("abc"), "the lost one is back, and waits"
    assert [event.node for event in told(node, "route")] == list("abcabca")
    assert node.notices == []
    while node.take(wires.now):
        pass
    assert node.notices == []


@pytest.mark.parametrize(("b_has_it", "c_has_it"), list(product([True, False], repeat=2)))
def test_route_takes_only_hosts_that_have_the_topic(b_has_it: bool, c_has_it: bool) -> None:
    # A host that is up and has nothing to say would be silence instead of an error.
    wires, node, hosts = routed("bc")
    for name, has in (("b", b_has_it), ("c", c_has_it)):
        cluster = hosts[name].cluster
        if not has:
            cluster.destroy_topic(cluster.traffic.registry.local["t"], wires.now)
            wires.work(hosts[name])
    wires.run_dry()
    lose(wires, node, "a")
    taken = "b" if b_has_it else "c" if c_has_it else "a"
    assert node.cluster.traffic.registry.routes["t"] == taken
    node.take(wires.now)
    assert len(node.notices) == (taken == "a"), "told where none is left"
    if taken == "a":
        hosts["c"].cluster.create_topic("t", 2, standby=True)
        wires.work(hosts["c"])
        wires.run_dry()
        assert node.cluster.traffic.registry.routes["t"] == "c", "the first that has it serves"


def test_route_stays_with_a_host_that_ends_its_topic() -> None:
    # topic_destroy is a decision of a host that lives.
    wires, node, hosts = routed("bc")
    cluster = hosts["a"].cluster
    cluster.destroy_topic(cluster.traffic.registry.local["t"], wires.now)
    wires.work(hosts["a"])
    wires.run_dry()
    assert node.cluster.traffic.registry.routes["t"] == "a"
    assert len(told(node, "route")) == 1


def test_route_leaves_a_peer_that_is_removed() -> None:
    # Who is removed can't serve, and nobody has to be told of what the application did.
    wires, node, _ = routed("bc")
    node.cluster.remove_peer("a", wires.now)
    wires.work(node)
    assert node.cluster.traffic.registry.routes["t"] == "b"
    node.take(wires.now)
    assert node.notices == []


def test_route_stays_with_a_host_whose_link_is_replaced() -> None:
    # The host lost the link and made another before this node noticed: it lives.
    wires = Wires()
    hosts = {name: wires.add(name, name, config=QUICK) for name in "ab"}
    for host in hosts.values():
        host.cluster.create_topic("t", 1)
    node = wires.add("node", "node", config=QUICK)
    node.cluster.subscribe("t", pattern=False)
    hosts["a"].cluster.add_peer("node", wires.now)
    node.cluster.add_peer("b", wires.now)
    wires.settle(0.5)
    assert set(node.cluster.nodes) == {"a", "b"}
    node.cluster.route("t", ("a", "b"), 0, "a", wires.now)
    before = node.cluster.nodes["a"]
    a = hosts["a"]
    a.cluster.lost(a.cluster.nodes["node"].conn, "closed", wires.now)
    a.cluster.effects.hangups.clear()
    wires.work(a)
    wires.settle(1.0)
    assert node.cluster.nodes["a"] is not before
    assert node.cluster.traffic.registry.routes["t"] == "a"
    assert len(told(node, "route")) == 1


def test_other_topics_of_a_lost_host_are_told_of() -> None:
    # A backup for one topic is no excuse for the silence of another.
    wires, node, hosts = routed("bc")
    hosts["a"].cluster.create_topic("u", 1)
    wires.work(hosts["a"])
    node.cluster.subscribe("u", pattern=False)
    wires.work(node)
    wires.run_dry()
    lose(wires, node, "a")
    node.take(wires.now)
    (notice,) = node.notices
    assert (notice.node, notice.topics) == ("a", ("u",))


def test_publishes_are_refused_by_a_minority_and_peers_know() -> None:
    # What comes all the same is counted as refused, so that its publisher can count it, too.
    wires = Wires()
    config = Config(members=("host", "other"), require_quorum=True, stable_after=0.5)
    host = wires.add("host", "host", config=config)
    host.cluster.create_topic("t", 1)
    node = wires.add("node", config=QUICK)
    linked(wires, node, "host")
    assert host.cluster.traffic.refusing
    assert node.cluster.minorities == {"host"}
    topic = node.cluster.traffic.registry.host_of("t")
    assert topic is not None
    node.cluster.traffic.publish_remote(topic, [b"1", b"2"])
    wires.work(node)
    wires.settle(1.0)
    assert host.cluster.traffic.registry.local["t"].head == 0
    assert node.cluster.traffic.counters.publish_unknown == 2
    other = wires.add("other", config=QUICK)
    linked(wires, other, "host")
    assert not host.cluster.traffic.refusing
    assert node.cluster.minorities == set()
    node.cluster.traffic.publish_remote(topic, [b"3"])
    wires.work(node)
    wires.settle(1.0)
    assert host.cluster.traffic.registry.local["t"].head == 1
    wires.crash(other)
    wires.settle(0.1)
    assert host.cluster.traffic.refusing
    assert node.cluster.minorities == {"host"}
    wires.crash(host)
    wires.settle(0.1)
    assert node.cluster.minorities == set()


def test_conflict_is_seen_by_those_who_know_both_hosts() -> None:
    # Hosts and third parties alike; a standby is none.
    wires = Wires()
    hosts = [wires.add(name, name) for name in "ab"]
    for host in hosts:
        host.cluster.create_topic("t", 1)
        host.cluster.create_topic("u", 1, standby=host is hosts[1])
    node = wires.add("node", config=QUICK)
    linked(wires, node, "a", "b")
    assert node.cluster.views.view.conflicts == {"t": ("a", "b")}
    (event,) = told(node, "conflict")
    assert (event.topics, event.reason) == (("t",), "hosted by a, b")
    lose(wires, node, "a")
    assert node.cluster.views.view.conflicts == {"t": ("a", "b")}
    wires.settle(2.0)
    assert len(told(node, "conflict")) == 1
    wires.crash(hosts[0])
    wires.settle(1.0)
    assert node.cluster.views.view.conflicts == {}
    assert len(told(node, "conflict_over")) == 1


def test_view_of_a_node_that_leaves_does_not_change() -> None:
    # It goes by its own decision: nothing was lost.
    wires = Wires()
    wires.add("b", "b")
    node = wires.add("a", config=QUICK)
    linked(wires, node, "b")
    version = node.cluster.views.view.version
    node.cluster.leave()
    wires.work(node)
    wires.run_dry()
    assert node.cluster.nodes == {}
    assert node.cluster.views.view.version == version
