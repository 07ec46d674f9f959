"""A message walks through the files that docs/architecture.md names, in that order."""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import spot
from spot import Spot
from tests.library.waiting import wait_until

PACKAGE = Path(spot.__file__).parent
ARCHITECTURE = Path(__file__).parents[2] / "docs" / "architecture.md"
ROW = re.compile(r"^\| \d+ \| `([a-z_/]+\.py)` \|", re.MULTILINE)
THREADS = {
    "runtime/threads.py",
    "runtime/signal_lock.py",
    "runtime/wakeups.py",
    "runtime/event_log.py",
    "timeout.py",
}
"""Files that say when a thread runs. No message passes through them."""
FILES_MAX = 9
QUIET: dict[str, Any] = {"heartbeat": 60.0, "peer_timeout": 200.0}
"""No heartbeat comes while a message is traced."""


def documented() -> tuple[list[str], list[str]]:
    """The files on the way to the socket, and on the way from it."""
    walk = ARCHITECTURE.read_text().partition("## How a message walks")[2].partition("\n## ")[0]
    there, back = walk.split("On the other side")
    return ROW.findall(there), ROW.findall(back)


def visited(call: Callable[[], object], begin: str | None = None) -> list[str]:
    """The files of ``spot/`` whose functions run in this thread, in the order of the first.

    With ``begin``, only from the function of that name on.
    """
    found: dict[str, None] = {}
    has_begun = begin is None

    def note(frame: FrameType, event: str, _arg: object) -> None:
        nonlocal has_begun
        path = Path(frame.f_code.co_filename)
        if event != "call" or not path.is_relative_to(PACKAGE):
            return
        has_begun = has_begun or frame.f_code.co_name == begin
        name = str(path.relative_to(PACKAGE))
        if has_begun and name not in THREADS:
            found.setdefault(name)

    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(None)
    return list(found)


def test_message_walks_through_the_documented_files() -> None:
    """A reader who follows a message must not get lost: few files, each of them named."""
    there, back = documented()
    assert len(there) <= FILES_MAX
    assert len(back) <= FILES_MAX
    with Spot(node_id="host", **QUIET) as host, Spot(node_id="client", **QUIET) as client:
        endpoint = host.bind("tcp://127.0.0.1:0")
        host.topic_create("t")
        client.cluster_add(endpoint, timeout=10)
        client.cluster_sync(timeout=10)
        client.subscribe("t")
        host.wait_for_subscribers("t", timeout=10)
        host.publish("t", b"first")
        assert client.recv(10) is not None
        # An idle node flushes in the publishing thread.
        buffers = host._driver.buffers
        wait_until(
            lambda: not buffers.armed and time.monotonic() >= buffers.hot_until,
            what="quiet",
            deadline_s=10,
        )
        assert visited(lambda: host.publish("t", b"traced")) == there
        assert client.recv(10) is not None

        def publish_when_client_waits() -> None:
            wait_until(lambda: client._driver.wakeups.leading, what="a leader", deadline_s=10)
            host.publish("t", b"back")

        publisher = threading.Thread(target=publish_when_client_waits)
        publisher.start()
        try:
            walk = visited(lambda: client.recv(10), begin="receive")
        finally:
            publisher.join()
        assert walk == back
