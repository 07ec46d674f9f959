"""Several threads in one node at once: nothing lost, nothing twice, order kept, nobody stuck."""

from __future__ import annotations

import collections
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from spot import Closed, HostUnreachable, Message, QueueFull, Spot, SpotError
from tests.library.nodes import ANY_PORT, MakeNode, endpoint_of
from tests.library.waiting import receive, wait_until


@pytest.fixture
def quick_switches() -> Iterator[None]:
    """Threads that give way after 10 us meet in places where they otherwise never do."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


def run_all(*calls: Callable[[], object]) -> None:
    """Runs each in a thread of its own; an error in one is an error here."""
    with ThreadPoolExecutor(len(calls)) as pool:
        for future in [pool.submit(call) for call in calls]:
            future.result(30)


@pytest.mark.usefixtures("quick_switches")
@pytest.mark.parametrize("remote", [False, True], ids=["local", "remote"])
@pytest.mark.parametrize("batched", [False, True], ids=["recv", "recv_many"])
def test_threads_that_receive_share_the_stream(
    host: Spot, client: Spot, remote: bool, batched: bool
) -> None:
    """Each message to exactly one thread, and to each thread in order."""
    node = client if remote else host
    node.subscribe("t")
    count = 20_000
    found: list[list[Message]] = [[] for _ in range(4)]

    def take(mine: list[Message]) -> Callable[[], None]:
        def run() -> None:
            while sum(map(len, found)) < count:
                if batched:
                    mine.extend(node.recv_many(random.randrange(1, 50), timeout=0.05))
                elif (message := node.recv(0.05)) is not None:
                    mine.append(message)

        return run

    def publish() -> None:
        for at in range(0, count, 100):
            host.publish_many("t", [b"%d" % number for number in range(at, at + 100)])

    run_all(publish, *map(take, found))
    got = collections.Counter(message.seq for mine in found for message in mine)
    assert got == dict.fromkeys(range(1, count + 1), 1)
    for mine in found:
        sequence = [message.seq for message in mine]
        assert sequence == sorted(sequence)


@pytest.mark.usefixtures("quick_switches")
@pytest.mark.parametrize("remote", [False, True], ids=["local", "remote"])
def test_threads_that_publish_keep_their_order(host: Spot, client: Spot, remote: bool) -> None:
    """What one thread publishes to a topic arrives in its order, whatever the others do."""
    host.topic_create("u")
    client.cluster_sync()
    publisher = client if remote else host
    subscriber = host if remote else client
    for topic in ("t", "u"):
        subscriber.subscribe(topic)
    count = 3000

    def publish(thread: int) -> Callable[[], None]:
        def run() -> None:
            for at in range(0, count, 3):
                topic = "tu"[thread % 2]
                publisher.publish(topic, b"%d %d" % (thread, at), timeout=10)
                publisher.publish_many(
                    topic, [b"%d %d" % (thread, at + 1), b"%d %d" % (thread, at + 2)], timeout=10
                )

        return run

    found: list[Message] = []
    run_all(
        *(publish(thread) for thread in range(4)),
        lambda: found.extend(receive(subscriber, 4 * count, 25)),
    )
    by_thread: dict[int, list[int]] = collections.defaultdict(list)
    for message in found:
        thread, at = map(int, message.data.split())
        by_thread[thread].append(at)
    assert by_thread == {thread: list(range(count)) for thread in range(4)}
    for topic in ("t", "u"):
        mine = [message.seq for message in found if message.topic == topic]
        assert mine == list(range(1, 2 * count + 1))
    assert publisher.metrics().publishes == 4 * count


def test_publish_while_another_thread_waits_in_recv(host: Spot, client: Spot) -> None:
    """A thread that sits in recv leads; publishing from another must not wait for it."""
    client.subscribe("t")
    host.subscribe("t")
    received = []
    ended = threading.Event()

    def receive_here() -> None:
        while not ended.is_set():
            message = host.recv(2)
            if message is not None:
                received.append(message)

    thread = threading.Thread(target=receive_here)
    thread.start()
    slow = 0
    for at in range(300):
        began = time.monotonic()
        host.publish("t", b"%d" % at)
        assert receive(client, 1)[0].data == b"%d" % at
        slow += time.monotonic() - began > 0.3
        if at % 10 == 0:
            time.sleep(0.005)
    wait_until(lambda: len(received) == 300)
    ended.set()
    thread.join()
    assert slow < 10


def test_round_trips_of_two_nodes_in_one_process(host: Spot, client: Spot) -> None:
    """Request and answer between threads: no lost wake-up in two thousand."""
    host.topic_create("answers")
    client.cluster_sync()
    client.subscribe("answers")
    host.subscribe("t")
    slow = 0

    def answer() -> None:
        for _ in range(2000):
            message = host.recv(5)
            assert message is not None
            host.publish("answers", message.data)

    def ask() -> None:
        nonlocal slow
        for at in range(2000):
            began = time.monotonic()
            client.publish("t", b"%d" % at)
            message = client.recv(5)
            assert message is not None
            assert message.data == b"%d" % at
            slow += time.monotonic() - began > 0.2

    run_all(answer, ask)
    assert slow < 20, "wake-ups are lost"


@pytest.mark.parametrize("readers", [1, 2])
def test_single_messages_arrive_at_once(make_node: MakeNode, readers: int) -> None:
    """A descriptor whose edge was eaten would hold a message back until the next heartbeat."""
    settings: dict[str, Any] = {"heartbeat": 10, "peer_timeout": 60}
    host = make_node(bind=[ANY_PORT], topics=["t"], **settings)
    client = make_node(cluster=host.endpoints, **settings)
    client.cluster_sync(5)
    client.subscribe("t")
    late = 0
    arrived: collections.deque[float] = collections.deque()
    ended = threading.Event()

    def read() -> None:
        while not ended.is_set():
            if client.recv(0.5) is not None:
                arrived.append(time.monotonic())

    threads = [threading.Thread(target=read) for _ in range(readers)]
    for thread in threads:
        thread.start()
    for at in range(150):
        host.publish("t", b"%d" % at)
        sent = time.monotonic()
        wait_until(lambda: arrived, 30, what=f"message {at}")
        late += arrived.popleft() - sent > 1
        time.sleep(random.random() * 0.004)
    ended.set()
    for thread in threads:
        thread.join()
    assert late < 2, f"{late} of 150 waited for more than a second"


STORM: list[Callable[[Spot, str], object]] = [
    lambda node, topic: node.topic_create(topic),
    lambda node, topic: node.topic_destroy(topic),
    lambda node, topic: node.subscribe(topic),
    lambda node, topic: node.unsubscribe(topic),
    lambda node, _: node.subscribe_pattern("t:*"),
    lambda node, _: node.unsubscribe_pattern("t:*"),
    lambda node, topic: node.publish(topic, b"x"),
    lambda node, topic: node.publish_many(topic, [b"x"] * 10),
    lambda node, _: node.recv(0.001),
    lambda node, _: node.recv_many(10, 0.001),
    lambda node, _: node.cluster_sync(0.2),
    lambda node, _: node.peers(),
    lambda node, _: node.metrics(),
    lambda node, _: node.flush(0.2),
    lambda node, _: list(node.events(0.001)),
]


def test_calls_of_every_sort_at_once(make_node: MakeNode) -> None:
    """A storm of all calls from many threads ends with a node that works."""
    nodes = [make_node(node_id=f"n{at}", bind=[ANY_PORT], send_timeout=0.05) for at in range(3)]
    for node in nodes:
        for other in nodes:
            if other is not node:
                node.cluster_add(endpoint_of(other))
    until = time.monotonic() + 2

    unexpected: list[SpotError] = []

    def storm(seed: int) -> Callable[[], None]:
        def run() -> None:
            random_ = random.Random(seed)
            while time.monotonic() < until:
                node = random_.choice(nodes)
                topic = f"t:{random_.randrange(6)}"
                try:
                    random_.choice(STORM)(node, topic)
                except (Closed, HostUnreachable) as error:
                    unexpected.append(error)
                except SpotError:
                    continue

        return run

    run_all(*(storm(seed) for seed in range(8)))
    assert unexpected == []
    for node in nodes:
        node.subscribe_pattern("end:*")
        node.topic_create(f"end:{node.node_id}")
    for node in nodes:
        assert len(node.cluster_sync(5)) == 2
        assert node.metrics().links_lost == 0
    for node in nodes:
        node.publish(f"end:{node.node_id}", b"end")
    for node in nodes:
        ends = 0
        while ends < 3:
            message = node.recv(5)
            assert message is not None, f"{ends} of 3 at {node.node_id}"
            ends += message.data == b"end"


def test_publishers_that_wait_for_room_are_all_served(make_node: MakeNode) -> None:
    """Many threads at a full queue: each gets its turn as the subscriber takes."""
    host = make_node(bind=[ANY_PORT], topics=["t"], sndhwm=5, send_timeout=20)
    reader = make_node(cluster=host.endpoints, rcvhwm=5)
    reader.cluster_sync()
    reader.subscribe("t")

    def publish() -> None:
        for _ in range(50):
            host.publish("t", b"x")

    def take() -> None:
        assert [message.seq for message in receive(reader, 400, 20)] == list(range(1, 401))

    run_all(take, *[publish] * 8)


def test_queue_full_in_several_threads_accepts_what_it_says(make_node: MakeNode) -> None:
    """With overflow=error, what each thread was told is exactly what arrives."""
    host = make_node(bind=[ANY_PORT], topics=["t"], sndhwm=20, overflow="error", send_timeout=0.01)
    reader = make_node(cluster=host.endpoints, rcvhwm=20)
    reader.cluster_sync()
    reader.subscribe("t")
    accepted: list[list[bytes]] = [[] for _ in range(4)]

    def publish(thread: int) -> Callable[[], None]:
        def run() -> None:
            for at in range(200):
                data = b"%d %d" % (thread, at)
                try:
                    host.publish("t", data)
                except QueueFull:
                    continue
                accepted[thread].append(data)

        return run

    found: list[Message] = []

    def take() -> None:
        while (message := reader.recv(20)) is not None and message.data != b"end":
            found.append(message)
            time.sleep(0.001)

    taking = threading.Thread(target=take)
    taking.start()
    run_all(*(publish(thread) for thread in range(4)))
    host.publish("t", b"end", timeout=20)
    taking.join()
    assert collections.Counter(message.data for message in found) == collections.Counter(
        data for mine in accepted for data in mine
    )
    assert [message.seq for message in found] == list(range(1, len(found) + 1))
