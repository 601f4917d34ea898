"""The Responses tap: usage, ids, sequence numbers, ends."""

from __future__ import annotations

import pytest

from dragoman.core.usage import Usage
from dragoman.dialects.openai_responses.usage import ResponsesTap

CREATED = (
    b'{"type":"response.created","sequence_number":0,"response":{"id":"resp_1","object":"response","status":'
    b'"in_progress","created_at":1700000000,"model":"gpt-5","store":false,"conversation":{"id":"conv_1"},"usage":null,'
    b'"error":null,"tools":[{"type":"function"}]}}'
)
USAGE = (
    b'"usage":{"input_tokens":100,"input_tokens_details":{"cached_tokens":30},"output_tokens":20,'
    b'"output_tokens_details":{"reasoning_tokens":8},"total_tokens":120}'
)
EXPECTED = Usage(input=70, cached_input=30, output=20, reasoning=8)


def test_stream():
    tap = ResponsesTap()
    tap.frame(CREATED, b"response.created")
    assert tap.response_id == "resp_1"
    assert tap.ids == [("response", "resp_1"), ("conversation", "conv_1")]
    tap.frame(
        b'{"type":"response.output_item.added","sequence_number":1,"item":{"id":"ci_1","type":"code_interpreter_call",'
        b'"container_id":"cntr_1"}}'
    )
    tap.frame(b'{"type":"response.output_text.delta","sequence_number":2,"delta":"Hello"}')
    tap.frame(b'{"type":"response.function_call_arguments.delta","sequence_number":3,"delta":"{}"}')
    tap.frame(b'{"type":"response.audio.delta","sequence_number":4,"delta":"AAAAAAA"}')
    assert not tap.complete
    tap.frame(
        b'{"type":"response.completed","sequence_number":5,"response":{"id":"resp_1","status":"completed",'
        + USAGE
        + b"}}"
    )
    assert (tap.complete, tap.failed, tap.last_sequence, tap.output_bytes) == (True, False, 5, 7)
    assert tap.usage == EXPECTED
    assert tap.ids[2:] == [("item", "ci_1"), ("container", "cntr_1")]
    point = tap.point()
    assert (point.started, point.sequence, point.response_id, point.model, point.created_at) == (
        True,
        5,
        "resp_1",
        "gpt-5",
        1_700_000_000,
    )
    assert tap.usage_only(CREATED) is False


@pytest.mark.parametrize(
    ("frame", "complete", "failed"),
    [
        (b'{"type":"response.incomplete","response":{"status":"incomplete"}}', True, False),
        (b'{"type":"response.cancelled","response":{"status":"cancelled"}}', True, False),
        (
            b'{"type":"response.failed","response":{"status":"failed","error":{"code":"server_error"}}}',
            True,
            True,
        ),
        (b'{"type":"error","code":"x","message":"y"}', False, True),
        (b'{"error":{"message":"y"}}', False, True),
        (b'{"type":"response.completed","item":5}', True, False),
    ],
)
def test_ends(frame, complete, failed):
    tap = ResponsesTap()
    tap.frame(frame)
    assert (tap.complete, tap.failed) == (complete, failed)


def test_the_events_name_serves_where_the_data_does_not():
    tap = ResponsesTap()
    tap.frame(b"{broken", b"response.completed")
    assert tap.complete


def test_body():
    tap = ResponsesTap()
    tap.body(
        b'{"id":"resp_2","object":"response","status":"completed","conversation":"conv_2","output":['
        b'{"id":"rs_1","type":"reasoning","summary":[{"type":"summary_text","text":"why"}]},'
        b'{"id":"msg_1","type":"message","content":[{"type":"output_text","text":"Hello"}]},'
        b'{"id":"fc_1","type":"function_call","arguments":"{}"}],' + USAGE + b"}"
    )
    assert (tap.complete, tap.failed, tap.output_bytes, tap.usage) == (True, False, 10, EXPECTED)
    assert tap.ids == [
        ("response", "resp_2"),
        ("conversation", "conv_2"),
        ("item", "rs_1"),
        ("item", "msg_1"),
        ("item", "fc_1"),
    ]


def test_failed_body():
    tap = ResponsesTap()
    tap.body(b'{"id":"resp_2","status":"failed","error":{"code":"server_error"},"usage":null}')
    assert tap.failed
    assert not tap.complete
    assert tap.response_id == "resp_2"


def test_the_items_of_a_stored_request_are_listed():
    """GET /v1/responses/{id}/input_items: the caller may refer to each of them in its next request."""
    tap = ResponsesTap()
    tap.body(
        b'{"object":"list","data":[{"id":"msg_1","type":"message","role":"user","content":[{"type":"input_text",'
        b'"text":"Tell me"}]},{"id":"ci_1","type":"code_interpreter_call","container_id":"cntr_1","code":"x"},7],'
        b'"first_id":"msg_1","last_id":"ci_1","has_more":false}'
    )
    assert tap.ids == [("item", "msg_1"), ("item", "ci_1"), ("container", "cntr_1")]
    assert (tap.output_bytes, tap.usage, tap.complete) == (0, None, True)  # nothing was made
