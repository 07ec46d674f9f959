"""Signal handlers that make calls of the node whose call they have interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from spot import Spot
from spot.runtime.signal_lock import SignalNote
from tests.library.running import ENVIRONMENT, ROOT, run_program
from tests.library.waiting import wait_until
from tests.soak.signals import CALLS, WAITS


@pytest.mark.parametrize("wait", WAITS)
def test_signal_handler_makes_every_call_and_the_wait_goes_on(wait: str) -> None:
    """A handler that asks for metrics, publishes or subscribes is ordinary. It must hang nothing.

    All signals, from all waits, for as long as you like: ``python -m tests.soak.signals``.
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.soak.signals", "--short", "--wait", wait],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == f"{len(CALLS)} calls of signal handlers, each right\n"


def test_signal_handler_that_comes_while_handlers_change_keeps_them() -> None:
    """A handler may run while the node is putting signals off. No handler is lost, none loops."""
    done = run_program(
        """
        import faulthandler, os, signal, threading
        faulthandler.dump_traceback_later(15, exit=True)
        from spot import Spot
        from spot.runtime import signal_lock
        node = Spot(topics=["t"])
        came = []
        depth = 0
        def handle(number, frame):
            global depth
            came.append(number)
            depth += 1
            node.metrics()
            depth -= 1
        numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM]
        for number in numbers:
            signal.signal(number, handle)
        plain = signal_lock.set_handler
        count = 0
        def set_handler(number, handler):
            global count
            count += 1
            if count % 3 == 0 and not depth:
                for each in numbers:
                    signal.raise_signal(each)
            return plain(number, handler)
        signal_lock.set_handler = set_handler
        for _ in range(20):
            node.recv(0.001)
        signal_lock.set_handler = plain
        node.metrics()
        print(all(signal.getsignal(number) is handle for number in numbers), len(came) > 100)
        del came[:]
        for number in numbers:
            signal.raise_signal(number)
        print(came == numbers)
        node.close()
        """
    )
    assert done.stdout == "True True\nTrue\n", done.stderr


def test_signal_that_is_put_off_gets_what_the_program_has_set_since() -> None:
    """The first Ctrl-C has the second end the program, though both come within one call."""
    done = run_program(
        """
        import os, signal
        from spot import Spot
        node = Spot(topics=["t"])
        def handle(*_):
            print("first", flush=True)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGINT, handle)
        with node._driver.lock:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        print("not here", flush=True)
        """
    )
    assert done.stdout == "first\n"
    assert done.returncode == -2


def test_handler_of_another_signal_leaves_signals_put_off_in_the_wait(
    host: Spot, client: Spot
) -> None:
    """After its call, Ctrl-C must still not come in the middle of a step."""
    client.subscribe("t")
    called: list[object] = []
    still: list[bool] = []

    def interrupt() -> None:
        wait_until(lambda: client._driver.wakeups.leading)
        os.kill(os.getpid(), signal.SIGCHLD)
        wait_until(lambda: called)
        wait_until(lambda: client._driver.wakeups.leading)
        still.append(isinstance(signal.getsignal(signal.SIGINT), SignalNote))
        host.publish("t", b"x")

    def handle(*_: object) -> None:
        called.append(client.metrics())

    before = signal.signal(signal.SIGCHLD, handle)
    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        message = client.recv(20)
    finally:
        thread.join()
        signal.signal(signal.SIGCHLD, before)
    assert message is not None
    assert still == [True]
    assert not isinstance(signal.getsignal(signal.SIGINT), SignalNote)


def test_signal_within_a_step_reaches_an_event_loop_once() -> None:
    """Python has told asyncio's loop of it already, by its wakeup descriptor."""
    done = run_program(
        """
        import asyncio, signal
        from spot import aio
        async def main():
            node = aio.Spot()
            came = []
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, came.append, 1)
            with node._node._driver.lock:
                signal.raise_signal(signal.SIGTERM)
            await asyncio.sleep(0.1)
            print(len(came))
            await node.close()
        asyncio.run(main())
        """
    )
    assert done.stdout == "1\n", done.stderr


@pytest.mark.parametrize("step", ["refuse_calls", "_join_io"])
def test_interrupted_close_can_be_made_again_and_frees_the_port(step: str) -> None:
    done = run_program(
        f"""
        import signal
        from spot import Spot
        node = Spot(bind=["tcp://127.0.0.1:0"])
        driver = node._driver
        genuine = driver.{step}
        def interrupted():
            signal.raise_signal(signal.SIGINT)
            genuine()
        driver.{step} = interrupted
        try:
            node.close()
        except KeyboardInterrupt:
            print("interrupted")
        driver.{step} = genuine
        node.close()
        Spot(bind=[node.endpoints[0]]).close()
        print("bound again")
        """
    )
    assert done.stdout == "interrupted\nbound again\n", done.stderr


def test_peers_see_no_loss_while_a_signal_handler_takes_long() -> None:
    """The I/O thread sends the heartbeats while the thread that waits runs the handler."""
    done = run_program(
        """
        import os, signal, threading
        from spot import Spot
        host = Spot(bind=["tcp://127.0.0.1:0"], topics=["t"], peer_timeout=0.5)
        peer = Spot(cluster=[host.endpoints[0]], peer_timeout=0.5)
        peer.cluster_sync(5)
        events = peer.events()
        # What the handler waits for is what must not come.
        lost = threading.Event()
        def watch():
            for event in events:
                lost.set()
        threading.Thread(target=watch, daemon=True).start()
        signal.signal(signal.SIGUSR1, lambda *_: print(lost.wait(2.0)))
        threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGUSR1)).start()
        host.recv(3.0)
        """
    )
    assert done.stdout == "False\n", done.stderr
