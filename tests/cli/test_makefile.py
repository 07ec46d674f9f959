import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def _make(*arguments: str) -> str:
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    ).stdout


def test_make_alone_lists_every_target() -> None:
    """A help that names no such target, or leaves one out, is worse than none."""
    listed = set(re.findall(r"^  make (\S+)", _make(), re.MULTILINE))
    phony = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    plain = {name for line in phony for name in line.split() if re.fullmatch("[a-z]+", name)}
    clusters = {
        f"{topology}-{verb}"
        for topology in ("mesh", "two-node", "hub-spoke")
        for verb in ("up", "status", "logs", "down")
    }
    assert listed == plain | clusters


def test_make_targets_run_the_spot_command() -> None:
    """`make mesh-up NODES=7` is how the README starts."""
    assert "spot up mesh --nodes 7 --rate 5" in _make("-n", "mesh-up", "NODES=7", "RATE=5")
    assert "spot logs two-node" in _make("-n", "two-node-logs")
    assert "spot down hub-spoke" in _make("-n", "hub-spoke-down")


def test_make_needs_no_step_before_it() -> None:
    """On a fresh clone the first target makes the virtual environment by itself."""
    steps = _make("-n", "-W", "pyproject.toml", "mesh-up")
    assert steps.index("-m venv") < steps.index("pip install") < steps.index("spot up mesh")
