"""Events → Google's stream, as SSE and as a growing array (E224, E225), played through google-genai."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx2
import pytest
from google import genai
from google.genai import errors, types

from dragoman.core.conversation import (
    Annotated,
    Base64,
    Citation,
    Closed,
    Conversation,
    Delta,
    Ended,
    Event,
    Failed,
    Finished,
    Logprobs,
    Media,
    Opaque,
    Opened,
    Reasoning,
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
from dragoman.core.faults import Fault
from dragoman.core.framing import JsonArraySplitter, SseSplitter, sse_data
from dragoman.core.usage import Usage
from dragoman.dialects.base import Reply
from dragoman.dialects.gemini.signature import from_client
from dragoman.dialects.gemini.stream_reader import GeminiReader
from dragoman.dialects.gemini.stream_writer import GeminiWriter

OWN = Signature(origin="gemini", value="aGVsbG8=")
CLAUDE = Signature(origin="anthropic", value="sig")
USAGE = Usage(input=9, cached_input=1, output=5, reasoning=2)


def block(index: int, kind: Any, *texts: str, **more: Any) -> list[Event]:
    """A whole block in pieces."""
    return [
        Opened(index=index, block=kind, **more),
        *(Delta(index=index, text=t, **more) for t in texts),
        Closed(index=index, **more),
    ]


def end(finish: Any = "stop") -> list[Event]:
    return [Finished(finish=finish), UsageSeen(usage=USAGE), Ended()]


def stream(*events: Event, array: bool = False, visible: bool = False) -> bytes:
    conversation = Conversation(origin="gemini", turns=(), reasoning=Reasoning(visible=visible))
    writer = GeminiWriter(
        Reply(model="m", response_id="abc", created=1, conversation=conversation, array=array)
    )
    out = b"".join(writer.feed(event) for event in events)
    assert writer.feed(Ended()) == b""
    return out


def chunks(*events: Event, **more: Any) -> list[Any]:
    frames = SseSplitter().feed(stream(*events, **more))
    assert all(frame.startswith(b"data: {") for frame in frames)
    return [json.loads(sse_data(frame)) for frame in frames]


def parts(told: list[Any]) -> list[Any]:
    return [
        part for chunk in told for candidate in chunk["candidates"] for part in candidate["content"]["parts"]
    ]


TEXT = [Start(usage=Usage(input=3)), *block(0, Text(text=""), "Hel", "lo"), *end()]


def test_text():
    assert chunks(*TEXT) == [
        {
            "candidates": [{"content": {"parts": [{"text": "Hel"}], "role": "model"}, "index": 0}],
            "modelVersion": "m",
            "responseId": "abc",
        },
        {
            "candidates": [{"content": {"parts": [{"text": "lo"}], "role": "model"}, "index": 0}],
            "modelVersion": "m",
            "responseId": "abc",
        },
        {
            "candidates": [
                {"content": {"parts": [{"text": ""}], "role": "model"}, "index": 0, "finishReason": "STOP"}
            ],
            "usageMetadata": {
                "promptTokenCount": 10,
                "candidatesTokenCount": 3,
                "thoughtsTokenCount": 2,
                "cachedContentTokenCount": 1,
                "totalTokenCount": 15,
            },
            "modelVersion": "m",
            "responseId": "abc",
        },
    ]
    assert stream(*TEXT).endswith(b"\r\n\r\n")


def test_text_goes_out_with_its_event():
    writer = GeminiWriter(
        Reply(model="m", response_id="a", created=1, conversation=Conversation(origin="gemini", turns=()))
    )
    assert writer.feed(Opened(index=0, block=Text(text=""))) == b""
    assert b"Hel" in writer.feed(Delta(index=0, text="Hel"))


def test_e224_the_growing_array():
    body = stream(*TEXT, array=True)
    assert json.loads(body) == chunks(*TEXT)
    assert body.startswith(b"[{")
    assert b"},\r\n{" in body
    assert body.endswith(b"}]")
    empty = json.loads(stream(Ended(), array=True))
    assert [one["candidates"][0]["finishReason"] for one in empty] == ["STOP"]


def test_e225_calls_go_out_whole():
    told = chunks(
        Opened(index=0, block=ToolCall(id="c1", name="f", arguments="")),
        Opened(index=1, block=ToolCall(id="", name="g", arguments="", signature=OWN)),
        Delta(index=0, text='{"x":'),
        Delta(index=1, text='{"y":2}'),
        Closed(index=1),
        Delta(index=0, text="1}"),
        Signed(index=0, signature=CLAUDE),
        Closed(index=0),
        *block(2, ToolCall(id="c3", name="h", arguments="")),
        *end("tool_calls"),
    )
    calls = [part for part in parts(told) if "functionCall" in part]
    assert [part["functionCall"] for part in calls] == [
        {"name": "f", "args": {"x": 1}, "id": "c1"},
        {"name": "g", "args": {"y": 2}},  # whole first, but it began second
        {"name": "h", "args": {}, "id": "c3"},
    ]
    assert calls[1]["thoughtSignature"] == "aGVsbG8="
    sealed = from_client(calls[0]["thoughtSignature"])
    assert sealed is not None and sealed.call and sealed.signature == CLAUDE
    assert told[-1]["candidates"][0]["finishReason"] == "STOP"


@pytest.mark.parametrize("array", [False, True])
def test_e225_half_a_call_is_an_error(array):
    events = [
        *block(0, Text(text=""), "x"),
        *block(1, ToolCall(id="c", name="f", arguments=""), '{"a":'),
        *end("length"),
    ]
    body = stream(*events, array=array)
    told = json.loads(body) if array else [json.loads(sse_data(frame)) for frame in SseSplitter().feed(body)]
    assert told[0]["candidates"][0]["content"]["parts"] == [{"text": "x"}]
    assert told[1]["error"]["code"] == 502
    assert len(told) == 2
    assert b"finishReason" not in body


@pytest.mark.parametrize("array", [False, True])
def test_a_failure_is_never_a_stop(array):
    fault = Fault(502, "upstream_cut", "cut", owner="upstream")
    body = stream(
        Opened(index=0, block=Text(text="")),
        Delta(index=0, text="par"),
        Closed(index=0),
        Failed(fault=fault),
        array=array,
    )
    told = json.loads(body) if array else [json.loads(sse_data(frame)) for frame in SseSplitter().feed(body)]
    assert told[-1]["error"]["status"] == "UNAVAILABLE"
    assert b"finishReason" not in body
    first = stream(Failed(fault=fault), array=array)
    assert json.loads(first)[0]["error"]["code"] == 502 if array else b'"error"' in first


def test_thoughts():
    events = [
        Opened(index=0, block=Thinking()),
        Delta(index=0, text="hmm"),
        Signed(index=0, signature=CLAUDE),
        Closed(index=0),
        *block(1, Thinking(redacted=True, signature=CLAUDE)),
        *block(2, Text(text=""), "x"),
        *end(),
    ]
    shown = parts(chunks(*events, visible=True))
    hidden = parts(chunks(*events))
    assert [(part["text"], part.get("thought")) for part in shown] == [
        ("hmm", True),
        ("", True),
        ("", True),
        ("x", None),
        ("", None),
    ]
    assert [(part["text"], part.get("thought")) for part in hidden] == [
        ("", True),
        ("", True),
        ("x", None),
        ("", None),
    ]
    sealed = [from_client(part["thoughtSignature"]) for part in hidden[:2]]
    assert [one.redacted for one in sealed if one] == [False, True]


def test_signed_text_media_refusals_and_what_cannot_be_seen():
    told = chunks(
        Opened(index=0, block=Text(text="")),
        Delta(index=0, text="x"),
        Signed(index=0, signature=OWN),
        Closed(index=0),
        *block(1, Media(kind="image", source=Base64("AAAA"), media_type="image/png")),
        *block(2, Opaque(origin="anthropic", kind="server_tool_use", raw={})),
        *block(3, Refusal(text=""), "No."),
        *end("refusal"),
    )
    assert parts(told) == [
        {"text": "x"},
        {"text": "", "thoughtSignature": "aGVsbG8="},
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
        {"text": "No."},
        {"text": ""},
    ]
    assert told[-1]["candidates"][0]["finishReason"] == "SAFETY"


def test_citations_and_log_probabilities():
    told = chunks(
        *block(0, Text(text=""), "é "),
        Opened(index=1, block=Text(text="")),
        Logprobs(tokens=(TokenLogprob(token="é", logprob=-1.0),)),
        Delta(index=1, text="é P"),
        Delta(index=1, text="aris"),
        Annotated(index=1, citations=(Citation(url="https://x", title="X", start=2, end=7),)),
        Closed(index=1),
        *end(),
    )
    (support,) = told[-1]["candidates"][0]["groundingMetadata"]["groundingSupports"]
    whole = "é é Paris".encode()
    assert whole[support["segment"]["startIndex"] : support["segment"]["endIndex"]] == b"Paris"
    assert [bool(one["candidates"][0].get("logprobsResult")) for one in told] == [False, True, False, False]


def test_what_google_said_about_its_search_goes_back_as_it_was():
    metadata = {"webSearchQueries": ["q"]}
    told = chunks(*block(0, Opaque(origin="gemini", kind="groundingMetadata", raw=metadata)), *end())
    assert told[-1]["candidates"][0]["groundingMetadata"] == metadata


def test_choices_end_together():
    told = chunks(
        *block(0, Text(text=""), "a"),
        Finished(finish="stop"),
        *block(0, Text(text=""), "b", choice=1),
        Finished(finish="length", choice=1),
        Ended(),
    )
    assert [one["candidates"][0]["index"] for one in told[:2]] == [0, 1]
    assert [(c["index"], c["finishReason"]) for c in told[-1]["candidates"]] == [
        (0, "STOP"),
        (1, "MAX_TOKENS"),
    ]


@pytest.mark.parametrize("array", [False, True])
def test_the_stream_comes_back_from_its_own_reader(array):
    events = [
        Start(),
        Opened(index=0, block=Thinking()),
        Delta(index=0, text="hmm"),
        Signed(index=0, signature=OWN),
        Closed(index=0),
        *block(1, Text(text=""), "é ", "Paris"),
        *block(2, ToolCall(id="c", name="f", arguments="", signature=OWN), '{"a":1}'),
        *end("tool_calls"),
    ]
    body = stream(*events, array=array, visible=True)
    reader = GeminiReader()
    splitter = JsonArraySplitter() if array else SseSplitter()
    told: list[Event] = []
    for at in range(len(body)):
        for piece in splitter.feed(body[at : at + 1]):
            told += reader.feed(JsonArraySplitter.element(piece) if array else sse_data(piece))
    told += reader.finish()
    assert reader.broken == 0
    assert told[1:] == [*events[1:-3], UsageSeen(usage=USAGE), Finished(finish="tool_calls"), Ended()]


# -- google-genai ----------------------------------------------------------------------------------------------


def play(body: bytes) -> list[types.GenerateContentResponse]:
    """The body through the official SDK's ``generate_content_stream``."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        assert request.url.path.endswith("/models/m:streamGenerateContent")
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=body)

    with httpx2.Client(transport=httpx2.MockTransport(answer)) as http:
        client = genai.Client(
            api_key="k", http_options=types.HttpOptions(base_url="http://gateway.test", httpx_client=http)
        )
        return list(client.models.generate_content_stream(model="m", contents="hi"))


def test_the_sdk_reads_the_stream():
    told = play(
        stream(
            Opened(index=0, block=Thinking()),
            Delta(index=0, text="hmm"),
            Signed(index=0, signature=CLAUDE),
            Closed(index=0),
            *block(1, Text(text=""), "é ", "Paris"),
            Annotated(index=1, citations=(Citation(url="https://x", title="X", start=2, end=7),)),
            *block(2, ToolCall(id="c", name="f", arguments="", signature=OWN), '{"a":1}'),
            *end("tool_calls"),
            visible=True,
        )
    )
    seen = [part for one in told for part in one.parts or []]
    assert "".join(part.text or "" for part in seen if not part.thought) == "é Paris"
    assert "".join(part.text or "" for part in seen if part.thought) == "hmm"
    (call,) = [part for part in seen if part.function_call]
    assert call.function_call is not None and call.function_call.args == {"a": 1}
    assert call.thought_signature == b"hello"
    last = told[-1]
    assert last.candidates is not None and last.candidates[0].finish_reason == types.FinishReason.STOP
    assert last.usage_metadata is not None and last.usage_metadata.thoughts_token_count == 2
    assert (last.response_id, last.model_version) == ("abc", "m")
    grounding = last.candidates[0].grounding_metadata
    assert grounding is not None and grounding.grounding_chunks is not None
    # what the SDK sends back in the next turn is read as the signature that it was
    (signed,) = [part for part in seen if part.thought and part.thought_signature]
    sent = json.loads(signed.model_dump_json(exclude_none=True))["thought_signature"]
    sealed = from_client(sent)
    assert sealed is not None and sealed.signature == CLAUDE
    assert base64.urlsafe_b64decode(sent) == signed.thought_signature


def test_the_sdk_raises_on_a_failure():
    body = stream(*block(0, Text(text=""), "par"), Failed(fault=Fault(503, "overloaded", "busy")))
    with pytest.raises(errors.APIError) as caught:
        play(body)
    assert caught.value.code == 503
