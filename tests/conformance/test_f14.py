"""F14: streams for clients of Responses; each is read by the OpenAI SDK's accumulator as well.

``streams.responses`` asserts E235 on every stream here: one identity per item and per response, one place per item.
"""
# ruff: noqa: N802

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conformance import accumulators, bodies, streams
from tests.conformance.bodies import ASK
from tests.conformance.equality import same
from tests.conformance.streams import (
    DONE,
    ROLE,
    Folded,
    Numbered,
    call,
    chat_usage,
    chunk,
    fixture,
    like,
    plays,
)
from tests.conformance.world import AM, CC, GM, RS, Stage

FREE = (
    "*.response.created_at",
    "*.response.model",
)

E230 = """
event: response.created
data: {"type":"response.created","sequence_number":0,"response":{"id":"resp_1","object":"response","created_at":1,"status":"in_progress","model":"m","output":[],"parallel_tool_calls":true,"tool_choice":"auto","tools":[],"error":null,"incomplete_details":null,"instructions":null,"metadata":{},"usage":null}}

event: response.in_progress
data: {"type":"response.in_progress","sequence_number":1,"response":{"id":"resp_1","object":"response","created_at":1,"status":"in_progress","model":"m","output":[],"parallel_tool_calls":true,"tool_choice":"auto","tools":[],"error":null,"incomplete_details":null,"instructions":null,"metadata":{},"usage":null}}

event: response.output_item.added
data: {"type":"response.output_item.added","sequence_number":2,"output_index":0,"item":{"type":"message","id":"msg_1","status":"in_progress","role":"assistant","content":[]}}

event: response.content_part.added
data: {"type":"response.content_part.added","sequence_number":3,"item_id":"msg_1","output_index":0,"content_index":0,"part":{"type":"output_text","text":"","annotations":[]}}

event: response.output_text.delta
data: {"type":"response.output_text.delta","sequence_number":4,"item_id":"msg_1","output_index":0,"content_index":0,"delta":"Hel","logprobs":[]}

event: response.output_text.delta
data: {"type":"response.output_text.delta","sequence_number":5,"item_id":"msg_1","output_index":0,"content_index":0,"delta":"lo","logprobs":[]}

event: response.output_text.done
data: {"type":"response.output_text.done","sequence_number":6,"item_id":"msg_1","output_index":0,"content_index":0,"text":"Hello","logprobs":[]}

event: response.content_part.done
data: {"type":"response.content_part.done","sequence_number":7,"item_id":"msg_1","output_index":0,"content_index":0,"part":{"type":"output_text","text":"Hello","annotations":[]}}

event: response.output_item.done
data: {"type":"response.output_item.done","sequence_number":8,"output_index":0,"item":{"type":"message","id":"msg_1","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Hello","annotations":[]}]}}

event: response.completed
data: {"type":"response.completed","sequence_number":9,"response":{"id":"resp_1","object":"response","created_at":1,"status":"completed","model":"m","output":[{"type":"message","id":"msg_1","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Hello","annotations":[]}]}],"parallel_tool_calls":true,"tool_choice":"auto","tools":[],"error":null,"incomplete_details":null,"instructions":null,"metadata":{},"usage":{"input_tokens":9,"input_tokens_details":{"cached_tokens":0,"cache_write_tokens":0},"output_tokens":2,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":11}}}
"""

TEXT = [ROLE, chunk({"content": "Hel"}), chunk({"content": "lo"}), chunk({}, "stop"), chat_usage(9, 2), DONE]
STOP = [chunk({}, "stop"), chat_usage(9, 2), DONE]
CALLS = [chunk({}, "tool_calls"), chat_usage(9, 2), DONE]
BODY = {**ASK[RS], **bodies.tools(RS, "a", "b", "f")}


def stream(
    stage: Stage, upstream: str, *frames: bytes, body: dict[str, Any] = BODY, **options: Any
) -> Folded:
    return accumulators.streamed(stage, RS, upstream, *frames, body=body, **options)


def kinds(folded: Folded, output_index: int | None = None) -> list[str]:
    """The types of the events (of one item), each run of deltas once, without the ``response.`` in front."""
    out: list[str] = []
    for e in folded.events:
        if output_index is None or e.get("output_index") == output_index:
            kind = e["type"].removeprefix("response.")
            out += [kind] if not (out and out[-1] == kind and kind.endswith("delta")) else []
    return out


MESSAGE_EVENTS = [
    "output_item.added", "content_part.added", "output_text.delta", "output_text.done", "content_part.done",
    "output_item.done",
]  # fmt: skip
REASONING_EVENTS = [
    "output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta", "reasoning_summary_text.done",
    "reasoning_summary_part.done", "output_item.done",
]  # fmt: skip
CALL_EVENTS = [
    "output_item.added",
    "function_call_arguments.delta",
    "function_call_arguments.done",
    "output_item.done",
]


def test_E230_text_event_by_event(stage: Stage) -> None:
    got = stream(stage, CC, *TEXT, body=ASK[RS])
    like(fixture(E230), got.events, FREE)


@pytest.mark.parametrize(
    ("upstream", "frames"),
    [
        (CC, [ROLE, chunk({"reasoning_content": "h"}), chunk({"reasoning_content": "mm"}), chunk({"content": "42"}), *STOP]),
        (
            AM,
            [
                streams.message_start(),
                streams.block(
                    0, {"type": "thinking", "thinking": "", "signature": ""},
                    {"type": "thinking_delta", "thinking": "hmm"}, {"type": "signature_delta", "signature": "U0lH"},
                ),
                streams.text_block(1, "42"),
                streams.message_end(),
            ],
        ),
        (GM, [streams.gemini({"text": "hmm", "thought": True}), streams.gemini({"text": "42"}, finish="STOP")]),
    ],
    ids=[CC, AM, GM],
)  # fmt: skip
def test_E232_reasoning_then_text(stage: Stage, upstream: str, frames: list[bytes]) -> None:
    asked = {**BODY, "reasoning": {"effort": "low", "summary": "auto"}}
    got = stream(stage, upstream, *frames, body=asked)
    assert kinds(got, 0) == REASONING_EVENTS and kinds(got, 1) == MESSAGE_EVENTS
    first = next(e for e in got.events if e["type"] == "response.output_item.added")
    assert first["item"]["type"] == "reasoning" and first["item"]["summary"] == []
    assert first["item"]["id"].startswith("rs_")
    for e in got.events:
        if "reasoning" in e["type"]:
            assert (e["item_id"], e["output_index"], e["summary_index"]) == (first["item"]["id"], 0, 0)
    output = got.value["output"]
    assert (
        output[0]["summary"] == [{"type": "summary_text", "text": "hmm"}]
        and output[1]["content"][0]["text"] == "42"
    )


def test_E234_interleaved_calls_are_two_items(stage: Stage) -> None:
    pieces = [
        call(0, "a", ""), call(1, "b", ""), call(0, arguments='{"x":'), call(1, arguments='{"y":'),
        call(0, arguments="1}"), call(1, arguments="2}"),
    ]  # fmt: skip
    got = stream(stage, CC, ROLE, *map(chunk, pieces), *CALLS)
    assert kinds(got, 0) == kinds(got, 1) == CALL_EVENTS
    same(
        got.value["output"],
        [
            {"type": "function_call", "call_id": "call_a", "name": "a", "arguments": '{"x":1}', "status": "completed", ...: ...},
            {"type": "function_call", "call_id": "call_b", "name": "b", "arguments": '{"y":2}', "status": "completed", ...: ...},
        ],
    )  # fmt: skip
    assert all(item["id"].startswith("fc_") for item in got.value["output"])


def test_E235_one_identity_for_each_item_and_for_the_response(stage: Stage) -> None:
    """Every stream of this file is checked for it; here with every kind of item in one stream."""
    frames = [
        ROLE,
        chunk({"reasoning_content": "hmm"}),
        chunk({"content": "x"}),
        chunk(call(0, "a", "{}")),
        chunk(call(1, "b", "{}")),
    ]
    got = stream(stage, CC, *frames, *CALLS)
    assert [i["type"] for i in got.value["output"]] == [
        "reasoning",
        "message",
        "function_call",
        "function_call",
    ]
    assert len({i["id"] for i in got.value["output"]}) == 4
    assert got.value["id"].startswith("resp_")


def test_E237_a_refusal_is_a_part_of_its_own(stage: Stage) -> None:
    got = stream(stage, CC, ROLE, chunk({"refusal": "N"}), chunk({"refusal": "o."}), *STOP)
    assert kinds(got, 0) == [
        "output_item.added", "content_part.added", "refusal.delta", "refusal.done", "content_part.done", "output_item.done",
    ]  # fmt: skip
    added = next(e for e in got.events if e["type"] == "response.content_part.added")
    same(added["part"], {"type": "refusal", "refusal": ""})
    done = next(e for e in got.events if e["type"] == "response.refusal.done")
    assert done["refusal"] == "No."
    same(got.value["output"][0]["content"], [{"type": "refusal", "refusal": "No."}])


@pytest.mark.parametrize("upstream", [CC, AM, GM])
def test_E247_no_done_after_the_terminal_event(stage: Stage, upstream: str) -> None:
    heard = stage.ask(RS, upstream, BODY, stream=True)
    assert b"[DONE]" not in heard.reply.body
    assert heard.events[-1][0] == "response.completed"


def test_E249_messages_input_becomes_arguments(stage: Stage) -> None:
    frames = [streams.tool_block(0, "toolu_1", "f", '{"a"', ":1}"), streams.tool_block(1, "toolu_2", "a")]
    got = stream(stage, AM, streams.message_start(), *frames, streams.message_end("tool_use"))
    assert kinds(got, 0) == CALL_EVENTS
    assert [(i["call_id"], i["arguments"]) for i in got.value["output"]] == [
        ("toolu_1", '{"a":1}'),
        ("toolu_2", "{}"),
    ]
    done = [e["arguments"] for e in got.events if e["type"] == "response.function_call_arguments.done"]
    assert done == ['{"a":1}', "{}"]


# --- further cases of the family --------------------------------------------------------------------------


@pytest.mark.parametrize("upstream", [CC, AM, GM])
def test_F14_one_call(stage: Stage, upstream: str) -> None:
    frames = {
        CC: [ROLE, chunk(call(0, "f", "")), chunk(call(0, arguments='{"a":1}')), *CALLS],
        AM: [
            streams.message_start(),
            streams.tool_block(0, "toolu_1", "f", '{"a":1}'),
            streams.message_end("tool_use"),
        ],
        GM: [streams.gemini(bodies.function_call("f", {"a": 1})), streams.gemini(finish="STOP")],
    }[upstream]
    got = stream(stage, upstream, *frames)
    assert kinds(got) == ["created", "in_progress", *CALL_EVENTS, "completed"]
    added = next(e["item"] for e in got.events if e["type"] == "response.output_item.added")
    assert (added["name"], added["arguments"]) == ("f", "") and added["call_id"]
    (item,) = got.value["output"]
    assert json.loads(item["arguments"]) == {"a": 1} and item["id"] != item["call_id"]


def test_F14_text_then_call(stage: Stage) -> None:
    got = stream(stage, CC, ROLE, chunk({"content": "x"}), chunk(call(0, "f", "{}")), *CALLS)
    assert kinds(got, 0) == MESSAGE_EVENTS and got.value["output"][1]["type"] == "function_call"


@pytest.mark.parametrize("upstream", [CC, AM, GM])
def test_F14_a_cut_stream_has_failed(stage: Stage, upstream: str) -> None:
    frames = {
        CC: [ROLE, chunk({"content": "par"})],
        AM: [streams.message_start(), streams.text_block(0, "par")],
        GM: [streams.gemini({"text": "par"})],
    }[upstream]
    for whole in (True, False):
        got = stream(stage, upstream, *frames, whole=whole)
        assert got.events[-1]["type"] == "response.failed" and got.error["message"]
        assert got.events[-1]["response"]["status"] == "failed"


def test_F14_the_code_of_a_failure_is_a_word_of_the_schema(stage: Stage) -> None:
    """``response.error.code`` is an enumeration; strict clients refuse others."""
    cut = stream(stage, CC, ROLE, chunk({"content": "par"}), whole=False)
    assert cut.error["code"] == "server_error"
    limited = streams.data({"error": {"message": "slow down", "code": 429}})
    got = stream(stage, CC, ROLE, chunk({"content": "par"}), limited)
    assert got.error["code"] == "rate_limit_exceeded"


def test_F14_an_error_in_the_stream(stage: Stage) -> None:
    error = streams.event({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
    got = stream(stage, AM, streams.message_start(), streams.text_block(0, "par"), error)
    assert got.events[-1]["type"] == "response.failed" and "Overloaded" in got.error["message"]


@pytest.mark.parametrize(
    ("upstream", "last", "reason"),
    [
        (CC, chunk({}, "length"), "max_output_tokens"), (CC, chunk({}, "content_filter"), "content_filter"),
        (AM, streams.message_end("max_tokens"), "max_output_tokens"), (AM, streams.message_end("refusal"), "content_filter"),
        (GM, streams.gemini(finish="MAX_TOKENS"), "max_output_tokens"), (GM, streams.gemini(finish="SAFETY"), "content_filter"),
    ],
)  # fmt: skip
def test_F14_an_incomplete_answer(stage: Stage, upstream: str, last: bytes, reason: str) -> None:
    begin = {
        CC: [ROLE, chunk({"content": "x"})],
        AM: [streams.message_start(), streams.text_block(0, "x")],
        GM: [streams.gemini({"text": "x"})],
    }
    end = [chat_usage(9, 2), DONE] if upstream == CC else []
    got = stream(stage, upstream, *begin[upstream], last, *end)
    assert got.events[-1]["type"] == "response.incomplete"
    same(got.value["incomplete_details"], {"reason": reason})
    assert got.value["output"][0]["content"][0]["text"] == "x"


SIGNED = streams.block(
    0, {"type": "thinking", "thinking": "", "signature": ""}, {"type": "thinking_delta", "thinking": "hmm"},
    {"type": "signature_delta", "signature": "U0lH"},
)  # fmt: skip


def test_F14_a_signature_is_the_items_encrypted_content(stage: Stage) -> None:
    asked = {
        **BODY,
        "include": ["reasoning.encrypted_content"],
        "store": False,
        "reasoning": {"effort": "low"},
    }
    got = stream(
        stage,
        AM,
        streams.message_start(),
        SIGNED,
        streams.text_block(1, "42"),
        streams.message_end(),
        body=asked,
    )
    assert got.value["output"][0]["encrypted_content"]
    done = next(e["item"] for e in got.events if e["type"] == "response.output_item.done")
    assert done["encrypted_content"] == got.value["output"][0]["encrypted_content"]


def test_F14_the_signature_comes_back_to_the_vendor_that_made_it(stage: Stage) -> None:
    asked = {
        **BODY,
        "include": ["reasoning.encrypted_content"],
        "store": False,
        "reasoning": {"effort": "low"},
    }
    frames = [
        streams.message_start(),
        SIGNED,
        streams.tool_block(1, "toolu_1", "f", "{}"),
        streams.message_end("tool_use"),
    ]
    output = stream(stage, AM, *frames, body=asked).value["output"]
    items = [
        {"role": "user", "content": "hi"},
        *output,
        {"type": "function_call_output", "call_id": "toolu_1", "output": "r"},
    ]
    sent = stage.sends(RS, AM, {**asked, "input": items})
    same(
        sent["messages"][1]["content"],
        [
            {"type": "thinking", "thinking": "hmm", "signature": "U0lH"},
            {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}},
        ],
    )


def test_F14_the_request_is_repeated_in_the_response(stage: Stage) -> None:
    asked = {
        **BODY, "instructions": "Be brief", "metadata": {"k": "v"}, "tool_choice": "required", "parallel_tool_calls": False,
        "temperature": 0.5,
    }  # fmt: skip
    value = stream(stage, CC, *TEXT, body=asked).value
    assert value["instructions"] == "Be brief" and value["metadata"] == {"k": "v"}
    assert (value["tool_choice"], value["parallel_tool_calls"]) == ("required", False)
    assert [t["name"] for t in value["tools"]] == ["a", "b", "f"]


def test_F14_free_text_tools_have_events_of_their_own(stage: Stage) -> None:
    asked = {**ASK[RS], "tools": [{"type": "custom", "name": "apply_patch", "description": "d"}]}
    pieces = [
        call(0, "apply_patch", ""),
        call(0, arguments='{"inp'),
        call(0, arguments='ut":"*** Begin\\n"}'),
    ]
    answer = plays(ROLE, *map(chunk, pieces), *CALLS)
    heard = stage.ask(RS, CC, asked, answer=answer, stream=True)
    events = heard.chunks
    item = events[-1]["response"]["output"][0]
    assert (item["type"], item["input"], item["call_id"]) == (
        "custom_tool_call",
        "*** Begin\n",
        "call_apply_patch",
    )
    done = [e for e in events if e["type"] == "response.custom_tool_call_input.done"]
    assert [e["input"] for e in done] == ["*** Begin\n"]
    deltas = [e["delta"] for e in events if e["type"] == "response.custom_tool_call_input.delta"]
    assert "".join(deltas) == "*** Begin\n"
    assert [e["sequence_number"] for e in events] == list(range(len(events)))


def test_F14_tools_in_a_namespace_keep_it(stage: Stage) -> None:
    inner = {
        "type": "function",
        "name": "read",
        "description": "d",
        "parameters": {"type": "object", "properties": {}},
    }
    asked = {
        **ASK[RS],
        "tools": [{"type": "namespace", "name": "files", "description": "d", "tools": [inner]}],
    }
    heard = stage.ask(RS, CC, asked)
    (declared,) = heard.upstream["tools"]
    name = declared["function"]["name"]
    heard = stage.ask(RS, CC, asked, answer=plays(ROLE, chunk(call(0, name, "{}")), *CALLS), stream=True)
    item = heard.chunks[-1]["response"]["output"][0]
    assert (item["name"], item.get("namespace")) == ("read", "files")


def test_F14_citations_are_annotation_events(stage: Stage) -> None:
    place = {
        "type": "web_search_result_location",
        "url": "https://x/y",
        "title": "T",
        "cited_text": "c",
        "encrypted_index": "I",
    }
    text = streams.block(
        0,
        {"type": "text", "text": ""},
        {"type": "text_delta", "text": "Found"},
        {"type": "citations_delta", "citation": place},
    )
    got = stream(stage, AM, streams.message_start(), text, streams.message_end())
    note = {"type": "url_citation", "url": "https://x/y", "title": "T", "start_index": 0, "end_index": 5}
    same(got.value["output"][0]["content"][0]["annotations"], [note])
    added = [e for e in got.events if e["type"] == "response.output_text.annotation.added"]
    same([e["annotation"] for e in added], [note])
    assert [e["annotation_index"] for e in added] == [0]


def test_F14_an_answer_without_content_is_completed(stage: Stage) -> None:
    got = stream(stage, CC, ROLE, *STOP)
    assert got.value["output"] == [] and kinds(got) == ["created", "in_progress", "completed"]


def test_F14_a_hidden_thought_is_an_item_without_parts(stage: Stage) -> None:
    hidden = streams.block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "signature_delta", "signature": "U0lH"},
    )
    got = stream(
        stage, AM, streams.message_start(), hidden, streams.text_block(1, "42"), streams.message_end()
    )
    assert kinds(got, 0) == ["output_item.added", "output_item.done"]
    assert got.value["output"][0]["summary"] == [] and got.value["output"][0]["encrypted_content"]


def test_F14_every_item_is_done_before_the_end_whatever_is_open(stage: Stage) -> None:
    """Text and two calls, none of them closed by the vendor in so many words."""
    frames = [
        ROLE,
        chunk({"content": "x"}),
        chunk(call(0, "a", '{"x":1}')),
        chunk(call(1, "b", '{"y":')),
        chunk(call(1, arguments="2}")),
    ]
    got = stream(stage, CC, *frames, chunk({}, "stop"), DONE)
    assert [i.get("arguments") for i in got.value["output"]] == [None, '{"x":1}', '{"y":2}']
    assert got.value["status"] == "completed"


# --- the other way: streams of a Responses upstream -------------------------------------------------------


def from_responses(stage: Stage, client: str, *frames: bytes, whole: bool = True) -> Folded:
    body = {**ASK[client], **bodies.tools(client, "a", "b", "f")}
    return accumulators.streamed(stage, client, RS, *frames, body=body, whole=whole)


ELSEWHERE = [CC, AM, GM]


@pytest.mark.parametrize("client", ELSEWHERE)
def test_F14_text_calls_and_thoughts_of_a_responses_upstream(stage: Stage, client: str) -> None:
    up = Numbered()
    frames = [
        up.created(),
        up.reasoning("h", "mm"),
        up.text("Hel", "lo"),
        up.call("a", '{"x"', ":1}"),
        up.call("b"),
        up.end(),
    ]
    text, calls, finish = accumulators.understood(client, from_responses(stage, client, *frames))
    assert (text, calls) == ("Hello", [("a", {"x": 1}), ("b", {})])
    assert finish == {CC: "tool_calls", AM: "tool_use", GM: "STOP"}[client]


def test_F14_summaries_of_several_parts_are_told_apart(stage: Stage) -> None:
    where = {"item_id": "rs_1", "output_index": 0}
    frames = [
        streams.event(
            {
                "type": "response.created",
                "sequence_number": 0,
                "response": {"id": "resp_up", "status": "in_progress"},
            }
        )
    ]
    item = {"type": "reasoning", "id": "rs_1", "summary": []}
    frames.append(streams.event({"type": "response.output_item.added", "output_index": 0, "item": item}))
    parts = [{"type": "summary_text", "text": t} for t in ("one", "two")]
    for number, part in enumerate(parts):
        at = {**where, "summary_index": number}
        frames += [
            streams.event(
                {"type": "response.reasoning_summary_part.added", **at, "part": {**part, "text": ""}}
            ),
            streams.event({"type": "response.reasoning_summary_text.delta", **at, "delta": part["text"]}),
            streams.event({"type": "response.reasoning_summary_text.done", **at, "text": part["text"]}),
            streams.event({"type": "response.reasoning_summary_part.done", **at, "part": part}),
        ]
    done = {**item, "summary": parts, "encrypted_content": "ENC"}
    frames.append(streams.event({"type": "response.output_item.done", "output_index": 0, "item": done}))
    frames.append(streams.event({"type": "response.completed", "response": bodies.response(done)}))
    choice = streams.only_choice(from_responses(stage, CC, *frames))
    assert "one" in choice["reasoning_content"] and choice["reasoning_content"].endswith("two")
    assert choice["reasoning_content"] != "onetwo"


@pytest.mark.parametrize("client", ELSEWHERE)
def test_F14_arguments_and_text_that_come_only_when_they_are_done(stage: Stage, client: str) -> None:
    call_item = bodies.called("call_1", "f", '{"a":1}')
    text_item = bodies.said("Hello")
    frames = [
        {"type": "response.created", "response": {"id": "resp_up", "status": "in_progress", "output": []}},
        {"type": "response.output_item.added", "output_index": 0, "item": {**text_item, "content": [], "status": "in_progress"}},
        {"type": "response.output_item.done", "output_index": 0, "item": text_item},
        {"type": "response.output_item.added", "output_index": 1, "item": {**call_item, "arguments": "", "status": "in_progress"}},
        {"type": "response.function_call_arguments.done", "output_index": 1, "item_id": call_item["id"], "arguments": '{"a":1}'},
        {"type": "response.output_item.done", "output_index": 1, "item": call_item},
        {"type": "response.completed", "response": bodies.response(text_item, call_item)},
    ]  # fmt: skip
    got = from_responses(stage, client, *map(streams.event, frames))
    assert accumulators.understood(client, got)[:2] == ("Hello", [("f", {"a": 1})])


@pytest.mark.parametrize("client", ELSEWHERE)
@pytest.mark.parametrize("how", ["failed", "error", "cut", "broken"])
def test_F14_a_responses_upstream_that_fails(stage: Stage, client: str, how: str) -> None:
    up = Numbered()
    begin = [up.created(), up.text("par")]
    end = {
        "failed": lambda: [up.end("failed", error={"code": "server_error", "message": "it broke"}, usage=None)],
        "error": lambda: [streams.event({"type": "error", "code": "server_error", "message": "it broke", "param": None, "sequence_number": 9})],
        "cut": list,
        "broken": list,
    }[how]()  # fmt: skip
    got = from_responses(stage, client, *begin, *end, whole=how != "broken")
    assert got.error is not None
    assert how in ("cut", "broken") or "it broke" in got.error["message"]


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("max_output_tokens", {CC: "length", AM: "max_tokens", GM: "MAX_TOKENS"}),
        ("content_filter", {CC: "content_filter", AM: "refusal", GM: "SAFETY"}),
    ],
)
@pytest.mark.parametrize("client", ELSEWHERE)
def test_F14_an_incomplete_response_in_a_stream(
    stage: Stage, client: str, reason: str, words: dict[str, str]
) -> None:
    up = Numbered()
    frames = [up.created(), up.text("x"), up.end("incomplete", incomplete_details={"reason": reason})]
    text, _, finish = accumulators.understood(client, from_responses(stage, client, *frames))
    assert text == "x" and (
        finish == words[client] or (client == GM and reason == "content_filter" and finish != "STOP")
    )


def test_F14_a_refusal_of_a_responses_upstream(stage: Stage) -> None:
    up = Numbered()
    frames = [up.created(), up.text("N", "o.", kind="refusal"), up.end()]
    choice = streams.only_choice(from_responses(stage, CC, *frames))
    assert choice["refusal"] == "No." and not choice["content"]
    message = from_responses(stage, AM, *frames).value
    assert message["stop_reason"] == "refusal" and message["content"][0]["text"] == "No."


def test_F14_events_of_vendor_tools_and_of_tomorrow_are_skipped(stage: Stage) -> None:
    up = Numbered()
    search = {"type": "web_search_call", "id": "ws_1", "status": "in_progress"}
    frames = [
        up.created(),
        streams.event({"type": "response.output_item.added", "output_index": 0, "item": search}),
        streams.event({"type": "response.web_search_call.searching", "output_index": 0, "item_id": "ws_1"}),
        streams.event(
            {
                "type": "response.output_item.done",
                "output_index": 0,
                "item": {**search, "status": "completed"},
            }
        ),
        streams.event({"type": "response.tomorrow", "x": 1}),
        streams.event({"type": "keepalive"}),
    ]
    up.output.append(search)
    frames += [up.text("Hello"), up.end()]
    for client in ELSEWHERE:
        text, calls, finish = accumulators.understood(client, from_responses(stage, client, *frames))
        assert (text, calls) == ("Hello", []) and finish in ("stop", "end_turn", "STOP")


def test_F14_annotations_of_a_responses_upstream(stage: Stage) -> None:
    up = Numbered()
    note = {"type": "url_citation", "url": "https://x/y", "title": "T", "start_index": 0, "end_index": 5}
    frames = [up.created(), up.text("Hello", annotations=[note]), up.end()]
    nested = {n: v for n, v in note.items() if n != "type"}
    same(
        streams.only_choice(from_responses(stage, CC, *frames))["annotations"],
        [{"type": "url_citation", "url_citation": nested, ...: ...}],
    )
