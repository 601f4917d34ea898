"""The relay lane: the answer's bytes on their way to the client, with the usage tap listening.

Frames leave in the moment they are whole, byte for byte as they came. Two things may change a frame: the ``model``
member when a channel maps the name, and the usage-only frame that exists because the gateway asked for it (it is left
out when the client did not). Vendor-side ids are recorded before the frame that carries them leaves.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from time import perf_counter
from typing import Any

import msgspec
from msgspec import Struct

from dragoman.core.envelope import BAD_JSON, edit_path
from dragoman.core.faults import Fault, upstream_garbage
from dragoman.core.framing import EventStreamDecoder, JsonArraySplitter, SseSplitter, sse_parts
from dragoman.dialects import DIALECTS
from dragoman.dialects.base import StreamWriter, Tap, UpstreamFault
from dragoman.dialects.vendor_fault import in_band_status
from dragoman.providers.shapes import bedrock_frames
from dragoman.relay.gateway import Gateway
from dragoman.relay.identity import returnable
from dragoman.routing.plan import Call, Candidate
from dragoman.store.records import VendorId
from dragoman.upstream.client import Response, UpstreamError

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

AWS_STREAM = b"application/vnd.amazon.eventstream"
STREAMS = (b"text/event-stream", AWS_STREAM)

_check_json = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_MODEL_PATHS = {
    "openai_chat": (("model",),),
    "plain": (("model",),),
    "openai_responses": (("response", "model"), ("model",)),
    "anthropic": (("message", "model"), ("model",)),
}


class Meter:
    """What has been seen of one answer so far; it survives a cancellation, so that the flow can settle."""

    def __init__(self, tap: Tap, started: float) -> None:
        self.tap = tap
        self.started = started  # perf_counter seconds
        self.status = 0
        self.head_sent = False
        self.array = False  # the client reads a growing JSON array, not SSE
        self.delivered = False
        self.first_byte_ms = 0
        self.error = ""
        self.writer: StreamWriter | None = None  # translate lane: what ends the client's stream
        self.translated_to = ""
        self.losses: tuple[str, ...] = ()
        self.broken = 0  # frames of the upstream that could not be read and were left out

    def translated(self, tap: Tap, dialect: str, losses: Sequence[str]) -> None:
        """The answer is translated: the tap listens to the upstream's dialect."""
        self.tap, self.translated_to, self.losses = tap, dialect, tuple(losses)

    def first_byte(self) -> None:
        """Called when the first byte of the answer goes to the client."""
        if not self.first_byte_ms:
            self.first_byte_ms = max(1, int((perf_counter() - self.started) * 1000))


def answer_headers(call: Call, response: Response) -> Headers:
    """The vendor's headers that come back, and ours."""
    request_id = call.request_id.encode()
    return [
        *returnable(response.headers),
        (b"x-request-id", request_id),
        (b"request-id", request_id),
        (b"x-content-type-options", b"nosniff"),
        (b"access-control-allow-origin", b"*"),
        (b"access-control-expose-headers", b"*"),
    ]


def content_kind(response: Response) -> bytes:
    """The answer's media type, lower case, without parameters."""
    return _header(response.headers, b"content-type").partition(b";")[0].strip().lower()


def streams(response: Response, *, array: bool) -> bool:
    """Does this answer stream? ``array``: JSON would be a growing array too (Gemini)."""
    kind = content_kind(response)
    return kind in STREAMS or (array and kind == b"application/json")


class InBandError(Exception):
    """A 200 whose content is an error: the vendor's own words as they came."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(status)
        self.status, self.body = status, body


def wrong_key(told: UpstreamFault, body: bytes) -> bool:
    """The vendor refuses our key under another status than 401: Google says 400, and so does OpenAI inside a 200."""
    return told.code == "invalid_api_key" or b'"API_KEY_INVALID"' in body


class Beginning(Struct, frozen=True):
    """A relayed answer that has begun: its whole body, or the first bytes of its stream."""

    data: bytes
    stream: bool


async def begin(gateway: Gateway, call: Call, response: Response) -> Beginning:
    """Wait for a whole body, or for the first bytes of a stream; nothing has reached the client yet.

    InBandError: it is an error under a 200. UpstreamError, Fault (owner upstream): it is no answer.
    """
    if streams(response, array=call.operation == "gemini_stream"):
        data = await response.chunk()
        if data is None:
            raise upstream_garbage()
        _check_first(data, array=content_kind(response) == b"application/json")
        return Beginning(data, True)
    data = await response.read(gateway.limits.answer_bytes)
    if data or response.status != 204:
        try:
            seen = _HEAD.decode(data)
        except msgspec.ValidationError:
            seen = _Head()
            _check_object(data)
        except BAD_JSON:
            raise upstream_garbage() from None
        if seen.error and not seen.answers:
            raise InBandError(in_band_status(seen.error), data)
    return Beginning(data, False)


class _Head(Struct):
    """The members that tell an error from an answer."""

    error: dict[str, Any] | str | None = None
    type: str | None = None
    id: msgspec.Raw | None = None
    object: msgspec.Raw | None = None
    choices: msgspec.Raw | None = None
    output: msgspec.Raw | None = None
    content: msgspec.Raw | None = None
    candidates: msgspec.Raw | None = None
    response: msgspec.Raw | None = None

    @property
    def answers(self) -> bool:
        """It says something, or is a stored answer that failed."""
        return any(
            m is not None for m in (self.choices, self.output, self.content, self.candidates, self.response)
        )


_HEAD = msgspec.json.Decoder(_Head)


def _check_object(data: bytes) -> None:
    try:
        _check_json(data)
    except BAD_JSON:
        raise upstream_garbage() from None


def _check_first(data: bytes, *, array: bool) -> None:
    """InBandError if the first whole frame of a stream (``array``: of a growing array) is an error already."""
    if b"error" not in data[:2000]:
        return
    if array:
        pieces = [JsonArraySplitter.element(piece) for piece in JsonArraySplitter().feed(data)]
    else:
        pieces = [sse_parts(frame)[1] for frame in SseSplitter().feed(data)]
    frames = [payload for payload in pieces if payload]
    try:
        seen = _HEAD.decode(frames[0]) if frames else _Head()
    except BAD_JSON:
        return
    if (seen.error or seen.type == "error") and not seen.answers:
        raise InBandError(in_band_status(seen.error or msgspec.json.decode(frames[0])), frames[0])


async def relay(
    gateway: Gateway,
    call: Call,
    candidate: Candidate,
    response: Response,
    beginning: Beginning,
    meter: Meter,
    send: Send,
) -> None:
    """Carry the answer to the client; a failure is told in the stream.

    Sets ``meter.error`` when the upstream broke off. Always leaves ``response`` closed.
    """
    try:
        if beginning.stream:
            await _stream(gateway, call, candidate, response, beginning.data, meter, send)
        else:
            await _whole(gateway, call, candidate, response, beginning.data, meter, send)
    finally:
        response.close()


async def _whole(
    gateway: Gateway,
    call: Call,
    candidate: Candidate,
    response: Response,
    data: bytes,
    meter: Meter,
    send: Send,
) -> None:
    tap = meter.tap
    tap.body(data)
    if call.operation == "responses_delete":
        await gateway.owners.forget("response", call.resource_id)
    elif tap.ids:
        await _own(gateway, call, candidate, tap.ids)
    meter.delivered, meter.status = True, response.status
    if call.model in candidate.channel.model_map:
        data = _rename(data, call)
    meter.first_byte()
    headers = answer_headers(call, response)
    headers.append((b"content-length", b"%d" % len(data)))
    meter.head_sent = True
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": data})


async def _stream(
    gateway: Gateway,
    call: Call,
    candidate: Candidate,
    response: Response,
    first: bytes,
    meter: Meter,
    send: Send,
) -> None:
    kind = content_kind(response)
    array = meter.array = kind == b"application/json"
    frames = _Frames(call, candidate, meter.tap, kind)
    headers = answer_headers(call, response)
    if kind == AWS_STREAM:
        headers = [h for h in headers if h[0] != b"content-type"] + [
            (b"content-type", b"text/event-stream; charset=utf-8")
        ]
    if not array:
        headers.append((b"x-accel-buffering", b"no"))
    meter.status, meter.head_sent = response.status, True
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    gateway.metrics.open_streams.inc()
    owned = 0
    chunk: bytes | None = first
    try:
        while chunk is not None:
            out = frames.feed(chunk)
            if len(meter.tap.ids) != owned:
                await _own(gateway, call, candidate, meter.tap.ids[owned:])
                owned = len(meter.tap.ids)
            if out:
                meter.delivered = True
                meter.first_byte()
                await send({"type": "http.response.body", "body": out, "more_body": True})
            chunk = await response.chunk()
        at = meter.tap.point(array=array)
        tail = frames.finish()
        cut = not meter.tap.complete and not meter.tap.failed
        if cut:
            meter.error = "the upstream ended the stream before its end"
        elif tail:
            if len(meter.tap.ids) != owned:
                await _own(gateway, call, candidate, meter.tap.ids[owned:])
            meter.delivered = True
            meter.first_byte()
    except (UpstreamError, ValueError) as error:
        at, tail = meter.tap.point(array=array), b""
        cut = not meter.tap.complete and not meter.tap.failed
        if cut:
            meter.error = f"the upstream broke off the stream ({error})"
    finally:
        gateway.metrics.open_streams.dec()
    if frames.unclosed and not cut:
        tail = b"\r\n]"
    if cut:
        fault = Fault(502, "upstream_cut", meter.error, type="server_error", owner="upstream")
        tail = frames.gap() + DIALECTS[call.dialect].write_stream_fault(fault, call.request_id, at)
    await send({"type": "http.response.body", "body": tail})


class _Frames:
    """Chunks in, whole frames out, the tap in between."""

    def __init__(self, call: Call, candidate: Candidate, tap: Tap, kind: bytes) -> None:
        self._call, self._tap = call, tap
        self._renamed = call.model in candidate.channel.model_map
        # the frame is there because we asked for it, unless the vendor sends it unasked
        self._drop_usage = not call.include_usage and candidate.channel.endpoint.provider.stream_usage
        self._array = kind == b"application/json"
        self._events = EventStreamDecoder() if kind == AWS_STREAM else None
        self.unclosed = False  # a JSON array was opened and its end has not come
        self._splitter = JsonArraySplitter() if self._array else SseSplitter()

    def feed(self, chunk: bytes) -> bytes:
        if self._events is not None:
            chunk = b"".join(bedrock_frames(m) for m in self._events.feed(chunk))
        frames = self._splitter.feed(chunk)
        if len(frames) == 1:
            return self._pass(frames[0])
        return b"".join([self._pass(f) for f in frames])

    def finish(self) -> bytes:
        """The bytes after the last whole frame (a vendor may end without a blank line)."""
        tail = self._splitter.finish()
        return self._pass(tail) if tail else b""

    def gap(self) -> bytes:
        """What must come before a frame of ours: the end of one that went out in pieces because of its size."""
        return b"\n\n" if self._splitter.oversize and not self._array else b""

    def _pass(self, frame: bytes) -> bytes:
        if self._array:
            data = JsonArraySplitter.element(frame)
            if data:
                self.unclosed = self.unclosed or frame.lstrip().startswith(b"[")
                self._tap.frame(data)
            elif b"]" in frame:
                self.unclosed = False
            return frame
        event, data = sse_parts(frame)
        if not data:
            return frame
        self._tap.frame(data, event)
        if self._drop_usage and self._tap.usage_only(data):
            return b""
        if self._renamed and b'"model"' in data:
            return frame.replace(data, _rename(data, self._call), 1)
        return frame


def _rename(data: bytes, call: Call) -> bytes:
    """Put the name the client knows where the vendor wrote its own."""
    raw = msgspec.json.encode(call.model)
    try:
        for path in _MODEL_PATHS.get(call.dialect, ()):
            if _stands(data, path):
                data = edit_path(data, path, raw)
    except (Fault, msgspec.DecodeError):
        return data  # what cannot be read goes out as it came
    return data


def _stands(data: bytes, path: Sequence[str]) -> bool:
    """Is there a member at ``path``? (``edit_path`` would add the last one.)"""
    for name in path:
        raw = _check_json(data).get(name)
        if raw is None:
            return False
        data = bytes(raw)
    return True


async def _own(gateway: Gateway, call: Call, candidate: Candidate, ids: Sequence[tuple[str, str]]) -> None:
    await gateway.owners.remember(
        list(ids), VendorId(call.key.user_id, candidate.channel.id, candidate.credential)
    )


def _header(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> bytes:
    return next((v for n, v in headers if n == name), b"")
