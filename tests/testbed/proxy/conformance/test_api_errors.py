"""The HTTP API: wrong calls get Toxiproxy's own status codes and error bodies."""

import json

import pytest

from spot.testbed.proxy import Toxiproxy
from tests.testbed.proxy.http_call import Answer, call
from tests.testbed.proxy.wire import address_of, listening

PLAIN = "text/plain; charset=utf-8"
CANNOT = "bad request body: json: cannot unmarshal"
MANY = '[]struct { toxiproxy.Proxy; Enabled *bool "json:\\"enabled\\"" }'


def _error(status: int, text: str) -> Answer:
    body = json.dumps({"error": text, "status": status}, separators=(",", ":"))
    return Answer(status, PLAIN, body.replace("<", "\\u003c") + "\n")


@pytest.fixture
def url(toxiproxy: Toxiproxy) -> str:
    """A server that has a proxy ``p`` with a toxic ``s``."""
    toxiproxy.create("127.0.0.1:9", "p").add_toxic("slicer", name="s")
    return toxiproxy.url


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("", "EOF"),
        ("  ", "EOF"),
        ("{", "unexpected EOF"),
        ('{"name": "x"', "unexpected EOF"),
        ('{"name": "x', "unexpected EOF"),
        ('{"name": nul', "unexpected EOF"),
        ("nope", "invalid character 'o' in literal null (expecting 'u')"),
        ("<html>", "invalid character '<' looking for beginning of value"),
        ("'a'", "invalid character '\\'' looking for beginning of value"),
        ("{name: 1}", "invalid character 'n' looking for beginning of object key string"),
        ('{"name": "x",}', "invalid character '}' looking for beginning of object key string"),
        ('{"name" "x"}', "invalid character '\"' after object key"),
        ('{"name": "x" "y"}', "invalid character '\"' after object key:value pair"),
        ("[1 2]", "invalid character '2' after array element"),
        ('{"name": "x\ny"}', "invalid character '\\n' in string literal"),
        ('{"name": "\\q"}', "invalid character 'q' in string escape code"),
        ('{"name": "\\u12"}', "invalid character '\"' in \\u hexadecimal character escape"),
        ('{"name": -}', "invalid character '}' in numeric literal"),
        ('{"name": 01}', "invalid character '1' after object key:value pair"),
        ('{"name": 1.}', "invalid character '}' after decimal point in numeric literal"),
        ('{"name": 1e}', "invalid character '}' in exponent of numeric literal"),
        ('{"name": NaN}', "invalid character 'N' looking for beginning of value"),
        ("3", "json: cannot unmarshal number into Go value of type toxiproxy.Proxy"),
        ("[]", "json: cannot unmarshal array into Go value of type toxiproxy.Proxy"),
        (
            '{"name": 1}',
            "json: cannot unmarshal number into Go struct field Proxy.name of type string",
        ),
        (
            '{"upstream": {}}',
            "json: cannot unmarshal object into Go struct field Proxy.upstream of type string",
        ),
        (
            '{"enabled": "yes"}',
            "json: cannot unmarshal string into Go struct field Proxy.enabled of type bool",
        ),
    ],
)
def test_bodies_that_cannot_be_read(url: str, body: str, text: str) -> None:
    """Whoever drives it by hand finds the mistake by the words that others have asked about."""
    assert call(url, "POST", "/proxies", body) == _error(400, f"bad request body: {text}")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "text"),
    [
        ("POST", "/proxies", "{}", 400, "missing required field: name"),
        ("POST", "/proxies", "null", 400, "missing required field: name"),
        ("POST", "/proxies", '{"name": "x"}', 400, "missing required field: upstream"),
        ("POST", "/proxies", '{"name": "p", "upstream": "a:1"}', 409, "proxy already exists"),
        ("GET", "/proxies/none", None, 404, "proxy not found"),
        ("POST", "/proxies/none", "{}", 404, "proxy not found"),
        ("PATCH", "/proxies/none", "", 404, "proxy not found"),
        ("DELETE", "/proxies/none", None, 404, "proxy not found"),
        ("PATCH", "/proxies/p", "", 400, "bad request body: EOF"),
        (
            "PATCH",
            "/proxies/p",
            '{"enabled": 3}',
            400,
            f"{CANNOT} number into Go struct field Proxy.enabled of type bool",
        ),
        ("PATCH", "/proxies/p", '{"listen": "x"}', 500, "address x: missing port in address"),
        ("GET", "/proxies/none/toxics", None, 404, "proxy not found"),
        ("POST", "/proxies/none/toxics", "{}", 404, "proxy not found"),
        ("GET", "/proxies/none/toxics/s", None, 404, "proxy not found"),
        ("GET", "/proxies/p/toxics/none", None, 404, "toxic not found"),
        ("POST", "/proxies/p/toxics/none", "{}", 404, "toxic not found"),
        ("DELETE", "/proxies/p/toxics/none", None, 404, "toxic not found"),
        ("POST", "/proxies/p/toxics", "", 400, "bad request body: EOF"),
        ("POST", "/proxies/p/toxics", "{}", 400, "invalid toxic type"),
        ("POST", "/proxies/p/toxics", "null", 400, "invalid toxic type"),
        ("POST", "/proxies/p/toxics", '{"type": "packet_loss"}', 400, "invalid toxic type"),
        (
            "POST",
            "/proxies/p/toxics",
            '{"type": "noop", "stream": "sideways"}',
            400,
            "stream was invalid, can be either upstream or downstream",
        ),
        (
            "POST",
            "/proxies/p/toxics",
            '{"type": "noop", "name": "s"}',
            409,
            "toxic already exists",
        ),
        (
            "POST",
            "/proxies/p/toxics",
            "[]",
            400,
            f"{CANNOT} array into Go value of type toxics.ToxicWrapper",
        ),
        (
            "POST",
            "/proxies/p/toxics",
            '{"type": 5}',
            400,
            f"{CANNOT} number into Go struct field ToxicWrapper.type of type string",
        ),
        (
            "POST",
            "/proxies/p/toxics",
            '{"type": "noop", "toxicity": "x"}',
            400,
            f"{CANNOT} string into Go struct field ToxicWrapper.toxicity of type float32",
        ),
        (
            "POST",
            "/proxies/p/toxics",
            '{"type": "noop", "toxicity": 1e400}',
            400,
            f"{CANNOT} number 1e400 into Go struct field ToxicWrapper.toxicity of type float32",
        ),
        (
            "POST",
            "/proxies/p/toxics",
            '{"type": "latency", "attributes": 5}',
            400,
            f"{CANNOT} number into Go struct field ToxicWrapper.attributes "
            "of type toxics.NoopToxic",
        ),
        (
            "POST",
            "/proxies/p/toxics",
            '{"type": "latency", "attributes": {"latency": "5"}}',
            400,
            f"{CANNOT} string into Go struct field LatencyToxic.attributes.latency of type int64",
        ),
        (
            "POST",
            "/proxies/p/toxics",
            '{"type": "latency", "attributes": {"latency": 1.5}}',
            400,
            f"{CANNOT} number 1.5 into Go struct field LatencyToxic.attributes.latency "
            "of type int64",
        ),
        (
            "PATCH",
            "/proxies/p/toxics/s",
            '{"attributes": {"delay": 99999999999999999999}}',
            400,
            f"{CANNOT} number 99999999999999999999 into Go struct field "
            "SlicerToxic.attributes.delay of type int",
        ),
        (
            "PATCH",
            "/proxies/p/toxics/s",
            '{"attributes": 5}',
            400,
            f"{CANNOT} number into Go struct field .attributes of type toxics.SlicerToxic",
        ),
        (
            "PATCH",
            "/proxies/p/toxics/s",
            '{"toxicity": "x"}',
            400,
            f"{CANNOT} string into Go struct field .toxicity of type float32",
        ),
    ],
)
def test_wrong_calls(
    url: str, method: str, path: str, body: str | None, status: int, text: str
) -> None:
    """The same mistake has the same answer at both servers."""
    assert call(url, method, path, body) == _error(status, text)


@pytest.mark.parametrize(
    ("listen", "text"),
    [
        ("nowhere", "listen tcp: address nowhere: missing port in address"),
        ("127.0.0.1:99999", "listen tcp: address 99999: invalid port"),
        ("127.0.0.1:-1", "listen tcp: address -1: invalid port"),
        ("1:2:3", "listen tcp: address 1:2:3: too many colons in address"),
        ("127.0.0.1:nosuch", "listen tcp: lookup tcp/nosuch: unknown port"),
        ("192.0.2.1:80", "listen tcp 192.0.2.1:80: bind: cannot assign requested address"),
    ],
)
def test_addresses_that_cannot_be_listened_on(url: str, listen: str, text: str) -> None:
    """They are errors of the server, by Toxiproxy's reckoning, and leave nothing behind."""
    body = json.dumps({"name": "x", "upstream": "a:1", "listen": listen})
    assert call(url, "POST", "/proxies", body) == _error(500, text)
    assert call(url, "GET", "/proxies/x").status == 404


def test_port_that_is_taken(url: str) -> None:
    """When made, and when moved: then the proxy is left disabled, at its new address."""
    with listening() as taken:
        address = address_of(taken)
        expected = _error(500, f"listen tcp {address}: bind: address already in use")
        body = json.dumps({"name": "x", "upstream": "a:1", "listen": address})
        assert call(url, "POST", "/proxies", body) == expected
        assert call(url, "PATCH", "/proxies/p", json.dumps({"listen": address})) == expected
        shown = call(url, "GET", "/proxies/p").document
        assert (shown["listen"], shown["enabled"]) == (address, False)


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ("", 400, "bad request body: EOF"),
        ("{}", 400, f"{CANNOT} object into Go value of type {MANY}"),
        ("[5]", 400, f"{CANNOT} number into Go value of type {MANY[2:]}"),
        ("[{}]", 400, "missing required field: name at proxy 1"),
        (
            '[{"name": "x", "upstream": "a:1"}, {"name": "y"}]',
            400,
            "missing required field: upstream at proxy 2",
        ),
        (
            '[{"name": 5}]',
            400,
            f"{CANNOT} number into Go struct field .Proxy.name of type string",
        ),
        (
            '[{"name": "x", "upstream": "a:1", "enabled": "x"}]',
            400,
            f"{CANNOT} string into Go struct field .enabled of type bool",
        ),
        (
            '[{"name": "p", "upstream": "a:1", "listen": "x"}]',
            500,
            "address x: missing port in address",
        ),
    ],
)
def test_populate_errors(url: str, body: str, status: int, text: str) -> None:
    """They come with the proxies that were made, here none."""
    expected = {"error": text, "status": status, "proxies": None}
    answer = call(url, "POST", "/populate", body)
    assert (answer.status, answer.content_type) == (status, "application/json")
    assert answer.text == json.dumps(expected, separators=(",", ":"))


@pytest.mark.parametrize(
    "path", ["/", "/nothing", "/metrics", "/proxies/", "/proxies/p/x", "/proxies/p/toxics/s/x"]
)
def test_unknown_paths(url: str, path: str) -> None:
    """No JSON here, as nothing knows what was meant."""
    assert call(url, "GET", path) == Answer(404, PLAIN, "404 page not found\n")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/proxies"),
        ("HEAD", "/proxies"),
        ("DELETE", "/version"),
        ("GET", "/reset"),
        ("GET", "/populate"),
        ("PUT", "/proxies/p"),
        ("DELETE", "/proxies/p/toxics"),
        ("PUT", "/proxies/p/toxics/s"),
    ],
)
def test_methods_that_are_not_allowed(url: str, method: str, path: str) -> None:
    """An empty answer, and nothing done."""
    assert call(url, method, path) == Answer(405, "", "")
    assert call(url, "GET", "/proxies/p").document["enabled"]


def test_browsers_are_refused(url: str) -> None:
    """A web page must not drive a proxy on its visitor's machine."""
    answer = call(url, "POST", "/reset", user_agent="Mozilla/5.0 (X11)")
    assert answer == Answer(403, PLAIN, "User agent not allowed\n")
