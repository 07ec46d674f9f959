import resource
import socket
from collections.abc import Iterator

import pytest
import zmq

from spot.testbed import PortInUse
from spot.testbed.ports import LOOPBACK, PortReservation


@pytest.fixture
def reservation() -> Iterator[PortReservation]:
    reservation = PortReservation()
    yield reservation
    reservation.release()


def test_reserved_port_can_be_bound_by_its_node_again_and_again(
    reservation: PortReservation,
) -> None:
    """A node that is restarted must find its port free, though the testbed holds it."""
    (port,) = reservation.free(1)
    for _ in range(2):
        # Leaving the context waits until libzmq has closed the port.
        with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
            router.bind(f"tcp://{LOOPBACK}:{port}")


def test_reserved_port_refuses_dials_until_its_node_is_up(reservation: PortReservation) -> None:
    """A reservation that accepted would look like a node that hangs."""
    (port,) = reservation.free(1)
    with socket.socket() as dialler, pytest.raises(ConnectionRefusedError):
        dialler.connect((LOOPBACK, port))


def test_two_testbeds_never_choose_the_same_ports(reservation: PortReservation) -> None:
    """pytest-xdist starts clusters side by side."""
    other = PortReservation()
    ports = reservation.free(200) + other.free(200)
    other.release()
    assert len(set(ports)) == 400


def test_free_ports_lie_outside_what_the_kernel_gives_to_dials(
    reservation: PortReservation,
) -> None:
    """Fifty nodes make a thousand dials before the last node has bound its port."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        low, high = map(int, file.read().split())
    assert not [port for port in reservation.free(100) if low <= port <= high]


def test_base_port_that_is_taken_is_named_with_its_node(
    reservation: PortReservation, free_ports: int
) -> None:
    """Whoever asks for fixed ports must hear which one is in the way, and of whom."""
    with (
        socket.create_server((LOOPBACK, free_ports + 1)),
        pytest.raises(PortInUse, match=f"port {free_ports + 1} for node b is in use"),
    ):
        reservation.from_base(free_ports, ("a", "b"))


def test_base_port_out_of_range_is_refused(reservation: PortReservation) -> None:
    """65535 with three nodes would bind ports that don't exist."""
    with pytest.raises(PortInUse, match="not all from 1 to 65535"):
        reservation.from_base(65_534, ("a", "b", "c"))


@pytest.mark.parametrize(
    ("low", "high", "outside"), [(1024, 65_535, 0), (1, 65_535, 0), (10_003, 65_535, 3)]
)
def test_ports_come_from_within_the_range_of_dials_where_it_leaves_too_few(
    low: int,
    high: int,
    outside: int,
    reservation: PortReservation,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Hosts that are tuned for many connections said 'only 0 of 5 ports are free'."""
    monkeypatch.setattr("spot.testbed.ports._ephemeral_range", lambda: (low, high))
    ports = reservation.free(5 + outside)
    assert len(set(ports)) == 5 + outside
    assert sum(not low <= port <= high for port in ports) <= outside
    assert sum(low <= port <= high for port in ports) >= 5


def test_port_that_is_held_is_given_to_no_dial(
    reservation: PortReservation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason why ports within the range will do: the kernel passes over what is bound."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        low, high = map(int, file.read().split())
    monkeypatch.setattr("spot.testbed.ports.PORT_MIN", low)
    monkeypatch.setattr("spot.testbed.ports.PORT_MAX", high)
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    held = set(reservation.free(min((high - low) // 4, descriptors // 4)))
    with socket.create_server((LOOPBACK, 0), backlog=4096) as listener:
        dials = [socket.create_connection(listener.getsockname()) for _ in range(200)]
        assert not held & {dial.getsockname()[1] for dial in dials}
        for dial in dials:
            dial.close()
