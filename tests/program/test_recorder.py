import errno
import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from spot import Event, HostUnreachable, Message, NoQuorum, QueueFull, View
from spot.program.recorder import Recorder
from spot.testbed.journal import KINDS


def _records(path: Path) -> list[dict[str, Any]]:
    """The records, which have no other fields than scenarios may name."""
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for record in records:
        assert set(record) - {"kind", "at"} <= set(KINDS[record["kind"]]), record
    return records


def test_recorder_writes_what_the_contract_says(tmp_path: Path) -> None:
    """docs/journal.md is what checkers and other people's nodes are written against."""
    path = tmp_path / "a.jsonl"
    recorder = Recorder(str(path))
    recorder.publish(1.25, "t", 7)
    recorder.publish_error(1.5, "t", 8, QueueFull("the queue is full", topic="t"))
    recorder.recv(Message("t", b"7 ......", 3, 0, "b", 99))
    recorder.recv(Message("t", b"hello", 4, None, "b", 99))
    recorder.recv(Message("t", b"7@1a2b@c ....", 5, 0, "b", 99))
    recorder.host_unreachable(HostUnreachable("lost", node="b", topics=("t",), reason="closed"))
    recorder.event(Event("link_down", 2.5, node="b", reason="closed", delay=0.07))
    recorder.close()
    records = _records(path)
    assert records[0] == {"kind": "publish", "at": 1.25, "topic": "t", "counter": 7}
    assert records[1].items() >= {"kind": "publish_error", "at": 1.5, "counter": 8}.items()
    assert records[1]["errno"] == QueueFull.code
    assert records[2].items() >= {"kind": "recv", "topic": "t", "seq": 3, "missed": 0}.items()
    assert records[2].items() >= {"node": "b", "epoch": 99, "counter": 7}.items()
    assert records[3].items() >= {"missed": None, "counter": None}.items()
    assert "from" not in records[2]
    assert (
        records[4].items()
        >= {"counter": 7, "node": "b", "from": "c", "incarnation": "1a2b"}.items()
    )
    assert records[5].items() >= {"kind": "host_unreachable", "node": "b", "topics": ["t"]}.items()
    assert records[6] == {
        "kind": "link_down",
        "at": 2.5,
        "node": "b",
        "reason": "closed",
        "delay": 0.07,
    }


def test_recorder_tells_how_many_publishes_are_unknown(tmp_path: Path) -> None:
    """Of these alone a checker may not say that they must arrive, or must not."""
    recorder = Recorder(str(tmp_path / "a.jsonl"))
    error = HostUnreachable("b has restarted", node="b", topic="t", reason="restarted")
    error.unknown = 12
    recorder.publish_error(1.0, "t", 8, error)
    recorder.publish_error(2.0, "t", 9, NoQuorum("no majority", topic="t", node="b"))
    recorder.close()
    restarted, refused = _records(tmp_path / "a.jsonl")
    assert restarted.items() >= {"reason": "restarted", "unknown": 12}.items()
    assert refused["errno"] == errno.ENETUNREACH
    assert "unknown" not in refused


def test_recorder_tells_views_whole(tmp_path: Path) -> None:
    """A view that reaches nobody is the one that matters, and must not lose its fields."""
    recorder = Recorder(str(tmp_path / "a.jsonl"))
    view = View(3, "a", frozenset("abc"), frozenset(), 1.0, {"t": ("a", "b")}, False)
    recorder.event(Event("view", 1.0, view=view))
    recorder.close()
    (record,) = _records(tmp_path / "a.jsonl")
    assert record == {
        "kind": "view",
        "at": 1.0,
        "version": 3,
        "reachable": [],
        "quorum": False,
        "conflicts": {"t": ["a", "b"]},
    }


def test_recorder_takes_any_topic(tmp_path: Path) -> None:
    """A quote in a topic's name must not break the line that it stands in."""
    path = tmp_path / "a.jsonl"
    recorder = Recorder(str(path))
    topic = 'temp "küche" \\ 温度'
    recorder.publish(1.0, topic, 1)
    recorder.recv(Message(topic, b"1", 1, 0, topic, 1))
    recorder.close()
    assert [record["topic"] for record in _records(path)] == [topic, topic]


def test_recorder_reaches_the_disk_while_the_node_runs(tmp_path: Path) -> None:
    """A node that is killed must leave all but the last moments of its journal."""
    path = tmp_path / "a.jsonl"
    recorder = Recorder(str(path))
    stopped = threading.Event()
    thread = threading.Thread(target=recorder.run, args=(stopped,))
    thread.start()
    recorder.publish(1.0, "t", 1)
    begun = time.monotonic()
    while not path.read_text(encoding="utf-8"):
        assert time.monotonic() < begun + 5, "nothing was written"
        time.sleep(0.005)
    stopped.set()
    thread.join(timeout=5)
    recorder.close()
    assert len(_records(path)) == 1


def test_recorder_goes_on_after_a_line_that_was_cut(tmp_path: Path) -> None:
    """After kill -9 the next incarnation's first record must not be glued to half a line."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"kind":"publish","at":1.0}\n{"kind":"re')
    recorder = Recorder(str(path))
    recorder.record("start", version=1)
    recorder.close()
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[1] == '{"kind":"re'
    assert json.loads(lines[2])["kind"] == "start"


def test_recorder_loses_nothing_between_threads(tmp_path: Path) -> None:
    """All write at once, and a lost record would look like a lost message."""
    path = tmp_path / "a.jsonl"
    recorder = Recorder(str(path))
    stopped = threading.Event()

    def flush() -> None:
        while not stopped.is_set():
            recorder.flush()

    flusher = threading.Thread(target=flush)
    flusher.start()

    def publish(topic: str) -> None:
        for counter in range(5000):
            recorder.publish(0.0, topic, counter)

    threads = [threading.Thread(target=publish, args=(topic,)) for topic in ("t", "u")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stopped.set()
    flusher.join()
    recorder.close()
    records = _records(path)
    for topic in ("t", "u"):
        assert [r["counter"] for r in records if r["topic"] == topic] == list(range(5000))


def test_recorder_is_cheap(tmp_path: Path) -> None:
    """At thousands of messages a second the record must cost far less than the message."""
    recorder = Recorder("none")
    message = Message("sensor:temperature", b"123456 .....", 123456, 0, "node-a", 1718 * 10**15)
    times = []
    for _ in range(5):
        begun = time.process_time()
        for _ in range(2000):
            recorder.recv(message)
        times.append((time.process_time() - begun) / 2000)
    recorder.close()
    assert min(times) < 20e-6, f"{min(times) * 1e6:.1f} us a record"


def test_recorder_names_the_file_that_it_cannot_open(tmp_path: Path) -> None:
    """A wrong path must be told as such at the start, not as a bare errno."""
    with pytest.raises(OSError, match=r"journal .*missing/a\.jsonl: No such file"):
        Recorder(str(tmp_path / "missing" / "a.jsonl"))


def test_recorder_remembers_what_happened_lately() -> None:
    """The live view is made of it, with or without a journal; single messages would fill it."""
    recorder = Recorder("none")
    recorder.record("start", node="a")
    recorder.event(Event("link_up", 1.0, node="b"))
    recorder.publish(1.25, "t", 7)
    recorder.publish_error(1.5, "t", 8, QueueFull("the queue is full", topic="t"))
    recorder.recv(Message("t", b"7 ......", 3, 0, "b", 99))
    assert list(recorder.recent) == [{"kind": "link_up", "at": 1.0, "node": "b"}]
    for at in range(100):
        recorder.event(Event("dial", float(at), endpoint="tcp://x:1"))
    assert [one["at"] for one in recorder.recent] == [float(at) for at in range(84, 100)]
    recorder.close()
