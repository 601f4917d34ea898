from __future__ import annotations

import pytest

from dragoman.core.conversation import Signature, Text, Thinking, ToolCall
from dragoman.dialects.openai_chat.reasoning import (
    assembled,
    call_signature,
    carried,
    details,
    extra_content,
    seal_entry,
    text_entry,
)

CLAUDE = Signature(origin="anthropic", value="S")
GPT = Signature(origin="openai_responses", value="E", id="rs_1")
GOOGLE = Signature(origin="gemini", value="Zw==")


@pytest.mark.parametrize(
    "blocks",
    [
        [Thinking(text="t", signature=CLAUDE)],
        [Thinking(text="", signature=CLAUDE)],
        [Thinking(signature=CLAUDE, redacted=True)],
        [Thinking(text="t", signature=GPT)],
        [Thinking(text="", signature=GPT)],
        [Thinking(text="t", signature=GOOGLE)],
        [
            Thinking(text="a", signature=CLAUDE),
            Thinking(signature=CLAUDE, redacted=True),
            Thinking(text="b", signature=GPT),
        ],
        [Thinking(text="a"), Thinking(text="b", signature=CLAUDE)],
    ],
)
def test_what_is_written_reads_back(blocks: list[Thinking]) -> None:
    message = {"reasoning_details": details(blocks), "reasoning_content": "".join(b.text for b in blocks)}
    assert carried(message).thinking == blocks


def test_unsigned_reasoning_needs_no_details() -> None:
    assert details([Thinking(text="t")]) == []
    assert carried({"reasoning_content": "t"}).thinking == [Thinking(text="t")]
    assert carried({"reasoning": "t"}).thinking == [Thinking(text="t")]


def test_the_entries_have_the_forms_that_openrouter_gives() -> None:
    assert details([Thinking(text="t", signature=CLAUDE)]) == [
        {"type": "reasoning.text", "text": "t", "signature": "S", "format": "anthropic-claude-v1", "index": 0}
    ]
    assert details([Thinking(text="t", signature=GPT)]) == [
        {"type": "reasoning.summary", "summary": "t", "format": "openai-responses-v1", "index": 0},
        {
            "type": "reasoning.encrypted",
            "data": "E",
            "id": "rs_1",
            "format": "openai-responses-v1",
            "index": 1,
        },
    ]


def test_thinking_blocks_are_read_and_details_come_first() -> None:
    blocks = [
        {"type": "thinking", "thinking": "t", "signature": "S"},
        {"type": "redacted_thinking", "data": "R"},
        {"type": "other"},
        7,
    ]
    found = carried({"thinking_blocks": blocks, "reasoning_content": "t"})
    assert found.thinking == [
        Thinking(text="t", signature=CLAUDE),
        Thinking(signature=Signature(origin="anthropic", value="R"), redacted=True),
    ]
    both = carried({"thinking_blocks": blocks, "reasoning_details": [text_entry(None, "d", 0)]})
    assert both.thinking == [Thinking(text="d")]


@pytest.mark.parametrize("signature", [None, ""])
def test_a_carrier_without_a_signature_has_none(signature: str | None) -> None:
    found = carried({"thinking_blocks": [{"type": "thinking", "thinking": "t", "signature": signature}]})
    assert found.thinking == [Thinking(text="t")]


def test_signatures_of_vendors_that_nobody_here_can_use_are_left_out() -> None:
    entry = {"type": "reasoning.text", "text": "t", "signature": "S", "format": "xai-responses-v1"}
    assert carried({"reasoning_details": [entry]}).thinking == [Thinking(text="t")]
    assert carried({"reasoning_details": [{"type": "reasoning.text", "signature": "S"}]}).thinking == [
        Thinking(signature=CLAUDE)
    ]


class TestFromAStream:
    """A client that put a stream's deltas together has the first block's text only in ``reasoning_content``."""

    def test_the_first_block(self) -> None:
        message = {"reasoning_content": "t", "reasoning_details": [seal_entry(CLAUDE, 0)]}
        assert carried(message).thinking == [Thinking(text="t", signature=CLAUDE)]

    def test_the_second_has_its_text_in_its_entries_merged_or_not(self) -> None:
        second = Signature(origin="anthropic", value="S2")
        expected = [Thinking(text="one", signature=CLAUDE), Thinking(text="two", signature=second)]
        merged = [seal_entry(CLAUDE, 0), {**seal_entry(second, 1), "text": "two"}]
        loose = [
            seal_entry(CLAUDE, 0),
            text_entry(None, "t", 1),
            text_entry(None, "wo", 1),
            seal_entry(second, 1),
        ]
        for entries in (merged, loose):
            message = {"reasoning_content": "onetwo", "reasoning_details": entries}
            assert carried(message).thinking == expected

    def test_redacted_blocks_take_no_text(self) -> None:
        message = {"reasoning_content": "t", "reasoning_details": [seal_entry(CLAUDE, 0, redacted=True)]}
        assert carried(message).thinking == [Thinking(text="t"), Thinking(signature=CLAUDE, redacted=True)]


class TestGemini:
    def test_a_signature_with_the_id_of_a_call_belongs_to_it(self) -> None:
        entry = {"type": "reasoning.encrypted", "data": "Zw==", "id": "c1", "format": "google-gemini-v1"}
        calls = [ToolCall(id="c0", name="f"), ToolCall(id="c1", name="f")]
        blocks = assembled(carried({"reasoning_details": [entry]}), [], calls)
        assert [block.signature for block in blocks] == [None, GOOGLE]  # type: ignore[union-attr]

    def test_one_without_goes_to_the_text_else_to_the_first_call_else_alone(self) -> None:
        found = carried({"reasoning_details": details([Text(text="", signature=GOOGLE)])})
        assert assembled(found, [Text(text="x")], []) == (Text(text="x", signature=GOOGLE),)
        assert assembled(found, [], [ToolCall(id="c", name="f")]) == (
            ToolCall(id="c", name="f", signature=GOOGLE),
        )
        assert assembled(found, [], []) == (Text(text="", signature=GOOGLE),)

    def test_on_the_call_itself(self) -> None:
        assert call_signature({"extra_content": extra_content(GOOGLE)}) == GOOGLE
        for odd in ({}, {"extra_content": 1}, {"extra_content": {"google": {"thought_signature": 5}}}):
            assert call_signature(odd) is None


@pytest.mark.parametrize(
    "odd",
    [
        {"reasoning_details": "x"},
        {"reasoning_details": [1, None, {}, {"type": "reasoning.text", "text": 5}]},
        {"thinking_blocks": {}},
        {"reasoning_content": 4, "reasoning": None},
    ],
)
def test_odd_carriers_are_left_out(odd: dict[str, object]) -> None:
    found = carried(odd)
    assert (found.thinking, found.calls, found.loose) == ([], {}, [])
