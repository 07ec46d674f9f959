"""Whether this process may open more descriptors, and start more threads.

libzmq ends the process if it can't make an epoll descriptor or start one of its threads (asserts in
its epoll.cpp and thread.cpp). So a node asks before libzmq needs them. What another thread or
process takes in between can't be excluded.
"""

from __future__ import annotations

import errno
import os
import resource
import threading
import time

from spot.errors import SpotError, TooManyOpenFiles, TooManyThreads

SPARE_DESCRIPTORS = 4
"""So many more have to be free than are needed: connections come as soon as a node listens."""
THREAD_END_S = 1.0


def check_descriptors(count: int, what: str) -> None:
    """Raises TooManyOpenFiles unless so many descriptors, and a few more, can be opened now.

    ``what`` is what they are for, in the words that follow "can't".
    """
    probes: list[int] = []
    try:
        for _ in range(count + SPARE_DESCRIPTORS):
            probes.append(os.eventfd(0, os.EFD_CLOEXEC))  # noqa: PERF401  an error keeps the rest
    except OSError as error:
        raise system_error(what, error.errno) from error
    finally:
        for fd in probes:
            os.close(fd)


def check_threads(count: int, what: str) -> None:
    """Raises TooManyThreads unless so many threads can be started now."""
    end = threading.Event()
    started: list[threading.Thread] = []
    try:
        for _ in range(count):
            thread = threading.Thread(target=end.wait, name="spot-probe", daemon=True)
            thread.start()
            started.append(thread)
    except RuntimeError as error:
        raise too_many_threads(what) from error
    finally:
        end.set()
        for thread in started:
            thread.join()
        # The kernel counts a thread a moment longer than Python does, until it is not listed here.
        until = time.monotonic() + THREAD_END_S
        while time.monotonic() < until and any(
            os.path.exists(f"/proc/self/task/{thread.native_id}") for thread in started
        ):
            time.sleep(0.0002)


def system_error(what: str, code: int | None) -> SpotError:
    """The error for an errno of the system or of libzmq that no other error fits."""
    if code in (errno.EMFILE, errno.ENFILE):
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return TooManyOpenFiles(
            f"can't {what}: too many files are open. Close some, or raise the limit of {limit} "
            "('ulimit -n')",
            limit=limit,
        )
    return SpotError(f"can't {what}: {os.strerror(code or errno.EIO)}")


def too_many_threads(what: str) -> TooManyThreads:
    """The error for a thread that can't be started."""
    return TooManyThreads(
        f"can't {what}: no more threads can be started. End some threads or processes, or raise "
        "the limit ('ulimit -u', or the limit of processes of the container)"
    )
