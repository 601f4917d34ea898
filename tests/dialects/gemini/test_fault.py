"""Google's error shape, in SSE and in the growing array."""

from __future__ import annotations

import json

import pytest

from dragoman.core.faults import Fault
from dragoman.core.framing import sse_data
from dragoman.dialects.base import StreamPoint
from dragoman.dialects.gemini.fault import write_fault, write_stream_fault


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "INVALID_ARGUMENT"),
        (401, "UNAUTHENTICATED"),
        (403, "PERMISSION_DENIED"),
        (404, "NOT_FOUND"),
        (405, "INVALID_ARGUMENT"),
        (413, "INVALID_ARGUMENT"),
        (429, "RESOURCE_EXHAUSTED"),
        (499, "CANCELLED"),
        (500, "INTERNAL"),
        (502, "UNAVAILABLE"),
        (503, "UNAVAILABLE"),
        (504, "DEADLINE_EXCEEDED"),
        (599, "INTERNAL"),
    ],
)
def test_statuses(status, name):
    error = json.loads(write_fault(Fault(status, "my_code", "m"), "req_1"))["error"]
    assert (error["code"], error["status"], error["message"]) == (status, name, "m")
    assert error["details"] == [
        {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "my_code", "domain": "dragoman"}
    ]


def test_no_code_no_details():
    assert "details" not in json.loads(write_fault(Fault(500, "", "m"), "r"))["error"]


def test_sse():
    wire = write_stream_fault(Fault(502, "c", "m"), "r", StreamPoint(started=True))
    assert json.loads(sse_data(wire))["error"]["code"] == 502


def test_array_stays_valid_json():
    fault = Fault(502, "c", "m")
    begun = b'[{"a":1}' + write_stream_fault(fault, "r", StreamPoint(started=True, array=True))
    assert json.loads(begun)[1]["error"]["code"] == 502
    assert json.loads(write_stream_fault(fault, "r", StreamPoint(array=True)))[0]["error"]["code"] == 502
