"""Names with several addresses: which of them is dialled, and which comes next."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spot.runtime.resolver import AddressRotation
from tests.library.nodes import MakeNode, is_up
from tests.library.waiting import wait_until

NAME = "several.example"
GetAddresses = Callable[[], Sequence[str]]
AnswerName = Callable[[GetAddresses], None]


@pytest.fixture
def answer_name(monkeypatch: pytest.MonkeyPatch) -> AnswerName:
    """Has the system find the addresses that a function returns for ``NAME``."""
    ask_system = socket.getaddrinfo

    def answer(addresses: GetAddresses) -> None:
        def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> list[Any]:
            if host not in (NAME, NAME.encode()):
                return ask_system(host, port, *args, **kwargs)
            # The system gives each address once for each type of socket that it was asked for.
            return [
                item
                for address in addresses()
                for item in 2 * ask_system(address, port, *args, **kwargs)
            ]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    return answer


@pytest.mark.parametrize(
    ("addresses", "listens"),
    [
        (("127.0.0.2", "127.0.0.1"), "127.0.0.1"),
        (("127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.1"), "127.0.0.1"),
        (("127.0.0.1", "::1"), "::1"),
        (("::1", "127.0.0.1"), "127.0.0.1"),
        (("::1", "127.0.0.2", "127.0.0.1"), "127.0.0.1"),
    ],
)
def test_host_at_any_of_the_addresses_is_found(
    make_node: MakeNode,
    answer_name: AnswerName,
    addresses: tuple[str, ...],
    listens: str,
    free_ports: int,
) -> None:
    """All dials went to one address, the first of IPv4, so the host was never reached."""
    where = f"[{listens}]" if ":" in listens else listens
    make_node(node_id="host", bind=[f"tcp://{where}:{free_ports}"])
    answer_name(lambda: addresses)
    node = make_node(reconnect_max=0.2)
    node.cluster_add(f"tcp://{NAME}:{free_ports}", timeout=5)
    # Each dead address was dialled once.
    assert node.metrics().dials == addresses.index(listens) + 1


def test_address_that_takes_connections_and_says_nothing(
    make_node: MakeNode, answer_name: AnswerName, free_ports: int
) -> None:
    """A dial may fail late, without a word of the peer: the next one goes on all the same."""
    with socket.create_server(("127.0.0.2", free_ports)):
        make_node(node_id="host", bind=[f"tcp://127.0.0.1:{free_ports}"])
        answer_name(lambda: ("127.0.0.2", "127.0.0.1"))
        node = make_node(reconnect_max=0.2)
        node.cluster_add(f"tcp://{NAME}:{free_ports}", timeout=8)


def test_link_that_was_lost_is_dialled_where_it_was(
    make_node: MakeNode, answer_name: AnswerName, free_ports: int
) -> None:
    """A host that restarts is back after one dial, though its name has a dead address before."""
    here = f"tcp://127.0.0.1:{free_ports}"
    host = make_node(node_id="host", bind=[here])
    answer_name(lambda: ("127.0.0.2", "127.0.0.1"))
    node = make_node(reconnect_min=0.3, reconnect_max=0.3)
    node.cluster_add(f"tcp://{NAME}:{free_ports}", timeout=5)
    host.close()
    make_node(node_id="host", bind=[here])
    before = node.metrics().dials
    wait_until(lambda: not is_up(node, "host"))
    wait_until(lambda: is_up(node, "host"))
    assert node.metrics().dials == before + 1


def test_name_that_changes_is_asked_again_at_each_dial(
    make_node: MakeNode, answer_name: AnswerName, free_ports: int
) -> None:
    """A host that moves is found at its new address."""
    asked = []

    def addresses() -> Sequence[str]:
        asked.append(NAME)
        return ("127.0.0.2", "127.0.0.3") if len(asked) < 4 else ("127.0.0.4", "127.0.0.1")

    answer_name(addresses)
    make_node(node_id="host", bind=[f"tcp://127.0.0.1:{free_ports}"])
    node = make_node(reconnect_max=0.2)
    node.cluster_add(f"tcp://{NAME}:{free_ports}", timeout=5)
    assert len(asked) == node.metrics().dials == 5


def test_resolver_that_fails_in_any_way_is_asked_again(
    make_node: MakeNode, answer_name: AnswerName, free_ports: int
) -> None:
    """A plug-in of the system's, or another's patch, may raise what it likes."""
    failures = [RuntimeError("a plug-in has failed"), LookupError(), OSError("no network")]

    def addresses() -> Sequence[str]:
        if failures:
            raise failures.pop(0)
        return ("127.0.0.1",)

    answer_name(addresses)
    make_node(node_id="host", bind=[f"tcp://127.0.0.1:{free_ports}"])
    node = make_node(reconnect_max=0.2)
    node.cluster_add(f"tcp://{NAME}:{free_ports}", timeout=5)
    assert is_up(node, "host")


def test_address_of_the_node_itself_is_passed_over(
    make_node: MakeNode, answer_name: AnswerName, free_ports: int
) -> None:
    """One name for all nodes of a cluster leads each of them to another."""
    make_node(node_id="host", bind=[f"tcp://127.0.0.2:{free_ports}"])
    node = make_node(bind=[f"tcp://127.0.0.1:{free_ports}"], reconnect_max=0.2)
    answer_name(lambda: ("127.0.0.1", "127.0.0.2"))
    node.cluster_add(f"tcp://{NAME}:{free_ports}")
    wait_until(lambda: is_up(node, "host"))


# The rotation


def dials(rotation: AddressRotation, *answers: str) -> str:
    """Where so many dials go that all fail; each answer of the resolver is a word."""
    found = ""
    for answer in answers:
        found += rotation.pick("endpoint", tuple(answer))
        rotation.failed("endpoint")
    return found


@pytest.mark.parametrize(
    ("answers", "dialled"),
    [
        (["ab"] * 5, "ababa"),
        (["abc"] * 7, "abcabca"),
        # A name server may begin with another address in each answer.
        (["abc", "bca", "cab", "abc"], "abca"),
        (["abc", "cab", "bca", "abc"], "acba"),
        # Addresses come and go.
        (["ab", "ab", "bc", "bc", "bc"], "abcbc"),
        (["ab", "c", "ab", "ab"], "acab"),
    ],
)
def test_failed_dials_go_through_the_addresses(answers: list[str], dialled: str) -> None:
    """In the resolver's order, each once before any comes again."""
    assert dials(AddressRotation(), *answers) == dialled


def test_dial_that_did_not_fail_changes_nothing() -> None:
    """The address that works is kept, wherever it stands in the next answer."""
    rotation = AddressRotation()
    assert dials(rotation, "abc") == "a"
    assert [rotation.pick("endpoint", tuple(answer)) for answer in ("abc", "cab", "bca")] == [
        "b",
        "b",
        "b",
    ]
    # When it fails later, those that failed before it come last.
    rotation.failed("endpoint")
    assert dials(rotation, "abc", "abc") == "ca"


def test_endpoint_that_is_no_longer_dialled_is_forgotten() -> None:
    """Peers come and go: what is kept of them is bounded by those that are added."""
    rotation = AddressRotation()
    for at in range(100):
        rotation.pick(f"endpoint {at}", ("a", "b"))
        rotation.failed(f"endpoint {at}")
    rotation.keep({"endpoint 7"})
    assert rotation.pick("endpoint 7", ("a", "b")) == "b"
    assert rotation.pick("endpoint 8", ("a", "b")) == "a"
    assert len(rotation._dialled) == len(rotation._failed) == 2


@given(st.lists(st.permutations("abcd"), min_size=4, max_size=20))
def test_every_address_has_its_turn_in_any_order(answers: list[list[str]]) -> None:
    """Name servers that shuffle their answers starve no address."""
    found = dials(AddressRotation(), *("".join(answer) for answer in answers))
    for at in range(0, len(found) - 3, 4):
        assert sorted(found[at : at + 4]) == list("abcd")
