import errno
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spot import Spot, TimedOut
from spot.program.commands import FIELDS, Commands
from spot.program.recorder import Recorder
from spot.program.settings import ProgramSettings
from spot.program.traffic import Traffic
from tests.library.waiting import receive, wait_until

DOCUMENTED = Path(__file__).parents[2] / "docs" / "journal.md"


class _Told:
    """A node with commands, a peer to use them on, and the journal of what was recorded."""

    def __init__(self, node: Spot, peer: Spot, journal: Path) -> None:
        self.node = node
        self.peer = peer
        self._journal = journal
        self._recorder = Recorder(str(journal))
        settings = ProgramSettings.from_env({"SPOT_RATE": "100"})
        self.traffic = Traffic(node, self._recorder, settings)
        self._commands = Commands(
            node, self._recorder, self.traffic, lambda: {"node": node.node_id}, self._synchronise
        )

    def _synchronise(self) -> list[str]:
        return sorted(self.node.cluster_sync(timeout=5))

    def tell(self, do: str, **fields: Any) -> dict[str, Any]:
        return self.say(json.dumps({"do": do, **fields}).encode())

    def say(self, line: bytes) -> dict[str, Any]:
        return self._commands.answer(line)

    def records(self) -> list[dict[str, Any]]:
        self._recorder.flush()
        lines = self._journal.read_text(encoding="utf-8").splitlines()
        return [record for line in lines if (record := json.loads(line))["kind"] == "command"]


@pytest.fixture
def told(tmp_path: Path) -> Iterator[_Told]:
    with (
        Spot(node_id="b", bind=["tcp://127.0.0.1:0"], topics=["b:data"]) as peer,
        Spot(node_id="a", cluster=[peer.endpoints[0]]) as node,
    ):
        node.cluster_sync(timeout=5)
        yield _Told(node, peer, tmp_path / "a.jsonl")


def _state(node: Spot) -> list[str]:
    return [peer.state for peer in node.peers()]


def test_status_is_what_is_answered_to_nothing(told: _Told) -> None:
    """Health checks, and people with socat, send nothing; and they must fill no journal."""
    assert told.say(b"") == told.say(b" ") == told.tell("status") == {"node": "a"}
    assert told.records() == []


def test_peer_is_removed_and_added(told: _Told) -> None:
    """Recovery by hand: the scenario of that name, and an operator, do just this."""
    endpoint = told.peer.endpoints[0]
    assert told.tell("remove", peer="b", endpoint=endpoint) == {"ok": True}
    assert _state(told.node) == []
    assert told.tell("add", peer="b", endpoint=endpoint) == {"ok": True}
    wait_until(lambda: _state(told.node) == ["up"], what="the link")
    assert told.tell("sync") == {"ok": True, "answers": [endpoint]}
    first = told.records()[0]
    assert first.items() >= {"do": "remove", "peer": "b", "endpoint": endpoint, "ok": True}.items()
    assert first["took"] >= 0


def test_peer_that_dials_us_is_removed_and_added_by_its_name(told: _Told) -> None:
    """Of a proxied pair only one end dials: the other knows no endpoint of it."""
    tell = _told_by(told.peer, told)
    assert tell("remove", peer="a") == {"ok": True}
    wait_until(lambda: _state(told.node) != ["up"], what="the end of the link")
    assert tell("add", peer="a") == {"ok": True}
    wait_until(lambda: _state(told.node) == ["up"], deadline_s=10, what="the link")


def _told_by(node: Spot, told: _Told) -> Any:
    return _Told(node, told.node, told._journal).tell


def test_topics_come_and_go_and_are_subscribed_to(told: _Told) -> None:
    """Failover by hand creates a topic elsewhere, and routes to it."""
    assert told.tell("create", topic="x") == {"ok": True}
    assert told.node.topic_is_local("x")
    again = told.tell("create", topic="x")
    assert (again["ok"], again["errno"]) == (False, 17)
    assert "'x'" in again["error"]
    for topic in ("b:data", "b:*"):
        assert told.tell("subscribe", topic=topic) == {"ok": True}
    told.peer.publish("b:data", b"one")
    assert [message.data for message in receive(told.node, 1)] == [b"one"]
    for topic in ("b:data", "b:*"):
        assert told.tell("unsubscribe", topic=topic) == {"ok": True}
    assert told.tell("unsubscribe", topic="b:data")["ok"] is False
    assert told.tell("destroy", topic="x") == {"ok": True}
    assert not told.node.topic_exists("x")
    assert told.tell("route", topic="y", peer="b", replace=True) == {"ok": True}


def test_backup_stands_by_and_is_routed_to(told: _Told) -> None:
    """The scenario of failover needs a standby, and a route that names it."""
    assert told.tell("create", topic="b:data", standby=True) == {"ok": True}
    assert told.tell("destroy", topic="b:data") == {"ok": True}
    assert told.tell("route", topic="b:data", peer="b", backups=["b"])["errno"] == errno.EINVAL
    assert told.records()[-1]["backups"] == ["b"]


def test_newest_messages_of_a_topic_are_kept_for_late_subscribers(told: _Told) -> None:
    """`last` of a topic that keeps nothing gives nothing, of another what there is."""
    tell = _told_by(told.peer, told)
    assert tell("create", topic="none", history_bytes=0) == {"ok": True}
    assert tell("create", topic="kept", history_bytes=65536) == {"ok": True}
    for topic in ("none", "kept"):
        assert tell("publish", topic=topic, data="one") == {"ok": True}
        assert tell("publish", topic=topic, data="two") == {"ok": True}
    told.node.cluster_sync(timeout=5)
    for topic in ("none", "kept"):
        assert told.tell("subscribe", topic=topic, last=1) == {"ok": True}
    assert [(one.topic, one.data) for one in receive(told.node, 1)] == [("kept", b"two")]
    assert told.node.recv(timeout=0) is None


def test_text_is_published(told: _Told) -> None:
    """What a person publishes must never be taken for the program's own numbered messages."""
    told.peer.subscribe("x")
    assert told.tell("create", topic="x") == {"ok": True}
    told.node.cluster_sync(timeout=5)
    told.node.wait_for_subscribers("x", 1)
    assert told.tell("publish", topic="x", data="hello") == {"ok": True}
    assert [message.data for message in receive(told.peer, 1)] == [b"hello"]
    assert "number" in told.tell("publish", topic="x", data="7 up")["error"]


def test_quiet_ends_the_traffic_and_delivers_it(told: _Told) -> None:
    """After it, whoever counts finds each message received or lost, and none on its way."""
    assert told.tell("quiet") == {"ok": True, "flushed": True}
    told.tell("create", topic="x")
    told.traffic.publish_own()  # returns at once: it is quiet for good


def test_sync_that_times_out_is_an_error(told: _Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that is down must be told, not waited for without end."""

    def late() -> list[str]:
        raise TimedOut("no answer within 5 s from b")

    monkeypatch.setattr(told._commands, "_synchronise", late)
    answer = told.tell("sync")
    assert (answer["ok"], answer["error"]) == (False, "no answer within 5 s from b")
    assert told.records()[0]["ok"] is False


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"hello", "one JSON object"),
        (b"[]", "one JSON object"),
        (b"\xff\xfe", "one JSON object"),
        (b"{}", "no command None"),
        (b'{"do": "explode"}', "no command 'explode'"),
        (b'{"do": ["quiet"]}', "no command"),
        (b'{"do": "remove"}', "needs the field 'peer'"),
        (b'{"do": "remove", "peer": 7}', "peer of remove must be text, not 7"),
        (b'{"do": "route", "topic": "t", "peer": "b", "replace": 1}', "must be true or false"),
        (b'{"do": "quiet", "topic": "t"}', "quiet has no field 'topic'"),
        (b'{"do": "create", "topic": "t", "at": 1}', "create has no field 'at'"),
        (b'{"do": "create", "topic": "t", "history_bytes": "1"}', "must be a whole number"),
        (b'{"do": "route", "topic": "t", "peer": "b", "backups": [1]}', "must be a list of texts"),
        (b'{"do": "subscribe", "topic": "t*", "last": 1}', "not with a pattern"),
    ],
)
def test_garbage_is_told_and_not_recorded(told: _Told, line: bytes, said: str) -> None:
    """A typing error must be named; and a journal holds what was done, nothing else."""
    answer = told.say(line)
    assert list(answer) == ["error"]
    assert said in answer["error"]
    assert told.records() == []


def test_commands_are_documented() -> None:
    """Other people's nodes are written against docs/journal.md."""
    table = DOCUMENTED.read_text(encoding="utf-8").partition("## Commands")[2]
    table = table.partition("## ")[0]
    rows = [line.split("|")[1:3] for line in table.splitlines() if line.startswith("| `")]
    documented = {
        name.strip(" `"): {field.strip(" `?") for field in fields.split(",") if field.strip()}
        for names, fields in rows
        for name in names.split(",")
    }
    documented.pop("do")  # the head of the table
    assert documented.pop("status") == set()
    assert documented == {name: set(fields) for name, fields in FIELDS.items()}
