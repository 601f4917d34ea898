"""Stop reasons, usage objects and failures."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.core.conversation import Finish
from dragoman.core.faults import Fault
from dragoman.core.usage import Usage
from dragoman.dialects.anthropic.usage import read_usage
from dragoman.dialects.anthropic.words import (
    cut,
    error_type,
    read_explanation,
    read_finish,
    stop_details,
    stop_reason,
    text_of,
    vendor_failure,
    write_stream_usage,
    write_usage,
)

WORDS = (
    "end_turn",
    "stop_sequence",
    "max_tokens",
    "model_context_window_exceeded",
    "tool_use",
    "refusal",
    "pause_turn",
)


@pytest.mark.parametrize("word", WORDS)
def test_words_come_back(word):
    assert stop_reason(read_finish(word, calls=False), refused=False) == word


def test_calls_outweigh_a_plain_stop_e149():
    assert read_finish("end_turn", calls=True) == read_finish(None, calls=True) == "tool_calls"
    assert read_finish("max_tokens", calls=True) == "length"
    assert stop_reason("stop", refused=False) == "end_turn"
    assert stop_reason("tool_calls", refused=False) == "tool_use"
    assert stop_reason("length", refused=False) == "max_tokens"
    assert stop_reason("stop", refused=True) == "refusal"
    assert stop_reason("content_filter", refused=False) == "refusal"
    assert {stop_reason(word, refused=False) for word in get_args(Finish)} <= set(WORDS)


def test_refusal_details():
    assert stop_details("No.") == {"type": "refusal", "explanation": "No.", "category": None}
    assert stop_details("")["explanation"] is None
    assert read_explanation(stop_details("No.")) == "No."
    assert read_explanation(None) == read_explanation({"explanation": 1}) == ""


def test_usage_e162_e165():
    assert write_usage(Usage(input=5, cached_input=100, cache_write_5m=20, output=3)) == {
        "input_tokens": 5,
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 20,
        "output_tokens": 3,
    }
    assert set(write_usage(None).values()) == {0} and len(write_usage(None)) == 4
    assert write_stream_usage(None) == {"input_tokens": 0, "output_tokens": 0}
    assert write_stream_usage(Usage(cached_input=1))["cache_creation_input_tokens"] == 0


counts = st.integers(0, 10**6)


@given(
    st.builds(
        Usage, input=counts, cached_input=counts, cache_write_5m=counts, cache_write_1h=counts, output=counts
    )
)
def test_usage_read_is_usage_written(usage):
    assert read_usage(write_usage(usage)) == read_usage(write_stream_usage(usage)) == usage


@pytest.mark.parametrize(
    ("data", "status", "kind", "code"),
    [
        (b'{"type":"error","error":{"type":"rate_limit_error","message":"M"}}', 429, "rate_limit_error", ""),
        (b'{"type":"error","error":{"type":"overloaded_error","message":"M"}}', 503, "overloaded_error", ""),
        (b'{"type":"error","error":{"type":"api_error","message":"M","code":"x"}}', 502, "api_error", "x"),
        (b'{"error":{"code":502,"message":"M"}}', 502, "server_error", ""),
    ],
)
def test_failures_of_the_vendor(data, status, kind, code):
    fault = vendor_failure(data)
    assert (fault.status, fault.type, fault.code, fault.message) == (status, kind, code, "M")
    assert fault.owner == "upstream"


def test_errors_in_a_stream_e199():
    assert [error_type(Fault(status, "c", "m")) for status in (429, 503, 529, 500, 400)] == [
        "rate_limit_error",
        "overloaded_error",
        "overloaded_error",
        "api_error",
        "api_error",
    ]
    assert (cut().status, cut().code, error_type(cut())) == (502, "upstream_cut", "api_error")


def test_text_of():
    assert text_of("x") == "x" and text_of(1) == text_of(None) == ""
