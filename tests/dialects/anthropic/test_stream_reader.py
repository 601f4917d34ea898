"""Anthropic streams as events."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.core.conversation import (
    Annotated,
    Closed,
    Delta,
    Ended,
    Failed,
    Finished,
    Opaque,
    Opened,
    Refusal,
    Signature,
    Signed,
    Start,
    Text,
    Thinking,
    ToolCall,
    UsageSeen,
)
from dragoman.core.usage import Usage
from dragoman.dialects.anthropic.stream_reader import AnthropicReader


def start(**usage):
    message = {"id": "msg_1", "model": "claude-x", "usage": usage or {"input_tokens": 5, "output_tokens": 1}}
    return {"type": "message_start", "message": message}


def block(index, content, *deltas):
    return [
        {"type": "content_block_start", "index": index, "content_block": content},
        *[{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas],
        {"type": "content_block_stop", "index": index},
    ]


def text(index, *pieces):
    return block(index, {"type": "text", "text": ""}, *[{"type": "text_delta", "text": p} for p in pieces])


def end(reason="end_turn", output=3, **delta):
    return [
        {
            "type": "message_delta",
            "delta": {"stop_reason": reason, **delta},
            "usage": {"output_tokens": output},
        },
        {"type": "message_stop"},
    ]


def read(*frames, finish=True):
    reader = AnthropicReader()
    events = [event for frame in frames for event in reader.feed(json.dumps(frame).encode())]
    return events + (reader.finish() if finish else [])


def test_text_and_usage_e205():
    events = read(
        start(input_tokens=5, cache_read_input_tokens=100, cache_creation_input_tokens=20, output_tokens=1),
        {"type": "ping"},
        *text(0, "Hel", "lo"),
        *end(),
    )
    prompt = {"input": 5, "cached_input": 100, "cache_write_5m": 20}
    assert events == [
        Start(model="claude-x", id="msg_1", usage=Usage(output=1, **prompt)),
        Opened(index=0, block=Text(text="")),
        Delta(index=0, text="Hel"),
        Delta(index=0, text="lo"),
        Closed(index=0),
        UsageSeen(usage=Usage(output=3, **prompt)),
        Finished(finish="stop"),
        Ended(),
    ]


def test_calls_e207():
    arguments = [{"type": "input_json_delta", "partial_json": piece} for piece in ("", '{"a"', ":1}")]
    use = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}
    events = read(start(), *block(1, use, *arguments), *end("tool_use"))
    assert events[1:5] == [
        Opened(index=0, block=ToolCall(id="toolu_1", name="f", arguments="")),
        Delta(index=0, text='{"a"'),
        Delta(index=0, text=":1}"),
        Closed(index=0),
    ]
    assert events[-2] == Finished(finish="tool_calls")
    assert read(start(), *block(0, use), *end("end_turn"))[-2] == Finished(finish="tool_calls")
    assert read(start(), *block(0, use), *end("max_tokens"))[-2] == Finished(finish="length")


def test_a_refusal_is_said_once():
    details = {"type": "refusal", "explanation": "I will not."}
    for said in (["I will not."], ["I will", " not."]):
        events = read(start(), *text(0, *said), *end("refusal", stop_details=details))
        assert "".join(event.text for event in events if isinstance(event, Delta)) == "I will not."
        assert not any(isinstance(event, Opened) and isinstance(event.block, Refusal) for event in events)
        assert events[-2] == Finished(finish="refusal")
    more = read(start(), *text(0, "Well, "), *end("refusal", stop_details=details))
    assert [event.text for event in more if isinstance(event, Delta)] == ["Well, ", "I will not."]
    long = read(start(), *text(0, "x" * 9000), *end("refusal", stop_details=details))
    assert sum(isinstance(event, Opened) for event in long) == 2


def test_deltas_of_another_kind_than_their_block():
    stray = {"type": "text_delta", "text": "no"}
    use = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    arguments = {"type": "input_json_delta", "partial_json": "{}"}
    events = read(start(), *block(0, use, stray, arguments), *end("tool_use"))
    assert [event.text for event in events if isinstance(event, Delta)] == ["{}"]


def test_input_that_comes_with_the_start():
    use = {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}
    assert read(start(), *block(0, use), *end())[2] == Delta(index=0, text='{"a":1}')


def test_thinking_and_redacted_thinking():
    thinking = [{"type": "thinking_delta", "thinking": "hm"}, {"type": "signature_delta", "signature": "S"}]
    events = read(
        start(),
        *block(0, {"type": "thinking", "thinking": "", "signature": ""}, *thinking),
        *block(1, {"type": "redacted_thinking", "data": "ENC"}),
        *end(),
    )
    assert events[1:8] == [
        Opened(index=0, block=Thinking()),
        Delta(index=0, text="hm"),
        Signed(index=0, signature=Signature(origin="anthropic", value="S")),
        Closed(index=0),
        Opened(index=1, block=Thinking(redacted=True)),
        Signed(index=1, signature=Signature(origin="anthropic", value="ENC")),
        Closed(index=1),
    ]


def test_server_tools_are_opaque_e215():
    use = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    result = {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}
    query = {"type": "input_json_delta", "partial_json": '{"query":"q"}'}
    events = read(start(), *block(0, use, query), *block(1, result), *text(2, "x"), *end())
    assert events[1] == Opened(
        index=0,
        block=Opaque(origin="anthropic", kind="server_tool_use", raw={**use, "input": {"query": "q"}}),
    )
    assert events[3].block == Opaque(origin="anthropic", kind="web_search_tool_result", raw=result)
    assert events[5] == Opened(index=2, block=Text(text=""))
    assert Finished(finish="stop") in events


def test_citations_hold_for_the_text_so_far():
    citation = {
        "type": "web_search_result_location",
        "url": "https://x",
        "title": "X",
        "cited_text": "c",
        "encrypted_index": "E",
    }
    frames = block(
        0,
        {"type": "text", "text": "", "citations": []},
        {"type": "text_delta", "text": "four"},
        {"type": "citations_delta", "citation": citation},
    )
    (seen,) = [event for event in read(start(), *frames, *end()) if isinstance(event, Annotated)]
    (one,) = seen.citations
    assert (one.url, one.title, one.cited, one.start, one.end) == ("https://x", "X", "c", 0, 4)
    assert one.extra == citation


def test_citations_that_come_before_their_text():
    location = {"type": "web_search_result_location", "url": "https://x", "title": "X", "cited_text": "c"}
    cited = {"type": "citations_delta", "citation": location}
    words = {"type": "text_delta", "text": "Paris"}
    events = read(start(), *block(0, {"type": "text", "text": "", "citations": []}, cited, words), *end())
    (seen,) = [event for event in events if isinstance(event, Annotated)]
    assert [(one.start, one.end) for one in seen.citations] == [(0, 5)]
    assert events.index(seen) < events.index(Closed(index=0))


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop_sequence"),
        ("pause_turn", "pause"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "context_length"),
        ("refusal", "refusal"),
        ("tomorrows_word", "stop"),
        (None, "stop"),
        (7, "stop"),
    ],
)
def test_stop_reasons(reason, finish):
    assert read(start(), *end(reason))[-2].finish == finish


def test_stop_sequence_and_refusal():
    assert read(start(), *end("stop_sequence", stop_sequence="END"))[-2].stop_sequence == "END"
    details = {"type": "refusal", "explanation": "No.", "category": "cyber"}
    events = read(start(), *end("refusal", stop_details=details))
    assert events[2:6] == [
        Opened(index=0, block=Refusal(text="")),
        Delta(index=0, text="No."),
        Closed(index=0),
        Finished(finish="refusal"),
    ]


def test_without_message_stop_it_is_cut_e217():
    """Even where the stop reason is known already; open blocks are closed first."""
    whole = [start(), *text(0, "par"), *end()]
    *_, last = read(*whole[:-1])
    assert isinstance(last, Failed)
    assert (last.fault.status, last.fault.code, last.fault.owner) == (502, "upstream_cut", "upstream")
    cut = read(*whole[:3])
    assert cut[-2] == Closed(index=0) and isinstance(cut[-1], Failed)
    assert not any(isinstance(event, Finished | Ended) for event in cut + read(*whole[:-1]))


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("rate_limit_error", 429),
        ("overloaded_error", 503),
        ("api_error", 502),
        ("invalid_request_error", 502),
    ],
)
def test_error_events_e212(kind, status):
    error = {"type": "error", "error": {"type": kind, "message": "Overloaded, key sk-ant-secret1234567"}}
    events = read(start(), *text(0, "x")[:2], error, *end())
    assert events[-2] == Closed(index=0)
    fault = events[-1].fault
    assert (fault.status, fault.type, fault.owner) == (status, kind, "upstream")
    assert fault.message.startswith("Overloaded") and "secret" not in fault.message


def test_an_error_without_a_type():
    reader = AnthropicReader()
    (event,) = reader.feed(b'{"error":{"message":"m"}}', b"error")
    assert isinstance(event, Failed) and event.fault.message == "m"
    assert reader.finish() == []


def test_unknown_things_are_skipped_e214():
    events = read(
        start(),
        {"type": "tomorrow", "x": 1},
        *block(
            0,
            {"type": "text", "text": ""},
            {"type": "new_delta", "text": "?"},
            {"type": "text_delta", "text": "a"},
        ),
        {"type": "content_block_delta", "index": 9, "delta": {"type": "text_delta", "text": "nowhere"}},
        *end(),
    )
    assert [event.text for event in events if isinstance(event, Delta)] == ["a"]


def test_broken_frames_are_counted_e274():
    reader = AnthropicReader()
    assert reader.feed(b'{"type":') == reader.feed(b"[1]") == reader.feed(b"\xff") == []
    assert reader.broken == 3
    assert reader.feed(json.dumps(start()).encode()) != []


def test_a_type_may_stand_in_the_event_line_only():
    reader = AnthropicReader()
    assert reader.feed(b"{}", b"message_stop")[-1] == Ended()
    assert reader.feed(b"{}", b"message_stop") == reader.finish() == []


def test_a_missing_stop_closes_before_the_next_block():
    first, second = text(0, "a"), text(1, "b")
    events = read(start(), *first[:-1], *second[:-1], *end())
    seen = [type(event) for event in events if isinstance(event, Opened | Delta | Closed)]
    assert seen == [Opened, Delta, Closed] * 2


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KINDS = ["message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta"]
hostile = st.fixed_dictionaries(
    {"type": st.sampled_from(KINDS)},
    optional={
        "index": st.integers(0, 2) | json_values,
        "message": json_values,
        "usage": json_values,
        "content_block": json_values
        | st.fixed_dictionaries(
            {"type": st.sampled_from(["text", "thinking", "redacted_thinking", "tool_use", "other"])},
            optional=dict.fromkeys(("text", "thinking", "data", "id", "name", "input"), json_values),
        ),
        "delta": json_values
        | st.fixed_dictionaries(
            {
                "type": st.sampled_from(
                    ["text_delta", "input_json_delta", "signature_delta", "citations_delta"]
                )
            },
            optional=dict.fromkeys(("text", "partial_json", "signature", "citation"), json_values),
        ),
    },
)


@given(st.lists(hostile, max_size=8))
def test_nothing_that_a_vendor_sends_raises(frames):
    """And whatever comes, blocks are numbered without gaps, alone, and closed."""
    opened, expected = None, 0
    for event in read(*frames):
        if isinstance(event, Opened):
            assert opened is None and event.index == expected
            opened, expected = event.index, expected + 1
        elif isinstance(event, Delta | Signed):
            assert event.index == opened
        elif isinstance(event, Closed):
            assert event.index == opened
            opened = None
    assert opened is None
