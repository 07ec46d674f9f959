"""Routes with backups, quorum among peers, and conflicts: what a cluster makes of lost links."""

from itertools import product

import pytest

from spot.config import Config
from spot.message import Event
from tests.core.wires import Node, Wires

QUICK = Config(stable_after=0.5, reconnect_max=0.2)


def linked(wires: Wires, node: Node, *hosts: str) -> None:
    for host in hosts:
        node.core.peers.add(host, wires.now)
    wires.settle(0.5)
    assert set(node.core.links.by_node) == set(hosts)


def lose(wires: Wires, node: Node, host: str) -> None:
    node.core.lost(node.core.links.by_node[host].conn, "closed", wires.now)
    wires.work(node)


def told(node: Node, kind: str) -> list[Event]:
    return [event for event in node.events if event.kind == kind]


def routed(standbys: str) -> tuple[Wires, Node, dict[str, Node]]:
    """A node with a route over a, b and c, which host ``t``, and its subscription."""
    wires = Wires()
    hosts = {name: wires.add(name, name) for name in "abc"}
    for name, host in hosts.items():
        host.core.announcer.create_topic("t", 1, standby=name in standbys)
    node = wires.add("node", config=QUICK)
    node.core.announcer.subscribe("t", pattern=False)
    linked(wires, node, *hosts)
    node.core.failover.route("t", tuple(hosts), 0, "a", wires.now)
    wires.work(node)
    return wires, node, hosts


@pytest.mark.parametrize("standbys", ["", "bc", "abc", "a"])
def test_route_goes_round_in_its_order(standbys: str) -> None:
    # Whether the hosts stand by or not: the route names them.
    wires, node, _ = routed(standbys)
    for host in "abcabc":
        assert node.core.registry.routes["t"] == host
        lose(wires, node, host)
        wires.settle(1.0)
        assert set(node.core.links.by_node) == set("abc"), "the lost one is back, and waits"
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
        cluster = hosts[name].core
        if not has:
            cluster.announcer.destroy_topic(cluster.registry.local["t"], wires.now)
            wires.work(hosts[name])
    wires.run_dry()
    lose(wires, node, "a")
    taken = "b" if b_has_it else "c" if c_has_it else "a"
    assert node.core.registry.routes["t"] == taken
    node.take(wires.now)
    assert len(node.notices) == (taken == "a"), "told where none is left"
    if taken == "a":
        hosts["c"].core.announcer.create_topic("t", 2, standby=True)
        wires.work(hosts["c"])
        wires.run_dry()
        assert node.core.registry.routes["t"] == "c", "the first that has it serves"


def test_route_stays_with_a_host_that_ends_its_topic() -> None:
    # topic_destroy is a decision of a host that lives.
    wires, node, hosts = routed("bc")
    cluster = hosts["a"].core
    cluster.announcer.destroy_topic(cluster.registry.local["t"], wires.now)
    wires.work(hosts["a"])
    wires.run_dry()
    assert node.core.registry.routes["t"] == "a"
    assert len(told(node, "route")) == 1


def test_route_leaves_a_peer_that_is_removed() -> None:
    # Who is removed can't serve, and nobody has to be told of what the application did.
    wires, node, _ = routed("bc")
    node.core.peers.remove("a", wires.now)
    wires.work(node)
    assert node.core.registry.routes["t"] == "b"
    node.take(wires.now)
    assert node.notices == []


def test_route_stays_with_a_host_whose_link_is_replaced() -> None:
    # The host lost the link and made another before this node noticed: it lives.
    wires = Wires()
    hosts = {name: wires.add(name, name, config=QUICK) for name in "ab"}
    for host in hosts.values():
        host.core.announcer.create_topic("t", 1)
    node = wires.add("node", "node", config=QUICK)
    node.core.announcer.subscribe("t", pattern=False)
    hosts["a"].core.peers.add("node", wires.now)
    node.core.peers.add("b", wires.now)
    wires.settle(0.5)
    assert set(node.core.links.by_node) == {"a", "b"}
    node.core.failover.route("t", ("a", "b"), 0, "a", wires.now)
    before = node.core.links.by_node["a"]
    a = hosts["a"]
    a.core.lost(a.core.links.by_node["node"].conn, "closed", wires.now)
    a.core.effects.hangups.clear()
    wires.work(a)
    wires.settle(1.0)
    assert node.core.links.by_node["a"] is not before
    assert node.core.registry.routes["t"] == "a"
    assert len(told(node, "route")) == 1


def test_other_topics_of_a_lost_host_are_told_of() -> None:
    # A backup for one topic is no excuse for the silence of another.
    wires, node, hosts = routed("bc")
    hosts["a"].core.announcer.create_topic("u", 1)
    wires.work(hosts["a"])
    node.core.announcer.subscribe("u", pattern=False)
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
    host.core.announcer.create_topic("t", 1)
    node = wires.add("node", config=QUICK)
    linked(wires, node, "host")
    assert host.core.context.refusing
    assert node.core.failover.minorities == {"host"}
    topic = node.core.registry.host_of("t")
    assert topic is not None
    node.core.remote.publish(topic, [b"1", b"2"])
    wires.work(node)
    wires.settle(1.0)
    assert host.core.registry.local["t"].head == 0
    assert node.core.counters.publish_unknown == 2
    other = wires.add("other", config=QUICK)
    linked(wires, other, "host")
    assert not host.core.context.refusing
    assert node.core.failover.minorities == set()
    node.core.remote.publish(topic, [b"3"])
    wires.work(node)
    wires.settle(1.0)
    assert host.core.registry.local["t"].head == 1
    wires.crash(other)
    wires.settle(0.1)
    assert host.core.context.refusing
    assert node.core.failover.minorities == {"host"}
    wires.crash(host)
    wires.settle(0.1)
    assert node.core.failover.minorities == set()


def test_conflict_is_seen_by_those_who_know_both_hosts() -> None:
    # Hosts and third parties alike; a standby is none.
    wires = Wires()
    hosts = [wires.add(name, name) for name in "ab"]
    for host in hosts:
        host.core.announcer.create_topic("t", 1)
        host.core.announcer.create_topic("u", 1, standby=host is hosts[1])
    node = wires.add("node", config=QUICK)
    linked(wires, node, "a", "b")
    assert node.core.failover.views.view.conflicts == {"t": ("a", "b")}
    (event,) = told(node, "conflict")
    assert (event.topics, event.reason) == (("t",), "hosted by a, b")
    lose(wires, node, "a")
    assert node.core.failover.views.view.conflicts == {"t": ("a", "b")}
    wires.settle(2.0)
    assert len(told(node, "conflict")) == 1
    wires.crash(hosts[0])
    wires.settle(1.0)
    assert node.core.failover.views.view.conflicts == {}
    assert len(told(node, "conflict_over")) == 1


def test_view_of_a_node_that_leaves_does_not_change() -> None:
    # It goes by its own decision: nothing was lost.
    wires = Wires()
    wires.add("b", "b")
    node = wires.add("a", config=QUICK)
    linked(wires, node, "b")
    version = node.core.failover.views.view.version
    node.core.leave()
    wires.work(node)
    wires.run_dry()
    assert node.core.links.by_node == {}
    assert node.core.failover.views.view.version == version
