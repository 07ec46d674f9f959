"""Two nodes with asyncio, both in this program, talking over TCP.

    python examples/aio_two_node.py --messages 5

The calls are those of spot.Spot. Calls that may wait are awaited.
"""

import argparse
import asyncio

from spot.aio import Spot

TOPIC = "sensor:temperature"


async def serve(node: Spot, messages: int) -> None:
    await node.wait_for_subscribers(TOPIC)
    for number in range(1, messages + 1):
        await node.publish(TOPIC, f"{20 + number % 10 / 2:.1f}".encode())


async def receive(node: Spot, endpoint: str, messages: int) -> None:
    await node.cluster_add(endpoint)
    await node.cluster_sync(timeout=5.0)
    await node.subscribe(TOPIC)
    async for message in node:
        print(f"{message.topic} #{message.seq} = {message.data.decode()}")
        if message.seq == messages:
            return


async def run(messages: int) -> None:
    async with Spot(node_id="node-a") as server, Spot(node_id="node-b") as client:
        await server.topic_create(TOPIC)
        endpoint = await server.bind("tcp://127.0.0.1:0")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(serve(server, messages))
            tasks.create_task(receive(client, endpoint, messages))


def main() -> None:
    parser = argparse.ArgumentParser(description="Two asyncio nodes over TCP.")
    parser.add_argument("--messages", type=int, default=5, help="how many (default 5)")
    asyncio.run(run(parser.parse_args().messages))


if __name__ == "__main__":
    main()
