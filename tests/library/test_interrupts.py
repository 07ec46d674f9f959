"""Signals that arrive in the middle of a call."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from spot import Spot
from tests.library.nodes import MakeNode
from tests.library.running import run_program
from tests.library.waiting import receive


def test_interrupt_ends_recv_and_the_node_goes_on(make_node: MakeNode, host: Spot) -> None:
    """Ctrl-C while waiting: KeyboardInterrupt at once, and the node works as before."""
    node = make_node(cluster=host.endpoints)
    node.cluster_sync()
    node.subscribe("t")
    for at in range(10):
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            node.recv()
        assert time.monotonic() - began < 2
        host.publish("t", b"%d" % at)
        assert receive(node, 1)[0].data == b"%d" % at


def test_interrupt_handler_that_returns_lets_recv_wait_on(host: Spot, client: Spot) -> None:
    """A signal that the program handles, as SIGTERM or SIGCHLD, is no end of a wait."""
    client.subscribe("t")
    caught: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: caught.append(number))
    try:
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        threading.Timer(0.3, host.publish, ("t", b"x")).start()
        message = client.recv(5)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert caught == [signal.SIGUSR1]
    assert message is not None


def test_interrupt_handler_may_close_the_node(host: Spot, client: Spot) -> None:
    """The usual SIGTERM handler of a service: close, and the loop ends."""
    client.subscribe("t")
    before = signal.signal(signal.SIGUSR1, lambda *_: client.close())
    try:
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        assert list(client) == []
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert client.closed
    assert host.node_id == "host"


def test_interrupts_under_load_break_nothing() -> None:
    """Ctrl-C may come between any two steps: the stream stays whole, in order, and alive."""
    done = run_program(
        """
        import os, signal, threading, time
        from spot import Spot
        a = Spot(bind=["tcp://127.0.0.1:0"], topics=["t"])
        b = Spot(cluster=a.endpoints)
        b.cluster_sync()
        b.subscribe("t")
        ended = threading.Event()
        def publish():
            at = 0
            while not ended.is_set():
                a.publish_many("t", [b"%d" % (at + n) for n in range(10)])
                at += 10
                time.sleep(0.0005)
        def interrupt():
            for _ in range(60):
                time.sleep(0.01)
                os.kill(os.getpid(), signal.SIGINT)
            ended.set()
        threads = [threading.Thread(target=run) for run in (publish, interrupt)]
        interrupts = received = 0
        last = 0
        for thread in threads:
            thread.start()
        while True:
            try:
                while True:
                    message = b.recv(1)
                    if message is None:
                        break
                    received += 1
                    assert message.seq > last, (message, last)
                    assert message.seq == last + 1 + (message.missed or 0) or interrupts, message
                    last = message.seq
                break
            except KeyboardInterrupt:
                interrupts += 1
        for thread in threads:
            thread.join()
        print(interrupts > 30, received > 100, b.metrics().links_lost, a.metrics().links_lost)
        a.close()
        b.close()
        """
    )
    assert done.stdout == "True True 0 0\n", done.stderr
    assert done.returncode == 0
