"""Positions: what was received and what was missed always add up to what was published."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from spot.core.topics.position import Position
from tests.core.fixed import examples


@dataclass
class Epoch:
    """One creation of a topic: its batches (messages, arrives?, a head is told after?), and
    whether its end is known to the subscriber."""

    batches: list[tuple[int, bool, bool]]
    final: bool


EPOCHS = st.lists(
    st.builds(
        Epoch,
        st.lists(st.tuples(st.integers(1, 5), st.booleans(), st.booleans()), max_size=12),
        st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


@examples(250)
@given(start=st.integers(0, 100), epochs=EPOCHS)
def test_received_and_missed_add_up(start: int, epochs: list[Epoch]) -> None:
    # The one promise of the library: no message is lost in silence, and no loss is told twice.
    position = Position()
    position.advance(1, start)
    published = received = counted = owed = 0
    in_doubt = told_in_doubt = certain = unknown = 0
    lost_certainty = False
    for number, epoch in enumerate(epochs, start=1):
        head = start if number == 1 else 0
        for count, arrives, told in epoch.batches:
            if arrives:
                newly = position.advance(number, head)
                if newly is None:
                    unknown += 1
                else:
                    counted += newly
                missed = position.deliver(head + count)
                if missed is None:
                    told_in_doubt += 1
                else:
                    owed += missed
                received += count
            head += count
            if told:
                newly = position.advance(number, head)
                if newly is None:
                    unknown += 1
                else:
                    counted += newly
        published += head - (start if number == 1 else 0)
        known_before = position.epoch == number
        if epoch.final and known_before:
            counted += position.finish(head)
            certain += 1
        elif number < len(epochs):
            lost_certainty = True
            in_doubt += 1
    # What the last epoch still lacks is told by a head.
    newly = position.advance(len(epochs), head)
    if newly is None:
        unknown += 1
    else:
        counted += newly
    rest = position.owed
    if lost_certainty:
        assert received + counted <= published
        assert unknown <= in_doubt
        assert told_in_doubt <= unknown
    else:
        assert unknown == 0
        assert told_in_doubt == 0
        assert rest is not None
        assert received + counted == published
        assert received + owed + rest == published, "what the messages say differs from the total"


@examples(200)
@given(
    batches=st.lists(st.tuples(st.integers(1, 9), st.booleans()), min_size=1, max_size=30),
    final=st.booleans(),
    after=st.integers(1, 9),
    skipped=st.integers(0, 9),
)
def test_none_only_where_the_end_was_not_known(
    batches: list[tuple[int, bool]], final: bool, after: int, skipped: int
) -> None:
    # None alarms the user: it must stand where a crash hid the count, and nowhere else.
    position = Position()
    position.advance(7, 0)
    head = owed = received = 0
    for count, arrives in batches:
        if arrives:
            position.advance(7, head)
            missed = position.deliver(head + count)
            assert missed is not None
            owed += missed
            received += count
        head += count
    if final:
        position.finish(head)
    position.advance(8, skipped)
    missed = position.deliver(skipped + after)
    if final:
        assert missed is not None
        assert received + owed + missed == head + skipped
    else:
        assert missed is None
    # Once: the next message of the new epoch counts again.
    position.advance(8, skipped + after + 3)
    assert position.deliver(skipped + after + 4) == 3


def test_the_first_head_of_a_subscription_misses_nothing() -> None:
    # Who subscribes late did not miss what was published before.
    position = Position()
    assert position.advance(1, 1000) == 0
    assert position.deliver(1001) == 0


def test_a_head_told_twice_is_counted_once() -> None:
    # Heads come with every reconnect.
    position = Position()
    position.advance(1, 0)
    assert position.advance(1, 5) == 5
    assert position.advance(1, 5) == 0
    assert position.advance(1, 3) == 0
    assert position.owed == 5
    assert position.deliver(6) == 5


def test_a_finished_epoch_leaves_its_count_to_the_next_message() -> None:
    # A planned restart of the host loses no count.
    position = Position()
    position.advance(1, 10)
    assert position.finish(14) == 4
    assert position.advance(2, 2) == 2
    assert position.deliver(3) == 6
    assert not position.final, "the end of one epoch says nothing of the next"


def test_an_unknown_loss_is_not_made_known_by_later_counts() -> None:
    # Unknown and 3 is unknown, not 3.
    position = Position()
    position.advance(1, 10)
    assert position.advance(2, 0) is None
    assert position.advance(2, 3) == 3
    assert position.deliver(4) is None
    assert position.deliver(5) == 0


def test_an_epoch_that_comes_again_goes_on_where_it_was_left() -> None:
    position = Position()
    position.advance(1, 0)
    position.deliver(5)
    assert position.advance(2, 0) is None
    assert position.deliver(3) is None
    assert position.advance(1, 0) is None
    assert position.last == 5
    # Nothing of it was handed out: the other goes on without a doubt.
    assert position.advance(2, 4) == 1
    assert position.deliver(5) == 1
    assert position.advance(1, 6) is None
    assert position.deliver(7) is None
    assert position.advance(2, 5) is None
    assert position.last == 5
