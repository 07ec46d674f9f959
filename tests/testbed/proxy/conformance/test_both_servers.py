import warnings

import pytest

from spot.testbed.proxy import ProxyServer, find_toxiproxy


# The suite's filter would make this warning an error; here it shall be seen, and pass.
@pytest.mark.filterwarnings("default::UserWarning")
def test_conformance_runs_against_toxiproxy() -> None:
    """The embedded proxy is held to Toxiproxy: a run without it says so where it can be read."""
    if find_toxiproxy() is None:
        warnings.warn(
            "no toxiproxy-server on PATH, and TOXIPROXY_SERVER is not set: the conformance tests "
            "ran against the embedded proxy only. 'scripts/toxiproxy.sh FOLDER' builds it.",
            UserWarning,
            stacklevel=1,
        )


def test_conformance_is_to_this_version(server: ProxyServer) -> None:
    """Another version may behave otherwise; then these tests would mislead."""
    assert server.version == "2.12.0", "build the right one: scripts/toxiproxy.sh FOLDER"
