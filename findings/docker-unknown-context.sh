#!/usr/bin/env bash
# docker (the SDK for Python): a context that does not exist is this machine's engine.
#
# One would guess: docker.from_context("gone"), and from_env() with DOCKER_CONTEXT=gone, raise
#   ContextNotFound, as ContextAPI.set_current_context("gone") does, and as the docker command refuses
#   ("context not found"). A program that should work on a remote engine then stops at the typing error.
# What happens: both return a client of this machine's socket. What was meant for the other engine
#   (prune, remove, run) is done here. Whoever uses contexts must look whether the context is there.
# Package: docker 7.2.0, the first version that follows contexts.
# Source: docker/context/api.py, kwargs_from_context: "if ctx is None: return {}";
#   github.com/docker/docker-py/pull/3401.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check docker==7.2.0
mkdir "$work/config"
echo '{}' >"$work/config/config.json"

cat >"$work/look.py" <<'PYTHON'
import importlib.metadata
import os
import platform

import docker
from docker.context import ContextAPI
from docker.errors import ContextNotFound

print("python", platform.python_version(), "docker", importlib.metadata.version("docker"))
ContextAPI.create_context("there", host="tcp://192.0.2.1:2376")


def where(make):
    # A version is given, so that no engine is asked for its own.
    try:
        client = make(version="1.41")
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    found = client.api.base_url
    client.close()
    return found


seen = {
    'from_context("there")': where(lambda **kw: docker.from_context("there", **kw)),
    'from_context("gone")': where(lambda **kw: docker.from_context("gone", **kw)),
}
for name in ("there", "gone"):
    os.environ["DOCKER_CONTEXT"] = name
    seen[f"from_env() with DOCKER_CONTEXT={name}"] = where(docker.from_env)
try:
    ContextAPI.set_current_context("gone")
    seen['set_current_context("gone")'] = "no error"
except ContextNotFound as error:
    seen['set_current_context("gone")'] = f"ContextNotFound: {error}"
for what, came in seen.items():
    print(f"{what}: {came}")

local, remote = "http+docker://localhost", "https://192.0.2.1:2376"
expected = [remote, local, remote, local]
same = list(seen.values())[:4] == expected and "ContextNotFound" in list(seen.values())[4]
print("as described" if same else "CHANGED")
raise SystemExit(0 if same else 1)
PYTHON

env -u DOCKER_HOST -u DOCKER_CONTEXT -u DOCKER_TLS_VERIFY -u DOCKER_CERT_PATH \
    DOCKER_CONFIG="$work/config" "$work/venv/bin/python" "$work/look.py"
