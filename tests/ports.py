"""Ports for tests to bind, held so that no other test or dial takes them meanwhile."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

__all__ = ["neighbouring_ports"]

# Below what the kernel gives to dials, on any system with its usual range.
LOWEST, HIGHEST = 10_000, 32_700


@contextmanager
def neighbouring_ports(count: int) -> Iterator[int]:
    """The first of so many neighbouring ports of the loopback interface, all held for the caller.

    Each is held as the testbed holds those of its nodes: bound, and not listening, so that whoever
    sets SO_REUSEADDR (as libzmq and asyncio do) can listen there, again and again, and a dial
    before that is refused.
    """
    firsts = range(LOWEST, HIGHEST, count)
    begin = random.randrange(len(firsts))
    for first in (*firsts[begin:], *firsts[:begin]):
        with ExitStack() as stack:
            try:
                held = [stack.enter_context(_bound(first + place)) for place in range(count)]
            except OSError:
                continue
            for one in held:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            yield first
            return
    raise AssertionError(f"no {count} neighbouring free ports")


def _bound(port: int) -> socket.socket:
    held = socket.socket()
    try:
        held.bind(("127.0.0.1", port))
    except OSError:
        held.close()
        raise
    return held
