"""Output items of a response → blocks."""

from __future__ import annotations

from typing import Any

import pytest

from dragoman.core.conversation import (
    Block,
    Citation,
    Opaque,
    Refusal,
    Signature,
    Text,
    Thinking,
    TokenLogprob,
    ToolCall,
)
from dragoman.dialects.openai_responses.output_reader import (
    finish_of,
    objects,
    read_item,
    read_logprobs,
    seconds,
    text_of,
)


@pytest.mark.parametrize(
    ("item", "blocks"),
    [
        (
            {
                "type": "message",
                "content": [
                    {
                        "type": "output_text",
                        "text": "a",
                        "annotations": [{"type": "url_citation", "url": "u", "start_index": 0, "end_index": 1}],
                    },
                    {"type": "refusal", "refusal": "No."},
                    {"type": "output_text", "text": ""},
                ],
            },
            [Text(text="a", citations=(Citation(url="u", start=0, end=1),)), Refusal(text="No.")],
        ),
        (
            {"type": "reasoning", "id": "rs", "summary": [{"text": "a"}, {"text": "b"}], "encrypted_content": "g"},
            [Thinking(text="a\n\nb", signature=Signature(origin="openai_responses", value="g", id="rs"))],
        ),
        (
            {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "t"}]},
            [Thinking(text="t")],
        ),
        ({"type": "reasoning", "id": "rs", "summary": []}, []),
        (
            {"type": "function_call", "id": "fc", "call_id": "c", "name": "f", "arguments": "{}", "namespace": "n"},
            [ToolCall(id="c", name="f", namespace="n")],
        ),
        ({"type": "function_call", "id": "fc", "name": "f"}, [ToolCall(id="fc", name="f")]),
        (
            {"type": "custom_tool_call", "call_id": "c", "name": "p", "input": ""},
            [ToolCall(id="c", name="p", arguments="", custom=True)],
        ),
        (
            {"type": "web_search_call", "id": "ws"},
            [Opaque(origin="openai_responses", kind="web_search_call", raw={"type": "web_search_call", "id": "ws"})],
        ),
        ({}, []),
    ],
)  # fmt: skip
def test_items(item: dict[str, Any], blocks: list[Block]) -> None:
    assert read_item(item) == blocks


@pytest.mark.parametrize("junk", [None, 1, "x", [], [None, 1], {"a": 1}])
@pytest.mark.parametrize("kind", ["message", "reasoning", "function_call", "custom_tool_call"])
def test_odd_types_do_no_harm(kind: str, junk: object) -> None:
    names = ("content", "summary", "encrypted_content", "arguments", "input", "call_id", "name", "id")
    for block in read_item({"type": kind, **dict.fromkeys(names, junk)}):
        assert not isinstance(block, Opaque)


def test_small_readers() -> None:
    assert objects([{"a": 1}, 2]) == [{"a": 1}]
    assert objects({"a": 1}) == []
    assert text_of({"a": 1}, "a") == ""
    assert [seconds(value) for value in (5, 5.9, -1, "5", None, 1e300)] == [5, 5, 0, 0, 0, 0]


def test_logprobs() -> None:
    value = [{"token": "a", "logprob": -1, "top_logprobs": [{"token": "b", "logprob": "x"}]}, 3]
    assert read_logprobs(value) == (TokenLogprob(token="a", logprob=-1.0, top=(("b", 0.0),)),)
    assert read_logprobs(None) == ()


@pytest.mark.parametrize(
    ("response", "calls", "finish"),
    [
        ({"status": "completed"}, False, "stop"),
        ({"status": "completed"}, True, "tool_calls"),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, True, "length"),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, False, "content_filter"),
        ({"status": "incomplete"}, False, "length"),
        ({"incomplete_details": "x"}, False, "stop"),
    ],
)  # fmt: skip
def test_finish(response: dict[str, Any], calls: bool, finish: str) -> None:
    assert finish_of(response, calls=calls) == finish
