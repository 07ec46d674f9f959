"""What of a subscription is kept."""

from hypothesis import given
from hypothesis import strategies as st

from spot.core.topics.interest import Interest, Subscriptions
from spot.core.wire import codec
from tests.core.fixed import examples
from tests.core.test_patterns import reference

NAMES = st.sampled_from(["a", "ab", "b", "a:b"])
GLOBS = st.sampled_from(["*", "a*", "*b", "a", "a:*"])
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.just(False), NAMES),
        st.tuples(st.just("add"), st.just(True), GLOBS),
        st.tuples(st.just("remove"), st.just(False), NAMES),
        st.tuples(st.just("remove"), st.just(True), GLOBS),
        st.tuples(st.just("arrive"), st.just(False), NAMES),
    ),
    max_size=30,
)


@examples(300)
@given(changes=CHANGES)
def test_interest_and_positions_follow_every_change(changes: list[tuple[str, bool, str]]) -> None:
    # A position that is kept too long replays into a new subscription; one that is dropped
    # while another subscription still wants the topic makes a gap silent.
    subscriptions = Subscriptions()
    exact: set[str] = set()
    globs: set[str] = set()
    positions: set[str] = set()

    def wanted(topic: str) -> bool:
        return topic in exact or any(reference(glob, topic) for glob in globs)

    for action, pattern, name in changes:
        of_kind = globs if pattern else exact
        if action == "add":
            assert subscriptions.add(name, pattern=pattern) is (name not in of_kind)
            of_kind.add(name)
        elif action == "remove":
            assert subscriptions.remove(name, pattern=pattern) is (name in of_kind)
            of_kind.discard(name)
            positions = {topic for topic in positions if wanted(topic)}
        elif wanted(name):
            subscriptions.new_position(name, "host")
            positions.add(name)
        assert {topic for topic in ("a", "ab", "b", "a:b") if subscriptions.wants(topic)} == {
            topic for topic in ("a", "ab", "b", "a:b") if wanted(topic)
        }
        assert set(subscriptions.positions) == positions
        assert len(subscriptions.interest) == len(exact) + len(globs)


def test_a_topic_and_a_pattern_of_the_same_text_are_two_subscriptions() -> None:
    # subscribe("a") and subscribe_pattern("a") end separately.
    interest = Interest()
    assert interest.add("a", pattern=False)
    assert interest.add("a", pattern=True)
    assert interest.remove("a", pattern=False)
    assert interest.wants("a")
    assert not interest.remove("a", pattern=False)
    assert interest.remove("a", pattern=True)
    assert not interest.wants("a")


def test_unsubscribe_forgets_the_position_and_a_reconnect_does_not() -> None:
    # Documented: only the user's own call forgets where the stream stood.
    subscriptions = Subscriptions()
    subscriptions.add("a", pattern=False)
    subscriptions.add("a*", pattern=True)
    position = subscriptions.new_position("a", "host")
    subscriptions.remove("a", pattern=False)
    assert subscriptions.position("a", "host") is position, "the pattern still wants it"
    subscriptions.remove("a*", pattern=True)
    assert not subscriptions.positions


def test_newest_are_asked_for_where_there_may_be_older_ones() -> None:
    # Who has announced all it has, and not this topic, owes it from its first message on.
    subscriptions = Subscriptions()
    subscriptions.add("t", pattern=False)
    subscriptions.newest["t"] = 7
    subscriptions.awaits("t", "a")
    assert subscriptions.entry("t", "a", pattern=False) == (0, 0, codec.EVERYTHING, "t")
    assert subscriptions.entry("t", "b", pattern=False) == (0, 0, 7, "t")
    subscriptions.new_position("t", "a").advance(5, 3)
    assert subscriptions.entry("t", "a", pattern=False) == (0, 5, 3, "t")
    subscriptions.remove("t", pattern=False)
    subscriptions.add("t", pattern=False)
    subscriptions.newest["t"] = 8
    assert subscriptions.entry("t", "a", pattern=False) == (0, 0, 8, "t")
