"""A gateway whose upstream is a list: answers come in the order written, what is sent is kept."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Sequence
from typing import Any, cast

import msgspec

from dragoman.core.faults import Fault
from dragoman.observe import Journal, Metrics
from dragoman.providers.auth import Secret
from dragoman.providers.base import OPERATION_DIALECT, Endpoint, Provider
from dragoman.relay.gateway import Gateway, Limits
from dragoman.relay.state import Continued
from dragoman.routing.plan import Call, Candidate
from dragoman.routing.snapshot import Channel
from dragoman.store.records import VendorId
from dragoman.upstream.client import Origin, Response, Timeouts, UpstreamError
from tests.routing.builders import key, snapshot

NOW = 1_795_000_000.0
PATHS = {
    "chat": "/v1/chat/completions",
    "completions": "/v1/completions",
    "embeddings": "/v1/embeddings",
    "responses": "/v1/responses",
    "responses_delete": "/v1/responses/{id}",
    "messages": "/v1/messages",
    "count_tokens": "/v1/messages/count_tokens",
    "gemini_generate": "/v1beta/models/{model}:generateContent",
    "gemini_stream": "/v1beta/models/{model}:streamGenerateContent",
}
ACME = Provider(id="acme", label="Acme", base_url="https://acme.example", paths=PATHS)

Headers = list[tuple[bytes, bytes]]


class Scripted:
    """An upstream answer: chunks in order; an exception among them is raised in its place."""

    def __init__(
        self,
        status: int = 200,
        chunks: Sequence[bytes | BaseException] = (b"{}",),
        headers: Headers | None = None,
    ) -> None:
        self.status, self.headers = status, headers or [(b"content-type", b"application/json")]
        self.rest: list[bytes | BaseException] = list(chunks)
        self.closed = 0
        self.complete = False

    async def chunk(self) -> bytes | None:
        if not self.rest:
            return None
        item = self.rest.pop(0)
        if isinstance(item, BaseException):
            raise item
        return item

    async def read(self, limit: int) -> bytes:
        data = b""
        while (piece := await self.chunk()) is not None:
            data += piece
        if len(data) > limit:
            raise UpstreamError("limit", "too long", sent=True)
        return data

    def close(self) -> None:
        self.closed += 1


class Sent(msgspec.Struct):
    """One request as the client port was given it."""

    origin: Origin
    method: bytes
    target: bytes
    headers: dict[bytes, bytes]
    body: bytes
    timeouts: Timeouts


class ScriptedClient:
    """``Client.send`` over a list of answers and failures."""

    def __init__(self, *script: Scripted | BaseException) -> None:
        self.script, self.sent = list(script), list[Sent]()

    async def send(
        self,
        origin: Origin,
        method: bytes,
        target: bytes,
        headers: Headers,
        body: bytes,
        *,
        timeouts: Timeouts,
    ) -> Scripted:
        self.sent.append(Sent(origin, method, target, dict(headers), body, timeouts))
        item = self.script.pop(0)
        if isinstance(item, BaseException):
            raise item
        return item


class ScriptedCredentials:
    """Static secrets; the keys named in ``broken`` cannot be exchanged."""

    def __init__(self, **broken: Fault) -> None:
        self.broken, self.forgotten = broken, list[str]()

    async def resolve(self, endpoint: Endpoint, raw: str) -> Secret:
        if raw in self.broken:
            raise self.broken[raw]
        return Secret(raw)

    def forget(self, raw: str) -> None:
        self.forgotten.append(raw)


class OwnerBook:
    """The register of vendor-side ids; writes into ``log`` when an id became durable."""

    def __init__(self, log: list[Any]) -> None:
        self.log, self.owned = log, dict[tuple[str, str], VendorId]()

    async def remember(self, ids: list[tuple[str, str]], owner: VendorId) -> None:
        for pair in ids:
            self.log.append(("own", *pair))
            self.owned[pair] = owner

    async def find(self, kind: str, external_id: str) -> VendorId | None:
        return self.owned.get((kind, external_id))

    async def forget(self, kind: str, external_id: str) -> None:
        self.owned.pop((kind, external_id), None)


class NoState:
    """No response is kept here; a request continues nothing."""

    async def continued(self, body: bytes, user_id: int) -> Continued:
        return Continued(None, [], False, body)

    async def keep(self, continued: Continued, user_id: int, told: bytes) -> None:
        raise AssertionError("nothing is kept")

    async def answer(self, operation: str, response_id: str, user_id: int, query: str) -> None:
        return None


class Lines:
    """A journal that keeps its lines."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.notes: list[Any] = []

    def call(self, fields: Any) -> None:
        self.calls.append(dict(fields))

    def note(self, event: str, **fields: Any) -> None:
        self.notes.append((event, fields))


class Wire:
    """The client's side: ASGI messages in order, in a log that other ports may share."""

    def __init__(self) -> None:
        self.log: list[Any] = []

    async def send(self, message: Any) -> None:
        self.log.append(dict(message))

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [m for m in self.log if isinstance(m, dict)]

    @property
    def status(self) -> int:
        return int(self.messages[0]["status"])

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        return list(self.messages[0]["headers"])

    @property
    def pieces(self) -> list[bytes]:
        return [m["body"] for m in self.messages[1:]]

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    def json(self) -> Any:
        return json.loads(self.body)

    def value(self, name: bytes) -> bytes | None:
        """The header's value; an answer that has it twice is a failure."""
        found = [v for n, v in self.headers if n == name]
        assert len(found) < 2, (name, found)
        return found[0] if found else None

    def whole(self) -> bool:
        """One start, then bodies, of which exactly the last ends the answer."""
        kinds = [m["type"] for m in self.messages]
        ends = [not m.get("more_body", False) for m in self.messages[1:]]
        return (
            kinds == ["http.response.start"] + ["http.response.body"] * (len(kinds) - 1)
            and bool(ends)
            and ends == [False] * (len(ends) - 1) + [True]
        )


def limits(**fields: Any) -> Limits:
    values: dict[str, Any] = {
        "body_bytes": 10**6, "body_idle_timeout_s": 30.0, "body_wait_s": 1.0, "answer_bytes": 10**6, "attempts": 3,
        "timeouts": Timeouts(), "hold_output_tokens": 8192, "max_output_tokens": 128_000, "background_s": 60.0,
        "max_context_tokens": 1_000_000, "counts_at_once": 4, "count_vendor_s": 2.0,
        "strict_paths": False, "api_only_hosts": frozenset(), "public_url": "", "trusted_proxies": (), "metrics_allow": (),
    }  # fmt: skip
    return Limits(**(values | fields))


def gateway(client: ScriptedClient | None = None, **ports: Any) -> Gateway:
    values: dict[str, Any] = {
        "snapshot": snapshot(), "limits": limits(), "book": None, "client": client, "credentials": ScriptedCredentials(),
        "keys": None, "owners": OwnerBook([]), "prices": None, "media": None, "state": NoState(), "journal": Journal(fd=-1), "metrics": Metrics(),
        "budget": None, "clock": lambda: NOW, "random": lambda: 0.0, "new_id": lambda: "req_x", "ready": dict,
    }  # fmt: skip
    return Gateway(**(values | ports))


def call(operation: str = "chat", **fields: Any) -> Call:
    values: dict[str, Any] = {
        "request_id": "req_1", "started_at": NOW, "operation": operation, "dialect": OPERATION_DIALECT[operation],
        "method": "POST", "path": "/p", "original_path": "/p", "query": "", "headers": [], "key": key(user_id=7),
        "group": "default", "model_asked": "m", "model": "m", "stream": False, "max_output": None,
    }  # fmt: skip
    return Call(**(values | fields))


def candidate(number: int = 1, *, credential: int = 0, provider: Provider = ACME, **fields: Any) -> Candidate:
    values: dict[str, Any] = {
        "name": f"c{number}", "label": "Acme", "endpoint": Endpoint(provider), "credentials": (f"key{number}",),
        "models": ("m",), "groups": ("default",), "operations": frozenset(provider.paths), "model_map": {},
    }  # fmt: skip
    return Candidate(Channel(id=number, **(values | fields)), credential)


def response(scripted: Scripted) -> Response:
    """The script under the type that the relay expects."""
    return cast(Response, scripted)


def aws_message(payload: bytes, **headers: str) -> bytes:
    """One message of ``application/vnd.amazon.eventstream``; ``_`` in a header's name stands for ``-``."""
    head = b""
    for name, value in headers.items():
        wire = b":" + name.replace("_", "-").encode()
        head += bytes([len(wire)]) + wire + b"\x07" + struct.pack(">H", len(value)) + value.encode()
    prelude = struct.pack(">II", 16 + len(head) + len(payload), len(head))
    body = prelude + struct.pack(">I", zlib.crc32(prelude)) + head + payload
    return body + struct.pack(">I", zlib.crc32(body))
