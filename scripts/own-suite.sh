#!/usr/bin/env bash
# Runs examples/own-suite as an outside project: installs the wheel of this clone into an environment
# of its own, and runs the suite in a folder outside of the clone.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$python" -m pip wheel --quiet --no-deps --wheel-dir "$work/wheels" "$root"
"$python" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    "$(echo "$work"/wheels/*.whl)[testbed]" pytest pytest-xdist
cp -r "$root/examples/own-suite" "$work/suite"
cd "$work/suite"
unset PYTHONPATH
"$work/venv/bin/python" -P -c "import spot, sys; sys.exit(not spot.__file__.startswith('$work'))"
export SPOT_STATE_DIR=$work/state BACKEND=${BACKEND:-process}
"$work/venv/bin/pytest" -n 2 -q "$@"
