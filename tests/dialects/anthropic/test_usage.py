"""Anthropic usage, merged over the stream; containers and files; ends."""

from __future__ import annotations

import pytest

from dragoman.core.usage import Usage
from dragoman.dialects.anthropic.usage import AnthropicTap, read_usage


@pytest.mark.parametrize(
    ("wire", "usage"),
    [
        ({"input_tokens": 5, "output_tokens": 7}, Usage(input=5, output=7)),
        (
            {
                "input_tokens": 5,
                "cache_read_input_tokens": 100,
                "cache_creation_input_tokens": 50,
                "cache_creation": {"ephemeral_5m_input_tokens": 30, "ephemeral_1h_input_tokens": 20},
                "output_tokens": 7,
            },
            Usage(input=5, cached_input=100, cache_write_5m=30, cache_write_1h=20, output=7),
        ),
        (
            {"input_tokens": 1, "cache_creation_input_tokens": 9, "cache_creation": None},
            Usage(input=1, cache_write_5m=9),
        ),
        (
            {"input_tokens": 1, "cache_creation": {"ephemeral_1h_input_tokens": 4}},
            Usage(input=1, cache_write_1h=4),
        ),
        (
            {
                "output_tokens": 1,
                "cache_creation_input_tokens": 3,
                "cache_creation": {"ephemeral_1h_input_tokens": 9},
            },
            Usage(output=1, cache_write_1h=3),
        ),
        ({"input_tokens": "5", "output_tokens": -1}, None),
        ({"output_tokens": 9, "output_tokens_details": {"thinking_tokens": 4}}, Usage(output=9, reasoning=4)),
        (None, None),
    ],
)
def test_read_usage(wire, usage):
    assert read_usage(wire) == usage


def test_stream_merges_member_by_member():
    tap = AnthropicTap()
    tap.frame(
        b'{"type":"message_start","message":{"id":"msg_1","container":{"id":"container_1"},"usage":{"input_tokens":25,'
        b'"cache_creation_input_tokens":8,"cache_read_input_tokens":2,"cache_creation":'
        b'{"ephemeral_5m_input_tokens":3,"ephemeral_1h_input_tokens":5},"output_tokens":1}}}',
        b"message_start",
    )
    assert tap.ids == [("container", "container_1")]
    tap.frame(b'{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}')
    tap.frame(b'{"type":"ping"}')
    tap.frame(b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}')
    tap.frame(b'{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}')
    tap.frame(
        b'{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{}"}}'
    )
    tap.frame(
        b'{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"ssss"}}'
    )
    tap.frame(
        b'{"type":"message_delta","delta":{"stop_reason":"end_turn","container":{"id":"container_2"}},'
        b'"usage":{"output_tokens":15,"input_tokens":null,"cache_creation_input_tokens":8}}'
    )
    assert not tap.complete
    tap.frame(b'{"type":"message_stop"}', b"message_stop")
    assert (tap.complete, tap.failed, tap.output_bytes) == (True, False, 9)
    assert tap.usage == Usage(input=25, cached_input=2, cache_write_5m=3, cache_write_1h=5, output=15)
    assert tap.ids[-1] == ("container", "container_2")
    assert tap.point().started
    assert not tap.usage_only(b"{}")
    assert tap.response_id is None


def test_a_cut_stream_knows_its_prompt():
    tap = AnthropicTap()
    tap.frame(b'{"type":"message_start","message":{"usage":{"input_tokens":25,"output_tokens":1}}}')
    assert tap.usage == Usage(input=25, output=1)
    assert not tap.complete


def test_error_event():
    tap = AnthropicTap()
    tap.frame(b'{"type":"error","error":{"type":"overloaded_error","message":"x"}}', b"error")
    assert tap.failed
    assert not tap.complete


def test_names_serve_where_data_does_not():
    tap = AnthropicTap()
    tap.frame(b"{broken", b"error")
    assert tap.failed
    odd = AnthropicTap()
    odd.frame(b'{"type":"message_stop","delta":7}')
    assert odd.complete


def test_files_of_the_vendors_tools():
    tap = AnthropicTap()
    tap.frame(
        b'{"type":"content_block_start","content_block":{"type":"code_execution_tool_result","content":'
        b'{"content":[{"type":"code_execution_output","file_id":"file_1"}]}}}'
    )
    tap.frame(
        b'{"type":"content_block_start","content_block":{"type":"tool_use","input":{"file_id":"mine"}}}'
    )
    assert tap.ids == [("file", "file_1")]


def test_body():
    tap = AnthropicTap()
    tap.body(
        b'{"id":"msg_1","type":"message","content":[{"type":"thinking","thinking":"hm","signature":"s"},'
        b'{"type":"text","text":"Hello"},{"type":"tool_use","id":"t","name":"f","input":{"a":1}}],'
        b'"container":{"id":"c1"},"usage":{"input_tokens":5,"output_tokens":7}}'
    )
    assert (tap.complete, tap.output_bytes, tap.usage) == (True, 2 + 5 + 7, Usage(input=5, output=7))
    assert tap.ids == [("container", "c1")]


def test_error_and_count_bodies():
    tap = AnthropicTap()
    tap.body(b'{"type":"error","error":{"type":"api_error","message":"x"}}')
    assert tap.failed
    assert not tap.complete
    counted = AnthropicTap()
    counted.body(b'{"input_tokens":9}')
    assert counted.usage is None
    assert counted.complete
