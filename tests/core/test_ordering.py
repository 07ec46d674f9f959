"""Publishes of peers to a topic whose subscribers have no room."""

from collections import Counter

import pytest

from spot.config import Config
from tests.core.wires import Node, Wires


def crowded(
    wires: Wires, topics: list[str], each: int, rcvhwm: int, publishers: int = 3
) -> tuple[Node, list[Node]]:
    """A host whose own subscription is slow, and peers that have published much more each."""
    config = Config(rcvhwm=rcvhwm, send_timeout=None)
    host = wires.add("host", "host", config=config)
    for name in topics:
        host.core.announcer.create_topic(name, 1 + len(host.core.registry.local))
        host.core.announcer.subscribe(name, pattern=False)
    peers = [wires.add(f"peer-{at}", config=config) for at in range(publishers)]
    for peer in peers:
        peer.core.peers.add("host", wires.now)
    wires.settle(0.5)
    for at, peer in enumerate(peers):
        remote = peer.core.registry.host_of(topics[at % len(topics)])
        assert remote is not None
        peer.core.remote.publish(remote, [peer.core.node.encode()] * each)
        wires.work(peer)
    return host, peers


def take(wires: Wires, host: Node, count: int) -> Counter[bytes]:
    """The next so many messages, by who published them."""
    began = len(host.messages)
    while len(host.messages) < began + count:
        assert host.take(wires.now), f"{len(host.messages) - began} of {count} came"
        wires.work(host)
        wires.run_dry()
    return Counter(message.data for message in host.messages[began : began + count])


@pytest.mark.parametrize("rcvhwm", [1, 30, 1_000, 4_000])
@pytest.mark.parametrize("publishers", [2, 3, 7])
def test_room_is_shared_evenly_by_those_who_wait(rcvhwm: int, publishers: int) -> None:
    # Who came first had all of it until it had nothing more, and the others none.
    wires = Wires()
    count = max(700, 15 * rcvhwm)
    host, _ = crowded(wires, ["t"], 2 * count // publishers, rcvhwm, publishers)
    wires.run_dry()
    # What was there before anybody waited was taken as it came.
    take(wires, host, rcvhwm)
    shares = take(wires, host, count - rcvhwm)
    assert len(shares) == publishers
    assert min(shares.values()) * publishers > 0.8 * (count - rcvhwm), shares


def test_who_waits_for_one_topic_holds_up_nobody_who_publishes_to_another() -> None:
    # The rounds end when nobody moves, and not when the first doesn't.
    wires = Wires()
    host, _ = crowded(wires, ["slow", "quick"], 300, 100, 2)
    wires.run_dry()
    host.core.announcer.unsubscribe("quick", pattern=False)
    wires.work(host)
    wires.run_dry()
    local = host.core.registry.local
    assert local["quick"].head == 300
    assert local["slow"].head <= 200


def test_all_that_waited_arrives_in_the_order_of_each_publisher() -> None:
    # Turns cut batches: nothing is lost, doubled or turned round where they are cut.
    wires = Wires()
    host, peers = crowded(wires, ["t"], 1, 50)
    for peer in peers:
        remote = peer.core.registry.host_of("t")
        assert remote is not None
        for first in range(0, 1_000, 200):
            payloads = [f"{peer.core.node} {at}".encode() for at in range(first, first + 200)]
            peer.core.remote.publish(remote, payloads)
            wires.work(peer)
    wires.run_dry()
    take(wires, host, 3 * 1_001)
    for peer in peers:
        of_peer = [
            each.data
            for each in host.messages
            if each.data.startswith(f"{peer.core.node} ".encode())
        ]
        assert of_peer == [f"{peer.core.node} {at}".encode() for at in range(1_000)]
    assert not host.core.ingress.waiting
