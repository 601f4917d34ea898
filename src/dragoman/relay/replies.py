"""Answers that the gateway itself makes: faults in the caller's dialect, refusals relayed from a vendor, small JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from dragoman.core.faults import Fault, retry_headers
from dragoman.dialects import DIALECTS
from dragoman.relay.identity import returnable

if TYPE_CHECKING:
    from dragoman.relay.attempt import Refusal
    from dragoman.relay.lanes import Headers, Send
    from dragoman.routing.plan import Call

CORS = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"*"),
]
PREFLIGHT = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS"),
    (
        b"access-control-allow-headers",
        b"authorization, content-type, accept, x-api-key, x-goog-api-key, x-goog-api-client, anthropic-version, "
        b"anthropic-beta, anthropic-dangerous-direct-browser-access, x-app, x-request-id, idempotency-key, vendor, "
        b"specific-channel-id, openai-organization, openai-project, openai-beta, x-stainless-arch, x-stainless-async, "
        b"x-stainless-lang, x-stainless-os, x-stainless-package-version, x-stainless-runtime, "
        b"x-stainless-runtime-version, x-stainless-helper-method, x-stainless-retry-count, x-stainless-timeout, "
        b"x-stainless-poll-helper, *",
    ),
    (b"access-control-max-age", b"86400"),
]


def own_headers(request_id: str) -> Headers:
    """What every answer of the gateway carries."""
    rid = request_id.encode()
    return [(b"x-request-id", rid), (b"request-id", rid), (b"x-content-type-options", b"nosniff"), *CORS]


async def send_bytes(send: Send, status: int, body: bytes, headers: Headers) -> None:
    """One whole answer."""
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [*headers, (b"content-length", b"%d" % len(body))],
        }
    )
    await send({"type": "http.response.body", "body": body})


async def send_json(
    send: Send, status: int, value: Any, request_id: str, extra: Headers | None = None
) -> None:
    """A JSON value of ours."""
    headers = [(b"content-type", b"application/json"), *own_headers(request_id), *(extra or [])]
    await send_bytes(send, status, msgspec.json.encode(value), headers)


async def send_fault(
    send: Send, dialect: str, fault: Fault, request_id: str, extra: Headers | None = None
) -> None:
    """A fault in the dialect's own shape, with the retry headers that belong to its status."""
    body = DIALECTS[dialect].write_fault(fault, request_id)
    headers = [
        (b"content-type", b"application/json"),
        *own_headers(request_id),
        *retry_headers(fault),
        *(extra or []),
    ]
    await send_bytes(send, fault.status, body, headers)


async def send_refusal(send: Send, call: Call, refusal: Refusal) -> None:
    """The vendor's own error, as it came where it may be shown, else our words for it."""
    if not refusal.body:
        await send_fault(send, call.dialect, refusal.fault, call.request_id)
        return
    ours = {b"x-should-retry", b"content-type"}
    retry = retry_headers(refusal.fault)
    if any(n == b"retry-after" for n, _ in refusal.headers):
        retry = [h for h in retry if h[0] != b"retry-after"]
    vendor = [h for h in returnable(refusal.headers) if h[0] not in ours]
    headers = [(b"content-type", b"application/json"), *vendor, *own_headers(call.request_id), *retry]
    await send_bytes(send, refusal.fault.status, refusal.body, headers)
