"""Random fault schedules hold every guarantee, and the oracle catches cores that do not.

``python -m tests.simulation`` runs many more of them.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic

import pytest

from spot.config import Config
from spot.core.data.inbox import Delivery, Inbox, MultiDelivery, Notice
from spot.core.link import Link
from spot.core.membership.dials import Dial
from spot.core.topics.announced import Path
from spot.core.topics.hosted_topic import HostedTopic, Subscriber
from spot.core.topics.interest import Subscriptions
from spot.core.topics.position import Position
from spot.core.wire import codec
from spot.core.wire.batches import Batch
from tests.simulation.catching import assert_caught
from tests.simulation.node import Node
from tests.simulation.oracle import Violation
from tests.simulation.plan import Action, NodePlan, Plan
from tests.simulation.schedule import draw, draw_crowd
from tests.simulation.world import Tune, run_plan, trace_of

SEEDS = 300
SEEDS_OF_A_BATCH = 50
SEEDS_TO_CATCH = 400


@pytest.mark.parametrize("start", range(0, SEEDS, SEEDS_OF_A_BATCH))
def test_random_fault_schedules_hold_every_guarantee(start: int) -> None:
    """The main promise: whatever breaks, in whatever order, the oracle finds no violation."""
    links = messages = 0
    for seed in range(start, start + SEEDS_OF_A_BATCH):
        try:
            world = run_plan(partial(draw, seed))
        except Violation as violation:
            tail = "\n".join(violation.trace[-80:])
            pytest.fail(f"seed {seed}: {violation}\n{tail}")
        links += world.oracle.counts["links"]
        messages += world.oracle.counts["messages"]
    assert links > 2 * SEEDS_OF_A_BATCH
    assert messages > 100 * SEEDS_OF_A_BATCH


def test_a_crowd_of_nodes_heals_within_seconds() -> None:
    """A rule for three nodes must hold for over a hundred, and be cheap enough to try."""
    began = monotonic()
    world = run_plan(partial(draw_crowd, 1, count=120, degree=8))
    assert world.oracle.counts["links"] >= 2 * 480
    assert monotonic() - began < 30


def test_same_seed_gives_the_same_run_whatever_the_hash_seed() -> None:
    """A violation that can't be reproduced can't be understood."""
    code = (
        "from tests.simulation.schedule import draw\n"
        "from tests.simulation.world import trace_of\n"
        "print('\\n'.join(line for seed in (7, 8, 9) for line in trace_of(lambda: draw(seed))))"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": str(seed), "PYTHONPATH": ":".join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in (1, 2)
    ]
    assert runs[0].count("\n") > 100
    assert runs[0] == runs[1]


def test_epoch_that_nobody_told_of_is_not_passed_over_in_silence() -> None:
    """A topic that ends and begins twice during a cut has lost messages that no count covers."""

    def plan() -> Plan:
        host = NodePlan("host", Config(node_id="host"), topics=["t"])
        reader = NodePlan("reader", Config(node_id="reader"), peers=["tcp://host:1"], names=["t"])
        moments = [
            (1.0, "publish", ("host", "t", 5, 0)),
            (2.0, "destroy", ("host", "t")),
            (2.5, "cut", ("host", "reader", 1.0)),
            (2.6, "create", ("host", "t")),
            (2.7, "publish", ("host", "t", 7, 0)),
            (2.8, "destroy", ("host", "t")),
            (2.9, "create", ("host", "t")),
        ]
        actions = [Action(at, kind, details) for at, kind, details in moments]
        return Plan(0, [host, reader], [("host", "reader")], actions, heal_at=4.0)

    world = run_plan(plan)
    assert world.oracle.lives["reader"].unknown == 1


def newest_of_a_topic(
    actions: Sequence[tuple[float, str, tuple[object, ...]]],
    tune: Tune | None = None,
    *,
    rcvhwm: int = 100,
) -> int:
    """How many messages a reader gets from a host. The reader is not subscribed when it starts."""

    def plan() -> Plan:
        config = Config(reconnect_max=0.5, rcvhwm=rcvhwm)
        nodes = [
            NodePlan("host", config.with_settings(node_id="host")),
            NodePlan("reader", config.with_settings(node_id="reader"), peers=["tcp://host:1"]),
        ]
        return Plan(0, nodes, [("host", "reader")], [Action(*each) for each in actions], 8.0)

    # The ending publishes one more.
    return run_plan(plan, tune).oracle.lives["reader"].messages - 1


def forgets_what_was_announced(node: Node) -> None:
    class Forgetful(dict[str, set[str]]):
        def get(self, *key: object) -> set[str]:
            return set()

    node.core.subscriptions.told = Forgetful()


def test_topic_that_begins_after_a_subscription_comes_from_its_first_message() -> None:
    """The host knew which nodes waited for the topic. So losing the news of it changes nothing."""
    actions = [
        (1.0, "subscribe", ("reader", "t", 7)),
        (2.0, "blackhole", ("host", "reader", "both", False, 4.0)),
        (2.1, "create", ("host", "t")),
        (2.2, "publish", ("host", "t", 100, 0)),
    ]
    assert newest_of_a_topic(actions) == 100
    with pytest.raises(Violation, match="which the buffer held"):
        newest_of_a_topic(actions, forgets_what_was_announced)


def test_topic_that_was_there_before_a_subscription_gives_its_newest() -> None:
    """A node that asks for the last 7 before there is a link must not get all older messages."""
    actions = [
        (0.0, "cut", ("host", "reader", 2.0)),
        (0.1, "create", ("host", "t")),
        (0.2, "publish", ("host", "t", 100, 0)),
        (0.3, "subscribe", ("reader", "t", 7)),
    ]
    assert newest_of_a_topic(actions) == 7


@pytest.mark.parametrize("last", [0, 5])
def test_new_subscription_begins_although_the_old_one_waits_for_credit(last: int) -> None:
    """The HEAD of the new subscription came behind the old one's queue, and was lost with the link.
    So messages published since then were skipped in silence.
    """
    actions = [
        (0.5, "create", ("host", "t")),
        (0.8, "subscribe", ("reader", "t", 0)),
        (1.0, "slow", ("reader", 3.0)),
        (1.1, "publish", ("host", "t", 50, 0)),
        (1.5, "resubscribe", ("reader", "t", last)),
        (2.0, "publish", ("host", "t", 20, 0)),
        (2.5, "cut", ("host", "reader", 0.5)),
    ]
    of_the_old_one = 1
    assert newest_of_a_topic(actions, rcvhwm=1) == of_the_old_one + last + 20


# Cores made wrong. Each must be caught by the rule that is meant for it.


def _deliver_wrongly(node: Node, change: Callable[[Inbox, Delivery], list[Delivery]]) -> None:
    """Sometimes something else reaches the inbox than the core delivered."""
    inbox = node.core.inbox

    class Wrong(Inbox):
        __slots__ = ()

        def deliver(self, delivery: Delivery | MultiDelivery) -> None:
            if isinstance(delivery, Delivery) and node.random.random() < 0.05:
                for each in change(self, delivery):
                    Inbox.deliver(self, each)
            else:
                Inbox.deliver(self, delivery)

    assert not inbox.items
    node.core.inbox.__class__ = Wrong


def repeats(node: Node) -> None:
    _deliver_wrongly(node, lambda inbox, delivery: [delivery, delivery])


def loses(node: Node) -> None:
    _deliver_wrongly(node, lambda inbox, delivery: [])


def reorders(node: Node) -> None:
    def behind(inbox: Inbox, delivery: Delivery) -> list[Delivery]:
        last = inbox.items[-1] if inbox.items else None
        if isinstance(last, Delivery) and last.topic == delivery.topic:
            inbox.items.pop()
            inbox.msgs -= last.count - last.skip
            return [delivery, last]
        return [delivery]

    # If no application reads at once, there is an order to change.
    node.lag = max(node.lag, 0.02)
    inbox = node.core.inbox
    assert not inbox.items

    class Wrong(Inbox):
        __slots__ = ()

        def deliver(self, delivery: Delivery | MultiDelivery) -> None:
            if isinstance(delivery, Delivery):
                for each in behind(self, delivery):
                    Inbox.deliver(self, each)
            else:
                Inbox.deliver(self, delivery)

    node.core.inbox.__class__ = Wrong


def invents(node: Node) -> None:
    def other(inbox: Inbox, delivery: Delivery) -> list[Delivery]:
        payloads = [message.data[::-1] for message in delivery.messages()]
        delivery.batch = None
        delivery.skip = 0
        delivery.payloads = payloads
        return [delivery]

    _deliver_wrongly(node, other)


def hides_losses(node: Node) -> None:
    def no_count(inbox: Inbox, delivery: Delivery) -> list[Delivery]:
        delivery.missed = 0
        return [delivery]

    _deliver_wrongly(node, no_count)


def counts_unknown_as_none_missed(node: Node) -> None:

    class Wrong(Inbox):
        __slots__ = ()

        def deliver(self, delivery: Delivery | MultiDelivery) -> None:
            if isinstance(delivery, Delivery):
                delivery.missed = delivery.missed or 0
            Inbox.deliver(self, delivery)

    node.core.inbox.__class__ = Wrong


def tells_nobody(node: Node) -> None:
    class Wrong(Inbox):
        __slots__ = ()

        def notify(self, notice: Notice) -> None:
            return

    node.core.inbox.__class__ = Wrong


def tells_twice(node: Node) -> None:
    class Wrong(Inbox):
        __slots__ = ()

        def notify(self, notice: Notice) -> None:
            Inbox.notify(self, notice)
            node.network.at(node.network.now + 0.01, lambda: Inbox.notify(self, notice))

    node.core.inbox.__class__ = Wrong


def tells_too_early(node: Node) -> None:
    class Wrong(Inbox):
        __slots__ = ()

        def notify(self, notice: Notice) -> None:
            Inbox.notify(self, notice)
            self.items.rotate(1)

    node.core.inbox.__class__ = Wrong


def trusts_silence(node: Node) -> None:
    tick = node.core.tick

    def wrong(now: float) -> None:
        for link in node.core.links.by_conn.values():
            link.heard_at = now
        tick(now)

    node.core.tick = wrong  # type: ignore[method-assign]


def cries_wolf(node: Node) -> None:
    tick = node.core.tick

    def wrong(now: float) -> None:
        for link in list(node.core.links.by_node.values()):
            if node.random.random() < 0.01:
                node.core.lost(link.conn, "silent", now)
        tick(now)

    node.core.tick = wrong  # type: ignore[method-assign]


def accuses_after_its_own_sleep(node: Node) -> None:
    node.core.liveness._excuse = lambda late, now: None  # type: ignore[method-assign]


def never_beats(node: Node) -> None:
    node.core._heartbeats.beat = lambda link, now: None  # type: ignore[method-assign]


def overlooks_ends(node: Node) -> None:
    node.core.lost = lambda conn, why, now: None  # type: ignore[method-assign]


def never_backs_off(node: Node) -> None:
    add = node.core.dials.add

    def wrong(endpoint: str, now: float) -> Dial:
        dial = add(endpoint, now)
        dial.backoff.restart()
        dial.backoff._most = dial.backoff._first
        return dial

    node.core.dials.add = wrong  # type: ignore[method-assign]


def dials_once(node: Node) -> None:
    call = node.core.dials._start

    def wrong(dial: Dial, now: float) -> None:
        if dial.attempts < 3:
            call(dial, now)
        else:
            dial.due = now + 1000.0

    node.core.dials._start = wrong  # type: ignore[method-assign]


def keeps_two_links(node: Node) -> None:
    def wrong(link: Link) -> None:
        del node.core.links.by_conn[link.conn]

    node.core.links.withdraw = wrong  # type: ignore[method-assign]


def forgets_subscriptions(node: Node) -> None:
    links = iter(range(1000))
    tell = node.core.announcer.tell_interest
    node.core.announcer.tell_interest = lambda link: (  # type: ignore[method-assign]
        tell(link) if next(links) < 3 else None
    )


def forgets_topics(node: Node) -> None:
    announce = node.core.announcer.tell_topics

    def wrong(link: Link) -> None:
        if node.random.random() < 0.9:
            announce(link)
        else:
            node.core.effects.control(link, codec.encode_topics((), complete=True))

    node.core.announcer.tell_topics = wrong  # type: ignore[method-assign]


def overdraws_credit(node: Node) -> None:
    take = node.core.take_sends

    def wrong(now: float) -> list[tuple[bytes, tuple[bytes, ...]]]:
        for link in node.core.links.by_node.values():
            link.data.limit_msgs += 1
        return take(now)

    node.core.take_sends = wrong  # type: ignore[method-assign]


def queues_without_bound(node: Node) -> None:
    node.core.hosting.room = lambda topic: 1000  # type: ignore[method-assign]


def loses_publishes(node: Node) -> None:
    steer = node.core.remote.steer

    def wrong(node_id: str, *, again: Path | None = None) -> None:
        for outbox in node.core.remote.outboxes.get(node_id, {}).values():
            outbox.kept.clear()
        steer(node_id, again=again)

    node.core.remote.steer = wrong  # type: ignore[method-assign,assignment]


def orders_publishes_twice(node: Node) -> None:
    link_up = node.core.ingress.link_up

    def wrong(link: Link) -> None:
        # This happens on a new link. Behind relays, publishes after a gap are not ordered at all.
        node.core.publishers._by_incarnation.pop((link.node, link.incarnation), None)
        link_up(link)

    node.core.ingress.link_up = wrong  # type: ignore[method-assign]


def settles_what_it_did_not_order(node: Node) -> None:
    receive = node.core.ingress.on_publish

    def wrong(link: Link, batch: Batch, now: float) -> None:
        receive(link, batch, now)
        node.core.publishers.of(link, None).settled = batch.first + batch.msgs - 1

    node.core.ingress.on_publish = wrong  # type: ignore[method-assign]


def hides_a_restart(node: Node) -> None:
    node.core.remote.lose = lambda node, count: None  # type: ignore[method-assign]


def replays_twice(node: Node) -> None:
    """It asks for the last message again, and accepts it."""
    tell = node.core.announcer.tell_interest

    def wrong(link: Link) -> None:
        for by_node in node.core.subscriptions.positions.values():
            position = by_node.get(link.node)
            if position is not None and position.last:
                position.last -= 1
        tell(link)

    node.core.announcer.tell_interest = wrong  # type: ignore[method-assign]


def _begin_elsewhere(node: Node, where: Callable[[HostedTopic, int], int]) -> None:
    begin = node.core.feeds.begin

    def wrong(subscriber: Subscriber, topic: HostedTopic, epoch: int, last: int) -> int:
        if epoch == topic.epoch:
            last = where(topic, last)
        return begin(subscriber, topic, epoch, last)

    node.core.feeds.begin = wrong  # type: ignore[method-assign]


def replay_skips_one(node: Node) -> None:
    _begin_elsewhere(node, lambda topic, last: last + 1)


def goes_live_without_replay(node: Node) -> None:
    _begin_elsewhere(node, lambda topic, last: topic.head)


def replay_drops_the_tail(node: Node) -> None:
    read = node.core.replay._read_on

    def wrong(subscriber: Subscriber, topic: HostedTopic, most: int) -> int:
        used = read(subscriber, topic, min(most, 1))
        if topic in subscriber.cursors:
            subscriber.cursors[topic] = topic.head + 1
            node.core.replay._go_live(subscriber, topic)
        return used

    node.core.replay._read_on = wrong  # type: ignore[method-assign]


def live_overtakes_replay(node: Node) -> None:
    """Messages published during a replay are sent at once."""
    behind = node.core.replay.fall_behind

    def wrong(subscriber: Subscriber, topic: HostedTopic, first: int) -> None:
        behind(subscriber, topic, first)
        if subscriber.link is not None:
            topic.live.append(subscriber)

    def right(subscriber: Subscriber, topic: HostedTopic) -> None:
        node.core.replay.stop(subscriber, topic)

    node.core.replay.fall_behind = wrong  # type: ignore[method-assign]
    node.core.replay._go_live = right  # type: ignore[method-assign]


def never_replays(node: Node) -> None:
    node.core.replay.run = lambda now: None  # type: ignore[method-assign]


def counts_one_too_few(node: Node) -> None:
    class Wrong(Position):
        __slots__ = ()

        def deliver(self, last: int) -> int | None:
            missed = Position.deliver(self, last)
            return missed - 1 if missed else missed

    class Positions(Subscriptions):
        __slots__ = ()

        def new_position(self, topic: str, node: str) -> Position:
            by_node = self.positions.setdefault(topic, {})
            if node not in by_node:
                by_node[node] = Wrong()
            return by_node[node]

    node.core.subscriptions.__class__ = Positions


def drops_what_is_needed(node: Node) -> None:
    node.core.replay._needing = lambda topic: []  # type: ignore[method-assign]


def dies_of_a_stranger(node: Node) -> None:
    stranger = node.core.handshake.first_frame

    def wrong(conn: bytes, parts: tuple[bytes, ...], now: float) -> None:
        if parts and parts[0][:1] not in (b"\x01", b"\x03", b"\x04"):
            for link in list(node.core.links.by_node.values()):
                node.core.lost(link.conn, "closed", now)
        stranger(conn, parts, now)

    node.core.handshake.first_frame = wrong  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (repeats, "comes twice|comes after"),
        (loses, "says missed|up to|lost"),
        (reorders, "comes after|says missed"),
        (invents, "is .*, not "),
        (hides_losses, "says missed 0"),
        (counts_unknown_as_none_missed, "nobody told the end|says missed"),
        (tells_nobody, "was never told|before the notice"),
        (tells_twice, "which it was not"),
        (tells_too_early, "after the notice"),
        (trusts_silence, "has not noticed|has no link"),
        (cries_wolf, "to which nothing was done"),
        (accuses_after_its_own_sleep, "to which nothing was done"),
        (never_beats, "to which nothing was done"),
        (overlooks_ends, "keeps a link"),
        (never_backs_off, "waits .* s for"),
        (dials_once, "has no link|too late"),
        (keeps_two_links, "2 connections with|protocol"),
        (forgets_subscriptions, "is fed 0 times"),
        (forgets_topics, "knows |never announced"),
        (overdraws_credit, "protocol|credit"),
        (queues_without_bound, "queues "),
        # Nothing comes behind the last that a host does not get, and settles it: it waits for ever.
        (loses_publishes, "never restarted|REMOTE topics were lost|does not know what"),
        (orders_publishes_twice, "accepted for None|after number"),
        (settles_what_it_did_not_order, "never restarted"),
        (hides_a_restart, "publishes to REMOTE topics were lost"),
        (replays_twice, "comes twice"),
        (replay_skips_one, "which the buffer held"),
        (goes_live_without_replay, "which the buffer held"),
        (replay_drops_the_tail, "which the buffer held|up to"),
        (live_overtakes_replay, "which the buffer held"),
        (never_replays, "has something waiting"),
        (counts_one_too_few, "says missed"),
        (drops_what_is_needed, "on a link that was up"),
        (dies_of_a_stranger, "to which nothing was done"),
    ],
)
def test_oracle_catches_a_core_that(wrong: Callable[[Node], None], said: str) -> None:
    """An oracle that passes everything proves nothing."""
    assert_caught(wrong, said, SEEDS_TO_CATCH)


def test_trace_tells_what_was_done_and_what_followed() -> None:
    """A person who debugs a violation reads this."""
    lines = trace_of(partial(draw, 3))
    assert any("starts, life 1" in line for line in lines)
    assert any("link_up" in line for line in lines)
    assert any("all faults have ended" in line for line in lines)
