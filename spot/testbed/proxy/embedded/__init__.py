"""A TCP proxy with Toxiproxy's HTTP API, in Python, for machines that have no Toxiproxy.

    python -m spot.testbed.proxy.embedded -host 127.0.0.1 -port 8474

    http.py api.py body.py go_json.py    the HTTP API, and what it answers to wrong calls
    collection.py proxy.py    the proxies, and one listener with its connections
    connection.py link.py     one connection is two links, one a direction
    stage.py toxics/          the toxics on a link, a file each

It behaves like Toxiproxy 2.12: tests/testbed/proxy/conformance has the same tests for both. It is
better on purpose in the points that docs/decisions/0006-embedded-proxy.md lists.
"""
