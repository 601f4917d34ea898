from __future__ import annotations

import json
from typing import Any

import pytest

from dragoman.core.conversation import (
    Annotated,
    Answer,
    Base64,
    Block,
    Choice,
    Citation,
    Closed,
    Conversation,
    Delta,
    Ended,
    Event,
    Failed,
    Finished,
    Function,
    Logprobs,
    Media,
    Opaque,
    Opened,
    Reasoning,
    Refusal,
    Signature,
    Signed,
    Start,
    Text,
    Thinking,
    TokenLogprob,
    ToolCall,
    UsageSeen,
)
from dragoman.core.faults import Fault
from dragoman.core.framing import SseSplitter, sse_parts
from dragoman.core.streams import Folded, events_of
from dragoman.core.usage import Usage
from dragoman.dialects.base import Reply
from dragoman.dialects.openai_chat.reasoning import carried
from dragoman.dialects.openai_chat.stream_reader import ChatReader
from dragoman.dialects.openai_chat.stream_writer import ChatWriter

CLAUDE = Signature(origin="anthropic", value="S")
GOOGLE = Signature(origin="gemini", value="Zw==")
GPT = Signature(origin="openai_responses", value="E", id="rs_1")


def reply(include_usage: bool = False, **said: Any) -> Reply:
    conversation = Conversation(origin="openai_chat", turns=(), **said)
    return Reply(
        model="m", response_id="r1", created=7, conversation=conversation, include_usage=include_usage
    )


def frames(data: bytes) -> list[bytes]:
    return [sse_parts(frame)[1] for frame in SseSplitter().feed(data)]


def written(*events: Event, to: Reply | None = None) -> list[bytes]:
    writer = ChatWriter(to or reply())
    return frames(b"".join(writer.feed(event) for event in events))


def chunks(*events: Event, to: Reply | None = None) -> list[dict[str, Any]]:
    return [json.loads(data) for data in written(*events, to=to) if data != b"[DONE]"]


def deltas(*events: Event, to: Reply | None = None) -> list[dict[str, Any]]:
    """The deltas behind the first one."""
    return [chunk["choices"][0]["delta"] for chunk in chunks(*events, to=to)][1:]


def whole(index: int, block: Block, *texts: str, signature: Signature | None = None) -> list[Event]:
    """A block from its beginning to its end."""
    out: list[Event] = [Opened(index=index, block=block), *(Delta(index=index, text=text) for text in texts)]
    if signature is not None:
        out.append(Signed(index=index, signature=signature))
    return [*out, Closed(index=index)]


USAGE = Usage(input=5, cached_input=100, cache_write_5m=20, output=3)


def test_text_with_usage() -> None:  # E205
    to = reply(include_usage=True)
    data = written(
        Start(usage=USAGE),
        *whole(0, Text(text=""), "Hel", "lo"),
        Finished(finish="stop"),
        UsageSeen(usage=USAGE),
        Ended(),
        to=to,
    )
    assert data[-1] == b"[DONE]"
    out = [json.loads(frame) for frame in data[:-1]]
    head = {"id": "chatcmpl-r1", "object": "chat.completion.chunk", "created": 7, "model": "m"}
    for chunk in out:
        assert head.items() <= chunk.items()
    assert [chunk["choices"] for chunk in out] == [
        [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}],
        [{"index": 0, "delta": {"content": "Hel"}, "finish_reason": None}],
        [{"index": 0, "delta": {"content": "lo"}, "finish_reason": None}],
        [{"index": 0, "delta": {}, "finish_reason": "stop"}],
        [],
    ]
    assert [chunk["usage"] for chunk in out[:-1]] == [None] * 4
    assert out[-1]["usage"] == {
        "prompt_tokens": 125,
        "completion_tokens": 3,
        "total_tokens": 128,
        "prompt_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 20},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def test_without_asking_there_is_no_usage_and_no_chunk_without_a_choice() -> None:
    out = chunks(
        Start(), *whole(0, Text(text=""), "x"), Finished(finish="stop"), UsageSeen(usage=USAGE), Ended()
    )
    assert all("usage" not in chunk and chunk["choices"] for chunk in out)


def test_every_event_is_written_at_once() -> None:
    writer = ChatWriter(reply())
    assert b'"role":"assistant"' in writer.feed(Start())
    writer.feed(Opened(index=0, block=Text(text="")))
    assert b'"content":"a"' in writer.feed(Delta(index=0, text="a"))


class TestCalls:
    def test_are_numbered_among_themselves(self) -> None:  # E207
        tool = ToolCall(id="toolu_1", name="f", arguments="")
        out = deltas(
            Start(),
            *whole(0, Text(text=""), "x"),
            *whole(1, tool, '{"a":', "1}"),
            Finished(finish="tool_calls"),
        )
        first = {"index": 0, "id": "toolu_1", "type": "function", "function": {"name": "f", "arguments": ""}}
        assert out[1:] == [
            {"tool_calls": [first]},
            {"tool_calls": [{"index": 0, "function": {"arguments": '{"a":'}}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]},
            {},
        ]

    def test_may_interleave_and_get_ids(self) -> None:
        out = deltas(
            Start(),
            Opened(index=0, block=ToolCall(id="", name="f", arguments="")),
            Opened(index=1, block=ToolCall(id="", name="g", arguments="")),
            Delta(index=1, text="{}"),
            Delta(index=0, text="{}"),
        )
        assert [delta["tool_calls"][0].get("id") for delta in out] == ["call_r10", "call_r11", None, None]
        assert [delta["tool_calls"][0]["index"] for delta in out] == [0, 1, 1, 0]

    def test_without_arguments_have_an_empty_object(self) -> None:  # E190
        out = deltas(Start(), *whole(0, ToolCall(id="c", name="f", arguments="")))
        assert out[-1] == {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}

    def test_signatures_of_google(self) -> None:
        late = deltas(Start(), *whole(0, ToolCall(id="c", name="f", arguments=""), "{}", signature=GOOGLE))
        carrier = {"google": {"thought_signature": "Zw=="}}
        assert late[-1] == {"tool_calls": [{"index": 0, "extra_content": carrier}]}
        early = deltas(Start(), *whole(0, ToolCall(id="c", name="f", arguments="", signature=GOOGLE), "{}"))
        assert early[0]["tool_calls"][0]["extra_content"] == carrier

    def test_custom_calls(self) -> None:
        out = deltas(Start(), *whole(0, ToolCall(id="c", name="p", arguments="", custom=True), "x"))
        assert out == [
            {"tool_calls": [{"index": 0, "id": "c", "type": "custom", "custom": {"name": "p", "input": ""}}]},
            {"tool_calls": [{"index": 0, "custom": {"input": "x"}}]},
        ]

    def test_the_old_way(self) -> None:  # E037
        to = reply(tools=(Function(name="f", legacy=True),))
        tool = ToolCall(id="c", name="f", arguments="")
        out = chunks(
            Start(), *whole(0, tool, "{}"), *whole(1, tool, "{}"), Finished(finish="tool_calls"), to=to
        )
        assert [chunk["choices"][0]["delta"] for chunk in out[1:]] == [
            {"function_call": {"name": "f", "arguments": ""}},
            {"function_call": {"arguments": "{}"}},
            {},
        ]
        assert out[-1]["choices"][0]["finish_reason"] == "function_call"


def together(out: list[dict[str, Any]]) -> dict[str, Any]:
    """The message that a client makes of the reasoning in deltas, entries merged by their index."""
    entries: dict[int, dict[str, Any]] = {}
    for delta in out:
        for entry in delta.get("reasoning_details", ()):
            held = entries.setdefault(entry["index"], {})
            text = held.get("text", "") + entry.get("text", "")
            held.update(entry)
            if text:
                held["text"] = text
    return {
        "reasoning_content": "".join(delta.get("reasoning_content", "") for delta in out),
        "reasoning_details": list(entries.values()),
    }


class TestReasoning:
    def test_text_and_carrier(self) -> None:  # E209
        out = deltas(Start(), *whole(0, Thinking(), "t", signature=CLAUDE), *whole(1, Text(text=""), "x"))
        entry = {"type": "reasoning.text", "signature": "S", "format": "anthropic-claude-v1", "index": 0}
        assert out == [{"reasoning_content": "t"}, {"reasoning_details": [entry]}, {"content": "x"}]

    def test_redacted_is_in_the_carrier_only(self) -> None:  # E210
        out = deltas(Start(), *whole(0, Thinking(redacted=True, signature=CLAUDE)))
        entry = {"type": "reasoning.encrypted", "data": "S", "format": "anthropic-claude-v1", "index": 0}
        assert out == [{"reasoning_details": [entry]}]

    def test_a_signed_empty_text_is_no_content(self) -> None:  # E130
        out = deltas(Start(), *whole(0, Text(text=""), signature=GOOGLE))
        entry = {"type": "reasoning.encrypted", "data": "Zw==", "format": "google-gemini-v1", "index": 0}
        assert out == [{"reasoning_details": [entry]}]

    @pytest.mark.parametrize(
        "blocks",
        [
            [Thinking(text="t", signature=CLAUDE)],
            [Thinking(text="", signature=CLAUDE)],  # E132
            [Thinking(text="t", signature=GPT)],
            [Thinking(text="t")],
            [
                Thinking(text="a", signature=CLAUDE),
                Thinking(text="b", signature=Signature(origin="anthropic", value="S2")),
            ],
            [
                Thinking(text="a", signature=GPT),
                Thinking(text="b", signature=Signature(origin="openai_responses", value="F", id="rs_2")),
            ],
            [Thinking(signature=CLAUDE, redacted=True), Thinking(text="b", signature=CLAUDE)],
            [
                Thinking(text="a", signature=CLAUDE),
                Thinking(signature=CLAUDE, redacted=True),
                Thinking(text="c", signature=CLAUDE),
            ],
        ],
    )
    def test_a_client_can_give_it_back_whole(self, blocks: list[Thinking]) -> None:
        events = events_of(Answer(choices=(Choice(blocks=tuple(blocks)),)))
        assert carried(together(deltas(*events))).thinking == blocks

    def test_not_wanted(self) -> None:
        to = reply(reasoning=Reasoning(effort="low", visible=False))
        out = deltas(
            Start(), *whole(0, Thinking(), "t", signature=CLAUDE), *whole(1, Text(text=""), "x"), to=to
        )
        assert out == [{"content": "x"}]


def test_refusal() -> None:
    out = deltas(Start(), *whole(0, Refusal(text=""), "No."), Finished(finish="content_filter"))
    assert out == [{"refusal": "No."}, {}]


def test_media_are_markdown_in_the_content() -> None:
    image = Media(kind="image", source=Base64("AAAA"), media_type="image/png")
    out = deltas(Start(), *whole(0, Text(text=""), "a"), *whole(1, image), *whole(2, Text(text=""), "b", "c"))
    assert "".join(delta["content"] for delta in out) == "a\n\n![image](data:image/png;base64,AAAA)\n\nbc"


def test_foreign_doings_are_not_shown_but_their_text_is() -> None:  # E215
    search = Opaque(origin="anthropic", kind="server_tool_use", raw={})
    code = Opaque(origin="gemini", kind="executableCode", raw={}, text="print(1)")
    assert deltas(Start(), *whole(0, search), *whole(1, code)) == [{"content": "print(1)"}]


def test_citations_count_in_the_whole_content() -> None:
    cited = Annotated(index=1, citations=(Citation(url="u", title="t", start=0, end=2),))
    for late in (False, True):
        second = whole(1, Text(text=""), "cde")
        events = [*second, cited] if late else [*second[:-1], cited, second[-1]]
        out = deltas(Start(), *whole(0, Text(text=""), "ab"), *events)
        (one,) = out[-1]["annotations"]
        assert one["url_citation"] == {"start_index": 2, "end_index": 4, "title": "t", "url": "u"}


def test_a_citation_of_the_whole_block_ends_with_it() -> None:
    out = deltas(
        Start(),
        Opened(index=0, block=Text(text="")),
        Delta(index=0, text="abc"),
        Annotated(index=0, citations=(Citation(url="u"),)),
    )
    assert out[-1]["annotations"][0]["url_citation"]["end_index"] == 3


def test_logprobs() -> None:
    out = chunks(Start(), Logprobs(tokens=(TokenLogprob(token="a", logprob=-1.0),)))
    assert out[-1]["choices"][0]["logprobs"]["content"] == [
        {"token": "a", "logprob": -1.0, "bytes": [97], "top_logprobs": []}
    ]


def test_each_choice_begins_with_its_role() -> None:  # E094
    out = chunks(
        Start(),
        Opened(index=0, block=Text(text=""), choice=1),
        Delta(index=0, text="b", choice=1),
        Finished(finish="length", choice=1),
    )
    assert [(c["choices"][0]["index"], c["choices"][0]["delta"].get("role")) for c in out] == [
        (0, "assistant"),
        (1, "assistant"),
        (1, None),
        (1, None),
    ]


class TestFailures:
    FAULT = Fault(503, "", "Overloaded", type="overloaded_error", owner="upstream")

    def test_an_error_frame_without_done(self) -> None:  # E212, E217
        out = written(Start(), *whole(0, Text(text=""), "par"), Failed(fault=self.FAULT))
        error = {"message": "Overloaded", "type": "overloaded_error", "param": None, "code": None}
        assert json.loads(out[-1]) == {"error": error}
        assert b"[DONE]" not in out
        assert all(json.loads(data)["choices"][0]["finish_reason"] is None for data in out[:-1])

    def test_nothing_comes_after(self) -> None:
        for last in (Failed(fault=self.FAULT), Ended()):
            writer = ChatWriter(reply())
            writer.feed(last)
            assert writer.feed(Ended()) == b""
            assert writer.feed(Start()) == b""


def test_what_is_written_reads_back() -> None:
    answer = Answer(
        choices=(
            Choice(
                blocks=(
                    Thinking(text="t", signature=CLAUDE),
                    Text(text="x"),
                    ToolCall(id="a", name="f", arguments='{"a":1}', signature=GOOGLE),
                    ToolCall(id="b", name="g", arguments="{}"),
                ),
                finish="tool_calls",
            ),
            Choice(blocks=(Refusal(text="No."),), finish="content_filter"),
        ),
        usage=USAGE,
        model="m",
        id="chatcmpl-r1",
        created=7,
    )
    reader, fold = ChatReader(), Folded()
    for data in written(*events_of(answer), to=reply(include_usage=True)):
        for event in reader.feed(data):
            fold.feed(event)
    assert reader.finish() == []
    assert fold.answer() == answer
