from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from spot.testbed.artefacts import find_plan, new_directory
from spot.testbed.report import UnknownRun


def test_runs_of_one_moment_have_directories_of_their_own(tmp_path: Path) -> None:
    """Two that wrote into one would be judged together."""
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: new_directory(tmp_path, "mesh"), range(40)))
    assert len(set(made)) == 40
    latest = (tmp_path / "mesh" / "latest").resolve()
    assert latest in made
    assert not list((tmp_path / "mesh").glob(".*"))


def test_plan_is_found_by_path_and_by_name(tmp_path: Path) -> None:
    """What a report prints must be enough to run it again; also if a killed run left no report."""
    directory = new_directory(tmp_path, "mesh")
    plan = directory / "plan.yaml"
    plan.write_text("title: t")
    for name in (str(directory), f"mesh/{directory.name}", "mesh/latest"):
        assert find_plan(tmp_path, name).resolve() == plan
    with pytest.raises(UnknownRun):
        find_plan(tmp_path, "mish")
