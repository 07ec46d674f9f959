"""The ZAP handler (ZeroMQ RFC 27): libzmq asks it about each connection that is accepted.

With a handler, libzmq at once closes a connection that does not speak ZMTP, or that comes from a
socket type that does not fit. Without one it would take an HTTP request for ZMTP 1.0.
"""

from __future__ import annotations

import threading

import zmq

DOMAIN = b"spot"
_ADDRESS = "inproc://zeromq.zap.01"


def start_handler(context: zmq.Context[zmq.Socket[bytes]]) -> None:
    """Starts the thread that answers for all sockets of a context."""
    handler = context.socket(zmq.REP)
    handler.bind(_ADDRESS)
    threading.Thread(target=_answer, args=(handler,), name="spot-zap", daemon=True).start()


def _answer(handler: zmq.Socket[bytes]) -> None:
    """Accepts every connection that speaks ZMTP."""
    while True:
        try:
            request = handler.recv_multipart()
            request_id = request[1] if len(request) > 1 else b""
            handler.send_multipart([b"1.0", request_id, b"200", b"OK", b"", b""])
        except zmq.ZMQError:
            return
