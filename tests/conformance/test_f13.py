"""F13: streams of and for Gemini; read by the SDK of the client's dialect as well."""
# ruff: noqa: N802

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conformance import accumulators, bodies, streams
from tests.conformance.bodies import ASK, function_call
from tests.conformance.equality import ABSENT, ANY, Where, same
from tests.conformance.streams import DONE, ROLE, Folded, Numbered, call, chunk, gemini, plays
from tests.conformance.world import AM, CC, GM, MODEL, RS, Stage
from tests.world import answers
from tests.world.harness import KEY

USAGE = {"promptTokenCount": 9, "candidatesTokenCount": 2, "totalTokenCount": 11}
STOP = gemini(finish="STOP", usage=USAGE)


def body(client: str) -> dict[str, Any]:
    return {**ASK[client], **bodies.tools(client, "f", "g")}


def stream(stage: Stage, client: str, upstream: str, *frames: bytes, **options: Any) -> Folded:
    return accumulators.streamed(stage, client, upstream, *frames, body=body(client), **options)


def calls_of(client: str, folded: Folded) -> list[tuple[str, Any]]:
    return accumulators.understood(client, folded)[1]


def test_E220_a_call_and_a_stop_in_another_chunk(stage: Stage) -> None:
    got = stream(stage, CC, GM, gemini(function_call("f", {"a": 1})), STOP)
    finishes = [c["choices"][0]["finish_reason"] for c in got.events]
    assert finishes[-1] == "tool_calls" and set(finishes[:-1]) == {None}
    assert calls_of(CC, got) == [("f", {"a": 1})]


@pytest.mark.parametrize("whole", [True, False], ids=["clean end", "broken connection"])
@pytest.mark.parametrize("client", [CC, AM, RS])
def test_E222_a_gemini_stream_without_a_finish_is_cut(stage: Stage, client: str, whole: bool) -> None:
    frames = [
        gemini({"text": "par"}, usage={**USAGE, "candidatesTokenCount": 1}),
        gemini({"text": "t"}, usage=USAGE),
    ]
    got = stream(stage, client, GM, *frames, whole=whole)
    assert got.error is not None
    heard = stage.ask(client, GM, body(client), answer=plays(*frames, whole=whole), stream=True)
    row = stage.gateway.call_row(heard.reply.headers["x-request-id"])
    assert (row["input_tokens"], row["output_tokens"]) == (9, 2), "the last usage is billed"


@pytest.mark.parametrize("upstream", [CC, RS, AM, GM])
def test_E224_with_and_without_alt_sse(stage: Stage, upstream: str) -> None:
    """A growing JSON array without ``alt=sse``, events with it; the same chunks in both."""
    frames: list[bytes] = {
        CC: [*answers.CHAT_FRAMES, answers.CHAT_USAGE, answers.DONE],
        RS: [(up := Numbered()).created(), up.text("Hel", "lo"), up.end()],
        AM: answers.MESSAGE_FRAMES,
        GM: answers.GEMINI_FRAMES,
    }[upstream]
    stage.vendor.script = plays(*frames)
    path = f"/v1beta/models/{MODEL[upstream]}:streamGenerateContent"
    events = stage.gateway.post(f"{path}?alt=sse", ASK[GM])
    assert events.headers["content-type"].startswith("text/event-stream")
    if upstream == GM:
        stage.vendor.script = plays(*answers.GEMINI_ARRAY, content_type="application/json")
    array = stage.gateway.post(path, ASK[GM])
    assert array.headers["content-type"].startswith("application/json")
    one, other = streams.generated(events.body), streams.generated(array.body, array=True)
    assert one.value["parts"] == other.value["parts"] == [{"text": "Hello"}]
    assert one.value["finish"] == other.value["finish"] == "STOP"
    assert one.value["usage"] == other.value["usage"]


@pytest.mark.parametrize("upstream", [CC, AM, RS])
def test_E225_a_call_is_one_part_when_it_is_whole(stage: Stage, upstream: str) -> None:
    up = Numbered()
    frames = {
        CC: [
            ROLE, chunk(call(0, "f", "")), chunk(call(1, "g", "")), chunk(call(0, arguments='{"a"')),
            chunk(call(1, arguments='{"a":2}')), chunk(call(0, arguments=":1}")), chunk({}, "tool_calls"), DONE,
        ],
        AM: [
            streams.message_start(), streams.tool_block(0, "toolu_1", "f", '{"a"', ":1}"),
            streams.tool_block(1, "toolu_2", "g", '{"a":2}'), streams.message_end("tool_use"),
        ],
        RS: [up.created(), up.call("f", '{"a"', ":1}"), up.call("g", '{"a":2}'), up.end()],
    }[upstream]  # fmt: skip
    got = stream(stage, GM, upstream, *frames)
    # Of interleaved calls the one that is whole first may go out first.
    assert sorted(calls_of(GM, got)) == [("f", {"a": 1}), ("g", {"a": 2})]
    assert got.value["finish"] == "STOP"


@pytest.mark.parametrize("whole", [True, False])
def test_E225_a_call_that_was_cut_is_an_error_and_not_half_a_call(stage: Stage, whole: bool) -> None:
    got = stream(stage, GM, CC, ROLE, chunk({"content": "x"}), chunk(call(0, "f", '{"a":')), whole=whole)
    assert got.error is not None and calls_of(GM, got) == []
    heard = stage.ask(
        GM, CC, body(GM), stream=True,
        answer=plays(ROLE, chunk({"content": "x"}), chunk(call(0, "f", '{"a":')), chunk({}, "tool_calls"), DONE),
    )  # fmt: skip
    got = streams.generated(heard.reply.body)
    assert got.error is not None and calls_of(GM, got) == []


BLOCKED = streams.data(
    {
        "promptFeedback": {"blockReason": "SAFETY"},
        "usageMetadata": {"promptTokenCount": 4, "totalTokenCount": 4},
    }
)


def test_E227_a_blocked_prompt_in_a_stream(stage: Stage) -> None:
    choice = streams.only_choice(stream(stage, CC, GM, BLOCKED))
    assert choice["finish_reason"] == "content_filter" and not choice["content"]
    assert "SAFETY" in choice["refusal"]
    message = stream(stage, AM, GM, BLOCKED).value
    same([message["content"], message["stop_reason"]], [[], "refusal"])
    response = stream(stage, RS, GM, BLOCKED).value
    same([response["status"], response["incomplete_details"]], ["incomplete", {"reason": "content_filter"}])


# --- further cases of the family --------------------------------------------------------------------------


@pytest.mark.parametrize("client", [CC, AM, RS])
def test_F13_calls_without_ids_get_ids_of_their_own(stage: Stage, client: str) -> None:
    frames = [
        gemini(function_call("f", {"a": 1}), function_call("f", {"a": 2})),
        gemini(function_call("g")),
        STOP,
    ]
    got = stream(stage, client, GM, *frames)
    assert calls_of(client, got) == [("f", {"a": 1}), ("f", {"a": 2}), ("g", {})]
    ids = {
        CC: lambda v: [c["id"] for c in v["choices"][0]["tool_calls"]],
        AM: lambda v: [b["id"] for b in v["content"]],
        RS: lambda v: [i["call_id"] for i in v["output"]],
    }[client](got.value)
    assert len(set(ids)) == 3 and all(ids)


@pytest.mark.parametrize("client", [CC, AM, RS])
def test_F13_a_call_id_of_gemini_is_kept(stage: Stage, client: str) -> None:
    part = {"functionCall": {"id": "fc-7", "name": "f", "args": {"a": 1}}}
    got = stream(stage, client, GM, gemini(part), STOP)
    assert "fc-7" in json.dumps(got.value)


def test_F13_thoughts_are_reasoning(stage: Stage) -> None:
    frames = [
        gemini({"text": "h", "thought": True}),
        gemini({"text": "mm", "thought": True}),
        gemini({"text": "42"}),
        STOP,
    ]
    choice = streams.only_choice(stream(stage, CC, GM, *frames))
    assert (choice["reasoning_content"], choice["content"]) == ("hmm", "42")
    content = stream(stage, AM, GM, *frames).value["content"]
    assert [(b["type"], b.get("thinking", b.get("text"))) for b in content] == [
        ("thinking", "hmm"),
        ("text", "42"),
    ]
    output = stream(stage, RS, GM, *frames).value["output"]
    assert [i["type"] for i in output] == ["reasoning", "message"]
    assert output[0]["summary"] == [{"type": "summary_text", "text": "hmm"}]


def test_F13_thought_and_text_in_one_chunk(stage: Stage) -> None:
    frames = [
        gemini({"text": "hmm", "thought": True}, {"text": "4"}),
        gemini({"text": "2"}, finish="STOP", usage=USAGE),
    ]
    choice = streams.only_choice(stream(stage, CC, GM, *frames))
    assert (choice["reasoning_content"], choice["content"]) == ("hmm", "42")


def test_F13_an_empty_part_with_a_signature_makes_no_text(stage: Stage) -> None:
    frames = [
        gemini({"text": "42"}),
        gemini({"text": "", "thoughtSignature": "U0lH"}, finish="STOP", usage=USAGE),
    ]
    got = stream(stage, CC, GM, *frames)
    contents = [c["choices"][0]["delta"].get("content") for c in got.events if c["choices"]]
    assert [c for c in contents if c] == ["42"] and "U0lH" in json.dumps(got.events)


def test_F13_a_signed_call_carries_its_signature(stage: Stage) -> None:
    got = stream(stage, CC, GM, gemini(function_call("f", {"a": 1}, thoughtSignature="U0lH")), STOP)
    (made,) = streams.only_choice(got)["tool_calls"]
    assert made["extra_content"] == {"google": {"thought_signature": "U0lH"}}


def test_F13_two_candidates_are_two_choices(stage: Stage) -> None:
    def both(*texts: str, **more: Any) -> bytes:
        candidates = [
            {"index": i, "content": {"role": "model", "parts": [{"text": t}]}, **more}
            for i, t in enumerate(texts)
        ]
        return streams.data({"candidates": candidates, "usageMetadata": USAGE})

    asked = {**ASK[CC], "n": 2}
    answer = plays(both("a", "b"), both("c", "d", finishReason="STOP"))
    heard = stage.ask(CC, GM, asked, answer=answer, stream=True)
    choices = streams.chat(heard.reply.body).value["choices"]
    assert {i: c["content"] for i, c in choices.items()} == {0: "ac", 1: "bd"}


@pytest.mark.parametrize("client", [CC, AM, RS])
def test_F13_an_error_in_the_stream(stage: Stage, client: str) -> None:
    error = streams.data(
        {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
    )
    got = stream(stage, client, GM, gemini({"text": "par"}), error)
    assert "overloaded" in got.error["message"]
    if client == AM:
        assert got.error["type"] == "overloaded_error"


@pytest.mark.parametrize("upstream", [CC, RS, AM])
def test_F13_a_cut_stream_is_an_error_for_gemini_clients(stage: Stage, upstream: str) -> None:
    up = Numbered()
    frames = {
        CC: [ROLE, chunk({"content": "par"})],
        RS: [up.created(), up.text("par")],
        AM: [streams.message_start(), streams.text_block(0, "par")],
    }[upstream]
    got = stream(stage, GM, upstream, *frames, whole=False)
    assert got.error["code"] in (500, 502, 503) and got.value["parts"] == [{"text": "par"}]
    stage.vendor.script = plays(*frames)
    path = f"/v1beta/models/{MODEL[upstream]}:streamGenerateContent"
    array = streams.generated(stage.gateway.post(path, ASK[GM]).body, array=True)
    assert array.error is not None and array.value["parts"] == [{"text": "par"}]


@pytest.mark.parametrize("upstream", [CC, RS, AM])
def test_F13_the_whole_of_a_stream_for_a_gemini_client(stage: Stage, upstream: str) -> None:
    """Thoughts, text, usage and the finish, each once, and the model as the client knows it."""
    up = Numbered()
    frames = {
        CC: [ROLE, chunk({"reasoning_content": "hmm"}), chunk({"content": "42"}), chunk({}, "stop"), streams.chat_usage(9, 2), DONE],
        RS: [up.created(), up.reasoning("hmm"), up.text("42"), up.end()],
        AM: [
            streams.message_start(input_tokens=9),
            streams.block(0, {"type": "thinking", "thinking": "", "signature": ""}, {"type": "thinking_delta", "thinking": "hmm"}),
            streams.text_block(1, "42"), streams.message_end("end_turn", 2),
        ],
    }[upstream]  # fmt: skip
    asked = {**body(GM), "generationConfig": {"thinkingConfig": {"includeThoughts": True}}}
    heard = stage.ask(GM, upstream, asked, answer=plays(*frames), stream=True)
    got = streams.generated(heard.reply.body)
    thoughts = [p["text"] for p in got.value["parts"] if p.get("thought")]
    texts = [p["text"] for p in got.value["parts"] if not p.get("thought") and p.get("text")]
    assert (thoughts, texts, got.value["finish"]) == (["hmm"], ["42"], "STOP")
    same(got.value["usage"], {"promptTokenCount": 9, "totalTokenCount": 11, ...: ...})
    same([c["modelVersion"] for c in got.events], [MODEL[upstream]] * len(got.events))
    assert len({c["responseId"] for c in got.events}) == 1


def test_F13_the_old_sdks_way_of_asking(stage: Stage) -> None:
    """``google-generativeai`` over REST: ``$alt=json;enum-encoding=int`` and no ``alt=sse``."""
    stage.vendor.script = plays(ROLE, chunk({"content": "Hello"}), chunk({}, "stop"), DONE)
    path = f"/v1beta/models/{MODEL[CC]}:streamGenerateContent?%24alt=json%3Benum-encoding%3Dint"
    reply = stage.gateway.post(path, ASK[GM], {"x-goog-api-key": KEY}, key=None)
    assert streams.generated(reply.body, array=True).value["parts"] == [{"text": "Hello"}]


def test_F13_an_image_of_gemini_reaches_chat_as_text(stage: Stage) -> None:
    part = {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}
    got = stream(stage, CC, GM, gemini({"text": "Here: "}), gemini(part), STOP)
    assert "data:image/png;base64,iVBORw0KGgo=" in streams.only_choice(got)["content"]


def test_F13_empty_chunks_are_nothing(stage: Stage) -> None:
    frames = [
        gemini(),
        gemini({"text": ""}),
        gemini({"text": "42"}),
        streams.data({"usageMetadata": USAGE}),
        STOP,
    ]
    for client in (CC, AM, RS):
        text, calls, _ = accumulators.understood(client, stream(stage, client, GM, *frames))
        assert (text, calls) == ("42", [])
    content = stream(stage, AM, GM, *frames).value["content"]
    same(content, [{"type": "text", "text": Where("42", lambda t: t == "42"), "citations": ABSENT}])


def test_F13_grounding_in_a_stream(stage: Stage) -> None:
    metadata = {
        "webSearchQueries": ["q"],
        "groundingChunks": [{"web": {"uri": "https://x/y", "title": "T"}}],
        "groundingSupports": [
            {"segment": {"startIndex": 3, "endIndex": 8, "text": "Paris"}, "groundingChunkIndices": [0]}
        ],
    }
    last = streams.data(
        {
            "candidates": [{"index": 0, "finishReason": "STOP", "groundingMetadata": metadata}],
            "usageMetadata": USAGE,
        }
    )
    got = stream(stage, CC, GM, gemini({"text": "é "}), gemini({"text": "Paris"}), last)
    note = {"start_index": 2, "end_index": 7, "url": "https://x/y", "title": "T"}
    same(streams.only_choice(got)["annotations"], [{"type": "url_citation", "url_citation": note, ...: ...}])
    part = stream(stage, RS, GM, gemini({"text": "é "}), gemini({"text": "Paris"}), last).value["output"][0][
        "content"
    ][0]
    same(part["annotations"], [{"type": "url_citation", **note}])
    same(part["text"], ANY)
