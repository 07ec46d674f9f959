"""Every fault for real, on processes behind the embedded proxy."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from spot.testbed import (
    BadFault,
    Cluster,
    ClusterError,
    FaultNotApplied,
    FaultNotHealed,
    NotProxied,
    UnknownNode,
    inject,
    parse_fault,
)
from tests.testbed.faults.each_fault import FAULTS_OF_A_MESH, check_fault


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One cluster for all faults that leave it whole."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("TOXIPROXY_URL", raising=False)
        patch.setattr("spot.testbed.proxy.server.find_toxiproxy", lambda: None)
        state = tmp_path_factory.mktemp("state")
        settings = {"SPOT_STABLE_AFTER": "0.3", "SPOT_RECONNECT_MAX": "1"}
        with Cluster(
            "mesh", nodes=4, rate=20, proxied=True, settings=settings, state=state
        ) as cluster:
            yield cluster


@pytest.mark.parametrize("text", FAULTS_OF_A_MESH)
def test_fault_is_applied_proved_and_healed(mesh: Cluster, text: str) -> None:
    """The promise of each: a fault that did not act would make any verdict worthless."""
    check_fault(mesh, text)


def test_proof_of_a_fault_that_does_not_act_is_not_shown(mesh: Cluster) -> None:
    """A proof that can't fail proves nothing: here every fault is undone before it is proved."""
    for text in FAULTS_OF_A_MESH[:18]:
        if text.startswith("flap"):
            continue
        with inject(mesh, parse_fault(text)) as active:
            active._action.undo()
            active.prove()
        assert not active.window.is_proved, active.window
    for text in ("crash a", "stop b", "pause a"):
        with inject(mesh, parse_fault(text)) as active:
            active._action.undo()
            active.prove()
        assert not active.window.is_proved, active.window
        mesh.wait_ready(20)


def test_bypassed_proxy_leaves_every_fault_of_the_link_unproved(mesh: Cluster) -> None:
    """A node that knows another way to its peer is not cut off by what happens to the edge."""
    edge = mesh.edge("a", "b")
    dials = mesh.run.nodes[edge.dialler]["dials"]
    through = dials[edge.listener]
    try:
        dials[edge.listener] = mesh.addresses[edge.listener]
        mesh.restart(edge.dialler)
        mesh.wait_ready(20)
        for text in ("cut a b", "blackhole a b", "latency a b latency=50", "isolate a", "flap a b"):
            with inject(mesh, parse_fault(text)) as active:
                active.prove()
            assert not active.window.is_proved, text
            unseen = [proof for proof in active.window.proofs if not proof.shown]
            assert any("through the edge" in proof.wanted for proof in unseen), unseen
    finally:
        dials[edge.listener] = through
        mesh.restart(edge.dialler)
        mesh.wait_ready(20)


def test_node_that_adds_its_peer_directly_is_a_bypass_as_well(mesh: Cluster) -> None:
    """The edge is still dialled; only there is another way beside it."""
    edge = mesh.edge("a", "c")
    dials = mesh.run.nodes[edge.listener]["dials"]
    try:
        dials[edge.dialler] = mesh.addresses[edge.dialler]
        mesh.restart(edge.listener)
        mesh.wait_ready(20)
        with inject(mesh, parse_fault("cut a c")) as active:
            active.prove()
        assert not active.window.is_proved, active.window
    finally:
        del dials[edge.dialler]
        mesh.restart(edge.listener)
        mesh.wait_ready(20)


def test_what_acts_already_is_refused_and_left_alone(mesh: Cluster) -> None:
    """The second one's heal would end the first one early, without anybody's knowing."""
    for first, second in (
        ("cut a b", "isolate a"),
        ("latency a b latency=50", "latency a b latency=90"),
        ("blackhole a b", "blackhole a b towards=a"),
        ("crash a", "pause a"),
        ("pause a", "crash a"),
    ):
        with inject(mesh, parse_fault(first)) as active:
            active.prove()
            with pytest.raises(FaultNotApplied, match="heal that first") as refused:
                inject(mesh, parse_fault(second))
            assert refused.value.window.error is not None
            assert not refused.value.window.is_proved
            assert all(proof.shown for proof in active.prove())
        mesh.wait_ready(20)


def test_fault_that_fails_half_way_is_undone(
    mesh: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One edge of several that can't be cut: the others must not stay so."""
    from spot.testbed.proxied_link import ProxiedLink

    disable = ProxiedLink.disable

    def fail_for_b(link: ProxiedLink) -> None:
        if "b" in link.pair:
            raise ClusterError("no")
        disable(link)

    monkeypatch.setattr(ProxiedLink, "disable", fail_for_b)
    with pytest.raises(FaultNotApplied, match="'isolate a' was not applied: no"):
        inject(mesh, parse_fault("isolate a"))
    assert all(edge.is_enabled for edge in mesh.edges())


@pytest.mark.parametrize("text", ["cut a z", "crash z", "partition a,z b"])
def test_unknown_node_is_named(mesh: Cluster, text: str) -> None:
    """Before anything is touched."""
    with pytest.raises(UnknownNode, match="no node 'z'"):
        inject(mesh, parse_fault(text))


def test_fault_of_a_link_needs_proxies() -> None:
    """Without one it can only be believed to act."""
    with Cluster("two-node", rate=0) as cluster:
        with pytest.raises(NotProxied, match="'cut a b' acts on the proxies"):
            inject(cluster, parse_fault("cut a b"))
        with inject(cluster, parse_fault("crash a")) as active:
            active.prove()
        assert active.window.is_proved


@pytest.mark.parametrize("text", ["cut a b", "blackhole a b", "flap a b period=0.2"])
def test_proxy_that_dies_in_mid_fault_is_an_error_and_no_proof(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All links are down then, which looks like a cut that acts."""
    monkeypatch.delenv("TOXIPROXY_URL", raising=False)
    monkeypatch.setattr("spot.testbed.proxy.server.find_toxiproxy", lambda: None)
    with Cluster("two-node", rate=0, proxied=True) as cluster:
        active = inject(cluster, parse_fault(text))
        assert cluster.run.proxy is not None
        os.kill(cluster.run.proxy["process"]["pid"], signal.SIGKILL)
        cluster.wait_until(lambda status: status.proxy == "exited", timeout=20)
        active.prove()
        with pytest.raises(FaultNotHealed, match="is it running"):
            active.heal()
        assert active.window.error is not None
        assert active.window.healed is None
        assert not active.window.is_proved


def test_late_node_is_held_down_from_the_start() -> None:
    """Start order is a fault like others: it is applied, proved and healed."""
    with Cluster("mesh", nodes=3, rate=0, proxied=True, late=["c"]) as cluster:
        assert cluster.state("c") == "exited"
        assert {link.link for link in cluster.status().links if link.is_up} == {("a", "b")}
        with pytest.raises(FaultNotApplied, match="a was started with the others"):
            inject(cluster, parse_fault("late a"))
        with inject(cluster, parse_fault("late c")) as active:
            active.prove()
        assert active.window.is_proved
        cluster.wait_ready(20)


def test_toxic_on_a_cut_edge_is_refused_with_a_reason(mesh: Cluster) -> None:
    """Nothing passes there that could be held or slowed."""
    with inject(mesh, parse_fault("cut a b")):
        for text in ("blackhole a b", "latency a b latency=50"):
            with pytest.raises(FaultNotApplied, match="is cut: heal that first"):
                inject(mesh, parse_fault(text))
    mesh.wait_ready(20)


def test_late_node_must_exist() -> None:
    """A misspelt name would be a node that is never late."""
    with pytest.raises(UnknownNode):
        Cluster("mesh", late=["z"])


def test_hub_lost_takes_every_link(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one node whose crash everybody feels."""
    with Cluster("hub-spoke", rate=0, proxied=True) as cluster:
        with inject(cluster, parse_fault("hub-lost")) as active:
            active.prove()
            cluster.wait_until(lambda status: not any(link.is_up for link in status.links), 20)
        assert active.window.is_proved
        cluster.wait_ready(20)
        with pytest.raises(BadFault, match="would cut no link"):
            inject(cluster, parse_fault("partition hub,spoke-1,spoke-2,spoke-3"))
