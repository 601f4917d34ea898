"""F12: streams of an Anthropic upstream for clients of Chat Completions; each is read by the OpenAI SDK as well."""
# ruff: noqa: N802

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conformance import accumulators, bodies, streams
from tests.conformance.bodies import ASK
from tests.conformance.equality import same
from tests.conformance.streams import Folded, block, event, message_end, message_start, text_block, tool_block
from tests.conformance.world import AM, CC, Stage, assert_error_shape

BODY = {**ASK[CC], **bodies.tools(CC, "f", "g")}
THINKING = {**BODY, "reasoning_effort": "low"}
OVERLOADED = event({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
PING = event({"type": "ping"})
CUT_MESSAGE = event(
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 3},
    }
)


def stream(stage: Stage, *frames: bytes, body: dict[str, Any] = BODY, **options: Any) -> Folded:
    return accumulators.streamed(stage, CC, AM, *frames, body=body, **options)


def choice(folded: Folded) -> dict[str, Any]:
    return streams.only_choice(folded)


def test_E205_the_chunks_of_a_text(stage: Stage) -> None:
    asked = {**BODY, "stream_options": {"include_usage": True}}
    start = message_start(input_tokens=5, cache_read_input_tokens=100, cache_creation_input_tokens=20)
    got = stream(stage, start, PING, text_block(0, "Hel", "lo"), message_end("end_turn", 3), body=asked)
    told = [c["choices"][0] if c["choices"] else None for c in got.events]
    texts = [c["delta"] for c in told[1:-2] if c]
    assert told[0] == {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None} | {
        n: v for n, v in told[0].items() if v is None
    }
    assert "".join(d["content"] for d in texts) == "Hello" and all(set(d) == {"content"} for d in texts)
    assert (told[-2]["delta"], told[-2]["finish_reason"]) == ({}, "stop")
    assert told[-1] is None and all(c["usage"] is None for c in got.events[:-1])
    details = {"cached_tokens": 100, "cache_write_tokens": 20, ...: ...}
    same(
        got.value["usage"],
        {
            "prompt_tokens": 125,
            "completion_tokens": 3,
            "total_tokens": 128,
            "prompt_tokens_details": details,
            ...: ...,
        },
    )


def test_E207_a_call_is_numbered_among_the_calls(stage: Stage) -> None:
    call = tool_block(1, "toolu_1", "f", "", '{"a"', ":1}")
    got = stream(stage, message_start(), text_block(0, "Let me see"), call, message_end("tool_use"))
    pieces = [p for c in got.events for ch in c["choices"] for p in ch["delta"].get("tool_calls") or []]
    assert pieces[0] == {
        "index": 0,
        "id": "toolu_1",
        "type": "function",
        "function": {"name": "f", "arguments": ""},
    }
    for piece in pieces[1:]:
        assert piece["index"] == 0 and not piece.get("id") and set(piece["function"]) == {"arguments"}
    assert choice(got)["tool_calls"] == [{"id": "toolu_1", "name": "f", "arguments": '{"a":1}'}]
    assert choice(got)["finish_reason"] == "tool_calls"


SIGNED = block(
    0,
    {"type": "thinking", "thinking": "", "signature": ""},
    {"type": "thinking_delta", "thinking": "hm"},
    {"type": "thinking_delta", "thinking": "m"},
    {"type": "signature_delta", "signature": "U0lH"},
)
REDACTED = block(0, {"type": "redacted_thinking", "data": "UkVE"})


def test_E209_thinking_is_reasoning_content_and_its_signature_a_carrier(stage: Stage) -> None:
    got = stream(stage, message_start(), SIGNED, text_block(1, "42"), message_end(), body=THINKING)
    assert (choice(got)["reasoning_content"], choice(got)["content"]) == ("hmm", "42")
    signed = [d for d in choice(got)["carrier"] if d.get("signature")]
    assert [d["signature"] for d in signed] == ["U0lH"]
    for c in got.events:
        delta = c["choices"][0]["delta"]
        assert "U0lH" not in (delta.get("content") or "") + (delta.get("reasoning_content") or "")


def test_E210_redacted_thinking_is_carried_and_not_shown(stage: Stage) -> None:
    got = stream(stage, message_start(), REDACTED, text_block(1, "42"), message_end(), body=THINKING)
    assert choice(got)["content"] == "42" and not choice(got).get("reasoning_content")
    assert [d.get("data") for d in choice(got)["carrier"]] == ["UkVE"]


@pytest.mark.parametrize("whole", [True, False])
def test_E212_an_error_after_content(stage: Stage, whole: bool) -> None:
    frames = [
        message_start(),
        event({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
    ]
    frames.append(
        event({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "par"}})
    )
    got = stream(stage, *frames, OVERLOADED, whole=whole)
    assert choice(got)["content"] == "par" and choice(got)["finish_reason"] is None
    same([got.error[n] for n in ("message", "type", "param")], ["Overloaded", "overloaded_error", None])


@pytest.mark.parametrize(
    "before",
    [[], [message_start()], [message_start(), PING]],
    ids=["at once", "after message_start", "after a ping"],
)
def test_E213_an_error_before_content_is_a_status(stage: Stage, before: list[bytes]) -> None:
    heard = stage.ask(CC, AM, BODY, answer=streams.plays(*before, OVERLOADED), stream=True)
    assert heard.reply.status in (503, 529), heard.reply.body
    assert heard.reply.headers["content-type"].startswith("application/json")
    assert_error_shape(CC, heard.reply)
    assert "Overloaded" in heard.reply.json["error"]["message"]


def test_E214_unknown_events_and_deltas_are_skipped(stage: Stage) -> None:
    odd = [
        event({"type": "tomorrow", "index": 7}),
        event(
            {"type": "content_block_delta", "index": 0, "delta": {"type": "compaction_delta", "content": "x"}}
        ),
        event({"type": "content_block_delta", "index": 0, "delta": {"type": "tomorrow_delta", "text": "no"}}),
        b"event: ping\ndata: \n\n",
        b": comment\n\n",
    ]
    begin = event({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
    text = event(
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}}
    )
    stop = event({"type": "content_block_stop", "index": 0})
    new = block(1, {"type": "tomorrow_block", "x": 1}, {"type": "tomorrow_delta", "y": 2})
    got = stream(stage, message_start(), begin, *odd, text, stop, new, text_block(2, "!"), message_end())
    assert (choice(got)["content"], choice(got)["finish_reason"]) == ("Hello!", "stop")


def searched() -> list[bytes]:
    use = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
    found = {
        "type": "web_search_result",
        "url": "https://x/y",
        "title": "T",
        "encrypted_content": "E",
        "page_age": None,
    }
    result = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [found]}
    place = {
        "type": "web_search_result_location",
        "url": "https://x/y",
        "title": "T",
        "cited_text": "c",
        "encrypted_index": "I",
    }
    text = block(
        2, {"type": "text", "text": "", "citations": []}, {"type": "text_delta", "text": "Found"},
        {"type": "citations_delta", "citation": place},
    )  # fmt: skip
    query = block(0, use, {"type": "input_json_delta", "partial_json": '{"query":"q"}'})
    return [message_start(), query, block(1, result), text, message_end("end_turn")]


def test_E215_the_vendors_own_search_is_not_a_tool_call(stage: Stage) -> None:
    got = stream(stage, *searched())
    assert (choice(got)["content"], choice(got)["tool_calls"], choice(got)["finish_reason"]) == (
        "Found",
        [],
        "stop",
    )


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize(
    "frames",
    [[text_block(0, "par")], [text_block(0, "par"), CUT_MESSAGE]],
    ids=["no message_delta", "no message_stop"],
)
def test_E217_no_message_stop_is_an_error(stage: Stage, frames: list[bytes], whole: bool) -> None:
    heard = stage.ask(CC, AM, BODY, answer=streams.plays(message_start(), *frames, whole=whole), stream=True)
    got = streams.chat(heard.reply.body)
    assert got.error is not None and choice(got)["content"] == "par"
    assert not any(c["choices"][0]["finish_reason"] for c in got.events if "choices" in c)
    row = stage.gateway.call_row(heard.reply.headers["x-request-id"])
    assert row["nanos"] > 0 and row["output_tokens"] > 0, "what was produced is billed"
    with pytest.raises(accumulators.RAISES[CC]):
        accumulators.run_chat(stage.gateway.url, "claude-sonnet-4-5", BODY)


# --- further cases of the family --------------------------------------------------------------------------


def test_F12_no_usage_chunk_unless_asked(stage: Stage) -> None:
    got = stream(stage, message_start(), text_block(0, "x"), message_end())
    assert got.value["usage"] is None and all(c["choices"] for c in got.events)
    assert not any(c.get("usage") for c in got.events)


def test_F12_parallel_calls(stage: Stage) -> None:
    calls = [tool_block(0, "toolu_1", "f", '{"a":1}'), tool_block(1, "toolu_2", "g", '{"a":2}')]
    got = stream(stage, message_start(), *calls, message_end("tool_use"))
    assert [(c["id"], c["name"], c["arguments"]) for c in choice(got)["tool_calls"]] == [
        ("toolu_1", "f", '{"a":1}'),
        ("toolu_2", "g", '{"a":2}'),
    ]


@pytest.mark.parametrize("pieces", [(), ("",)])
def test_F12_a_call_without_input_has_an_empty_object(stage: Stage, pieces: tuple[str, ...]) -> None:
    got = stream(stage, message_start(), tool_block(0, "toolu_1", "f", *pieces), message_end("tool_use"))
    assert [json.loads(c["arguments"]) for c in choice(got)["tool_calls"]] == [{}]


def test_F12_calls_after_a_search_are_numbered_without_it(stage: Stage) -> None:
    frames = searched()
    got = stream(stage, *frames[:-1], tool_block(3, "toolu_1", "f", "{}"), message_end("tool_use"))
    assert [c["id"] for c in choice(got)["tool_calls"]] == ["toolu_1"]


def test_F12_citations_are_annotations(stage: Stage) -> None:
    notes = choice(stream(stage, *searched()))["annotations"]
    wanted = {"url": "https://x/y", "title": "T", "start_index": 0, "end_index": 5}
    same(notes, [{"type": "url_citation", "url_citation": wanted, ...: ...}])


def test_F12_two_signed_thoughts_are_two_carriers(stage: Stage) -> None:
    second = block(
        1, {"type": "thinking", "thinking": "", "signature": ""}, {"type": "thinking_delta", "thinking": "again"},
        {"type": "signature_delta", "signature": "VFdP"},
    )  # fmt: skip
    got = stream(stage, message_start(), SIGNED, second, text_block(2, "42"), message_end(), body=THINKING)
    signed = [(d["index"], d["signature"]) for d in choice(got)["carrier"] if d.get("signature")]
    assert [s for _, s in signed] == ["U0lH", "VFdP"] and len({i for i, _ in signed}) == 2


def test_F12_thinking_whose_text_is_left_out(stage: Stage) -> None:
    hidden = block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "signature_delta", "signature": "U0lH"},
    )
    got = stream(stage, message_start(), hidden, text_block(1, "42"), message_end(), body=THINKING)
    assert not choice(got).get("reasoning_content") and choice(got)["content"] == "42"
    assert [d["signature"] for d in choice(got)["carrier"] if d.get("signature")] == ["U0lH"]


def test_F12_a_signature_in_the_start_of_the_block(stage: Stage) -> None:
    whole = block(0, {"type": "thinking", "thinking": "hmm", "signature": "U0lH"})
    text = block(1, {"type": "text", "text": "4"}, {"type": "text_delta", "text": "2"})
    got = stream(stage, message_start(), whole, text, message_end(), body=THINKING)
    assert (choice(got)["reasoning_content"], choice(got)["content"]) == ("hmm", "42")
    assert [d["signature"] for d in choice(got)["carrier"] if d.get("signature")] == ["U0lH"]


def test_F12_a_call_with_its_input_in_the_start(stage: Stage) -> None:
    start = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}}
    got = stream(stage, message_start(), block(0, start), message_end("tool_use"))
    assert [json.loads(c["arguments"]) for c in choice(got)["tool_calls"]] == [{"a": 1}]


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("rate_limit_error", 429),
        ("api_error", 500),
        ("invalid_request_error", 400),
        ("authentication_error", 401),
    ],
)
def test_F12_other_errors_in_the_stream(stage: Stage, kind: str, status: int) -> None:
    error = event(
        {"type": "error", "error": {"type": kind, "message": "it broke; key sk-ant-secret1234567890"}}
    )
    got = stream(stage, message_start(), text_block(0, "par"), error)
    assert "it broke" in got.error["message"] and "secret" not in got.error["message"]
    if kind == "rate_limit_error":
        assert got.error["type"] == "rate_limit_error"
    assert status


def test_F12_a_stop_in_the_middle_of_a_call_is_an_error(stage: Stage) -> None:
    begin = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}
    frames = [
        event({"type": "content_block_start", "index": 0, "content_block": begin}),
        event(
            {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "input_json_delta", "partial_json": '{"a":'},
            }
        ),
    ]
    got = stream(stage, message_start(), *frames, whole=False)
    assert got.error is not None and choice(got)["finish_reason"] is None


def test_F12_no_stop_reason_is_a_stop(stage: Stage) -> None:
    assert (
        choice(stream(stage, message_start(), text_block(0, "x"), message_end(None)))["finish_reason"]
        == "stop"
    )


def test_F12_a_message_delta_that_comes_twice(stage: Stage) -> None:
    first = event(
        {
            "type": "message_delta",
            "delta": {"stop_reason": None, "stop_sequence": None},
            "usage": {"output_tokens": 2},
        }
    )
    asked = {**BODY, "stream_options": {"include_usage": True}}
    got = stream(stage, message_start(), text_block(0, "x"), first, message_end("max_tokens", 7), body=asked)
    assert choice(got)["finish_reason"] == "length" and got.value["usage"]["completion_tokens"] == 7
