"""What a terminal can't show is escaped, whatever the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from spot import Spot
from tests.cli.test_command_line import ROOT

ODD = "kitchen:\u2603:\u6e29\u5ea6"
MARKUP = "[/red] :smile: [bold]x"


@pytest.fixture
def host() -> Iterator[Spot]:
    """A node with topics that not every terminal can show, and a thread that publishes to one."""
    with Spot(node_id="h\u00e4\u2603", bind=["tcp://127.0.0.1:0"], topics=[ODD, MARKUP]) as node:
        over = threading.Event()

        def publish() -> None:
            while not over.wait(0.05):
                node.publish(ODD, "\u2603 \u00e4".encode())

        thread = threading.Thread(target=publish)
        thread.start()
        yield node
        over.set()
        thread.join()


def _shown(encoding: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "spot", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": encoding, "COLUMNS": "120"},
        capture_output=True,
        timeout=60,
        check=False,
    )
    said = done.stderr.decode(errors="replace")
    assert done.returncode == 0, said
    assert "Traceback" not in said
    return done.stdout.decode("utf-8" if encoding == "ascii" else encoding)


@pytest.mark.parametrize("encoding", ["latin-1", "cp437", "ascii", "utf-8", "utf-8:strict"])
def test_topics_and_messages_are_shown_whatever_the_terminal(host: Spot, encoding: str) -> None:
    """One topic in a script that the terminal lacks hid all the others behind a traceback."""
    peer = ("--peer", host.endpoints[0])
    topics = _shown(encoding.partition(":")[0], "topics", *peer)
    assert MARKUP in topics, "a topic is text, and no markup"
    assert ("\u2603" in topics) is encoding.startswith("utf-8")
    assert ("kitchen:\\u2603:\\u6e29\\u5ea6" in topics) is not encoding.startswith("utf-8")
    shown = _shown(encoding.partition(":")[0], "subscribe", ODD, *peer, "--count", "1")
    whole = "\u2603 \u00e4" in shown
    assert whole or "\\u2603 \u00e4" in shown or "\\u2603 \\xe4" in shown
    as_json = _shown(encoding.partition(":")[0], "topics", "--json", *peer)
    assert {one["topic"] for one in json.loads(as_json)} == {ODD, MARKUP}


def test_check_of_a_node_is_shown_whatever_the_terminal(host: Spot, tmp_path: object) -> None:
    """The health check prints node ids, and must not fail by them."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYTHONIOENCODING": "ascii",
        "SPOT_NODE_ID": "\u2603",
        "SPOT_JOURNAL": "none",
        "SPOT_CONTROL": f"{tmp_path}/a.sock",
    }
    command = [sys.executable, "-m", "spot.program"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as node:
        deadline = time.monotonic() + 30
        while True:
            check = subprocess.run(
                [*command, "--check"], env=environment, capture_output=True, text=True, check=False
            )
            if check.returncode != 3:
                break
            assert time.monotonic() < deadline
        node.terminate()
    assert check.stdout.startswith("\\u2603: "), check
