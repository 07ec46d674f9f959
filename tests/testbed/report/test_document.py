import json
from pathlib import Path
from typing import Any

import pytest

from spot.testbed.report import BrokenReport, as_report, read_report, write_report
from tests.testbed.report import runs

DOCS = Path(__file__).parents[3] / "docs" / "report.md"

KINDS = ("passing", "failing", "unproved", "empty", "hostile")


@pytest.mark.parametrize("kind", KINDS)
def test_report_is_read_as_it_was_written(tmp_path: Path, kind: str) -> None:
    """Programs and `spot report` see what the run knew."""
    result = getattr(runs, kind)(tmp_path)
    write_report(result)
    # Half a character, which no encoding has, becomes a question mark.
    text = json.dumps(as_report(result), ensure_ascii=False).encode("utf-8", "replace")
    assert read_report(tmp_path / "report.json") == json.loads(text)


def test_report_has_the_fields_that_are_documented(tmp_path: Path) -> None:
    """The page in docs/ is what others write programs by."""
    write_report(runs.failing(tmp_path))
    document = json.loads((tmp_path / "report.json").read_text())
    lines = [line for line in DOCS.read_text().splitlines() if line.startswith("| `")]
    documented = {name.strip("` ") for line in lines for name in line.split("|")[1].split(",")}
    fault = document["faults"][0]
    fields = [*document, *fault]
    assert [name for name in fields if name not in documented] == []
    assert document["version"] == 1
    assert (document["scenario"], document["backend"], document["seed"], document["verdict"]) == (
        "cut",
        "process",
        None,
        "fail",
    )
    assert document["guarantees"][3] == {
        "name": "reconnect",
        "verdict": "fail",
        "evidence": [
            "1 of 1 broken links did not come back",
            "a: no message of b after 9.000 s",
            "b: no message of a after 9.000 s",
        ],
    }
    assert fault == {
        "name": "cut",
        "target": "a b",
        "start_s": 5.0,
        "end_s": 9.0,
        "proof": [
            {
                "wanted": "connections to the edge b-to-a are refused",
                "shown": True,
                "seen": "refused after 0.3 ms",
            }
        ],
        "detect_s": 0.004,
        "recover_s": 0.347,
        "missed": 41,
        "error": None,
    }


def test_fields_of_a_later_writer_are_ignored(tmp_path: Path) -> None:
    """Fields may be added without a new version."""
    write_report(runs.passing(tmp_path))
    path = tmp_path / "report.json"
    document = json.loads(path.read_text()) | {"weather": "fine"}
    path.write_text(json.dumps(document))
    assert read_report(path)["verdict"] == "pass"


def _without(document: dict[str, Any], *keys: str | int) -> None:
    *outer, last = keys
    place: Any = document
    for key in outer:
        place = place[key]
    del place[last]


def test_broken_report_is_named_with_what_is_wrong(tmp_path: Path) -> None:
    """A person mends or removes it; a traceback would not say which file it is."""
    path = tmp_path / "report.json"

    def complaint(text: str) -> str:
        path.write_text(text)
        with pytest.raises(BrokenReport) as caught:
            read_report(path)
        assert str(path) in str(caught.value)
        return str(caught.value)

    good = as_report(runs.passing(tmp_path))
    assert "not JSON" in complaint('{"version": 1, "scen')
    assert "no version" in complaint("[]")
    assert "version 2" in complaint(json.dumps({**good, "version": 2}))
    assert "verdict can't be 'maybe'" in complaint(json.dumps({**good, "verdict": "maybe"}))
    for keys in (
        ("scenario",),
        ("guarantees", 0, "evidence"),
        ("faults", 0, "end_s"),
        ("faults", 0, "proof", 0, "shown"),
    ):
        copy = json.loads(json.dumps(good))
        _without(copy, *keys)
        assert f"{keys[-1]} is missing" in complaint(json.dumps(copy))
    copy = json.loads(json.dumps(good))
    copy["faults"][0]["start_s"] = "soon"
    assert "faults[0].start_s can't be 'soon'" in complaint(json.dumps(copy))
    copy["faults"][0] = None
    assert "faults[0] is not an object" in complaint(json.dumps(copy))
    path.unlink()
    with pytest.raises(BrokenReport, match="can't be read"):
        read_report(path)
    path.mkdir()
    with pytest.raises(BrokenReport, match="can't be read"):
        read_report(path)
