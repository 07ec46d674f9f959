"""The rules: they judge by what was published and by what was done to the network.

The oracle sees the actions of applications, what they get, and the core's events. It knows which
connections were disturbed. It raises Violation at once, in simulated time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from spot.core.data.inbox import Notice
from spot.core.link import Link, LinkState
from spot.core.membership.links import GONE_LEFT
from spot.message import Event
from tests.simulation.ledger import Ledger, Violation
from tests.simulation.life import TOLD_S, Life, Seen, Wait
from tests.simulation.network import Network

if TYPE_CHECKING:
    from tests.simulation.driver import Driver
    from tests.simulation.node import Node
    from tests.simulation.views import ViewOracle

__all__ = ["Oracle", "Violation", "target_of"]

EPS = 1e-6
TIMER_S = 0.01
CHECKS_APART = 16


class Oracle(Ledger):
    """Judges links, notices, waits and bounds. The ledger judges messages.

    ``honest`` says that only nodes speak to the nodes.
    """

    def __init__(self, network: Network) -> None:
        super().__init__(network)
        self.honest = True
        self.views: ViewOracle
        self._checks = 0

    # Incarnations

    def started(self, node: Node) -> None:
        before = self.lives.get(node.name)
        life = self.lives[node.name] = Life(node, self.network.now)
        if before is not None:
            # On a machine that is starved, a process that is started is starved, too.
            life.still(before.still_until)
        for endpoint in node.plan.peers:
            self.added(node, endpoint)
        self.note(node.name, f"starts, life {node.life}")

    def ended_life(self, node: Node) -> None:
        self.note(node.name, "is gone")
        for stream in self.lives[node.name].streams:
            if not stream.ended:
                self.end_stream(stream, "crashed")

    def leaving(self, node: Node) -> None:
        self.note(node.name, "says goodbye")
        life = self.lives[node.name]
        life.leaving = True
        for stream in life.streams:
            if not stream.ended:
                self.end_stream(stream, "left")

    def added(self, node: Node, endpoint: str) -> None:
        """An endpoint was configured."""
        life = self.lives[node.name]
        wait = life.waits[endpoint] = Wait(node.plan.config.reconnect_min)
        target = target_of(endpoint)
        others = [other for other in life.waits if target_of(other) == target]
        if len(others) > 1 or target == node.name:
            for other in others:
                life.waits[other].strict = False
            wait.strict = False

    # Lost hosts

    def check_place(self, life: Life, link: Link | None) -> None:
        if link is None or self.has_relays:
            return
        if link in life.closed:
            raise self.fail(
                life.name, f"a message of {link.node} comes after the notice that it was lost"
            )
        untold = life.untold.get(link.node)
        lost = untold[0] if untold else None
        if lost is not None and link.up_since > lost.up_since:
            raise self.fail(
                life.name, f"a message of {link.node} comes before the notice that it was lost"
            )

    def told(self, node: Node, notice: Notice) -> None:
        """``recv`` raised HostUnreachable."""
        life = self.lives[node.name]
        self.counts["notices"] += 1
        self.note(node.name, f"HostUnreachable: {notice.node} ({notice.reason})")
        if not notice.topics:
            raise self.fail(node.name, f"the notice of {notice.node} names no topics")
        if self.has_relays:
            self._told_with_relays(life, notice)
            return
        outages = life.untold.pop(notice.node, None)
        if outages:
            if outages[0] is not None:
                life.closed.add(outages[0])
        elif notice.node in life.maybe:
            life.maybe.discard(notice.node)
        else:
            raise self.fail(node.name, f"is told that {notice.node} was lost, which it was not")

    def _told_with_relays(self, life: Life, notice: Notice) -> None:
        """One loss for each time that the last path to a host was lost."""
        if not life.lost[notice.node]:
            raise self.fail(life.name, f"is told that {notice.node} was lost, which it was not")
        life.lost[notice.node] = 0

    def _lost(self, life: Life, host: str) -> None:
        life.lost[host] += 1
        if host in life.up:
            raise self.fail(life.name, f"calls {host} lost, with a link to it")

    # Events

    def happened(self, node: Driver, event: Event) -> None:
        """The core reports an event."""
        life = self.lives[node.name]
        if self.trace is not None:
            self._note_event(node, event)
        kind = event.kind
        peer = event.node or ""
        if kind == "dial":
            self._dialled(life, event)
        elif kind in ("dial_failed", "refused"):
            if "protocol" in (event.reason or "") and (peer or event.endpoint or self.honest):
                raise self.fail(node.name, f"{kind} {peer}: {event.reason}")
            if event.endpoint is not None:
                self._waits(life, event, up_for=None)
        elif kind == "link_up":
            self._link_up(life, peer)
        elif kind == "link_down":
            self._link_down(life, peer, event)
        elif kind in ("synced", "topic_up") and peer in life.up:
            life.up[peer].topics.update(event.topics)
        elif kind == "topic_gone" and peer in life.up:
            life.up[peer].topics.difference_update(event.topics)
        elif kind == "host_lost" and self.has_relays:
            self._lost(life, peer)
        elif kind == "view":
            self.views.told(life.node, event)
        elif kind == "set_aside":
            self.aside.add((node.name, peer))

    def _note_event(self, node: Driver, event: Event) -> None:
        words = [event.kind, event.node, event.endpoint, event.reason, *event.topics]
        if event.delay is not None:
            words.append(f"next dial in {event.delay:.3f}")
        self.note(node.name, " ".join(word for word in words if word))

    def _link_up(self, life: Life, peer: str) -> None:
        self.counts["links"] += 1
        if life.leaving:
            raise self.fail(life.name, f"makes a link with {peer} after its goodbye")
        link = life.node.core.links.by_node.get(peer)
        end = life.node.ends.get(link.conn) if link is not None else None
        connection = end.connection if end is not None else None
        life.up[peer] = Seen(link, connection, self.network.now, self.lives.get(peer))
        for endpoint, wait in life.waits.items():
            if target_of(endpoint) == peer:
                wait.due = None

    def _link_down(self, life: Life, peer: str, event: Event) -> None:
        seen = life.up.pop(peer, None)
        if seen is None:
            raise self.fail(life.name, f"loses a link with {peer} that it did not have")
        reason = event.reason or ""
        if "protocol" in reason:
            raise self.fail(life.name, f"loses the link with {peer}: {reason}")
        if seen.connection is not None and not seen.connection.disturbed:
            raise self.fail(
                life.name, f"loses the link with {peer} ({reason}), to which nothing was done"
            )
        self.views.down(life, peer)
        if reason != GONE_LEFT or seen.since > self.network.now - TOLD_S:
            life.broken.append((self.network.now, peer))
        if event.endpoint is not None:
            self._waits(life, event, up_for=self.network.now - seen.since)
        if (
            self.has_relays
            or reason == "replaced"
            or life.leaving
            or peer in life.node.core.handshake.removed
        ):
            return
        wanted = [topic for topic in seen.topics if life.wants(topic)]
        if not all(self.several_hosts(topic) for topic in wanted):
            life.untold.setdefault(peer, []).append(seen.link)
        elif wanted:
            life.maybe.add(peer)

    # Backoff

    def _dialled(self, life: Life, event: Event) -> None:
        endpoint = event.endpoint or ""
        wait = life.waits.get(endpoint)
        if wait is None:
            raise self.fail(life.name, f"dials {endpoint}, which was not configured")
        due = wait.due
        if due is None or not wait.strict:
            return
        wait.due = None
        if event.at < due - EPS:
            raise self.fail(life.name, f"dials {endpoint} {due - event.at:.4f} s too early")
        late = event.at - max(due, life.still_until)
        if late > TIMER_S + 2 * life.node.lag:
            raise self.fail(life.name, f"dials {endpoint} {late:.4f} s too late")

    def _waits(self, life: Life, event: Event, up_for: float | None) -> None:
        """A wait begins. ``up_for`` is how long the link had been up, if it was."""
        config = life.node.plan.config
        wait = life.waits.get(event.endpoint or "")
        if wait is None or event.delay is None:
            return
        if up_for is not None and up_for >= config.stable_after:
            wait.step = config.reconnect_min
        low, high = wait.step / 2, wait.step
        if not wait.strict:
            low, high = config.reconnect_min / 2, config.reconnect_max
        if not low - EPS <= event.delay <= high + EPS:
            raise self.fail(
                life.name,
                f"waits {event.delay:.4f} s for {event.endpoint}, not {low:.4f} to {high:.4f}",
            )
        wait.step = min(wait.step * 2, config.reconnect_max)
        wait.due = event.at + event.delay

    # States

    def check_forgotten(self, node: Driver, conn: bytes) -> None:
        """From the moment when its connection ended, a link is no link."""
        if conn in node.core.links.by_conn:
            raise self.fail(node.name, "keeps a link whose connection was closed")

    def check_queues(self, node: Driver) -> None:
        """Queues and credit keep their bounds. Rare checks are enough, as an excess would last."""
        self._checks += 1
        if self._checks % CHECKS_APART:
            return
        for link in node.core.links.by_node.values():
            for flow in link.flows:
                if flow.sent_msgs > flow.limit_msgs:
                    raise self.fail(node.name, f"sends {link.node} more than its credit")
                # What is published again had left the queue before, by the largest window of then.
                window = self.lives[link.node].node.rcvhwm_max
                more = 2 * window if flow is link.publishes else 0
                if more and self.has_relays:
                    # The same holds for messages that wait at relays on the path.
                    others = [life.node for life in self.lives.values()]
                    more += sum(other.sndhwm_max + 2 * other.rcvhwm_max for other in others)
                if flow.out_msgs > node.sndhwm_max + more:
                    raise self.fail(node.name, f"queues {flow.out_msgs} messages for {link.node}")
                if flow.recv_msgs - flow.consumed_msgs > node.rcvhwm_max:
                    raise self.fail(node.name, f"holds more than it may of {link.node}")

    def check_settled(self, nodes: Sequence[Node]) -> None:
        """After the last heal, when everything is at rest and the applications have read all."""
        for node in nodes:
            life = self.lives[node.name]
            if self.has_relays and any(life.lost.values()):
                raise self.fail(node.name, f"was not told of lost hosts: {dict(life.lost)}")
            if life.untold:
                raise self.fail(node.name, f"was never told that {min(life.untold)} was lost")
            extra = [
                link for link in node.core.links.by_conn.values() if link.state is not LinkState.UP
            ]
            if extra and not any(target_of(endpoint) == node.name for endpoint in life.waits):
                raise self.fail(node.name, f"still has a link that is {extra[0].state.value}")
            counters = node.core.counters
            if counters.recv_msgs != life.messages:
                raise self.fail(
                    node.name, f"metrics say {counters.recv_msgs} received, not {life.messages}"
                )
            if counters.missed_unknown < life.unknown or counters.missed_msgs < life.missed:
                raise self.fail(
                    node.name,
                    f"metrics say {counters.missed_msgs} missed and {counters.missed_unknown} "
                    f"unknown, messages {life.missed} and {life.unknown}",
                )
            self.check_publishes(life)


def target_of(endpoint: str) -> str:
    """The node that ``tcp://node.alias:port`` leads to."""
    return endpoint.removeprefix("tcp://").partition(":")[0].partition(".")[0]
