"""Foreign code that runs within a call: log handlers, finalizers, handlers of any signal."""

from __future__ import annotations

import errno
import logging
import threading
from collections.abc import Callable, Iterator

import pytest

from spot import Spot, WouldDeadlock
from tests.library.nodes import ANY_PORT, MakeNode
from tests.library.running import run_program
from tests.library.waiting import receive, wait_until


class CallingHandler(logging.Handler):
    """A log handler that makes a call, as one that publishes its records does."""

    def __init__(self, call: Callable[[logging.LogRecord], object]) -> None:
        super().__init__()
        self.call = call
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.call(record)
        self.texts.append(record.getMessage())


AddHandler = Callable[[logging.Handler], None]


@pytest.fixture
def add_handler() -> Iterator[AddHandler]:
    """Adds a log handler for the time of the test."""
    log = logging.getLogger("spot")
    added: list[logging.Handler] = []
    level = log.level

    def add(handler: logging.Handler) -> None:
        added.append(handler)
        log.addHandler(handler)
        log.setLevel(logging.DEBUG)

    yield add
    for handler in added:
        log.removeHandler(handler)
    log.setLevel(level)


LOG_CALLS: dict[str, Callable[[Spot], object]] = {
    "publish": lambda node: node.publish("log", b"x"),
    "publish_slowly": lambda node: node.publish("log", bytearray(b"x")),
    "publish_many": lambda node: node.publish_many("log", [b"x"]),
    "metrics": lambda node: node.metrics(),
    "flush": lambda node: node.flush(0.1),
    "cluster_sync": lambda node: node.cluster_sync(None),
    "recv": lambda node: node.recv(0.01),
}


@pytest.mark.parametrize("call", LOG_CALLS)
@pytest.mark.parametrize("waits", [False, True], ids=["idle", "in-recv"])
def test_log_handler_may_call_the_node(
    make_node: MakeNode, add_handler: AddHandler, call: str, waits: bool
) -> None:
    """Programs publish their logs. What the node logs of a lost peer must not hang it."""
    node = make_node(node_id="logs", bind=[ANY_PORT], topics=["log"], log_level="debug")
    peer = make_node(node_id="peer", cluster=node.endpoints, log_level="error")
    peer.cluster_sync()
    peer.subscribe("log")
    errors: list[Exception] = []

    def make_call(_record: logging.LogRecord) -> None:
        try:
            LOG_CALLS[call](node)
        except Exception as error:
            errors.append(error)
            raise

    handler = CallingHandler(make_call)
    add_handler(handler)
    waiting = threading.Thread(target=node.recv, args=(1.0,))
    if waits:
        waiting.start()
        wait_until(lambda: node._driver.wakeups.leading)
    peer.close()
    wait_until(lambda: any("link down" in text for text in handler.texts))
    assert not node.peers()
    assert not errors
    if waits:
        waiting.join(10)
        assert not waiting.is_alive()


def test_log_handler_that_blocks_holds_up_no_other_thread(
    make_node: MakeNode, add_handler: AddHandler
) -> None:
    """While a handler waits for something, other threads use the node, close it included."""
    node = make_node(node_id="logs", bind=[ANY_PORT], topics=["log"], log_level="debug")
    peer = make_node(node_id="peer", cluster=node.endpoints, log_level="error")
    peer.cluster_sync()
    stay = threading.Event()
    entered = threading.Event()

    def block(_record: logging.LogRecord) -> None:
        entered.set()
        stay.wait(20)

    handler = CallingHandler(block)
    add_handler(handler)
    try:
        peer.close()
        assert entered.wait(5)
        other = make_node(node_id="other", cluster=node.endpoints, log_level="error")
        node.subscribe("log")
        node.cluster_sync(5)
        other.cluster_sync(5)
        node.publish("log", b"x")
        assert receive(node, 1)[0].data == b"x"
        node.close()
        assert not stay.is_set()
    finally:
        stay.set()
    wait_until(lambda: len(handler.texts) >= 3)
    texts = "\n".join(handler.texts)
    assert 0 <= texts.find("link down node peer") < texts.find("link up node other")


def test_log_handler_that_raises_goes_to_logging(
    make_node: MakeNode, add_handler: AddHandler, capsys: pytest.CaptureFixture[str]
) -> None:
    """As anywhere else: logging says so on stderr, and the node goes on."""
    node = make_node(node_id="logs", bind=[ANY_PORT], topics=["log"], log_level="debug")

    def fail(_record: logging.LogRecord) -> None:
        raise ValueError("no room for logs")

    add_handler(CallingHandler(fail))
    peer = make_node(node_id="peer", cluster=node.endpoints, log_level="error")
    peer.cluster_sync()
    peer.subscribe("log")
    node.publish("log", b"x")
    assert receive(peer, 1)[0].data == b"x"
    text = ""

    def is_told() -> bool:
        nonlocal text
        text += capsys.readouterr().err
        return "--- Logging error ---" in text and "ValueError: no room for logs" in text

    wait_until(is_told)


def test_log_handler_that_closes_the_node(make_node: MakeNode, add_handler: AddHandler) -> None:
    """From the node's own thread, or from a call's."""
    node = make_node(node_id="logs", bind=[ANY_PORT], topics=["log"], log_level="debug")
    peer = make_node(node_id="peer", cluster=node.endpoints, log_level="error")
    peer.cluster_sync()
    add_handler(CallingHandler(lambda _record: node.close()))
    peer.close()
    wait_until(lambda: node._driver.closed)
    wait_until(lambda: not node._driver._io.is_alive())


def test_second_entry_by_the_same_thread_is_an_error_and_no_hang(host: Spot) -> None:
    """Finalizers, trace functions and some signals' handlers run in the middle of a call."""
    found: list[BaseException | None] = []

    def call_within() -> None:
        with host._driver.lock:
            for call in (host.metrics, host.peers, lambda: host.recv(1), lambda: host.flush(1)):
                try:
                    call()
                except WouldDeadlock as error:
                    found.append(error)

    thread = threading.Thread(target=call_within, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    assert len(found) == 4
    assert found[0] is not None
    assert isinstance(found[0], OSError)
    assert found[0].errno == errno.EDEADLK
    assert "in another thread" in str(found[0])
    assert host.metrics().links_lost == 0


def test_publish_within_a_call_of_the_same_thread_is_sent_after_it(
    host: Spot, client: Spot
) -> None:
    """A finalizer that publishes bytes to a topic in use needs no lock."""
    client.subscribe("t")
    host.publish("t", b"1")
    receive(client, 1)

    def publish_within() -> None:
        for _ in range(10):
            with host._driver.lock:
                host._driver.buffers.hot_until = 0.0
                host.publish("t", b"2")

    thread = threading.Thread(target=publish_within, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    assert [message.data for message in receive(client, 10)] == [b"2"] * 10


def test_close_within_a_call_of_the_same_thread_closes_after_it(host: Spot) -> None:
    """A finalizer that closes a node must not wait for its own thread."""
    with host._driver.lock:
        host.close()
        assert not host.closed
    wait_until(lambda: host._driver.closed)


def test_close_without_threads_to_start(host: Spot, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the limit of threads, the I/O thread closes the node."""

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with host._driver.lock:
        monkeypatch.setattr(threading.Thread, "start", refuse)
        host.close()
        monkeypatch.undo()
    wait_until(lambda: host._driver.closed)


@pytest.mark.parametrize("number", ["SIGUSR1", "SIGUSR2", "SIGCHLD", "SIGPROF"])
@pytest.mark.parametrize("kind", ["metrics", "recv", "publish"])
def test_signals_at_any_rate_hang_nothing(number: str, kind: str) -> None:
    """Handlers at 200 signals a second, under load: calls work, or raise WouldDeadlock."""
    done = run_program(
        f"""
        import faulthandler, os, signal, threading, time
        faulthandler.dump_traceback_later(15, exit=True)
        from spot import Spot, WouldDeadlock
        a = Spot(bind=["tcp://127.0.0.1:0"], topics=["t", "u"])
        b = Spot(cluster=a.endpoints)
        b.cluster_sync()
        b.subscribe("t")
        worked = refused = 0
        calls = dict(
            metrics=lambda: b.metrics(), recv=lambda: b.recv(0.001),
            publish=lambda: b.publish("u", b"x"),
        )
        def handle(*_):
            global worked, refused
            try:
                calls["{kind}"]()
                worked += 1
            except WouldDeadlock:
                refused += 1
        signal.signal(signal.{number}, handle)
        ended = threading.Event()
        def send():
            while not ended.wait(0.005):
                os.kill(os.getpid(), signal.{number})
                a.publish("t", b"x")
        thread = threading.Thread(target=send)
        thread.start()
        until = time.monotonic() + 0.7
        while time.monotonic() < until:
            b.recv(0.01)
            b.recv(0)
            b.metrics()
        ended.set()
        thread.join()
        is_put_off = "{number}".startswith("SIGUSR")
        print(worked > 3, refused == 0 or not is_put_off)
        a.close()
        b.close()
        """
    )
    assert done.stdout == "True True\n", done.stderr


def test_finalizers_that_call_the_node_hang_nothing() -> None:
    """The garbage collector may run at any step, and with it the ``__del__`` of any object."""
    done = run_program(
        """
        import faulthandler, gc, sys, time
        faulthandler.dump_traceback_later(15, exit=True)
        from spot import Spot, WouldDeadlock
        a = Spot(bind=["tcp://127.0.0.1:0"], topics=["t", "u"])
        b = Spot(cluster=a.endpoints)
        b.cluster_sync()
        b.subscribe("t")
        worked = refused = 0
        class Calls:
            def __init__(self):
                self.myself = self
            def __del__(self):
                global worked, refused
                try:
                    a.publish("u", b"x")
                    b.metrics()
                    worked += 1
                except WouldDeadlock:
                    refused += 1
        gc.set_threshold(1)
        until = time.monotonic() + 1
        while time.monotonic() < until:
            Calls()
            a.publish_many("t", [b"x"] * 10)
            b.recv(0.001)
            b.recv_many(100, 0)
        gc.set_threshold(700)
        print(worked > 0, a.metrics().links_lost, b.metrics().links_lost)
        a.close()
        b.close()
        """
    )
    assert done.stdout == "True 0 0\n", done.stderr


def test_trace_function_that_calls_the_node_hangs_nothing() -> None:
    """A debugger's function runs at each line of each call."""
    done = run_program(
        """
        import faulthandler, sys
        faulthandler.dump_traceback_later(15, exit=True)
        from spot import Spot, WouldDeadlock
        node = Spot(topics=["t"])
        node.subscribe("t")
        counts = dict(worked=0, refused=0)
        def trace(frame, event, arg):
            if "spot" in frame.f_code.co_filename:
                sys.settrace(None)
                try:
                    node.peers()
                    counts["worked"] += 1
                except WouldDeadlock:
                    counts["refused"] += 1
                sys.settrace(trace)
            return trace
        sys.settrace(trace)
        node.publish("t", b"x")
        message = node.recv(1)
        node.metrics()
        sys.settrace(None)
        print(message.data, counts["worked"] > 0, counts["refused"] > 0)
        node.close()
        """
    )
    assert done.stdout == "b'x' True True\n", done.stderr
