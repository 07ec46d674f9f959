"""``docs/faults.md``, held to the catalogue."""

import re
from pathlib import Path

from spot.testbed.faults import FAULTS, parse_fault

PAGE = (Path(__file__).parents[3] / "docs" / "faults.md").read_text(encoding="utf-8")


def test_page_has_every_kind_and_no_other() -> None:
    """What can be broken is looked up there."""
    rows = [line.split("|")[1].strip() for line in PAGE.splitlines() if line.startswith("| `")]
    named = {row.strip("`").split()[0] for row in rows}
    assert named == set(FAULTS)


def test_what_the_page_writes_can_be_read() -> None:
    """An example that is refused teaches nothing."""
    for line in PAGE.splitlines():
        if line.startswith("| `"):
            text = line.split("|")[1].strip().strip("`")
            text = re.sub(r"\b(MS|KB_PER_S|N)\b", "9", re.sub(r"[\[\]…]", "", text))
            assert parse_fault(text).name == text.split()[0]
