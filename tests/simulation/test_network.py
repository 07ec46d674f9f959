"""The simulated network does what real networks do. Else the oracle judges impossible cases."""

from __future__ import annotations

from random import Random

from tests.simulation.connections import End, Frame
from tests.simulation.network import Network


class Machine:
    """A host that remembers the frames that came. While ``frozen``, it learns of no end."""

    off = False

    def __init__(self, network: Network, name: str) -> None:
        self.name = name
        self.listening = True
        self.frozen = False
        self.end: End | None = None
        self.came: list[bytes] = []
        self.ended_at: float | None = None
        self._network = network
        network.hosts[name] = self

    def accepted(self, end: End) -> None:
        self.end = end

    def arrived(self, conn: bytes, frame: Frame) -> None:
        self.came.append(frame[0])

    def ended(self, conn: bytes, why: str) -> None:
        self.ended_at = self._network.now


def connected() -> tuple[Network, Machine, End, Machine]:
    network = Network(Random(1))
    network.latencies = (0.01, 0.01)
    one, other = Machine(network, "one"), Machine(network, "other")
    end = network.dial(one, b"\x01", "other")
    network.run(0.1)
    return network, one, end, other


def test_nothing_comes_behind_the_end_of_a_connection() -> None:
    """A host that has not yet heard of a cut goes on sending, also to a process that is stopped. If
    these frames arrived without the ones that the cut took, the oracle would see a gap that TCP
    never makes.
    """
    network, one, end, other = connected()
    other.frozen = True
    network.send(end, (b"before",))
    network.cut("one", "other", drop=True)
    assert network.send(end, (b"after",)), "it has not learned of the cut"
    network.run(1.0)
    assert other.came == []
    assert one.ended_at == 0.11


def test_what_a_cut_drops_holds_up_nothing() -> None:
    """Bytes that crawl over a slow wire, and are lost, neither delay the news nor count as
    received.
    """
    network, one, end, other = connected()
    network.wire("one", "other").rate = 100.0
    network.send(end, (b"." * 10_000,))
    network.run(1.0)
    assert other.end is not None
    assert 0 < network.received(other.end) < 100
    network.cut("one", "other", drop=True)
    network.run(1.1)
    assert other.ended_at == one.ended_at == 1.01
    assert other.came == []
    assert network.received(other.end) == 0
