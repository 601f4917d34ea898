"""Failures inside answers with status 200."""

from __future__ import annotations

import json

import pytest

from dragoman.dialects.gemini.failure import cut, failure, unusable


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        ({"code": 429, "message": "slow"}, 429, "rate_limit_error"),
        ({"status": "RESOURCE_EXHAUSTED", "message": "slow"}, 429, "rate_limit_error"),
        ({"code": 503, "message": "The model is overloaded."}, 503, "overloaded_error"),
        ({"code": 500, "message": "Overloaded"}, 503, "overloaded_error"),
        ({"code": 400, "message": "bad"}, 400, "invalid_request_error"),
        ({"code": 403, "message": "denied"}, 502, "server_error"),
        ({"code": 500, "message": "internal"}, 502, "server_error"),
        ({"message": "?"}, 502, "server_error"),
    ],
)
def test_what_the_vendor_says(error, status, kind):
    value = {"error": error}
    fault = failure(value, json.dumps(value).encode())
    assert (fault.status, fault.type, fault.owner, fault.message) == (
        status,
        kind,
        "upstream",
        error["message"],
    )


def test_no_key_of_ours_is_told():
    value = {"error": {"code": 400, "message": "bad key AIzaSyA1234567890abcdefghij"}}
    assert "AIza" not in failure(value, json.dumps(value).encode()).message


def test_broken_and_cut():
    assert "MALFORMED_FUNCTION_CALL" in unusable("MALFORMED_FUNCTION_CALL").message
    assert (cut().status, cut().code, cut().owner) == (502, "upstream_cut", "upstream")
