"""Who is listened to where several nodes host a topic."""

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from spot.core.link import Link, LinkState
from spot.core.topics.announced import RemoteTopic
from spot.core.topics.registry import Registry
from tests.core.fixed import examples


def subscribed(name: str) -> bool:
    return True


def link_of(node: str) -> Link:
    link = Link(node.encode(), LinkState.UP, 1, 0.0, 0.0)
    link.node = node
    return link


def remote(node: str, epoch: int, name: str = "t", *, standby: bool = False) -> RemoteTopic:
    return RemoteTopic(1, name, epoch, link_of(node), standby)


def host(registry: Registry, name: str = "t") -> str | None:
    topic = registry.host_of(name)
    return None if topic is None else topic.node


def test_a_subscriber_stays_with_the_host_it_has() -> None:
    # Changing hosts breaks the stream: it is done when it must be, not when somebody comes.
    registry = Registry(subscribed)
    registry.announce(remote("b", 50))
    registry.announce(remote("a", 10))
    assert host(registry) == "b"


def test_without_a_subscription_the_earliest_created_is_chosen() -> None:
    # Publishers, and subscribers to come, have no stream to stay with: all choose the same.
    wanted: set[str] = set()
    registry = Registry(wanted.__contains__)
    registry.announce(remote("b", 50))
    registry.announce(remote("a", 50))
    assert host(registry) == "a"
    registry.announce(remote("c", 10))
    assert host(registry) == "c"
    wanted.add("t")
    registry.announce(remote("d", 5))
    assert host(registry) == "c"
    wanted.clear()
    registry.choose_anew(["t"])
    assert host(registry) == "d"


def test_a_standby_is_listened_to_only_while_no_other_host_is_up() -> None:
    # However early it was created; and the stream goes back when there is another.
    registry = Registry(subscribed)
    registry.announce(remote("s", 1, standby=True))
    registry.announce(remote("r", 2, standby=True))
    assert host(registry) == "s"
    primary = remote("p", 9)
    registry.announce(primary)
    assert host(registry) == "p"
    registry.end_announcement(primary)
    assert host(registry) == "s"
    registry.announce(remote("p", 9))
    assert host(registry) == "p"
    registry.withdraw("t", "p")
    assert host(registry) == "s"


def test_a_node_that_stands_by_listens_to_the_host_that_does_not() -> None:
    # Its own topic is heard when it is the last.
    registry = Registry(subscribed)
    own = registry.create("t", 1, standby=True)
    assert registry.hears_itself(own)
    assert registry.listened("t") is None
    primary = remote("p", 9)
    registry.announce(primary)
    registry.announce(remote("s", 3, standby=True))
    assert registry.listened("t") is primary
    registry.end_announcement(primary)
    assert registry.hears_itself(own)
    assert registry.listened("t") is None
    registry.destroy(own)
    assert host(registry) == "s"
    plain = registry.create("t", 5)
    assert registry.hears_itself(plain)


def test_all_choose_the_same_after_a_loss() -> None:
    # The earliest created wins, then the lowest id, in whatever order they were announced.
    hosts = [("c", 10), ("b", 20), ("a", 20)]
    for order in permutations(hosts):
        registry = Registry(subscribed)
        topics = {node: remote(node, epoch) for node, epoch in order}
        first = remote("first", 1)
        for topic in (first, *topics.values()):
            registry.announce(topic)
        found = [host(registry)]
        for topic in (first, topics["c"], topics["a"]):
            registry.end_announcement(topic)
            found.append(host(registry))
        assert found == ["first", "c", "a", "b"]


def test_a_lost_host_stays_until_another_is_up() -> None:
    # A publish has to be able to say which host is unreachable.
    registry = Registry(subscribed)
    topic = remote("a", 1)
    registry.announce(topic)
    registry.end_announcement(topic)
    assert registry.host_of("t") is topic
    registry.announce(remote("b", 99))
    assert host(registry) == "b"
    registry.announce(remote("a", 1))
    assert host(registry) == "b", "a host that is back does not take the stream over"


def test_withdrawing_forgets_the_topic_with_its_last_host() -> None:
    # A topic that nobody hosts must not be listed.
    registry = Registry(subscribed)
    for node in ("a", "b"):
        registry.announce(remote(node, 1))
    registry.withdraw("t", "a")
    assert host(registry) == "b"
    registry.withdraw("t", "nobody")
    registry.withdraw("t", "b")
    registry.withdraw("t", "b")
    assert registry.host_of("t") is None
    assert registry.names() == set()
    registry.announce(remote("c", 5))
    assert host(registry) == "c", "the choice of before is forgotten"


def test_a_route_names_the_host_whoever_else_there_is() -> None:
    # The user said which one; nothing else may be taken, not even while it is lost.
    registry = Registry(subscribed)
    registry.announce(remote("a", 1))
    registry.routes["t"] = "b"
    registry.choose("t")
    assert registry.host_of("t") is None, "the routed host has not announced it yet"
    topic = remote("b", 2)
    registry.announce(topic)
    assert registry.host_of("t") is topic
    registry.end_announcement(topic)
    assert registry.host_of("t") is topic
    del registry.routes["t"]
    registry.choose("t")
    assert host(registry) == "a"


def test_numbers_of_local_topics_are_never_used_again() -> None:
    # A batch under way to a destroyed topic must not land in the next.
    registry = Registry(subscribed)
    first = registry.create("t", 1)
    registry.destroy(first)
    second = registry.create("t", 2)
    assert second.topic_id != first.topic_id
    assert registry.sent == {second.topic_id: second}


NODES = st.sampled_from("abcd")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("announce"), NODES, st.integers(1, 3)),
        st.tuples(st.just("lose"), NODES, st.just(0)),
        st.tuples(st.just("withdraw"), NODES, st.just(0)),
    ),
    max_size=25,
)


@examples(400)
@given(steps=STEPS)
def test_choice_over_any_history(steps: list[tuple[str, str, int]]) -> None:
    # Whatever came and went: a host that is up is chosen if there is one, and kept.
    registry = Registry(subscribed)
    hosts: dict[str, RemoteTopic] = {}
    for action, node, epoch in steps:
        before = registry.host_of("t")
        if action == "announce":
            hosts[node] = remote(node, epoch)
            registry.announce(hosts[node])
        elif action == "withdraw":
            hosts.pop(node, None)
            registry.withdraw("t", node)
        elif node in hosts:
            hosts[node].link = None
            registry.choose("t")
        now = registry.host_of("t")
        up = [topic for topic in hosts.values() if topic.link is not None]
        assert (now is None) == (not hosts)
        if now is None:
            continue
        assert hosts[now.node] is now
        if up:
            assert now.link is not None
            stays = (
                before is not None
                and before.node in hosts
                and (hosts[before.node].link is not None)
            )
            if stays and before is not None:
                assert now.node == before.node
            else:
                assert now is min(up, key=lambda topic: (topic.epoch, topic.node))
