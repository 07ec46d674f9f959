"""The wrapped toxiproxy-python against servers that misbehave; conformance has the others."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import toxiproxy as toxiproxy_python  # type: ignore[import-untyped]
from toxiproxy.exceptions import (  # type: ignore[import-untyped]
    InvalidToxic,
    NotFound,
    ProxyExists,
)

from spot.testbed import ClusterError
from spot.testbed.proxy import (
    ProxyCallInvalid,
    ProxyConflict,
    ProxyError,
    ProxyNotFound,
    ProxyRefused,
    ProxyTimeout,
    ProxyUnreachable,
    Toxiproxy,
    open_server,
)
from tests.testbed.proxy.wire import listening

UPSTREAM = "127.0.0.1:9"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An embedded server."""
    server = open_server(tmp_path_factory.mktemp("proxy") / "log", kind="embedded")
    yield server.url
    server.stop()


@contextlib.contextmanager
def _server(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        do_POST = do_DELETE = do_GET  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def _answering(status: int, body: bytes) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def test_two_clients_have_two_addresses(url: str, tmp_path: Path) -> None:
    """In toxiproxy-python the address is the class's: two testbeds would share one server."""
    other = open_server(tmp_path / "log", kind="embedded")
    try:
        first, second = Toxiproxy(url), Toxiproxy(other.url)
        first.create(UPSTREAM, "here")
        second.create(UPSTREAM, "there")
        assert set(first.proxies()) == {"here"}
        assert set(second.proxies()) == {"there"}
        second.update_api_consumer("127.0.0.1", int(url.rpartition(":")[2]))
        assert second.url == url
        assert first.destroy(first.proxies()["here"])
        assert second.proxies() == {}
    finally:
        other.stop()


def test_plain_toxiproxy_python_is_untouched(url: str) -> None:
    """A user's own suite may use it beside us, at its own address."""
    Toxiproxy(url)
    assert toxiproxy_python.api.APIConsumer.port == 8474
    assert issubclass(Toxiproxy, toxiproxy_python.Toxiproxy)


def test_proxy_in_use(url: str) -> None:
    """The whole life of a proxy by the calls that toxiproxy-python has."""
    client = Toxiproxy(url)
    assert client.running()
    assert client.version() == "2.12.0"
    proxy = client.create(UPSTREAM, "life of a proxy, é")
    assert proxy.enabled
    with proxy.down():
        assert not client.proxies()[proxy.name].enabled
    assert proxy.refresh().enabled
    toxic = proxy.add_toxic("latency", attributes={"latency": 5})
    assert (toxic.name, toxic.attributes) == ("latency_downstream", {"latency": 5, "jitter": 0})
    changed = proxy.update_toxic(toxic.name, attributes={"jitter": 1}, toxicity=0.5)
    assert (changed.attributes, changed.toxicity) == ({"latency": 5, "jitter": 1}, 0.5)
    assert proxy.get_toxic(toxic.name).stream == "downstream"
    assert proxy.get_toxic("another") is None
    proxy.destroy_toxics()
    assert proxy.toxics() == {}
    client.destroy_all()
    assert client.proxies() == {}


def test_names_are_quoted(url: str) -> None:
    """A name must not lead to another call."""
    client = Toxiproxy(url)
    proxy = client.create(UPSTREAM, "a b?c#d%2e")
    assert client.get_proxy("a b?c#d%2e") is not None
    proxy.add_toxic("noop", name="x y?")
    assert proxy.destroy_toxic("x y?")
    assert proxy.destroy()


@pytest.mark.parametrize("name", ["a/b", ".", ".."])
def test_names_that_no_call_could_reach(url: str, name: str) -> None:
    """Toxiproxy would take them, and never let go of them again."""
    with pytest.raises(ProxyError, match="can't name a proxy"):
        Toxiproxy(url).create(UPSTREAM, name)
    with pytest.raises(ProxyError, match="can't name a proxy"):
        Toxiproxy(url).populate([{"name": name, "upstream": UPSTREAM}])


def test_errors_say_what_was_wrong_and_can_be_caught_by_either_name(url: str) -> None:
    """Code written for toxiproxy-python catches its names, ours catches one root."""
    client = Toxiproxy(url)
    proxy = client.create(UPSTREAM, "errors")
    with pytest.raises(ProxyConflict, match="proxy already exists") as conflict:
        client.create(UPSTREAM, "errors")
    assert (conflict.value.status, conflict.value.reason) == (409, "proxy already exists")
    with pytest.raises(ProxyExists):
        client.create(UPSTREAM, "errors")
    with pytest.raises(ProxyCallInvalid, match="invalid toxic type"):
        proxy.add_toxic("packet_loss")
    with pytest.raises(InvalidToxic):
        proxy.add_toxic("packet_loss")
    with pytest.raises(ProxyNotFound, match="toxic not found"):
        proxy.destroy_toxic("none")
    with pytest.raises(NotFound):
        proxy.destroy_toxic("none")
    assert client.get_proxy("none") is None
    proxy.destroy()


def test_a_500_is_raised(url: str) -> None:
    """toxiproxy-python takes it for success, and the fault never happens."""
    with listening() as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ProxyRefused, match="address already in use") as refused:
            Toxiproxy(url).create(UPSTREAM, "taken", listen=address)
    assert refused.value.status == 500
    assert isinstance(refused.value, ClusterError)


def test_an_error_without_json_is_shown_as_it_is() -> None:
    """Something else may answer at that port."""
    with (
        _server(_answering(502, b"<h1>Bad Gateway</h1>")) as url,
        pytest.raises(ProxyRefused, match=r"Bad Gateway.*502"),
    ):
        Toxiproxy(url).reset()


def test_a_server_that_hangs_is_told_after_the_timeout() -> None:
    """Toxiproxy can lock up when a toxic is removed; a test run must not lock up with it."""
    release = threading.Event()

    def hang(handler: BaseHTTPRequestHandler) -> None:
        release.wait(10)
        handler.close_connection = True

    with _server(hang) as url:
        start = time.monotonic()
        with pytest.raises(ProxyTimeout, match=r"within 0\.1 s: restart it"):
            Toxiproxy(url, timeout=0.1).reset()
        took = time.monotonic() - start
        release.set()
    assert 0.1 <= took < 5.0


def test_no_server(free_ports: int) -> None:
    """The address is in the message, as it is what is wrong most often."""
    url = f"http://127.0.0.1:{free_ports}"
    client = Toxiproxy(url)
    with pytest.raises(ProxyUnreachable, match=url) as unreachable:
        client.proxies()
    assert isinstance(unreachable.value, ConnectionError)
    assert unreachable.value.__cause__ is not None
    assert not client.running()
    assert client.version() is None


def test_something_else_that_answers_is_no_proxy_server() -> None:
    """A web server on that port must not be taken for one."""
    with _server(_answering(200, b"<html></html>")) as url:
        assert not Toxiproxy(url).running()


def test_proxies_of_the_environment_are_not_used(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On machines that reach the web through a proxy, 127.0.0.1 is still this machine."""
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    assert Toxiproxy(url).running()


@pytest.mark.parametrize("url", ["", "ftp://127.0.0.1:8474", "http://127.0.0.1:port", "http://"])
def test_an_address_that_is_none(url: str) -> None:
    """A mistake in the environment is told before anything is dialled."""
    with pytest.raises(ProxyError, match="should look like http://127"):
        Toxiproxy(url)


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("127.0.0.1:1234", "http://127.0.0.1:1234"),
        ("http://toxiproxy", "http://toxiproxy:8474"),
        ("http://[::1]:1234/", "http://[::1]:1234"),
    ],
)
def test_an_address_as_people_write_it(given: str, url: str) -> None:
    """The scheme and Toxiproxy's own port may be left out."""
    assert Toxiproxy(given).url == url
