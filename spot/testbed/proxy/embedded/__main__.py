"""The embedded proxy as a program, with Toxiproxy's options."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import resource
import signal
import sys

from spot.testbed.proxy.embedded.api import API_VERSION, Api
from spot.testbed.proxy.embedded.collection import Proxies
from spot.testbed.proxy.embedded.http import serve_http

__all__ = ["main"]

log = logging.getLogger("spot.proxy")


async def serve(host: str, port: int) -> None:
    """Serves the API on this address until SIGTERM or SIGINT. Raises OSError."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    proxies = Proxies()
    server = await serve_http(Api(proxies).answer, host, port)
    log.info("the embedded proxy answers on http://%s:%d", host, port)
    await stopped.wait()
    server.close()
    await proxies.close()


def main(arguments: list[str] | None = None) -> int:
    """Runs until it is told to stop. Returns the exit code: 1 if it can't listen there."""
    parser = argparse.ArgumentParser(
        prog="python -m spot.testbed.proxy.embedded",
        description=f"A TCP proxy with the HTTP API of Toxiproxy {API_VERSION}.",
    )
    parser.add_argument("-host", "--host", default="localhost", help="address of the HTTP API")
    parser.add_argument("-port", "--port", type=int, default=8474, help="port of the HTTP API")
    parser.add_argument("-version", "--version", action="version", version=API_VERSION)
    given = parser.parse_args(arguments)
    # A mesh of 50 nodes has 2,450 edges, each with a listener and two sockets a connection.
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        asyncio.run(serve(given.host, given.port))
    except OSError as error:
        log.error("can't serve the API on %s:%d: %s", given.host, given.port, error)
        return 1
    return 0


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
