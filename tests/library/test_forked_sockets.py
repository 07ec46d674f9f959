"""What a forked child has of its parent's sockets: nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.library.nodes import ANY_PORT, MakeNode, endpoint_of, is_up
from tests.library.running import run_program, started_program
from tests.library.waiting import receive_told, wait_until

AT_ONCE_S = 5.0
"""Far less than the ``peer_timeout`` of these nodes, after which a peer is silent."""


@pytest.mark.parametrize("kind", ["tcp", "tcp6", "ipc"])
@pytest.mark.parametrize("how", ["os.fork", "multiprocessing"])
def test_endpoint_is_free_again_while_a_forked_child_sleeps(
    kind: str, how: str, endpoint: str, tmp_path: Path
) -> None:
    """Worker processes live longer than a node that is closed and made again."""
    kinds = {"tcp": endpoint, "tcp6": "tcp://[::1]:0", "ipc": f"ipc://{tmp_path}/node"}
    done = run_program(
        f"""
        import multiprocessing, os, signal, time, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        from spot import Spot
        node = Spot(bind=[{kinds[kind]!r}], topics=["t"])
        bound = node.endpoints[0]
        peer = Spot(cluster=[bound], linger=0.1)
        peer.cluster_sync(5)
        if {how!r} == "os.fork":
            child = os.fork()
            if child == 0:
                time.sleep(60)
        else:
            worker = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
            worker.start()
            child = worker.pid
        node.close()
        with Spot(bind=[bound], topics=["t"], linger=0.1) as again:
            again.wait_for_subscribers("t", 0)
            peer.cluster_sync(5)
            print(again.endpoints == (bound,), os.waitpid(child, os.WNOHANG))
        peer.close()
        os.kill(child, signal.SIGKILL)
        """
    )
    assert (done.stdout, done.stderr) == ("True (0, 0)\n", "")


@contextmanager
def parent_with_child(settings: str) -> Iterator[int]:
    """A process with a node and a forked child that sleeps. Yields the pid of the parent."""
    source = f"""
        import os, time, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        from spot import Spot
        node = Spot(node_id="parent", topics=["t"], {settings})
        node.wait_for_subscribers("t", timeout=10)
        child = os.fork()
        if child == 0:
            time.sleep(60)
        print(child, *node.endpoints, flush=True)
        time.sleep(60)
        """
    with started_program(source) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline().split()[0])
        try:
            yield process.pid
            os.kill(child, 0)
        finally:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize("dials", ["the parent", "the peer"])
def test_killed_parent_is_told_at_once_though_its_child_lives(
    make_node: MakeNode, endpoint: str, dials: str
) -> None:
    """Else its connections would stay open in the child, and its peers would wait for nothing."""
    if dials == "the parent":
        peer = make_node(bind=[ANY_PORT], subscribe=["t"], peer_timeout=30)
        settings = f"cluster=[{endpoint_of(peer)!r}]"
    else:
        peer = make_node(cluster=[endpoint], subscribe=["t"], peer_timeout=30, reconnect_max=0.2)
        settings = f"bind=[{endpoint!r}]"
    with parent_with_child(f"{settings}, peer_timeout=30") as parent:
        wait_until(lambda: is_up(peer, "parent"))
        os.kill(parent, signal.SIGKILL)
        error = receive_told(peer, AT_ONCE_S)
        assert (error.node, error.reason) == ("parent", "closed")
        # The child does not listen where its parent did.
        if dials == "the peer":
            assert make_node(bind=[endpoint]).endpoints == (endpoint,)


def test_fork_closes_no_descriptor_of_the_application() -> None:
    """Its sockets may have had numbers of the node's before, or lead to the node's own port."""
    done = run_program(
        """
        import os, socket, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        from spot import Spot
        node = Spot(bind=["tcp://127.0.0.1:0"], linger=0.1)
        port = int(node.endpoints[0].rpartition(":")[2])
        listener = socket.create_server(("127.0.0.1", 0))
        own = [listener]
        for _ in range(10):
            with Spot(linger=0.1) as peer:
                peer.cluster_add(node.endpoints[0], timeout=5)
            own += socket.socketpair()
            own.append(socket.create_connection(listener.getsockname()))
            own.append(socket.create_connection(("127.0.0.1", port)))
        inodes = [os.fstat(each.fileno()).st_ino for each in own]
        child = os.fork()
        if child == 0:
            os._exit([os.fstat(each.fileno()).st_ino for each in own] != inodes)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        node.close()
        for each in own:
            each.close()
        """
    )
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_program_that_is_started_has_no_descriptor_of_a_node() -> None:
    """All are closed by exec, also where ``close_fds`` is off."""
    done = run_program(
        """
        import os, subprocess, sys
        from spot import Spot
        before = set(os.listdir("/proc/self/fd"))
        node = Spot(bind=["tcp://127.0.0.1:0"], linger=0.1)
        peer = Spot(cluster=node.endpoints, linger=0.1)
        peer.cluster_sync(5)
        peer.fileno()
        look = [sys.executable, "-c", "import os; print(*os.listdir('/proc/self/fd'))"]
        seen = subprocess.run(look, close_fds=False, capture_output=True, text=True).stdout
        print(len(os.listdir("/proc/self/fd")) > len(before) + 10, len(seen.split()) <= len(before))
        peer.close()
        node.close()
        """
    )
    assert (done.stdout, done.stderr) == ("True True\n", "")
