"""The answer side of the translate lane: an upstream's frames become events, events become the client's bytes.

``begin`` reads until the upstream has really begun to answer. Until then nothing has reached the client, so a failure
there (an error under a 200, an overload after the first lifecycle event, an end without content) still lets the next
candidate try. ``carry`` then writes the rest, frame by frame.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec
from msgspec.structs import replace

from dragoman.core.conversation import Answer as Said
from dragoman.core.conversation import Ended, Event, Failed, Start, UsageSeen
from dragoman.core.envelope import BAD_JSON
from dragoman.core.faults import Fault, redact
from dragoman.core.framing import EventStreamDecoder, JsonArraySplitter, SseSplitter, sse_parts
from dragoman.core.streams import Folded, events_of
from dragoman.core.tools import Restored
from dragoman.core.usage import estimate
from dragoman.dialects import DIALECTS
from dragoman.dialects.base import Reply, StreamReader, StreamWriter, Tap, mapping
from dragoman.dialects.vendor_fault import in_band_status, read_fault
from dragoman.providers.shapes import bedrock_frames
from dragoman.relay.gateway import Gateway
from dragoman.relay.lanes import (
    AWS_STREAM,
    InBandError,
    Meter,
    Send,
    answer_headers,
    content_kind,
    streams,
    wrong_key,
)
from dragoman.relay.translation import Upstream, dropped_header
from dragoman.routing.plan import Call
from dragoman.upstream.client import Response, UpstreamError

Keep = Callable[[bytes], Awaitable[None]]
"""Stores a finished Responses object (its JSON, or its terminal frame) before the client sees it."""
LAST_BYTES_S = 0.5  # how long a vendor may take from the end of its stream to the end of its HTTP answer
MODEL_CHARS = 200  # of the vendor's name for the model, in a header


class Source:
    """An upstream's stream as events, a batch for each chunk that arrives; at most ``limit`` bytes of it."""

    def __init__(
        self,
        response: Response,
        dialect: str,
        tap: Tap,
        restored: Restored,
        limit: int,
        secrets: Sequence[str] = (),
    ) -> None:
        side = DIALECTS[dialect].upstream
        assert side is not None
        self._response, self._tap, self._restored, self._secrets = response, tap, restored, secrets
        self.reader: StreamReader = side.read_stream()
        kind = content_kind(response)
        self._array = kind == b"application/json"
        self._messages = EventStreamDecoder() if kind == AWS_STREAM else None
        self._splitter = JsonArraySplitter(limit) if self._array else SseSplitter(limit)
        self._left = limit
        self.ended = False
        self.failing = b""
        """The frame that told of a failure."""

    async def next(self) -> list[Event]:
        """The events of the next chunk; the last batch ends with Ended or Failed and sets ``ended``. Raises nothing but
        cancellation: a broken connection is an end without an end."""
        try:
            chunk = await self._response.chunk()
            self._left -= len(chunk or b"")
            if self._left < 0:
                raise ValueError("the stream is too long")
            frames = self._frames(chunk) if chunk is not None else [self._splitter.finish()]
        except (UpstreamError, ValueError):
            chunk, frames = None, []
        events: list[Event] = []
        for frame in frames:
            events += self._read(frame)
        if chunk is None:
            events += self.reader.finish()
        for event in events:
            if isinstance(event, Failed):
                event.fault.message = redact(event.fault.message, self._secrets)
        out = [told for event in events for told in self._restored.event(event)]
        self.ended = chunk is None or any(isinstance(event, Ended | Failed) for event in out)
        return out

    async def drain(self) -> None:
        """Let the vendor end its answer after its terminal frame, so that its connection can serve another one."""
        try:
            async with asyncio.timeout(LAST_BYTES_S):
                while not self._response.complete and await self._response.chunk() is not None:
                    pass
        except (UpstreamError, TimeoutError):
            pass  # it is closed instead

    def _frames(self, chunk: bytes) -> list[bytes]:
        if self._messages is not None:
            chunk = b"".join(bedrock_frames(message) for message in self._messages.feed(chunk))
        return self._splitter.feed(chunk)

    def _read(self, frame: bytes) -> list[Event]:
        if self._array:
            event, data = b"", JsonArraySplitter.element(frame)
        else:
            event, data = sse_parts(frame)
        if not data:
            return []
        self._tap.frame(data, event)
        events = self.reader.feed(data, event)
        if any(isinstance(event, Failed) for event in events):
            self.failing = data
        return events


class Opening:
    """An answer that has begun. Exactly one of ``body`` (a whole answer, written for the client) and ``events`` with
    ``writer`` (a stream) is used; ``source`` None: all events are there."""

    def __init__(self, tap: Tap, upstream: Upstream) -> None:
        self.tap = tap
        self.dialect = upstream.dialect
        self.losses = upstream.written.losses
        self.body = b""
        self.model = ""
        self.events: list[Event] = []
        self.writer: StreamWriter | None = None
        self.source: Source | None = None
        self.array = False


async def begin(
    gateway: Gateway,
    call: Call,
    upstream: Upstream,
    response: Response,
    reply: Reply,
    body_bytes: int,
    secrets: Sequence[str] = (),
) -> Opening:
    """Read until the upstream has begun to answer. Fault (owner upstream), UpstreamError: it has not. InBandError: it
    has not, and what it says is about our channel.

    ``secrets``: the channel's credentials, which no message of its vendor may tell.
    """
    dialect = DIALECTS[upstream.dialect]
    assert dialect.upstream is not None
    opening = Opening(dialect.tap(), upstream)
    restored = Restored(upstream.written.back, upstream.written.answer_tool)
    if streams(response, array=upstream.dialect == "gemini" and call.stream):
        limit = gateway.limits.answer_bytes
        source = Source(response, upstream.dialect, opening.tap, restored, limit, secrets)
        if call.stream:
            opening.events, opening.source = await _first_events(source), source
        else:
            answer = await _fold(source)
            _whole(opening, call, answer, reply, body_bytes)
            return opening
    else:
        data = await response.read(gateway.limits.answer_bytes)
        opening.tap.body(data)
        try:
            answer = restored.answer(dialect.upstream.read_answer(data))
        except Fault as fault:
            fault.message = redact(fault.message, secrets)
            raise _of_channel(data) or fault from None
        if not call.stream:
            _whole(opening, call, answer, reply, body_bytes)
            return opening
        opening.events = events_of(answer)
    opening.model = next((event.model for event in opening.events if isinstance(event, Start)), "")
    client = DIALECTS[call.dialect].client
    assert client is not None
    opening.writer, opening.array = client.write_stream(reply), reply.array
    return opening


async def _first_events(source: Source) -> list[Event]:
    """Events up to the first content; lifecycle events alone are no answer yet."""
    events: list[Event] = []
    while True:
        batch = await source.next()
        events += batch
        failed = next((event for event in batch if isinstance(event, Failed)), None)
        content = any(not isinstance(event, Start | UsageSeen | Failed) for event in events)
        if failed is not None and not content:
            raise _of_channel(source.failing) or failed.fault
        if content or source.ended:
            return events


async def _fold(source: Source) -> Said:
    folded = Folded()
    while not source.ended:
        for event in await source.next():
            if isinstance(event, Failed):
                raise _of_channel(source.failing) or event.fault
            folded.feed(event)
    await source.drain()
    return folded.answer()


def _of_channel(data: bytes) -> InBandError | None:
    """The error in ``data`` if it is about our own account at the vendor, which is not for the caller to read."""
    try:
        told = msgspec.json.decode(data)
    except BAD_JSON:
        return None
    value = mapping(told[0] if type(told) is list and told else told)
    status = in_band_status(value.get("error") or mapping(value.get("response")).get("error") or value)
    said = read_fault(status, data)
    ours = status in (401, 402, 403) or said.out_of_credit(status) or wrong_key(said, data)
    return InBandError(status, data) if ours else None


def _whole(opening: Opening, call: Call, answer: Said, reply: Reply, body_bytes: int) -> None:
    client = DIALECTS[call.dialect].client
    assert client is not None
    if answer.usage is None:
        seen = estimate(None, body_bytes=body_bytes, output_bytes=opening.tap.output_bytes)
        answer = replace(answer, usage=seen)
    opening.model = answer.model
    opening.body = client.write_answer(answer, reply)


async def carry(
    gateway: Gateway,
    call: Call,
    response: Response,
    opening: Opening,
    meter: Meter,
    send: Send,
    body_bytes: int,
    keep: Keep | None = None,
) -> None:
    """Carry a begun answer to the client. A failure from here on is told in the stream. Leaves ``response`` closed."""
    try:
        headers = _headers(call, response, opening)
        if opening.writer is None:
            if keep is not None:
                await keep(opening.body)
            await _send_whole(call, opening.body, headers, meter, send)
        else:
            await _send_stream(gateway, opening, headers, meter, send, body_bytes, keep)
    finally:
        response.close()


def _headers(call: Call, response: Response, opening: Opening) -> list[tuple[bytes, bytes]]:
    headers = [
        h for h in answer_headers(call, response) if h[0] not in (b"content-type", b"x-accel-buffering")
    ]
    if opening.losses:
        headers.append((b"x-dragoman-dropped", dropped_header(opening.losses, call.dialect)))
    if opening.model and opening.model.isascii() and opening.model.isprintable():
        headers.append((b"x-upstream-model", opening.model[:MODEL_CHARS].encode()))
    return headers


async def _send_whole(
    call: Call, body: bytes, headers: list[tuple[bytes, bytes]], meter: Meter, send: Send
) -> None:
    meter.delivered, meter.status = True, 200
    meter.first_byte()
    headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    meter.head_sent = True
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _send_stream(
    gateway: Gateway,
    opening: Opening,
    headers: list[tuple[bytes, bytes]],
    meter: Meter,
    send: Send,
    body_bytes: int,
    keep: Keep | None,
) -> None:
    writer, source = opening.writer, opening.source
    assert writer is not None
    kind = b"application/json" if opening.array else b"text/event-stream; charset=utf-8"
    headers += [(b"content-type", kind), (b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
    meter.status, meter.head_sent, meter.array = 200, True, opening.array
    meter.writer = writer
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    gateway.metrics.open_streams.inc()
    try:
        counted = False
        events, opening.events = opening.events, []
        while True:
            out: list[bytes] = []
            for event in events:
                counted = counted or isinstance(event, UsageSeen)
                if isinstance(event, Ended) and not counted:
                    seen = estimate(None, body_bytes=body_bytes, output_bytes=opening.tap.output_bytes)
                    out.append(writer.feed(UsageSeen(usage=seen)))
                if isinstance(event, Failed) and not opening.tap.failed:
                    meter.error = event.fault.message
                piece = writer.feed(event)
                if isinstance(event, Ended) and keep is not None:
                    await keep(piece)
                out.append(piece)
            if data := b"".join(out):
                meter.delivered = True
                meter.first_byte()
                await send({"type": "http.response.body", "body": data, "more_body": True})
            if source is None or source.ended:
                break
            events = await source.next()
        if source is not None:
            await source.drain()
    finally:
        gateway.metrics.open_streams.dec()
        if source is not None:
            meter.broken = source.reader.broken
    await send({"type": "http.response.body", "body": b""})


def ending(meter: Meter, fault: Fault) -> bytes:
    """What ends a translated stream when the gateway itself fails in the middle of it."""
    return meter.writer.feed(Failed(fault=fault)) if meter.writer is not None else b""
