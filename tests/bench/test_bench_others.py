"""The other contestants: each notices a lost message, or is named as missing with its remedy."""

from types import ModuleType
from unittest.mock import patch

import pytest

from bench.contestants import broker, nats_client, raw_multipart, redis_client, zenoh_peer
from bench.contestants import raw_pyzmq as raw
from bench.needs import find_program, missing, package, program, setting
from bench.rounds import Failed, play_round
from bench.row import Contestant, Load
from bench.rows import ROWS, Role, one_way
from bench.stage import Stage
from bench.traffic import payloads

LOAD = Load(messages=2_000, topics=10)


def _publish_with_a_loss(module: ModuleType, role: Role, stage: Stage) -> None:
    sent = payloads(stage.load)
    del sent[len(sent) // 2]
    with patch.object(module, "payloads", lambda load: sent):
        role(stage)


def multipart_that_loses(stage: Stage) -> None:
    _publish_with_a_loss(raw_multipart, raw_multipart.publisher, stage)


def topics_that_lose(stage: Stage) -> None:
    _publish_with_a_loss(raw, raw.topics_publisher, stage)


def zenoh_that_loses(stage: Stage) -> None:
    _publish_with_a_loss(zenoh_peer, zenoh_peer.publisher, stage)


def nats_that_loses(stage: Stage) -> None:
    _publish_with_a_loss(nats_client, nats_client.publisher, stage)


def redis_that_loses(stage: Stage) -> None:
    _publish_with_a_loss(redis_client, redis_client.publisher, stage)


@pytest.mark.parametrize(
    ("row_name", "contestant"),
    [
        ("multipart", one_way("faulty", multipart_that_loses, raw_multipart.subscriber)),
        ("topics", one_way("faulty", topics_that_lose, raw.topics_subscriber)),
        ("zenoh", one_way("faulty", zenoh_that_loses, zenoh_peer.subscriber)),
        (
            "nats",
            one_way("faulty", broker.nats_server, nats_that_loses, nats_client.subscriber),
        ),
        (
            "redis",
            one_way("faulty", broker.redis_server, redis_that_loses, redis_client.subscriber),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_lost_message_fails_the_round(row_name: str, contestant: Contestant) -> None:
    # Whoever is compared must be counted as strictly as SPOT is, or a loser of messages is fast.
    (row,) = (row for row in ROWS if row.name == row_name)
    if row.not_measured is not None:
        assert "install" in row.not_measured
        return
    with pytest.raises(Failed, match="message 1001 was due"):
        play_round(contestant, LOAD)


def test_missing_names_each_lack_once_with_its_remedy() -> None:
    # "Not measured" alone would leave the reader to find out how.
    absent = package("no_such_module", "no-such-package")
    server = program("no-such-server", "no-such-debian-package")
    assert missing([absent, server, absent]) == (
        "no-such-package is not installed (pip install no-such-package), "
        "no-such-server is not installed (apt-get install no-such-debian-package)"
    )
    assert missing([package("zmq", "pyzmq"), program("sh", "dash"), setting("sndhwm")]) is None
    assert missing([setting("no_such_setting")]) == "this SPOT has no no_such_setting"


def test_find_program_finds_what_the_path_has() -> None:
    # Servers of Debian stand in /usr/sbin, which a user's PATH may lack.
    assert find_program("sh") is not None
    assert find_program("no-such-server") is None
