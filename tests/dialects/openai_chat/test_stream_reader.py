from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.core.conversation import (
    Annotated,
    Block,
    Choice,
    Citation,
    Closed,
    Delta,
    Ended,
    Event,
    Failed,
    Finished,
    Logprobs,
    Opened,
    Refusal,
    Signature,
    Signed,
    Start,
    Text,
    Thinking,
    ToolCall,
    UsageSeen,
)
from dragoman.core.streams import Folded
from dragoman.core.usage import Usage
from dragoman.dialects.openai_chat.stream_reader import ChatReader

CLAUDE = Signature(origin="anthropic", value="SIG")
DONE = b"[DONE]"


def chunk(delta: Any = None, finish: Any = None, **more: Any) -> bytes:
    choice = {
        "index": more.pop("index", 0),
        "delta": delta if delta is not None else {},
        "finish_reason": finish,
    }
    return json.dumps({"id": "x", "model": "m", "created": 5, "choices": [choice], **more}).encode()


def tool(
    arguments: Any = None, name: str | None = None, call_id: str | None = None, **more: Any
) -> dict[str, Any]:
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    return {**({"id": call_id} if call_id else {}), "function": function, **more}


def calls(*tools: dict[str, Any], finish: Any = None) -> bytes:
    return chunk({"tool_calls": list(tools)}, finish)


def events(*frames: bytes) -> list[Event]:
    reader = ChatReader()
    out = [event for frame in frames for event in reader.feed(frame)]
    out += reader.finish()
    check(out)
    return out


def check(out: list[Event]) -> None:
    """The grammar: blocks numbered without gaps, deltas only while open, texts alone, everything closed at the end."""
    opened: dict[int, int] = {}
    open_: dict[tuple[int, int], Block] = {}
    finished: set[int] = set()
    signed: set[tuple[int, int]] = set()
    for event in out:
        match event:
            case Opened(index=index, block=block, choice=choice):
                assert index == opened.get(choice, 0)
                opened[choice] = index + 1
                open_[choice, index] = block
                assert choice not in finished
            case Delta(index=index, choice=choice):
                assert (choice, index) in open_
            case Signed(index=index, choice=choice):
                assert (choice, index) in open_
                assert (choice, index) not in signed
                signed.add((choice, index))
            case Closed(index=index, choice=choice):
                del open_[choice, index]
            case Finished(choice=choice):
                assert choice not in finished
                finished.add(choice)
    assert open_ == {}
    assert isinstance(out[-1], Ended | Failed)
    assert sum(isinstance(event, Ended | Failed) for event in out) == 1
    if isinstance(out[-1], Ended):
        assert finished >= set(opened)


def folded(*frames: bytes) -> Choice:
    fold = Folded()
    for event in events(*frames):
        fold.feed(event)
    (choice,) = fold.answer().choices
    return choice


def failed(out: list[Event]) -> Failed:
    assert isinstance(out[-1], Failed)
    return out[-1]


USAGE = {"prompt_tokens": 9, "completion_tokens": 2}


def test_text() -> None:  # E180
    out = events(
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "Hel"}),
        chunk({"content": "lo"}),
        chunk({}, "stop"),
        json.dumps({"choices": [], "usage": USAGE}).encode(),
        DONE,
    )
    assert out == [
        Start(model="m", id="x", created=5),
        Opened(index=0, block=Text(text="")),
        Delta(index=0, text="Hel"),
        Delta(index=0, text="lo"),
        UsageSeen(usage=Usage(input=9, output=2)),
        Closed(index=0),
        Finished(finish="stop"),
        Ended(),
    ]


def test_the_last_finish_counts() -> None:
    """Some servers write one into every chunk."""
    said = (chunk({"content": "a"}, "stop"), chunk({"content": "b"}, "stop"), chunk(finish="length"), DONE)
    assert folded(*said) == Choice(blocks=(Text(text="ab"),), finish="length")
    late = (calls(tool("{}", "f", "a", index=0), finish="stop"), calls(tool("{}", "g", "b", index=1)), DONE)
    assert [block.name for block in folded(*late).blocks] == ["f", "g"]  # type: ignore[union-attr]
    assert folded(*late).finish == "tool_calls"


def test_the_whole_message_behind_its_deltas_says_nothing_new() -> None:  # MiniMax
    whole = {"message": {"role": "assistant", "content": "Hello"}, "index": 0, "finish_reason": "stop"}
    last = json.dumps({"object": "chat.completion", "choices": [whole]}).encode()
    assert folded(chunk({"content": "Hel"}), chunk({"content": "lo"}), last).blocks == (Text(text="Hello"),)
    assert folded(last).blocks == (Text(text="Hello"),)


@pytest.mark.parametrize(
    ("frame", "status", "message"),
    [
        ({"choices": [{"index": 0, "finish_reason": "error", "error": {"code": 429, "message": "M"}}]}, 429, "M"),
        ({"choices": [{"index": 0, "delta": {}, "finish_reason": "network_error"}]}, 502, ""),
        ({"choices": [{"index": 0, "delta": {}, "finish_reason": "insufficient_system_resource"}]}, 502, ""),
        ({"detail": "M"}, 502, "M"),
        ({"code": "InvalidParameter", "message": "M"}, 502, "M"),
        ({"status_code": 400, "message": "M"}, 400, "M"),
        ({"error_code": 336003, "error_msg": "M"}, 502, "M"),
        ({"choices": None, "base_resp": {"status_code": 1004, "status_msg": "M"}}, 502, "M"),
    ],
)  # fmt: skip
def test_errors_that_are_no_error_frames(frame: dict[str, Any], status: int, message: str) -> None:
    out = events(chunk({"content": "par"}), json.dumps(frame).encode(), DONE)
    assert [type(event) for event in out] == [Start, Opened, Delta, Closed, Failed]
    fault = failed(out).fault
    assert (fault.status, fault.owner) == (status, "upstream") and message in fault.message


@pytest.mark.parametrize(
    "frame",
    [{"object": "ping"}, {"message": "processing"}, {"base_resp": {"status_code": 0}, "choices": None}],
)
def test_frames_that_are_no_errors(frame: dict[str, Any]) -> None:
    out = events(chunk({"content": "x"}), json.dumps(frame).encode(), chunk(finish="stop"), DONE)
    assert isinstance(out[-1], Ended)


def test_reasoning_in_an_object() -> None:
    said = (chunk({"reasoning": {"content": "hm"}}), chunk({"content": "x"}), chunk(finish="stop"), DONE)
    assert folded(*said).blocks == (Thinking(text="hm"), Text(text="x"))


def test_choices_whose_index_is_a_string() -> None:
    out = events(chunk({"content": "a"}, "stop", index="0"), chunk({"content": "b"}, "stop", index="1"), DONE)
    assert [event.choice for event in out if isinstance(event, Delta)] == [0, 1]


def test_text_goes_out_with_its_frame() -> None:
    reader = ChatReader()
    reader.feed(chunk({"role": "assistant"}))
    assert Delta(index=0, text="a") in reader.feed(chunk({"content": "a"}))


def test_interleaved_calls_close_as_soon_as_they_are_whole() -> None:  # E182
    out = events(
        calls(tool("", "a", "call_a", index=0)),
        calls(tool("", "b", "call_b", index=1)),
        calls(tool('{"x":', index=0)),
        calls(tool('{"y":', index=1)),
        calls(tool("1}", index=0)),
        calls(tool("2}", index=1)),
        chunk({}, "tool_calls"),
        DONE,
    )
    assert out[1:] == [
        Opened(index=0, block=ToolCall(id="call_a", name="a", arguments="")),
        Opened(index=1, block=ToolCall(id="call_b", name="b", arguments="")),
        Delta(index=0, text='{"x":'),
        Delta(index=1, text='{"y":'),
        Delta(index=0, text="1}"),
        Closed(index=0),
        Delta(index=1, text="2}"),
        Closed(index=1),
        Finished(finish="tool_calls"),
        Ended(),
    ]


ONE, TWO = ToolCall(id="a", name="f", arguments='{"x":1}'), ToolCall(id="b", name="g", arguments="{}")


@pytest.mark.parametrize(
    "frames",
    [
        # Sequential, in pieces.
        [
            calls(tool("", "f", "a", index=0)),
            calls(tool('{"x":1}', index=0)),
            calls(tool("{}", "g", "b", index=1)),
        ],
        # Indexes from 1 (E189).
        [calls(tool('{"x":1}', "f", "a", index=1)), calls(tool("{}", "g", "b", index=2))],
        # No index at all (E189), in one chunk and in pieces.
        [calls(tool('{"x":1}', "f", "a"), tool("{}", "g", "b"))],
        [calls(tool('{"x"', "f", "a")), calls(tool(":1}")), calls(tool("{}", "g", "b"))],
        # All with index 0, told apart by their ids.
        [calls(tool('{"x":1}', "f", "a", index=0), tool("{}", "g", "b", index=0))],
        # Id and name repeated in every piece.
        [
            calls(tool('{"x"', "f", "a", index=0)),
            calls(tool(":1}", "f", "a", index=0)),
            calls(tool("{}", "g", "b", index=1)),
        ],
        # The name after the id, the arguments before the name.
        [
            calls(tool(None, None, "a", index=0)),
            calls(tool('{"x"', index=0)),
            calls(tool(":1}", "f", index=0)),
            calls(tool("{}", "g", "b", index=1)),
        ],
        # Arguments as an object.
        [calls(tool({"x": 1}, "f", "a", index=0)), calls(tool({}, "g", "b", index=1))],
        # Id and name repeated, another id in every piece (old vLLM).
        [
            calls(tool("", "f", "a", index=0)),
            calls(tool('{"x"', "f", "a1", index=0)),
            calls(tool(":1}", None, "a2", index=0)),
            calls(tool("{}", "g", "b", index=1)),
        ],
        # Indexes as strings, interleaved.
        [
            calls(tool("", "f", "a", index="0"), tool("", "g", "b", index="1")),
            calls(tool('{"x":', index="0")),
            calls(tool("{}", index="1")),
            calls(tool("1}", index="0")),
        ],
        # The id after the name.
        [
            calls(tool(None, "f", "a", index=0)),
            calls(tool('{"x":1}', index=0)),
            calls(tool("{}", "g", "b", index=1)),
        ],
        # White space behind the whole object.
        [
            calls(tool('{"x":1}', "f", "a", index=0)),
            calls(tool(" \n", index=0)),
            calls(tool("{}", "g", "b", index=1)),
        ],
    ],
)
def test_calls_however_they_come(frames: list[bytes]) -> None:
    assert folded(*frames, chunk({}, "stop"), DONE) == Choice(blocks=(ONE, TWO), finish="tool_calls")  # E149


NAMED = [("f", '{"x":1}'), ("g", "{}")]


@pytest.mark.parametrize(
    ("frames", "ids"),
    [
        # One id for all of them.
        ([calls(tool('{"x":1}', "f", "a", index=0)), calls(tool("{}", "g", "a", index=1))], ["a", ""]),
        # All with index 0 and no id.
        ([calls(tool('{"x":1}', "f", index=0)), calls(tool("{}", "g", index=0))], ["", ""]),
        # Neither index nor id, the name in every piece.
        ([calls(tool('{"x"', "f")), calls(tool(":1}", "f")), calls(tool("{}", "g"))], ["", ""]),
        # The name in every piece, also in one behind the arguments.
        (
            [
                calls(tool('{"x":1}', "f", index=0)),
                calls(tool("", "f", index=0)),
                calls(tool("{}", "g", index=1)),
            ],
            ["", ""],
        ),
    ],
)
def test_calls_without_ids_of_their_own(frames: list[bytes], ids: list[str]) -> None:
    found = [block for block in folded(*frames, DONE).blocks if isinstance(block, ToolCall)]
    assert [(block.name, block.arguments) for block in found] == NAMED
    assert [block.id for block in found] == ids


def test_a_whole_call_in_one_chunk_with_its_finish() -> None:  # E187
    out = events(calls(tool('{"x":1}', "f", "a", index=0), finish="tool_calls"), DONE)
    assert [type(event) for event in out] == [Start, Opened, Delta, Closed, Finished, Ended]


def test_a_call_without_arguments() -> None:  # E190
    out = events(calls(tool("", "f", "a", index=0)), chunk({}, "tool_calls"), DONE)
    assert [type(event) for event in out] == [Start, Opened, Closed, Finished, Ended]


def test_the_text_that_ends_a_call_is_kept() -> None:  # E185
    out = events(
        calls(tool('{"x":1}', "f", "a", index=0)), chunk({"content": "The weather"}), chunk({}, "stop"), DONE
    )
    assert out[3:7] == [
        Closed(index=0),
        Opened(index=1, block=Text(text="")),
        Delta(index=1, text="The weather"),
        Closed(index=1),
    ]


def test_a_call_in_mid_arguments_survives_a_text() -> None:
    choice = folded(
        calls(tool('{"x":', "f", "a", index=0)),
        chunk({"content": "hm"}),
        calls(tool("1}", index=0)),
        chunk({}, "tool_calls"),
        DONE,
    )
    assert choice.blocks == (ONE, Text(text="hm"))


def test_the_old_call() -> None:
    choice = folded(
        chunk({"function_call": {"name": "f", "arguments": ""}}),
        chunk({"function_call": {"arguments": '{"x":1}'}}),
        chunk({}, "function_call"),
        DONE,
    )
    assert choice == Choice(blocks=(ToolCall(id="", name="f", arguments='{"x":1}'),), finish="tool_calls")


class TestReasoning:
    @pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
    def test_then_text_in_one_chunk(self, name: str) -> None:  # E184
        frames = (chunk({name: "h"}), chunk({name: "mm", "content": "42"}), chunk({}, "stop"), DONE)
        assert folded(*frames).blocks == (Thinking(text="hmm"), Text(text="42"))

    def test_the_same_text_under_several_names_counts_once(self) -> None:
        entry = {"type": "reasoning.text", "text": "t", "index": 0}
        delta = {"reasoning": "t", "reasoning_content": "t", "reasoning_details": [entry]}
        assert folded(chunk(delta), chunk({}, "stop"), DONE).blocks == (Thinking(text="t"),)

    @pytest.mark.parametrize(
        "signed",
        [
            {
                "reasoning_details": [
                    {"type": "reasoning.text", "signature": "SIG", "format": "anthropic-claude-v1"}
                ]
            },
            {"thinking_blocks": [{"type": "thinking", "thinking": "", "signature": "SIG"}]},
        ],
    )
    def test_the_signature_comes_once_and_whole_before_the_block_closes(self, signed: dict[str, Any]) -> None:
        out = events(
            chunk({"reasoning_content": "hmm"}),
            chunk(signed),
            chunk(signed),
            chunk({"content": "42"}, "stop"),
            DONE,
        )
        assert out[1:5] == [
            Opened(index=0, block=Thinking()),
            Delta(index=0, text="hmm"),
            Signed(index=0, signature=CLAUDE),
            Closed(index=0),
        ]

    def test_a_signature_in_pieces(self) -> None:
        pieces = [{"type": "reasoning.text", "signature": piece} for piece in ("SI", "G")]
        frames = [chunk({"reasoning_details": [piece]}) for piece in pieces]
        assert folded(*frames, chunk({}, "stop"), DONE).blocks == (Thinking(signature=CLAUDE),)

    def test_text_behind_a_signature_is_another_block(self) -> None:
        entries = [
            {"type": "reasoning.text", "text": "a", "signature": "SIG"},
            {"type": "reasoning.text", "text": "b"},
        ]
        frames = [chunk({"reasoning_details": [entry]}) for entry in entries]
        assert folded(*frames, chunk({}, "stop"), DONE).blocks == (
            Thinking(text="a", signature=CLAUDE),
            Thinking(text="b"),
        )

    def test_redacted_blocks(self) -> None:
        entry = {"type": "reasoning.encrypted", "data": "SIG", "format": "anthropic-claude-v1"}
        blocks = folded(chunk({"reasoning_details": [entry]}), chunk({"content": "x"}, "stop"), DONE).blocks
        assert blocks == (Thinking(signature=CLAUDE, redacted=True), Text(text="x"))

    def test_summaries_and_their_encrypted_whole(self) -> None:
        vendor = {"format": "openai-responses-v1", "id": "rs_1"}
        frames = [
            chunk({"reasoning_details": [{"type": "reasoning.summary", "summary": "s", **vendor}]}),
            chunk({"reasoning_details": [{"type": "reasoning.encrypted", "data": "E", **vendor}]}),
        ]
        signature = Signature(origin="openai_responses", value="E", id="rs_1")
        assert folded(*frames, chunk({}, "stop"), DONE).blocks == (Thinking(text="s", signature=signature),)

    @pytest.mark.parametrize("before", [True, False])
    def test_googles_signature_of_a_call(self, before: bool) -> None:
        entry = {"type": "reasoning.encrypted", "data": "Zw==", "id": "a", "format": "google-gemini-v1"}
        sign = chunk({"reasoning_details": [entry]})
        call = calls(tool("{}", "f", "a", index=0))
        blocks = folded(*((sign, call) if before else (call, sign)), chunk({}, "stop"), DONE).blocks
        assert [block.signature for block in blocks if isinstance(block, ToolCall)] == [
            Signature(origin="gemini", value="Zw==")
        ]

    def test_googles_own_layer_and_signed_texts(self) -> None:
        google = {"extra_content": {"google": {"thought_signature": "Zw=="}}}
        signature = Signature(origin="gemini", value="Zw==")
        blocks = folded(calls(tool("{}", "f", "a", index=0, **google)), chunk({}, "stop"), DONE).blocks
        assert blocks == (ToolCall(id="a", name="f", signature=signature),)
        entry = {"type": "reasoning.encrypted", "data": "Zw==", "format": "google-gemini-v1"}
        blocks = folded(
            chunk({"content": "x"}), chunk({"reasoning_details": [entry]}), chunk({}, "stop"), DONE
        ).blocks
        assert blocks == (Text(text="x", signature=signature),)
        blocks = folded(chunk({"reasoning_details": [entry]}), chunk({}, "stop"), DONE).blocks
        assert blocks == (Text(text="", signature=signature),)

    def test_googles_signature_repeated_is_told_once(self) -> None:
        google = {"extra_content": {"google": {"thought_signature": "Zw=="}}}
        frames = [calls(tool(piece, "f", "a", index=0, **google)) for piece in ("{", "}")]
        assert not any(isinstance(event, Signed) for event in events(*frames, chunk({}, "stop"), DONE))
        plain = calls(tool("{", "f", "a", index=0))
        signs = [
            event for event in events(plain, *frames, chunk({}, "stop"), DONE) if isinstance(event, Signed)
        ]
        assert len(signs) == 1

    def test_among_the_parts(self) -> None:
        parts = [
            {"type": "thinking", "thinking": [{"type": "text", "text": "t"}]},
            {"type": "text", "text": "x"},
        ]
        assert folded(chunk({"content": parts}), chunk({}, "stop"), DONE).blocks == (
            Thinking(text="t"),
            Text(text="x"),
        )


def test_refusal() -> None:
    choice = folded(chunk({"refusal": "N"}), chunk({"refusal": "o."}), chunk({}, "stop"), DONE)
    assert choice == Choice(blocks=(Refusal(text="No."),))


def test_content_finish_and_usage_in_one_chunk() -> None:  # E192
    out = events(chunk({"content": "x"}, "stop", usage=USAGE), DONE)
    assert [type(event) for event in out] == [Start, Opened, Delta, UsageSeen, Closed, Finished, Ended]


@pytest.mark.parametrize("where", ["x_groq", "choice"])
def test_usage_where_some_vendors_put_it(where: str) -> None:
    last: dict[str, Any] = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    if where == "x_groq":
        last["x_groq"] = {"usage": USAGE}
    else:
        last["choices"][0]["usage"] = USAGE
    assert UsageSeen(usage=Usage(input=9, output=2)) in events(json.dumps(last).encode(), DONE)


def test_annotations_count_from_their_own_text() -> None:
    cite = {
        "type": "url_citation",
        "url_citation": {"url": "u", "title": "", "start_index": 3, "end_index": 5},
    }
    out = events(
        chunk({"content": "abc"}),
        chunk({"reasoning_content": "t"}),
        chunk({"content": "de"}),
        chunk({"annotations": [cite]}, "stop"),
        DONE,
    )
    assert Annotated(index=2, citations=(Citation(url="u", start=0, end=2),)) in out


def test_logprobs() -> None:
    logprobs = {"content": [{"token": "a", "logprob": -1, "top_logprobs": []}]}
    frame = {
        "choices": [{"index": 0, "delta": {"content": "a"}, "logprobs": logprobs, "finish_reason": None}]
    }
    out = events(json.dumps(frame).encode(), chunk({}, "stop"), DONE)
    assert [event.tokens[0].token for event in out if isinstance(event, Logprobs)] == ["a"]


def test_choices_are_apart() -> None:
    fold = Folded()
    frames = (
        chunk({"content": "b"}, index=1),
        chunk({"content": "a"}),
        chunk({}, "stop"),
        chunk({}, "length", index=1),
    )
    for event in events(*frames, DONE):
        fold.feed(event)
    assert [(choice.blocks, choice.finish) for choice in fold.answer().choices] == [
        ((Text(text="a"),), "stop"),
        ((Text(text="b"),), "length"),
    ]


class TestEnds:
    def test_neither_finish_nor_done(self) -> None:  # E194
        fault = failed(events(chunk({"content": "par"}))).fault
        assert (fault.status, fault.code) == (502, "upstream_cut")

    @pytest.mark.parametrize(
        ("arguments", "finish"), [('{"x":1}', "tool_calls"), ("", "tool_calls"), ('{"x":', "stop")]
    )
    def test_done_without_finish(self, arguments: str, finish: str) -> None:  # E195
        assert folded(calls(tool(arguments, "f", "a", index=0)), DONE).finish == finish
        assert folded(chunk({"content": "x"}), DONE).finish == "stop"

    def test_finish_without_done(self) -> None:
        assert isinstance(events(chunk({"content": "x"}), chunk({}, "stop"))[-1], Ended)

    def test_nothing_but_done_is_no_answer(self) -> None:
        failed(events(DONE))
        failed(events())

    def test_a_finish_that_is_none(self) -> None:
        for nothing in ("", None, "null"):
            failed(events(chunk({"content": "x"}, nothing)))

    def test_nothing_comes_after_the_end(self) -> None:
        reader = ChatReader()
        reader.feed(chunk({"content": "x"}, "stop"))
        reader.feed(DONE)
        assert reader.feed(chunk({"content": "y"})) == []
        assert reader.finish() == []

    def test_one_choice_unfinished_is_a_cut(self) -> None:
        failed(events(chunk({"content": "a"}, "stop"), chunk({"content": "b"}, index=1)))


class TestFailures:
    @pytest.mark.parametrize(
        ("frame", "status"),
        [
            (b'{"error":{"code":502,"message":"Provider returned error"},"choices":[]}', 502),
            (b'{"error":{"message":"slow","type":"rate_limit_error"}}', 429),
            (b'{"object":"error","message":"bad","code":400}', 400),
        ],
    )
    def test_in_band(self, frame: bytes, status: int) -> None:  # E199, E264
        out = events(chunk({"content": "x"}), frame)
        assert failed(out).fault.status == status
        assert isinstance(out[-2], Closed)

    def test_an_event_named_error(self) -> None:
        reader = ChatReader()
        (event,) = reader.feed(b'{"message":"boom"}', b"error")
        assert isinstance(event, Failed)
        assert "boom" in event.fault.message

    def test_broken_frames_are_skipped_and_counted(self) -> None:  # E274
        reader = ChatReader()
        out = []
        for frame in (
            chunk({"content": "a"}),
            b'{"choices":[{',
            b"[]",
            chunk({"content": "b"}, "stop"),
            DONE,
        ):
            out += reader.feed(frame)
        assert reader.broken == 2
        assert [event.text for event in out if isinstance(event, Delta)] == ["a", "b"]
        assert isinstance(out[-1], Ended)


ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 3)
    | st.sampled_from(["", "x", "Zw==", "{}", '{"a":1}', "stop", "f", "reasoning.text"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                (
                    *(
                        "content",
                        "tool_calls",
                        "function",
                        "name",
                        "arguments",
                        "id",
                        "index",
                        "type",
                        "text",
                    ),
                    *("reasoning_content", "reasoning_details", "signature", "refusal", "custom", "input"),
                    *("annotations", "images"),
                )
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=15,
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(ODD, st.sampled_from([None, None, "stop", "length"])), max_size=8), st.booleans())
def test_whatever_comes_never_raises_and_keeps_the_grammar(frames: list[tuple[Any, Any]], done: bool) -> None:
    events(*(chunk(delta, finish) for delta, finish in frames), *([DONE] if done else []))
