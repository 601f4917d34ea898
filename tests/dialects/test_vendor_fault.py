"""Every error shape vendors are known to answer with."""

from __future__ import annotations

import pytest

from dragoman.dialects.vendor_fault import MESSAGE_LIMIT, in_band_status, read_fault

DEFAULT = "The upstream provider answered with status 502"


@pytest.mark.parametrize(
    ("body", "message", "code", "kind"),
    [
        (
            b'{"error":{"message":"Bad","type":"invalid_request_error","param":null,"code":"bad_thing"}}',
            "Bad",
            "bad_thing",
            "invalid_request_error",
        ),
        (b'{"error":{"message":"Bad","type":"t","code":null}}', "Bad", "t", "t"),
        (b'{"error":{"message":"Bad","code":429}}', "Bad", "", ""),
        (
            b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}',
            "Overloaded",
            "overloaded_error",
            "overloaded_error",
        ),
        (
            b'{"error":{"code":400,"message":"Bad","status":"INVALID_ARGUMENT"}}',
            "Bad",
            "INVALID_ARGUMENT",
            "INVALID_ARGUMENT",
        ),
        (
            b'[{"error":{"code":400,"message":"Bad","status":"INVALID_ARGUMENT"}}]',
            "Bad",
            "INVALID_ARGUMENT",
            "INVALID_ARGUMENT",
        ),
        (b'{"detail":"Not Found"}', "Not Found", "", ""),
        (
            b'{"detail":[{"loc":["body","model"],"msg":"field required","type":"missing"},{"msg":"x"}]}',
            "body.model: field required; x",
            "",
            "",
        ),
        (b'{"detail":{"message":"deep"}}', "deep", "", ""),
        (b'{"error":"model not loaded"}', "model not loaded", "", ""),
        (b'{"error":"Forbidden","message":"No entry"}', "No entry", "Forbidden", ""),
        (b'{"object":"error","message":"Bad","type":"bad_type","code":"c1"}', "Bad", "c1", "bad_type"),
        (b'{"code":"Arrearage","message":"Overdue","request_id":"x"}', "Overdue", "Arrearage", ""),
        (b'{"error_code":336003,"error_msg":"the length"}', "the length", "", ""),
        (
            b'{"message":"Too many","__type":"ThrottlingException"}',
            "Too many",
            "ThrottlingException",
            "ThrottlingException",
        ),
        (b'{"errors":[{"message":"first"},{"message":"second"}]}', "first", "", ""),
        (b'{"errors":["plain"]}', "plain", "", ""),
        (b'{"error":{"error":{"message":"twice","code":"c"}}}', "twice", "c", ""),
        (b'data: {"error":{"message":"framed","code":"c"}}\n\ndata: [DONE]\n\n', "framed", "c", ""),
        (
            b'event: error\r\ndata: {"type":"error","error":{"type":"t","message":"framed"}}\r\n\r\n',
            "framed",
            "t",
            "t",
        ),
        (
            b'{"type":"response.failed","response":{"error":{"code":"server_error","message":"late"}}}',
            "late",
            "server_error",
            "",
        ),
        (b'"just a string"', "just a string", "", ""),
        (b"upstream connect error", "upstream connect error", "", ""),
        (b"<html><head><title>502 Bad\nGateway</title></head></html>", "502 Bad Gateway", "", ""),
        (b"<html>x</html>", DEFAULT, "", ""),
        (b"", DEFAULT, "", ""),
        (b"{}", DEFAULT, "", ""),
        (b"[]", DEFAULT, "", ""),
        (b"null", DEFAULT, "", ""),
        (b'{"error":{"message":5,"type":[]}}', DEFAULT, "", ""),
        (b"\x1f\x8b\x08\x00\xff\xfe", DEFAULT, "", ""),
    ],
)
def test_shapes(body, message, code, kind):
    told = read_fault(502, body)
    assert (told.message, told.code, told.type) == (message, code, kind)
    assert not told.explicit or f'"{told.code}"'.encode() in body


def test_secrets_do_not_pass():
    fault = read_fault(
        401, b'{"error":{"message":"Incorrect API key provided: sk-abcdef1234567890.","code":"x"}}'
    )
    assert "abcdef" not in fault.message
    assert fault.message.startswith("Incorrect API key provided")
    assert "abcdef" not in read_fault(401, b"bad key sk-abcdef1234567890").message


def test_long_messages_are_shortened():
    assert len(read_fault(400, b'{"error":{"message":"' + b"y" * 9000 + b'"}}').message) == MESSAGE_LIMIT
    assert len(read_fault(400, b"z " * 9000).message) <= 500


def test_a_code_is_explicit_only_where_the_body_has_one():
    assert read_fault(429, b'{"error":{"type":"insufficient_quota","code":"insufficient_quota"}}').explicit
    assert not read_fault(429, b'{"error":{"type":"insufficient_quota","message":"M"}}').explicit


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ({"code": 502}, 502), ({"code": 429}, 429), ({"status": 529}, 503), ({"type": "overloaded_error"}, 503),
        ({"status": "RESOURCE_EXHAUSTED"}, 429), ({"code": "rate_limit_exceeded"}, 429), ({"type": "invalid_request_error"}, 400),
        ({"code": True}, 502), ({"code": 7}, 502), ({}, 502), ("text", 502), (None, 502),
    ],
)  # fmt: skip
def test_the_status_that_an_error_under_a_200_would_have_had(error, status):
    assert in_band_status(error) == status
