"""The end of a node: close, exit, garbage and fork."""

from __future__ import annotations

import functools
import gc
import os
import select
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from spot import Closed, Spot, SpotError
from tests.library.connections import established, port_of
from tests.library.nodes import ANY_PORT, MakeNode, StartChild, endpoint_of, is_up
from tests.library.running import run_program
from tests.library.waiting import receive, receive_told, wait_until


def test_close_twice_is_once(host: Spot) -> None:
    """with and an explicit close, or two threads, may both close."""
    assert not host.closed
    threads = [threading.Thread(target=host.close) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    host.close()
    assert host.closed
    assert "closed" in repr(host)


def test_context_manager_closes(make_node: MakeNode) -> None:
    """Also when the block raises."""
    node = Spot(bind=[ANY_PORT])
    peer = make_node(cluster=node.endpoints)
    peer.cluster_sync()
    with pytest.raises(ZeroDivisionError), node:
        raise ZeroDivisionError
    assert node.closed
    wait_until(lambda: not is_up(peer, node.node_id))


def test_context_manager_of_a_closed_node_is_refused(host: Spot) -> None:
    """Within the block, every call would raise."""
    host.close()
    with pytest.raises(Closed), host:
        pass


def test_close_delivers_what_was_accepted(make_node: MakeNode) -> None:
    """Publish and leave: the last messages arrive, then the goodbye."""
    for _ in range(20):
        host = make_node(bind=[ANY_PORT], topics=["t"], linger=5)
        node = make_node(cluster=host.endpoints)
        node.cluster_sync()
        node.subscribe("t")
        host.publish_many("t", [b"x" * 1000] * 500)
        for at in range(500):
            host.publish("t", b"%d" % at)
        host.close()
        found = receive(node, 1000)
        assert found[-1].data == b"499"
        assert receive_told(node).reason == "left"


def test_close_waits_no_longer_than_linger(make_node: MakeNode, start_child: StartChild) -> None:
    """A subscriber that hangs must not keep a program from ending."""
    host = make_node(bind=[ANY_PORT], topics=["t"], linger=0.3, send_timeout=0, peer_timeout=60)
    child = start_child("silent", endpoint=endpoint_of(host), topic="t")
    child.said("subscribed")
    for _ in range(25):
        host.publish_many("t", [b"x"] * 1000)
    child.stop()
    began = time.monotonic()
    host.close()
    assert 0.25 < time.monotonic() - began < 5


def test_close_of_nothing_is_quick() -> None:
    """Without peers there is nobody to say goodbye to."""
    began = time.monotonic()
    for _ in range(10):
        Spot(bind=[ANY_PORT], topics=["t"]).close()
    assert time.monotonic() - began < 5


def test_close_wakes_every_blocked_call(make_node: MakeNode, host: Spot) -> None:
    """recv, iteration, events, publish that waits, sync, flush: all raise Closed or end."""
    node = make_node(
        bind=[ANY_PORT], topics=["n"], cluster=[*host.endpoints, "tcp://127.0.0.1:9"], sndhwm=1
    )
    reader = make_node(cluster=node.endpoints, rcvhwm=1)
    wait_until(lambda: is_up(node, reader.node_id) and is_up(node, "host"))
    reader.subscribe("n")
    ended: list[tuple[str, object]] = []

    def blocked(name: str, call: Callable[[], object]) -> threading.Thread:
        def run() -> None:
            try:
                ended.append((name, call()))
            except SpotError as error:
                ended.append((name, type(error)))

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    threads = [
        blocked("recv", lambda: node.recv()),
        blocked("recv 2", lambda: node.recv(60)),
        blocked("recv_many", lambda: node.recv_many(5)),
        blocked("iteration", lambda: list(node)),
        blocked("publish", lambda: for_ever(lambda: node.publish("n", b"x", timeout=None))),
        blocked("publish_many", lambda: node.publish_many("n", [b"x"] * 100, timeout=60)),
        blocked("sync", lambda: node.cluster_sync(60)),
        blocked("flush", lambda: node.flush(60)),
        blocked("subscribers", lambda: node.wait_for_subscribers("n", 5)),
        blocked("add", lambda: node.cluster_add("tcp://127.0.0.1:10", timeout=60)),
        blocked("route", lambda: node.topic_route("r", "tcp://127.0.0.1:11", timeout=60)),
        blocked("events", lambda: [e for e in node.events() if e.reason == "never"]),
    ]
    time.sleep(0.3)
    assert ended == []
    began = time.monotonic()
    node.close()
    for thread in threads:
        thread.join(5)
    assert time.monotonic() - began < 5
    results = dict(ended)
    assert results.pop("iteration") == []
    assert results.pop("events") == []
    assert results == dict.fromkeys(results, Closed)
    assert len(results) == 10


def for_ever(call: Callable[[], object]) -> None:
    while True:
        call()


def test_close_races_with_publishers_and_readers(make_node: MakeNode) -> None:
    """Threads in full swing when the node is closed see Closed, and nothing else."""
    for _ in range(8):
        host = make_node(bind=[ANY_PORT], topics=["t"], send_timeout=None)
        node = make_node(cluster=host.endpoints)
        node.cluster_sync()
        node.subscribe("t")
        host.subscribe("t")
        publish = functools.partial(host.publish, "t", b"x")
        with ThreadPoolExecutor() as pool:
            running = [pool.submit(for_ever, call) for call in (publish, publish, host.recv)]
            time.sleep(0.02)
            host.close()
            errors = [future.exception(5) for future in running]
        assert [type(error) for error in errors] == [Closed] * 3


def test_close_frees_descriptors_and_threads(make_node: MakeNode) -> None:
    """A test suite makes thousands of nodes: none may leave anything behind."""
    hub = make_node(bind=[ANY_PORT])

    def use() -> None:
        with Spot(bind=[ANY_PORT], cluster=hub.endpoints, topics=["t"], linger=0.1) as node:
            node.cluster_sync()
            node.subscribe("t")
            node.fileno()
            node.publish("t", b"x")
            receive(node, 1)

    def left() -> tuple[int, int]:
        gc.collect()
        return len(os.listdir("/proc/self/fd")), threading.active_count()

    for _ in range(3):
        use()
    before = left()
    for _ in range(20):
        use()
    wait_until(lambda: left()[0] <= before[0] + 3 and left()[1] <= before[1], what="the end")


def test_goodbye_reaches_every_peer(make_node: MakeNode) -> None:
    """A peer that leaves in order is told as such, not as a fault."""
    host = make_node(node_id="host", bind=[ANY_PORT], topics=["t"], linger=2)
    nodes = [make_node(cluster=host.endpoints, subscribe=["t"]) for _ in range(5)]
    host.wait_for_subscribers("t", 5, timeout=5)
    host.close()
    assert [receive_told(node).reason for node in nodes] == ["left"] * 5
    ports = [port_of(node.peers()[0].endpoint) for node in nodes]
    wait_until(lambda: established(ports) == 0, what="the end of the connections")


# The end of the interpreter


def test_program_that_forgets_to_close_ends() -> None:
    """atexit closes: the peers are told, the last messages go out, and nothing hangs."""
    done = run_program(
        """
        from spot import Spot
        a = Spot(bind=["tcp://127.0.0.1:0"], topics=["t"])
        b = Spot(cluster=a.endpoints)
        b.cluster_sync()
        b.subscribe("t")
        a.publish("t", b"x")
        print(b.recv(10).data)
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "b'x'\n", "")


def test_program_with_a_node_in_a_blocked_daemon_thread_ends() -> None:
    """A thread that sits in recv must not keep the interpreter from ending."""
    done = run_program(
        """
        import threading, time
        from spot import Spot
        node = Spot(bind=["tcp://127.0.0.1:0"], topics=["t"])
        def run():
            try:
                node.recv()
            except Exception as error:
                print(type(error).__name__, flush=True)
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        time.sleep(0.3)
        """
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "call",
    [
        "node.recv()",
        "node.recv(0)",
        "node.publish('t', b'x')",
        "node.wait_for_subscribers('t', 5)",
        "node.metrics()",
        "next(node.events())",
    ],
)
def test_daemon_thread_in_a_call_ends_without_a_traceback(call: str) -> None:
    """Python ends daemon threads in silence: a traceback at each exit looks like a fault."""
    done = run_program(
        f"""
        import threading
        from spot import Spot
        node = Spot(topics=["t"], linger=0)
        called = threading.Event()
        def run():
            while True:
                called.set()
                {call}
        threading.Thread(target=run, daemon=True).start()
        called.wait()
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_main_thread_gets_closed_from_a_call_at_exit() -> None:
    """Functions of the application that run at exit are told why a call fails."""
    done = run_program(
        """
        import atexit
        def last():
            try:
                node.metrics()
            except Exception as error:
                print(type(error).__name__)
        atexit.register(last)
        from spot import Spot
        node = Spot()
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "Closed\n", "")


def test_program_that_drops_its_nodes_ends() -> None:
    """Nodes that were dropped without close are collected: ports, threads and all."""
    done = run_program(
        """
        import gc, os, threading, time, warnings
        warnings.simplefilter("ignore", ResourceWarning)
        from spot import Spot
        Spot(bind=["tcp://127.0.0.1:0"]).close()
        before = len(os.listdir("/proc/self/fd")), threading.active_count()
        for _ in range(5):
            Spot(bind=["tcp://127.0.0.1:0"], topics=["t"]).fileno()
        gc.collect()
        until = time.monotonic() + 5
        while time.monotonic() < until:
            after = len(os.listdir("/proc/self/fd")), threading.active_count()
            if after[0] <= before[0] + 1 and after[1] <= before[1]:
                break
            time.sleep(0.05)
        print(after[0] <= before[0] + 1, after[1] <= before[1])
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "True True\n", "")


@pytest.mark.parametrize("how", ["os._exit(3)", "sys.exit(3)", "raise SystemExit(3)"])
def test_program_ends_with_its_own_code(how: str) -> None:
    """However it ends, and whatever its nodes do at the time."""
    done = run_program(
        f"""
        import os, sys
        from spot import Spot
        a = Spot(bind=["tcp://127.0.0.1:0"], topics=["t"])
        b = Spot(cluster=a.endpoints, subscribe=["t"])
        a.wait_for_subscribers("t", timeout=5)
        for _ in range(1000):
            a.publish("t", b"x")
        {how}
        """
    )
    assert (done.returncode, done.stderr) == (3, "")


# Fork


def test_forked_child_may_not_use_its_parents_nodes() -> None:
    """Sockets and threads are the parent's: in the child every call raises Closed, exit is clean,
    and the parent notices nothing."""
    done = run_program(
        """
        import os, select, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        from spot import Closed, Spot
        a = Spot(bind=["tcp://127.0.0.1:0"], topics=["t"])
        b = Spot(cluster=a.endpoints)
        b.cluster_sync()
        b.subscribe("t")
        fd = b.fileno()
        child = os.fork()
        if child == 0:
            for call in (
                lambda: a.publish("t", b"from the child"),
                lambda: a.publish_many("t", [b"from the child"]),
                lambda: b.recv(0), lambda: b.recv(), lambda: b.fileno(), lambda: a.peers(),
                lambda: a.topic_create("u"), lambda: b.cluster_sync(), lambda: next(iter(b)),
            ):
                try:
                    call()
                except (Closed, StopIteration):
                    continue
                os._exit(9)
            a.close()
            b.close()
            raise SystemExit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert not select.select([fd], [], [], 0.1)[0], "the parent's descriptor was woken"
        a.publish("t", b"from the parent")
        print(b.recv(10).data, b.recv(0.1), a.metrics().links_lost, b.metrics().links_lost)
        """
    )
    assert done.stdout == "b'from the parent' None 0 0\n", done.stderr
    assert done.returncode == 0


def test_forked_child_may_make_nodes_of_its_own() -> None:
    """multiprocessing's default on Linux forks: workers with nodes of their own must work."""
    done = run_program(
        """
        import os, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        from spot import Spot
        a = Spot(node_id="parent", bind=["tcp://127.0.0.1:0"], topics=["t"])
        a.subscribe("t")
        children = []
        for at in range(3):
            child = os.fork()
            if child == 0:
                with Spot(cluster=a.endpoints) as node:
                    node.cluster_sync()
                    node.publish("t", b"from a child")
                    node.flush(5)
                raise SystemExit(0)
            children.append(child)
        print([a.recv(5).data for _ in range(3)])
        print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
        """
    )
    assert done.stdout == f"{[b'from a child'] * 3}\n[0, 0, 0]\n", done.stderr
    assert done.returncode == 0


def test_fork_hands_out_no_message_that_the_parent_has() -> None:
    """What the parent has received, and not yet taken, is the parent's alone."""
    done = run_program(
        """
        import os, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        from spot import Closed, Spot
        with Spot(topics=["t"], subscribe=["t"]) as node:
            node.publish_many("t", [b"1", b"2", b"3"])
            print(node.recv(5).data, flush=True)
            child = os.fork()
            if child == 0:
                try:
                    node.recv(0)
                except Closed as error:
                    os._exit(5 if "forked" in str(error) else 7)
                os._exit(6)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), node.recv(5).data)
        """
    )
    assert done.stdout == "b'1'\n5 b'2'\n", done.stderr


def test_fork_under_load_does_not_hang_the_child() -> None:
    """A fork in the middle of anything: locks that other threads held must not stop the child."""
    done = run_program(
        """
        import os, threading, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        from spot import Closed, Spot
        a = Spot(bind=["tcp://127.0.0.1:0"], topics=["t"], send_timeout=0)
        b = Spot(cluster=a.endpoints, subscribe=["t"])
        a.wait_for_subscribers("t")
        ended = threading.Event()
        def publish():
            while not ended.is_set():
                a.publish("t", b"x")
        def read():
            while not ended.is_set():
                b.recv(0.1)
        threads = [threading.Thread(target=run) for run in (publish, read)]
        for thread in threads:
            thread.start()
        codes = []
        for _ in range(20):
            child = os.fork()
            if child == 0:
                try:
                    b.recv(0)
                except Closed:
                    with Spot(bind=["tcp://127.0.0.1:0"], topics=["u"]) as own:
                        own.subscribe("u")
                        own.publish("u", b"x")
                        assert own.recv(5)
                        os._exit(5)
                os._exit(6)
            codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        ended.set()
        for thread in threads:
            thread.join()
        print(set(codes), a.metrics().links_lost)
        a.close()
        b.close()
        """,
        40,
    )
    assert done.stdout == "{5} 0\n", done.stderr


def test_descriptor_of_a_closed_node_is_not_anothers(client: Spot) -> None:
    """A loop may still have it in its set: it is readable, and recv says why; the number must not
    be given to another file meanwhile."""
    fd = client.fileno()
    client.close()
    with open(os.devnull, "rb") as other:
        assert other.fileno() != fd
    assert select.select([fd], [], [], 0)[0]
    with pytest.raises(Closed):
        client.recv(0)
