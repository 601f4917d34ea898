from __future__ import annotations

from typing import Any

import pytest

from dragoman.core.conversation import (
    Base64,
    Block,
    Cache,
    Citation,
    Conversation,
    Loss,
    Media,
    Opaque,
    Refusal,
    Signature,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
)
from dragoman.core.facts import Facts
from dragoman.core.tools import WireNames
from dragoman.dialects.openai_chat.message_writer import Writing, write_messages

PNG = Media(kind="image", source=Base64("AAAA"), media_type="image/png")
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


def user(*blocks: Block, **more: Any) -> Turn:
    return Turn(role="user", blocks=blocks, **more)


def assistant(*blocks: Block) -> Turn:
    return Turn(role="assistant", blocks=blocks)


def write(
    *turns: Turn, origin: Any = "anthropic", facts: Facts | None = None, system: tuple[Block, ...] = ()
) -> tuple[list[Any], list[Loss]]:
    losses: list[Loss] = []
    conversation = Conversation(origin=origin, turns=turns, system=system)
    return write_messages(Writing(conversation, facts or Facts(), WireNames(()), losses)), losses


def messages(*turns: Turn, **more: Any) -> list[Any]:
    return write(*turns, **more)[0]


def call(call_id: str, name: str = "f", arguments: str = "{}") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


class TestSystem:
    def test_blocks_are_parts_without_marks(self) -> None:  # E004, E139
        system = (Text(text="A", cache=Cache(), at=("system", 0)), Text(text="B", at=("system", 1)))
        out, losses = write(user(Text(text="U")), system=system)
        parts = [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}]
        assert out == [{"role": "system", "content": parts}, {"role": "user", "content": "U"}]
        assert [loss.at for loss in losses] == [("system", 0, "cache_control")]

    def test_marks_go_where_they_are_taken(self) -> None:
        out = messages(system=(Text(text="A", cache=Cache(ttl="1h")),), facts=Facts(cache_control=True))
        mark = {"type": "ephemeral", "ttl": "1h"}
        assert out == [{"role": "system", "content": [{"type": "text", "text": "A", "cache_control": mark}]}]

    def test_developer_is_a_role_of_openai_only(self) -> None:
        turn = Turn(role="developer", blocks=(Text(text="B"),))
        assert messages(turn) == [{"role": "system", "content": "B"}]
        assert messages(turn, facts=Facts(developer_role=True)) == [{"role": "developer", "content": "B"}]

    def test_system_turns_stay_in_their_place(self) -> None:
        turns = (user(Text(text="1")), Turn(role="system", blocks=(Text(text="S"),)), user(Text(text="2")))
        assert [(m["role"], m["content"]) for m in messages(*turns)] == [
            ("user", "1"),
            ("system", "S"),
            ("user", "2"),
        ]

    def test_claude_codes_billing_line_is_dropped_silently(self) -> None:
        line = Text(text="x-anthropic-billing-header: cc_version=1", at=("system", 0))
        assert write(system=(line, Text(text="A"))) == ([{"role": "system", "content": "A"}], [])

    def test_what_is_no_text_is_a_loss(self) -> None:
        _, losses = write(system=(Media(kind="image", source=Base64("A"), at=("system", 1)), Text(text="A")))
        assert [loss.at for loss in losses] == [("system", 1)]


class TestUser:
    def test_text_and_image(self) -> None:  # E014
        link = Media(kind="image", source=Base64("AAAA"), media_type="image/png", detail="low")
        (message,) = messages(user(Text(text="t"), link))
        image = {"url": "data:image/png;base64,AAAA", "detail": "low"}
        assert message["content"] == [
            {"type": "text", "text": "t"},
            {"type": "image_url", "image_url": image},
        ]

    def test_names_stay_in_chat(self) -> None:
        assert messages(user(Text(text="x"), name="bob"), origin="openai_chat")[0]["name"] == "bob"
        assert "name" not in messages(user(Text(text="x"), name="bob"))[0]

    def test_foreign_blocks(self) -> None:
        readable = Opaque(origin="anthropic", kind="search_result", raw={}, text="found", at=("a",))
        dark = Opaque(origin="anthropic", kind="container_upload", raw={}, at=("b",))
        out, losses = write(user(readable, dark))
        assert out == [{"role": "user", "content": "found"}]
        assert [loss.at for loss in losses] == [("b",)]

    def test_own_unknown_parts_go_back_as_they_were(self) -> None:
        raw = {"type": "tomorrow", "x": 1}
        part = Opaque(origin="openai_chat", kind="tomorrow", raw=raw)
        assert messages(user(part), origin="openai_chat") == [{"role": "user", "content": [raw]}]

    def test_an_empty_turn_is_no_message(self) -> None:
        assert messages(user(Text(text=""))) == []


class TestResults:
    def test_come_before_what_the_user_says(self) -> None:  # E049
        out = messages(
            assistant(ToolCall(id="t1", name="f")),
            user(Text(text="note"), ToolResult(call_id="t1", content=(Text(text="r"),))),
        )
        assert out[1:] == [
            {"role": "tool", "tool_call_id": "t1", "content": "r"},
            {"role": "user", "content": "note"},
        ]

    def test_errors_are_marked(self) -> None:  # E052
        out = messages(
            assistant(ToolCall(id="t1", name="f")),
            user(ToolResult(call_id="t1", is_error=True, content=(Text(text="boom"),))),
        )
        assert out[1]["content"] == "Error: boom"

    def test_images_follow_the_last_tool_message_of_the_group(self) -> None:  # E054
        out = messages(
            assistant(ToolCall(id="t1", name="f"), ToolCall(id="t2", name="g")),
            user(
                ToolResult(call_id="t1", content=(Text(text="shot"), PNG)),
                ToolResult(call_id="t2", content=(Text(text="b"),)),
            ),
        )
        assert out[1:] == [
            {"role": "tool", "tool_call_id": "t1", "content": "shot"},
            {"role": "tool", "tool_call_id": "t2", "content": "b"},
            {"role": "user", "content": [IMAGE]},
        ]

    def test_calls_of_neighbouring_turns_are_one_message(self) -> None:  # E060
        out = messages(
            assistant(ToolCall(id="c1", name="f")),
            assistant(ToolCall(id="c2", name="g")),
            user(ToolResult(call_id="c1", content=(Text(text="1"),))),
            user(ToolResult(call_id="c2", content=(Text(text="2"),))),
        )
        assert [m["role"] for m in out] == ["assistant", "tool", "tool"]
        assert out[0]["tool_calls"] == [call("c1"), call("c2", "g")]

    def test_a_message_between_call_and_result_comes_behind(self) -> None:  # E062
        out = messages(
            assistant(ToolCall(id="c1", name="f")),
            user(Text(text="warning")),
            user(ToolResult(call_id="c1", content=(Text(text="r"),))),
        )
        assert [m["role"] for m in out] == ["assistant", "tool", "user"]

    def test_ids_are_made_the_same_way_every_time(self) -> None:  # E059
        turns = (
            assistant(
                ToolCall(id="", name="f", arguments='{"a":1}'), ToolCall(id="", name="f", arguments='{"a":2}')
            ),
            user(ToolResult(call_id="", name="f", content=(Text(text="1"),))),
            user(ToolResult(call_id="", name="f", content=(Text(text="2"),))),
        )
        out = messages(*turns, origin="gemini")
        ids = [one["id"] for one in out[0]["tool_calls"]]
        assert len(set(ids)) == 2
        assert [(m["tool_call_id"], m["content"]) for m in out[1:]] == [(ids[0], "1"), (ids[1], "2")]
        assert messages(*turns, origin="gemini") == out

    def test_long_ids_are_shortened_alike(self) -> None:  # E065
        long = "call_" + "x" * 100
        out = messages(
            assistant(ToolCall(id=long, name="f")), user(ToolResult(call_id=long, content=(Text(text="r"),)))
        )
        made = out[0]["tool_calls"][0]["id"]
        assert len(made) <= 40
        assert out[1]["tool_call_id"] == made

    def test_geminis_objects_are_json(self) -> None:
        out = messages(
            assistant(ToolCall(id="c", name="f")),
            user(ToolResult(call_id="c", structured={"z": 1, "a": [True]}, content=(Text(text="partly"),))),
            origin="gemini",
        )
        assert out[1]["content"] == '{"z":1,"a":[true]}'

    def test_what_cannot_be_carried_is_a_loss(self) -> None:
        dark = Opaque(origin="anthropic", kind="tool_reference", raw={}, at=("x",))
        _, losses = write(
            assistant(ToolCall(id="c", name="f", cache=Cache(), at=("y",))),
            user(ToolResult(call_id="c", content=(dark,), cache=Cache(), at=("z",))),
        )
        assert {loss.at for loss in losses} == {("x",), ("y", "cache_control"), ("z", "cache_control")}


class TestAssistant:
    def test_calls_without_text_have_null_content(self) -> None:  # E047: arguments are kept as they are
        arguments = '{"n":12345678901234567890,"s":"é","z":1.0}'
        out = messages(assistant(ToolCall(id="c", name="f", arguments=arguments)))
        assert out == [{"role": "assistant", "content": None, "tool_calls": [call("c", "f", arguments)]}]

    def test_free_text_calls_are_wrapped(self) -> None:
        out = messages(assistant(ToolCall(id="c", name="p", arguments='x "y"', custom=True)))
        assert out[0]["tool_calls"] == [call("c", "p", '{"input":"x \\"y\\""}')]

    def test_several_texts_are_one_string_for_servers_that_take_no_parts(self) -> None:
        cited = Text(text="b", citations=(Citation(url="u"),))
        turn = assistant(Text(text="a"), cited, Text(text="c"), Text(text="d"))
        assert messages(turn)[0]["content"] == "abc\n\nd"
        parts = messages(turn, facts=Facts(developer_role=True))[0]["content"]
        assert [part["text"] for part in parts] == ["a", "b", "c", "d"]

    def test_refusals(self) -> None:
        turn = assistant(Refusal(text="No."))
        assert messages(turn) == [{"role": "assistant", "content": "No."}]
        openai = messages(turn, facts=Facts(developer_role=True))
        assert openai == [{"role": "assistant", "content": None, "refusal": "No."}]

    def test_reasoning_is_left_out(self) -> None:  # E125
        thought = Thinking(text="t", signature=Signature(origin="anthropic", value="S"))
        assert messages(assistant(thought, Text(text="a"))) == [{"role": "assistant", "content": "a"}]
        assert messages(assistant(thought)) == []

    def test_reasoning_goes_back_where_it_is_wanted(self) -> None:
        thought = Thinking(text="t", signature=Signature(origin="anthropic", value="S"))
        google = ToolCall(id="c", name="f", signature=Signature(origin="gemini", value="Zw=="))
        (message,) = messages(assistant(thought, google), facts=Facts(reasoning_details=True))
        assert message["reasoning_content"] == "t"
        assert message["reasoning_details"] == [
            {
                "type": "reasoning.text",
                "text": "t",
                "signature": "S",
                "format": "anthropic-claude-v1",
                "index": 0,
            }
        ]
        assert "extra_content" not in message["tool_calls"][0]  # only Google's own models know it
        (message,) = messages(assistant(google), facts=Facts(signed_calls=True))
        assert message["tool_calls"][0]["extra_content"] == {"google": {"thought_signature": "Zw=="}}
        (lost,) = messages(assistant(google), facts=Facts(reasoning_details=True))
        assert lost["reasoning_content"] == ""  # DeepSeek wants the member with every call
        (plain,) = messages(
            assistant(Thinking(text="t"), Text(text="a")), facts=Facts(reasoning_details=True)
        )
        assert plain == {"role": "assistant", "content": "a", "reasoning_content": "t"}

    def test_media_are_a_loss(self) -> None:
        _, losses = write(assistant(Text(text="a"), Media(kind="image", source=Base64("A"), at=("m",))))
        assert [loss.at for loss in losses] == [("m",)]

    def test_spoken_answers_go_back_to_their_vendor(self) -> None:
        audio = Opaque(origin="openai_chat", kind="audio", raw={"id": "audio_1"})
        out = messages(assistant(audio), origin="openai_chat")
        assert out == [{"role": "assistant", "content": None, "audio": {"id": "audio_1"}}]


@pytest.mark.parametrize("origin", ["anthropic", "openai_responses", "gemini", "openai_chat"])
def test_an_orphaned_result_is_text(origin: str) -> None:  # E063
    out = messages(user(ToolResult(call_id="gone", content=(Text(text="r"),))), origin=origin)
    assert out == [{"role": "user", "content": "Tool result: r"}]
