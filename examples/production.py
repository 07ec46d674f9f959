r"""A node for production: settings from the environment, logs, metrics, health, a clean end.

    SPOT_NODE_ID=a SPOT_BIND=tcp://*:5555 SPOT_CLUSTER=tcp://127.0.0.1:5556 \
    SPOT_TOPICS=a:status SPOT_SUBSCRIBE='*:status' python examples/production.py

Run the same with b, and with the ports exchanged, in a second terminal. Without any settings the
node runs alone. SIGTERM and Ctrl-C end it: accepted messages are delivered, and the peers are told.
"""

import argparse
import dataclasses
import json
import logging
import signal
import threading
import time

from spot import Config, HostUnreachable, QueueFull, Spot

log = logging.getLogger("production")


def settings() -> Config:
    """The settings of SPOT_*. Where they name no topics, there is one to work with."""
    config = Config.from_env()
    if not config.topics:
        config = config.with_settings(topics=("demo:status",), subscribe=("*:status",))
    return config


def log_events(node: Spot) -> None:
    """Logs links, hosts and topics as they come and go. Ends when the node is closed."""
    for event in node.events():
        log.info(
            "event %s node=%s endpoint=%s reason=%s",
            event.kind, event.node, event.endpoint, event.reason,
        )  # fmt: skip


def log_report(node: Spot) -> None:
    """One line for a log collector: the counters, and whether each peer answers."""
    health = {peer.endpoint: node.is_healthy(peer.endpoint) for peer in node.peers()}
    log.info("report %s", json.dumps({"healthy": health, **dataclasses.asdict(node.metrics())}))


def publish_status(node: Spot, number: int) -> None:
    for topic in node.list_topics():
        if node.topic_is_local(topic):
            try:
                node.publish(topic, f"{node.node_id} is well ({number})".encode())
            except QueueFull as error:  # only with SPOT_OVERFLOW=error
                log.warning("not published, a subscriber is too slow: %s", error)


def receive_until(node: Spot, deadline: float) -> None:
    """Handles messages that come until the deadline (time.monotonic)."""
    while (left := deadline - time.monotonic()) > 0:
        try:
            message = node.recv(timeout=left)
        except HostUnreachable as error:
            # Subscriptions come back by themselves. This is the place to raise an alarm, or to
            # route the topics to another host.
            log.warning("lost %s (%s): %s", error.node, error.reason, ", ".join(error.topics))
            continue
        if message is None:
            return
        if message.missed is None or message.missed > 0:
            log.warning("%s: %s messages missed", message.topic, message.missed or "unknown")
        log.info("received %s %s", message.topic, message.data.decode())


def main() -> None:
    parser = argparse.ArgumentParser(description="A node for production; settings are SPOT_*.")
    parser.add_argument("--messages", type=int, default=0, help="end after so many (0: go on)")
    parser.add_argument("--interval", type=float, default=1.0, help="seconds between messages")
    parser.add_argument("--report", type=float, default=10.0, help="seconds between reports")
    options = parser.parse_args()

    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s", level="INFO")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    with Spot(settings()) as node:
        threading.Thread(target=log_events, args=(node,), daemon=True).start()
        log.info("node %s is up on %s", node.node_id, ", ".join(node.endpoints) or "no port")
        published = 0
        next_report = time.monotonic() + options.report
        while not stop.is_set() and not published == options.messages > 0:
            published += 1
            publish_status(node, published)
            receive_until(node, time.monotonic() + options.interval)
            if time.monotonic() >= next_report:
                log_report(node)
                next_report += options.report
        log_report(node)
    log.info("node left")


if __name__ == "__main__":
    main()
