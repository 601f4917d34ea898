"""Usage of Chat and its copies; the tap over streams and bodies."""

from __future__ import annotations

import pytest

from dragoman.core.usage import Usage
from dragoman.dialects.openai_chat.usage import ChatTap, read_usage


@pytest.mark.parametrize(
    ("wire", "usage"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}, Usage(input=10, output=5)),
        (  # OpenAI: cached in prompt, reasoning in completion
            {
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "total_tokens": 150,
                "prompt_tokens_details": {"cached_tokens": 64, "cache_write_tokens": 16, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 40},
            },
            Usage(input=20, cached_input=64, cache_write_5m=16, output=50, reasoning=40),
        ),
        (  # DeepSeek
            {
                "prompt_tokens": 30,
                "completion_tokens": 9,
                "total_tokens": 39,
                "prompt_cache_hit_tokens": 20,
                "prompt_cache_miss_tokens": 10,
            },
            Usage(input=10, cached_input=20, output=9),
        ),
        (
            {"prompt_cache_hit_tokens": 20, "prompt_cache_miss_tokens": 10, "completion_tokens": 1},
            Usage(input=10, cached_input=20, output=1),
        ),
        (  # xAI: reasoning beside completion
            {
                "prompt_tokens": 32,
                "completion_tokens": 9,
                "total_tokens": 135,
                "completion_tokens_details": {"reasoning_tokens": 94},
            },
            Usage(input=32, output=103, reasoning=94),
        ),
        (
            {"prompt_tokens": 8, "completion_tokens": 1, "cached_tokens": 6},
            Usage(input=2, cached_input=6, output=1),
        ),
        ({"total_tokens": 12}, Usage(input=12)),
        ({"input_tokens": 3, "output_tokens": 4}, Usage(input=3, output=4)),
        # Contradictions are clamped, never negative.
        ({"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 9}}, Usage(cached_input=5)),
        ({"prompt_tokens": -5, "completion_tokens": 7}, Usage(output=7)),
        (
            {"completion_tokens": 2, "completion_tokens_details": {"reasoning_tokens": 8}},
            Usage(output=2, reasoning=2),
        ),
        ({"prompt_tokens": 10**30, "completion_tokens": "7"}, None),
        ({}, None),
        (None, None),
        ("x", None),
    ],
)
def test_read_usage(wire, usage):
    assert read_usage(wire) == usage


def test_stream_with_usage_chunk():
    tap = ChatTap()
    tap.frame(
        b'{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}'
    )
    tap.frame('{"choices":[{"index":0,"delta":{"content":"Hé"},"finish_reason":null}]}'.encode())
    tap.frame(b'{"choices":[{"index":0,"delta":{"reasoning_content":"why"},"finish_reason":null}]}')
    tap.frame(
        b'{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\\"a\\":1}"}}]}}]}'
    )
    assert not tap.complete
    tap.frame(b'{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}')
    assert tap.complete
    last = b'{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}'
    assert tap.usage_only(last)
    tap.frame(last)
    assert tap.usage_only(last)
    tap.frame(b"[DONE]")
    assert tap.usage == Usage(input=3, output=4)
    assert tap.output_bytes == 3 + 3 + 7
    assert tap.response_id is None
    assert tap.point().started


@pytest.mark.parametrize(
    "data",
    [
        b'{"choices":[],"prompt_filter_results":[]}',
        b'{"choices":[{"delta":{}}],"usage":{"prompt_tokens":1}}',
        b'{"choices":[],"usage":null}',
        b'{"usage":{"prompt_tokens":1}}',
        b"[DONE]",
    ],
)
def test_other_frames_are_not_usage_only(data):
    tap = ChatTap()
    assert not tap.usage_only(data)
    tap.frame(data)
    assert not tap.usage_only(data)


def test_places_where_copies_put_usage():
    groq = ChatTap()
    groq.frame(b'{"choices":[],"x_groq":{"id":"r","usage":{"prompt_tokens":1,"completion_tokens":2}}}')
    assert groq.usage == Usage(input=1, output=2)
    moonshot = ChatTap()
    moonshot.frame(
        b'{"choices":[{"delta":{},"finish_reason":"stop","usage":{"prompt_tokens":1,"completion_tokens":3}}]}'
    )
    assert moonshot.usage == Usage(input=1, output=3)


def test_usage_survives_members_of_odd_type():
    tap = ChatTap()
    tap.frame(b'{"choices":[{"delta":"x"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}')
    assert tap.usage == Usage(input=1, output=2)


def test_error_frames():
    tap = ChatTap()
    tap.frame(b'{"choices":[{"delta":{"content":"a"}}],"error":null}')
    assert not tap.failed
    tap.frame(b'{"error":{"message":"boom"}}')
    tap.frame(b"[DONE]")
    assert tap.failed


def test_body():
    tap = ChatTap()
    tap.body(
        b'{"id":"c","choices":[{"message":{"role":"assistant","content":"Hello","tool_calls":[{"function":'
        b'{"name":"f","arguments":"{}"}},{"custom":{"input":"abc"}}],"refusal":null},"finish_reason":"stop"}],'
        b'"usage":{"prompt_tokens":3,"completion_tokens":4}}'
    )
    assert (tap.usage, tap.output_bytes, tap.complete, tap.ids) == (Usage(input=3, output=4), 10, True, [])


def test_error_body_is_failed_not_complete():
    tap = ChatTap()
    tap.body(b'{"error":{"message":"x"}}')
    assert tap.failed
    assert not tap.complete


def test_parts_functions_and_audio_are_counted():
    tap = ChatTap()
    tap.frame(b'{"choices":[{"delta":{"content":[{"type":"thinking","thinking":[{"text":"abc"}]}]}}]}')
    tap.frame(
        b'{"choices":[{"delta":{"function_call":{"arguments":"12"},"audio":{"transcript":"x","data":"zzzz"}}}]}'
    )
    tap.frame(b'{"choices":[{"delta":{"refusal":"no","reasoning":"r"}}]}')
    assert tap.output_bytes == 3 + 2 + 1 + 2 + 1


def test_the_id_of_spoken_output():
    """https://platform.openai.com/docs/guides/audio: the next turn may name it instead of sending the audio again."""
    tap = ChatTap()
    tap.body(
        b'{"id":"chatcmpl-1","choices":[{"index":0,"message":{"role":"assistant","content":null,"audio":{'
        b'"id":"audio_abc","expires_at":1729018505,"data":"AAAA","transcript":"Yes"}},"finish_reason":"stop"},'
        b'{"index":1,"message":{"role":"assistant","audio":{"id":"audio_def","transcript":"No"}}}]}'
    )
    assert tap.ids == [("audio", "audio_abc"), ("audio", "audio_def")]
    assert tap.output_bytes == 5
    stream = ChatTap()
    stream.frame(b'{"choices":[{"delta":{"role":"assistant","audio":{"id":"audio_1","transcript":"Y"}}}]}')
    assert stream.ids == [("audio", "audio_1")]
    stream.frame(b'{"choices":[{"delta":{"audio":{"id":"audio_1","data":"AAAA"}}}]}')
    stream.frame(b'{"choices":[{"delta":{"audio":{"id":7,"transcript":"es"}}}]}')
    assert stream.ids == [("audio", "audio_1")]
    assert stream.output_bytes == 3
