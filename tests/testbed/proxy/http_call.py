"""One HTTP request, with nothing between the test and what the server answers."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Answer:
    """Status, content type (without one: empty) and body."""

    status: int
    content_type: str
    text: str

    @property
    def document(self) -> Any:
        """The body's JSON."""
        return json.loads(self.text)


def call(
    url: str, method: str, path: str, body: str | bytes | None = None, **headers: str
) -> Answer:
    """Sends a request to the server at ``url``. ``headers``: with _ for - in their names."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        response = connection.getresponse()
        text = response.read().decode()
        return Answer(response.status, response.headers.get("Content-Type", ""), text)
    finally:
        connection.close()
