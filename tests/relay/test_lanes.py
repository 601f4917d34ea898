"""The lane against scripted answers: what reaches the client, and what the meter has seen of it."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from dragoman.core.faults import Fault
from dragoman.core.usage import Usage
from dragoman.dialects import DIALECTS
from dragoman.relay.gateway import Gateway
from dragoman.relay.lanes import Meter, answer_headers, begin, relay
from dragoman.routing.plan import Call, Candidate
from dragoman.store.records import VendorId
from dragoman.upstream.client import UpstreamError
from tests.relay.scripted import (
    ACME,
    Headers,
    OwnerBook,
    Scripted,
    Wire,
    aws_message,
    call,
    candidate,
    gateway,
    limits,
    response,
)

SSE: Headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
JSON: Headers = [(b"content-type", b"application/json")]
AWS: Headers = [(b"content-type", b"application/vnd.amazon.eventstream")]
RESET = UpstreamError("closed", "connection reset", sent=True)


def frame(event: str = "", /, **data: Any) -> bytes:
    head = f"event: {event}\n" if event else ""
    return f"{head}data: {json.dumps(data)}\n\n".encode()


def payloads(body: bytes) -> list[Any]:
    """The JSON data of every frame; ``[DONE]`` as it is."""
    lines = [line[6:] for line in body.decode().splitlines() if line.startswith("data: ")]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


UNBEGUN = Fault(502, "unbegun", "the upstream broke off before its answer began")
DONE = b"data: [DONE]\n\n"
TEXT = frame(choices=[{"delta": {"content": "hello"}}], model="vendor-m")
USAGE = frame(choices=[], usage={"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7})

# One frame of text, then the frame that ends the answer, in each dialect.
STREAMS: dict[str, tuple[str, bytes, bytes]] = {
    "openai_chat": ("chat", TEXT, DONE),
    "plain": ("completions", frame(choices=[{"text": "hello"}]), DONE),
    "openai_responses": (
        "responses",
        frame(type="response.output_text.delta", delta="hello", sequence_number=4),
        frame(type="response.completed", sequence_number=5, response={"id": "r1", "status": "completed"}),
    ),
    "anthropic": (
        "messages",
        frame("content_block_delta", type="content_block_delta", delta={"type": "text_delta", "text": "hello"}),
        frame("message_stop", type="message_stop"),
    ),
    "gemini": (
        "gemini_stream",
        frame(candidates=[{"content": {"parts": [{"text": "hello"}]}}]),
        frame(candidates=[{"finishReason": "STOP"}]),
    ),
}  # fmt: skip


class Relayed:
    """One relayed answer: the client's wire, the meter, the script, the fault if one was raised."""

    def __init__(
        self, asked: Call, scripted: Scripted, chosen: Candidate, ports: Gateway, wire: Wire
    ) -> None:
        self.wire, self.scripted, self.gateway = wire, scripted, ports
        self.meter = Meter(DIALECTS[asked.dialect].tap(), 0.0)
        self.fault: Fault | None = None
        try:
            asyncio.run(self._relay(asked, chosen, ports))
        except Fault as fault:
            self.fault = fault
        except UpstreamError:
            self.fault = UNBEGUN

    async def _relay(self, asked: Call, chosen: Candidate, ports: Gateway) -> None:
        """What the attempt and then the flow do with an answer."""
        answer = response(self.scripted)
        try:
            beginning = await begin(ports, asked, answer)
        except BaseException:
            answer.close()  # the attempt's duty
            raise
        await relay(ports, asked, chosen, answer, beginning, self.meter, self.wire.send)

    @property
    def open_streams(self) -> float | None:
        return self.gateway.metrics.registry.get_sample_value("dragoman_open_streams")


def relayed(
    asked: Call,
    chunks: Sequence[bytes | BaseException],
    headers: Headers = JSON,
    *,
    status: int = 200,
    chosen: Candidate | None = None,
    **ports: Any,
) -> Relayed:
    wire = Wire()
    values = {"owners": OwnerBook(wire.log)} | ports
    scripted = Scripted(status, chunks, headers)
    return Relayed(asked, scripted, chosen or candidate(3, credential=1), gateway(**values), wire)


def streamed(operation: str, chunks: Sequence[bytes | BaseException], **fields: Any) -> Relayed:
    fields.setdefault("headers", SSE)
    return relayed(call(operation, stream=True, **fields.pop("asked", {})), chunks, **fields)


# --- whole answers ----------------------------------------------------------------------------------------

ANSWER = b'{"id":"x", "model":"vendor-m","choices":[{"message":{"content":"hey you"}}],"usage":{"prompt_tokens":3,"completion_tokens":2},"big":1.0}'


def test_a_whole_answer_comes_as_it_was_sent_and_is_metered() -> None:
    done = relayed(
        call(), [ANSWER[:7], ANSWER[7:]], [*JSON, (b"x-vendor", b"1"), (b"set-cookie", b"a=b")], status=201
    )
    assert done.wire.whole() and done.wire.status == 201
    assert done.wire.body == ANSWER
    assert done.wire.value(b"content-length") == b"%d" % len(ANSWER)
    assert done.wire.value(b"content-type") == b"application/json"
    assert done.wire.value(b"x-vendor") == b"1" and done.wire.value(b"set-cookie") is None
    meter = done.meter
    assert (meter.delivered, meter.status, meter.error) == (True, 201, "")
    assert meter.first_byte_ms > 0
    assert meter.tap.usage == Usage(input=3, output=2) and meter.tap.output_bytes == 7
    assert done.scripted.closed == 1 and done.open_streams == 0


@pytest.mark.parametrize(
    "answer", [b"", b"<html></html>", b'{"cut":', b"[1]", b'"text"', b"null", b"data: {}\n\n"]
)
def test_a_whole_answer_that_is_no_json_object_is_garbage(answer: bytes) -> None:
    done = relayed(call(), [answer] if answer else [])
    assert done.fault is not None and (done.fault.status, done.fault.code) == (502, "upstream_invalid_answer")
    assert done.wire.messages == [] and not done.meter.delivered
    assert done.scripted.closed == 1


@pytest.mark.parametrize("chunks", [[b'{"a":', RESET], [b'{"a":"' + b"x" * 100 + b'"}']])
def test_a_whole_answer_that_breaks_or_is_too_long_is_garbage(chunks: list[bytes | BaseException]) -> None:
    done = relayed(call(), chunks, limits=limits(answer_bytes=50))
    assert done.fault is not None and done.fault.status == 502
    assert done.wire.messages == [] and done.scripted.closed == 1


@pytest.mark.parametrize("mapped", [{}, {"m": "vendor-m"}], ids=["plain", "mapped"])
def test_an_empty_204_is_an_answer(mapped: dict[str, str]) -> None:
    done = relayed(call("responses_delete"), [], status=204, chosen=candidate(3, model_map=mapped))
    assert done.fault is None and done.wire.status == 204 and done.wire.body == b""


def test_ids_of_a_whole_answer_are_recorded_before_its_head_leaves() -> None:
    answer = b'{"id":"resp_1","status":"completed","output":[{"id":"msg_1"}],"conversation":{"id":"conv_1"}}'
    done = relayed(call("responses"), [answer])
    assert done.wire.log[:3] == [
        ("own", "response", "resp_1"),
        ("own", "conversation", "conv_1"),
        ("own", "item", "msg_1"),
    ]
    assert [m["type"] for m in done.wire.log[3:]] == ["http.response.start", "http.response.body"]
    owner = asyncio.run(done.gateway.owners.find("response", "resp_1"))
    assert owner == VendorId(user_id=7, channel_id=3, credential=1)


def test_a_deleted_response_is_forgotten_and_not_recorded_again() -> None:
    owners = OwnerBook([])
    owners.owned = {("response", "resp_1"): VendorId(7, 3, 1), ("response", "resp_2"): VendorId(7, 3, 1)}
    asked = call("responses_delete", resource_id="resp_1")
    done = relayed(asked, [b'{"id":"resp_1","object":"response","deleted":true}'], owners=owners)
    assert done.wire.json()["deleted"] is True
    assert list(owners.owned) == [("response", "resp_2")] and owners.log == []


MAPPED = candidate(3, model_map={"m": "vendor-m"})


def test_a_mapped_model_gets_its_public_name_and_nothing_else_changes() -> None:
    done = relayed(call(), [ANSWER], chosen=MAPPED)
    expected = ANSWER.replace(b'"vendor-m"', b'"m"')
    assert done.wire.body == expected
    assert done.wire.value(b"content-length") == b"%d" % len(expected)


def test_the_map_of_another_model_changes_nothing() -> None:
    chosen = candidate(3, model_map={"other": "vendor-m"})
    assert relayed(call(), [ANSWER], chosen=chosen).wire.body == ANSWER


def test_a_mapped_answer_that_names_no_model_stays_as_it_came() -> None:
    done = relayed(call("count_tokens"), [b'{"input_tokens":5}'], chosen=MAPPED)
    assert done.wire.body == b'{"input_tokens":5}'


def test_vendor_headers_come_back_and_ours_stand_once() -> None:
    scripted = Scripted(headers=[(b"request-id", b"theirs"), (b"x-content-type-options", b"other"),
                                 (b"access-control-allow-origin", b"evil"), (b"connection", b"close")])  # fmt: skip
    headers = answer_headers(call(), response(scripted))
    assert sorted(headers) == [
        (b"access-control-allow-origin", b"*"),
        (b"access-control-expose-headers", b"*"),
        (b"request-id", b"req_1"),
        (b"x-content-type-options", b"nosniff"),
        (b"x-request-id", b"req_1"),
        (b"x-upstream-request-id", b"theirs"),
    ]


# --- streams ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", STREAMS)
def test_a_stream_comes_byte_for_byte_frame_by_frame(dialect: str) -> None:
    operation, text, end = STREAMS[dialect]
    comment = b": keep-alive\n\n"
    done = streamed(operation, [text, comment, text[:9], text[9:], end], headers=[*SSE, (b"x-vendor", b"1")])
    assert done.wire.whole()
    assert done.wire.pieces == [text, comment, text, end, b""]
    assert done.wire.value(b"content-type") == SSE[0][1] and done.wire.value(b"x-vendor") == b"1"
    assert done.wire.value(b"x-accel-buffering") == b"no" and done.wire.value(b"content-length") is None
    meter = done.meter
    assert (meter.delivered, meter.status, meter.error) == (True, 200, "")
    assert meter.tap.complete and meter.tap.output_bytes == 10 and meter.first_byte_ms > 0
    assert done.scripted.closed == 1 and done.open_streams == 0


@pytest.mark.parametrize("size", [1, 2, 7, 50])
def test_any_cut_of_the_chunks_gives_the_same_stream(size: int) -> None:
    source = TEXT + b": ping\r\n\r\n" + TEXT + DONE
    done = streamed("chat", [source[at : at + size] for at in range(0, len(source), size)])
    assert done.wire.body == source and done.meter.tap.output_bytes == 10


def test_the_head_leaves_with_the_first_frame_and_frames_before_the_next_chunk() -> None:
    wire, order = Wire(), list[str]()

    class Watching(Scripted):
        async def chunk(self) -> bytes | None:
            order.append(f"{len(wire.messages)} sent")
            return await super().chunk()

    Relayed(call(stream=True), Watching(200, [TEXT, DONE], SSE), candidate(), gateway(), wire)
    assert order == ["0 sent", "2 sent", "3 sent"]


def test_open_streams_are_counted_while_they_run() -> None:
    seen: list[float | None] = []
    ports = gateway()

    class Watching(Scripted):
        async def chunk(self) -> bytes | None:
            seen.append(ports.metrics.registry.get_sample_value("dragoman_open_streams"))
            return await super().chunk()

    Relayed(call(stream=True), Watching(200, [TEXT, DONE], SSE), candidate(), ports, Wire())
    assert seen == [0, 1, 1]  # the first chunk decides whether there is an answer at all


def test_a_json_answer_to_a_stream_request_is_a_whole_answer() -> None:
    done = relayed(call(stream=True), [ANSWER])
    assert done.wire.body == ANSWER and done.wire.value(b"content-length") is not None


def test_the_content_type_is_read_without_its_case_and_parameters() -> None:
    done = streamed("chat", [DONE], headers=[(b"content-type", b"Text/Event-Stream ;charset=x")])
    assert done.wire.pieces == [DONE, b""]


@pytest.mark.parametrize("dialect", ["openai_chat", "plain"])
def test_a_last_frame_without_its_blank_line_is_delivered(dialect: str) -> None:
    operation, text, end = STREAMS[dialect]
    done = streamed(operation, [text, end.rstrip()])
    assert done.wire.body == text + end.rstrip() and done.meter.error == ""


def test_a_stream_of_one_frame_without_its_blank_line_counts_as_delivered() -> None:
    only = frame(choices=[{"delta": {"content": "hi"}, "finish_reason": "stop"}]).rstrip()
    done = streamed("chat", [only])
    assert done.wire.body == only
    assert done.meter.delivered and done.meter.first_byte_ms > 0


# --- frames that may change -------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", ["chat", "completions"])
def test_the_usage_frame_that_only_we_asked_for_is_dropped_and_counted(operation: str) -> None:
    done = streamed(operation, [TEXT + USAGE, USAGE, DONE])
    assert done.wire.pieces == [TEXT, DONE, b""]
    assert done.meter.tap.usage == Usage(input=3, output=4)


def test_the_usage_frame_that_the_client_asked_for_is_kept() -> None:
    done = streamed("chat", [TEXT, USAGE, DONE], asked={"include_usage": True})
    assert done.wire.body == TEXT + USAGE + DONE


def test_a_usage_frame_that_the_vendor_sends_unasked_is_kept() -> None:
    unasked = candidate(1, provider=replace(ACME, stream_usage=False))
    done = streamed("chat", [TEXT, USAGE, DONE], chosen=unasked)
    assert done.wire.body == TEXT + USAGE + DONE


def test_a_frame_with_both_text_and_usage_is_kept() -> None:
    both = frame(choices=[{"delta": {"content": "x"}}], usage={"prompt_tokens": 1, "completion_tokens": 1})
    assert streamed("chat", [both, DONE]).wire.body == both + DONE


RENAMED: list[tuple[str, bytes, bytes]] = [
    ("chat", TEXT, DONE),
    ("completions", b'data: {"choices":[{"text":"a"}], "model":"vendor-m"}\r\n\r\n', DONE),
    (
        "anthropic-start",
        b'event: message_start\ndata: {"type":"message_start","message":{"id":"a","model":"vendor-m","content":[]}}\n\n',
        STREAMS["anthropic"][2],
    ),
    (
        "responses-created",
        b'data: {"type":"response.created","response":{"id":"r","model":"vendor-m"},"sequence_number":0}\n\n',
        STREAMS["openai_responses"][2],
    ),
]


@pytest.mark.parametrize(("name", "first", "end"), RENAMED, ids=[r[0] for r in RENAMED])
def test_a_mapped_model_is_renamed_where_the_vendor_wrote_it_and_nowhere_else(
    name: str, first: bytes, end: bytes
) -> None:
    operation = {"anthropic-start": "messages", "responses-created": "responses"}.get(name, name)
    done = streamed(operation, [first, end], chosen=MAPPED)
    assert done.wire.body == first.replace(b'"vendor-m"', b'"m"') + end


def test_frames_of_a_mapped_model_without_the_member_stay_as_they_came() -> None:
    text = frame(choices=[{"delta": {"content": 'the "model" said'}}])
    assert streamed("chat", [text, DONE], chosen=MAPPED).wire.body == text + DONE


@pytest.mark.parametrize(
    "last", [b'data: {"choices":[],"model":"vend', b'data: "model"\n\n', b'data: {"model":oops}\n\n']
)
def test_an_unreadable_frame_of_a_mapped_model_never_becomes_a_second_answer(last: bytes) -> None:
    done = streamed("chat", [TEXT, last], chosen=MAPPED)
    assert done.fault is None and done.wire.whole()
    assert payloads(done.wire.pieces[-1])[-1] == "[DONE]"
    assert done.meter.error


# --- ids --------------------------------------------------------------------------------------------------

CREATED = frame(
    type="response.created", sequence_number=0, response={"id": "resp_1", "model": "m", "created_at": 5}
)
ADDED = frame(type="response.output_item.added", sequence_number=1, item={"id": "msg_1"})
COMPLETED = frame(
    type="response.completed", sequence_number=2, response={"id": "resp_1", "status": "completed"}
)


def test_ids_are_recorded_before_the_frame_that_carries_them_and_once() -> None:
    done = streamed("responses", [CREATED, CREATED, ADDED, COMPLETED])
    start, own_response, first, again, own_item, second, last, end = done.wire.log
    assert start["type"] == "http.response.start" and end["body"] == b""
    assert own_response == ("own", "response", "resp_1") and own_item == ("own", "item", "msg_1")
    assert [m["body"] for m in (first, again, second, last)] == [CREATED, CREATED, ADDED, COMPLETED]
    assert asyncio.run(done.gateway.owners.find("item", "msg_1")) == VendorId(7, 3, 1)


def test_ids_of_one_chunk_are_recorded_before_any_of_it_leaves() -> None:
    done = streamed("responses", [CREATED + ADDED + COMPLETED])
    assert done.wire.log[1:3] == [("own", "response", "resp_1"), ("own", "item", "msg_1")]
    assert done.wire.pieces == [CREATED + ADDED + COMPLETED, b""]


def test_ids_of_a_last_frame_without_its_blank_line_are_recorded_before_it_leaves() -> None:
    done = streamed("responses", [ADDED, COMPLETED.rstrip()])
    assert done.wire.log.index(("own", "response", "resp_1")) < len(done.wire.log) - 1
    assert done.wire.pieces[-1] == COMPLETED.rstrip()


def test_an_id_that_cannot_be_recorded_does_not_leave() -> None:
    class Full(OwnerBook):
        async def remember(self, ids: list[tuple[str, str]], owner: VendorId) -> None:
            raise OSError("disk full")

    wire, scripted, ports = Wire(), Scripted(200, [CREATED, COMPLETED], SSE), gateway(owners=Full([]))
    with pytest.raises(OSError, match="disk full"):
        Relayed(call("responses", stream=True), scripted, candidate(), ports, wire)
    assert b"resp_1" not in wire.body and scripted.closed == 1
    assert ports.metrics.registry.get_sample_value("dragoman_open_streams") == 0


# --- streams that break -----------------------------------------------------------------------------------


def check_cut(dialect: str, tail: bytes) -> None:
    """The tail ends a stream of ``dialect`` that had begun, as a failure, the way its clients expect."""
    sent = payloads(tail)
    if dialect in ("openai_chat", "plain"):
        assert [sent[0]["error"]["code"], sent[1]] == ["upstream_cut", "[DONE]"]
    elif dialect == "openai_responses":
        assert tail.startswith(b"event: response.failed\n")
        assert (sent[0]["type"], sent[0]["sequence_number"]) == ("response.failed", 5)
        assert sent[0]["response"]["error"]["code"] == "server_error"  # a word of the API's own list
    elif dialect == "anthropic":
        assert tail.startswith(b"event: error\n")
        assert (sent[0]["type"], sent[0]["error"]["code"]) == ("error", "upstream_cut")
    else:
        assert sent[0]["error"]["code"] == 502


@pytest.mark.parametrize("dialect", STREAMS)
@pytest.mark.parametrize("break_off", ["reset", "clean end", "reset in a frame", "clean end in a frame"])
def test_a_cut_is_told_in_the_stream(dialect: str, break_off: str) -> None:
    operation, text, end = STREAMS[dialect]
    half = [end[: len(end) // 2]] if "in a frame" in break_off else []
    chunks: list[bytes | BaseException] = [text, *half, *([RESET] if "reset" in break_off else [])]
    done = streamed(operation, chunks)
    assert done.wire.whole() and done.wire.status == 200
    first, tail = done.wire.pieces
    assert first == text
    check_cut(dialect, tail)
    assert done.meter.error and done.meter.delivered
    assert done.scripted.closed == 1 and done.open_streams == 0


@pytest.mark.parametrize("dialect", STREAMS)
@pytest.mark.parametrize("chunks", [[], [RESET]])
def test_a_stream_that_ends_before_its_first_byte_is_no_answer(
    dialect: str, chunks: list[bytes | BaseException]
) -> None:
    done = streamed(STREAMS[dialect][0], chunks)
    assert done.fault is not None and done.fault.status == 502  # another candidate may still answer
    assert done.wire.messages == [] and not done.meter.delivered and done.scripted.closed == 1


@pytest.mark.parametrize("dialect", STREAMS)
@pytest.mark.parametrize("chunks", [[b"data: {", RESET], [b"data: {"]])
def test_a_cut_in_the_first_frame_delivers_nothing_but_the_failure(
    dialect: str, chunks: list[bytes | BaseException]
) -> None:
    done = streamed(STREAMS[dialect][0], chunks)
    assert done.wire.whole() and len(done.wire.pieces) == 1
    error = payloads(done.wire.body)[0]
    assert error.get("error") or error["type"] == "error"
    assert done.meter.error and not done.meter.delivered and done.meter.first_byte_ms == 0


@pytest.mark.parametrize("dialect", STREAMS)
def test_a_stream_that_told_its_own_failure_gets_no_second_one(dialect: str) -> None:
    operation, text, _ = STREAMS[dialect]
    failed = frame("error", type="error", error={"message": "overloaded"}, code="x", message="overloaded")
    done = streamed(operation, [text, failed])
    assert done.wire.pieces == [text, failed, b""]
    assert done.meter.tap.failed and done.meter.error == ""


@pytest.mark.parametrize("dialect", ["openai_chat", "openai_responses", "anthropic"])
def test_a_connection_that_dies_after_the_terminal_frame_is_no_cut(dialect: str) -> None:
    operation, text, end = STREAMS[dialect]
    done = streamed(operation, [text, end, RESET])
    assert done.wire.body == text + end and done.meter.error == ""


def test_cancellation_closes_the_upstream_and_tells_nothing() -> None:
    wire, scripted, ports = Wire(), Scripted(200, [TEXT, asyncio.CancelledError()], SSE), gateway()
    with pytest.raises(asyncio.CancelledError):
        Relayed(call(stream=True), scripted, candidate(), ports, wire)
    assert wire.pieces == [TEXT] and scripted.closed == 1
    assert ports.metrics.registry.get_sample_value("dragoman_open_streams") == 0


# --- Bedrock's event stream -------------------------------------------------------------------------------


def aws_chunk(**data: Any) -> bytes:
    payload = json.dumps({"bytes": base64.b64encode(json.dumps(data).encode()).decode()}).encode()
    return aws_message(payload, message_type="event", event_type="chunk")


DELTA = {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "hello"}}


@pytest.mark.parametrize("size", [1, 13, 10_000])
def test_an_event_stream_reaches_the_client_as_sse(size: int) -> None:
    source = aws_chunk(**DELTA) + aws_chunk(type="message_stop")
    done = streamed("messages", [source[at : at + size] for at in range(0, len(source), size)], headers=AWS)
    assert done.wire.value(b"content-type") == b"text/event-stream; charset=utf-8"
    assert done.wire.body == frame("content_block_delta", **DELTA) + frame(
        "message_stop", type="message_stop"
    )
    assert done.meter.tap.complete and done.meter.tap.output_bytes == 5 and done.meter.error == ""


@pytest.mark.parametrize("break_off", ["checksum", "reset", "clean end", "half a message"])
def test_a_broken_event_stream_ends_with_an_error_event(break_off: str) -> None:
    good = aws_chunk(**DELTA)
    end: list[bytes | BaseException] = {
        "checksum": [good[:-1] + bytes([good[-1] ^ 1])],
        "reset": [RESET],
        "clean end": [],
        "half a message": [good[:20]],
    }[break_off]  # type: ignore[assignment]
    done = streamed("messages", [good, *end], headers=AWS)
    first, tail = done.wire.pieces
    assert first == frame("content_block_delta", **DELTA)
    check_cut("anthropic", tail)
    assert done.meter.error


def test_an_exception_in_the_event_stream_is_the_vendors_failure() -> None:
    thrown = aws_message(
        b'{"message":"too fast"}', message_type="exception", exception_type="throttlingException"
    )
    done = streamed("messages", [aws_chunk(**DELTA), thrown], headers=AWS)
    assert payloads(done.wire.body)[-1]["error"] == {"type": "rate_limit_error", "message": "too fast"}
    assert done.meter.tap.failed and done.meter.error == ""


# --- Gemini's growing array -------------------------------------------------------------------------------

ARRAY = [
    b'[{"candidates": [{"content": {"parts": [{"text": "a]b"}]}}]}\n',
    b',\r\n{"candidates": [{"finishReason": "STOP"}], "usageMetadata": {"promptTokenCount": 2, "candidatesTokenCount": 1}}\n]\n',
]


@pytest.mark.parametrize("size", [1, 5, 10_000])
def test_an_array_comes_byte_for_byte(size: int) -> None:
    source = b"".join(ARRAY)
    done = streamed(
        "gemini_stream", [source[at : at + size] for at in range(0, len(source), size)], headers=JSON
    )
    assert done.wire.whole() and done.wire.body == source
    assert done.wire.value(b"content-type") == b"application/json"
    assert done.wire.value(b"content-length") is None
    assert done.meter.tap.complete and done.meter.tap.usage == Usage(input=2, output=1)
    assert done.meter.delivered and done.meter.error == ""


def test_elements_leave_before_the_array_is_closed() -> None:
    done = streamed("gemini_stream", ARRAY, headers=JSON)
    assert done.wire.pieces[0] == ARRAY[0].rstrip()


@pytest.mark.parametrize(
    "chunks",
    [
        [ARRAY[0], RESET],
        [ARRAY[0]],
        [ARRAY[0], ARRAY[1][:20], RESET],
        [ARRAY[0], ARRAY[1][:20]],
        [ARRAY[0][:20], RESET],
        [ARRAY[0][:20]],
        [b"["],
    ],
    ids=[
        "reset",
        "end",
        "reset-in-2nd",
        "end-in-2nd",
        "reset-in-1st",
        "end-in-1st",
        "bracket",
    ],
)
def test_a_cut_array_is_still_one_json_array_with_the_failure_last(
    chunks: list[bytes | BaseException],
) -> None:
    done = streamed("gemini_stream", chunks, headers=JSON)
    elements = json.loads(done.wire.body)
    assert elements[-1]["error"]["code"] == 502
    assert [e for e in elements[:-1] if "error" in e] == []
    assert done.meter.error


def test_a_whole_array_stays_valid_when_the_connection_dies_after_it() -> None:
    done = streamed("gemini_stream", [*ARRAY, RESET], headers=JSON)
    assert len(json.loads(done.wire.body)) == 2


@pytest.mark.parametrize("end", [[], [RESET]], ids=["end", "reset"])
def test_a_finished_answer_whose_array_was_not_closed_reaches_the_client_closed(
    end: list[bytes | BaseException],
) -> None:
    done = streamed("gemini_stream", [ARRAY[0], ARRAY[1].rstrip(b"\n]"), *end], headers=JSON)
    assert json.loads(done.wire.body)[1]["usageMetadata"]["promptTokenCount"] == 2


def test_json_of_other_gemini_operations_is_a_whole_answer() -> None:
    answer = b'{"candidates":[{"content":{"parts":[{"text":"abc"}]},"finishReason":"STOP"}]}'
    done = relayed(call("gemini_generate"), [answer])
    assert done.wire.body == answer and done.wire.value(b"content-length") == b"%d" % len(answer)


def test_the_first_byte_is_timed_once() -> None:
    meter = Meter(DIALECTS["plain"].tap(), 0.0)
    meter.first_byte()
    first = meter.first_byte_ms
    meter.started = -1e6
    meter.first_byte()
    assert meter.first_byte_ms == first >= 1
