"""fileno(): level-triggered, and exact."""

from __future__ import annotations

import select
import threading

import pytest

from spot import HostUnreachable, Message, Spot
from tests.library.nodes import ANY_PORT, MakeNode
from tests.library.waiting import receive


def readable(fd: int, wait_s: float = 0.0) -> bool:
    return bool(select.select([fd], [], [], wait_s)[0])


def test_descriptor_is_readable_while_recv_would_return(host: Spot, client: Spot) -> None:
    """Level-triggered: an event loop that takes one message at a time loses none, and one that
    is told once too often would spin."""
    client.subscribe("t")
    fd = client.fileno()
    assert client.fileno() == fd
    assert not readable(fd)
    host.publish_many("t", [b"1", b"2", b"3"])
    assert readable(fd, 10)
    client.cluster_sync()
    for _ in range(3):
        assert readable(fd)
        assert client.recv(0) is not None
    assert not readable(fd)
    assert client.recv(0) is None
    assert not readable(fd, 0.1)


def test_descriptor_asked_for_late_knows_what_waits(host: Spot, client: Spot) -> None:
    """fileno() may come when messages are there already, half of a batch taken."""
    client.subscribe("t")
    host.publish_many("t", [b"1", b"2", b"3"])
    receive(client, 1)
    fd = client.fileno()
    assert readable(fd)
    assert [message.data for message in receive(client, 2)] == [b"2", b"3"]
    assert not readable(fd)


def test_descriptor_is_readable_while_recv_would_raise(host: Spot, client: Spot) -> None:
    """A lost host wakes an event loop as a message does."""
    client.subscribe("t")
    fd = client.fileno()
    host.close()
    assert readable(fd, 10)
    with pytest.raises(HostUnreachable):
        client.recv(0)
    assert not readable(fd)


def test_descriptor_is_exact_with_recv_many_and_own_messages(host: Spot) -> None:
    """All ways to take a message keep it exact, and all ways to get one."""
    host.subscribe("t")
    fd = host.fileno()
    host.publish_many("t", [b"x"] * 5000)
    assert readable(fd, 10)
    while host.recv_many(700, timeout=0):
        pass
    assert not readable(fd)
    host.publish("t", b"x")
    assert readable(fd, 10)
    assert host.recv(0) is not None
    assert not readable(fd)


@pytest.mark.parametrize("rcvhwm", [1, 2, 3, 100])
def test_descriptor_loop_keeps_the_stream_flowing(make_node: MakeNode, rcvhwm: int) -> None:
    """A loop that calls recv(0) only when the descriptor says so must not starve the sender."""
    host = make_node(bind=[ANY_PORT], topics=["t"])
    client = make_node(cluster=host.endpoints, rcvhwm=rcvhwm)
    client.cluster_sync()
    client.subscribe("t")
    fd = client.fileno()
    host.publish_many("t", [b"%d" % at for at in range(500)])
    found: list[Message] = []
    while len(found) < 500:
        assert readable(fd, 10), f"{len(found)} of 500 came"
        message = client.recv(0)
        assert message is not None
        found.append(message)
    assert [message.seq for message in found] == list(range(1, 501))
    assert not any(message.missed for message in found)


def test_descriptor_wakes_a_loop_when_the_node_is_closed(client: Spot) -> None:
    """A thread that sleeps in select on the node must learn that it is closed."""
    fd = client.fileno()
    woken = threading.Event()

    def watch() -> None:
        if readable(fd, 10):
            woken.set()

    thread = threading.Thread(target=watch)
    thread.start()
    client.close()
    thread.join()
    assert woken.is_set()
