from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keeps every run of these tests away from the clusters of whoever runs them."""
    directory = tmp_path / "state"
    monkeypatch.setenv("SPOT_STATE_DIR", str(directory))
    return directory
