"""What a candidate of Google's answer says, for whole answers and streams alike. Never raises on odd input."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from dragoman.core.conversation import Block, Finish, Refusal, Text, TokenLogprob, ToolResult
from dragoman.core.faults import Fault
from dragoman.dialects.base import mapping
from dragoman.dialects.gemini.part_reader import read_part

_FINISHES: Final[Mapping[str, Finish]] = {
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "ESCALATION": "content_filter",
}
"""``finishReason``; every other word is a stop. https://ai.google.dev/api/generate-content#FinishReason"""
BROKEN: Final = frozenset(
    {"MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "MALFORMED_RESPONSE", "MISSING_THOUGHT_SIGNATURE"}
)
"""Endings that are a failure of the upstream's where they come without output."""
_WORD: Final = re.compile(r"[A-Z_]{1,64}")


def finish_of(reason: object, *, calls: bool) -> Finish:
    """``finishReason`` as a finish; with a function call a stop is "tool_calls"."""
    finish = _FINISHES.get(reason, "stop") if isinstance(reason, str) else "stop"
    return "tool_calls" if calls and finish == "stop" else finish


def read_blocks(candidate: Mapping[str, Any]) -> list[Block]:
    """The blocks of ``content.parts``; parts that cannot be read are skipped."""
    parts = mapping(candidate.get("content")).get("parts")
    out: list[Block] = []
    for part in [parts] if isinstance(parts, dict) else parts if isinstance(parts, list) else ():
        if type(part) is dict and len(part) == 1 and type(text := part.get("text")) is str:
            if text:  # by far the most parts of a stream
                out.append(Text(text=text))
            continue
        try:
            block = read_part(part, ())
        except Fault:
            continue
        if block is not None and not isinstance(block, ToolResult):
            out.append(block)
    return out


def blocked(value: Mapping[str, Any]) -> Refusal | None:
    """The refusal of a prompt that was not let through: ``promptFeedback.blockReason`` instead of candidates."""
    feedback = mapping(value.get("promptFeedback"))
    reason = feedback.get("blockReason")
    if not reason:
        return None
    word = reason if isinstance(reason, str) and _WORD.fullmatch(reason) else "OTHER"
    said = feedback.get("blockReasonMessage")
    more = f" {said}" if isinstance(said, str) and said else ""
    return Refusal(text=f"The prompt was blocked: {word}.{more}")


def candidates_of(value: Mapping[str, Any]) -> list[dict[str, Any]]:
    given = value.get("candidates")
    return [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []


def read_logprobs(value: object) -> tuple[TokenLogprob, ...]:
    """``logprobsResult``: the chosen tokens, and the likeliest at each place."""
    result = mapping(value)
    tops = result.get("topCandidates")
    ranked = tops if isinstance(tops, list) else []
    out: list[TokenLogprob] = []
    for number, (token, logprob) in enumerate(_tokens(result.get("chosenCandidates"))):
        top = mapping(ranked[number]).get("candidates") if number < len(ranked) else None
        out.append(TokenLogprob(token=token, logprob=logprob, top=tuple(_tokens(top))))
    return tuple(out)


def _tokens(value: object) -> list[tuple[str, float]]:
    out: list[tuple[str, float]] = []
    for one in value if isinstance(value, list) else ():
        seen = mapping(one)
        token, logprob = seen.get("token"), seen.get("logProbability")
        out.append(
            (
                token if isinstance(token, str) else "",
                float(logprob) if isinstance(logprob, (int, float)) else 0.0,
            )
        )
    return out


def write_logprobs(tokens: Iterable[TokenLogprob]) -> dict[str, Any]:
    """``logprobsResult``."""
    chosen = list(tokens)
    return {
        "chosenCandidates": [{"token": one.token, "logProbability": one.logprob} for one in chosen],
        "topCandidates": [
            {"candidates": [{"token": token, "logProbability": logprob} for token, logprob in one.top]}
            for one in chosen
        ],
    }
