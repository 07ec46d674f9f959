"""Makes ``fault.svg``: what ``spot status --watch`` shows while a link is cut, and after the heal.

    python docs/pictures/fault.py

Everything in it is what a real cluster of three processes did meanwhile.
"""

from __future__ import annotations

import io
import re
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

from spot.cli.display import picture
from spot.cli.happened import Happened
from spot.testbed import Cluster, ClusterStatus, inject, parse_fault
from spot.testbed.faults.by_hand import HandFault
from spot.testbed.status import rates_between

FILE = Path(__file__).with_suffix(".svg")
COLUMNS = 84
HELD_S = 2.0
SAMPLE_S = 1.0


def main() -> None:
    """Cuts, looks, heals, looks again."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), highlight=False)
    happened = Happened()
    with Cluster("mesh", proxied=True, rate=10) as cluster:
        happened.add(before := cluster.status())
        happened.forget()  # how it came up is another story
        with inject(cluster, fault := parse_fault("cut a b")) as active:
            active.prove()
            acting = HandFault(str(fault), active.window.began, active.window.is_proved, None)
            console.print(Text("$ spot fault cut a b\n$ spot status --watch", "bold"))
            time.sleep(HELD_S)
            _show(console, before, _look(cluster, happened), (acting,), happened)
        cluster.wait_ready()
        console.print(Text("\n$ spot heal\n$ spot status --watch", "bold"))
        before = _look(cluster, happened)
        time.sleep(SAMPLE_S)
        _show(console, before, _look(cluster, happened), (), happened)
    svg = console.export_svg(title="spot status --watch")
    # Nothing is fetched to show it: whoever looks has a monospaced font.
    svg = re.sub(r"@font-face {.*?}", "", svg, flags=re.DOTALL)
    FILE.write_text(svg.replace("Fira Code", "monospace"), encoding="utf-8")


def _look(cluster: Cluster, happened: Happened) -> ClusterStatus:
    status = cluster.status()
    happened.add(status)
    return status


def _show(
    console: Console,
    before: ClusterStatus,
    now: ClusterStatus,
    faults: tuple[HandFault, ...],
    happened: Happened,
) -> None:
    console.print(picture(now, rates_between(before, now), faults, happened))


if __name__ == "__main__":
    main()
