"""What is missed after a topic's host was lost: told as unknown once, unless its stream goes on."""

from __future__ import annotations

from spot.core.topics.interest import Subscriptions


def begun(*nodes: str) -> Subscriptions:
    """A subscription to ``t`` that has begun at these hosts, each in epoch 1."""
    subscriptions = Subscriptions()
    subscriptions.add("t", pattern=False)
    for node in nodes:
        subscriptions.new_position("t", node).advance(1, 0)
    return subscriptions


def test_stream_that_goes_on_is_not_in_doubt() -> None:
    # The link was cut and is back: the counts stay exact.
    subscriptions = begun("a")
    subscriptions.stream_lost("t", "a", 1)
    assert subscriptions.stream_goes_on("t", "a", 1) == 0
    assert subscriptions.new_position("t", "a").deliver(1) == 0
    assert not subscriptions.in_doubt


def test_loss_is_told_by_the_next_host_though_its_own_stream_goes_on() -> None:
    # b took over, was lost before its first message, and is back: a's loss is not told yet.
    subscriptions = begun("a", "b")
    subscriptions.stream_lost("t", "a", 1)
    subscriptions.stream_lost("t", "b", 1)
    assert subscriptions.stream_goes_on("t", "b", 1) is None
    assert subscriptions.new_position("t", "b").deliver(1) is None


def test_loss_that_was_told_is_not_told_by_the_next_epoch() -> None:
    # A standby said None; the host that comes back with another epoch knows all of that epoch.
    subscriptions = begun("a", "b")
    subscriptions.stream_lost("t", "a", 1)
    assert subscriptions.stream_goes_on("t", "b", 1) is None
    position = subscriptions.new_position("t", "a")
    assert position.advance(2, 0) == 0
    assert position.deliver(1) == 0


def test_loss_after_the_stream_came_again_is_told() -> None:
    # What was told is over when the same stream is listened to, and lost, once more.
    subscriptions = begun("a", "b")
    subscriptions.stream_lost("t", "a", 1)
    subscriptions.stream_goes_on("t", "b", 1)
    subscriptions.stream_lost("t", "a", 1)
    assert subscriptions.new_position("t", "a").advance(2, 0) is None
    assert subscriptions.stream_goes_on("t", "a", 2) == 0, "it is counted already"
    assert subscriptions.new_position("t", "a").deliver(1) is None


def test_unknown_epoch_and_next_host_are_one_loss() -> None:
    # a crashed and came back: None is counted. b tells it, and a does not tell it again.
    subscriptions = begun("a", "b")
    subscriptions.stream_lost("t", "a", 1)
    assert subscriptions.new_position("t", "a").advance(2, 0) is None
    assert subscriptions.stream_goes_on("t", "b", 1) == 0
    assert subscriptions.new_position("t", "b").deliver(1) is None
    assert subscriptions.new_position("t", "a").deliver(1) == 0


def test_stream_that_was_begun_before_its_topic_was_announced_goes_on() -> None:
    # BEGIN overtakes the end of the last epoch; then the link is lost.
    subscriptions = begun()
    subscriptions.new_position("t", "a").advance(2, 5)
    subscriptions.stream_lost("t", "a", 1)
    assert subscriptions.stream_goes_on("t", "a", 2) == 0


def test_known_end_leaves_no_doubt() -> None:
    # A goodbye says how far the host got, also when another path to it was lost before.
    subscriptions = begun("a")
    subscriptions.stream_lost("t", "a", 1)
    subscriptions.stream_ended("t", "a", 1)
    assert not subscriptions.in_doubt
    subscriptions.new_position("t", "a").finish(0)
    subscriptions.stream_lost("t", "a", 1)
    assert not subscriptions.in_doubt


def test_subscription_that_has_not_begun_misses_nothing() -> None:
    subscriptions = begun()
    subscriptions.stream_lost("t", "a", 1)
    assert not subscriptions.in_doubt


def test_unsubscribe_forgets_the_loss() -> None:
    subscriptions = begun("a")
    subscriptions.stream_lost("t", "a", 1)
    subscriptions.remove("t", pattern=False)
    assert not subscriptions.in_doubt


def test_host_of_which_nothing_had_come_is_still_asked_for_all() -> None:
    # b had announced the topic, and was lost before its stream began: its messages are owed.
    subscriptions = begun("a")
    subscriptions.stream_lost("t", "a", 1)
    subscriptions.stream_lost("t", "b", 1)
    before = subscriptions.reached("t", "b")
    assert subscriptions.stream_goes_on("t", "a", 1) is None
    assert subscriptions.reached("t", "b") == before
