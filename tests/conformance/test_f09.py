"""F09: finish reasons and refusals, in whole answers and in streams."""
# ruff: noqa: N802

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conformance import bodies, streams
from tests.conformance.bodies import ASK
from tests.conformance.equality import ABSENT, ANY, OneOf, Where, same
from tests.conformance.streams import DONE, ROLE, Numbered, plays
from tests.conformance.world import AM, CC, GM, RS, Stage, assert_error_shape

AM_TO_CC = [
    ("end_turn", "stop"), ("stop_sequence", "stop"), ("pause_turn", "stop"), ("max_tokens", "length"),
    ("model_context_window_exceeded", "length"), ("tool_use", "tool_calls"), ("refusal", "content_filter"),
]  # fmt: skip
BLOCKED = [
    "SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_RECITATION", "MODEL_ARMOR", "ESCALATION",
]  # fmt: skip
FAILED = [
    "MALFORMED_FUNCTION_CALL",
    "UNEXPECTED_TOOL_CALL",
    "MALFORMED_RESPONSE",
    "MISSING_THOUGHT_SIGNATURE",
]
CALL = ("call_1", "f", '{"a":1}')


def whole(
    stage: Stage, client: str, upstream: str, answer: dict[str, Any], names: tuple[str, ...] = ("f",)
) -> Any:
    """The whole answer that a client gets for this answer of the upstream; tools are declared."""
    body = {**ASK[client], **bodies.tools(client, *names)}
    return stage.ask(client, upstream, body, answer=answer).answer


def stream(stage: Stage, client: str, upstream: str, *frames: bytes) -> streams.Folded:
    body = {**ASK[client], **bodies.tools(client, "f")}
    heard = stage.ask(client, upstream, body, answer=plays(*frames), stream=True)
    assert heard.reply.status == 200, heard.reply.body
    return streams.FOLD[client](heard.reply.body)


def anthropic_blocks(reason: str) -> tuple[list[dict[str, Any]], bytes]:
    """The content that goes with a stop reason, whole and streamed."""
    if reason == "tool_use":
        return [bodies.tool_use("toolu_1", "f", {"a": 1})], streams.tool_block(0, "toolu_1", "f", '{"a":1}')
    return [bodies.text("x")], streams.text_block(0, "x")


@pytest.mark.parametrize(("said", "finish"), AM_TO_CC)
def test_E145_stop_reasons_of_messages_as_finish_reasons(stage: Stage, said: str, finish: str) -> None:
    content, frames = anthropic_blocks(said)
    answer = whole(stage, CC, AM, bodies.message(*content, stop_reason=said))
    assert answer["choices"][0]["finish_reason"] == finish
    got = stream(stage, CC, AM, streams.message_start(), frames, streams.message_end(said))
    assert streams.only_choice(got)["finish_reason"] == finish


@pytest.mark.parametrize(
    ("said", "status", "reason"),
    [
        ("end_turn", "completed", None), ("tool_use", "completed", None), ("stop_sequence", "completed", None),
        ("max_tokens", "incomplete", "max_output_tokens"), ("refusal", "incomplete", "content_filter"),
    ],
)  # fmt: skip
def test_E147_stop_reasons_of_messages_as_a_responses_status(
    stage: Stage, said: str, status: str, reason: str | None
) -> None:
    content, frames = anthropic_blocks(said)
    details = {"reason": reason} if reason else None
    answer = whole(stage, RS, AM, bodies.message(*content, stop_reason=said))
    same([answer["status"], answer["incomplete_details"], answer["error"]], [status, details, None])
    got = stream(stage, RS, AM, streams.message_start(), frames, streams.message_end(said))
    same([got.value["status"], got.value["incomplete_details"]], [status, details])
    assert got.types[-1] == f"response.{status}"


def test_F09_a_window_that_is_full_is_incomplete_for_responses(stage: Stage) -> None:
    answer = whole(
        stage, RS, AM, bodies.message(bodies.text("x"), stop_reason="model_context_window_exceeded")
    )
    same([answer["status"], answer["incomplete_details"]], ["incomplete", {"reason": "max_output_tokens"}])


CALLING: list[Any] = [
    (CC, bodies.completion(calls=[CALL], finish="stop"), "tool_use"),
    (CC, bodies.completion(calls=[CALL], finish=None), "tool_use"),
    (CC, bodies.completion(calls=[CALL], finish="length"), "max_tokens"),
    (GM, bodies.generation(bodies.function_call("f", {"a": 1}), finish="STOP"), "tool_use"),
    (GM, bodies.generation(bodies.function_call("f", {"a": 1}), finish="MAX_TOKENS"), "max_tokens"),
    (RS, bodies.response(bodies.called("call_1", "f", '{"a":1}')), "tool_use"),
    (
        RS,
        bodies.response(
            bodies.called("call_1", "f", '{"a":1}'),
            status="incomplete",
            incomplete_details={"reason": "max_output_tokens"},
        ),
        "max_tokens",
    ),
]


@pytest.mark.parametrize(("upstream", "answer", "reason"), CALLING)
def test_E149_tool_calls_make_tool_use_unless_the_answer_was_cut(
    stage: Stage, upstream: str, answer: dict[str, Any], reason: str
) -> None:
    got = whole(stage, AM, upstream, answer)
    assert got["stop_reason"] == reason
    same(
        [b for b in got["content"] if b["type"] == "tool_use"],
        [{**bodies.tool_use("", "f", {"a": 1}), "id": ANY}],
    )


def test_E149_in_streams(stage: Stage) -> None:
    for finish, reason in (("stop", "tool_use"), ("length", "max_tokens")):
        got = stream(
            stage,
            AM,
            CC,
            ROLE,
            streams.chunk(streams.call(0, "f", '{"a":1}')),
            streams.chunk({}, finish),
            DONE,
        )
        assert got.value["stop_reason"] == reason
    for finish, reason in (("STOP", "tool_use"), ("MAX_TOKENS", "max_tokens")):
        got = stream(
            stage, AM, GM, streams.gemini(bodies.function_call("f", {"a": 1})), streams.gemini(finish=finish)
        )
        assert got.value["stop_reason"] == reason
    up = Numbered()
    got = stream(stage, AM, RS, up.created(), up.call("f", '{"a":1}'), up.end())
    assert got.value["stop_reason"] == "tool_use"


@pytest.mark.parametrize(
    ("said", "finish"),
    [("STOP", "stop"), ("MAX_TOKENS", "length"), *((word, "content_filter") for word in BLOCKED)],
)
def test_E150_gemini_finish_reasons_as_chats_words(stage: Stage, said: str, finish: str) -> None:
    answer = whole(stage, CC, GM, bodies.generation({"text": "x"}, finish=said))
    assert answer["choices"][0]["finish_reason"] == finish
    got = stream(stage, CC, GM, streams.gemini({"text": "x"}), streams.gemini(finish=said))
    assert streams.only_choice(got)["finish_reason"] == finish


@pytest.mark.parametrize(
    "said",
    [
        "LANGUAGE",
        "OTHER",
        "FINISH_REASON_UNSPECIFIED",
        "NO_IMAGE",
        "CONTINUATION",
        "A_WORD_OF_TOMORROW",
        *FAILED,
    ],
)
def test_E150_any_other_word_with_usable_output_is_a_stop(stage: Stage, said: str) -> None:
    answer = whole(stage, CC, GM, bodies.generation({"text": "x"}, finish=said))
    choice = answer["choices"][0]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("stop", "x")


def test_E150_a_call_in_any_chunk_makes_tool_calls(stage: Stage) -> None:
    frames = [
        streams.gemini(bodies.function_call("f")),
        streams.gemini({"text": "x"}),
        streams.gemini(finish="STOP"),
    ]
    assert streams.only_choice(stream(stage, CC, GM, *frames))["finish_reason"] == "tool_calls"
    answer = whole(stage, CC, GM, bodies.generation(bodies.function_call("f"), finish="STOP"))
    assert answer["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("client", [CC, RS, AM])
@pytest.mark.parametrize("said", FAILED)
def test_E150_a_malformed_call_without_output_is_an_upstream_failure(
    stage: Stage, client: str, said: str
) -> None:
    body = {**ASK[client], **bodies.tools(client, "f")}
    heard = stage.ask(client, GM, body, answer=bodies.generation(finish=said))
    assert heard.reply.status >= 500, heard.reply.body
    assert_error_shape(client, heard.reply)
    heard = stage.ask(client, GM, body, answer=plays(streams.gemini(finish=said)), stream=True)
    assert heard.reply.status >= 500 or streams.FOLD[client](heard.reply.body).error is not None, (
        heard.reply.body
    )


BLOCKED_PROMPT = {
    "promptFeedback": {"blockReason": "SAFETY"},
    "usageMetadata": {"promptTokenCount": 4, "totalTokenCount": 4},
}


def test_E151_a_blocked_prompt_is_a_refusal_and_no_error(stage: Stage) -> None:
    choices = whole(stage, CC, GM, BLOCKED_PROMPT)["choices"]
    refused = Where("a refusal that names SAFETY", lambda text: "SAFETY" in (text or ""))
    same(
        choices,
        [
            {
                "index": 0,
                "finish_reason": "content_filter",
                "message": {"role": "assistant", "content": None, "refusal": refused, ...: ...},
                ...: ...,
            }
        ],
    )
    message = whole(stage, AM, GM, BLOCKED_PROMPT)
    same([message["content"], message["stop_reason"]], [[], "refusal"])
    response = whole(stage, RS, GM, BLOCKED_PROMPT)
    same([response["status"], response["incomplete_details"]], ["incomplete", {"reason": "content_filter"}])


def test_E152_thoughts_that_used_up_the_limit_are_a_length_stop(stage: Stage) -> None:
    usage = {"promptTokenCount": 7, "thoughtsTokenCount": 1000, "totalTokenCount": 1007}
    answer = whole(stage, CC, GM, bodies.generation(finish="MAX_TOKENS", usage=usage))
    choice = answer["choices"][0]
    assert (choice["message"]["content"] or "", choice["finish_reason"]) == ("", "length")
    assert answer["usage"]["completion_tokens_details"]["reasoning_tokens"] == 1000
    assert answer["usage"]["completion_tokens"] == 1000
    got = stream(stage, CC, GM, streams.gemini(finish="MAX_TOKENS", usage=usage))
    assert streams.only_choice(got)["finish_reason"] == "length"
    assert not streams.only_choice(got)["content"]


REFUSED_CHAT = bodies.completion(None, refusal="No.")
REFUSED_MESSAGE = {
    "content": [{"type": "text", "text": "No."}],
    "stop_reason": "refusal",
    "stop_details": {"type": "refusal", "explanation": "No.", "category": None},
    ...: ...,
}


def test_E154_a_refusal_of_chat_as_a_message(stage: Stage) -> None:
    same(whole(stage, AM, CC, REFUSED_CHAT), REFUSED_MESSAGE)


def test_E155_refusal_parts_and_chats_refusal_member(stage: Stage) -> None:
    refusing = bodies.said("No.", kind="refusal")
    told = whole(stage, CC, RS, bodies.response(refusing))["choices"][0]["message"]
    same([told["refusal"], told["content"]], ["No.", None])
    item = whole(stage, RS, CC, REFUSED_CHAT)["output"][0]
    same([item["type"], item["content"]], ["message", [{"type": "refusal", "refusal": "No."}]])


def grounded(text: str, start: int, end: int) -> dict[str, Any]:
    """A Gemini answer with one grounded piece; offsets in UTF-8 bytes."""
    segment = {"startIndex": start, "endIndex": end, "text": text.encode()[start:end].decode()}
    return bodies.generation(
        {"text": text},
        groundingMetadata={
            "webSearchQueries": ["q"],
            "groundingChunks": [{"web": {"uri": "https://x/y", "title": "T"}}],
            "groundingSupports": [{"segment": segment, "groundingChunkIndices": [0]}],
        },
    )


def test_E157_byte_offsets_become_character_offsets(stage: Stage) -> None:
    message = whole(stage, CC, GM, grounded("é Paris", 3, 8))["choices"][0]["message"]
    note = {"start_index": 2, "end_index": 7, "url": "https://x/y", "title": "T"}
    assert message["content"] == "é Paris"
    same(message["annotations"], [{"type": "url_citation", "url_citation": note}])


# --- further cases of the family --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "reason"),
    [("stop", "end_turn"), ("length", "max_tokens"), ("tool_calls", "tool_use"), ("content_filter", "refusal"), ("function_call", "tool_use"), ("eos", "end_turn")],
)  # fmt: skip
def test_F09_finish_reasons_of_chat_as_stop_reasons(stage: Stage, said: str, reason: str) -> None:
    message: dict[str, Any] = {"calls": [CALL]} if said == "tool_calls" else {"content": "x"}
    if said == "function_call":
        message = {"function_call": {"name": "f", "arguments": "{}"}}
    assert whole(stage, AM, CC, bodies.completion(finish=said, **message))["stop_reason"] == reason


@pytest.mark.parametrize(
    ("said", "finish"),
    [("end_turn", "STOP"), ("stop_sequence", "STOP"), ("tool_use", "STOP"), ("max_tokens", "MAX_TOKENS"), ("refusal", "SAFETY")],
)  # fmt: skip
def test_F09_stop_reasons_of_messages_as_geminis(stage: Stage, said: str, finish: str) -> None:
    content, frames = anthropic_blocks(said)
    answer = whole(stage, GM, AM, bodies.message(*content, stop_reason=said))
    wanted = OneOf("SAFETY", "PROHIBITED_CONTENT", "OTHER") if said == "refusal" else finish
    same(answer["candidates"][0]["finishReason"], wanted)
    got = stream(stage, GM, AM, streams.message_start(), frames, streams.message_end(said))
    same(got.value["finish"], wanted)


@pytest.mark.parametrize(
    ("reason", "finish", "stop"),
    [("max_output_tokens", "length", "max_tokens"), ("content_filter", "content_filter", "refusal")],
)
def test_F09_an_incomplete_response(stage: Stage, reason: str, finish: str, stop: str) -> None:
    answer = bodies.response(bodies.said("x"), status="incomplete", incomplete_details={"reason": reason})
    assert whole(stage, CC, RS, answer)["choices"][0]["finish_reason"] == finish
    assert whole(stage, AM, RS, answer)["stop_reason"] == stop


@pytest.mark.parametrize("client", [CC, AM, GM])
def test_F09_a_failed_response_is_an_error(stage: Stage, client: str) -> None:
    failed = bodies.response(status="failed", error={"code": "server_error", "message": "it broke"})
    heard = stage.ask(client, RS, ASK[client], answer=failed)
    assert heard.reply.status >= 500
    assert_error_shape(client, heard.reply)


def test_F09_the_stop_sequence_that_was_met_is_told(stage: Stage) -> None:
    answer = bodies.message(bodies.text("x"), stop_reason="stop_sequence", stop_sequence="END")
    assert whole(stage, CC, AM, answer)["choices"][0]["finish_reason"] == "stop"
    ask = {**ASK[AM], "stop_sequences": ["END"]}
    got = stage.ask(AM, CC, ask, answer=bodies.completion("x", finish="stop")).answer
    assert got["stop_reason"] in ("end_turn", "stop_sequence")


def test_F09_a_refusal_of_messages_as_chats(stage: Stage) -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "No."}
    choice = whole(stage, CC, AM, bodies.message(stop_reason="refusal", stop_details=details))["choices"][0]
    same(
        [choice["finish_reason"], choice["message"]["refusal"], choice["message"]["content"]],
        ["content_filter", "No.", None],
    )
    response = whole(stage, RS, AM, bodies.message(stop_reason="refusal", stop_details=details))
    parts = [p for item in response["output"] if item["type"] == "message" for p in item["content"]]
    same(parts, [{"type": "refusal", "refusal": "No."}])


def test_F09_a_refusal_of_responses_as_a_message_and_as_geminis(stage: Stage) -> None:
    refusing = bodies.response(bodies.said("No.", kind="refusal"))
    same(whole(stage, AM, RS, refusing), REFUSED_MESSAGE)
    assert bodies.text_of(GM, whole(stage, GM, RS, refusing)) == "No."


def test_F09_no_content_at_all_is_an_empty_answer_and_no_crash(stage: Stage) -> None:
    for client in (CC, RS, AM):
        assert bodies.text_of(client, whole(stage, client, GM, bodies.generation(finish="STOP"))) == ""
    assert bodies.text_of(AM, whole(stage, AM, CC, bodies.completion(None))) == ""
    assert bodies.text_of(CC, whole(stage, CC, AM, bodies.message())) == ""
    assert whole(stage, CC, AM, bodies.message())["choices"][0]["finish_reason"] == "stop"


NOTE = {"url": "https://x/y", "title": "T", "start_index": 0, "end_index": 5}


def test_F09_citations_of_responses_are_nested_in_chat_and_back(stage: Stage) -> None:
    cited = bodies.response(bodies.said("Hello", annotations=[{"type": "url_citation", **NOTE}]))
    message = whole(stage, CC, RS, cited)["choices"][0]["message"]
    same(message["annotations"], [{"type": "url_citation", "url_citation": NOTE}])
    chat = bodies.completion("Hello", annotations=[{"type": "url_citation", "url_citation": NOTE}])
    part = whole(stage, RS, CC, chat)["output"][0]["content"][0]
    same(part["annotations"], [{"type": "url_citation", **NOTE}])


def test_F09_citations_of_messages_span_their_block(stage: Stage) -> None:
    place = {
        "type": "web_search_result_location",
        "url": "https://x/y",
        "title": "T",
        "cited_text": "c",
        "encrypted_index": "E",
    }
    answer = bodies.message(bodies.text("é. "), {**bodies.text("Paris"), "citations": [place]})
    message = whole(stage, CC, AM, answer)["choices"][0]["message"]
    note = {"url": "https://x/y", "title": "T", "start_index": 3, "end_index": 8}
    assert message["content"] == "é. Paris"
    same(message["annotations"], [{"type": "url_citation", "url_citation": note}])


def test_F09_character_offsets_become_byte_offsets_for_gemini_clients(stage: Stage) -> None:
    note = {"type": "url_citation", "url": "https://x/y", "title": "T", "start_index": 2, "end_index": 7}
    answer = whole(stage, GM, RS, bodies.response(bodies.said("é Paris", annotations=[note])))
    metadata = answer["candidates"][0]["groundingMetadata"]
    same(metadata["groundingChunks"], [{"web": {"uri": "https://x/y", "title": "T", ...: ...}}])
    same(
        metadata["groundingSupports"],
        [{"segment": {"startIndex": 3, "endIndex": 8, ...: ...}, "groundingChunkIndices": [0], ...: ...}],
    )


def test_F09_grounding_without_a_start_begins_at_the_start(stage: Stage) -> None:
    answer = grounded("é Paris", 0, 2)
    del answer["candidates"][0]["groundingMetadata"]["groundingSupports"][0]["segment"]["startIndex"]
    message = whole(stage, CC, GM, answer)["choices"][0]["message"]
    note = message["annotations"][0]["url_citation"]
    assert (note["start_index"], note["end_index"]) == (0, 1)


def test_F09_finish_reasons_never_leave_the_five_words(stage: Stage) -> None:
    for upstream, odd in (
        (CC, bodies.completion("x", finish="insufficient_system_resource")),
        (AM, bodies.message(bodies.text("x"), stop_reason="tomorrow")),
    ):
        client = AM if upstream == CC else CC
        answer = whole(stage, client, upstream, odd)
        word = answer["choices"][0]["finish_reason"] if client == CC else answer["stop_reason"]
        assert word == ("stop" if client == CC else "end_turn")


def test_F09_a_call_without_a_stop_reason_of_messages(stage: Stage) -> None:
    answer = bodies.message(bodies.tool_use("toolu_1", "f", {"a": 1}), stop_reason="end_turn")
    choice = whole(stage, CC, AM, answer)["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert json.loads(choice["message"]["tool_calls"][0]["function"]["arguments"]) == {"a": 1}
    same(choice["message"].get("refusal"), ABSENT)


@pytest.mark.parametrize(
    ("said", "messages_word", "status"),
    [
        ("STOP", "end_turn", "completed"), ("MAX_TOKENS", "max_tokens", "incomplete"), ("SAFETY", "refusal", "incomplete"),
        ("PROHIBITED_CONTENT", "refusal", "incomplete"), ("OTHER", "end_turn", "completed"),
    ],
)  # fmt: skip
def test_F09_gemini_finish_reasons_for_the_others(
    stage: Stage, said: str, messages_word: str, status: str
) -> None:
    answer = bodies.generation({"text": "x"}, finish=said)
    assert whole(stage, AM, GM, answer)["stop_reason"] == messages_word
    assert whole(stage, RS, GM, answer)["status"] == status


@pytest.mark.parametrize(
    ("said", "finish", "status"),
    [
        ("stop", "STOP", "completed"), ("length", "MAX_TOKENS", "incomplete"), ("tool_calls", "STOP", "completed"),
        ("content_filter", OneOf("SAFETY", "PROHIBITED_CONTENT", "OTHER"), "incomplete"),
    ],
)  # fmt: skip
def test_F09_chat_finish_reasons_for_the_others(stage: Stage, said: str, finish: Any, status: str) -> None:
    answer = bodies.completion("x", finish=said, calls=[CALL] if said == "tool_calls" else [])
    same(whole(stage, GM, CC, answer)["candidates"][0]["finishReason"], finish)
    assert whole(stage, RS, CC, answer)["status"] == status


def test_F09_citations_of_chat_and_gemini_as_those_of_messages(stage: Stage) -> None:
    note = {"url": "https://x/y", "title": "T", "start_index": 0, "end_index": 5}
    chat = bodies.completion("Hello", annotations=[{"type": "url_citation", "url_citation": note}])
    place = {"type": "web_search_result_location", "url": "https://x/y", "title": "T", ...: ...}
    for upstream, answer in ((CC, chat), (GM, grounded("Hello", 0, 5))):
        (block,) = whole(stage, AM, upstream, answer)["content"]
        same(block, {"type": "text", "text": "Hello", "citations": [place]})


def test_F09_grounding_as_annotations_of_responses(stage: Stage) -> None:
    part = whole(stage, RS, GM, grounded("é Paris", 3, 8))["output"][0]["content"][0]
    note = {"type": "url_citation", "url": "https://x/y", "title": "T", "start_index": 2, "end_index": 7}
    same(part["annotations"], [note])


def test_F09_logprobs_of_gemini_as_chats(stage: Stage) -> None:
    def told(token: str, value: float) -> dict[str, Any]:
        return {"token": token, "logProbability": value, "tokenId": 7}

    result = {
        "chosenCandidates": [told("é", -0.5)],
        "topCandidates": [{"candidates": [told("é", -0.5), told("e", -1.5)]}],
    }
    answer = bodies.generation({"text": "é"}, logprobsResult=result)
    asked = {**ASK[CC], "logprobs": True, "top_logprobs": 2}
    choice = stage.ask(CC, GM, asked, answer=answer).answer["choices"][0]
    first = {"token": "é", "logprob": -0.5, "bytes": [195, 169]}
    other = {"token": "e", "logprob": -1.5, "bytes": [101]}
    same(choice["logprobs"]["content"], [{**first, "top_logprobs": [first, other]}])
