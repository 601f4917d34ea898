"""Finish reasons, blocks and log probabilities of candidates (E095, E150, E151)."""

from __future__ import annotations

import pytest

from dragoman.core.conversation import Media, Refusal, Text, TokenLogprob, ToolCall
from dragoman.dialects.gemini.candidate import (
    blocked,
    candidates_of,
    finish_of,
    read_blocks,
    read_logprobs,
    write_logprobs,
)

FILTERED = [
    "SAFETY",
    "RECITATION",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_RECITATION",
    "MODEL_ARMOR",
    "ESCALATION",
]


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        *((word, "content_filter") for word in FILTERED),
        ("OTHER", "stop"),
        ("LANGUAGE", "stop"),
        ("MALFORMED_FUNCTION_CALL", "stop"),
        ("TOMORROWS_WORD", "stop"),
        (None, "stop"),
        (["STOP"], "stop"),
    ],
)
def test_e150(reason, finish):
    assert finish_of(reason, calls=False) == finish
    assert finish_of(reason, calls=True) == ("tool_calls" if finish == "stop" else finish)


def test_blocks_that_cannot_be_read_are_skipped():
    parts = [
        {"text": "a"},
        {"text": 3},
        "x",
        {"functionCall": {}},
        {"functionResponse": {"name": "f"}},
        {"functionCall": {"name": "f", "args": {"a": 1}}},
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
    ]
    assert [type(block) for block in read_blocks({"content": {"parts": parts}})] == [Text, ToolCall, Media]
    for odd in ({}, {"content": None}, {"content": {"parts": 3}}, {"content": []}):
        assert read_blocks(odd) == []
    assert read_blocks({"content": {"parts": {"text": "one"}}}) == [Text(text="one")]


def test_e151():
    refusal = blocked({"promptFeedback": {"blockReason": "SAFETY", "blockReasonMessage": "No."}})
    assert refusal == Refusal(text="The prompt was blocked: SAFETY. No.")
    assert blocked({"promptFeedback": {"blockReason": 3}}) == Refusal(text="The prompt was blocked: OTHER.")
    assert blocked({"promptFeedback": {}}) is None
    assert blocked({}) is None


def test_candidates():
    assert candidates_of({"candidates": [{"index": 0}, 3]}) == [{"index": 0}]
    assert candidates_of({"candidates": 3}) == []


def test_e095():
    result = {
        "chosenCandidates": [{"token": "é", "tokenId": 3, "logProbability": -0.5}, {"token": "x"}],
        "topCandidates": [
            {"candidates": [{"token": "é", "logProbability": -0.5}, {"token": "e", "logProbability": -1}]}
        ],
    }
    tokens = (
        TokenLogprob(token="é", logprob=-0.5, top=(("é", -0.5), ("e", -1.0))),
        TokenLogprob(token="x", logprob=0.0),
    )
    assert read_logprobs(result) == tokens
    assert read_logprobs(write_logprobs(tokens)) == tokens
    for odd in (None, [], {"chosenCandidates": 3}, {"topCandidates": [{}]}):
        assert read_logprobs(odd) == ()
