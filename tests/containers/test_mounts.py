"""Folders that containers share with this machine: whatever they are called, seen or not."""

from __future__ import annotations

import shutil
from pathlib import Path

import docker
import pytest

from spot.testbed import Cluster, ContainersNotStarted
from spot.testbed.backends import docker as backend
from spot.testbed.backends.compose_project import write_project


@pytest.mark.parametrize("proxied", [False, True], ids=["direct", "proxied"])
def test_folders_may_have_any_name(
    client: docker.DockerClient, tmp_path: Path, proxied: bool
) -> None:
    """A colon was told as another machine's engine, as Docker's short syntax splits there."""
    odd = tmp_path / "a: b,c $HOME 'd' \"e\" #f"
    odd.mkdir()
    with Cluster(
        "two-node", backend="docker", proxied=proxied, rate=50, state=odd, files=odd / "files"
    ) as cluster:
        cluster.wait_ready()
    assert (odd / "files" / "a.jsonl").stat().st_size > 0


def test_folder_that_the_engine_does_not_see_is_named_and_not_made(
    client: docker.DockerClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was made on the engine's side, and stayed; SPOT said to allow more time."""
    files = tmp_path / "files"

    def written(*arguments: object) -> object:
        found = write_project(*arguments)  # type: ignore[arg-type]
        shutil.rmtree(files)  # as the engine of another machine would see it
        return found

    monkeypatch.setattr(backend, "write_project", written)
    cluster = Cluster("two-node", backend="docker", state=tmp_path, files=files)
    with pytest.raises(ContainersNotStarted, match=f"does not see {files}") as error:
        cluster.start()
    assert "SPOT_STATE_DIR" in str(error.value)
    assert not files.exists()
