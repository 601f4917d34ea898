"""One candidate after the other, until an answer begins.

The only place where foreign failures are classified. An upstream's verdict on the *request* (400, 404, 413, 422 …) is
the caller's business and ends the attempts; its verdict on *us* (401, 402, 403, "insufficient quota"), overload (429,
5xx) and every broken connection move on to the next candidate. Nothing has reached the client yet in any of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from time import perf_counter

import msgspec
from msgspec import Struct

from dragoman.core import faults
from dragoman.core.faults import Fault
from dragoman.dialects import DIALECTS
from dragoman.providers.base import prepare
from dragoman.relay.gateway import Gateway
from dragoman.routing.plan import Attempt, Call, Candidate
from dragoman.upstream.client import Origin, Response, UpstreamError

ERROR_BODY_BYTES = 1_000_000
CALLERS_FAULT = frozenset(
    {400, 404, 405, 406, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 422, 424, 451}
)
OUR_TROUBLE = frozenset({401, 402, 403})


class Answer(Struct, frozen=True):
    """An upstream answer that began well (2xx; a redirect is no answer of an API)."""

    candidate: Candidate
    response: Response
    attempts: tuple[Attempt, ...]


class Refusal(Struct, frozen=True):
    """No candidate answered well. ``body`` is the vendor's own error body when it may be shown, else b""."""

    fault: Fault
    attempts: tuple[Attempt, ...]
    body: bytes = b""
    headers: Sequence[tuple[bytes, bytes]] = ()


async def attempt_all(
    gateway: Gateway, call: Call, body: bytes, candidates: Sequence[Candidate]
) -> Answer | Refusal:
    """Try candidates in order, at most ``limits.attempts`` of them."""
    attempts: list[Attempt] = []
    refusal: Refusal | None = None
    for candidate in candidates[: gateway.limits.attempts]:
        begun = perf_counter()
        try:
            response = await _send(gateway, call, body, candidate)
        except UpstreamError as error:
            attempts.append(_attempt(candidate, 0, begun, error.kind))
            refusal = Refusal(_broken(error), tuple(attempts))
            continue
        except Fault as fault:  # credentials that could not be exchanged
            attempts.append(_attempt(candidate, 0, begun, fault.code))
            refusal = Refusal(
                fault if fault.owner == "client" else faults.channel_failed(call.model), tuple(attempts)
            )
            if fault.owner == "client":
                return refusal
            continue
        if 200 <= response.status < 300:
            attempts.append(_attempt(candidate, response.status, begun, "answered", response))
            return Answer(candidate, response, tuple(attempts))
        refusal, final = await _refused(gateway, call, candidate, response, attempts, begun)
        if final:
            return refusal
    if refusal is None:
        return Refusal(faults.channel_failed(call.model), tuple(attempts))
    return Refusal(refusal.fault, tuple(attempts), refusal.body, refusal.headers)


async def _send(gateway: Gateway, call: Call, body: bytes, candidate: Candidate) -> Response:
    channel = candidate.channel
    raw = channel.credentials[candidate.credential] if channel.credentials else ""
    secret = await gateway.credentials.resolve(channel.endpoint, raw)
    wire = prepare(
        channel.endpoint,
        call.operation,
        model=channel.upstream_model(call.model),
        public_model=call.model_asked,
        stream=call.stream,
        resource_id=call.resource_id,
        query=call.query,
        headers=call.headers,
        body=body,
        secret=secret,
        now=gateway.clock(),
        ask_stream_usage=not call.include_usage,
    )
    origin = _origin(wire.origin, channel.proxy)
    return await gateway.client.send(
        origin,
        wire.method.encode(),
        wire.target.encode(),
        wire.headers,
        wire.body,
        timeouts=gateway.limits.timeouts,
    )


@lru_cache(maxsize=4096)
def _origin(url: str, proxy: str) -> Origin:
    return Origin.parse(url, proxy=proxy or None)


async def _refused(
    gateway: Gateway,
    call: Call,
    candidate: Candidate,
    response: Response,
    attempts: list[Attempt],
    begun: float,
) -> tuple[Refusal, bool]:
    """Classify an error status: (what to tell the caller if it stays the last word, is it final?)."""
    try:
        body = await response.read(ERROR_BODY_BYTES)
    except UpstreamError:
        body = b""
    finally:
        response.close()
    status = response.status
    attempts.append(_attempt(candidate, status, begun, f"status {status}", response))
    told = DIALECTS[call.dialect].read_fault(status, body)
    if status == 401:
        channel = candidate.channel
        gateway.credentials.forget(channel.credentials[candidate.credential] if channel.credentials else "")
    if status in OUR_TROUBLE or told.out_of_credit:
        return Refusal(faults.channel_failed(call.model), tuple(attempts)), False
    owner: faults.Owner = "client" if status in CALLERS_FAULT else "upstream"
    fault = Fault(
        status if status in CALLERS_FAULT or status == 429 or status >= 500 else 502,
        told.code or ("rate_limit_exceeded" if status == 429 else "upstream_error"),
        faults.redact(told.message) or f"the upstream answered with status {status}",
        type=told.type,
        owner=owner,
        retry_after_s=_retry_after(response) or (1.0 if status in (429, 503, 529) else None),
    )
    shown = (
        body
        if _is_json_object(body)
        and faults.redact(body.decode("utf-8", "replace")) == body.decode("utf-8", "replace")
        else b""
    )
    return Refusal(fault, tuple(attempts), shown, response.headers), status in CALLERS_FAULT


def _broken(error: UpstreamError) -> Fault:
    if error.kind in ("first_byte_timeout", "idle_timeout", "total_timeout", "connect_timeout"):
        return Fault(
            504,
            "upstream_timeout",
            f"the upstream did not answer in time ({error.kind})",
            type="server_error",
            owner="upstream",
        )
    if error.kind in ("protocol", "limit"):
        return faults.upstream_garbage()
    return faults.upstream_unreachable()


def _attempt(
    candidate: Candidate, status: int, begun: float, ended: str, response: Response | None = None
) -> Attempt:
    upstream_id = ""
    for name, value in response.headers if response is not None else ():
        if name in (b"x-request-id", b"request-id"):
            upstream_id = value.decode("latin-1")[:100]
    return Attempt(
        channel_id=candidate.channel.id,
        credential=candidate.credential,
        status=status,
        latency_ms=int((perf_counter() - begun) * 1000),
        ended=ended,
        upstream_request_id=upstream_id,
    )


def _retry_after(response: Response) -> float | None:
    for name, value in response.headers:
        if name == b"retry-after" and value.isdigit():
            return float(value)
    return None


def _is_json_object(body: bytes) -> bool:
    try:
        return isinstance(msgspec.json.decode(body), dict)
    except msgspec.DecodeError:
        return False
