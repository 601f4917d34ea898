"""Whole answers, read and written (E094, E150–E157, E163–E165)."""

from __future__ import annotations

import json

import pytest
from google.genai import types

from dragoman.core.conversation import (
    Answer,
    Base64,
    Choice,
    Citation,
    Conversation,
    Media,
    Opaque,
    Reasoning,
    Refusal,
    Signature,
    Text,
    Thinking,
    TokenLogprob,
    ToolCall,
    Url,
)
from dragoman.core.faults import Fault
from dragoman.core.signatures import unseal
from dragoman.core.usage import Usage
from dragoman.dialects.base import Reply
from dragoman.dialects.gemini.answer import read_answer, write_answer

OWN = Signature(origin="gemini", value="aGVsbG8=")
CLAUDE = Signature(origin="anthropic", value="sig/+~")


def read(**value):
    return read_answer(json.dumps(value).encode())


def candidate(*parts, reason="STOP", **more):
    return {"content": {"parts": list(parts), "role": "model"}, "finishReason": reason, **more}


def test_a_whole_answer():
    answer = read(
        candidates=[
            candidate(
                {"text": "hmm", "thought": True},
                {"text": "Paris", "thoughtSignature": "aGVsbG8="},
                {
                    "functionCall": {"name": "f", "args": {"n": 12345678901234567890}},
                    "thoughtSignature": "aGVsbG8=",
                },
                {"functionCall": {"name": "g", "id": "c2"}},
                {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
            )
        ],
        usageMetadata={
            "promptTokenCount": 10,
            "candidatesTokenCount": 5,
            "thoughtsTokenCount": 3,
            "totalTokenCount": 18,
        },
        modelVersion="gemini-x",
        responseId="r1",
    )
    assert answer == Answer(
        choices=(
            Choice(
                blocks=(
                    Thinking(text="hmm"),
                    Text(text="Paris", signature=OWN),
                    ToolCall(id="", name="f", arguments='{"n":12345678901234567890}', signature=OWN),
                    ToolCall(id="c2", name="g", arguments="{}"),
                    Media(kind="image", source=Base64("AAAA"), media_type="image/png"),
                ),
                finish="tool_calls",
            ),
        ),
        usage=Usage(input=10, output=8, reasoning=3),
        model="gemini-x",
        id="r1",
    )


def test_e094_choices():
    answer = read(
        candidates=[candidate({"text": "a"}), candidate({"text": "b"}, reason="MAX_TOKENS", index=1)]
    )
    assert [choice.finish for choice in answer.choices] == ["stop", "length"]


def test_e151_a_blocked_prompt():
    answer = read(promptFeedback={"blockReason": "SAFETY"}, usageMetadata={"promptTokenCount": 4})
    assert answer.choices == (
        Choice(blocks=(Refusal(text="The prompt was blocked: SAFETY."),), finish="content_filter"),
    )
    assert answer.usage == Usage(input=4)


def test_e152_no_content():
    answer = read(
        candidates=[{"finishReason": "MAX_TOKENS"}],
        usageMetadata={"promptTokenCount": 1, "thoughtsTokenCount": 1000},
    )
    assert answer.choices == (Choice(blocks=(), finish="length"),)
    assert answer.usage is not None and answer.usage.reasoning == 1000


@pytest.mark.parametrize(
    "reason",
    ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "MALFORMED_RESPONSE", "MISSING_THOUGHT_SIGNATURE"],
)
def test_e150_broken_output(reason):
    for parts in ((), ({"text": "hm", "thought": True},), ({"text": "", "thoughtSignature": "aGVsbG8="},)):
        with pytest.raises(Fault) as caught:
            read(candidates=[candidate(*parts, reason=reason)])
        assert (caught.value.status, caught.value.owner) == (502, "upstream")
    assert read(candidates=[candidate({"text": "a"}, reason=reason)]).choices[0].finish == "stop"


@pytest.mark.parametrize(
    "body", [b"", b"x", b"[]", b"3", b"{}", b'{"candidates":[]}', b'{"usageMetadata":{"promptTokenCount":1}}']
)
def test_what_is_no_answer(body):
    with pytest.raises(Fault) as caught:
        read_answer(body)
    assert (caught.value.status, caught.value.owner) == (502, "upstream")


def test_an_error_with_status_200():
    for body in (
        b'{"error":{"code":429,"message":"slow down"}}',
        b'[{"error":{"code":429,"message":"slow down"}}]',
    ):
        with pytest.raises(Fault, match="slow down") as caught:
            read_answer(body)
        assert caught.value.status == 429


def test_grounding():
    metadata = {
        "webSearchQueries": ["q"],
        "groundingChunks": [{"web": {"uri": "https://x", "title": "X"}}],
        "groundingSupports": [
            {"segment": {"startIndex": 3, "endIndex": 8, "text": "Paris"}, "groundingChunkIndices": [0]}
        ],
    }
    (choice,) = read(candidates=[candidate({"text": "é Paris"}, groundingMetadata=metadata)]).choices
    cited = Citation(url="https://x", title="X", cited="Paris", start=2, end=7)
    search = Opaque(origin="gemini", kind="groundingMetadata", raw=metadata)
    assert choice.blocks == (Text(text="é Paris", citations=(cited,)), search)


# -- writing -------------------------------------------------------------------------------------------------


def written(*blocks, visible=False, finish="stop", usage=None, **more):
    conversation = Conversation(origin="gemini", turns=(), reasoning=Reasoning(visible=visible))
    reply = Reply(model="m", response_id="abc", created=1, conversation=conversation)
    body = write_answer(
        Answer(
            choices=(Choice(blocks=blocks, finish=finish, **more),), usage=usage, model="other", id="other"
        ),
        reply,
    )
    types.GenerateContentResponse.model_validate_json(body)  # the SDK reads it
    return json.loads(body)


def parts(*blocks, **more):
    return written(*blocks, **more)["candidates"][0]["content"]["parts"]


def test_the_frame_of_an_answer():
    usage = Usage(input=60, cached_input=40, output=50, reasoning=30)
    assert written(Text(text="hi"), usage=usage) == {
        "candidates": [
            {"content": {"parts": [{"text": "hi"}], "role": "model"}, "finishReason": "STOP", "index": 0}
        ],
        "usageMetadata": {
            "promptTokenCount": 100,
            "candidatesTokenCount": 20,
            "thoughtsTokenCount": 30,
            "cachedContentTokenCount": 40,
            "totalTokenCount": 150,
        },
        "modelVersion": "m",
        "responseId": "abc",
    }
    assert written(Text(text="hi"))["usageMetadata"]["totalTokenCount"] == 0


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        ("stop", "STOP"),
        ("stop_sequence", "STOP"),
        ("tool_calls", "STOP"),
        ("pause", "STOP"),
        ("length", "MAX_TOKENS"),
        ("context_length", "MAX_TOKENS"),
        ("refusal", "SAFETY"),
        ("content_filter", "SAFETY"),
        ("error", "OTHER"),
    ],
)
def test_finish_reasons(finish, reason):
    assert written(Refusal(text="No."), finish=finish)["candidates"][0]["finishReason"] == reason


def test_thoughts_are_shown_to_who_asked_and_signatures_to_all():
    blocks = (
        Thinking(text="hmm", signature=CLAUDE),
        Thinking(signature=CLAUDE, redacted=True),
        Thinking(text="unsigned"),
        Text(text="x", signature=OWN),
        Text(text="damaged", signature=Signature(origin="gemini", value="~")),
    )
    hidden = parts(*blocks)
    shown = parts(*blocks, visible=True)
    assert [(p["text"], p.get("thought")) for p in hidden] == [
        ("", True),
        ("", True),
        ("x", None),
        ("damaged", None),
    ]
    assert [p["text"] for p in shown] == ["hmm", "", "unsigned", "x", "damaged"]
    sealed = unseal(hidden[1]["thoughtSignature"], "gemini")
    assert sealed is not None and sealed.redacted and sealed.signature == CLAUDE
    assert hidden[2]["thoughtSignature"] == "aGVsbG8="
    assert "thoughtSignature" not in hidden[3]


def test_calls():
    blocks = (
        ToolCall(id="call_1", name="f", arguments='{"n":12345678901234567890}', signature=OWN),
        ToolCall(id="", name="g", arguments=""),
        ToolCall(id="c", name="p", arguments="free", custom=True),
    )
    assert parts(*blocks, finish="tool_calls") == [
        {
            "functionCall": {"name": "f", "args": {"n": 12345678901234567890}, "id": "call_1"},
            "thoughtSignature": "aGVsbG8=",
        },
        {"functionCall": {"name": "g", "args": {}}},
        {"functionCall": {"name": "p", "args": {"input": "free"}, "id": "c"}},
    ]
    for arguments in ('{"a":', "[1]"):
        with pytest.raises(Fault) as caught:
            parts(ToolCall(id="", name="f", arguments=arguments))
        assert (caught.value.status, caught.value.owner) == (502, "upstream")


def test_media_and_what_others_made():
    assert parts(
        Media(kind="image", source=Base64("AAAA"), media_type="image/webp"),
        Media(kind="image", source=Url("https://x/y.png"), media_type="image/png"),
        Opaque(
            origin="gemini",
            kind="executableCode",
            raw={"executableCode": {"code": "1", "language": "PYTHON"}},
        ),
        Opaque(origin="anthropic", kind="server_tool_use", raw={}),
        Opaque(origin="anthropic", kind="x", raw={}, text="readable"),
    ) == [
        {"inlineData": {"mimeType": "image/webp", "data": "AAAA"}},
        {"fileData": {"mimeType": "image/png", "fileUri": "https://x/y.png"}},
        {"executableCode": {"code": "1", "language": "PYTHON"}},
        {"text": "readable"},
    ]


def test_citations_are_counted_in_the_bytes_of_the_whole_text():
    told = written(
        Text(text="é", citations=()),
        Opaque(origin="anthropic", kind="web_search_tool_result", raw={}),
        Text(
            text="é Paris", citations=(Citation(url="https://x", title="X", cited="Paris", start=2, end=7),)
        ),
    )["candidates"][0]
    assert told["content"]["parts"] == [{"text": "éé Paris"}]
    (support,) = told["groundingMetadata"]["groundingSupports"]
    whole = "éé Paris".encode()
    assert whole[support["segment"]["startIndex"] : support["segment"]["endIndex"]] == b"Paris"


def test_log_probabilities():
    told = written(
        Text(text="a"),
        logprobs=(
            TokenLogprob(token="a", logprob=-1.0, top=(("a", -1.0),)),
            TokenLogprob(token="b", logprob=-3.0),
        ),
    )
    assert told["candidates"][0]["avgLogprobs"] == -2.0
    assert told["candidates"][0]["logprobsResult"]["topCandidates"][0] == {
        "candidates": [{"token": "a", "logProbability": -1.0}]
    }


def test_an_answer_comes_back_from_its_own_reader():
    blocks = (
        Thinking(text="hmm", signature=OWN),
        Text(
            text="é Paris", citations=(Citation(url="https://x", title="X", cited="Paris", start=2, end=7),)
        ),
        ToolCall(id="c", name="f", arguments='{"a":1}', signature=OWN),
        Media(kind="image", source=Base64("AAAA"), media_type="image/png"),
    )
    usage = Usage(input=60, cached_input=40, output=50, reasoning=30)
    told = written(*blocks, visible=True, finish="tool_calls", usage=usage)
    answer = read_answer(json.dumps(told).encode())
    assert answer.choices[0].blocks[:-1] == blocks
    assert answer.choices[0].finish == "tool_calls"
    assert (answer.usage, answer.id, answer.model) == (usage, "abc", "m")
    again = write_answer(
        answer,
        Reply(
            model="m",
            response_id="abc",
            created=1,
            conversation=Conversation(origin="gemini", turns=(), reasoning=Reasoning(visible=True)),
        ),
    )
    assert json.loads(again) == told
