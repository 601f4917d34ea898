from __future__ import annotations

import json
from typing import Any

import pytest

from dragoman.core.conversation import (
    Answer,
    Base64,
    Block,
    Choice,
    Citation,
    Conversation,
    Function,
    Media,
    Opaque,
    Reasoning,
    Refusal,
    Signature,
    Text,
    Thinking,
    TokenLogprob,
    ToolCall,
)
from dragoman.core.faults import Fault
from dragoman.core.usage import Usage
from dragoman.dialects.base import Reply
from dragoman.dialects.openai_chat.answer import read_answer, write_answer

CLAUDE = Signature(origin="anthropic", value="S")
FIVE = {"stop", "length", "tool_calls", "content_filter", "function_call"}


def read(message: dict[str, Any] | None = None, finish: Any = "stop", **more: Any) -> Answer:
    choice = {"index": 0, "message": {"role": "assistant", **(message or {})}, "finish_reason": finish}
    return read_answer(
        json.dumps({"id": "x", "object": "chat.completion", "choices": [choice], **more}).encode()
    )


def blocks(**message: Any) -> tuple[Block, ...]:
    return read(message).choices[0].blocks


class TestReading:
    def test_text_and_the_head(self) -> None:
        answer = read(
            {"content": "hi"},
            model="gpt",
            created=5,
            service_tier="default",
            usage={"prompt_tokens": 9, "completion_tokens": 2},
        )
        assert answer.choices == (Choice(blocks=(Text(text="hi"),)),)
        assert (answer.model, answer.id, answer.created, answer.service_tier) == ("gpt", "x", 5, "default")
        assert answer.usage == Usage(input=9, output=2)
        assert read({"content": "hi"}).usage is None

    def test_an_id_that_is_taken_counts_as_none(self) -> None:
        call = {"id": "c", "function": {"name": "f", "arguments": "{}"}}
        found = blocks(tool_calls=[call, call])
        assert [block.id for block in found if isinstance(block, ToolCall)] == ["c", ""]

    def test_choices_stand_in_the_order_of_their_indexes(self) -> None:
        rows = [{"index": place, "message": {"content": text}} for place, text in ((1, "b"), (0, "a"))]
        answer = read_answer(json.dumps({"choices": rows}).encode())
        assert [choice.blocks for choice in answer.choices] == [(Text(text="a"),), (Text(text="b"),)]

    @pytest.mark.parametrize(
        "body",
        [
            {
                "choices": [
                    {"index": 0, "message": {"content": "par"}, "error": {"code": 429, "message": "M"}}
                ]
            },
            {"code": 429, "message": "M"},
        ],
    )
    def test_an_error_on_the_choice_or_in_the_place_of_choices(self, body: dict[str, Any]) -> None:  # E264
        with pytest.raises(Fault) as caught:
            read_answer(json.dumps(body).encode())
        assert (caught.value.status, caught.value.message, caught.value.owner) == (429, "M", "upstream")

    def test_an_end_with_an_error_is_one_only_if_nothing_was_said(self) -> None:
        with pytest.raises(Fault):
            read({"content": ""}, "error")
        assert read({"content": "par"}, "error").choices[0].finish == "error"

    def test_zero_usage_is_usage(self) -> None:  # E169
        assert (
            read({}, usage={"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}).usage == Usage()
        )

    @pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
    def test_reasoning(self, name: str) -> None:
        assert blocks(content="x", **{name: "t"}) == (Thinking(text="t"), Text(text="x"))

    def test_signed_reasoning(self) -> None:
        entry = {"type": "reasoning.text", "text": "t", "signature": "S", "format": "anthropic-claude-v1"}
        assert blocks(content="x", reasoning="t", reasoning_details=[entry]) == (
            Thinking(text="t", signature=CLAUDE),
            Text(text="x"),
        )

    def test_calls(self) -> None:
        made = blocks(
            content=None,
            tool_calls=[
                {"id": "c", "type": "function", "function": {"name": "f", "arguments": ""}},
                {"id": "d", "function": {"name": "g", "arguments": {"a": 1}}},
                {"type": "function", "function": {"name": "h"}},
                {"id": "e", "type": "custom", "custom": {"name": "p", "input": "x"}},
                {"id": "nameless"},
                None,
            ],
        )
        assert made == (
            ToolCall(id="c", name="f"),
            ToolCall(id="d", name="g", arguments='{"a":1}'),
            ToolCall(id="", name="h"),
            ToolCall(id="e", name="p", arguments="x", custom=True),
        )

    def test_the_old_call(self) -> None:
        answer = read({"function_call": {"name": "f", "arguments": "{}"}}, "function_call")
        assert answer.choices[0] == Choice(blocks=(ToolCall(id="", name="f"),), finish="tool_calls")

    def test_refusal(self) -> None:  # E154
        assert blocks(content=None, refusal="No.") == (Refusal(text="No."),)

    def test_content_as_parts(self) -> None:
        parts = [
            {"type": "thinking", "thinking": [{"type": "text", "text": "t"}]},
            {"type": "text", "text": "a"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            {"type": "refusal", "refusal": "b"},
            {"type": "tomorrow"},
            5,
        ]
        image = Media(kind="image", source=Base64("AAAA"), media_type="image/png")
        assert blocks(content=parts) == (Thinking(text="t"), Text(text="a"), image, Refusal(text="b"))

    def test_images_and_speech_beside_the_content(self) -> None:
        images = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}, 5]
        audio = {"id": "audio_1", "data": "AA", "transcript": "said"}
        text, image, spoken = blocks(content="x", images=images, audio=audio)
        assert isinstance(text, Text)
        assert isinstance(image, Media)
        assert spoken == Opaque(origin="openai_chat", kind="audio", raw=audio, text="said")

    def test_annotations_go_to_their_text(self) -> None:
        cite = {
            "type": "url_citation",
            "url_citation": {"url": "u", "title": "t", "start_index": 2, "end_index": 4},
        }
        (text,) = blocks(content="é Paris", annotations=[cite])
        assert text == Text(text="é Paris", citations=(Citation(url="u", title="t", start=2, end=4),))
        first, second = blocks(
            content=[{"type": "text", "text": "ab"}, {"type": "text", "text": "cde"}], annotations=[cite]
        )
        assert first == Text(text="ab")
        assert second == Text(text="cde", citations=(Citation(url="u", title="t", start=0, end=2),))

    def test_several_choices(self) -> None:  # E094
        body = {
            "choices": [
                {"index": n, "message": {"content": str(n)}, "finish_reason": "stop"} for n in range(2)
            ]
        }
        answer = read_answer(json.dumps(body).encode())
        assert [choice.blocks for choice in answer.choices] == [(Text(text="0"),), (Text(text="1"),)]

    @pytest.mark.parametrize(
        ("word", "calls", "finish"),
        [
            ("stop", False, "stop"),
            ("stop", True, "tool_calls"),  # E149
            (None, True, "tool_calls"),
            (None, False, "stop"),
            ("tool_calls", False, "stop"),
            ("length", True, "length"),
            ("content_filter", False, "content_filter"),
            ("sensitive", False, "content_filter"),
            ("max_tokens", False, "length"),
            ("tomorrow", False, "stop"),
            (7, False, "stop"),
        ],
    )
    def test_finishes(self, word: Any, calls: bool, finish: str) -> None:
        call = {"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]} if calls else {}
        assert read({"content": "x", **call}, word).choices[0].finish == finish

    def test_logprobs(self) -> None:
        top = [{"token": "a", "logprob": -0.1, "bytes": [97]}, {"token": "b", "logprob": -2}]
        logprobs = {"content": [{"token": "a", "logprob": -0.1, "top_logprobs": top}, 5, {"token": "x"}]}
        choice = {"message": {"content": "a"}, "finish_reason": "stop", "logprobs": logprobs}
        answer = read_answer(json.dumps({"choices": [choice]}).encode())
        assert answer.choices[0].logprobs == (
            TokenLogprob(token="a", logprob=-0.1, top=(("a", -0.1), ("b", -2.0))),
        )

    @pytest.mark.parametrize(
        "body", [b"", b"<html>", b"[]", b"{}", b'{"choices":[]}', b'{"choices":"x"}', b'{"choices":[1]}']
    )
    def test_what_is_no_answer_is_the_upstreams_fault(self, body: bytes) -> None:
        with pytest.raises(Fault) as caught:
            read_answer(body)
        assert (caught.value.status, caught.value.owner) == (502, "upstream")

    def test_an_error_inside_a_200(self) -> None:  # E264
        with pytest.raises(Fault, match="Provider returned error") as caught:
            read_answer(b'{"error":{"code":502,"message":"Provider returned error"}}')
        assert (caught.value.status, caught.value.owner) == (502, "upstream")
        with pytest.raises(Fault) as caught:
            read_answer(b'{"error":{"code":429,"message":"slow"},"choices":[]}')
        assert caught.value.status == 429


def reply(**said: Any) -> Reply:
    conversation = Conversation(origin="openai_chat", turns=(), **said)
    return Reply(model="fast", response_id="r1", created=9, conversation=conversation)


def write(
    *content: Block, finish: Any = "stop", said: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    choice = Choice(blocks=content, finish=finish, **more)
    answer = Answer(choices=(choice,), usage=Usage(input=1, output=2))
    return json.loads(write_answer(answer, reply(**(said or {}))))  # type: ignore[no-any-return]


def message(*content: Block, **more: Any) -> dict[str, Any]:
    return write(*content, **more)["choices"][0]["message"]  # type: ignore[no-any-return]


class TestWriting:
    def test_the_head(self) -> None:
        body = write(Text(text="hi"))
        assert body == {
            "id": "chatcmpl-r1",
            "object": "chat.completion",
            "created": 9,
            "model": "fast",  # E101
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": "hi"},
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            ],
            "usage": {
                "prompt_tokens": 1,
                "completion_tokens": 2,
                "total_tokens": 3,
                "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 0},
            },
        }

    def test_usage_with_cache(self) -> None:  # E160
        usage = Usage(input=3, cache_write_5m=12304, output=550)
        body = json.loads(write_answer(Answer(choices=(Choice(blocks=()),), usage=usage), reply()))
        assert body["usage"]["prompt_tokens"] == 12307
        assert body["usage"]["total_tokens"] == 12857
        assert body["usage"]["prompt_tokens_details"] == {"cached_tokens": 0, "cache_write_tokens": 12304}
        none = json.loads(write_answer(Answer(choices=(Choice(blocks=()),)), reply()))
        assert none["usage"]["total_tokens"] == 0

    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            ((), ""),  # E152
            ((Text(text="a"), Text(text="b")), "ab"),
            ((ToolCall(id="c", name="f"),), None),
            ((Text(text="a"), ToolCall(id="c", name="f")), "a"),
            ((Refusal(text="No."),), None),  # E155
            ((Thinking(text="t"),), ""),
            ((Opaque(origin="anthropic", kind="server_tool_use", raw={}), Text(text="a")), "a"),  # E215
        ],
    )
    def test_content(self, content: tuple[Block, ...], expected: str | None) -> None:
        written = message(*content)
        assert written["content"] == expected

    def test_refusal(self) -> None:  # E151
        body = write(Refusal(text="blocked: SAFETY"), finish="content_filter")
        assert body["choices"][0]["message"] == {
            "role": "assistant",
            "content": None,
            "refusal": "blocked: SAFETY",
        }
        assert body["choices"][0]["finish_reason"] == "content_filter"

    def test_reasoning_and_its_carrier(self) -> None:  # E122
        written = message(Thinking(text="t", signature=CLAUDE), Text(text="x"))
        assert (written["content"], written["reasoning_content"]) == ("x", "t")
        assert written["reasoning_details"] == [
            {
                "type": "reasoning.text",
                "text": "t",
                "signature": "S",
                "format": "anthropic-claude-v1",
                "index": 0,
            }
        ]

    def test_hidden_and_redacted_reasoning_is_in_the_carrier_only(self) -> None:  # E122, E132
        for block in (Thinking(signature=CLAUDE), Thinking(signature=CLAUDE, redacted=True)):
            written = message(block, Text(text="x"))
            assert "reasoning_content" not in written
            assert "S" in json.dumps(written["reasoning_details"])

    def test_reasoning_that_is_not_wanted(self) -> None:
        said = {"reasoning": Reasoning(effort="high", visible=False)}
        written = message(Thinking(text="t", signature=CLAUDE), Text(text="x"), said=said)
        assert written == {"role": "assistant", "content": "x"}

    def test_calls(self) -> None:
        google = Signature(origin="gemini", value="Zw==")
        made = message(
            ToolCall(id="toolu_1", name="f", arguments='{"a":1}', signature=google),
            ToolCall(id="", name="g", arguments=""),
            ToolCall(id="p1", name="p", arguments="x", custom=True),
        )["tool_calls"]
        assert made == [
            {
                "id": "toolu_1",
                "type": "function",
                "function": {"name": "f", "arguments": '{"a":1}'},
                "extra_content": {"google": {"thought_signature": "Zw=="}},
            },
            {"id": "call_r11", "type": "function", "function": {"name": "g", "arguments": "{}"}},
            {"id": "p1", "type": "custom", "custom": {"name": "p", "input": "x"}},
        ]

    def test_the_old_call_for_clients_that_declared_functions(self) -> None:  # E037
        said = {"tools": (Function(name="f", legacy=True),)}
        body = write(ToolCall(id="c", name="f", arguments='{"a":1}'), finish="tool_calls", said=said)
        (choice,) = body["choices"]
        assert choice["finish_reason"] == "function_call"
        assert choice["message"] == {
            "role": "assistant",
            "content": None,
            "function_call": {"name": "f", "arguments": '{"a":1}'},
        }

    @pytest.mark.parametrize(
        ("finish", "word"),
        [
            ("stop", "stop"),
            ("stop_sequence", "stop"),
            ("pause", "stop"),
            ("length", "length"),
            ("context_length", "length"),
            ("tool_calls", "tool_calls"),
            ("refusal", "content_filter"),
            ("content_filter", "content_filter"),
            ("error", "stop"),
        ],
    )
    def test_finishes(self, finish: Any, word: str) -> None:  # E145, E150
        assert write(Text(text="x"), finish=finish)["choices"][0]["finish_reason"] == word
        assert word in FIVE

    def test_images_are_markdown_and_citations_count_behind_them(self) -> None:
        image = Media(kind="image", source=Base64("AAAA"), media_type="image/png")
        cited = Text(text="Paris", citations=(Citation(url="u", title="t", start=0, end=5),))
        written = message(Text(text="é"), image, cited)
        assert written["content"] == "é\n\n![image](data:image/png;base64,AAAA)\n\nParis"
        (one,) = written["annotations"]
        place = one["url_citation"]
        assert written["content"][place["start_index"] : place["end_index"]] == "Paris"

    def test_logprobs_with_bytes(self) -> None:  # E095
        token = TokenLogprob(token="é", logprob=-0.5, top=(("é", -0.5), ("e", -1.0)))
        logprobs = write(Text(text="é"), logprobs=(token,))["choices"][0]["logprobs"]
        assert logprobs["content"] == [
            {
                "token": "é",
                "logprob": -0.5,
                "bytes": [195, 169],
                "top_logprobs": [
                    {"token": "é", "logprob": -0.5, "bytes": [195, 169]},
                    {"token": "e", "logprob": -1.0, "bytes": [101]},
                ],
            }
        ]

    def test_only_tiers_that_clients_know(self) -> None:
        for tier, told in (("flex", "flex"), ("standard", None)):
            answer = Answer(choices=(Choice(blocks=()),), service_tier=tier)
            assert json.loads(write_answer(answer, reply())).get("service_tier") == told

    def test_what_is_written_reads_back(self) -> None:
        answer = Answer(
            choices=(
                Choice(
                    blocks=(
                        Thinking(text="t", signature=CLAUDE),
                        Text(text="x", citations=(Citation(url="u", start=0, end=1),)),
                        ToolCall(id="c", name="f", arguments='{"a":1}'),
                    ),
                    finish="tool_calls",
                    logprobs=(TokenLogprob(token="x", logprob=-1.0),),
                ),
                Choice(blocks=(Refusal(text="No."),), finish="content_filter"),
            ),
            usage=Usage(input=5, cached_input=100, cache_write_5m=20, output=3, reasoning=1),
            model="fast",
            id="chatcmpl-r1",
            created=9,
        )
        assert read_answer(write_answer(answer, reply())) == answer
