"""Law: any cut of a stream gives the same frames, the same usage and the same end; a cut stream never looks
whole.
"""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.core.faults import upstream_garbage
from dragoman.core.framing import JsonArraySplitter, SseSplitter, sse, sse_parts
from dragoman.core.usage import Usage
from dragoman.dialects import DIALECTS

CHAT = [
    sse(b'{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}'),
    sse('{"choices":[{"index":0,"delta":{"content":"Grüße"}}]}'.encode()),
    sse(b'{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}'),
    sse(b'{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}}'),
    sse(b"[DONE]"),
]
RESPONSES = [
    sse(b'{"type":"response.created","sequence_number":0,"response":{"id":"resp_1"}}', b"response.created"),
    sse(
        '{"type":"response.output_text.delta","sequence_number":1,"delta":"Grüße"}'.encode(),
        b"response.output_text.delta",
    ),
    sse(
        b'{"type":"response.completed","sequence_number":2,"response":{"id":"resp_1","usage":'
        b'{"input_tokens":9,"output_tokens":4}}}',
        b"response.completed",
    ),
]
ANTHROPIC = [
    sse(
        b'{"type":"message_start","message":{"usage":{"input_tokens":9,"output_tokens":1}}}', b"message_start"
    ),
    sse('{"type":"content_block_delta","delta":{"text":"Grüße"}}'.encode(), b"content_block_delta"),
    sse(
        b'{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":4}}',
        b"message_delta",
    ),
    sse(b'{"type":"message_stop"}', b"message_stop"),
]
GEMINI = [
    'data: {"candidates":[{"content":{"parts":[{"text":"Grüße"}]}}]}\r\n\r\n'.encode(),
    b'data: {"candidates":[{"finishReason":"STOP"}],"usageMetadata":'
    b'{"promptTokenCount":9,"candidatesTokenCount":4}}\r\n\r\n',
]
STREAMS = {"openai_chat": CHAT, "openai_responses": RESPONSES, "anthropic": ANTHROPIC, "gemini": GEMINI}
TERMINAL = {"openai_chat": 2, "openai_responses": 2, "anthropic": 3, "gemini": 1}
WHOLE = (Usage(input=9, output=4), 7, True, False)
CUTS = st.lists(st.integers(1, 60), max_size=30)


def listen(name, chunks):
    tap, splitter = DIALECTS[name].tap(), SseSplitter()
    for chunk in chunks:
        for frame in splitter.feed(chunk):
            event, data = sse_parts(frame)
            if data:
                tap.frame(data, event)
    return tap


@pytest.mark.parametrize("name", sorted(STREAMS))
@given(sizes=CUTS)
def test_any_cut_gives_the_same_usage(name, sizes):
    source = b"".join(STREAMS[name])
    chunks, at = [], 0
    for size in sizes:
        chunks.append(source[at : at + size])
        at += size
    tap = listen(name, [*chunks, source[at:]])
    assert (tap.usage, tap.output_bytes, tap.complete, tap.failed) == WHOLE


@pytest.mark.parametrize("name", sorted(STREAMS))
def test_a_stream_cut_at_any_byte_before_its_end_is_not_complete(name):
    frames = STREAMS[name]
    source = b"".join(frames)
    end = len(b"".join(frames[: TERMINAL[name] + 1]))
    for at in range(len(source) + 1):
        tap = listen(name, [source[:at]])
        assert tap.complete is (at >= end)
        usage = tap.usage
        assert usage is None or usage.prompt in (0, 9)


@pytest.mark.parametrize("name", sorted(STREAMS))
def test_our_own_failure_is_read_as_one(name):
    dialect = DIALECTS[name]
    first = STREAMS[name][0]
    tap = listen(name, [first])
    tap = listen(name, [first, dialect.write_stream_fault(upstream_garbage(), "req_1", tap.point())])
    assert tap.failed


@given(sizes=CUTS)
def test_the_array_form_reads_like_the_sse_form(sizes):
    elements = [sse_parts(frame)[1] for frame in GEMINI]
    source = b"[" + b",\r\n".join(elements) + b"]"
    tap, splitter, at = DIALECTS["gemini"].tap(), JsonArraySplitter(), 0
    for size in [*sizes, len(source)]:
        for piece in splitter.feed(source[at : at + size]):
            if element := splitter.element(piece):
                tap.frame(element)
        at += size
    assert (tap.usage, tap.output_bytes, tap.complete, tap.failed) == WHOLE


NAMES = st.sampled_from(
    ["choices", "delta", "content", "usage", "prompt_tokens", "completion_tokens", "total_tokens", "error", "type",
     "response", "item", "message", "id", "input_tokens", "output_tokens", "cache_creation", "candidates", "parts",
     "text", "usageMetadata", "promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "output", "summary",
     "cache_creation_input_tokens", "prompt_tokens_details", "cached_tokens", "tool_calls", "function", "file_id"]
)  # fmt: skip
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "x", "é", "resp_1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("name", sorted(DIALECTS))
@given(value=st.dictionaries(NAMES, JSON, max_size=5))
def test_no_answer_makes_a_tap_raise_or_bill_negative(name, value):
    data = json.dumps(value).encode()
    for read in ("frame", "body"):
        tap = DIALECTS[name].tap()
        getattr(tap, read)(data)
        usage = tap.usage
        tap.usage_only(data)
        tap.point()
        assert tap.output_bytes >= 0
        if usage is not None:
            parts = (
                usage.input,
                usage.cached_input,
                usage.cache_write_5m,
                usage.cache_write_1h,
                usage.output,
            )
            assert min(parts) >= 0
            assert 0 <= usage.reasoning <= usage.output
