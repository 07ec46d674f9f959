"""A process without free descriptors or threads: nodes work, or say in an error what is missing."""

from __future__ import annotations

import errno
import json
import os
import resource
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from spot import Spot, TooManyOpenFiles
from tests.library.nodes import ANY_PORT, MakeNode
from tests.library.running import run_program
from tests.library.waiting import wait_until

LIMITS = 60
"""So many limits are tried, from 4 descriptors up, or from no further thread up."""

WORK = """
import json, os, resource, sys, traceback, warnings
warnings.simplefilter("ignore", DeprecationWarning)
from spot import Spot, SpotError

def work():
    with Spot(node_id="a", bind=["tcp://127.0.0.1:0"], topics=["t"], linger=0.1) as a:
        with Spot(node_id="b", cluster=a.endpoints, linger=0.1) as b:
            b.cluster_sync(5)
            b.subscribe("t")
            a.publish("t", b"x")
            assert b.recv(5).data == b"x"
            b.fileno()
            a.bind("inproc://here")
            a.bind(f"ipc://@spot-test-{os.getpid()}")

def outcome():
    try:
        work()
    except SpotError as error:
        return type(error).__name__
    except BaseException:
        traceback.print_exc()
        return "raw"
    return "works"

def try_each(limits, limit):
    found = []
    for number in limits:
        child = os.fork()
        if child == 0:
            kind, soft, hard = limit(number)
            resource.setrlimit(kind, (number, hard))
            first = outcome()
            resource.setrlimit(kind, (soft, hard))
            again = outcome()
            print(json.dumps([first, again]), flush=True)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code:
            print(json.dumps([f"ended by {code}", ""]), flush=True)
"""


def outcomes(source: str) -> list[tuple[str, str]]:
    """What came at each limit, and afterwards, when the limit was lifted."""
    done = run_program(WORK + textwrap.dedent(source), 120)
    assert (done.returncode, done.stderr) == (0, "")
    found = [tuple(json.loads(line)) for line in done.stdout.splitlines()]
    assert len(found) == LIMITS
    return found


def test_limit_of_descriptors_swept() -> None:
    """Each number of free descriptors runs out elsewhere: raw errors of the system and of zmq came
    out then, and libzmq ended the process when it could not make an epoll descriptor."""
    found = outcomes(
        f"""
        def limit(number):
            return resource.RLIMIT_NOFILE, *resource.getrlimit(resource.RLIMIT_NOFILE)

        try_each(range(4, 4 + {LIMITS}), limit)
        """
    )
    assert {first for first, _ in found} == {"TooManyOpenFiles", "works"}
    assert found[0][0] == "TooManyOpenFiles"
    assert found[-1][0] == "works"
    assert {again for _, again in found} == {"works"}


def test_limit_of_processes_swept() -> None:
    """Threads count as processes. libzmq ended the process when it could not start one of its own.

    The limit does not hold for root: the nodes run as a user that has no other process.
    """
    found = outcomes(
        f"""
        user = 61_234 if os.getuid() == 0 else os.getuid()
        used = 1
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                used += (os.stat(f"/proc/{{pid}}").st_uid == user) * len(
                    os.listdir(f"/proc/{{pid}}/task")
                )
            except OSError:
                continue

        def limit(number):
            soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
            if os.getuid() == 0:
                os.setgroups([])
                os.setresgid(user, user, user)
                os.setresuid(user, user, user)
            return resource.RLIMIT_NPROC, soft, hard

        try_each(range(used, used + {LIMITS}), limit)
        """
    )
    assert {first for first, _ in found} == {"TooManyThreads", "works"}
    assert found[0][0] == "TooManyThreads"
    assert found[-1][0] == "works"
    assert {again for _, again in found} == {"works"}


@contextmanager
def no_free_descriptor() -> Iterator[None]:
    """No descriptor can be opened."""
    settle()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def open_count() -> int:
    return len(os.listdir("/proc/self/fd"))


def settle() -> None:
    """Waits until zmq has closed what it closes in a thread of its own, of nodes before."""
    counts: list[int] = []

    def is_settled() -> bool:
        counts.append(open_count())
        return len(counts) > 50 and len(set(counts[-50:])) == 1

    wait_until(is_settled, 20)


def test_calls_without_a_free_descriptor(make_node: MakeNode, tmp_path: object) -> None:
    """A node that runs already says so, too, and goes on when there are descriptors again."""
    host = make_node(node_id="host", bind=[ANY_PORT])
    node = make_node(reconnect_max=0.2)
    settle()
    before = open_count()
    with no_free_descriptor():
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        for call in (
            lambda: node.bind(ANY_PORT),
            lambda: node.bind(f"ipc://{tmp_path}/node"),
            lambda: node.bind("tcp://localhost:0"),
            node.fileno,
            Spot,
        ):
            with pytest.raises(TooManyOpenFiles, match="ulimit -n") as caught:
                call()
            assert (caught.value.errno, caught.value.limit) == (errno.EMFILE, limit)
        node.cluster_add(host.endpoints[0])
        wait_until(lambda: "open files" in str(node.peers()[0].last_error))
    assert open_count() == before
    node.cluster_sync(5)
    assert node.bind(ANY_PORT)


def test_ipc_node_closes_without_a_free_descriptor(tmp_path: object) -> None:
    """``close`` asks who listens at its path, before it removes the file."""
    node = Spot(bind=[f"ipc://{tmp_path}/node"])
    with no_free_descriptor():
        node.close()
    with Spot(bind=[f"ipc://{tmp_path}/node"]) as again:
        assert again.endpoints


def test_thread_of_the_node_that_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last step of the constructor takes back all that was done before."""
    Spot().close()
    settle()
    before = open_count()
    starts = Spot.__init__.__globals__["threading"].Thread.start

    def start(thread: object) -> None:
        if str(getattr(thread, "name", "")).startswith("spot-unlucky"):
            raise RuntimeError("can't start new thread")
        starts(thread)

    monkeypatch.setattr("threading.Thread.start", start)
    with pytest.raises(OSError, match="threads") as caught:
        Spot(node_id="unlucky")
    assert (type(caught.value).__name__, caught.value.errno) == ("TooManyThreads", errno.EAGAIN)
    wait_until(lambda: open_count() <= before)


def test_process_that_can_not_load_the_codec_of_names_looks_them_up() -> None:
    """Python loads it at the first look-up, and the file may be out of reach by then."""
    done = run_program(
        """
        import sys
        from spot import Spot
        sys.modules["encodings.idna"] = None
        with Spot(bind=["tcp://localhost:0"], linger=0.1) as host, Spot(linger=0.1) as node:
            node.cluster_add(host.endpoints[0].replace("127.0.0.1", "localhost"), timeout=5)
            print(host.endpoints[0][:16])
        """
    )
    assert (done.stdout, done.stderr) == ("tcp://127.0.0.1:\n", "")
