from __future__ import annotations

import msgspec
import pytest

from dragoman.dialects.openai_chat.failure import cut, failure, is_failure


@pytest.mark.parametrize(
    ("error", "status", "type_"),
    [
        ({"code": 502, "message": "Provider returned error"}, 502, "server_error"),
        ({"code": 429, "message": "slow"}, 429, "rate_limit_error"),
        ({"code": "429", "message": "slow"}, 429, "rate_limit_error"),
        ({"type": "rate_limit_error", "message": "slow"}, 429, "rate_limit_error"),
        ({"code": 529, "message": "busy"}, 503, "overloaded_error"),
        ({"type": "overloaded_error", "message": "Overloaded"}, 503, "overloaded_error"),
        ({"code": 400, "message": "bad"}, 400, "invalid_request_error"),
        ({"code": 401, "message": "our key"}, 502, "server_error"),
        ("something", 502, "server_error"),
    ],
)
def test_the_status_is_what_the_error_says(error: object, status: int, type_: str) -> None:
    value = {"error": error}
    fault = failure(value, msgspec.json.encode(value))
    assert (fault.status, fault.type, fault.owner) == (status, type_, "upstream")


def test_the_message_is_the_vendors_without_its_secrets() -> None:
    value = {"error": {"message": "Provider returned error for sk-abcdef1234567890", "code": 502}}
    fault = failure(value, msgspec.json.encode(value))
    assert "Provider returned error" in fault.message
    assert "sk-abcdef" not in fault.message


def test_vllm_puts_the_error_at_the_top() -> None:
    value = {"object": "error", "message": "too long", "type": "BadRequestError", "code": 400}
    assert is_failure(value)
    assert (failure(value, msgspec.json.encode(value)).status) == 400
    assert not is_failure({"error": None, "choices": []})


def test_a_cut_stream() -> None:
    fault = cut()
    assert (fault.status, fault.code, fault.owner) == (502, "upstream_cut", "upstream")
