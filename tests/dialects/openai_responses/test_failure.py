"""Failures inside an upstream's answer."""

from __future__ import annotations

from typing import Any

import pytest

from dragoman.dialects.openai_responses.failure import cut_fault, told_fault


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"type": "error", "code": "server_error", "message": "M"}, 502, "server_error"),
        ({"error": {"type": "insufficient_quota", "message": "M"}}, 429, "rate_limit_exceeded"),
        ({"error": {"code": 429, "message": "M"}}, 429, "rate_limit_exceeded"),
        ({"error": {"code": 503, "message": "M"}}, 503, "overloaded"),
        ({"error": {"type": "overloaded_error", "message": "M"}}, 503, "overloaded"),
        ({"error": {"message": "M"}}, 502, "upstream_error"),
        ({"response": {"error": {"code": "invalid_prompt", "message": "M"}}}, 400, "invalid_prompt"),
        ({"error": {"code": "context_length_exceeded", "message": "M"}}, 400, "context_length_exceeded"),
        ({"type": "response.failed", "response": {"error": {"code": "rate_limit_exceeded", "message": "M"}}},
         429, "rate_limit_exceeded"),
    ],
)  # fmt: skip
def test_status_by_what_it_says(body: dict[str, Any], status: int, code: str) -> None:  # E262, E264
    fault = told_fault(body)
    assert (fault.status, fault.code, fault.message, fault.owner) == (status, code, "M", "upstream")


def test_keys_do_not_leak() -> None:  # E265
    fault = told_fault({"error": {"message": "bad key sk-abcdef0123456789"}})
    assert "abcdef" not in fault.message


def test_cut() -> None:
    assert (cut_fault().status, cut_fault().code, cut_fault().owner) == (502, "upstream_cut", "upstream")
