"""Service accounts exchanged for tokens: cached, single-flight, never in a message; with the real client
too.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from dragoman.core.faults import Fault
from dragoman.providers.auth import Secret
from dragoman.providers.base import Endpoint, prepare
from dragoman.providers.catalog import PROVIDERS
from dragoman.upstream.client import Client, Origin, UpstreamError
from dragoman.upstream.credentials import Credentials

KEY = rsa.generate_private_key(65537, 2048)
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
VERTEX = PROVIDERS["vertex"]


def account(token_uri: str = "https://oauth2.googleapis.com/token", private_key: str = PEM) -> str:
    return msgspec.json.encode(
        {
            "type": "service_account",
            "client_email": "bot@p.iam.example",
            "private_key": private_key,
            "project_id": "p",
            "token_uri": token_uri,
        }
    ).decode()


class FakeAnswer:
    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.body = body
        self.closed = False

    async def read(self, limit: int) -> bytes:
        return self.body[:limit]

    def close(self) -> None:
        self.closed = True


class FakeSender:
    """Answers every exchange with the next token; ``gate`` holds answers back until it is set."""

    def __init__(
        self, *, status: int = 200, body: bytes | None = None, error: Exception | None = None
    ) -> None:
        self.calls: list[tuple[Origin, bytes, bytes, bytes]] = []
        self.answers: list[FakeAnswer] = []
        self.gate: asyncio.Event | None = None
        self.arrived = asyncio.Semaphore(0)
        self.status = status
        self.body = body
        self.error = error

    async def send(
        self,
        origin: Origin,
        method: bytes,
        target: bytes,
        headers: list[tuple[bytes, bytes]],
        body: bytes = b"",
        **_: Any,
    ) -> FakeAnswer:
        self.calls.append((origin, method, target, body))
        self.arrived.release()
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        token = {"access_token": f"TOKEN-{len(self.calls)}", "expires_in": 3600, "token_type": "Bearer"}
        answer = FakeAnswer(self.status, self.body if self.body is not None else msgspec.json.encode(token))
        self.answers.append(answer)
        return answer


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_static_keys_come_back_as_they_are_without_an_exchange() -> None:
    async def scenario() -> None:
        sender = FakeSender()
        credentials = Credentials(sender, clock=Clock())
        assert await credentials.resolve(PROVIDERS["openai"], "sk-1") == Secret("sk-1")
        assert await credentials.resolve(VERTEX, "AIza-express") == Secret("AIza-express")
        assert await credentials.resolve(Endpoint(provider=PROVIDERS["openai"]), '{"json": "key"}') == Secret(
            '{"json": "key"}'
        )
        assert await credentials.resolve(PROVIDERS["bedrock"], "A|S") == Secret("A|S")
        assert sender.calls == []

    run(scenario)


def test_an_account_is_exchanged_and_the_token_kept_until_a_minute_before_its_end() -> None:
    async def scenario() -> None:
        sender, clock = FakeSender(), Clock()
        credentials = Credentials(sender, clock=clock)
        endpoint = Endpoint(provider=VERTEX)
        first = await credentials.resolve(endpoint, account())
        assert first == Secret(account(), "TOKEN-1")
        clock.now += 3600 - 61
        assert await credentials.resolve(VERTEX, account()) == first
        clock.now += 2
        assert (await credentials.resolve(VERTEX, account())).token == "TOKEN-2"
        assert len(sender.calls) == 2
        assert all(answer.closed for answer in sender.answers)

        origin, method, target, body = sender.calls[0]
        assert (str(origin), method, target) == ("https://oauth2.googleapis.com", b"POST", b"/token")
        form = parse_qs(body.decode())
        assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
        assert form["assertion"][0].count(".") == 2

        wire = prepare(
            endpoint, "gemini_generate", model="g", public_model="g", stream=False, headers=[], body=b"{}",
            secret=first, now=0,
        )  # fmt: skip
        assert (b"authorization", b"Bearer TOKEN-1") in wire.headers
        assert "/projects/p/" in wire.target

    run(scenario)


def test_concurrent_callers_share_one_exchange() -> None:
    async def scenario() -> None:
        sender = FakeSender()
        sender.gate = asyncio.Event()
        credentials = Credentials(sender, clock=Clock())
        other = account().replace("bot@", "other@")
        waiting = [
            asyncio.create_task(credentials.resolve(VERTEX, raw)) for raw in [account()] * 20 + [other]
        ]
        for _ in range(2):
            await sender.arrived.acquire()
        waiting[0].cancel()  # a client that goes away takes nobody's token with it
        sender.gate.set()
        done = await asyncio.gather(*waiting, return_exceptions=True)
        assert isinstance(done[0], asyncio.CancelledError)
        assert len({secret.token for secret in done[1:20]}) == 1  # type: ignore[union-attr]
        assert len(sender.calls) == 2

    run(scenario)


def test_a_failure_reaches_all_who_wait_and_is_not_remembered() -> None:
    async def scenario() -> None:
        sender = FakeSender(error=UpstreamError("refused", "refused"))
        credentials = Credentials(sender, clock=Clock())
        done = await asyncio.gather(
            *(credentials.resolve(VERTEX, account()) for _ in range(3)), return_exceptions=True
        )
        assert [type(one) for one in done] == [Fault] * 3
        assert len(sender.calls) == 1
        sender.error = None
        assert (await credentials.resolve(VERTEX, account())).token

    run(scenario)


def test_forgetting_a_token_makes_the_next_call_exchange_anew() -> None:
    async def scenario() -> None:
        credentials = Credentials(FakeSender(), clock=Clock())
        assert (await credentials.resolve(VERTEX, account())).token == "TOKEN-1"
        credentials.forget(account())
        assert (await credentials.resolve(VERTEX, account())).token == "TOKEN-2"

    run(scenario)


def test_tokens_of_retired_keys_do_not_pile_up() -> None:
    async def scenario() -> None:
        clock = Clock()
        credentials = Credentials(FakeSender(), clock=clock)
        for number in range(5):
            await credentials.resolve(VERTEX, account().replace("bot@", f"bot{number}@"))
            clock.now += 3601
        assert len(credentials._tokens) == 1
        assert credentials._exchanges == {}

    run(scenario)


@pytest.mark.parametrize(
    ("sender", "owner", "words"),
    [
        (
            FakeSender(status=400, body=b'{"error":"invalid_grant","error_description":"PRIVATE"}'),
            "upstream",
            "400 invalid_grant",
        ),
        (FakeSender(status=500, body=b"<html>PRIVATE"), "upstream", "500"),
        (FakeSender(status=200, body=b"PRIVATE"), "upstream", "cannot be read"),
        (FakeSender(status=200, body=b'{"token_type":"PRIVATE"}'), "upstream", "cannot be read"),
        (FakeSender(error=UpstreamError("dns", "PRIVATE")), "upstream", "dns"),
    ],
)
def test_failed_exchanges_are_the_channels_trouble(
    sender: FakeSender, owner: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        with pytest.raises(Fault) as caught:
            await Credentials(sender, clock=Clock()).resolve(VERTEX, account())
        fault = caught.value
        assert (fault.status, fault.code, fault.type, fault.owner) == (
            500,
            "get_channel_failed",
            "new_api_error",
            owner,
        )
        assert words in fault.message
        assert "PRIVATE" not in fault.message
        assert PEM[40:80] not in str(fault)

    with caplog.at_level(logging.DEBUG):
        run(scenario)
    assert "PRIVATE" not in caplog.text


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ("{broken PRIVATE", "not a service account"),
        (account(private_key="PRIVATE"), "private key"),
        (account("http://oauth2.googleapis.com/token"), "not allowed"),
        (account("https://evil.example/token"), "not allowed"),
        (account("https://evilgoogleapis.com/token"), "not allowed"),
        (account("https://oauth2.googleapis.com@evil.example/token"), "not allowed"),
        (account("https://oauth2.googleapis.com:8443/token"), "not allowed"),
        (account("https://oauth2.googleapis.com:bad/token"), ""),
        (account("file:///etc/passwd"), "not allowed"),
        ("file:/nonexistent/PRIVATE.json", "cannot be read"),
    ],
)
def test_accounts_that_cannot_work_never_reach_the_network(raw: str, words: str) -> None:
    async def scenario() -> None:
        sender = FakeSender()
        with pytest.raises(Fault) as caught:
            await Credentials(sender, clock=Clock()).resolve(VERTEX, raw)
        assert (caught.value.code, caught.value.owner) == ("get_channel_failed", "gateway")
        assert words in caught.value.message
        assert "PRIVATE" not in caught.value.message
        assert sender.calls == []

    run(scenario)


def test_a_key_file_is_read_at_each_exchange(tmp_path: Path) -> None:
    async def scenario() -> None:
        file = tmp_path / "account.json"
        file.write_text(account())
        clock = Clock()
        credentials = Credentials(FakeSender(), clock=clock)
        raw = f"file:{file}"
        assert await credentials.resolve(VERTEX, raw) == Secret(account(), "TOKEN-1")
        rotated = account().replace('"project_id":"p"', '"project_id":"q"')
        file.write_text(rotated)
        clock.now += 3600
        assert await credentials.resolve(VERTEX, raw) == Secret(rotated, "TOKEN-2")

    run(scenario)


def test_against_a_token_server_through_the_real_client() -> None:
    requests: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        requests.append(head + await reader.readexactly(length))
        body = b'{"access_token":"ya29.real","expires_in":3599,"token_type":"Bearer"}'
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
            + body
        )
        await writer.drain()
        writer.close()

    async def scenario() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        client = Client()
        try:
            credentials = Credentials(client, clock=Clock(), allow_token_hosts={"127.0.0.1"})
            secret = await credentials.resolve(VERTEX, account(f"http://127.0.0.1:{port}/token"))
            assert secret.token == "ya29.real"
        finally:
            await client.close()
            server.close()
            await server.wait_closed()
        head, _, form = requests[0].partition(b"\r\n\r\n")
        assert head.startswith(b"POST /token HTTP/1.1\r\n")
        assert f"127.0.0.1:{port}".encode() in head
        assert b"assertion=" in form

    run(scenario)
