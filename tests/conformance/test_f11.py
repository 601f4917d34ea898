"""F11: streams of a Chat Completions upstream for clients of Messages; each is read by the Anthropic SDK as well."""
# ruff: noqa: N802

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conformance import accumulators, bodies, streams
from tests.conformance.bodies import ASK
from tests.conformance.streams import DONE, ROLE, Folded, call, chunk, fixture, joined, like
from tests.conformance.world import AM, CC, GENERIC, Stage

FREE = ("*.message.model", "*.message.usage.input_tokens", "*.message.usage.output_tokens")
"""The name that the client knows, and the estimate with which a stream begins."""

E180 = """
event: message_start
data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":0,"output_tokens":0}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hel"}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"lo"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"input_tokens":9,"output_tokens":2}}

event: message_stop
data: {"type":"message_stop"}
"""

E182 = """
event: message_start
data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":0,"output_tokens":0}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"call_a","name":"a","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\\"x\\":"}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"1}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"call_b","name":"b","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\\"y\\":2}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":10,"output_tokens":8}}

event: message_stop
data: {"type":"message_stop"}
"""

E184 = """
event: message_start
data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":0,"output_tokens":0}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hmm"}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"U0lH"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"42"}}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"input_tokens":5,"output_tokens":7}}

event: message_stop
data: {"type":"message_stop"}
"""

STOP, CALLS = chunk({}, "stop"), chunk({}, "tool_calls")
BODY = {**ASK[AM], **bodies.tools(AM, "a", "b", "f")}
USAGE = streams.chat_usage(9, 2)


def stream(stage: Stage, *frames: bytes, whole: bool = True, **options: Any) -> Folded:
    return accumulators.streamed(stage, AM, CC, *frames, body=BODY, whole=whole, **options)


def blocks(folded: Folded) -> list[dict[str, Any]]:
    """The content without members that say nothing."""
    content: list[dict[str, Any]] = folded.value["content"]
    return [{n: v for n, v in block.items() if v not in (None, "", [])} for block in content]


def use(name: str, given: dict[str, Any]) -> dict[str, Any]:
    return {"type": "tool_use", "id": f"call_{name}", "name": name, "input": given}


def test_E180_text(stage: Stage) -> None:
    got = stream(stage, ROLE, chunk({"content": "Hel"}), chunk({"content": "lo"}), STOP, USAGE, DONE)
    like(fixture(E180), got.events, FREE)
    assert got.types.count("message_delta") == 1


def test_E182_interleaved_calls_come_one_after_the_other(stage: Stage) -> None:
    pieces = [
        call(0, "a", ""), call(1, "b", ""), call(0, arguments='{"x":'), call(1, arguments='{"y":'),
        call(0, arguments="1}"), call(1, arguments="2}"),
    ]  # fmt: skip
    got = stream(stage, ROLE, *map(chunk, pieces), CALLS, streams.chat_usage(10, 8), DONE)
    like(joined(fixture(E182)), joined(got.events), FREE)


def test_E184_thinking_comes_first_and_is_signed_once(stage: Stage) -> None:
    details = [
        {
            "type": "reasoning.text",
            "text": "",
            "signature": "U0lH",
            "format": "anthropic-claude-v1",
            "index": 0,
        }
    ]
    frames = [
        chunk({"reasoning_content": "hmm"}),
        chunk({"reasoning_details": details}),
        chunk({"content": "42"}),
    ]
    got = stream(stage, ROLE, *frames, STOP, streams.chat_usage(5, 7), DONE)
    like(joined(fixture(E184)), joined(got.events), FREE)


def test_E184_reasoning_without_a_signature(stage: Stage) -> None:
    frames = [chunk({"reasoning_content": "h"}), chunk({"reasoning_content": "mm"}), chunk({"content": "42"})]
    got = stream(stage, ROLE, *frames, STOP, USAGE, DONE)
    assert blocks(got) == [{"type": "thinking", "thinking": "hmm"}, bodies.text("42")]
    starts = [e["content_block"] for e in got.events if e["type"] == "content_block_start"]
    assert starts[0]["thinking"] == ""


def test_E185_the_chunk_that_changes_the_block_keeps_its_text(stage: Stage) -> None:
    frames = [chunk(call(0, "f", "{}")), chunk({"content": "The weather"}), STOP, USAGE, DONE]
    got = stream(stage, ROLE, *frames)
    assert blocks(got) == [use("f", {}), bodies.text("The weather")]
    frames = [
        chunk({"content": "The weather"}),
        chunk({"content": " is", **call(0, "f", "{}")}),
        CALLS,
        USAGE,
        DONE,
    ]
    got = stream(stage, ROLE, *frames)
    assert blocks(got) == [bodies.text("The weather is"), use("f", {})]


def test_E187_a_whole_call_in_one_chunk(stage: Stage) -> None:
    got = stream(stage, ROLE, chunk(call(0, "f", '{"a":1}')), CALLS, USAGE, DONE)
    deltas = [e["delta"] for e in got.events if e["type"] == "content_block_delta"]
    assert deltas == [{"type": "input_json_delta", "partial_json": '{"a":1}'}]
    assert blocks(got) == [use("f", {"a": 1})]


@pytest.mark.parametrize("indexes", [(1, 2), (None, None), (5, 3)])
def test_E189_indexes_are_counted_anew(stage: Stage, indexes: tuple[int | None, int | None]) -> None:
    frames = [chunk(call(index, name, '{"a":1}')) for index, name in zip(indexes, "ab", strict=True)]
    got = stream(stage, ROLE, *frames, CALLS, USAGE, DONE)
    assert [e["index"] for e in got.events if e["type"] == "content_block_start"] == [0, 1]
    assert blocks(got) == [use("a", {"a": 1}), use("b", {"a": 1})]


@pytest.mark.parametrize("arguments", [None, ""])
def test_E190_a_call_without_argument_text(stage: Stage, arguments: str | None) -> None:
    got = stream(stage, ROLE, chunk(call(0, "f", arguments)), CALLS, USAGE, DONE)
    assert got.value["content"] == [use("f", {})]


def test_E192_content_finish_and_usage_in_one_chunk(stage: Stage) -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
    got = stream(stage, chunk({"role": "assistant", "content": "Hello"}, "stop", usage=usage), DONE)
    assert blocks(got) == [bodies.text("Hello")] and got.types.count("message_delta") == 1
    assert (got.value["usage"]["input_tokens"], got.value["usage"]["output_tokens"]) == (9, 2)


@pytest.mark.parametrize("whole", [True, False], ids=["clean end", "broken connection"])
def test_E194_a_stream_without_an_end_is_an_error(stage: Stage, whole: bool) -> None:
    got = stream(stage, ROLE, chunk({"content": "par"}), whole=whole)
    assert got.error["type"] == "api_error" and got.error["message"]
    assert blocks(got) == [bodies.text("par")]


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        ([chunk({"content": "x"})], "end_turn"),
        ([chunk(call(0, "f", '{"a":1}'))], "tool_use"),
    ],
)
def test_E195_done_without_a_finish_reason(stage: Stage, frames: list[bytes], reason: str) -> None:
    assert stream(stage, ROLE, *frames, DONE).value["stop_reason"] == reason


def test_E195_done_in_the_middle_of_a_call(stage: Stage) -> None:
    heard = stage.ask(
        AM,
        CC,
        BODY,
        answer=streams.plays(ROLE, chunk({"content": "x"}), chunk(call(0, "f", '{"a":')), DONE),
        stream=True,
    )
    kinds = [e["type"] for e in heard.chunks]
    if "error" not in kinds:
        closing = next(e for e in heard.chunks if e["type"] == "message_delta")
        assert closing["delta"]["stop_reason"] == "end_turn"


def test_E197_every_event_is_named_by_its_type(stage: Stage) -> None:
    heard = stage.ask(
        AM, CC, BODY, answer=streams.plays(ROLE, chunk({"content": "x"}), STOP, USAGE, DONE), stream=True
    )
    assert heard.events and all(name == data["type"] for name, data in heard.events)
    assert heard.reply.headers["content-type"].startswith("text/event-stream")


@pytest.mark.parametrize(
    ("status", "kind"),
    [(429, "rate_limit_error"), (529, "overloaded_error"), (503, "overloaded_error"), (500, "api_error"), (502, "api_error")],
)  # fmt: skip
def test_E199_an_error_in_the_stream_has_the_type_of_its_status(stage: Stage, status: int, kind: str) -> None:
    error = streams.data({"error": {"message": "it broke", "code": status}})
    got = stream(stage, ROLE, chunk({"content": "par"}), error, whole=False)
    assert got.error["type"] == kind and "it broke" in got.error["message"]


# --- further cases of the family --------------------------------------------------------------------------


def test_F11_one_call_is_streamed_as_it_comes(stage: Stage) -> None:
    pieces = [call(0, "f", ""), call(0, arguments='{"a"'), call(0, arguments=":1}")]
    got = stream(stage, ROLE, *map(chunk, pieces), CALLS, USAGE, DONE)
    assert blocks(got) == [use("f", {"a": 1})] and got.value["stop_reason"] == "tool_use"
    deltas = [e["delta"]["partial_json"] for e in got.events if e["type"] == "content_block_delta"]
    assert "".join(deltas) == '{"a":1}' and len([d for d in deltas if d]) == 2


def test_F11_text_then_thinking_then_call_are_three_blocks(stage: Stage) -> None:
    frames = [chunk({"content": "x"}), chunk({"reasoning_content": "hmm"}), chunk(call(0, "f", "{}"))]
    got = stream(stage, ROLE, *frames, CALLS, USAGE, DONE)
    assert [b["type"] for b in blocks(got)] == ["text", "thinking", "tool_use"]


def test_F11_thinking_and_text_in_one_chunk(stage: Stage) -> None:
    got = stream(stage, ROLE, chunk({"reasoning_content": "hmm", "content": "x"}), STOP, USAGE, DONE)
    assert blocks(got) == [{"type": "thinking", "thinking": "hmm"}, bodies.text("x")]


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_F11_both_spellings_of_reasoning(stage: Stage, name: str) -> None:
    got = stream(stage, ROLE, chunk({name: "hmm"}), chunk({"content": "x"}), STOP, USAGE, DONE)
    assert blocks(got)[0] == {"type": "thinking", "thinking": "hmm"}


def test_F11_empty_and_null_deltas_make_no_block(stage: Stage) -> None:
    nothing = {
        "content": None,
        "tool_calls": None,
        "reasoning_content": None,
        "function_call": None,
        "refusal": None,
    }
    frames = [
        chunk({"role": "assistant", **nothing}),
        chunk({"content": ""}),
        chunk(nothing),
        chunk(call(0, "f", "{}")),
    ]
    got = stream(stage, *frames, CALLS, USAGE, DONE)
    assert blocks(got) == [use("f", {})]
    got = stream(stage, ROLE, STOP, USAGE, DONE)
    assert got.value["content"] == [] and got.value["stop_reason"] == "end_turn"


def test_F11_a_name_and_id_that_are_repeated_are_one_call(stage: Stage) -> None:
    again = {
        "tool_calls": [
            {"index": 0, "id": "call_f", "type": "function", "function": {"name": "f", "arguments": ":1}"}}
        ]
    }
    empty = {
        "tool_calls": [{"index": 0, "id": "", "type": "function", "function": {"name": "", "arguments": ""}}]
    }
    got = stream(stage, ROLE, chunk(call(0, "f", '{"a"')), chunk(empty), chunk(again), CALLS, USAGE, DONE)
    assert blocks(got) == [use("f", {"a": 1})]


def test_F11_three_sequential_calls(stage: Stage) -> None:
    pieces = [
        p
        for i, n in enumerate("abf")
        for p in (call(i, n, ""), call(i, arguments='{"a":'), call(i, arguments=f"{i}}}"))
    ]
    got = stream(stage, ROLE, *map(chunk, pieces), CALLS, USAGE, DONE)
    assert blocks(got) == [use(n, {"a": i}) for i, n in enumerate("abf")]


def test_F11_an_old_function_call(stage: Stage) -> None:
    pieces = [{"function_call": {"name": "f", "arguments": ""}}, {"function_call": {"arguments": '{"a":1}'}}]
    got = stream(stage, ROLE, *map(chunk, pieces), chunk({}, "function_call"), USAGE, DONE)
    (only,) = blocks(got)
    assert (only["name"], only["input"], got.value["stop_reason"]) == ("f", {"a": 1}, "tool_use")


def test_F11_a_usage_before_the_finish_and_in_every_chunk(stage: Stage) -> None:
    def so_far(output: int) -> dict[str, Any]:
        return {"usage": {"prompt_tokens": 9, "completion_tokens": output, "total_tokens": 9 + output}}

    frames = [
        chunk({"role": "assistant", "content": "a"}, **so_far(1)),
        chunk({"content": "b"}, **so_far(2)),
        chunk({}, "stop", **so_far(3)),
    ]
    got = stream(stage, *frames, DONE)
    assert got.types.count("message_delta") == 1
    assert (got.value["usage"]["input_tokens"], got.value["usage"]["output_tokens"]) == (9, 3)


def test_F11_no_usage_at_all_is_an_estimate(stage: Stage) -> None:
    got = stream(stage, ROLE, chunk({"content": "Hello there"}), STOP, DONE)
    usage = got.value["usage"]
    assert type(usage["input_tokens"]) is int and type(usage["output_tokens"]) is int


def test_F11_comments_pings_and_unknown_members_are_skipped(stage: Stage) -> None:
    odd = chunk({"content": "lo", "x_new": {"a": 1}}, x_groq={"id": "r"}, system_fingerprint="fp")
    frames = [
        b": OPENROUTER PROCESSING\n\n",
        ROLE,
        chunk({"content": "Hel"}),
        b": ping\n\n",
        odd,
        STOP,
        USAGE,
        DONE,
    ]
    assert blocks(stream(stage, *frames)) == [bodies.text("Hello")]


def test_F11_a_stream_that_ends_without_done_but_finished_is_whole(stage: Stage) -> None:
    got = stream(stage, ROLE, chunk({"content": "x"}), STOP, USAGE)
    assert got.error is None and got.value["stop_reason"] == "end_turn"


def test_F11_a_call_that_was_cut_is_never_a_whole_one(stage: Stage) -> None:
    got = stream(stage, ROLE, chunk(call(0, "f", '{"a":')), whole=False)
    assert got.error["type"] == "api_error"


def test_F11_a_call_cut_by_the_token_limit_stays_max_tokens(stage: Stage) -> None:
    heard = stage.ask(
        AM, CC, BODY, stream=True,
        answer=streams.plays(ROLE, chunk(call(0, "f", '{"a":')), chunk({}, "length"), USAGE, DONE),
    )  # fmt: skip
    kinds = [e["type"] for e in heard.chunks]
    if "error" not in kinds:  # an error is as good: the arguments cannot be used
        closing = next(e for e in heard.chunks if e["type"] == "message_delta")
        assert closing["delta"]["stop_reason"] == "max_tokens"


def test_F11_a_refusal_in_a_stream(stage: Stage) -> None:
    frames = [ROLE, chunk({"refusal": "No"}), chunk({"refusal": "."}), STOP, USAGE, DONE]
    got = stream(stage, *frames)
    assert blocks(got) == [bodies.text("No.")] and got.value["stop_reason"] == "refusal"


def test_F11_an_error_before_any_content_is_a_status(stage: Stage) -> None:
    error = streams.data({"error": {"message": "it broke", "code": 529}})
    for frames in ([error], [ROLE, error]):
        heard = stage.ask(AM, CC, BODY, answer=streams.plays(*frames, whole=False), stream=True)
        assert heard.reply.status in (503, 529), heard.reply.body
        assert heard.reply.json["error"]["type"] == "overloaded_error"


def test_F11_the_end_before_any_content_is_a_status(stage: Stage) -> None:
    for frames in ([], [ROLE]):
        heard = stage.ask(AM, CC, BODY, answer=streams.plays(*frames), stream=True)
        assert heard.reply.status in (500, 502), heard.reply.body
        assert heard.reply.json["type"] == "error"


def test_F11_the_model_is_the_one_the_client_asked_for(stage: Stage) -> None:
    got = stream(stage, ROLE, chunk({"content": "x"}), STOP, USAGE, DONE, model=GENERIC)
    assert got.value["model"] == GENERIC


def test_F11_multibyte_text_and_escapes_arrive_whole(stage: Stage) -> None:
    said = 'é 世界 😀 "quoted" \\ \n\t\u2028 \u0000'.replace("\u0000", "\u0001")
    got = stream(stage, ROLE, *(chunk({"content": c}) for c in said), STOP, USAGE, DONE)
    assert blocks(got) == [bodies.text(said)]
    given = {"a": said, "n": 12345678901234567890}
    got = stream(stage, ROLE, chunk(call(0, "f", json.dumps(given))), CALLS, USAGE, DONE)
    assert blocks(got) == [use("f", given)]


def test_F11_arguments_keep_their_digits(stage: Stage) -> None:
    got = stream(stage, ROLE, chunk(call(0, "f", '{"n":12345678901234567890,"z":1.0}')), CALLS, USAGE, DONE)
    text = "".join(e["delta"]["partial_json"] for e in got.events if e["type"] == "content_block_delta")
    assert "12345678901234567890" in text and "1.0" in text


def calls_of(folded: Folded) -> list[tuple[str, Any]]:
    return accumulators.understood(AM, folded)[1]


def test_F11_a_call_without_an_id_gets_one(stage: Stage) -> None:
    """Ollama and old vLLM send none, or null."""
    for call_id in (None, ""):
        piece = {"tool_calls": [{"index": 0, "id": call_id, "function": {"name": "f", "arguments": "{}"}}]}
        got = stream(stage, ROLE, chunk(piece), CALLS, USAGE, DONE)
        assert calls_of(got) == [("f", {})] and got.value["content"][0]["id"]


def test_F11_the_name_may_come_after_the_id_and_before_the_arguments(stage: Stage) -> None:
    pieces = [
        {
            "tool_calls": [
                {"index": 0, "id": "call_f", "type": "function", "function": {"name": None, "arguments": ""}}
            ]
        },
        {"tool_calls": [{"index": 0, "function": {"name": "f"}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"a":1}'}}]},
    ]
    got = stream(stage, ROLE, *map(chunk, pieces), CALLS, USAGE, DONE)
    assert blocks(got) == [use("f", {"a": 1})]


def test_F11_two_calls_in_one_chunk(stage: Stage) -> None:
    both = {
        "tool_calls": [call(0, "a", '{"x":1}')["tool_calls"][0], call(1, "b", '{"y":2}')["tool_calls"][0]]
    }
    got = stream(stage, ROLE, chunk(both), CALLS, USAGE, DONE)
    assert blocks(got) == [use("a", {"x": 1}), use("b", {"y": 2})]


def test_F11_arguments_that_are_an_object_already(stage: Stage) -> None:
    piece = {
        "tool_calls": [
            {"index": 0, "id": "call_f", "type": "function", "function": {"name": "f", "arguments": {"a": 1}}}
        ]
    }
    assert calls_of(stream(stage, ROLE, chunk(piece), CALLS, USAGE, DONE)) == [("f", {"a": 1})]


def test_F11_an_empty_finish_reason_is_none(stage: Stage) -> None:
    frames = [
        chunk({"role": "assistant", "content": "a"}, ""),
        chunk({"content": "b"}, ""),
        chunk({}, "stop"),
    ]
    assert blocks(stream(stage, *frames, USAGE, DONE)) == [bodies.text("ab")]


def test_F11_a_finish_that_is_said_twice(stage: Stage) -> None:
    got = stream(stage, ROLE, chunk({"content": "x"}), STOP, STOP, USAGE, DONE)
    assert got.types.count("message_delta") == 1 and blocks(got) == [bodies.text("x")]


def test_F11_odd_chunks_are_skipped(stage: Stage) -> None:
    odd = [
        streams.data({"id": "c", "object": "chat.completion.chunk"}),
        streams.data({"choices": None}),
        streams.data({"choices": [{"index": 0}]}),
        streams.data({"choices": [{"index": 0, "delta": None, "finish_reason": None}]}),
        streams.data({"choices": [], "prompt_filter_results": []}),
    ]
    got = stream(
        stage, ROLE, odd[4], chunk({"content": "a"}), *odd, chunk({"content": "b"}), STOP, USAGE, DONE
    )
    assert blocks(got) == [bodies.text("ab")]


def test_F11_no_role_chunk(stage: Stage) -> None:
    assert blocks(stream(stage, chunk({"content": "x"}), STOP, USAGE, DONE)) == [bodies.text("x")]


def test_F11_content_as_parts(stage: Stage) -> None:
    """Mistral's thinking models stream a list of parts."""
    thought = [{"type": "thinking", "thinking": [{"type": "text", "text": "hmm"}]}]
    frames = [
        chunk({"content": thought}),
        chunk({"content": [{"type": "text", "text": "4"}]}),
        chunk({"content": "2"}),
    ]
    got = stream(stage, ROLE, *frames, STOP, USAGE, DONE)
    assert blocks(got)[-1] == bodies.text("42")


def test_F11_what_comes_after_done_is_not_told(stage: Stage) -> None:
    got = stream(stage, ROLE, chunk({"content": "x"}), STOP, USAGE, DONE, chunk({"content": "y"}))
    assert blocks(got) == [bodies.text("x")]


def test_F11_text_after_calls_and_calls_after_text(stage: Stage) -> None:
    frames = [
        chunk({"content": "x"}),
        chunk(call(0, "a", '{"x":1}')),
        chunk({"content": "y"}),
        chunk(call(1, "b", "{}")),
    ]
    got = stream(stage, ROLE, *frames, CALLS, USAGE, DONE)
    assert blocks(got) == [bodies.text("x"), use("a", {"x": 1}), bodies.text("y"), use("b", {})]


def test_F11_the_first_usage_is_an_estimate_of_the_prompt(stage: Stage) -> None:
    """Claude Code shows ``message_start.usage`` at once; the end corrects it."""
    long = {**BODY, "messages": [{"role": "user", "content": "some words " * 500}]}
    got = accumulators.streamed(stage, AM, CC, ROLE, chunk({"content": "x"}), STOP, USAGE, DONE, body=long)
    assert got.events[0]["message"]["usage"]["input_tokens"] >= 0
    assert got.value["usage"]["input_tokens"] == 9


def test_F11_a_role_in_every_chunk(stage: Stage) -> None:
    frames = [chunk({"role": "assistant", "content": t}) for t in ("a", "b")]
    assert blocks(stream(stage, *frames, STOP, USAGE, DONE)) == [bodies.text("ab")]
