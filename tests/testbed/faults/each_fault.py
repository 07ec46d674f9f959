"""What holds of every fault on whatever backend: applied, proved, healed, and all well again."""

from __future__ import annotations

from spot.testbed import Cluster, inject, parse_fault

__all__ = ["FAULTS_OF_A_MESH", "check_fault"]

READY_TIMEOUT_S = 20.0

FAULTS_OF_A_MESH = (
    "cut a b",
    "blackhole a b",
    "blackhole a b towards=a",
    "blackhole a b towards=b",
    "latency a b latency=200 jitter=50",
    "latency a b latency=150 towards=a",
    "bandwidth a b rate=64",
    "bandwidth a b rate=64 towards=a",
    "bandwidth a b rate=64 towards=b",
    "reset a b",
    "truncate a b bytes=1000",
    "truncate a b bytes=30 towards=b",
    "flap a b period=0.3 duty=0.5",
    "partition a,b c",
    "isolate c",
    "halves",
    "bridge b a c",
    "ring",
    "crash a",
    "stop b",
    "restart c",
    "pause a",
    "starve b cpu=0.05",
    "readdress a",
)
"""One of each kind, and each direction, for a mesh of four."""


def check_fault(cluster: Cluster, text: str) -> None:
    """Applies a fault, and sees it proved; heals it twice, and sees every link again."""
    with inject(cluster, parse_fault(text)) as active:
        before = active.window
        assert not before.is_proved or before.proofs, "proved by nothing"
        proofs = active.prove()
        assert proofs
        window = active.window
        assert window.error is None
        assert window.began <= window.acted
        assert window.healed is None
        assert all(proof.shown for proof in window.proofs), window.proofs
    healed = active.window
    assert healed.is_proved, healed
    assert healed.healing is not None
    assert healed.healed is not None
    assert window.acted <= healed.healing <= healed.healed
    assert len(healed.proofs) > len(window.proofs), "the heal was not looked at"
    assert active.heal() == ()
    assert active.window == healed
    cluster.wait_ready(READY_TIMEOUT_S)
    for edge in cluster.edges():
        assert edge.is_enabled
        assert edge.toxics() == {}
