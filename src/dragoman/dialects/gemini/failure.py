"""Failures inside an answer whose status says 200: an ``error`` object, an output that Google itself calls broken, a
stream without its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from dragoman.core.faults import Fault
from dragoman.dialects.base import mapping
from dragoman.dialects.vendor_fault import read_fault

_TOLD_ON: Final = frozenset({400, 404, 408, 413, 422})
"""Verdicts on the request itself; the caller sees them as they are."""
_STATUSES: Final = {
    "RESOURCE_EXHAUSTED": 429,
    "UNAVAILABLE": 503,
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "NOT_FOUND": 404,
}


def failure(value: Mapping[str, Any], body: bytes) -> Fault:
    """The fault of ``{"error": {"code", "message", "status"}}``, owned by the upstream."""
    said = read_fault(502, body)
    error = mapping(value.get("error"))
    code = error.get("code")
    status = code if type(code) is int else _STATUSES.get(str(error.get("status")), 502)
    if status == 429:
        return Fault(429, "rate_limit_exceeded", said.message, type="rate_limit_error", owner="upstream")
    if status in (503, 529) or "overloaded" in said.message.lower():
        return Fault(503, "overloaded", said.message, type="overloaded_error", owner="upstream")
    if status in _TOLD_ON:
        return Fault(status, said.code or "invalid_request", said.message, owner="upstream")
    return Fault(502, said.code or "upstream_error", said.message, owner="upstream")


def unusable(reason: str) -> Fault:
    """The model's output was broken (``MALFORMED_FUNCTION_CALL`` …) and nothing of it can be used."""
    message = f"The upstream's answer was unusable: {reason}"
    return Fault(502, "upstream_invalid_answer", message, owner="upstream")


def cut() -> Fault:
    """The stream ended without its end."""
    return Fault(502, "upstream_cut", "the upstream ended the stream before its end", owner="upstream")
