"""Credentials that must be exchanged before use: Google service accounts → access tokens.

A channel's key is either static (returned at once) or a service account, given inline as JSON or as
``file:PATH``. The latter is exchanged at its token endpoint for a bearer token, kept until one minute
before it expires; callers that come meanwhile wait for the one exchange under way. Neither keys nor tokens
appear in faults, logs or ``repr``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Protocol
from urllib.parse import urlencode, urlsplit

import msgspec
from msgspec import Struct

from dragoman.core.faults import Fault
from dragoman.providers.auth import (
    GOOGLE_GRANT,
    Secret,
    assertion,
    needs_exchange,
    service_account,
)
from dragoman.providers.base import Endpoint, Provider
from dragoman.upstream.client import Origin, Timeouts, UpstreamError

EARLY_S = 60.0
ANSWER_BYTES = 65_536
KEY_FILE_BYTES = 65_536
TIMEOUTS = Timeouts(connect_s=10, first_byte_s=20, idle_s=10, total_s=30)


class Answer(Protocol):
    """What a token exchange needs of an upstream response."""

    @property
    def status(self) -> int: ...
    async def read(self, limit: int) -> bytes: ...
    def close(self) -> None: ...


class Sender(Protocol):
    """The part of ``upstream.client.Client`` that an exchange uses."""

    async def send(
        self,
        origin: Origin,
        method: bytes,
        target: bytes,
        headers: list[tuple[bytes, bytes]],
        body: bytes = b"",
        *,
        timeouts: Timeouts = TIMEOUTS,
    ) -> Answer: ...


class _Token(Struct, frozen=True):
    secret: Secret
    expires_at: float


class _TokenAnswer(Struct):
    """RFC 6749 §5.1."""

    access_token: str
    expires_in: float = 3600.0


class _TokenError(Struct):
    """RFC 6749 §5.2; only the machine word is ever shown."""

    error: str = ""


class Credentials:
    """Turns a channel's key into what ``providers.base.prepare`` can present.

    sender: the upstream client. clock: unix seconds. allow_token_hosts: hosts beside ``*.googleapis.com``
    that a service account may name as its token endpoint, over http too (a test's token server, a private
    mirror).
    """

    def __init__(
        self, sender: Sender, *, clock: Callable[[], float], allow_token_hosts: Collection[str] = ()
    ) -> None:
        self._sender = sender
        self._clock = clock
        self._allowed = frozenset(allow_token_hosts)
        self._tokens: dict[str, _Token] = {}
        self._exchanges: dict[str, asyncio.Task[_Token]] = {}

    async def resolve(self, provider: Provider | Endpoint, raw_key: str) -> Secret:
        """The secret for ``raw_key`` as this provider wants it.

        Raises Fault (500 ``get_channel_failed``, owner upstream or gateway) when an exchange fails: the
        channel's trouble, so that the next candidate is tried.
        """
        record = provider.provider if isinstance(provider, Endpoint) else provider
        if record.auth.kind != "google" or not needs_exchange(raw_key):
            return Secret(raw_key)
        held = self._tokens.get(raw_key)
        if held is not None and self._clock() < held.expires_at - EARLY_S:
            return held.secret
        task = self._exchanges.get(raw_key)
        if task is None:
            task = asyncio.create_task(self._exchange(raw_key))
            self._exchanges[raw_key] = task
            task.add_done_callback(lambda done: self._settle(raw_key, done))
        # Shielded: a client that goes away must not take the token from those who wait with it.
        return (await asyncio.shield(task)).secret

    def forget(self, raw_key: str) -> None:
        """Drop the token of a key that the vendor refused; the next call exchanges anew."""
        self._tokens.pop(raw_key, None)

    def _settle(self, raw_key: str, task: asyncio.Task[_Token]) -> None:
        if self._exchanges.get(raw_key) is task:
            del self._exchanges[raw_key]
        if not task.cancelled() and task.exception() is None:
            now = self._clock()
            self._tokens = {key: token for key, token in self._tokens.items() if token.expires_at > now}
            self._tokens[raw_key] = task.result()

    async def _exchange(self, raw_key: str) -> _Token:
        try:
            text = await _key_text(raw_key)
            account = service_account(text)
            origin, target = self._token_endpoint(account.token_uri)
            now = self._clock()
            form = urlencode(
                {"grant_type": GOOGLE_GRANT, "assertion": await asyncio.to_thread(assertion, account, now)}
            )
        except ValueError as error:
            raise _trouble(str(error), gateway=True) from None
        status, answer = await self._post(origin, target, form.encode())
        if status != 200:
            raise _trouble(f"the token endpoint answered {status}{_error_word(answer)}")
        try:
            token = msgspec.json.decode(answer, type=_TokenAnswer)
        except msgspec.DecodeError:
            raise _trouble("the token endpoint's answer cannot be read") from None
        return _Token(Secret(text, token.access_token), now + token.expires_in)

    async def _post(self, origin: Origin, target: str, form: bytes) -> tuple[int, bytes]:
        headers = [
            (b"content-type", b"application/x-www-form-urlencoded"),
            (b"accept", b"application/json"),
            (b"accept-encoding", b"identity"),
        ]
        try:
            response = await self._sender.send(
                origin, b"POST", target.encode(), headers, form, timeouts=TIMEOUTS
            )
            try:
                return response.status, await response.read(ANSWER_BYTES)
            finally:
                response.close()
        except UpstreamError as error:
            raise _trouble(f"the token endpoint could not be reached ({error.kind})") from None

    def _token_endpoint(self, uri: str) -> tuple[Origin, str]:
        """(origin, target). ValueError unless https on googleapis.com, or a host that the operator allows.

        The URI stands in a file that an operator pastes: without this rule it could send a signed assertion
        anywhere.
        """
        parts = urlsplit(uri)
        host = parts.hostname or ""
        allowed = host in self._allowed or parts.netloc in self._allowed
        google = parts.scheme == "https" and host.endswith(".googleapis.com") and parts.port in (None, 443)
        if parts.scheme not in ("http", "https") or not (allowed or google) or parts.username or parts.query:
            raise ValueError(f"the service account's token_uri host {host!r} is not allowed")
        return Origin.parse(f"{parts.scheme}://{parts.netloc}"), parts.path or "/"


async def _key_text(raw_key: str) -> str:
    raw = raw_key.strip()
    if not raw.startswith("file:"):
        return raw
    path = Path(raw.removeprefix("file:"))
    try:
        return await asyncio.to_thread(_read, path)
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"the service account's file cannot be read ({type(error).__name__})") from None


def _read(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        return file.read(KEY_FILE_BYTES)


def _error_word(answer: bytes) -> str:
    try:
        word = msgspec.json.decode(answer, type=_TokenError).error
    except msgspec.DecodeError:
        return ""
    return f" {word[:40]}" if word.replace("_", "").isalnum() else ""


def _trouble(reason: str, *, gateway: bool = False) -> Fault:
    return Fault(
        500,
        "get_channel_failed",
        f"the upstream credential could not be used: {reason}",
        type="new_api_error",
        owner="gateway" if gateway else "upstream",
    )
