import asyncio
import gc
import socket
import warnings

import pytest

from spot.testbed.proxy.embedded.connection import ReadBuffer
from spot.testbed.proxy.embedded.proxy import EmbeddedProxy


@pytest.mark.parametrize("turns", range(8))
def test_proxy_that_is_stopped_in_the_moment_of_an_accept_can_be_stopped_again(turns: int) -> None:
    """A hundred cuts in a row found one that hung for ever."""

    async def race() -> None:
        proxy = EmbeddedProxy("edge", "127.0.0.1:0", "127.0.0.1:9", ReadBuffer())
        await proxy.start()
        host, _, port = proxy.listen.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=10):
            for _ in range(turns):  # of the event loop, until it has accepted, and further
                await asyncio.sleep(0)
            await proxy.stop()
        await asyncio.sleep(0.05)
        await proxy.start()
        await asyncio.wait_for(proxy.stop(), timeout=20)

    with warnings.catch_warnings():
        # asyncio leaves the transport of such a client to the garbage collector, with a warning.
        warnings.simplefilter("ignore", ResourceWarning)
        asyncio.run(race())
        gc.collect()
