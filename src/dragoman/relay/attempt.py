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
from msgspec.structs import replace

from dragoman.core import faults, signatures
from dragoman.core.faults import Fault
from dragoman.dialects import DIALECTS
from dragoman.dialects.base import Written
from dragoman.dialects.vendor_fault import read_fault
from dragoman.providers.base import prepare
from dragoman.relay.bodies import aside
from dragoman.relay.gateway import Gateway
from dragoman.relay.identity import neutral_headers, translated_query
from dragoman.relay.lanes import Beginning, InBandError, begin, streams, wrong_key
from dragoman.relay.translated import Opening
from dragoman.relay.translated import begin as begin_translated
from dragoman.relay.translation import Translation, Upstream
from dragoman.routing.plan import Attempt, Call, Candidate
from dragoman.routing.select import TRANSLATED
from dragoman.upstream.client import Origin, Response, UpstreamError

ERROR_BODY_BYTES = 1_000_000
CALLERS_FAULT = frozenset(
    {400, 404, 405, 406, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 422, 424, 451}
)
MARK = signatures.MARK.encode()
OUR_TROUBLE = frozenset({401, 402, 403})


class Answer(Struct, frozen=True):
    """An upstream answer that began well: 2xx (a redirect is no answer of an API), and its content has begun.

    ``opening`` holds what was read of it: a translated or a relayed one.
    """

    candidate: Candidate
    response: Response
    opening: Opening | Beginning
    attempts: tuple[Attempt, ...]


class Refusal(Struct, frozen=True):
    """No candidate answered well. ``body`` is the vendor's own error body when it may be shown, else b""."""

    fault: Fault
    attempts: tuple[Attempt, ...]
    body: bytes = b""
    headers: Sequence[tuple[bytes, bytes]] = ()


async def attempt_all(
    gateway: Gateway,
    call: Call,
    body: bytes,
    candidates: Sequence[Candidate],
    translation: Translation | None = None,
) -> Answer | Refusal:
    """Try candidates in order, at most ``limits.attempts`` of them. What cannot be written for a candidate (a strict
    call's losses, a feature that it lacks) costs no attempt."""
    attempts: list[Attempt] = []
    refusal: Refusal | None = None
    unwritten: Fault | None = None
    for candidate in candidates:
        if len(attempts) >= gateway.limits.attempts:
            break
        begun = perf_counter()
        upstream: Upstream | None = None
        if candidate.operation:
            assert translation is not None
            try:
                upstream = await translation.write(candidate)
            except Fault as fault:
                unwritten = unwritten or fault
                continue
        outcome = await _attempt_one(gateway, call, body, candidate, translation, upstream, attempts, begun)
        if isinstance(outcome, Answer):
            return outcome
        refusal, final = outcome
        if final:
            return refusal
    if refusal is None:
        return Refusal(unwritten or faults.channel_failed(call.model), tuple(attempts))
    return Refusal(refusal.fault, tuple(attempts), refusal.body, refusal.headers)


async def _attempt_one(
    gateway: Gateway,
    call: Call,
    body: bytes,
    candidate: Candidate,
    translation: Translation | None,
    upstream: Upstream | None,
    attempts: list[Attempt],
    begun: float,
) -> Answer | tuple[Refusal, bool]:
    """One try: the answer once it has begun, or (what to tell the caller if it stays the last word, is it final?)."""
    response: Response | None = None
    keep_open = False
    try:
        response = await _send(gateway, call, body, candidate, upstream)
        if not 200 <= response.status < 300:
            return await _refused(gateway, call, candidate, response, attempts, begun)
        opening: Opening | Beginning
        if upstream is None and _other_form(call, response):
            translation = translation or Translation(call, body, gateway.media)
            upstream = Upstream(call.dialect, Written(b""))
        if upstream is None:
            opening = await begin(gateway, call, response)
        else:
            assert translation is not None
            reply = await translation.reply()
            secrets = candidate.channel.credentials
            opening = await begin_translated(gateway, call, upstream, response, reply, len(body), secrets)
        attempts.append(_attempt(candidate, response.status, begun, "answered", response))
        keep_open = True
        return Answer(candidate, response, opening, tuple(attempts))
    except UpstreamError as error:
        attempts.append(_attempt(candidate, response.status if response else 0, begun, error.kind, response))
        return Refusal(_broken(error), tuple(attempts)), False
    except InBandError as error:
        attempts.append(_attempt(candidate, 200, begun, f"error {error.status} in the answer", response))
        refusal, final = _judged(gateway, call, candidate, error.status, error.body, response, attempts)
        return replace(refusal, body=b""), final  # a body that lies about its status may be of any shape
    except Fault as fault:  # credentials that could not be exchanged; an answer that is none
        status = response.status if response else 0
        attempts.append(_attempt(candidate, status, begun, fault.code or "fault", response))
        mine = fault.owner == "client"
        # what went wrong before there was an answer is about our channel, and nothing for the caller to read
        told = fault if mine or response is not None else faults.channel_failed(call.model)
        return Refusal(told, tuple(attempts)), mine
    finally:
        if response is not None and not keep_open:
            response.close()


def _other_form(call: Call, response: Response) -> bool:
    """A stream was asked for and a whole answer comes, or the reverse: written anew in the form that was asked for."""
    if call.operation not in TRANSLATED or DIALECTS[call.dialect].upstream is None or call.background:
        return False
    return streams(response, array=call.operation == "gemini_stream") != call.stream


async def _send(
    gateway: Gateway, call: Call, body: bytes, candidate: Candidate, upstream: Upstream | None
) -> Response:
    channel = candidate.channel
    raw = channel.credentials[candidate.credential] if channel.credentials else ""
    secret = await gateway.credentials.resolve(channel.endpoint, raw)
    query, headers = call.query, call.headers
    if upstream is not None:
        query, headers = translated_query(candidate.operation), neutral_headers(headers)
        body = upstream.written.body
    elif MARK in body:  # reasoning that another vendor signed; this one would refuse it
        sealed, clean = body, DIALECTS[call.dialect].without_seals
        body = await aside(len(sealed), lambda: clean(sealed))
    public_model = call.model_asked if upstream is None else channel.upstream_model(call.model)
    wire = await aside(
        len(body),
        lambda: prepare(
            channel.endpoint,
            candidate.operation or call.operation,
            model=channel.upstream_model(call.model),
            public_model=public_model,
            stream=call.stream,
            resource_id=call.resource_id,
            query=query,
            headers=headers,
            body=body,
            secret=secret,
            now=gateway.clock(),
            ask_stream_usage=upstream is None and not call.include_usage,
        ),
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
    attempts.append(_attempt(candidate, response.status, begun, f"status {response.status}", response))
    return _judged(gateway, call, candidate, response.status, body, response, attempts)


def _judged(
    gateway: Gateway,
    call: Call,
    candidate: Candidate,
    status: int,
    body: bytes,
    response: Response | None,
    attempts: list[Attempt],
) -> tuple[Refusal, bool]:
    told = read_fault(status, body)
    secrets = candidate.channel.credentials
    if wrong_key(told, body):
        status = 401
    if status == 401:
        channel = candidate.channel
        gateway.credentials.forget(channel.credentials[candidate.credential] if channel.credentials else "")
    if status in OUR_TROUBLE or told.out_of_credit(status):
        return Refusal(faults.channel_failed(call.model), tuple(attempts)), False
    owner: faults.Owner = "client" if status in CALLERS_FAULT else "upstream"
    retry_after = _retry_after(response) if response is not None else None
    fault = Fault(
        status if status in CALLERS_FAULT or status == 429 or status >= 500 else 502,
        told.code or ("rate_limit_exceeded" if status == 429 else "upstream_error"),
        faults.redact(told.message, secrets) or f"the upstream answered with status {status}",
        type=told.type if not candidate.operation else "",
        owner=owner,
        retry_after_s=retry_after or (1.0 if status in (429, 503, 529) else None),
    )
    # The vendor's own body is shown where the client speaks its dialect and it gives nothing away.
    text = body.decode("utf-8", "replace")
    plain = not candidate.operation and _is_json_object(body) and faults.redact(text, secrets) == text
    headers = response.headers if response is not None and not candidate.operation else ()
    return Refusal(fault, tuple(attempts), body if plain else b"", headers), status in CALLERS_FAULT


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
