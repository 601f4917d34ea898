"""Anthropic's words for how an answer ended, its usage object, and its failures, both ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from dragoman.core.conversation import Finish, Json
from dragoman.core.faults import Fault
from dragoman.core.usage import Usage
from dragoman.dialects.base import mapping
from dragoman.dialects.vendor_fault import read_fault

_FINISHES: Final[Mapping[str, Finish]] = {
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "model_context_window_exceeded": "context_length",
    "tool_use": "tool_calls",
    "refusal": "refusal",
    "pause_turn": "pause",
}
_STOP_REASONS: Final[Mapping[Finish, str]] = {
    "stop": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "context_length": "model_context_window_exceeded",
    "tool_calls": "tool_use",
    "refusal": "refusal",
    "content_filter": "refusal",
    "pause": "pause_turn",
    "error": "end_turn",
}
# What a vendor's error type means as a status; everything else is a bad gateway.
_STATUSES: Final = {
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "overloaded_error": 503,
}
_ERROR_TYPES: Final = {429: "rate_limit_error", 503: "overloaded_error", 529: "overloaded_error"}
_CUT: Final = "the upstream ended the stream before its end"


def read_finish(reason: Json, *, calls: bool) -> Finish:
    """``stop_reason`` as a finish word. calls: the answer calls a tool, which outweighs a plain stop."""
    finish = _FINISHES.get(reason, "stop") if type(reason) is str else "stop"
    return "tool_calls" if calls and finish == "stop" else finish


def stop_reason(finish: Finish, *, refused: bool) -> str:
    """A finish word as ``stop_reason``. Readers have made sure that a call outweighs a plain stop (E149)."""
    return "refusal" if refused else _STOP_REASONS[finish]


def stop_details(explanation: str) -> dict[str, Json]:
    """What goes with ``stop_reason`` "refusal"."""
    return {"type": "refusal", "explanation": explanation or None, "category": None}


def read_explanation(details: Json) -> str:
    """The words of a refusal in ``stop_details``, "" if there are none."""
    said = mapping(details).get("explanation")
    return said if type(said) is str else ""


def write_usage(usage: Usage | None) -> dict[str, Json]:
    """The usage object of a whole answer: the four counts are always there; the split of cache writes only where it
    says something."""
    seen = usage or Usage()
    written: dict[str, Json] = {
        "input_tokens": seen.input,
        "cache_creation_input_tokens": seen.cache_write_5m + seen.cache_write_1h,
        "cache_read_input_tokens": seen.cached_input,
        "output_tokens": seen.output,
    }
    if seen.cache_write_1h:
        written["cache_creation"] = {
            "ephemeral_5m_input_tokens": seen.cache_write_5m,
            "ephemeral_1h_input_tokens": seen.cache_write_1h,
        }
    return written


def write_stream_usage(usage: Usage | None) -> dict[str, Json]:
    """The usage object of a stream's frame: cache counts only where there are any."""
    written = write_usage(usage)
    if not written["cache_creation_input_tokens"] and not written["cache_read_input_tokens"]:
        return {"input_tokens": written["input_tokens"], "output_tokens": written["output_tokens"]}
    return written


def vendor_failure(data: bytes) -> Fault:
    """An error inside an answer or a stream as a fault of the upstream, redacted."""
    said = read_fault(502, data)
    status = _STATUSES.get(said.type, _STATUSES.get(said.code, 502))
    # The type repeated as code says nothing new; OpenAI clients see null then (E212).
    code = "" if said.code == said.type else said.code
    return Fault(status, code, said.message, type=said.type, owner="upstream")


def cut() -> Fault:
    """502: the stream broke off."""
    return Fault(502, "upstream_cut", _CUT, owner="upstream")


def error_type(fault: Fault) -> str:
    """The type of an ``error`` event in a stream."""
    return _ERROR_TYPES.get(fault.status, "api_error")


def text_of(value: Json) -> str:
    """``value`` if it is a string, else ""."""
    return value if type(value) is str else ""
