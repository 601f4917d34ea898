"""Codes, types and messages that clients probe for; retry advice; redaction."""

from __future__ import annotations

import pytest

from dragoman.core import faults
from dragoman.core.faults import Fault, redact, retry_headers


@pytest.mark.parametrize(
    ("fault", "status", "type_", "code", "message"),
    [
        (faults.invalid_api_key(), 401, "authentication_error", "invalid_api_key", "Invalid API key"),
        (faults.ip_not_allowed("1.2.3.4"), 403, "permission_error", "ip_not_allowed", "1.2.3.4"),
        (faults.group_not_allowed(), 403, "permission_error", "group_not_allowed", "group"),
        (faults.no_group_bound(), 403, "permission_error", "no_group_bound", "no group bound"),
        (faults.insufficient_quota(), 403, "insufficient_quota", "insufficient_quota", "Insufficient quota"),
        (faults.model_not_allowed("m"), 403, "permission_error", "model_not_allowed", "model not allowed"),
        (
            faults.model_not_found("m", "Did you mean n?"),
            404,
            "not_found_error",
            "model_not_found",
            "mean n?",
        ),
        (
            faults.model_unavailable("m"),
            503,
            "new_api_error",
            "model_not_found",
            "Model m is temporarily unavailable",
        ),
        (
            faults.channel_failed("m"),
            500,
            "new_api_error",
            "get_channel_failed",
            "model m is temporarily unavailable, please try again later",
        ),
        (faults.price_missing("m"), 503, "new_api_error", "model_price_error", "price"),
        (faults.invalid_request("no", "model"), 400, "invalid_request_error", "invalid_request", "no"),
        (faults.not_found(), 404, "not_found_error", "not_found", "Not found"),
        (
            faults.method_not_allowed("PUT", ["POST", "GET"]),
            405,
            "invalid_request_error",
            "method_not_allowed",
            "GET, POST",
        ),
        (faults.body_too_large(10), 413, "invalid_request_error", "request_too_large", "10 bytes"),
        (faults.rate_limited(2.0), 429, "rate_limit_error", "rate_limit_exceeded", "Rate limit exceeded"),
        (faults.upstream_unreachable(), 502, "server_error", "upstream_unreachable", "reached"),
        (faults.upstream_garbage(), 502, "server_error", "upstream_invalid_answer", "invalid answer"),
        (faults.overloaded(3), 503, "overloaded_error", "overloaded", "overloaded"),
    ],
    ids=lambda value: value.code if isinstance(value, Fault) else None,
)
def test_named_faults(fault, status, type_, code, message):
    assert (fault.status, fault.type, fault.code) == (status, type_, code)
    assert message in fault.message
    assert str(fault) == fault.message
    assert code in repr(fault)


def test_owners_tell_whose_fault_it_is():
    assert faults.invalid_api_key().owner == "client"
    assert faults.upstream_garbage().owner == "upstream"
    assert faults.overloaded().owner == "gateway"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 413, 422])
def test_final_errors_say_do_not_retry(status):
    assert retry_headers(Fault(status, "x", "x")) == [(b"x-should-retry", b"false")]


@pytest.mark.parametrize("status", [500, 502, 504, 529])
def test_passing_errors_say_nothing(status):
    assert retry_headers(Fault(status, "x", "x")) == []


def test_retry_advice_of_the_503s_and_429():
    assert retry_headers(faults.model_unavailable("m")) == [(b"x-should-retry", b"false")]
    assert retry_headers(faults.overloaded(2.2)) == [(b"retry-after", b"3")]
    assert retry_headers(Fault(429, "x", "x")) == [(b"retry-after", b"1")]
    assert retry_headers(faults.rate_limited(0.01)) == [(b"retry-after", b"1")]
    assert retry_headers(Fault(500, "x", "x", should_retry=False)) == [(b"x-should-retry", b"false")]
    assert retry_headers(Fault(400, "x", "x", should_retry=True)) == [(b"x-should-retry", b"true")]


@pytest.mark.parametrize(
    "secret",
    [
        "sk-abcdefghijklmnop1234",
        "sk-ant-api03-AbCd_efgh-1234",
        "sk-proj-AAAA1111",
        "AIza" + "SyA1234567890abcdef",
        "AKIA" + "ABCDEFGHIJKLMNOP",
        "xai-0123456789abcdef",
        "gsk_0123456789abcdef",
        "ya29.a0AfH6SMBx",
        "eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl",
    ],
)
def test_redact_masks_key_shapes(secret):
    text = redact(f"Incorrect API key provided: {secret}. See the docs.")
    assert secret not in text
    assert "Incorrect API key provided" in text
    assert "See the docs." in text


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Authorization: Bearer abcdef0123456", "abcdef0123456"),
        ("GET https://host/v1?key=0123456789abc&x=1", "0123456789abc"),
        ('{"api_key": "0123456789abc"}', "0123456789abc"),
        ("x-api-key: 0123456789abc", "0123456789abc"),
        ("proxy http://user:hunter2@proxy:80 failed", "hunter2"),
        ("-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----", "MIIE"),
    ],
)
def test_redact_masks_by_context(text, secret):
    assert secret not in redact(text)
    assert "***" in redact(text)


@pytest.mark.parametrize(
    "text",
    ["The model gpt-5 does not exist", "max_tokens: must be at least 1", "task-based risk-free asks", ""],
)
def test_redact_leaves_prose(text):
    assert redact(text) == text
