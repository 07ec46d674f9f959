"""What waits for recv: its order, and its notices."""

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spot.core.data.inbox import Delivery, Inbox, Notice
from spot.core.wire.batches import decode_batch, encode_batch, encode_large
from spot.core.wire.codec import DATA, RECORD_OVERHEAD
from spot.message import Message
from tests.core.fixed import examples


def delivery(first: int, payloads: tuple[bytes, ...], *, skip: int = 0) -> Delivery:
    return Delivery("t", "n", 7, first, 0, None, len(payloads), 0, payloads=payloads, skip=skip)


ITEMS = st.lists(
    st.one_of(
        st.tuples(st.just("deliver"), st.integers(1, 5), st.integers(0, 4)),
        st.tuples(st.just("notify"), st.integers(0, 2), st.integers(0, 3)),
        st.tuples(st.just("take"), st.just(0), st.just(0)),
    ),
    max_size=40,
)


@examples(300)
@given(items=ITEMS)
def test_order_and_merging_over_any_history(items: list[tuple[str, int, int]]) -> None:
    # What precedes an error comes first; a host that flaps must not fill the inbox.
    inbox = Inbox()
    model: list[object] = []
    unread: dict[str, Notice] = {}
    topics: dict[str, set[str]] = {}
    number = 0
    for action, first, second in items:
        if action == "deliver":
            number += 1
            one = delivery(number, (b"x",) * (first + second), skip=second)
            inbox.deliver(one)
            model.append(one)
        elif action == "notify":
            node = f"n{first}"
            notice = Notice(node, None, (f"t{second}",), f"reason {number}")
            inbox.notify(notice)
            topics.setdefault(node, set()).add(f"t{second}")
            if node not in unread:
                unread[node] = notice
                model.append(notice)
            assert unread[node].topics == tuple(sorted(topics[node]))
            assert unread[node].reason == f"reason {number}", "the newest reason is told"
        else:
            item = inbox.take()
            assert item is (model.pop(0) if model else None)
            if isinstance(item, Notice):
                del unread[item.node], topics[item.node]
        assert list(inbox.items) == model
        assert inbox.msgs == sum(one.count - one.skip for one in model if isinstance(one, Delivery))


def test_a_notice_that_was_read_is_followed_by_another() -> None:
    # Once a lost host and outage: the next outage is told again.
    inbox = Inbox()
    for _ in range(2):
        inbox.notify(Notice("n", None, ("t",), "closed"))
        assert isinstance(inbox.take(), Notice)
        assert inbox.take() is None


@examples(150)
@given(
    payloads=st.lists(st.binary(max_size=5), min_size=1, max_size=8),
    first=st.integers(1, 100),
    missed=st.one_of(st.none(), st.integers(0, 9)),
    data=st.data(),
)
def test_messages_of_a_delivery(
    payloads: list[bytes], first: int, missed: int | None, data: st.DataObject
) -> None:
    # Only the first says what was missed; those that were there before are not handed out again.
    skip = data.draw(st.integers(0, len(payloads) - 1))
    frame, _ = encode_batch(DATA, 1, first, payloads)
    batch = decode_batch(frame, RECORD_OVERHEAD, len(frame), None)
    found = Delivery(
        "t", "n", 7, first + skip, missed, None, len(payloads), 0, batch=batch, skip=skip
    ).messages()
    assert [message.data for message in found] == payloads[skip:]
    assert [message.seq for message in found] == list(range(first + skip, first + len(payloads)))
    assert [message.missed for message in found] == [missed] + [0] * (len(found) - 1)
    assert {(message.topic, message.node, message.epoch) for message in found} == {("t", "n", 7)}


def test_a_large_delivery_is_not_copied() -> None:
    # 64 MiB twice would be felt.
    payload = b"x" * 100_000
    frame = encode_large(17, 1, 5, payload)
    batch = decode_batch(frame, RECORD_OVERHEAD, len(frame), payload)
    (message,) = Delivery("t", "n", 7, 5, 0, None, 1, len(payload), batch=batch).messages()
    assert message.data is payload


def test_received_message_is_a_message() -> None:
    # The inbox makes it with code of its own. Nobody should notice that.
    (message,) = delivery(5, (b"x",)).messages()
    same = Message("t", b"x", 5, 0, "n", 7)
    assert isinstance(message, Message)
    assert message == same
    assert hash(message) == hash(same)
    assert repr(message) == repr(same)
    assert message._asdict() == same._asdict()
    assert message._replace(missed=2) == same._replace(missed=2)
    match message:
        case Message(topic, data):
            assert (topic, data) == ("t", b"x")
    for copied in (copy.copy(message), copy.deepcopy(message), pickle.loads(pickle.dumps(message))):
        assert copied == same
        assert isinstance(copied, Message)
    with pytest.raises(AttributeError):
        message.topic = "u"  # type: ignore[misc]
