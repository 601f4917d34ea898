"""Gemini usage and the tap over SSE payloads, array elements and bodies."""

from __future__ import annotations

import pytest

from dragoman.core.usage import Usage
from dragoman.dialects.gemini.usage import GeminiTap, read_usage


@pytest.mark.parametrize(
    ("wire", "usage"),
    [
        ({"promptTokenCount": 8, "candidatesTokenCount": 2, "totalTokenCount": 10}, Usage(input=8, output=2)),
        (
            {
                "promptTokenCount": 100,
                "cachedContentTokenCount": 60,
                "toolUsePromptTokenCount": 7,
                "candidatesTokenCount": 10,
                "thoughtsTokenCount": 30,
                "totalTokenCount": 147,
            },
            Usage(input=47, cached_input=60, output=40, reasoning=30),
        ),
        (  # a copy that counts thoughts as candidates
            {
                "promptTokenCount": 10,
                "candidatesTokenCount": 50,
                "thoughtsTokenCount": 30,
                "totalTokenCount": 60,
            },
            Usage(input=10, output=50, reasoning=30),
        ),
        (
            {"promptTokenCount": 10, "thoughtsTokenCount": 30, "totalTokenCount": 40},
            Usage(input=10, output=30, reasoning=30),
        ),
        ({"promptTokenCount": 10, "totalTokenCount": 15}, Usage(input=10, output=5)),
        ({"promptTokenCount": 10}, Usage(input=10)),
        ({"promptTokenCount": 5, "cachedContentTokenCount": 9}, Usage(cached_input=5)),
        ({"promptTokenCount": -1, "candidatesTokenCount": "x"}, None),
        ({"totalTokenCount": 5}, Usage()),
        (None, None),
    ],
)
def test_read_usage(wire, usage):
    assert read_usage(wire) == usage


def test_stream_last_usage_wins():
    tap = GeminiTap()
    tap.frame(
        b'{"candidates":[{"content":{"parts":[{"text":"Hel"}],"role":"model"}}],'
        b'"usageMetadata":{"promptTokenCount":8,"totalTokenCount":8}}'
    )
    assert not tap.complete
    tap.frame(
        b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{"a": 1}}},'
        b'{"executableCode":{"code":"1+1"}},{"inlineData":{"data":"AAAA"}}]},"finishReason":"STOP"}],'
        b'"usageMetadata":{"promptTokenCount":8,"candidatesTokenCount":3,"totalTokenCount":11}}'
    )
    assert (tap.complete, tap.failed, tap.output_bytes, tap.ids) == (True, False, 3 + 8 + 3, [])
    assert tap.usage == Usage(input=8, output=3)
    assert tap.point(array=True).array
    assert not tap.usage_only(b"{}")


def test_refused_prompt_is_a_complete_answer():
    tap = GeminiTap()
    tap.frame(b'{"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":4}}')
    assert tap.complete
    assert tap.usage == Usage(input=4)


def test_errors():
    tap = GeminiTap()
    tap.frame(b'{"error":{"code":503,"status":"UNAVAILABLE"}}')
    assert tap.failed
    whole = GeminiTap()
    whole.body(b'[{"error":{"code":503}}]')
    assert whole.failed
    assert not whole.complete


def test_bodies():
    tap = GeminiTap()
    tap.body(
        b'{"candidates":[{"content":{"parts":[{"text":"Hi"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":1,"candidatesTokenCount":1}}'
    )
    assert (tap.complete, tap.output_bytes, tap.usage) == (True, 2, Usage(input=1, output=1))
    embedding = GeminiTap()
    embedding.body(b'{"embedding":{"values":[0.1]}}')
    assert embedding.complete
    assert embedding.usage is None
    array = GeminiTap()
    array.body(
        b'[{"candidates":[{"content":{"parts":[{"text":"Hi"}]}}]},\n{"usageMetadata":{"promptTokenCount":1}}]'
    )
    assert (array.complete, array.output_bytes, array.usage) == (True, 2, Usage(input=1))


def test_usage_survives_members_of_odd_type():
    tap = GeminiTap()
    tap.frame(b'{"candidates":[{"content":"x"}],"usageMetadata":{"promptTokenCount":1}}')
    assert tap.usage == Usage(input=1)
