"""Two hosts of one topic: when that can be, who is listened to, and where it shows."""

from __future__ import annotations

import logging

import pytest

from spot import Spot, TopicExists
from tests.library.nodes import ANY_PORT, MakeNode, MakeProxy, endpoint_of
from tests.library.splitting import Mesh
from tests.library.waiting import receive, receive_until_data, wait_until

HOSTS = {"t": ("a", "c")}


def split_and_create(make_node: MakeNode, make_proxy: MakeProxy) -> Mesh:
    """Nodes a, b, c, d in two halves; a, and then c, creates ``t``; b and d subscribe to it."""
    mesh = Mesh(make_node, make_proxy, "abcd")
    mesh.split("ab", "cd")
    mesh.wait_for_sides("ab", "cd")
    for host, reader in ("ab", "cd"):
        mesh.nodes[host].topic_create("t")
        wait_until(lambda: mesh.nodes[reader].topic_exists("t"))  # noqa: B023
        with pytest.raises(TopicExists):
            mesh.nodes[reader].topic_create("t")
        mesh.nodes[reader].subscribe("t")
        mesh.nodes[host].wait_for_subscribers("t", timeout=5)
    return mesh


def hosts_heard(node: Spot, hosts: list[Spot], last: bytes) -> set[str]:
    """Of which hosts a node gets messages; each publishes one."""
    node.cluster_sync()
    for host in hosts:
        host.publish("t", last)
        host.flush(5)
    node.cluster_sync()
    found = receive_until_data(node, last)
    while (message := node.recv(0)) is not None:
        found.append(message)
    return {message.node for message in found}


def test_heal_shows_the_conflict_and_everybody_keeps_its_host(
    make_node: MakeNode, make_proxy: MakeProxy, caplog: pytest.LogCaptureFixture
) -> None:
    """What a split has made must be seen by all, and must not tear anybody's stream."""
    mesh = split_and_create(make_node, make_proxy)
    a, b, c, d = (mesh.nodes[name] for name in "abcd")
    happened = b.events(10)
    assert all(node.view().conflicts == {} for node in (a, b, c, d))
    with caplog.at_level(logging.WARNING, "spot"):
        mesh.heal()
        mesh.wait_for_sides("abcd")
        wait_until(lambda: all(node.view().conflicts == HOSTS for node in (a, b, c, d)))
    event = next(event for event in happened if event.kind == "conflict")
    assert (event.topics, event.reason) == (("t",), "hosted by a, c")
    told = [record.getMessage() for record in caplog.records if "conflict" in record.getMessage()]
    assert any(text.startswith("b: conflict (hosted by a, c) topics t") for text in told)
    assert [node.metrics().conflicts for node in (a, b, c, d)] == [1, 1, 1, 1]
    assert hosts_heard(b, [c, a], b"1") == {"a"}
    assert hosts_heard(d, [a, c], b"2") == {"c"}

    c.topic_destroy("t")
    wait_until(lambda: all(node.view().conflicts == {} for node in (a, b, c, d)))
    assert next(event for event in happened if event.kind == "conflict_over").topics == ("t",)
    assert b.metrics().conflicts == 0
    a.wait_for_subscribers("t", 2, timeout=5)
    assert hosts_heard(d, [a], b"3") == {"a"}


def test_new_subscribers_and_publishers_take_the_earliest_created(
    make_node: MakeNode, make_proxy: MakeProxy
) -> None:
    """All who come after the heal choose the same host, so that the other can be given up."""
    mesh = split_and_create(make_node, make_proxy)
    mesh.heal()
    mesh.wait_for_sides("abcd")
    for ends in ("ac", "ca"):
        node = make_node(cluster=[endpoint_of(mesh.nodes[name]) for name in ends])
        node.cluster_sync()
        assert node.view().conflicts == HOSTS
        node.subscribe("t")
        assert hosts_heard(node, [mesh.nodes["c"], mesh.nodes["a"]], b"1") == {"a"}
        node.publish("t", b"2")
        assert receive(node, 1)[0].node == "a"


def test_conflict_of_hosts_that_meet_for_the_first_time(make_node: MakeNode) -> None:
    """Two nodes that were configured alike by mistake; they see it when they are linked."""
    first = make_node(node_id="b", bind=[ANY_PORT], topics=["t"])
    second = make_node(node_id="a", topics=["t"])
    second.cluster_add(endpoint_of(first), timeout=5)
    second.cluster_sync()
    for node in (first, second):
        wait_until(lambda: node.view().conflicts == {"t": ("a", "b")})  # noqa: B023
        node.subscribe("t")
        node.publish("t", b"x")
        assert receive(node, 1)[0].node == node.node_id, "each hears its own"
    assert second.recv(0.1) is None
    assert first.recv(0) is None


def test_conflict_ends_with_the_host(make_node: MakeNode) -> None:
    """One that left, or was killed, is no second stream any more."""
    first = make_node(node_id="a", bind=[ANY_PORT], topics=["t"], stable_after=0.3)
    second = make_node(node_id="b", topics=["t"], cluster=first.endpoints)
    wait_until(lambda: first.view().conflicts)
    second.close()
    wait_until(lambda: not first.view().conflicts)
    assert first.view().reachable == set()


def test_conflict_does_not_flap_with_the_link(make_node: MakeNode, make_proxy: MakeProxy) -> None:
    """The topic has two hosts all the time, whether the link to one holds or not."""
    mesh = split_and_create(make_node, make_proxy)
    mesh.heal()
    mesh.wait_for_sides("abcd")
    b = mesh.nodes["b"]
    wait_until(lambda: b.view().conflicts == HOSTS)
    happened = b.events(1)
    for _ in range(4):
        lost = b.metrics().links_lost
        mesh.cut("b", "c")
        wait_until(lambda: b.metrics().links_lost > lost)  # noqa: B023
        wait_until(lambda: any(peer.node == "c" and peer.state == "up" for peer in b.peers()))
    mesh.wait_for_sides("abcd")
    kinds = {event.kind for event in happened}
    assert "link_down" in kinds
    assert not kinds & {"conflict", "conflict_over"}
    assert b.view().conflicts == HOSTS
