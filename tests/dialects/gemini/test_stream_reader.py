"""Google's stream → events (E130, E157, E170, E220, E222, E227, E274)."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.core.conversation import (
    Annotated,
    Base64,
    Citation,
    Closed,
    Delta,
    Ended,
    Failed,
    Finished,
    Logprobs,
    Media,
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
from dragoman.dialects.gemini.stream_reader import GeminiReader

OWN = Signature(origin="gemini", value="aGVsbG8=")


def chunk(*parts, reason=None, index=None, **more):
    candidate = {"content": {"parts": list(parts), "role": "model"}} if parts else {}
    if reason:
        candidate["finishReason"] = reason
    if index is not None:
        candidate["index"] = index
    return {"candidates": [candidate], **more}


def play(*chunks):
    reader = GeminiReader()
    out = [
        event
        for one in chunks
        for event in reader.feed(one if isinstance(one, bytes) else json.dumps(one).encode())
    ]
    return out + reader.finish(), reader


def events(*chunks):
    told, _ = play(*chunks)
    assert told[0] == Start(), told
    return told[1:]


def text(value):
    return {"text": value}


def thought(value, **more):
    return {"text": value, "thought": True, **more}


def call(name, **args):
    return {"functionCall": {"name": name, "args": args}}


def test_thoughts_then_text_then_usage():
    told, _ = play(
        {
            **chunk(thought("h")),
            "modelVersion": "gemini-x",
            "responseId": "r",
            "usageMetadata": {"promptTokenCount": 5, "totalTokenCount": 5},
        },
        chunk(thought("m")),
        chunk(text("Hel")),
        chunk(
            text("lo"),
            reason="STOP",
            usageMetadata={"promptTokenCount": 5, "candidatesTokenCount": 2, "totalTokenCount": 7},
        ),
    )
    assert told == [
        Start(model="gemini-x", id="r"),
        UsageSeen(usage=Usage(input=5)),
        Opened(index=0, block=Thinking()),
        Delta(index=0, text="h"),
        Delta(index=0, text="m"),
        Closed(index=0),
        Opened(index=1, block=Text(text="")),
        Delta(index=1, text="Hel"),
        UsageSeen(usage=Usage(input=5, output=2)),
        Delta(index=1, text="lo"),
        Closed(index=1),
        Finished(finish="stop"),
        Ended(),
    ]


def test_e220_a_call_then_an_empty_stop():
    signed = {**call("f", a=1), "thoughtSignature": "aGVsbG8="}
    assert events(chunk(text("x"), signed, call("g")), chunk(reason="STOP")) == [
        Opened(index=0, block=Text(text="")),
        Delta(index=0, text="x"),
        Closed(index=0),
        Opened(index=1, block=ToolCall(id="", name="f", arguments="", signature=OWN)),
        Delta(index=1, text='{"a":1}'),
        Closed(index=1),
        Opened(index=2, block=ToolCall(id="", name="g", arguments="")),
        Delta(index=2, text="{}"),
        Closed(index=2),
        Finished(finish="tool_calls"),
        Ended(),
    ]


def test_e130_a_signature_on_an_empty_last_text():
    assert events(chunk(text("x")), chunk({"text": "", "thoughtSignature": "aGVsbG8="}, reason="STOP")) == [
        Opened(index=0, block=Text(text="")),
        Delta(index=0, text="x"),
        Signed(index=0, signature=OWN),
        Closed(index=0),
        Finished(finish="stop"),
        Ended(),
    ]


def test_a_signature_ends_its_block():
    told = events(chunk(thought("a", thoughtSignature="aGVsbG8="), thought("b")), chunk(reason="STOP"))
    assert [type(event) for event in told] == [
        Opened,
        Delta,
        Signed,
        Closed,
        Opened,
        Delta,
        Closed,
        Finished,
        Ended,
    ]


def test_a_finish_reason_in_every_chunk_loses_nothing():
    told = events(chunk(text("a"), reason="STOP"), chunk(text("b"), reason="STOP"))
    assert [event.text for event in told if isinstance(event, Delta)] == ["a", "b"]
    assert told[-3:] == [Closed(index=0), Finished(finish="stop"), Ended()]


@pytest.mark.parametrize(
    "chunks", [(), (chunk(text("par")),), (chunk(call("f")),), ({"usageMetadata": {"promptTokenCount": 1}},)]
)
def test_e222_a_cut_stream_fails(chunks):
    told, _ = play(*chunks)
    assert isinstance(told[-1], Failed)
    assert (told[-1].fault.status, told[-1].fault.code) == (502, "upstream_cut")
    assert sum(isinstance(e, Opened) for e in told) == sum(isinstance(e, Closed) for e in told)
    assert not any(isinstance(event, (Finished, Ended)) for event in told)


def test_e227_a_blocked_prompt():
    assert events(
        {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 3}}
    ) == [
        UsageSeen(usage=Usage(input=3)),
        Opened(index=0, block=Refusal(text="")),
        Delta(index=0, text="The prompt was blocked: SAFETY."),
        Closed(index=0),
        Finished(finish="content_filter"),
        Ended(),
    ]


def test_e150_broken_output():
    told, _ = play(chunk(thought("x")), chunk(reason="MALFORMED_FUNCTION_CALL"))
    assert isinstance(told[-1], Failed)
    assert told[-2] == Closed(index=0)
    assert events(chunk(text("x"), reason="MALFORMED_FUNCTION_CALL"))[-2:] == [
        Finished(finish="stop"),
        Ended(),
    ]


@pytest.mark.parametrize(
    "frame",
    [b'{"error":{"code":503,"message":"overloaded"}}', b'[{"error":{"code":503,"message":"overloaded"}}]'],
)
def test_an_error_frame_ends_the_stream(frame):
    told, reader = play(chunk(text("x")), frame, chunk(text("y"), reason="STOP"))
    assert isinstance(told[-1], Failed)
    assert (told[-1].fault.status, told[-1].fault.type) == (503, "overloaded_error")
    assert told[-2] == Closed(index=0)
    assert reader.finish() == []


def test_an_error_event():
    reader = GeminiReader()
    (failed,) = reader.feed(b'{"message":"boom"}', b"error")
    assert isinstance(failed, Failed) and failed.fault.message == "boom"


def test_e274_a_broken_frame_is_skipped():
    told, reader = play(
        chunk(text("a")), b'{"candidates":[', b"3", b"", chunk({"text": 5}), chunk(text("b"), reason="STOP")
    )
    assert [event.text for event in told if isinstance(event, Delta)] == ["a", "b"]
    assert told[-1] == Ended()
    assert reader.broken == 2
    cut, _ = play(chunk(text("a")), b'{"candidates":[{"finishReason":"STOP"')
    assert isinstance(cut[-1], Failed)


def test_choices():
    told = events(
        chunk(text("a"), index=0),
        chunk(text("b"), index=1),
        chunk(reason="STOP", index=0),
        chunk(reason="MAX_TOKENS", index=1),
    )
    assert Delta(index=0, text="b", choice=1) in told
    assert [event for event in told if isinstance(event, Finished)] == [
        Finished(finish="stop", choice=0),
        Finished(finish="length", choice=1),
    ]
    assert isinstance(
        play(chunk(text("a"), index=0, reason="STOP"), chunk(text("b"), index=1))[0][-1], Failed
    )


def test_media_code_and_log_probabilities():
    code = {"executableCode": {"language": "PYTHON", "code": "1"}}
    logprobs = {"chosenCandidates": [{"token": "x", "logProbability": -1}]}
    first = chunk(text("x"), {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}, code)
    first["candidates"][0]["logprobsResult"] = logprobs
    told = events(first, chunk(reason="STOP"))
    assert Opened(index=1, block=Media(kind="image", source=Base64("AAAA"), media_type="image/png")) in told
    assert any(isinstance(e, Opened) and isinstance(e.block, Opaque) and e.block.text for e in told)
    assert Logprobs(tokens=(TokenLogprob(token="x", logprob=-1.0),)) in told


def test_grounding_of_a_text_in_pieces():
    metadata = {
        "webSearchQueries": ["q"],
        "groundingChunks": [{"web": {"uri": "https://x", "title": "X"}}],
        "groundingSupports": [{"segment": {"startIndex": 3, "endIndex": 8}, "groundingChunkIndices": [0]}],
    }
    last = chunk(text("ris"), reason="STOP")
    last["candidates"][0]["groundingMetadata"] = metadata
    told = events(chunk(text("é P")), chunk(text("a")), last)
    assert told[-6:] == [
        Annotated(index=0, citations=(Citation(url="https://x", title="X", start=2, end=7),)),
        Closed(index=0),  # behind its citations: an Anthropic client gets none for a closed block
        Opened(index=1, block=Opaque(origin="gemini", kind="groundingMetadata", raw=metadata)),
        Closed(index=1),
        Finished(finish="stop"),
        Ended(),
    ]


ODD = st.recursive(
    st.none() | st.integers() | st.text(max_size=3) | st.booleans(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "candidates",
                    "content",
                    "parts",
                    "text",
                    "thought",
                    "thoughtSignature",
                    "functionCall",
                    "name",
                    "args",
                    "finishReason",
                    "index",
                    "promptFeedback",
                    "blockReason",
                    "usageMetadata",
                    "promptTokenCount",
                    "groundingMetadata",
                    "groundingSupports",
                    "segment",
                    "error",
                    "logprobsResult",
                    "chosenCandidates",
                    "inlineData",
                    "mimeType",
                    "data",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@given(
    st.lists(
        ODD | st.builds(lambda parts: {"candidates": [{"content": {"parts": [parts]}}]}, ODD), max_size=4
    )
)
def test_whatever_comes_every_block_is_closed_and_the_end_is_told(chunks):
    told, reader = play(*(json.dumps(one).encode() for one in chunks))
    open_blocks: set[tuple[int, int]] = set()
    for event in told:
        if isinstance(event, Opened):
            open_blocks.add((event.choice, event.index))
        elif isinstance(event, Closed):
            open_blocks.remove((event.choice, event.index))
        elif isinstance(event, (Delta, Signed)):
            assert (event.choice, event.index) in open_blocks
    assert not open_blocks
    assert isinstance(told[-1], (Ended, Failed))
    assert sum(isinstance(event, (Ended, Failed)) for event in told) == 1
    assert reader.finish() == []
    assert reader.feed(b"{}") == []


def test_an_unspecified_finish_is_none():
    told = events(chunk(text("a"), reason="FINISH_REASON_UNSPECIFIED"), chunk(text("b"), reason="STOP"))
    assert isinstance(told[-1], Ended)
    assert isinstance(play(chunk(text("a"), reason="FINISH_REASON_UNSPECIFIED"))[0][-1], Failed)
