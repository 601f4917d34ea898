"""Turns for Anthropic: order, merging, blocks."""

from __future__ import annotations

import json

import msgspec
import pytest

from dragoman.core.conversation import (
    Base64,
    Cache,
    Citation,
    Conversation,
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
from dragoman.core.faults import Fault
from dragoman.core.history import paired
from dragoman.core.tools import WireNames
from dragoman.dialects.anthropic.marks import Marks
from dragoman.dialects.anthropic.turn_writer import TurnWriter, leading


def t(words, **more):
    return Text(text=words, **more)


def turn(role, *blocks, **more):
    return Turn(role=role, blocks=tuple(t(b) if isinstance(b, str) else b for b in blocks), **more)


def write(*turns, system=(), origin="openai_chat", facts=None, custom=False):
    """(system, messages, losses)"""
    conversation, losses = Conversation(origin=origin, turns=turns), []
    writer = TurnWriter(conversation, facts or Facts(), WireNames(()), Marks(), losses)
    inner = paired(turns)
    written = {"system": writer.system(system, inner), "messages": writer.messages(inner)}
    plain = json.loads(msgspec.json.encode(written))
    return plain["system"], plain["messages"], losses


def messages(*turns, **more):
    return write(*turns, **more)[1]


def test_opening_instructions_e002():
    system, told, _ = write(
        turn("system", "A"), turn("developer", "B", " "), turn("user", "U"), system=(t("S", cache=Cache()),)
    )
    assert system == [
        {"type": "text", "text": "S", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "A"},
        {"type": "text", "text": "B"},
    ]
    assert told == [{"role": "user", "content": "U"}]
    assert leading([turn("system", "A"), turn("user", "U"), turn("system", "B")]) == 1


def test_instructions_among_the_turns_e005():
    history = (turn("user", "1"), turn("assistant", "2"), turn("system", "Be brief"), turn("user", "3"))
    assert messages(*history, facts=Facts(system_turns=True))[2] == {"role": "system", "content": "Be brief"}
    told = messages(*history)
    assert [one["role"] for one in told] == ["user", "assistant", "user"]
    assert [block["text"] for block in told[2]["content"]] == ["Be brief", "3"]


def test_instructions_without_a_user_turn_behind_them():
    assert messages(turn("user", "1"), turn("system", "S"))[0]["content"][1] == {"type": "text", "text": "S"}
    told = messages(turn("user", "1"), turn("system", "S"), turn("assistant", "2"))
    assert [one["role"] for one in told] == ["user", "assistant"]
    alone = messages(turn("user", "1"), turn("assistant", "2"), turn("developer", "S"))
    assert alone[2] == {"role": "user", "content": "S"}


def test_results_stay_in_front_of_instructions():
    told = messages(
        turn("user", "q"),
        turn("assistant", ToolCall(id="c", name="f")),
        turn("system", "S"),
        turn("user", ToolResult(call_id="c", content=(t("r"),)), "go on"),
    )
    assert [block["type"] for block in told[2]["content"]] == ["tool_result", "text", "text"]
    assert [block.get("text") for block in told[2]["content"]] == [None, "S", "go on"]


def test_neighbours_merge_e007_and_names_go_e012():
    _, told, losses = write(turn("user", "A", name="bob", at=("messages", 0)), turn("user", "B"))
    assert told == [
        {"role": "user", "content": [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}]}
    ]
    assert [loss.at for loss in losses] == [("messages", 0, "name")]


@pytest.mark.parametrize("turns", [(), (turn("system", "S"),), (turn("user", " "),)])
def test_there_is_always_a_user_message(turns):
    assert messages(*turns) == [{"role": "user", "content": "..."}]


def test_the_user_speaks_first():
    told = messages(turn("assistant", "Hello"), turn("user", "Hi"))
    assert [one["role"] for one in told] == ["user", "assistant", "user"]
    assert told[0]["content"] == "..."


def test_prefill_e009():
    history = (turn("user", "q"), turn("assistant", "Answer: \n", at=("messages", 1)))
    assert messages(*history)[-1] == {"role": "assistant", "content": "Answer:"}
    with pytest.raises(Fault) as caught:
        messages(*history, facts=Facts(prefill=False))
    assert (caught.value.status, caught.value.param) == (400, "messages[1]")
    # A paused turn ends with a block of the vendor's; it may be continued.
    paused = turn(
        "assistant", Opaque(origin="anthropic", kind="server_tool_use", raw={"type": "server_tool_use"})
    )
    assert messages(turn("user", "q"), paused, facts=Facts(prefill=False), origin="anthropic")[-1][
        "content"
    ] == [{"type": "server_tool_use"}]


def test_calls_e045_e010_and_blank_text():
    told = messages(
        turn("user", "q"),
        turn(
            "assistant",
            "",
            ToolCall(id="call_1", name="f", arguments='{"city":"NY","n":12345678901234567890}'),
        ),
        turn("user", ToolResult(call_id="call_1", content=(t("r"),), is_error=True)),
    )
    assert told[1]["content"] == [
        {"type": "tool_use", "id": "call_1", "name": "f", "input": {"city": "NY", "n": 12345678901234567890}}
    ]
    assert told[2]["content"] == [
        {"type": "tool_result", "tool_use_id": "call_1", "content": "r", "is_error": True}
    ]


@pytest.mark.parametrize(
    ("origin", "at", "path"),
    [
        ("openai_chat", ("messages", 1, "tool_calls", 0), "messages[1].tool_calls[0].function.arguments"),
        ("openai_responses", ("input", 3), "input[3].arguments"),
    ],
)
@pytest.mark.parametrize("arguments", ['{"city":', "[1]", "null", ""])
def test_arguments_that_are_no_object_e046(origin, at, path, arguments):
    with pytest.raises(Fault) as caught:
        messages(turn("assistant", ToolCall(id="c", name="f", arguments=arguments, at=at)), origin=origin)
    assert (caught.value.status, caught.value.param) == (400, path)


def test_free_text_calls():
    call = ToolCall(id="c", name="patch", arguments="*** Begin", custom=True)
    assert messages(turn("assistant", call))[1]["content"][0]["input"] == {"input": "*** Begin"}


def test_ids_e064():
    odd = "functions.get_weather:0"
    told = messages(
        turn("assistant", ToolCall(id=odd, name="f")),
        turn("user", ToolResult(call_id=odd, content=(t("1"),))),
        turn("assistant", ToolCall(id=odd, name="f")),
        turn("user", ToolResult(call_id=odd, content=(t("2"),))),
    )
    uses = [told[1]["content"][0]["id"], told[3]["content"][0]["id"]]
    results = [told[2]["content"][0]["tool_use_id"], told[4]["content"][0]["tool_use_id"]]
    assert uses == results and len(set(uses)) == 2
    assert all(all(c.isalnum() or c in "_-" for c in one) and len(one) <= 64 for one in uses)


def test_orphan_results_e063():
    told = messages(turn("user", ToolResult(call_id="x", content=(t("42"),))))
    assert told == [{"role": "user", "content": "Tool result: 42"}]


def test_what_results_hold():
    image = Media(kind="image", source=Base64("AAAA"), media_type="image/png")
    opaque = Opaque(origin="gemini", kind="x", raw={}, text="told")

    def content(**result):
        call = turn("assistant", ToolCall(id="c", name="f"))
        return messages(call, turn("user", ToolResult(call_id="c", **result)))[2]["content"][0]

    assert [block["type"] for block in content(content=(t("shot"), image))["content"]] == ["text", "image"]
    assert content(structured={"a": 1})["content"] == '{"a":1}'
    assert content(content=(opaque,))["content"] == "told"
    assert "content" not in content(content=(t(""),))


def test_thinking_e124_e125():
    own = Signature(origin="anthropic", value="S")
    foreign = Signature(origin="openai_responses", value="E")
    told = messages(
        turn("user", "q"),
        turn(
            "assistant",
            Thinking(text="t", signature=own),
            Thinking(signature=Signature(origin="anthropic", value="D"), redacted=True),
            Thinking(text="secret"),
            Thinking(text="secret", signature=foreign),
            "answer",
        ),
        turn("user", "next"),
    )
    assert told[1]["content"] == [
        {"type": "thinking", "thinking": "t", "signature": "S"},
        {"type": "redacted_thinking", "data": "D"},
        {"type": "text", "text": "answer"},
    ]


def test_citations_of_our_own_go_back():
    own = {"type": "web_search_result_location", "url": "https://x", "encrypted_index": "E"}
    text = t("x", citations=(Citation(extra=own, origin="anthropic"), Citation(url="https://y")))
    told = messages(turn("user", "q"), turn("assistant", text), turn("user", "n"))
    assert told[1]["content"] == [{"type": "text", "text": "x", "citations": [own]}]


def test_what_cannot_be_carried():
    image = Media(kind="image", source=Base64("AAAA"), media_type="image/png", at=("i",))
    _, told, losses = write(
        turn("system", image),
        turn("user", "q", Opaque(origin="gemini", kind="x", raw={}, at=("o",))),
        turn("assistant", image, Refusal(text="No."), Opaque(origin="gemini", kind="y", raw={}, text="code")),
        turn("user", "n"),
        origin="gemini",
    )
    assert [block["text"] for block in told[1]["content"]] == ["No.", "code"]
    assert [loss.at for loss in losses] == [("i",), ("o",), ("i",)]


def test_the_billing_header_stays_with_anthropics_clients():
    header = t("x-anthropic-billing-header: cc_version=2")
    assert write(system=(header,), origin="anthropic")[0][0]["text"] == header.text
    assert write(system=(header,), origin="openai_chat")[0] == []
