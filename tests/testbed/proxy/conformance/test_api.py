"""The HTTP API: what calls do and answer when they are right."""

import json
import re
from typing import Any

import pytest

from spot.testbed.proxy import Toxiproxy
from tests.testbed.proxy.http_call import Answer, call

UPSTREAM = "127.0.0.1:9"


def _created(toxiproxy: Toxiproxy, **values: Any) -> dict[str, Any]:
    given = json.dumps({"name": "p", "upstream": UPSTREAM, "listen": "127.0.0.1:0", **values})
    return _shown(call(toxiproxy.url, "POST", "/proxies", given), 201)


def _shown(answer: Answer, status: int = 200) -> dict[str, Any]:
    assert (answer.status, answer.content_type) == (status, "application/json")
    document: dict[str, Any] = answer.document
    document.pop("Logger", None)  # a field of Toxiproxy's own that got into its answers
    return document


def test_version(toxiproxy: Toxiproxy) -> None:
    """Clients ask for it to see whether the server is up."""
    answer = call(toxiproxy.url, "GET", "/version")
    assert answer == Answer(200, "application/json;charset=utf-8", '{"version": "2.12.0"}\n')


def test_created_proxy_shows_the_port_it_got(toxiproxy: Toxiproxy) -> None:
    """Port 0 is a free one, which the caller has to learn."""
    shown = _created(toxiproxy)
    assert re.fullmatch(r"127\.0\.0\.1:[1-9]\d+", shown.pop("listen"))
    assert shown == {"name": "p", "upstream": UPSTREAM, "enabled": True, "toxics": []}


@pytest.mark.parametrize(
    ("listen", "shown"),
    [
        ("", r"\[::\]:\d+"),
        (":0", r"\[::\]:\d+"),
        ("0.0.0.0:0", r"\[::\]:\d+"),
        ("localhost:0", r"127\.0\.0\.1:\d+"),
    ],
)
def test_listen_address_as_it_is_shown(toxiproxy: Toxiproxy, listen: str, shown: str) -> None:
    """In a container a proxy listens everywhere; names become addresses."""
    assert re.fullmatch(shown, _created(toxiproxy, listen=listen)["listen"])


def test_proxy_created_disabled_does_not_listen_yet(toxiproxy: Toxiproxy) -> None:
    """Its address stays what was asked for until it is enabled."""
    assert _created(toxiproxy, enabled=False)["listen"] == "127.0.0.1:0"
    enabled = _shown(call(toxiproxy.url, "POST", "/proxies/p", '{"enabled": true}'))
    assert enabled["enabled"]
    assert not enabled["listen"].endswith(":0")


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_update_changes_what_it_names(toxiproxy: Toxiproxy, method: str) -> None:
    """Neither the rest nor the name."""
    before = _created(toxiproxy)
    given = '{"upstream": "127.0.0.1:10", "name": "q", "enabled": null}'
    after = _shown(call(toxiproxy.url, method, "/proxies/p", given))
    assert after["upstream"] == "127.0.0.1:10"
    assert (after["name"], after["enabled"]) == ("p", True)
    assert after["listen"] == before["listen"]


def test_names_of_fields_are_compared_without_case(toxiproxy: Toxiproxy) -> None:
    """And what follows the first value is ignored, as is what nobody knows."""
    given = '{"NAME": "p", "Upstream": "127.0.0.1:9", "Listen": "127.0.0.1:0", "x": [1]} and more'
    assert _shown(call(toxiproxy.url, "POST", "/proxies", given), 201)["name"] == "p"


def test_names_of_proxies_may_be_encoded(toxiproxy: Toxiproxy) -> None:
    """A name with a space or an accent can be reached."""
    _created(toxiproxy, name="a <é> b")
    answer = call(toxiproxy.url, "GET", "/proxies/a%20%3C%C3%A9%3E%20b")
    assert _shown(answer)["name"] == "a <é> b"
    assert "\\u003c" in answer.text, "safe inside HTML, as Go writes it"


def test_index_holds_every_proxy_by_name(toxiproxy: Toxiproxy) -> None:
    """Sweeping finds a run's proxies in it."""
    _created(toxiproxy, name="b")
    _created(toxiproxy, name="a")
    shown = _shown(call(toxiproxy.url, "GET", "/proxies?anything"))
    assert list(shown) == ["a", "b"]
    assert shown["a"]["upstream"] == UPSTREAM


def test_delete_answers_nothing(toxiproxy: Toxiproxy) -> None:
    """204 has no body and no content type."""
    _created(toxiproxy)
    assert call(toxiproxy.url, "DELETE", "/proxies/p") == Answer(204, "", "")
    assert call(toxiproxy.url, "GET", "/proxies").text == "{}"


def test_reset_answers_nothing_and_reads_no_body(toxiproxy: Toxiproxy) -> None:
    """Whatever is sent along."""
    assert call(toxiproxy.url, "POST", "/reset", "garbage") == Answer(204, "", "")


def test_toxic_has_defaults(toxiproxy: Toxiproxy) -> None:
    """Downstream, all connections, named after both."""
    _created(toxiproxy)
    answer = call(toxiproxy.url, "POST", "/proxies/p/toxics", '{"type": "latency"}')
    expected = {
        "attributes": {"latency": 0, "jitter": 0},
        "name": "latency_downstream",
        "type": "latency",
        "stream": "downstream",
        "toxicity": 1,
    }
    assert _shown(answer) == expected
    assert answer.text == json.dumps(expected, separators=(",", ":"))
    assert _shown(call(toxiproxy.url, "GET", "/proxies/p/toxics/latency_downstream")) == expected


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [
        ("latency", {"latency": 1, "jitter": 2}),
        ("bandwidth", {"rate": 1}),
        ("timeout", {"timeout": 1}),
        ("reset_peer", {"timeout": 1}),
        ("limit_data", {"bytes": 1}),
        ("slicer", {"average_size": 1, "size_variation": 2, "delay": 3}),
        ("slow_close", {"delay": 1}),
        ("noop", {}),
    ],
)
def test_toxics_have_these_attributes(
    toxiproxy: Toxiproxy, kind: str, attributes: dict[str, int]
) -> None:
    """Whoever sets a wrong one gets no error, but no effect: so names must be right."""
    _created(toxiproxy)
    given = {"type": kind, "stream": "upstream", "attributes": {**attributes, "bogus": 1}}
    answer = call(toxiproxy.url, "POST", "/proxies/p/toxics", json.dumps(given))
    assert _shown(answer)["attributes"] == attributes


@pytest.mark.parametrize(
    ("given", "shown"), [("0.5", 0.5), ("0.123456789", 0.12345679), ("2", 2), ("-1", -1)]
)
def test_toxicity_is_a_number_of_32_bits(toxiproxy: Toxiproxy, given: str, shown: float) -> None:
    """And not checked, as a share above 1 is all."""
    _created(toxiproxy)
    body = f'{{"type": "noop", "toxicity": {given}}}'
    assert _shown(call(toxiproxy.url, "POST", "/proxies/p/toxics", body))["toxicity"] == shown


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_toxic_update_changes_attributes_and_toxicity_only(
    toxiproxy: Toxiproxy, method: str
) -> None:
    """A toxic keeps its name, type and stream for life."""
    _created(toxiproxy)
    first = '{"type": "slicer", "name": "s", "attributes": {"average_size": 10, "delay": 9}}'
    call(toxiproxy.url, "POST", "/proxies/p/toxics", first)
    change = (
        '{"attributes": {"delay": 5}, "toxicity": 0.5,'
        ' "name": "t", "type": "noop", "stream": "upstream"}'
    )
    assert _shown(call(toxiproxy.url, method, "/proxies/p/toxics/s", change)) == {
        "attributes": {"average_size": 10, "size_variation": 0, "delay": 5},
        "name": "s",
        "type": "slicer",
        "stream": "downstream",
        "toxicity": 0.5,
    }


def test_toxics_are_listed_upstream_first_in_the_order_they_act(toxiproxy: Toxiproxy) -> None:
    """The order is part of what they do."""
    _created(toxiproxy)
    for name, stream in (("a", "downstream"), ("c", "UPSTREAM"), ("b", "downstream")):
        body = json.dumps({"type": "noop", "name": name, "stream": stream})
        call(toxiproxy.url, "POST", "/proxies/p/toxics", body)
    listed = call(toxiproxy.url, "GET", "/proxies/p/toxics").document
    assert [(toxic["name"], toxic["stream"]) for toxic in listed] == [
        ("c", "UPSTREAM"),
        ("a", "downstream"),
        ("b", "downstream"),
    ]
    assert _shown(call(toxiproxy.url, "GET", "/proxies/p"))["toxics"] == listed
    assert call(toxiproxy.url, "DELETE", "/proxies/p/toxics/a") == Answer(204, "", "")
    assert len(call(toxiproxy.url, "GET", "/proxies/p/toxics").document) == 2


def test_populate_keeps_what_is_the_same_and_replaces_what_is_not(toxiproxy: Toxiproxy) -> None:
    """A testbed that attaches to a server again breaks nothing that stays."""
    same, other = _created(toxiproxy, name="same"), _created(toxiproxy, name="other")
    call(toxiproxy.url, "POST", "/proxies/same/toxics", '{"type": "noop"}')
    given = [
        {"name": "same", "upstream": UPSTREAM, "listen": same["listen"]},
        {"name": "other", "upstream": "127.0.0.1:10", "listen": other["listen"]},
        {"name": "new", "upstream": UPSTREAM, "listen": "127.0.0.1:0", "enabled": False},
    ]
    answer = call(toxiproxy.url, "POST", "/populate", json.dumps(given))
    shown = _shown(answer, 201)["proxies"]
    assert [proxy["name"] for proxy in shown] == ["same", "other", "new"]
    assert len(shown[0]["toxics"]) == 1
    assert shown[1]["upstream"] == "127.0.0.1:10"
    assert not shown[2]["enabled"]


@pytest.mark.parametrize("given", ["[]", "null"])
def test_populate_with_nothing_does_nothing(toxiproxy: Toxiproxy, given: str) -> None:
    """And says so the way Go does."""
    assert _shown(call(toxiproxy.url, "POST", "/populate", given), 201) == {"proxies": None}


def test_populate_keeps_what_it_made_before_an_error(toxiproxy: Toxiproxy) -> None:
    """The answer tells what is there, so that it can be taken away."""
    given = [
        {"name": "good", "upstream": UPSTREAM, "listen": "127.0.0.1:0"},
        {"name": "bad", "upstream": UPSTREAM, "listen": "nowhere"},
    ]
    shown = _shown(call(toxiproxy.url, "POST", "/populate", json.dumps(given)), 500)
    assert shown["error"] == "listen tcp: address nowhere: missing port in address"
    assert [proxy["name"] for proxy in shown["proxies"]] == ["good"]
    assert list(call(toxiproxy.url, "GET", "/proxies").document) == ["good"]


def test_one_http_connection_serves_many_calls(toxiproxy: Toxiproxy) -> None:
    """Clients keep connections alive; an error in one call must not spoil the next."""
    import http.client
    from urllib.parse import urlsplit

    parts = urlsplit(toxiproxy.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        for path, status in (("/version", 200), ("/proxies/none", 404), ("/proxies", 200)):
            connection.request("GET", path)
            response = connection.getresponse()
            response.read()
            assert response.status == status
    finally:
        connection.close()
