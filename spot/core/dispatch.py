"""Which part of a node handles which record: one table for each state of a link.

On a link that is up, a record that no table names is skipped, so that later versions may add types.
Before the link is up, such a record ends the connection.
"""

from __future__ import annotations

from collections.abc import Callable

from spot.core.context import NodeContext
from spot.core.data.ingress import Ingress
from spot.core.data.receive import Receiver
from spot.core.data.remote_publishing import RemotePublishing
from spot.core.data.subscriber_messages import SubscriberFeeds
from spot.core.link import Link, LinkState
from spot.core.membership.barriers import Barriers
from spot.core.membership.dials import Dials
from spot.core.membership.failover import Failover
from spot.core.membership.handshake import Handshake
from spot.core.membership.heartbeats import Heartbeats
from spot.core.membership.lifecycle import Lifecycle
from spot.core.membership.links import GONE_LEFT, GONE_REPLACED, Links
from spot.core.membership.liveness import Liveness
from spot.core.membership.peer_announcements import PeerAnnouncements
from spot.core.relay.fetch import Fetch
from spot.core.relay.followers import Followers
from spot.core.relay.relay import Relay
from spot.core.topics.announced import Announced
from spot.core.topics.hosted_topic import Subscriber
from spot.core.wire import batches, codec
from spot.core.wire.codec import ProtocolError
from spot.core.wire.greeting import (
    decode_goodbye,
    decode_hello,
    decode_node_gone,
    decode_refusal,
    encode_goodbye,
)
from spot.core.wire.interests import decode_interest
from spot.core.wire.multi_batch import decode_multi

Handler = Callable[[Link, bytes, int, int, "bytes | None", float], None]
"""Handles a record. It gets the link, the frame, where the record's body begins and ends in the
frame, the large payload of the record, and the time."""
BodyHandler = Callable[[Link, bytes, float], None]
"""The same for a small record, whose body is copied into a bytes object."""
Tables = dict[LinkState, dict[int, Handler]]


def _of_body(handle: BodyHandler) -> Handler:
    def handler(
        link: Link, frame: bytes, start: int, end: int, _large: bytes | None, now: float
    ) -> None:
        handle(link, frame[start:end], now)

    return handler


def tables(
    context: NodeContext,
    *,
    subscribers: dict[Link, Subscriber],
    announced: dict[Link, Announced],
    links: Links,
    dials: Dials,
    handshake: Handshake,
    heartbeats: Heartbeats,
    liveness: Liveness,
    lifecycle: Lifecycle,
    barriers: Barriers,
    announcements: PeerAnnouncements,
    failover: Failover,
    feeds: SubscriberFeeds,
    receiver: Receiver,
    ingress: Ingress,
    remote: RemotePublishing,
    followers: Followers,
    fetch: Fetch,
    relay: Relay,
) -> Tables:
    """The tables of a node, made of its parts."""
    effects = context.effects

    # Batches, which are read in place in their frame.

    def on_data(
        link: Link, frame: bytes, start: int, end: int, large: bytes | None, now: float
    ) -> None:
        receiver.on_data(announced[link], batches.decode_batch(frame, start, end, large))

    def on_multi(
        link: Link, frame: bytes, start: int, end: int, large: bytes | None, now: float
    ) -> None:
        receiver.on_multi(announced[link], decode_multi(frame, start, end))

    def on_again(
        link: Link, frame: bytes, start: int, end: int, large: bytes | None, now: float
    ) -> None:
        fetch.on_again(announced[link], batches.decode_batch(frame, start, end, large))

    def on_publish(
        link: Link, frame: bytes, start: int, end: int, large: bytes | None, now: float
    ) -> None:
        if not context.leaving:
            ingress.on_publish(link, batches.decode_batch(frame, start, end, large), now)

    def on_forward(
        link: Link, frame: bytes, start: int, end: int, large: bytes | None, now: float
    ) -> None:
        if not context.leaving:
            sender, batch, record = batches.decode_forward(frame, start, end, large)
            ingress.on_forward(link, sender, batch, record, now)

    # The greeting.

    def on_hello(link: Link, body: bytes, now: float) -> None:
        handshake.on_answer(link, decode_hello(body), now)

    def on_refusal(link: Link, body: bytes, now: float) -> None:
        handshake.on_refusal(link, decode_refusal(body), now)

    def on_goodbye_to_dial(link: Link, body: bytes, now: float) -> None:
        dials.failed(link, decode_goodbye(body)[0], now)

    def on_confirm(link: Link, body: bytes, now: float) -> None:
        handshake.on_confirm(link, now)

    def on_end_of_greeting(link: Link, body: bytes, now: float) -> None:
        del links.by_conn[link.conn]

    def on_late_greeting(kind: int) -> BodyHandler:
        def handle(link: Link, body: bytes, now: float) -> None:
            raise ProtocolError(f"record type {kind} came on a link that is up")

        return handle

    # Links.

    def on_goodbye(link: Link, body: bytes, now: float) -> None:
        reason, heads = decode_goodbye(body)
        if reason == GONE_LEFT:
            links.send_now(link.conn, encode_goodbye(GONE_LEFT, {}))
            announcements.on_goodbye(announced[link], heads)
        lifecycle.down(link, reason, now, notice=reason != GONE_REPLACED)

    def on_heartbeat(link: Link, body: bytes, now: float) -> None:
        beat = codec.decode_heartbeat(body)
        heartbeats.on_heartbeat(link, beat, now)
        liveness.on_heartbeat(link, beat, now)

    def on_credit(link: Link, body: bytes, now: float) -> None:
        data, publishes = link.flows
        limits = codec.decode_credit(body)
        data.limit_msgs, data.limit_bytes, publishes.limit_msgs, publishes.limit_bytes = limits
        effects.touched[link] = None
        effects.progress = True

    def on_ping(link: Link, body: bytes, now: float) -> None:
        effects.control(link, codec.encode_nonce(codec.PONG, codec.decode_nonce(body)))

    def on_pong(link: Link, body: bytes, now: float) -> None:
        barriers.on_pong(codec.decode_nonce(body))

    def on_query(link: Link, body: bytes, now: float) -> None:
        effects.control(link, codec.encode_nonce(codec.QUERY_RESP, codec.decode_nonce(body)))

    def on_query_resp(link: Link, body: bytes, now: float) -> None:
        barriers.on_query_resp(link, codec.decode_nonce(body))

    def on_quorum(link: Link, body: bytes, now: float) -> None:
        failover.on_quorum(link, codec.decode_quorum(body))

    # Topics and subscriptions.

    def on_topics(link: Link, body: bytes, now: float) -> None:
        announcements.on_topics(announced[link], *codec.decode_topics(body), now)

    def on_topic_gone(link: Link, body: bytes, now: float) -> None:
        announcements.on_topic_gone(announced[link], *codec.decode_gone(body), now)

    def on_interest(link: Link, body: bytes, now: float) -> None:
        feeds.on_interest(subscribers[link], decode_interest(body))

    def on_interest_gone(link: Link, body: bytes, now: float) -> None:
        feeds.on_interest_gone(subscribers[link], decode_interest(body))

    def on_head(link: Link, body: bytes, now: float) -> None:
        receiver.on_head(announced[link], *codec.decode_head(body))

    def on_heads(link: Link, body: bytes, now: float) -> None:
        receiver.on_heads(announced[link], codec.decode_heads(body))

    def on_begin(link: Link, body: bytes, now: float) -> None:
        receiver.on_begin(announced[link], *codec.decode_begin(body))

    # Publishes to topics of other nodes.

    def on_settled(link: Link, body: bytes, now: float) -> None:
        remote.on_settled(link, *codec.decode_settled(body))

    def on_confirmed(link: Link, body: bytes, now: float) -> None:
        sender, number, refused = codec.decode_confirmed(body)
        if sender.node == context.node:
            remote.on_confirmed(sender, number, refused)
        else:
            relay.confirm(sender, number, refused)

    # Relays.

    def on_node(link: Link, body: bytes, now: float) -> None:
        announcements.on_node(announced[link], codec.decode_node(body), now)

    def on_node_gone(link: Link, body: bytes, now: float) -> None:
        announcements.on_node_gone(announced[link], *decode_node_gone(body), now)

    def on_follow(link: Link, body: bytes, now: float) -> None:
        followers.on_follow(subscribers[link], *codec.decode_follow(body))

    def on_unfollow(link: Link, body: bytes, now: float) -> None:
        followers.on_unfollow(subscribers[link], codec.decode_follow(body)[0])

    def on_fetch(link: Link, body: bytes, now: float) -> None:
        fetch.on_fetch(subscribers[link], *codec.decode_fetch(body))

    def on_fetched(link: Link, body: bytes, now: float) -> None:
        fetch.on_fetched(announced[link], *codec.decode_fetch(body))

    dialling: dict[int, BodyHandler] = {
        codec.HELLO: on_hello,
        codec.REFUSE: on_refusal,
        codec.GOODBYE: on_goodbye_to_dial,
    }
    answered: dict[int, BodyHandler] = {
        codec.CONFIRM: on_confirm,
        codec.REFUSE: on_end_of_greeting,
        codec.GOODBYE: on_end_of_greeting,
    }
    up: dict[int, BodyHandler] = {
        codec.HELLO: on_late_greeting(codec.HELLO),
        codec.CONFIRM: on_late_greeting(codec.CONFIRM),
        codec.REFUSE: on_late_greeting(codec.REFUSE),
        codec.GOODBYE: on_goodbye,
        codec.HEARTBEAT: on_heartbeat,
        codec.PING: on_ping,
        codec.PONG: on_pong,
        codec.QUERY: on_query,
        codec.QUERY_RESP: on_query_resp,
        codec.TOPICS: on_topics,
        codec.TOPIC_GONE: on_topic_gone,
        codec.INTEREST: on_interest,
        codec.INTEREST_GONE: on_interest_gone,
        codec.CREDIT: on_credit,
        codec.HEAD: on_head,
        codec.HEADS: on_heads,
        codec.SETTLED: on_settled,
        codec.NODE: on_node,
        codec.NODE_GONE: on_node_gone,
        codec.QUORUM: on_quorum,
        codec.FOLLOW: on_follow,
        codec.UNFOLLOW: on_unfollow,
        codec.FETCH: on_fetch,
        codec.FETCHED: on_fetched,
        codec.CONFIRMED: on_confirmed,
        codec.BEGIN: on_begin,
    }
    of_batches: dict[int, Handler] = {
        codec.DATA: on_data,
        codec.DATA_LARGE: on_data,
        codec.PUBLISH: on_publish,
        codec.PUBLISH_LARGE: on_publish,
        codec.AGAIN: on_again,
        codec.AGAIN_LARGE: on_again,
        codec.FORWARD: on_forward,
        codec.FORWARD_LARGE: on_forward,
        codec.MULTI_DATA: on_multi,
    }
    return {
        LinkState.DIALLING: {kind: _of_body(handle) for kind, handle in dialling.items()},
        LinkState.ANSWERED: {kind: _of_body(handle) for kind, handle in answered.items()},
        LinkState.UP: {kind: _of_body(handle) for kind, handle in up.items()} | of_batches,
    }
