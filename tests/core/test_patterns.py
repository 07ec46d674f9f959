"""Patterns against a plain reference, one by one and as a set."""

import time

from hypothesis import given
from hypothesis import strategies as st

from spot.core.topics.patterns import Pattern, Patterns, may_overlap
from tests.core.fixed import examples

WORDS = st.text("ab:é", max_size=12)
PATTERNS = st.text("ab:é*", min_size=1, max_size=9)


def reference(pattern: str, topic: str) -> bool:
    """Whether a pattern matches, by dynamic programming over all prefixes of both."""
    row = [True] + [False] * len(topic)
    for char in pattern:
        if char == "*":
            for at in range(1, len(row)):
                row[at] = row[at] or row[at - 1]
        else:
            row = [False] + [before and topic[at] == char for at, before in enumerate(row[:-1])]
    return row[-1]


@examples(500)
@given(pattern=PATTERNS, topic=WORDS)
def test_pattern_matches_as_the_reference_does(pattern: str, topic: str) -> None:
    # Greedy matching is quick and easy to get wrong at the ends.
    assert Pattern(pattern).matches(topic) is reference(pattern, topic)


@examples(300)
@given(pieces=st.lists(WORDS, min_size=1, max_size=5), between=st.lists(WORDS, max_size=4))
def test_pattern_matches_what_it_was_made_from(pieces: list[str], between: list[str]) -> None:
    # Random topics seldom match a long pattern; these always do.
    between = (between + [""] * len(pieces))[: len(pieces) - 1]
    topic = pieces[0] + "".join(gap + piece for gap, piece in zip(between, pieces[1:], strict=True))
    assert Pattern("*".join(pieces)).matches(topic)


@examples(500)
@given(topic=WORDS, cuts=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=3))
def test_patterns_that_match_one_topic_overlap(topic: str, cuts: list[tuple[int, int]]) -> None:
    # Whoever takes two for apart would take what one of them brings for stale.
    patterns = [topic, "*"]
    for first, length in cuts:
        patterns.append(topic[:first] + "*" + topic[first + length :])
    for one in patterns:
        assert Pattern(one).matches(topic)
        assert all(may_overlap(one, other) for other in patterns)


def test_patterns_whose_ends_differ_are_apart() -> None:
    assert not may_overlap("a:*", "b:*")
    assert not may_overlap("*:1", "a:*2")
    assert not may_overlap("a:1", "a:2*")


def test_worst_case_patterns_take_no_time() -> None:
    # Patterns come from peers: one that takes seconds to match would stop the node.
    topic = "a" * 254 + "c"
    patterns = ["*" + "a*" * 127, "*a" * 127 + "*b", "*" * 255, "*" + "aab*" * 63, "a" * 254 + "*b"]
    began = time.process_time()
    for text in patterns:
        pattern = Pattern(text)
        assert pattern.matches(topic) is reference(text, topic)
        for _ in range(1000):
            pattern.matches(topic)
    assert time.process_time() - began < 2.0


CHANGES = st.lists(st.tuples(st.booleans(), PATTERNS), max_size=40)


@examples(500)
@given(changes=CHANGES, topics=st.lists(WORDS, min_size=1, max_size=4))
def test_set_of_patterns_matches_as_they_do_one_by_one(
    changes: list[tuple[bool, str]], topics: list[str]
) -> None:
    # The index must find all that match, however their ends overlap, after any removal.
    patterns = Patterns()
    plain: dict[str, None] = {}
    for is_added, text in changes:
        if is_added:
            assert patterns.add(text) is (text not in plain)
            plain[text] = None
        else:
            assert patterns.remove(text) is (text in plain)
            plain.pop(text, None)
        assert list(patterns) == list(plain)
        for topic in topics:
            expected = {each for each in plain if reference(each, topic)}
            assert set(patterns.matching(topic)) == expected
            assert patterns.matches(topic) is bool(expected)


@examples(200)
@given(pieces=st.sets(st.text("abcd", min_size=1, max_size=3), max_size=60), topic=WORDS)
def test_pieces_between_stars_are_found_in_either_way(pieces: set[str], topic: str) -> None:
    # Few are looked for one by one, many by the windows of the topic.
    patterns = Patterns(f"*{piece}*" for piece in sorted(pieces))
    assert set(patterns.matching(topic)) == {f"*{piece}*" for piece in pieces if piece in topic}


TOPIC = "sensor:9999:temperature"


def test_time_of_a_match_does_not_grow_with_patterns_that_do_not_match() -> None:
    # A node with a thousand patterns would slow down every topic that anybody creates.
    for shape in (
        "nothing:{:04}:*",
        "*:nothing:{:04}",
        "sensor:*:{:04}",
        "*:{:04}:*",
        "s*:{:04}:*e",
    ):
        few, many = (Patterns(shape.format(n) for n in range(count)) for count in (40, 4_000))
        cost = []
        for patterns in (few, many):
            assert patterns.matching(TOPIC) == []
            cost.append(min(_seconds(patterns) for _ in range(5)))
        assert cost[1] < 5 * cost[0], f"{shape}: {cost}"


def _seconds(patterns: Patterns) -> float:
    began = time.process_time()
    for _ in range(200):
        patterns.matches(TOPIC)
    return time.process_time() - began


def test_patterns_made_to_be_slow_are_matched_no_slower_than_one_by_one() -> None:
    # They come from peers: every length of piece there is must not mean every window of each.
    topic = "a" * 255
    patterns = Patterns("*" + "a" * count + "b*" for count in range(1, 252))
    began = time.process_time()
    for _ in range(100):
        assert not patterns.matches(topic)
    assert time.process_time() - began < 1.0
