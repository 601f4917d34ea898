"""Turns → input items of a Responses request."""

from __future__ import annotations

from typing import Any

import pytest

from dragoman.core.conversation import (
    Base64,
    Block,
    Cache,
    Citation,
    FileId,
    Media,
    Opaque,
    Origin,
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
from dragoman.core.tools import WireNames
from dragoman.dialects.openai_responses.item_writer import ItemWriter, annotation, media_part

PNG = Media(kind="image", source=Base64("AAAA"), media_type="image/png")
CALL = ToolCall(id="t1", name="f", arguments='{"a":1}')


def writer(origin: Origin = "anthropic") -> ItemWriter:
    return ItemWriter(origin, WireNames((), custom=True))


def user(*blocks: Block) -> Turn:
    return Turn(role="user", blocks=blocks, at=("messages", 0))


def assistant(*blocks: Block) -> Turn:
    return Turn(role="assistant", blocks=blocks, at=("messages", 1))


def items(*turns: Turn, origin: Origin = "anthropic") -> list[dict[str, Any]]:
    made = writer(origin)
    made.write(turns)
    return made.items


def lost(*turns: Turn, origin: Origin = "anthropic") -> list[tuple[str | int, ...]]:
    made = writer(origin)
    made.write(turns)
    return [loss.at for loss in made.losses]


def result(*content: Any, **more: Any) -> dict[str, Any]:
    return items(assistant(CALL), user(ToolResult(call_id="t1", content=content, **more)))[1]


def test_text_by_role() -> None:  # E015
    page = Citation(url="https://x/", title="X", start=0, end=1)
    assert items(
        Turn(role="system", blocks=(Text(text="s"),)),
        Turn(role="developer", blocks=(Text(text="d"),)),
        user(Text(text="u")),
        assistant(Text(text="a", citations=(page,)), Refusal(text="No.")),
    ) == [
        {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "s"}]},
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "d"}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "u"}]},
        {
            "type": "message",
            "role": "assistant",
            "content": [
                {
                    "type": "output_text",
                    "text": "a",
                    "annotations": [
                        {
                            "type": "url_citation",
                            "start_index": 0,
                            "end_index": 1,
                            "title": "X",
                            "url": "https://x/",
                        }
                    ],
                },
                {"type": "refusal", "refusal": "No."},
            ],
        },
    ]
    assert items(user(Text(text="")), assistant()) == []


def test_annotation_of_a_whole_text() -> None:
    assert annotation(Citation(url="u"), 7) == {
        "type": "url_citation",
        "start_index": 0,
        "end_index": 7,
        "title": "",
        "url": "u",
    }
    own = Citation(extra={"type": "file_path"}, origin="openai_responses")
    assert annotation(own, 7) == {"type": "file_path"}
    assert annotation(Citation(extra={"type": "page_location"}, origin="anthropic"), 7) is None


def test_calls_and_results_keep_their_order() -> None:  # E067
    assert items(
        assistant(Text(text="look"), CALL, ToolCall(id="t2", name="g")),
        user(
            ToolResult(call_id="t2", content=(Text(text="2"),)), ToolResult(call_id="t1"), Text(text="go on")
        ),
    ) == [
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "look", "annotations": []}],
        },
        {"type": "function_call", "call_id": "t1", "name": "f", "arguments": '{"a":1}'},
        {"type": "function_call", "call_id": "t2", "name": "g", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "t2", "output": "2"},
        {"type": "function_call_output", "call_id": "t1", "output": ""},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "go on"}]},
    ]


def test_calls_without_ids_get_stable_ones() -> None:
    history = (
        assistant(ToolCall(id="", name="f"), ToolCall(id="", name="f")),
        user(ToolResult(call_id="", name="f"), ToolResult(call_id="", name="f")),
    )
    made = items(*history, origin="gemini")
    ids = [item["call_id"] for item in made]
    assert ids[:2] == ids[2:]
    assert ids[0] != ids[1]
    assert items(*history, origin="gemini") == made


def test_long_ids_are_shortened_alike() -> None:
    call = ToolCall(id="functions.f:0" + "x" * 100, name="f")
    made = items(assistant(call), user(ToolResult(call_id=call.id)))
    assert made[0]["call_id"] == made[1]["call_id"]
    assert len(made[0]["call_id"]) <= 64


def test_free_text_calls() -> None:
    call = ToolCall(id="c1", name="patch", arguments="raw", custom=True)
    assert items(assistant(call), user(ToolResult(call_id="c1", content=(Text(text="ok"),)))) == [
        {"type": "custom_tool_call", "call_id": "c1", "name": "patch", "input": "raw"},
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "ok"},
    ]


def test_media_stay_in_their_result() -> None:  # E055, E057
    assert result(Text(text="shot"), PNG)["output"] == [
        {"type": "input_text", "text": "shot"},
        {"type": "input_image", "image_url": "data:image/png;base64,AAAA"},
    ]
    document = Media(kind="document", source=Url("https://x/r.pdf"), name="report.pdf")
    assert result(document)["output"] == [
        {"type": "input_file", "filename": "report.pdf", "file_url": "https://x/r.pdf"}
    ]


def test_what_a_result_says() -> None:
    assert result(Text(text="boom"), is_error=True)["output"] == "Error: boom"
    assert result(is_error=True)["output"] == "Error"
    assert result(structured={"r": [1, "é"]})["output"] == '{"r":[1,"é"]}'
    assert result(Text(text="a"), Text(text="b"))["output"] == [
        {"type": "input_text", "text": "a"},
        {"type": "input_text", "text": "b"},
    ]


def test_result_without_its_call() -> None:  # E063
    def lone(*content: Any) -> list[dict[str, Any]]:
        return items(user(ToolResult(call_id="x", content=content), Text(text="u")))

    assert [item["content"][0]["text"] for item in lone(Text(text="r"))] == ["Tool result: r", "u"]
    assert [item["content"][0]["text"] for item in lone()] == ["u"]
    assert [part["type"] for part in lone(PNG)[0]["content"]] == ["input_text", "input_image"]
    late = items(user(ToolResult(call_id="t1", content=(Text(text="r"),))), assistant(CALL))
    assert [item["type"] for item in late] == ["message", "function_call"]


def test_reasoning_goes_back_to_its_own_kind_only() -> None:  # E125
    own = Signature(origin="openai_responses", value="gAAA", id="rs_1")
    assert items(assistant(Thinking(text="t", signature=own))) == [
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "t"}],
            "encrypted_content": "gAAA",
        }
    ]
    foreign = Signature(origin="anthropic", value="U0lH")
    history = assistant(Thinking(text="t", signature=foreign), Thinking(text="t"))
    assert items(history) == []
    assert lost(history) == []


@pytest.mark.parametrize(
    ("media", "part"),
    [
        (PNG, {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}),
        (
            Media(kind="image", source=Url("https://x/y.png"), detail="low"),
            {"type": "input_image", "image_url": "https://x/y.png", "detail": "low"},
        ),
        (
            Media(kind="image", source=Base64("/9j/4AAQ"), media_type="image/png"),
            {"type": "input_image", "image_url": "data:image/jpeg;base64,/9j/4AAQ"},
        ),
        (
            Media(kind="image", source=FileId("openai", "file-1")),
            {"type": "input_image", "file_id": "file-1"},
        ),
        (
            Media(kind="document", source=Base64("JVBERi0="), media_type="application/pdf", name="r.pdf"),
            {
                "type": "input_file",
                "filename": "r.pdf",
                "file_data": "data:application/pdf;base64,JVBERi0=",
            },
        ),
        (
            Media(kind="document", source=Base64("JVBERi0=")),
            {
                "type": "input_file",
                "filename": "document.pdf",
                "file_data": "data:application/pdf;base64,JVBERi0=",
            },
        ),
        (
            Media(kind="document", source=Url("https://x/r.pdf")),
            {"type": "input_file", "file_url": "https://x/r.pdf"},
        ),
        (
            Media(kind="document", source=FileId("openai", "file-1")),
            {"type": "input_file", "file_id": "file-1"},
        ),
        (
            Media(kind="audio", source=Base64("AAAA"), media_type="audio/mpeg"),
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
        ),
    ],
)
def test_media(media: Media, part: dict[str, Any]) -> None:  # E014, E075, E076
    assert media_part(media, "anthropic") == part


@pytest.mark.parametrize(
    "media",
    [
        Media(kind="video", source=Base64("AAAA"), media_type="video/mp4"),
        Media(kind="audio", source=Base64("AAAA"), media_type="audio/flac"),
        Media(kind="audio", source=Url("https://x/a.mp3"), media_type="audio/mpeg"),
        Media(kind="document", source=FileId("anthropic", "file_1")),
        Media(kind="image", source=FileId("google", "files/1")),
    ],
)
def test_media_that_cannot_go_are_refused(media: Media) -> None:
    at = ("messages", 0, "content", 1)
    with pytest.raises(Fault) as raised:
        media_part(
            Media(kind=media.kind, source=media.source, media_type=media.media_type, at=at), "anthropic"
        )
    assert (raised.value.status, raised.value.param) == (400, "messages.0.content.1")


def test_losses() -> None:
    at = ("messages", 0, "content", 0)
    marked = Text(text="x", cache=Cache(ttl="1h"), at=at)
    assert lost(user(marked)) == [(*at, "cache_control")]
    strange = Opaque(origin="anthropic", kind="container_upload", raw={}, at=at)
    assert lost(user(strange)) == [at]
    assert lost(Turn(role="user", name="bob", blocks=(Text(text="x"),), at=at)) == [(*at, "name")]
    assert lost(assistant(Media(kind="image", source=Base64("A"), at=at))) == [at]
    assert lost(Turn(role="assistant", blocks=(Thinking(text="t", at=at),)), origin="openai_responses") == [
        at
    ]


def test_foreign_blocks_with_words_are_text() -> None:
    block = Opaque(origin="anthropic", kind="search_result", raw={}, text="found")
    assert items(user(block))[0]["content"] == [{"type": "input_text", "text": "found"}]


def test_own_items_parts_and_ids_go_back() -> None:
    item = {"type": "web_search_call", "id": "ws_1"}
    part = {"type": "computer_screenshot", "image_url": "x"}
    searched = Opaque(origin="openai_responses", kind="web_search_call", raw=item, at=("input", 0))
    shot = Opaque(
        origin="openai_responses", kind="computer_screenshot", raw=part, at=("input", 1, "content", 0)
    )
    assert items(
        Turn(role="assistant", blocks=(searched,), at=("input", 0)),
        Turn(role="user", blocks=(shot,), id="msg_1", at=("input", 1)),
        Turn(role="assistant", blocks=(Text(text="a"),), id="msg_2", phase="final_answer"),
        origin="openai_responses",
    ) == [
        item,
        {"id": "msg_1", "type": "message", "role": "user", "content": [part]},
        {
            "id": "msg_2",
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "a", "annotations": []}],
            "phase": "final_answer",
        },
    ]
    assert "id" not in items(Turn(role="user", blocks=(Text(text="x"),), id="msg_01"))[0]


def test_instructions() -> None:
    made = writer()
    system = (Text(text="x-anthropic-billing-header: cc=1"), Text(text="A", cache=Cache()), Text(text="B"))
    assert made.instructions(system) == "A\n\nB"
    assert [loss.at for loss in made.losses] == [("cache_control",)]
    assert made.instructions((PNG,)) == ""
    assert len(made.losses) == 2
