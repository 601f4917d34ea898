"""The record, and the readers of untyped JSON."""

from __future__ import annotations

import pytest

from dragoman.core.faults import Fault
from dragoman.dialects import DIALECTS
from dragoman.dialects.base import StreamPoint, UpstreamFault, content_bytes, mapping, named, text_bytes


def test_the_registry_is_complete_and_frozen():
    assert set(DIALECTS) == {"openai_chat", "openai_responses", "anthropic", "gemini", "plain"}
    assert all(dialect.name == name for name, dialect in DIALECTS.items())
    with pytest.raises(TypeError):
        DIALECTS["x"] = DIALECTS["plain"]  # type: ignore[index]


def test_text_bytes_counts_utf8():
    assert [text_bytes(v) for v in ("abc", "é", "日本", "\ud800", 5, None, ["x"])] == [3, 2, 6, 3, 0, 0, 0]


def test_content_bytes_reads_strings_and_parts():
    assert content_bytes("abc") == 3
    assert content_bytes([{"type": "text", "text": "ab"}, {"thinking": [{"text": "cde"}]}, 5, "no"]) == 5
    assert content_bytes({"refusal": "no"}) == 2
    assert content_bytes(7) == 0


def test_mapping_and_named():
    assert mapping({"a": 1}) == {"a": 1}
    assert mapping([1]) == {}
    assert [named(v) for v in ("x", "", None, 5, "y" * 513)] == ["x", "", "", "", ""]


@pytest.mark.parametrize(
    ("fault", "ours"),
    [
        (
            UpstreamFault(
                "You exceeded your current quota, please check your plan", "insufficient_quota", ""
            ),
            True,
        ),
        (UpstreamFault("Your credit balance is too low", "", "invalid_request_error"), True),
        (UpstreamFault("Insufficient Balance", "", ""), True),
        (UpstreamFault("x", "Arrearage", "", explicit=True), True),
        (UpstreamFault("M", "insufficient_quota", "insufficient_quota", explicit=True), True),
        (
            UpstreamFault("M", "insufficient_quota", "insufficient_quota"),
            False,
        ),  # only its type says so (E262)
        (UpstreamFault("Quota exceeded for requests per minute", "RESOURCE_EXHAUSTED", ""), False),
        (UpstreamFault("max_tokens is too large", "invalid_value", "invalid_request_error"), False),
    ],
)
def test_out_of_credit(fault, ours):
    assert fault.out_of_credit(429) is ours
    assert fault.out_of_credit(400) is (ours or fault.code == "insufficient_quota")


def test_a_stream_point_starts_before_the_stream():
    assert StreamPoint() == StreamPoint(started=False, array=False, sequence=-1)


BROKEN = [b"", b"null", b"[]", b"5", b'"x"', b"{", b"\xff\xfe", b"{}", b'{"a":1e999}', b"[" * 5000]


@pytest.mark.parametrize("name", sorted(DIALECTS))
@pytest.mark.parametrize("data", BROKEN)
def test_a_tap_never_raises(name, data):
    for read in ("frame", "body"):
        tap = DIALECTS[name].tap()
        getattr(tap, read)(data)
        assert tap.usage is None
        assert tap.output_bytes == 0
        assert tap.ids == []
        assert not tap.failed
        assert tap.usage_only(data) is False


ODD = [
    b'{"choices":5,"usage":{"prompt_tokens":"x","completion_tokens":-5,"total_tokens":1e300}}',
    b'{"choices":[{"delta":{"content":[[],{}],"tool_calls":[5,{"function":7}]}}],"usage":[1]}',
    b'{"choices":[null],"usage":{"prompt_tokens":null}}',
    b'{"type":5,"delta":{"text":5},"message":{"usage":7,"container":9},"usage":{"input_tokens":[]}}',
    b'{"type":"response.completed","response":{"id":5,"usage":{"input_tokens":-1,"output_tokens":{}}}}',
    b'{"candidates":[{"content":{"parts":[{"text":7}]}}],"usageMetadata":{"promptTokenCount":-3}}',
    b'{"candidates":{},"usageMetadata":{"promptTokenCount":99999999999999999999}}',
]


@pytest.mark.parametrize("name", sorted(DIALECTS))
@pytest.mark.parametrize("data", ODD)
def test_odd_types_neither_raise_nor_bill(name, data):
    for read in ("frame", "body"):
        tap = DIALECTS[name].tap()
        getattr(tap, read)(data)
        usage = tap.usage
        assert usage is None or usage.total == 0
        tap.point()


@pytest.mark.parametrize("name", ["openai_chat", "openai_responses", "anthropic", "gemini"])
@pytest.mark.parametrize("body", [b'{"file_id":', b'{"container":{"fileUri":"x","file_id":' + b"[" * 9000])
def test_unreadable_requests_are_refused_not_passed(name, body):
    with pytest.raises(Fault) as caught:
        DIALECTS[name].foreign_ids(body + b'"fileUri" "file_id"')
    assert caught.value.status == 400
