#!/usr/bin/env bash
# pyzmq (libzmq): a dial that finds no free descriptor leaves no trace, and is never made.
#
# One would guess: connect() raises "Too many open files", as bind() does; or the monitor tells
#   that the dial has failed (CLOSED), as for a connection that is refused. So a program that
#   dials again by itself (RECONNECT_IVL -1) waits for one of the two.
# What happens: connect() returns, and no event ever comes, also when there are descriptors again.
#   The socket looks as if it were still dialling. With RECONNECT_IVL 100 there are CONNECT_RETRIED
#   events, and the connection is made later. A program that dials by itself needs
#   a time limit of its own, or asks for a free descriptor before.
# Package: pyzmq 27.3.0, with libzmq 4.3.5.
# Source: src/tcp_connecter.cpp, start_connecting: if open() finds no socket, there is nothing to
#   close, which is what sends the event. add_reconnect_timer in src/stream_connecter_base.cpp does
#   something only if reconnect_ivl is above 0.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check pyzmq==27.3.0

cat >"$work/look.py" <<'PYTHON'
import os
import platform
import resource
import socket
import time

import zmq
from zmq.utils.monitor import recv_monitor_message

LOOK_S = 2.0
print("python", platform.python_version(), "pyzmq", zmq.pyzmq_version(), "libzmq", zmq.zmq_version())


def events(monitor):
    """The kinds of events that come within a time."""
    seen = set()
    until = time.monotonic() + LOOK_S
    while (left := until - time.monotonic()) > 0:
        if monitor.poll(left * 1000):
            seen.add(zmq.Event(recv_monitor_message(monitor)["event"]).name)
    return sorted(seen)


def dial(interval, is_full):
    """Dials a listener: what connect() does, and the events, at the limit and afterwards."""
    context = zmq.Context()
    sock = context.socket(zmq.DEALER)
    sock.setsockopt(zmq.RECONNECT_IVL, interval)
    monitor = sock.get_monitor_socket()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        if is_full:
            lowest = os.dup(0)
            os.close(lowest)
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
        try:
            sock.connect(f"tcp://127.0.0.1:{listener.getsockname()[1]}")
            said = "returned"
        except zmq.ZMQError as error:
            said = f"raised {error}"
        first = events(monitor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        then = events(monitor)
    sock.disable_monitor()
    monitor.close(linger=0)
    sock.close(linger=0)
    # Returns when all descriptors are closed.
    context.term()
    return said, first, then


free = dial(-1, is_full=False)
full = dial(-1, is_full=True)
full_again = dial(100, is_full=True)
for what, found in (
    ("RECONNECT_IVL -1, descriptors free", free),
    ("RECONNECT_IVL -1, none free", full),
    ("RECONNECT_IVL 100, none free", full_again),
):
    print(f"{what}: connect() {found[0]}; events {found[1]}; with free ones again {found[2]}")
same = (
    free[0] == full[0] == full_again[0] == "returned"
    and "CONNECTED" in free[1]
    and full[1] == full[2] == []
    and full_again[1] == ["CONNECT_RETRIED"]
    and "CONNECTED" in full_again[2]
)
print("as described" if same else "CHANGED")
raise SystemExit(0 if same else 1)
PYTHON

"$work/venv/bin/python" "$work/look.py"
