"""Anthropic's error types and shapes."""

from __future__ import annotations

import json

import pytest

from dragoman.core.faults import Fault, insufficient_quota, model_unavailable
from dragoman.core.framing import sse_parts
from dragoman.dialects.anthropic.fault import write_fault, write_stream_fault
from dragoman.dialects.base import StreamPoint


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (405, "invalid_request_error"),
        (413, "request_too_large"),
        (422, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (502, "api_error"),
        (503, "overloaded_error"),
        (504, "timeout_error"),
        (529, "overloaded_error"),
    ],
)
def test_types(status, kind):
    assert json.loads(write_fault(Fault(status, "c", "m"), "req_1")) == {
        "type": "error",
        "error": {"type": kind, "message": "m", "code": "c"},
        "request_id": "req_1",
    }


def test_quota_and_missing_models():
    assert b'"type":"billing_error"' in write_fault(insufficient_quota(), "r")
    assert b'"type":"overloaded_error"' in write_fault(model_unavailable("m"), "r")
    assert b'"code":"model_not_found"' in write_fault(model_unavailable("m"), "r")


def test_stream():
    event, data = sse_parts(write_stream_fault(Fault(502, "c", "m"), "req_1", StreamPoint(started=True)))
    assert event == b"error"
    assert json.loads(data)["error"]["type"] == "api_error"
