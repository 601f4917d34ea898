"""The SSE of a Responses upstream → events: each text once, whatever the vendor leaves out or says twice."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dragoman.core.conversation import (
    Annotated,
    Citation,
    Closed,
    Delta,
    Ended,
    Event,
    Failed,
    Finished,
    Logprobs,
    Opaque,
    Opened,
    Refusal,
    Signature,
    Signed,
    Start,
    Text,
    Thinking,
    TokenLogprob,
    ToolCall,
    UsageSeen,
)
from dragoman.core.usage import Usage
from dragoman.dialects.openai_responses.stream_reader import ResponsesReader

Frame = dict[str, Any]
USAGE = {
    "input_tokens": 10,
    "input_tokens_details": {"cached_tokens": 4},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 2},
    "total_tokens": 15,
}
SEEN = UsageSeen(usage=Usage(input=6, cached_input=4, output=5, reasoning=2))
CREATED = {
    "type": "response.created",
    "response": {"id": "resp_v", "model": "gpt", "created_at": 5, "status": "in_progress"},
}
START = Start(model="gpt", id="resp_v", created=5)
MESSAGE = {
    "type": "message",
    "id": "msg_v",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "Hello", "annotations": []}],
}
CALL = {"type": "function_call", "id": "fc_v", "call_id": "c1", "name": "f", "arguments": '{"a":1}'}


def ended(*output: Frame, status: str = "completed", **more: Any) -> Frame:
    response = {"id": "resp_v", "status": status, "output": list(output), "usage": USAGE, **more}
    return {"type": f"response.{status}", "response": response}


def feed(reader: ResponsesReader, *frames: Frame) -> list[Event]:
    return [event for frame in frames for event in reader.feed(msgspec.json.encode(frame))]


def read(*frames: Frame) -> list[Event]:
    reader = ResponsesReader()
    events = feed(reader, *frames) + reader.finish()
    opened = [event.index for event in events if isinstance(event, Opened)]
    assert opened == list(range(len(opened)))
    assert sorted(e.index for e in events if isinstance(e, Closed)) == opened
    return events


def added(item: Frame, place: int = 0) -> Frame:
    return {"type": "response.output_item.added", "output_index": place, "item": item}


def done(item: Frame, place: int = 0) -> Frame:
    return {"type": "response.output_item.done", "output_index": place, "item": item}


def delta(kind: str, text: str, place: int = 0, **more: Any) -> Frame:
    return {"type": f"response.{kind}.delta", "output_index": place, "delta": text, **more}


def text_of(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta))


TEXT_EVENTS: list[Event] = [
    Opened(index=0, block=Text(text="")),
    Delta(index=0, text="Hel"),
    Delta(index=0, text="lo"),
    Closed(index=0),
]
STOP: list[Event] = [SEEN, Finished(finish="stop"), Ended()]


def test_text() -> None:
    assert read(
        CREATED,
        {"type": "response.in_progress", "response": CREATED["response"]},
        added({"type": "message", "id": "msg_v", "content": []}),
        {"type": "response.content_part.added", "output_index": 0, "content_index": 0, "part": {}},
        delta("output_text", "Hel", content_index=0, item_id="msg_v", logprobs=[]),
        delta("output_text", "lo", content_index=0, item_id="msg_v", logprobs=[]),
        {"type": "response.output_text.done", "output_index": 0, "content_index": 0, "text": "Hello"},
        done(MESSAGE),
        ended(MESSAGE),
    ) == [START, *TEXT_EVENTS, *STOP]


@pytest.mark.parametrize(
    "frames",
    [
        [done(MESSAGE), ended(MESSAGE)],
        [ended(MESSAGE)],
        [delta("output_text", "Hel"), ended(MESSAGE)],
        [delta("output_text", "Hello"), ended(MESSAGE)],
        [delta("output_text", "Hello"), ended()],
        [{"type": "response.output_text.done", "output_index": 0, "text": "Hello"}, done(MESSAGE), ended()],
        [{"type": "response.output_item.done", "item": MESSAGE}, ended(MESSAGE)],
        [done(MESSAGE, 3), ended(MESSAGE)],
        [done(MESSAGE), delta("output_text", "Hello"), ended(MESSAGE)],
    ],
)
def test_text_comes_once(frames: list[Frame]) -> None:
    events = read(CREATED, *frames)
    assert text_of(events) == "Hello"
    assert events[-2:] == [Finished(finish="stop"), Ended()]


def test_items_without_output_index() -> None:
    second = MESSAGE | {"id": "msg_w", "content": [{"type": "output_text", "text": " World"}]}
    frames = [{"type": "response.output_item.done", "item": item} for item in (MESSAGE, second)]
    assert text_of(read(CREATED, *frames, ended(MESSAGE, second))) == "Hello World"


def test_stream_without_created_starts_all_the_same() -> None:
    assert read(delta("output_text", "x"), ended())[0] == Start()


def test_reasoning() -> None:
    item = {
        "type": "reasoning",
        "id": "rs_v",
        "summary": [{"type": "summary_text", "text": "one"}, {"type": "summary_text", "text": "two"}],
        "encrypted_content": "gAAA",
    }
    signature = Signed(index=0, signature=Signature(origin="openai_responses", value="gAAA", id="rs_v"))
    streamed = read(
        CREATED,
        added({"type": "reasoning", "id": "rs_v", "summary": []}),
        delta("reasoning_summary_text", "o", summary_index=0),
        delta("reasoning_summary_text", "ne", summary_index=0),
        delta("reasoning_summary_text", "two", summary_index=1),
        done(item),
        ended(item),
    )
    assert streamed[1] == Opened(index=0, block=Thinking())
    assert text_of(streamed) == "one\n\ntwo"
    assert streamed[-5:-3] == [signature, Closed(index=0)]
    whole = read(CREATED, ended(item))
    assert text_of(whole) == "one\n\ntwo"
    assert signature in whole


def test_reasoning_text_and_summary_are_one() -> None:
    item = {
        "type": "reasoning",
        "id": "rs_v",
        "summary": [{"type": "summary_text", "text": "short"}],
        "content": [{"type": "reasoning_text", "text": "all of it"}],
    }
    events = read(
        CREATED,
        delta("reasoning_text", "all of", content_index=0),
        delta("reasoning_summary_text", "short", summary_index=0),
        done(item),
        ended(item),
    )
    assert text_of(events) == "all of it"


def test_hidden_reasoning_brings_its_signature() -> None:
    item = {"type": "reasoning", "id": "rs_v", "summary": [], "encrypted_content": "gAAA"}
    signature = Signature(origin="openai_responses", value="gAAA", id="rs_v")
    assert read(CREATED, done(item), ended(item))[1:4] == [
        Opened(index=0, block=Thinking()),
        Signed(index=0, signature=signature),
        Closed(index=0),
    ]
    unsigned = item | {"encrypted_content": None}
    assert read(CREATED, done(unsigned), ended(unsigned)) == [START, *STOP]


def test_calls_may_interleave() -> None:
    other = CALL | {"id": "fc_w", "call_id": "c2", "name": "g"}
    assert read(
        CREATED,
        added(CALL | {"arguments": ""}),
        added(other | {"arguments": ""}, 1),
        delta("function_call_arguments", '{"a":'),
        delta("function_call_arguments", '{"b"', 1),
        delta("function_call_arguments", "1}"),
        {"type": "response.function_call_arguments.done", "output_index": 0, "arguments": '{"a":1}'},
        done(CALL),
        delta("function_call_arguments", ":2}", 1),
        done(other | {"arguments": '{"b":2}'}, 1),
        ended(CALL, other),
    ) == [
        START,
        Opened(index=0, block=ToolCall(id="c1", name="f", arguments="")),
        Opened(index=1, block=ToolCall(id="c2", name="g", arguments="")),
        Delta(index=0, text='{"a":'),
        Delta(index=1, text='{"b"'),
        Delta(index=0, text="1}"),
        Closed(index=0),
        Delta(index=1, text=":2}"),
        Closed(index=1),
        SEEN,
        Finished(finish="tool_calls"),
        Ended(),
    ]


@pytest.mark.parametrize(
    "frames",
    [
        [done(CALL), ended(CALL)],
        [ended(CALL)],
        [added(CALL | {"arguments": ""}), ended(CALL)],
        [added(CALL), done(CALL), ended(CALL)],
        [added(CALL | {"arguments": ""}), delta("function_call_arguments", '{"a"'), ended(CALL)],
    ],
)
def test_arguments_come_once(frames: list[Frame]) -> None:
    events = read(CREATED, *frames)
    assert text_of(events) == '{"a":1}'
    assert Finished(finish="tool_calls") in events


def test_free_text_call() -> None:
    item = {"type": "custom_tool_call", "id": "ctc", "call_id": "c1", "name": "p", "input": "abc"}
    events = read(
        CREATED,
        added(item | {"input": ""}),
        delta("custom_tool_call_input", "ab"),
        {"type": "response.custom_tool_call_input.done", "output_index": 0, "input": "abc"},
        done(item),
        ended(item),
    )
    assert events[1] == Opened(index=0, block=ToolCall(id="c1", name="p", arguments="", custom=True))
    assert text_of(events) == "abc"


def test_text_ends_what_stood_before_it() -> None:
    events = read(
        CREATED,
        added(CALL | {"arguments": ""}),
        delta("function_call_arguments", '{"a":1}'),
        delta("reasoning_summary_text", "hm", 1),
        delta("output_text", "x", 2),
        ended(),
    )
    assert [type(event) for event in events[1:10]] == [
        Opened, Delta, Closed, Opened, Delta, Closed, Opened, Delta, Closed
    ]  # fmt: skip


def test_refusal() -> None:
    item = {"type": "message", "id": "msg_v", "content": [{"type": "refusal", "refusal": "No."}]}
    events = read(CREATED, delta("refusal", "No"), done(item), ended(item))
    assert events[1] == Opened(index=0, block=Refusal(text=""))
    assert text_of(events) == "No."
    assert Finished(finish="stop") in events  # as chat has it


def test_citations_come_once() -> None:
    note = {"type": "url_citation", "url": "https://x/", "title": "X", "start_index": 0, "end_index": 5}
    late = note | {"url": "https://y/"}
    part = {"type": "output_text", "text": "Hello", "annotations": [note, late]}
    events = read(
        CREATED,
        delta("output_text", "Hello"),
        {"type": "response.output_text.annotation.added", "output_index": 0, "annotation": note},
        done(MESSAGE | {"content": [part]}),
        ended(),
    )
    cited = [citation for e in events if isinstance(e, Annotated) for citation in e.citations]
    assert cited == [
        Citation(url="https://x/", title="X", start=0, end=5),
        Citation(url="https://y/", title="X", start=0, end=5),
    ]


def test_logprobs() -> None:
    tokens = [{"token": "Hi", "logprob": -0.1, "top_logprobs": [{"token": "Ho", "logprob": -3}]}]
    events = read(CREATED, delta("output_text", "Hi", logprobs=tokens), ended())
    assert Logprobs(tokens=(TokenLogprob(token="Hi", logprob=-0.1, top=(("Ho", -3.0),)),)) in events


def test_searches_are_the_vendors_own() -> None:
    item = {"type": "web_search_call", "id": "ws", "status": "completed"}
    events = read(CREATED, added(item), done(item), done(MESSAGE, 1), ended(item, MESSAGE))
    assert events[1] == Opened(
        index=0, block=Opaque(origin="openai_responses", kind="web_search_call", raw=item)
    )
    assert Finished(finish="stop") in events


@pytest.mark.parametrize(
    ("details", "finish"),
    [
        ({"reason": "max_output_tokens"}, "length"),
        ({"reason": "content_filter"}, "content_filter"),
        (None, "length"),
    ],
)
def test_incomplete_stays_so_with_calls(details: Frame | None, finish: Any) -> None:  # E149
    last = ended(CALL, status="incomplete", incomplete_details=details)
    assert read(CREATED, last)[-2:] == [Finished(finish=finish), Ended()]


@pytest.mark.parametrize(
    ("frame", "status"),
    [
        ({"type": "error", "code": "server_error", "message": "boom"}, 502),
        ({"type": "error", "error": {"type": "rate_limit_error", "message": "boom"}}, 429),
        ({"type": "response.failed", "response": {"error": {"code": "rate_limit_exceeded", "message": "boom"}}}, 429),
        ({"type": "response.failed", "response": {"error": {"code": "server_is_overloaded", "message": "boom"}}}, 503),
        ({"error": {"code": 502, "message": "boom"}}, 502),
        ({"type": "response.completed", "response": {"error": {"code": "x", "message": "boom"}}}, 502),
    ],
)  # fmt: skip
def test_failures(frame: Frame, status: int) -> None:
    reader = ResponsesReader()
    events = feed(reader, CREATED, delta("output_text", "Hel"), frame, done(MESSAGE), ended(MESSAGE))
    assert events[-2] == Closed(index=0)
    last = events[-1]
    assert isinstance(last, Failed)
    assert (last.fault.status, last.fault.message, last.fault.owner) == (status, "boom", "upstream")
    assert reader.finish() == []


@pytest.mark.parametrize("count", range(1, 6))
def test_cut_stream_is_a_failure(count: int) -> None:
    frames = [
        CREATED,
        added(CALL | {"arguments": ""}),
        delta("function_call_arguments", '{"a"'),
        delta("output_text", "Hel", 1),
        done(MESSAGE, 1),
    ]
    events = read(*frames[:count])
    assert isinstance(events[-1], Failed)
    assert (events[-1].fault.status, events[-1].fault.code) == (502, "upstream_cut")
    assert not any(isinstance(event, Finished | Ended) for event in events)


def test_unknown_and_broken_frames_are_skipped() -> None:
    reader = ResponsesReader()
    assert reader.feed(b'{"type":"response.tomorrow","delta":"x"}') == []
    assert reader.feed(b"{broken") == []
    assert reader.feed(b"[1]") == []
    assert reader.feed(b"[DONE]") == []
    assert reader.broken == 2
    events = feed(reader, CREATED, done(MESSAGE), ended(MESSAGE))
    assert text_of(events) == "Hello"


@pytest.mark.parametrize("junk", [None, 1, "x", [], [1], {"a": 1}])
def test_members_of_odd_types_do_no_harm(junk: object) -> None:
    for frame in (
        {"type": "response.created", "response": junk},
        {"type": "response.output_item.added", "output_index": junk, "item": junk},
        {"type": "response.output_item.done", "item": {"type": "message", "content": junk}},
        {
            "type": "response.output_item.done",
            "output_index": 1,
            "item": {"type": "reasoning", "summary": junk},
        },
        {"type": "response.output_item.done", "output_index": 2, "item": CALL | {"arguments": junk}},
        {"type": "response.output_text.delta", "delta": junk, "logprobs": junk},
        {"type": "response.output_text.annotation.added", "annotation": junk},
        {"type": "response.function_call_arguments.delta", "delta": junk},
        {
            "type": "response.completed",
            "response": {"output": junk, "usage": junk, "incomplete_details": junk},
        },
        {"type": "response.failed", "response": junk},
    ):
        read(CREATED, frame)
