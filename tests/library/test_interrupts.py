"""Signals that arrive in the middle of a call."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import NoReturn

import pytest

from spot import HostUnreachable, Spot, SpotError
from spot.runtime.signal_lock import PUT_OFF
from tests.library.nodes import ANY_PORT, MakeNode
from tests.library.running import run_program, started_program
from tests.library.waiting import receive, wait_until


def receive_interrupted(node: Spot, leads: bool) -> None:
    """Has Ctrl-C sent to this process while it waits in recv, as the one who leads or not."""

    def interrupt() -> None:
        wait_until(lambda: node._driver.wakeups.leading)
        if not leads:
            time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, name="interrupting").start()
    node.recv(30)


def test_interrupt_ends_recv_and_the_node_goes_on(make_node: MakeNode, host: Spot) -> None:
    """Ctrl-C while waiting: KeyboardInterrupt at once, and the node works as before."""
    node = make_node(cluster=host.endpoints)
    node.cluster_sync()
    node.subscribe("t")
    for at in range(10):
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            receive_interrupted(node, leads=True)
        assert time.monotonic() - began < 5
        host.publish("t", b"%d" % at)
        assert receive(node, 1)[0].data == b"%d" % at


def test_interrupt_handler_that_returns_lets_recv_wait_on(host: Spot, client: Spot) -> None:
    """A signal that the program handles, as SIGTERM or SIGCHLD, is no end of a wait."""
    client.subscribe("t")
    caught: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: caught.append(number))

    def interrupt_and_publish() -> None:
        wait_until(lambda: client._driver.wakeups.leading)
        os.kill(os.getpid(), signal.SIGUSR1)
        wait_until(lambda: caught)
        host.publish("t", b"x")

    try:
        thread = threading.Thread(target=interrupt_and_publish)
        thread.start()
        message = client.recv(20)
        thread.join()
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
            for at in range(60):
                while interrupts < at or not received:
                    time.sleep(0.001)
                time.sleep(0.01)
                os.kill(os.getpid(), signal.SIGINT)
            while interrupts < 60:
                time.sleep(0.001)
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
                    if message is None and not ended.is_set():
                        continue
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
        print(interrupts, received > 100, b.metrics().links_lost, a.metrics().links_lost)
        a.close()
        b.close()
        """
    )
    assert done.stdout == "60 True 0 0\n", done.stderr
    assert done.returncode == 0


def test_interrupt_within_a_send_comes_when_the_frame_is_whole(
    make_node: MakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a frame would be taken for the beginning of the next: the peer would end the link."""
    host = make_node(bind=[ANY_PORT], topics=["t"], sndhwm=100_000)  # it sends, rather than wait
    node = make_node(cluster=host.endpoints)
    node.cluster_sync()
    node.subscribe("t")
    transport = host._driver.transport
    plain = transport._send

    def publish_for_ever(data: bytes) -> NoReturn:
        while True:
            host.publish("t", data)

    def send(part: bytes, flags: int) -> None:
        plain(part, flags)
        if flags and threading.current_thread() is threading.main_thread():
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(transport, "_send", send)
    for at in range(20):
        with pytest.raises(KeyboardInterrupt):
            publish_for_ever(b"%d" % at)
    monkeypatch.undo()
    host.publish("t", b"last")
    count = 0
    while True:
        (message,) = receive(node, 1)
        assert message.missed == 0
        count += 1
        assert message.seq == count
        if message.data == b"last":
            break
    assert host.metrics().links_lost == node.metrics().links_lost == 0


def test_interrupt_as_recv_hands_out_loses_nothing(host: Spot, client: Spot) -> None:
    """Whoever goes on after Ctrl-C gets the message with the next call."""
    client.subscribe("t")
    for data in (b"1", b"2", b"3"):
        host.publish("t", data)
    wait_until(lambda: client.metrics().inbox_msgs == 3)
    release = client._core.take

    def take() -> object:
        signal.raise_signal(signal.SIGINT)
        return release()

    client._core.take = take  # type: ignore[method-assign, assignment]
    with pytest.raises(KeyboardInterrupt):
        client.recv(5)
    with pytest.raises(KeyboardInterrupt):
        client.recv_many(10, 5)
    client._core.take = release  # type: ignore[method-assign]
    assert [message.data for message in receive(client, 3)] == [b"1", b"2", b"3"]


def test_interrupt_reaches_a_thread_that_follows(host: Spot, client: Spot) -> None:
    """While another thread reads for both, Ctrl-C ends the call of the main thread."""
    client.subscribe("t")
    other = threading.Thread(target=lambda: client.recv(30))
    other.start()
    wait_until(lambda: client._driver.wakeups.leading)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        receive_interrupted(client, leads=False)
    assert time.monotonic() - began < 5
    host.publish("t", b"x")
    other.join()


def test_interrupt_leaves_handlers_as_they_were(client: Spot) -> None:
    """What is put off during a call is the program's again after it."""
    before = {number: signal.getsignal(number) for number in PUT_OFF}
    assert client.recv(0.01) is None
    assert {number: signal.getsignal(number) for number in PUT_OFF} == before
    with pytest.raises(SpotError):
        client.publish("nobody:hosts", b"")
    assert {number: signal.getsignal(number) for number in PUT_OFF} == before


def test_terminated_program_says_goodbye_with_exact_counts(make_node: MakeNode) -> None:
    """A service whose SIGTERM handler raises SystemExit: its peers are told that it left."""
    program = """
        import signal, sys
        from spot import Spot
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
        with Spot(node_id="service", bind=["tcp://127.0.0.1:0"], topics=["t"]) as node:
            print(node.endpoints[0], flush=True)
            node.wait_for_subscribers("t")
            at = 0
            while True:
                node.publish_many("t", [b"%d" % (at + n) for n in range(10)])
                at += 10
        """

    def receive_for_ever(node: Spot, last: int) -> NoReturn:
        while True:
            (message,) = receive(node, 1)
            assert message.seq == last + 1 + (message.missed or 0)
            last = message.seq

    for _ in range(5):
        with started_program(program) as process:
            assert process.stdout is not None
            node = make_node(cluster=[process.stdout.readline().strip()])
            node.cluster_sync()
            node.subscribe("t")
            last = receive(node, 1000)[-1]
            process.terminate()
            with pytest.raises(HostUnreachable) as told:
                receive_for_ever(node, last.seq)
            assert told.value.reason == "left"
            assert process.wait(10) == 3
            node.close()
