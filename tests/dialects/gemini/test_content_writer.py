"""Turns → contents (E012, E046, E050, E125, E127, E129, E139)."""

from __future__ import annotations

import json

import pytest

from dragoman.core.conversation import (
    Base64,
    Cache,
    Conversation,
    FileId,
    Media,
    Opaque,
    Refusal,
    Signature,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
    Url,
    bracketed,
)
from dragoman.core.facts import Facts
from dragoman.core.faults import Fault
from dragoman.core.history import NO_RESULT
from dragoman.dialects.base import Target
from dragoman.dialects.gemini.request_writer import write_request
from dragoman.dialects.gemini.signature import DUMMY

OWN = Signature(origin="gemini", value="aGVsbG8")
CLAUDE = Signature(origin="anthropic", value="aGVsbG8=")
PNG = Media(kind="image", source=Base64("AAAA"), media_type="image/png", at=("m",))


def turn(role, *blocks, **more):
    return Turn(role=role, blocks=tuple(Text(text=b) if isinstance(b, str) else b for b in blocks), **more)


def call(name, arguments="{}", **more):
    return ToolCall(id=f"id_{name}", name=name, arguments=arguments, **more)


def result(name, text="r", **more):
    return ToolResult(call_id=f"id_{name}", content=(Text(text=text),) if text else (), **more)


def written(*turns, facts=None, system=(), origin="openai_chat"):
    conversation = Conversation(origin=origin, turns=turns, system=system)
    told = write_request(conversation, Target(model="m", facts=facts or Facts()))
    return json.loads(told.body), told.losses


def contents(*turns, **more):
    return [(c["role"], c["parts"]) for c in written(*turns, **more)[0]["contents"]]


def test_system():
    body, losses = written(
        turn("system", "A", Text(text="")),
        turn("developer", "B"),
        turn("user", "1"),
        turn("assistant", "2"),
        turn("system", "S"),
        turn("user", "3"),
        turn("developer", "end"),
        system=(Text(text="x-anthropic-billing-header: cc"), Text(text="top"), PNG),
    )
    assert body["systemInstruction"] == {"parts": [{"text": "top"}, {"text": "A"}, {"text": "B"}]}
    assert [(c["role"], [p["text"] for p in c["parts"]]) for c in body["contents"]] == [
        ("user", ["1"]),
        ("model", ["2"]),
        ("user", ["S", "3", "end"]),
    ]
    assert [loss.at for loss in losses] == [("m",)]


def test_there_is_always_a_content():
    assert written(turn("system", "A"))[0] == {"contents": [{"role": "user", "parts": [{"text": "A"}]}]}
    assert written(turn("user", ""))[0] == {"contents": [{"role": "user", "parts": [{"text": "..."}]}]}
    assert contents(turn("user"), system=(Text(text="S"),)) == [("user", [{"text": "..."}])]


def test_neighbours_are_one_content_and_names_are_lost():
    body, losses = written(
        turn("user", "A"),
        turn("user", "B", name="bob", at=("messages", 1)),
        turn("assistant", "", Refusal(text="No.")),
    )
    assert body["contents"] == [
        {"role": "user", "parts": [{"text": "A"}, {"text": "B"}]},
        {"role": "model", "parts": [{"text": "No."}]},
    ]
    assert [bracketed(loss.at) for loss in losses] == ["messages[1].name"]


def test_e050_one_answer_for_every_call():
    """In the order of the calls, named after them; a call that nobody answered is answered."""
    told = contents(
        turn("user", "q"),
        turn("assistant", call("f", '{"city":"NY"}'), call("g"), call("h")),
        turn("user", result("g", is_error=True), "note", result("f")),
    )
    assert told[1:] == [
        (
            "model",
            [
                {"functionCall": {"name": "f", "args": {"city": "NY"}}},
                {"functionCall": {"name": "g", "args": {}}},
                {"functionCall": {"name": "h", "args": {}}},
            ],
        ),
        (
            "user",
            [
                {"functionResponse": {"name": "f", "response": {"result": "r"}}},
                {"functionResponse": {"name": "g", "response": {"error": "r"}}},
                {"functionResponse": {"name": "h", "response": {"error": NO_RESULT}}},
                {"text": "note"},
            ],
        ),
    ]


def test_a_call_that_waits_for_its_answer_is_left_alone():
    assert contents(turn("user", "q"), turn("assistant", call("f")))[-1][1] == [
        {"functionCall": {"name": "f", "args": {}}}
    ]


def test_a_result_without_a_call_is_text():
    assert contents(turn("user", result("f")))[0][1] == [{"text": "Tool result: r"}]


def test_ids_where_the_model_takes_them():
    (_, model), (_, user) = contents(
        turn("assistant", ToolCall(id="functions.f:0", name="f")),
        turn("user", ToolResult(call_id="functions.f:0")),
        facts=Facts(call_ids=True),
    )
    sent = model[0]["functionCall"]["id"]
    assert sent == user[0]["functionResponse"]["id"]
    assert ":" not in sent


def test_structured_answers_and_their_media():
    shot = result("f", "shot", structured={"r": 1})
    shot = ToolResult(call_id="id_f", content=(*shot.content, PNG), structured={"r": 1})
    history = (turn("assistant", call("f")), turn("user", shot))
    inline = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}
    assert contents(*history)[1][1] == [{"functionResponse": {"name": "f", "response": {"r": 1}}}, inline]
    assert contents(*history, facts=Facts(media_resolution=True))[1][1] == [
        {"functionResponse": {"name": "f", "response": {"r": 1}, "parts": [inline]}}
    ]


@pytest.mark.parametrize("arguments", ['{"city":', "[1]", "1"])
def test_e046_damaged_arguments_are_refused_by_their_place(arguments):
    damaged = ToolCall(id="c", name="f", arguments=arguments, at=("messages", 1, "tool_calls", 0))
    with pytest.raises(Fault) as caught:
        written(turn("user", "q"), turn("assistant", damaged))
    assert caught.value.status == 400
    assert caught.value.param == "messages[1].tool_calls[0].function.arguments"


@pytest.mark.parametrize("arguments", ["", "null", " "])
def test_no_arguments(arguments):
    assert contents(turn("assistant", call("f", arguments)))[0][1] == [
        {"functionCall": {"name": "f", "args": {}}}
    ]


def test_arguments_keep_their_digits():
    body = write_request(
        Conversation(
            origin="anthropic", turns=(turn("assistant", call("f", '{"n":12345678901234567890123,"z":1.0}')),)
        ),
        Target(model="m", facts=Facts()),
    ).body
    assert b'"args":{"n":12345678901234567890123,"z":1.0}' in body


def test_free_text_tools_and_namespaces():
    part = contents(
        turn("assistant", call("patch", "*** Begin", custom=True, namespace="ns")), origin="openai_responses"
    )[0][1][0]
    assert part == {"functionCall": {"name": "ns__patch", "args": {"input": "*** Begin"}}}


# -- signatures ----------------------------------------------------------------------------------------------


def test_thoughts_go_back_to_who_signed_them():
    told = contents(
        turn("user", "q"),
        turn(
            "assistant",
            Thinking(text="mine", signature=OWN),
            Thinking(text="", signature=OWN),
            Thinking(text="claude's", signature=CLAUDE),
            Thinking(text="nobody's"),
            Thinking(text="damaged", signature=Signature(origin="gemini", value="not!valid!!")),
            Text(text="visible", signature=Signature(origin="gemini", value="not!valid!!")),
            Text(text="signed", signature=OWN),
        ),
    )
    assert told[1][1] == [
        {"text": "mine", "thoughtSignature": "aGVsbG8", "thought": True},
        {"text": "", "thoughtSignature": "aGVsbG8"},
        {"text": "visible"},
        {"text": "signed", "thoughtSignature": "aGVsbG8"},
    ]


def test_a_turn_of_foreign_thoughts_vanishes():
    told = contents(
        turn("user", "1"), turn("assistant", Thinking(text="x", signature=CLAUDE)), turn("user", "2")
    )
    assert told == [("user", [{"text": "1"}, {"text": "2"}])]


def signatures(told):
    return [part.get("thoughtSignature") for _, parts in told for part in parts if "functionCall" in part]


def test_e127_the_first_call_of_each_step_is_signed():
    history = (
        turn("user", "old"),
        turn("assistant", call("a")),
        turn("user", result("a")),
        turn("assistant", "done"),
        turn("user", "new"),
        turn("assistant", call("b"), call("c")),
        turn("user", result("b"), result("c"), "a reminder"),
        turn("assistant", "and", call("d", signature=OWN), call("e")),
        turn("user", result("d"), result("e")),
        turn("assistant", call("f", signature=CLAUDE)),
        turn("user", result("f")),
    )
    assert signatures(contents(*history, facts=Facts(signed_calls=True))) == [
        None,
        DUMMY,
        None,
        "aGVsbG8",
        None,
        DUMMY,
    ]
    assert signatures(contents(*history)) == [None, None, None, "aGVsbG8", None, None]


# -- media and the rest --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("media", "facts", "part"),
    [
        (PNG, Facts(), {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}),
        (
            Media(kind="image", source=Base64("/9j/AAAA"), media_type="image/png", detail="low"),
            Facts(media_resolution=True),
            {
                "inlineData": {"mimeType": "image/jpeg", "data": "/9j/AAAA"},
                "mediaResolution": {"level": "MEDIA_RESOLUTION_LOW"},
            },
        ),
        (
            Media(kind="image", source=Base64("AAAA"), media_type="image/png", detail="high"),
            Facts(media_resolution=True),
            {
                "inlineData": {"mimeType": "image/png", "data": "AAAA"},
                "mediaResolution": {"level": "MEDIA_RESOLUTION_HIGH"},
            },
        ),
        (
            Media(kind="image", source=Base64("AAAA"), media_type="image/png", detail="auto"),
            Facts(media_resolution=True),
            {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
        ),
        (
            Media(kind="image", source=Base64("AAAA"), media_type="image/png", detail="high"),
            Facts(),
            {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
        ),
        (
            Media(kind="audio", source=Base64("AAAA")),
            Facts(),
            {"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}},
        ),
        (
            Media(kind="document", source=Base64("JVBERi0="), media_type="application/pdf", name="r.pdf"),
            Facts(),
            {"inlineData": {"mimeType": "application/pdf", "data": "JVBERi0="}},
        ),
        (
            Media(kind="video", source=Url("https://youtu.be/x")),
            Facts(),
            {"fileData": {"fileUri": "https://youtu.be/x"}},
        ),
        (
            Media(kind="video", source=FileId("google", "gs://b/v.mp4"), media_type="video/mp4"),
            Facts(),
            {"fileData": {"mimeType": "video/mp4", "fileUri": "gs://b/v.mp4"}},
        ),
    ],
)
def test_media(media, facts, part):
    assert contents(turn("user", media), facts=facts)[0][1] == [part]


@pytest.mark.parametrize("source", [Url("https://x/y.png"), FileId("openai", "file-1")])
def test_media_that_cannot_be_read_are_refused(source):
    with pytest.raises(Fault, match=r"messages\[0\]\.content\[1\]"):
        written(turn("user", Media(kind="image", source=source, at=("messages", 0, "content", 1))))


def test_foreign_blocks():
    body, losses = written(
        turn(
            "user",
            Text(text="t", cache=Cache(), at=("messages", 0, "content", 0)),
            Opaque(origin="anthropic", kind="search_result", raw={}, text="found", at=("a",)),
            Opaque(origin="anthropic", kind="container_upload", raw={}, at=("b",)),
            Opaque(origin="gemini", kind="toolCall", raw={"toolCall": {}}),
        ),
        origin="anthropic",
    )
    assert body["contents"][0]["parts"] == [{"text": "t"}, {"text": "found"}, {"toolCall": {}}]
    assert [bracketed(loss.at) for loss in losses] == ["messages[0].content[0].cache_control", "b"]


def test_a_model_that_cannot_continue_an_answer():
    history = (turn("user", "q"), turn("assistant", "Answer: ", at=("messages", 1)))
    assert contents(*history)[1] == ("model", [{"text": "Answer: "}])
    with pytest.raises(Fault, match=r"messages\[1\]"):
        contents(*history, facts=Facts(prefill=False))


def test_a_system_turn_without_a_user_turn_behind_it_stays_where_it_is():
    """Claude Code writes one behind the first question; it must not wander to the end with every turn."""
    asked = (
        turn("user", "q"),
        turn("system", "ENV"),
        turn("assistant", call("f")),
        turn("user", result("f")),
    )
    first, answer, last = contents(*asked)
    assert first == ("user", [{"text": "q"}, {"text": "ENV"}])
    assert (answer[0], last[0]) == ("model", "user") and "functionResponse" in last[1][0]
    assert contents(*asked, turn("assistant", "a"), turn("user", "more"))[:3] == [first, answer, last]
