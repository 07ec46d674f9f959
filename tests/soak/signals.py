"""Signal handlers that make calls: every call, from every wait, for every signal, under load.

``python -m tests.soak.signals [--seconds 60] [--wait recv] [--short]``. Without ``--seconds``, each
case runs once; with ``--short``, each call once from each wait, the signals in turn. A case that
hangs ends the process after a deadline, with the stacks of all threads.
"""

from __future__ import annotations

import argparse
import faulthandler
import itertools
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator

from spot import Closed, Spot, TimedOut
from tests.library.waiting import wait_until

CASE_S = 20.0
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM, signal.SIGUSR1)
NAMES = itertools.count()

CALLS: dict[str, Callable[[Spot], object]] = {
    "metrics": lambda node: node.metrics(),
    "publish": lambda node: node.publish("mine", b"x"),
    "publish_many": lambda node: node.publish_many("other", [b"x", b"y"]),
    "recv": lambda node: node.recv(0),
    "recv_many": lambda node: node.recv_many(10, 0),
    "peers": lambda node: node.peers(),
    "list_topics": lambda node: node.list_topics(),
    "view": lambda node: node.view(),
    "topic_create": lambda node: node.topic_create(f"created-{next(NAMES)}"),
    "subscribe": lambda node: node.subscribe(f"subscribed-{next(NAMES)}"),
    "flush": lambda node: node.flush(0.05),
    "is_healthy": lambda node: node.is_healthy("host", 0.05),
    "cluster_sync": lambda node: node.cluster_sync(0.05),
    "close": lambda node: node.close(),
}


class Pair:
    """A node in which the main thread waits, and its peer."""

    def __init__(self) -> None:
        self.is_released = False
        self.host = Spot(
            node_id="host",
            bind=["tcp://127.0.0.1:0"],
            topics=["news", "other"],
            linger=0.1,
            log_level="error",
        )
        self.node = Spot(
            node_id="node",
            cluster=self.host.endpoints,
            topics=["mine", "counted"],
            sync_timeout=0.2,
            linger=0.1,
            log_level="error",
        )
        self.node.cluster_sync(CASE_S)
        self.host.cluster_sync(CASE_S)
        self.node.subscribe("news")

    def close(self) -> None:
        """Closes both."""
        self.node.close()
        wait_until(lambda: self.node._driver.closed, CASE_S)
        self.host.close()

    def hold(self) -> None:
        """Nothing is confirmed, sent or taken before ``release``."""
        self.is_released = False
        core = self.node._core
        barriers = core.barriers
        is_awaiting, unsent, room = barriers.is_awaiting, core.unsent, self.node._room

        def is_awaiting_or_held(*links: object) -> bool:
            return not self.is_released or is_awaiting(*links)  # type: ignore[arg-type]

        barriers.is_awaiting = is_awaiting_or_held  # type: ignore[method-assign, assignment]
        core.unsent = lambda: (  # type: ignore[method-assign]
            unsent() if self.is_released else list(core.links.by_node.values())
        )
        self.node._room = lambda topic: (  # type: ignore[method-assign]
            room(topic) if self.is_released or topic != "full" else 0
        )

    def release(self) -> None:
        """Ends the wait."""
        self.is_released = True
        self.host.publish("news", b"now")
        self.host.topic_create(f"new-{next(NAMES)}")
        self.host.subscribe("counted")
        with self.node._driver.lock:
            self.node._driver.wakeups.tell_progress()

    def restore(self) -> None:
        """Ready for the next case."""
        vars(self.node._core).pop("unsent", None)
        vars(self.node._core.barriers).pop("is_awaiting", None)
        vars(self.node).pop("_room", None)
        self.host.unsubscribe("counted")
        self.node.cluster_sync(CASE_S)
        while self.node.recv_many(1000, 0):
            pass


def wait_for_event(pair: Pair) -> None:
    """Takes events until the wait is released, or the node closes."""
    for _ in pair.node.events(CASE_S):
        if pair.is_released:
            return


def wait_for_message(pair: Pair) -> None:
    """Waits for the message of the release."""
    message = pair.node.recv(CASE_S)
    assert message is not None
    assert message.data == b"now"


def wait_for_messages(pair: Pair) -> None:
    """Waits for the message of the release, in a call for several."""
    (message,) = pair.node.recv_many(10, CASE_S)
    assert message.data == b"now"


def wait_for_room(pair: Pair) -> None:
    """Waits for room in a topic that has none before the release."""
    if "full" not in pair.node.list_topics():
        pair.node.topic_create("full")
    pair.node._driver.buffers.of_topic.clear()
    pair.node.publish("full", b"x", timeout=CASE_S)


WAITS: dict[str, Callable[[Pair], object]] = {
    "recv": wait_for_message,
    "recv_many": wait_for_messages,
    "events": wait_for_event,
    "cluster_sync": lambda pair: pair.node.cluster_sync(CASE_S),
    "wait_for_subscribers": lambda pair: pair.node.wait_for_subscribers("counted", 1, CASE_S),
    "flush": lambda pair: pair.node.flush(CASE_S),
    "publish": wait_for_room,
    "subscribe": lambda pair: pair.node.subscribe(f"waited-{next(NAMES)}"),
}


def run_case(pair: Pair, wait: str, call: str, number: int) -> None:
    """Waits; a signal comes, whose handler makes the call; the wait goes on, and is released."""
    outcome: list[BaseException | None] = []
    main = threading.get_ident()
    inside = pair.node._driver._inside

    def handle(*_: object) -> None:
        try:
            CALLS[call](pair.node)
        except BaseException as error:  # noqa: BLE001  it is judged below
            outcome.append(error)
        else:
            outcome.append(None)

    def send_signal() -> None:
        wait_until(lambda: main in inside, CASE_S)
        os.kill(os.getpid(), number)
        wait_until(lambda: outcome, CASE_S)
        if call != "close":
            pair.release()

    before = signal.signal(number, handle)
    pair.hold()
    sender = threading.Thread(target=send_signal)
    sender.start()
    is_closed = False
    try:
        WAITS[wait](pair)
    except Closed:
        is_closed = True
    sender.join()
    assert signal.getsignal(number) is handle
    signal.signal(number, before)
    assert len(outcome) == 1, outcome
    error = outcome[0]
    if isinstance(error, TimedOut) and call in ("flush", "cluster_sync"):
        error = None  # what it waits for is held
    if error is not None:
        raise error
    assert is_closed == (call == "close" and wait != "events"), (is_closed, call)
    if call != "close":
        pair.restore()


def run_load(pair: Pair, ended: threading.Event) -> None:
    """Another thread uses the node all the time."""
    while not ended.wait(0.002):
        try:
            pair.node.metrics()
            pair.node.publish("mine", b"load")
        except Closed:
            return


def short_cases(waits: Iterable[str]) -> Iterator[tuple[str, str, int]]:
    """Each call from each wait; each call with each signal, if it is all waits."""
    for wait in waits:
        at = list(WAITS).index(wait)
        for offset, call in enumerate(CALLS):
            yield wait, call, SIGNALS[(at + offset) % len(SIGNALS)]


def run(cases: list[tuple[str, str, int]], until: float | None) -> int:
    """Runs each case once, or cases at random until then. Returns how many."""
    count = 0
    pair: Pair | None = None
    ended = threading.Event()
    while cases:
        random.shuffle(cases)
        # A case that closes is the last of its pair.
        for wait, call, number in cases:
            faulthandler.dump_traceback_later(CASE_S * 2, exit=True)
            if pair is None:
                pair = Pair()
                threading.Thread(target=run_load, args=(pair, ended)).start()
            run_case(pair, wait, call, int(number))
            count += 1
            if call == "close":
                pair.close()
                pair = None
            if until is not None and time.monotonic() >= until:
                break
        if until is None or time.monotonic() >= until:
            break
    ended.set()
    if pair is not None:
        pair.close()
    faulthandler.cancel_dump_traceback_later()
    return count


def main() -> int:
    """Runs, and says how many cases were right; the first that is wrong is an error."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--wait", choices=WAITS, action="append")
    parser.add_argument("--short", action="store_true")
    options = parser.parse_args()
    waits = options.wait or list(WAITS)
    cases = list(short_cases(waits) if options.short else itertools.product(waits, CALLS, SIGNALS))
    until = None if options.seconds is None else time.monotonic() + options.seconds
    count = run(cases, until)
    print(f"{count} calls of signal handlers, each right")
    return 0


if __name__ == "__main__":
    sys.exit(main())
