"""HostUnreachable in recv: when it is due, how soon, how often, and when not."""

from __future__ import annotations

import errno
import statistics
import threading
import time
from typing import Any

import pytest

from spot import HostUnreachable, Spot
from tests.library.child import Child
from tests.library.connections import port_of
from tests.library.nodes import ANY_PORT, MakeNode, MakeProxy, StartChild, endpoint_of, is_up
from tests.library.waiting import receive, receive_told, stays, wait_until
from tests.library.watching import Watch

TOLD_S = 0.2
BACK_S = 1.0


def started(start_child: StartChild, bind: str = ANY_PORT, **arguments: Any) -> tuple[Child, str]:
    child = start_child("stream", node_id="host", topics=["t"], bind=bind, **arguments)
    return child, str(child.said("bound")["endpoint"])


def kill_rounds(
    make_node: MakeNode, start_child: StartChild, endpoint: str, rounds: int
) -> tuple[list[float], list[float]]:
    """Kills and restarts a publishing process; how long until each peer was told, and until its
    messages flowed again."""
    child, _ = started(start_child, bind=endpoint, rate=2000)
    settings: dict[str, Any] = {"stable_after": 0.5, "reconnect_max": 0.5}
    watches = [Watch(make_node(cluster=[endpoint], **settings)) for _ in range(2)]
    told_s: list[float] = []
    back_s: list[float] = []
    for watch in watches:
        watch.node.cluster_sync(timeout=5)
        watch.node.subscribe("t")
    for at in range(rounds):
        for watch in watches:
            watch.wait_for_more(100)
        # A link that is stable starts its waits anew.
        time.sleep(0.6)
        assert [len(watch.told) for watch in watches] == [at, at]
        killed = child.kill()
        told_s += [watch.wait_for_told(at + 1) - killed for watch in watches]
        time.sleep(at / rounds * 0.5)
        child, _ = started(start_child, bind=endpoint, rate=2000)
        up = time.monotonic()
        back_s += [watch.wait_for_message(up) - up for watch in watches]
    for watch in watches:
        watch.node.close()
        watch.join()
        assert len(watch.told) == rounds, "once an outage"
        assert {error.reason for _, error in watch.told} == {"closed"}
    return told_s, back_s


@pytest.mark.timeout(120)
def test_killed_host_is_told_once_and_back_without_a_call(
    make_node: MakeNode, start_child: StartChild, endpoint: str
) -> None:
    """SIGKILL under load: told within 0.2 s; restarted, messages flow within a second."""
    told_s, back_s = kill_rounds(make_node, start_child, endpoint, rounds=2)
    # A machine that is busy elsewhere may be late once: then it is for both watches.
    assert statistics.median_low(told_s) < TOLD_S
    assert statistics.median_low(back_s) < BACK_S
    assert max(told_s) < 2
    assert max(back_s) < 5


def stop_rounds(
    make_node: MakeNode, start_child: StartChild, rounds: int, peer_timeout: float
) -> tuple[list[float], list[float]]:
    """Stops and continues a publishing process: times until it was told, and back."""
    settings: dict[str, Any] = {"peer_timeout": peer_timeout, "reconnect_max": 0.5}
    child, endpoint = started(start_child, rate=2000, **settings)
    watch = Watch(make_node(cluster=[endpoint], **settings))
    watch.node.cluster_sync(timeout=5)
    watch.node.subscribe("t")
    told_s: list[float] = []
    back_s: list[float] = []
    for at in range(rounds):
        watch.wait_for_more(100)
        child.stop()
        stopped = time.monotonic()
        told_s.append(watch.wait_for_told(at + 1) - stopped)
        child.go_on()
        up = time.monotonic()
        back_s.append(watch.wait_for_message(up) - up)
    watch.node.close()
    watch.join()
    assert len(watch.told) == rounds
    assert {error.reason for _, error in watch.told} == {"silent"}
    return told_s, back_s


@pytest.mark.parametrize("peer_timeout", [1.0, 2.0])
def test_stopped_host_is_told_in_time_and_back_by_itself(
    make_node: MakeNode, start_child: StartChild, peer_timeout: float
) -> None:
    """SIGSTOP is silence: told within peer_timeout and a heartbeat. SIGCONT heals it."""
    told_s, back_s = stop_rounds(make_node, start_child, 2, peer_timeout)
    heartbeat = min(0.5, peer_timeout / 3)
    assert min(told_s) > peer_timeout - heartbeat - 0.05
    assert min(told_s) < peer_timeout + heartbeat + 0.2
    assert max(told_s) < peer_timeout + 3
    assert max(back_s) < 5


def test_goodbye_is_told_as_left(host: Spot, client: Spot) -> None:
    """A host that leaves in order is lost to its subscribers all the same; the error says all."""
    client.subscribe("t")
    host.publish_many("t", [b"1", b"2"])
    endpoint = endpoint_of(host)
    began = time.monotonic()
    host.close()
    assert [message.data for message in receive(client, 2)] == [b"1", b"2"]
    with pytest.raises(HostUnreachable, match=r"node host.*t.*left.*by itself") as caught:
        client.recv(5)
    assert time.monotonic() - began < 2, "as who is silent is told of"
    error = caught.value
    assert (error.errno, error.node, error.endpoint) == (errno.EHOSTUNREACH, "host", endpoint)
    assert (error.topics, error.reason) == (("t",), "left")
    assert client.recv(0.05) is None


def test_lost_host_is_told_once_whatever_the_number_of_topics(
    make_node: MakeNode, host: Spot
) -> None:
    """Ten thousand topics of one host are one loss, which names those that one listens to."""
    for at in range(20):
        host.topic_create(f"n:{at:02}")
    node = make_node(cluster=host.endpoints)
    node.cluster_sync()
    node.subscribe("t")
    node.subscribe_pattern("n:0*")
    host.close()
    error = receive_told(node)
    assert error.topics == (*(f"n:0{at}" for at in range(10)), "t")
    assert len(str(error)) < 200
    assert node.recv(0.05) is None


def test_lost_host_is_told_to_one_thread(host: Spot, client: Spot) -> None:
    """With several threads in recv each error goes to one of them, as each message does."""
    client.subscribe("t")
    told: list[HostUnreachable] = []

    def run() -> None:
        try:
            client.recv(3)
        except HostUnreachable as error:
            told.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    host.close()
    for thread in threads:
        thread.join()
    assert len(told) == 1


def test_lost_host_does_not_stop_the_others(make_node: MakeNode, host: Spot) -> None:
    """The other hosts' messages go on arriving, before and after the error."""
    other = make_node(node_id="other", bind=[ANY_PORT], topics=["u"])
    node = make_node(cluster=[*host.endpoints, *other.endpoints])
    node.cluster_sync()
    for topic in ("t", "u"):
        node.subscribe(topic)
    other.publish("u", b"before")
    assert receive(node, 1)[0].data == b"before"
    host.close()
    receive_told(node)
    other.publish("u", b"after")
    assert receive(node, 1)[0].data == b"after"


def test_lost_host_is_told_also_if_it_healed_meanwhile(
    make_node: MakeNode, make_proxy: MakeProxy, host: Spot
) -> None:
    """Who looks late must still learn that the stream was broken: once, however often it broke."""
    proxy = make_proxy(port_of(endpoint_of(host)))
    node = make_node(cluster=[proxy.endpoint], reconnect_max=0.2)
    node.cluster_sync()
    node.subscribe("t")
    host.publish("t", b"1")
    node.cluster_sync()
    for outages in range(1, 4):
        proxy.cut()
        wait_until(lambda: node.metrics().links_lost == outages)  # noqa: B023
        wait_until(lambda: is_up(node, "host"))
        node.cluster_sync()
    host.publish("t", b"2")
    assert receive(node, 1)[0].data == b"1"
    with pytest.raises(HostUnreachable):
        node.recv(1)
    assert receive(node, 1)[0].data == b"2"
    assert node.recv(0.05) is None


def test_each_outage_that_was_read_is_told_again(
    make_node: MakeNode, make_proxy: MakeProxy, host: Spot
) -> None:
    """One error an outage: neither none the second time nor two at once."""
    proxy = make_proxy(port_of(endpoint_of(host)))
    node = make_node(cluster=[proxy.endpoint], reconnect_max=0.2)
    node.cluster_sync()
    node.subscribe("t")
    for at in range(3):
        proxy.cut()
        assert receive_told(node).reason == "closed"
        wait_until(lambda: host.metrics().links_lost == at + 1)  # noqa: B023
        host.wait_for_subscribers("t", timeout=5)
        host.publish("t", b"%d" % at)
        assert receive(node, 1)[0].data == b"%d" % at


def test_nothing_is_told_of_hosts_that_one_does_not_listen_to(host: Spot, client: Spot) -> None:
    """An error about somebody else's topic would be noise."""
    client.subscribe("elsewhere")
    client.subscribe_pattern("n:*")
    host.close()
    wait_until(lambda: not is_up(client, "host"))
    assert client.recv(0.05) is None


def test_nothing_is_told_of_topic_destroy_and_cluster_remove(
    make_node: MakeNode, host: Spot, client: Spot
) -> None:
    """These are decisions, not faults; the one who is removed is told, though."""
    removed = make_node(node_id="removed", bind=[ANY_PORT], topics=["r"])
    client.cluster_add(endpoint_of(removed), timeout=5)
    client.topic_create("c")
    client.cluster_sync()
    for topic in ("t", "r"):
        client.subscribe(topic)
    removed.subscribe("c")
    host.topic_destroy("t")
    wait_until(lambda: not client.topic_exists("t"))
    client.cluster_remove(endpoint_of(removed))
    assert client.recv(0.1) is None
    assert receive_told(removed).reason == "removed"


def test_nothing_is_told_before_a_first_host_was_there(make_node: MakeNode) -> None:
    """A peer that has not come yet is not lost."""
    node = make_node(cluster=["tcp://127.0.0.1:9"], reconnect_max=0.1)
    node.subscribe("t")
    wait_until(lambda: node.metrics().dials > 2)
    assert node.recv(0.1) is None


def test_subscriber_that_was_stopped_is_told_too(
    make_node: MakeNode, start_child: StartChild
) -> None:
    """Its peers closed the link meanwhile, so its stream was broken: once, and it goes on."""
    settings = {"peer_timeout": 0.8, "reconnect_max": 0.2}
    host = make_node(node_id="host", bind=[ANY_PORT], topics=["t", "u"], **settings)
    child = start_child(
        "subscriber", endpoint=endpoint_of(host), topics=["t", "u"], node_id="sleeper", **settings
    )
    host.wait_for_subscribers("t", timeout=30)
    host.publish("t", b"1")
    assert child.said("message")["data"] == "1"
    child.stop()
    wait_until(lambda: not is_up(host, "sleeper"))
    host.publish("t", b"2")
    child.go_on()
    assert child.said("lost")["node"] == "host"
    host.wait_for_subscribers("t", timeout=5)
    host.publish("t", b"3")
    for data in "23":
        message = child.said("message")
        assert (message["data"], message["missed"]) == (data, 0)


def test_short_stop_is_no_loss(make_node: MakeNode, start_child: StartChild) -> None:
    """A pause shorter than peer_timeout breaks nothing, on neither side."""
    host = make_node(node_id="host", bind=[ANY_PORT], topics=["t"], peer_timeout=3)
    child = start_child(
        "subscriber", endpoint=endpoint_of(host), topics=["t"], node_id="sleeper", peer_timeout=3
    )
    host.wait_for_subscribers("t", timeout=30)
    child.stop()
    stays(lambda: is_up(host, "sleeper"), 1.0, what="the link")
    host.publish("t", b"1")
    child.go_on()
    assert child.said("message")["data"] == "1"
    assert host.metrics().links_lost == 0


def test_positions_survive_an_outage(make_node: MakeNode, make_proxy: MakeProxy) -> None:
    """Without a replay buffer, what was published meanwhile is counted in missed, exactly."""
    host = make_node(bind=[ANY_PORT], topics=["t"], history_bytes=0)
    proxy = make_proxy(port_of(endpoint_of(host)))
    node = make_node(cluster=[proxy.endpoint], reconnect_max=0.2)
    node.cluster_sync()
    node.subscribe("t")
    published = 0
    received = missed = 0
    for at in range(5):
        host.publish_many("t", [b"x"] * (at + 1))
        published += at + 1
        node.cluster_sync()
        for message in receive(node, at + 1):
            received += 1
            missed += message.missed or 0
        proxy.cut()
        wait_until(lambda: host.metrics().links_lost == at + 1)  # noqa: B023
        host.publish_many("t", [b"lost"] * 7)
        published += 7
        receive_told(node)
        host.wait_for_subscribers("t", timeout=5)
    host.publish("t", b"last")
    (message,) = receive(node, 1)
    assert received + 1 + missed + (message.missed or 0) == published + 1 == message.seq
    assert node.metrics().missed_msgs == 35


def test_host_that_crashed_and_came_back_is_another_epoch(
    make_node: MakeNode, start_child: StartChild, endpoint: str
) -> None:
    """Nobody can know how much of the old epoch was lost: missed is None, once."""
    child = start_child("publisher", node_id="host", topics=["t"], bind=endpoint)
    child.said("bound")
    node = make_node(cluster=[endpoint], reconnect_max=0.2)
    node.cluster_sync()
    node.subscribe("t")
    child.tell("burst t 5")
    old = receive(node, 5)[-1]
    child.kill()
    receive_told(node)
    child = start_child("publisher", node_id="host", topics=["t"], bind=endpoint)
    child.said("bound")
    wait_until(lambda: is_up(node, "host"))
    node.cluster_sync()
    child.tell("burst t 2")
    first, second = receive(node, 2)
    assert first.epoch != old.epoch
    assert (first.missed, second.missed) == (None, 0)
    assert node.metrics().missed_unknown == 1


@pytest.mark.parametrize("how", ["killed", "terminated"])
def test_host_that_came_back_with_another_node_id_is_another_host(
    make_node: MakeNode, start_child: StartChild, endpoint: str, how: str
) -> None:
    """Without a configured node id each start has a new one: a crash must not look like no loss."""
    child = start_child("publisher", topics=["t"], bind=endpoint)
    child.said("bound")
    node = make_node(cluster=[endpoint], reconnect_max=0.2)
    node.cluster_sync()
    node.subscribe("t")
    node.cluster_sync()
    child.tell("burst t 5")
    old = receive(node, 5)[-1]
    if how == "killed":
        child.kill()
    else:
        child.terminate()
    child.wait()
    receive_told(node)
    child = start_child("publisher", topics=["t"], bind=endpoint)
    child.said("bound")
    child.tell("burst t 2")
    first, second = receive(node, 2)
    assert first.node != old.node
    assert (first.missed, second.missed) == (None if how == "killed" else 0, 0)
    assert node.metrics().missed_unknown == (how == "killed")
