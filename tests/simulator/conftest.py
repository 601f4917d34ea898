"""A running simulator and a client that hides nothing: plain http.client, one connection a request."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from dragoman.simulator.server import running


@dataclass
class Answer:
    """What came back; `cut` when the connection ended before the answer did."""

    status: int
    headers: dict[str, str]
    body: bytes
    cut: bool = False

    def json(self) -> Any:
        return json.loads(self.body)

    def events(self) -> list[Any]:
        """The data payloads of an event stream, `[DONE]` as that string."""
        found = []
        for frame in self.body.replace(b"\r\n", b"\n").split(b"\n\n"):
            for line in frame.split(b"\n"):
                if line.startswith(b"data: "):
                    found.append("[DONE]" if line == b"data: [DONE]" else json.loads(line[6:]))
        return found

    def names(self) -> list[str]:
        """The `event:` names in order."""
        return [line[7:].decode() for line in self.body.split(b"\n") if line.startswith(b"event: ")]


@dataclass
class Simulator:
    url: str
    key: str = "sk-test"

    def send(self, method: str, path: str, body: Any = None, **headers: str | None) -> Answer:
        """Header names with `_` for `-`; `authorization` is given unless set (None leaves it out)."""
        sent: dict[str, str | None] = {"authorization": f"Bearer {self.key}"}
        sent |= {n.replace("_", "-"): v for n, v in headers.items()}
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=30)
        try:
            payload = body if isinstance(body, bytes | None) else json.dumps(body).encode()
            connection.request(method, path, payload, {n: v for n, v in sent.items() if v is not None})
            response = connection.getresponse()
            try:
                data, cut = response.read(), False
            except http.client.IncompleteRead as error:
                data, cut = error.partial, True
            return Answer(response.status, {n.lower(): v for n, v in response.getheaders()}, data, cut)
        finally:
            connection.close()

    def post(self, path: str, body: Any, **headers: str | None) -> Answer:
        return self.send("POST", path, body, **headers)

    def get(self, path: str, **headers: str | None) -> Answer:
        return self.send("GET", path, None, **headers)

    def requests(self) -> list[dict[str, Any]]:
        """The simulator's journal."""
        return self.get("/_sim/requests").json()


@pytest.fixture(scope="session")
def simulator_url() -> Iterator[str]:
    with running() as url:
        yield url


@pytest.fixture
def sim(simulator_url: str) -> Simulator:
    simulator = Simulator(simulator_url)
    simulator.send("DELETE", "/_sim/requests")
    return simulator
