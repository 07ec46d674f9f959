"""Runs one node, from its settings until a signal ends it."""

from __future__ import annotations

import dataclasses
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from spot import Closed, Spot, SpotError, TimedOut
from spot.program.commands import Commands
from spot.program.control import ControlServer
from spot.program.log import start_logging
from spot.program.receive import receive, watch_events
from spot.program.recorder import JOURNAL_VERSION, Recorder
from spot.program.settings import JOURNAL_STDOUT, ProgramSettings
from spot.program.traffic import Traffic

__all__ = ["NodeProgram", "run"]

log = logging.getLogger(__name__)

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
SYNC_ATTEMPT_S = 5.0
"""Seconds that one attempt to synchronise waits. The next attempt follows at once."""
THREADS_END_S = 2.0


def run(settings: ProgramSettings) -> int:
    """Runs a node until SIGTERM or Ctrl-C. Returns the exit code: 0, or 1 after a failure.

    Call it from the main thread of a process that does nothing else. It blocks both signals in all
    threads and waits for them here. So no signal interrupts a call of the library, and the signals
    also reach a program that is process 1 of a container.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    stderr = start_logging(settings.config.log_level, settings.log_format)

    def complain(text: str) -> None:
        stderr.write_line(f"spot node: {text}")

    try:
        with ExitStack() as stack:
            return NodeProgram(settings, stack, complain).run_until_signal()
    except (SpotError, OSError) as error:
        # A port in use or a file that can't be opened is no bug of the program: no traceback.
        complain(str(error))
    finally:
        stderr.close()
    return 1


class NodeProgram:
    """A node with its traffic, journal and health. ``stack`` closes everything that it opens.

    ``complain`` tells the user of an error, and returns at once.
    """

    def __init__(
        self, settings: ProgramSettings, stack: ExitStack, complain: Callable[[str], None]
    ) -> None:
        self._complain = complain
        self._settings = settings
        self._started_at = time.monotonic()
        self._stopped = threading.Event()
        self._synced = False
        self._failure: str | None = None
        self._last_error: str | None = None
        self._threads: list[threading.Thread] = []
        self._recorder = Recorder(settings.journal)
        stack.callback(self._close_recorder)
        # It adds peers after it listens to the events, so that the journal has every dial.
        self._node = Spot(settings.config.with_settings(cluster=()))
        stack.callback(self._leave)
        self._traffic = Traffic(self._node, self._recorder, settings)
        commands = Commands(
            self._node, self._recorder, self._traffic, self.status, self._synchronise_once
        )
        self._server = (
            ControlServer(settings.control, commands.answer) if settings.control else None
        )
        if self._server:
            stack.callback(self._server.close)

    def run_until_signal(self) -> int:
        """Starts the threads, waits for a signal or a failed thread, returns the exit code."""
        node, config = self._node, self._settings.config
        self._record_start()
        log.info(
            "node %s started, bound to %s", node.node_id, ", ".join(node.endpoints) or "nothing"
        )
        self._spawn("recorder", self._recorder.run, self._stopped)
        self._spawn("events", watch_events, node.events(), self._recorder)
        for endpoint in config.cluster:
            node.cluster_add(endpoint)
        self._spawn("receive", receive, node, self._recorder)
        self._spawn("sync", self._synchronise)
        if self._server:
            self._spawn("control", self._server.run)
        if self._settings.rate:
            self._spawn("publish", self._traffic.publish_own)
            self._spawn("publish to others", self._traffic.publish_remote)
        number = signal.sigwait(STOP_SIGNALS)
        reason = "failure" if self._failure else signal.Signals(number).name
        log.info("leaving: %s", self._failure or reason)
        self._stopped.set()
        self._traffic.quiet(0)
        self._recorder.record("stop", reason=reason, metrics=dataclasses.asdict(node.metrics()))
        if self._failure:
            self._complain(self._failure)
        return 1 if self._failure else 0

    def status(self) -> dict[str, Any]:
        """The status document of ``docs/journal.md``, for ``spot node --check`` and the testbed."""
        node = self._node
        topics = node.list_topics()
        local = sorted(topic for topic in topics if node.topic_is_local(topic))
        peers = node.peers()
        errors = [peer.last_error for peer in peers if peer.state != "up" and peer.last_error]
        return {
            "version": JOURNAL_VERSION,
            "node": node.node_id,
            "pid": os.getpid(),
            "at": time.monotonic(),
            "uptime": time.monotonic() - self._started_at,
            "endpoints": list(node.endpoints),
            "synced": self._synced,
            "failure": self._failure,
            "last_error": self._last_error or (errors[0] if errors else None),
            "peers": [dataclasses.asdict(peer) for peer in peers],
            "metrics": dataclasses.asdict(node.metrics()),
            "topics": {"local": local, "remote": sorted(set(topics) - set(local))},
            "recent": list(self._recorder.recent),
        }

    def _record_start(self) -> None:
        self._recorder.record(
            "start",
            version=JOURNAL_VERSION,
            node=self._node.node_id,
            pid=os.getpid(),
            wall=time.time(),
            incarnation=self._traffic.incarnation,
            endpoints=list(self._node.endpoints),
            rate=self._settings.rate,
            publish=list(self._settings.publish),
            payload_bytes=self._settings.payload_bytes,
            config=dataclasses.asdict(self._settings.config),
        )

    def _synchronise(self) -> None:
        """Tries until every peer has answered, so that nodes can be started in any order."""
        while not self._stopped.is_set():
            try:
                answers = self._synchronise_once()
            except TimedOut as error:
                self._last_error = str(error)
                log.info("not yet synchronised: %s", error)
                continue
            self._last_error = None
            log.info("synchronised with %d peers", len(answers))
            return

    def _synchronise_once(self) -> list[str]:
        """The nodes that answered. Raises TimedOut when one did not."""
        try:
            answers = sorted(self._node.cluster_sync(timeout=SYNC_ATTEMPT_S))
        except TimedOut as error:
            self._recorder.record("sync", ok=False, missing=list(error.missing))
            raise
        self._synced = True
        self._recorder.record("sync", ok=True, answers=answers)
        return answers

    def _spawn(self, name: str, work: Callable[..., None], *arguments: Any) -> None:
        def body() -> None:
            try:
                work(*arguments)
            except Closed:
                pass
            except Exception as error:
                # A node that lost one of its threads would look alive and do half its work.
                log.exception("the %s thread failed", name)
                self._failure = f"the {name} thread failed: {error}"
                os.kill(os.getpid(), signal.SIGTERM)

        thread = threading.Thread(target=body, name=f"spot-{name}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _leave(self) -> None:
        """Closes the node, which ends the threads that use it, and records that it did."""
        self._stopped.set()
        self._traffic.quiet(0)
        self._node.close()
        until = time.monotonic() + THREADS_END_S
        for thread in self._threads:
            thread.join(timeout=max(until - time.monotonic(), 0))
        self._recorder.record("closed")

    def _close_recorder(self) -> None:
        lost = self._recorder.close()
        if lost:
            where = self._settings.journal
            where = "standard output" if where == JOURNAL_STDOUT else where
            self._complain(
                f"up to {lost} records of the journal were not written, as {where} took no more: "
                "read it, or name another file by SPOT_JOURNAL ('none': nowhere)"
            )
