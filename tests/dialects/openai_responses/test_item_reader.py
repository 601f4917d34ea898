"""Input items of a Responses request → turns."""

from __future__ import annotations

from typing import Any

import pytest

from dragoman.core.conversation import (
    Base64,
    Citation,
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
)
from dragoman.core.faults import Fault
from dragoman.core.signatures import seal
from dragoman.dialects.openai_responses.item_reader import ItemReader, read_citation
from dragoman.dialects.openai_responses.tool_reader import Declared, declared

I0 = ("input", 0)
C0 = ("input", 0, "content", 0)


def read(*items: Any) -> tuple[list[Turn], Declared]:
    into = declared()
    reader = ItemReader(into)
    reader.read(list(items))
    return reader.turns, into


def one(item: dict[str, Any]) -> Turn:
    turns, _ = read(item)
    assert len(turns) == 1
    return turns[0]


def part(**members: Any) -> Any:
    return one({"role": "user", "content": [members]}).blocks[0]


def test_a_string_is_a_user_message() -> None:
    reader = ItemReader(declared())
    reader.read("hi")
    assert reader.turns == [Turn(role="user", blocks=(Text(text="hi", at=("input",)),), at=("input",))]


@pytest.mark.parametrize("role", ["user", "assistant", "system", "developer"])
@pytest.mark.parametrize("typed", [{}, {"type": "message"}, {"type": None}])
def test_messages(role: str, typed: dict[str, Any]) -> None:
    turn = one({**typed, "role": role, "content": "hi", "id": "msg_1", "status": "completed"})
    assert (turn.role, turn.id, turn.at) == (role, "msg_1", I0)
    assert turn.blocks == (Text(text="hi", at=(*I0, "content")),)


def test_assistant_parts_and_phase() -> None:
    note = {"type": "url_citation", "url": "https://x/", "title": "X", "start_index": 1, "end_index": 2}
    turn = one(
        {
            "role": "assistant",
            "phase": "commentary",
            "content": [
                {"type": "output_text", "text": "a", "annotations": [note]},
                {"type": "refusal", "refusal": "No."},
                {"type": "output_text", "text": ""},
            ],
        }
    )
    assert turn.phase == "commentary"
    assert turn.blocks == (
        Text(text="a", citations=(Citation(url="https://x/", title="X", start=1, end=2),), at=C0),
        Refusal(text="No.", at=(*I0, "content", 1)),
    )


def test_citations_of_other_kinds_stay_as_they_are() -> None:
    note = {"type": "file_citation", "file_id": "file-1", "index": 1}
    assert read_citation(note) == Citation(extra=note, origin="openai_responses")
    assert read_citation({"type": "url_citation", "url": "u", "start_index": "x"}) == Citation(url="u")


def test_images() -> None:  # E014
    assert part(type="input_image", image_url="https://x/y.png", detail="low") == Media(
        kind="image", source=Url("https://x/y.png"), media_type="image/png", detail="low", at=C0
    )
    assert part(type="input_image", image_url="data:image/jpg;base64,AAAA") == Media(
        kind="image", source=Base64("AAAA"), media_type="image/jpeg", at=C0
    )
    sniffed = part(type="input_image", image_url="data:image/png;base64,/9j/4AAQ")  # E072
    assert sniffed.media_type == "image/jpeg"


def test_files() -> None:
    assert part(
        type="input_file", filename="r.pdf", file_data="data:application/pdf;base64,JVBERi0="
    ) == Media(kind="document", source=Base64("JVBERi0="), media_type="application/pdf", name="r.pdf", at=C0)
    assert part(type="input_file", file_data="JVBERi0=").media_type == "application/pdf"
    assert part(type="input_file", file_url="https://x/r.pdf") == Media(
        kind="document", source=Url("https://x/r.pdf"), media_type="application/pdf", at=C0
    )
    assert part(type="input_file", filename="T", file_data="data:text/plain;base64,YWJj") == Text(
        text="T\n\nabc", at=C0
    )


def test_audio() -> None:
    assert part(type="input_audio", input_audio={"data": "AAAA", "format": "wav"}) == Media(
        kind="audio", source=Base64("AAAA"), media_type="audio/wav", at=C0
    )


@pytest.mark.parametrize("kind", ["input_image", "input_file"])
def test_file_ids_are_bound(kind: str) -> None:
    turns, into = read({"role": "user", "content": [{"type": kind, "file_id": "file-1"}]})
    block = turns[0].blocks[0]
    assert isinstance(block, Media)
    assert block.source == FileId("openai", "file-1")
    assert into.bound == [((*C0, "file_id"), "file id")]


def test_unknown_parts_and_items_are_opaque() -> None:
    raw = {"type": "computer_screenshot", "image_url": "x"}
    assert part(**raw) == Opaque(origin="openai_responses", kind="computer_screenshot", raw=raw, at=C0)
    searched = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    assert one(searched) == Turn(
        role="assistant",
        blocks=(Opaque(origin="openai_responses", kind="web_search_call", raw=searched, at=I0),),
        at=I0,
    )
    assert one({"type": "shell_call_output", "call_id": "c", "output": []}).role == "user"


@pytest.mark.parametrize(
    ("item", "what"),
    [
        ({"type": "item_reference", "id": "msg_1"}, "item reference"),
        ({"id": "msg_1"}, "item reference"),
        ({"type": "compaction", "encrypted_content": "x"}, "compacted context"),
    ],
)
def test_what_only_the_vendor_knows_is_bound(item: dict[str, Any], what: str) -> None:
    _, into = read(item)
    assert into.bound == [((*I0, "type"), what)]


def test_calls_and_outputs() -> None:  # E060, E067
    turns, _ = read(
        {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": '{"a": 1}'},
        {"type": "function_call", "call_id": "c2", "name": "g", "arguments": "", "namespace": "n"},
        {"type": "custom_tool_call", "call_id": "c3", "name": "p", "input": "raw"},
        {"type": "function_call_output", "call_id": "c1", "output": "r"},
        {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "s"}]},
        {"type": "custom_tool_call_output", "call_id": "c3", "output": ""},
    )
    assert [turn.role for turn in turns] == ["assistant"] * 3 + ["user"] * 3
    assert turns[0].id == "fc_1"
    assert [turn.blocks[0] for turn in turns] == [
        ToolCall(id="c1", name="f", arguments='{"a": 1}', at=I0),
        ToolCall(id="c2", name="g", arguments="{}", namespace="n", at=("input", 1)),
        ToolCall(id="c3", name="p", arguments="raw", custom=True, at=("input", 2)),
        ToolResult(call_id="c1", content=(Text(text="r", at=("input", 3, "output")),), at=("input", 3)),
        ToolResult(call_id="c2", content=(Text(text="s", at=("input", 4, "output", 0)),), at=("input", 4)),
        ToolResult(call_id="c3", custom=True, at=("input", 5)),
    ]


def test_reasoning() -> None:
    turn = one(
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}],
            "encrypted_content": "gAAA",
        }
    )
    signature = Signature(origin="openai_responses", value="gAAA", id="rs_1")
    assert turn.blocks == (Thinking(text="a\n\nb", signature=signature, at=I0),)
    unsigned = one({"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "t"}]})
    assert unsigned.blocks == (Thinking(text="t", at=I0),)
    assert read({"type": "reasoning", "id": "rs_1", "summary": []})[0] == []


def test_sealed_reasoning_gets_its_origin_back() -> None:
    foreign = Signature(origin="anthropic", value="U0lH")
    item = {"type": "reasoning", "id": "rs_ours", "summary": [{"type": "summary_text", "text": "t"}]}
    assert one(item | {"encrypted_content": seal(foreign)}).blocks == (
        Thinking(text="t", signature=foreign, at=I0),
    )
    redacted = {"type": "reasoning", "summary": [], "encrypted_content": seal(foreign, redacted=True)}
    assert one(redacted).blocks == (Thinking(signature=foreign, redacted=True, at=I0),)
    own = Signature(origin="openai_responses", value="gAAA", id="rs_vendor")
    assert one(item | {"encrypted_content": seal(own)}).blocks == (Thinking(text="t", signature=own, at=I0),)


def test_signature_of_a_call() -> None:
    google = Signature(origin="gemini", value="R0dH")
    before = {"type": "reasoning", "summary": [], "encrypted_content": seal(google, call=True)}
    call = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
    other = call | {"call_id": "c2"}
    turns, _ = read(before, call, other)
    assert turns[0].blocks == (ToolCall(id="c1", name="f", signature=google, at=("input", 1)),)
    assert turns[1].blocks == (ToolCall(id="c2", name="f", at=("input", 2)),)
    late = Signature(origin="gemini", value="R0dH", id="c1")
    after = {"type": "reasoning", "summary": [], "encrypted_content": seal(late, call=True)}
    turns, _ = read(call, after, other)
    assert turns[0].blocks == (ToolCall(id="c1", name="f", signature=google, at=I0),)
    assert turns[1].blocks == (ToolCall(id="c2", name="f", at=("input", 2)),)


def test_tools_may_come_as_an_item() -> None:
    turns, into = read(
        {"type": "additional_tools", "role": "developer", "tools": [{"type": "function", "name": "f"}]}
    )
    assert turns == []
    assert [tool.at for tool in into.tools] == [(*I0, "tools", 0)]


@pytest.mark.parametrize(
    ("item", "param"),
    [
        (1, "input[0]"),
        ({}, "input[0]"),
        ({"type": 1}, "input[0].type"),
        ({"role": "tool", "content": "x"}, "input[0].role"),
        ({"role": "user", "content": 1}, "input[0].content"),
        ({"role": "user", "content": [1]}, "input[0].content[0]"),
        ({"role": "user", "content": [{}]}, "input[0].content[0].type"),
        ({"role": "user", "content": [{"type": "input_text", "text": 1}]}, "input[0].content[0].text"),
        ({"role": "user", "content": [{"type": "input_image"}]}, "input[0].content[0].image_url"),
        (
            {"role": "user", "content": [{"type": "input_image", "image_url": "data:x,y"}]},
            "input[0].content[0].image_url",
        ),
        ({"role": "user", "content": [{"type": "input_file"}]}, "input[0].content[0].file_data"),
        (
            {"role": "user", "content": [{"type": "input_file", "file_data": "data:text/plain;base64,/w=="}]},
            "input[0].content[0].file_data",
        ),
        ({"type": "function_call", "name": "f", "arguments": "{}"}, "input[0].call_id"),
        ({"type": "function_call", "call_id": "c", "name": "f", "arguments": {}}, "input[0].arguments"),
        ({"type": "function_call_output", "call_id": "c", "output": {}}, "input[0].output"),
        ({"type": "function_call_output", "output": "x"}, "input[0].call_id"),
        ({"type": "reasoning", "summary": "x"}, "input[0].summary"),
        ({"type": "reasoning", "encrypted_content": 1}, "input[0].encrypted_content"),
    ],
)
def test_bad_items(item: object, param: str) -> None:
    with pytest.raises(Fault) as raised:
        read(item)
    assert (raised.value.status, raised.value.param) == (400, param)
