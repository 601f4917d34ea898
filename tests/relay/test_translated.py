"""The answer side of the translate lane: when an answer has begun, what goes out, and what a failure looks like."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from msgspec.structs import replace

from dragoman.core.faults import Fault
from dragoman.dialects import DIALECTS
from dragoman.dialects.base import Written
from dragoman.relay.lanes import Meter
from dragoman.relay.translated import begin, carry, ending
from dragoman.relay.translation import Translation, Upstream
from dragoman.upstream.client import UpstreamError
from tests.relay.scripted import Headers, Scripted, Wire, call, gateway, response

SSE: Headers = [(b"content-type", b"text/event-stream"), (b"x-request-id", b"up-1")]
JSON: Headers = [(b"content-type", b"application/json")]
RESET = UpstreamError("closed", "connection reset", sent=True)


def event(kind: str, **data: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n".encode()


START = event("message_start", message={"id": "msg_v", "role": "assistant", "model": "vendor-m", "content": [],
                                        "usage": {"input_tokens": 9, "output_tokens": 0}})  # fmt: skip
PING = event("ping")
OPEN = event("content_block_start", index=0, content_block={"type": "text", "text": ""})
HEL = event("content_block_delta", index=0, delta={"type": "text_delta", "text": "Hel"})
LO = event("content_block_delta", index=0, delta={"type": "text_delta", "text": "lo"})
CLOSE = event("content_block_stop", index=0)
STOP = event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 2})
END = event("message_stop")
OVERLOADED = event("error", error={"type": "overloaded_error", "message": "Overloaded"})
WHOLE = json.dumps({"id": "msg_v", "type": "message", "role": "assistant", "model": "vendor-m", "stop_reason": "end_turn",
                    "content": [{"type": "text", "text": "Hello"}],
                    "usage": {"input_tokens": 9, "output_tokens": 2}}).encode()  # fmt: skip


BODIES = {
    "chat": b'{"model":"m","messages":[{"role":"user","content":"hi"}]}',
    "responses": b'{"model":"m","input":"hi"}',
}


class Told:
    """One translated answer: a chat client, an Anthropic upstream."""

    def __init__(
        self, chunks: list[bytes | BaseException], headers: Headers = SSE, *, keep: Any = None, **fields: Any
    ) -> None:
        self.wire, self.scripted = Wire(), Scripted(200, chunks, headers)
        self.call = call(**{"stream": True, "include_usage": True, **fields})
        self.meter = Meter(DIALECTS["openai_chat"].tap(), 0.0)
        self.fault: Fault | UpstreamError | None = None
        self.gateway = gateway()
        try:
            asyncio.run(self._run(keep))
        except (Fault, UpstreamError) as fault:
            self.fault = fault

    async def _run(self, keep: Any) -> None:
        body = BODIES[self.call.operation]
        reply = await Translation(self.call, body, None).reply()  # type: ignore[arg-type]
        upstream, answer = Upstream("anthropic", Written(b"")), response(self.scripted)
        opening = await begin(self.gateway, self.call, upstream, answer, reply, len(body))
        self.meter.translated(opening.tap, opening.dialect, ())
        await carry(self.gateway, self.call, answer, opening, self.meter, self.wire.send, len(body), keep)

    @property
    def payloads(self) -> list[Any]:
        lines = [line[6:] for line in self.wire.body.decode().splitlines() if line.startswith("data: ")]
        return [line if line == "[DONE]" else json.loads(line) for line in lines]

    @property
    def text(self) -> str:
        chunks = [p for p in self.payloads if p != "[DONE]" and "choices" in p]
        return "".join(c["delta"].get("content") or "" for p in chunks for c in p["choices"])


def test_a_stream_goes_out_frame_by_frame() -> None:
    told = Told([START + OPEN, HEL, LO, CLOSE + STOP + END])
    assert told.wire.whole() and told.text == "Hello" and told.payloads[-1] == "[DONE]"
    pieces = [piece for piece in told.wire.pieces if b"content" in piece]
    assert any(b"Hel" in p and b"lo" not in p.replace(b"Hel", b"") for p in pieces)
    usage = told.payloads[-2]["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (9, 2)
    assert told.wire.value(b"content-type") == b"text/event-stream; charset=utf-8"
    assert told.wire.value(b"x-upstream-model") == b"vendor-m"
    assert told.wire.value(b"x-upstream-request-id") == b"up-1"
    usage_seen = told.meter.tap.usage
    assert usage_seen is not None and (usage_seen.input, usage_seen.output) == (9, 2)
    assert told.meter.delivered and told.meter.error == "" and told.scripted.closed == 1


@pytest.mark.parametrize("cut", range(0, len(START + OPEN + HEL + LO + CLOSE + STOP + END), 7))
def test_any_cut_of_the_bytes_gives_the_same_text(cut: int) -> None:
    data = START + OPEN + HEL + LO + CLOSE + STOP + END
    told = Told([data[:cut], data[cut:]] if cut else [data])
    assert told.text == "Hello" and told.payloads[-1] == "[DONE]"


@pytest.mark.parametrize("chunks", [[START, OVERLOADED], [START, PING, OVERLOADED], [OVERLOADED]])
def test_an_error_before_the_first_content_is_no_answer(chunks: list[bytes | BaseException]) -> None:
    told = Told(chunks)
    assert isinstance(told.fault, Fault) and told.fault.status == 503 and told.wire.messages == []


@pytest.mark.parametrize("chunks", [[], [START], [START, RESET], [RESET], [START, PING]])
def test_an_end_before_the_first_content_is_no_answer(chunks: list[bytes | BaseException]) -> None:
    told = Told(chunks)
    assert isinstance(told.fault, Fault) and told.fault.status == 502 and told.wire.messages == []


@pytest.mark.parametrize("end", [[], [RESET], [LO[:20]]])
def test_a_truncated_stream_is_never_a_normal_stop(end: list[bytes | BaseException]) -> None:
    told = Told([START + OPEN + HEL, *end])
    assert told.text == "Hel"
    assert "error" in told.payloads[-1] and "[DONE]" not in told.payloads
    assert all(c["finish_reason"] is None for p in told.payloads[:-1] for c in p["choices"])
    assert told.meter.error and told.meter.delivered


def test_an_error_in_the_middle_is_told_and_ends_the_stream() -> None:
    told = Told([START + OPEN + HEL, OVERLOADED])
    assert told.payloads[-1]["error"]["message"] == "Overloaded" and "[DONE]" not in told.payloads
    assert told.meter.tap.failed


def test_a_broken_frame_is_skipped_and_counted() -> None:
    told = Told(
        [START + OPEN + HEL, b"event: content_block_delta\ndata: {broken\n\n", LO + CLOSE + STOP + END]
    )
    assert told.text == "Hello" and told.meter.broken == 1


def test_a_json_answer_to_a_stream_is_a_whole_sequence_of_events() -> None:
    told = Told([WHOLE], JSON)
    assert (
        told.text == "Hello"
        and told.payloads[-1] == "[DONE]"
        and told.payloads[-2]["usage"]["prompt_tokens"] == 9
    )


def test_a_streamed_answer_to_a_whole_request_is_folded() -> None:
    told = Told([START + OPEN + HEL, LO + CLOSE + STOP + END], stream=False)
    answer = told.wire.json()
    assert answer["choices"][0]["message"]["content"] == "Hello" and answer["usage"]["total_tokens"] == 11
    assert told.wire.value(b"content-type") == b"application/json"


def test_a_folded_stream_that_is_cut_is_no_answer() -> None:
    told = Told([START + OPEN + HEL, RESET], stream=False)
    assert isinstance(told.fault, Fault) and told.fault.status == 502


def test_usage_that_never_came_is_estimated() -> None:
    quiet = START.replace(b'"usage": {"input_tokens": 9, "output_tokens": 0}', b'"x": 1')
    told = Told(
        [quiet + OPEN + HEL, LO + CLOSE + STOP.replace(b'"usage": {"output_tokens": 2}', b'"x": 1') + END]
    )
    assert told.payloads[-2]["usage"] == told.payloads[-2]["usage"] | {
        "prompt_tokens": 15,
        "completion_tokens": 2,
    }
    whole = json.loads(WHOLE)
    del whole["usage"]
    told = Told([json.dumps(whole).encode()], JSON, stream=False)
    assert told.wire.json()["usage"]["prompt_tokens"] == 15


@pytest.mark.parametrize("stream", [True, False])
def test_the_end_of_a_responses_answer_is_kept_before_it_is_told(stream: bool) -> None:
    kept: list[bytes] = []

    async def keep(data: bytes) -> None:
        kept.append(data)

    told = Told(
        [START + OPEN + HEL, LO + CLOSE + STOP + END], operation="responses", keep=keep, stream=stream
    )
    (data,) = kept
    assert told.wire.body.endswith(data)
    assert (b"response.completed" in data) == stream


def test_the_gateways_own_failure_ends_a_stream_in_the_clients_dialect() -> None:
    told = Told([START + OPEN + HEL, LO + CLOSE + STOP + END])
    meter = replace_writer(told)
    assert b'"error"' in ending(meter, Fault(500, "internal_error", "internal error"))


def replace_writer(told: Told) -> Meter:
    """A meter whose client stream is still open."""
    meter = Meter(told.meter.tap, 0.0)
    client = DIALECTS["openai_chat"].client
    assert client is not None
    body = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'
    reply = asyncio.run(Translation(told.call, body, None).reply())  # type: ignore[arg-type]
    meter.writer = client.write_stream(replace(reply, include_usage=False))
    return meter
