"""Streams for Anthropic clients: the frames of F11, and what the official SDK makes of them."""

from __future__ import annotations

import json

import anthropic
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.core.conversation import (
    Annotated,
    Base64,
    Citation,
    Closed,
    Conversation,
    Delta,
    Ended,
    Failed,
    Finished,
    Logprobs,
    Media,
    Opaque,
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
from dragoman.core.faults import Fault
from dragoman.core.signatures import unseal
from dragoman.core.usage import Usage
from dragoman.dialects.anthropic.stream_writer import AnthropicWriter
from dragoman.dialects.base import Reply

REPLY = Reply(model="m", response_id="1", created=1, conversation=Conversation(origin="anthropic", turns=()))


def written(*events):
    writer = AnthropicWriter(REPLY)
    return b"".join(writer.feed(event) for event in events)


def frames(raw):
    """(data …) of every frame; each has an ``event:`` line equal to its type, and nothing else (E197)."""
    out = []
    for frame in raw.decode().split("\n\n")[:-1]:
        name, data = frame.split("\n")
        value = json.loads(data.removeprefix("data: "))
        assert name == f"event: {value['type']}"
        out.append(value)
    return out


def played(raw):
    """The final message that anthropic's accumulator makes of a stream."""

    def answer(request):
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=raw)

    client = anthropic.Anthropic(
        api_key="k",
        base_url="http://test",
        max_retries=0,
        http_client=httpx2.Client(transport=httpx2.MockTransport(answer)),
    )
    asked = [{"role": "user", "content": "x"}]
    with client.messages.stream(model="m", max_tokens=9, messages=asked) as stream:
        return stream.get_final_message()


def text(index, *pieces):
    deltas = [Delta(index=index, text=piece) for piece in pieces]
    return [Opened(index=index, block=Text(text="")), *deltas, Closed(index=index)]


def call(index, name, *pieces, call_id=None):
    block = ToolCall(id=f"call_{name}" if call_id is None else call_id, name=name, arguments="")
    deltas = [Delta(index=index, text=piece) for piece in pieces]
    return [Opened(index=index, block=block), *deltas, Closed(index=index)]


def end(finish="stop", usage=None, **more):
    seen = [UsageSeen(usage=usage)] if usage else []
    return [Finished(finish=finish, **more), *seen, Ended()]


START = (
    'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant",'
    '"model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":0,"output_tokens":0}}}\n\n'
)


def sse(*frames_):
    return "".join(f"event: {json.loads(one)['type']}\ndata: {one}\n\n" for one in frames_)


def test_text_e180():
    raw = written(Start(), *text(0, "Hel", "lo"), *end(usage=Usage(input=9, output=2)))
    assert raw.decode() == START + sse(
        '{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}',
        '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hel"}}',
        '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"lo"}}',
        '{"type":"content_block_stop","index":0}',
        '{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},'
        '"usage":{"input_tokens":9,"output_tokens":2}}',
        '{"type":"message_stop"}',
    )
    message = played(raw)
    assert (message.content[0].text, message.stop_reason) == ("Hello", "end_turn")
    assert (message.usage.input_tokens, message.usage.output_tokens) == (9, 2)


def test_text_goes_out_with_the_event_that_brings_it():
    writer = AnthropicWriter(REPLY)
    assert b"message_start" in writer.feed(Start())
    writer.feed(Opened(index=0, block=Text(text="")))
    assert b'"text":"a"' in writer.feed(Delta(index=0, text="a"))
    assert b'"text":"b"' in writer.feed(Delta(index=0, text="b"))


def test_interleaved_calls_e182():
    """One block after the other; what belongs to the later one waits."""
    a, b = (ToolCall(id=f"call_{n}", name=n, arguments="") for n in "ab")
    raw = written(
        Start(),
        Opened(index=0, block=a),
        Opened(index=1, block=b),
        Delta(index=0, text='{"x":'),
        Delta(index=1, text='{"y":'),
        Delta(index=0, text="1}"),
        Delta(index=1, text="2}"),
        Closed(index=0),
        Closed(index=1),
        *end("tool_calls", Usage(input=10, output=8)),
    )
    assert raw.decode() == START + sse(
        '{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"call_a","name":"a","input":{}}}',
        '{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\\"x\\":"}}',
        '{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"1}"}}',
        '{"type":"content_block_stop","index":0}',
        '{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"call_b","name":"b","input":{}}}',
        '{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\\"y\\":2}"}}',
        '{"type":"content_block_stop","index":1}',
        '{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},'
        '"usage":{"input_tokens":10,"output_tokens":8}}',
        '{"type":"message_stop"}',
    )
    message = played(raw)
    assert [block.input for block in message.content] == [{"x": 1}, {"y": 2}]


def test_thinking_e184():
    raw = written(
        Start(),
        Opened(index=0, block=Thinking()),
        Delta(index=0, text="hmm"),
        Signed(index=0, signature=Signature(origin="anthropic", value="U0lH")),
        Closed(index=0),
        *text(1, "42"),
        *end(usage=Usage(input=5, output=7)),
    )
    assert raw.decode() == START + sse(
        '{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}',
        '{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hmm"}}',
        '{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"U0lH"}}',
        '{"type":"content_block_stop","index":0}',
        '{"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}',
        '{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"42"}}',
        '{"type":"content_block_stop","index":1}',
        '{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},'
        '"usage":{"input_tokens":5,"output_tokens":7}}',
        '{"type":"message_stop"}',
    )
    message = played(raw)
    assert (message.content[0].thinking, message.content[0].signature) == ("hmm", "U0lH")


def test_an_early_signature_waits_for_the_end_of_its_block():
    raw = written(
        Opened(index=0, block=Thinking()),
        Signed(index=0, signature=Signature(origin="anthropic", value="S")),
        Delta(index=0, text="hmm"),
        Closed(index=0),
        *end(),
    )
    kinds = [one["delta"]["type"] for one in frames(raw) if one["type"] == "content_block_delta"]
    assert kinds == ["thinking_delta", "signature_delta"]


def test_text_after_a_call_e185_and_whole_calls_e187_e190():
    raw = written(*call(0, "a", '{"x":1}'), *text(1, "The weather"), *call(2, "b"), *end("tool_calls"))
    message = played(raw)
    assert [block.type for block in message.content] == ["tool_use", "text", "tool_use"]
    assert message.content[0].input == {"x": 1}
    assert message.content[1].text == "The weather"
    assert message.content[2].input == {}
    assert message.stop_reason == "tool_use"


def test_indexes_have_no_gaps_e189():
    raw = written(*call(3, "a", "{}"), *call(7, "b", "{}"), *end("tool_calls"))
    assert [one["index"] for one in frames(raw) if one["type"] == "content_block_start"] == [0, 1]


def test_calls_without_an_id_get_one():
    (start,) = [one for one in frames(written(*call(0, "a", call_id=""), *end())) if "content_block" in one]
    assert start["content_block"]["id"].startswith("toolu_1")


def test_nothing_to_say_is_no_block():
    raw = written(
        Opened(index=0, block=Thinking()), Closed(index=0), *text(1), *text(2, ""), *text(3, "x"), *end()
    )
    assert [one["index"] for one in frames(raw) if one["type"] == "content_block_start"] == [0]
    assert [one["type"] for one in frames(written(*end()))] == [
        "message_start",
        "message_delta",
        "message_stop",
    ]


def test_usage_is_told_once_and_last():
    raw = written(
        Start(usage=Usage(input=3, cached_input=4)),
        UsageSeen(usage=Usage(input=1)),
        *text(0, "x"),
        Finished(finish="stop"),
        UsageSeen(usage=Usage(input=5, cached_input=100, cache_write_5m=20, output=3)),
        Ended(),
    )
    told = frames(raw)
    assert told[0]["message"]["usage"]["cache_read_input_tokens"] == 4
    deltas = [one for one in told if one["type"] == "message_delta"]
    assert [one["usage"] for one in deltas] == [
        {
            "input_tokens": 5,
            "output_tokens": 3,
            "cache_read_input_tokens": 100,
            "cache_creation_input_tokens": 20,
        }
    ]


@pytest.mark.parametrize(
    ("status", "kind"),
    [(429, "rate_limit_error"), (503, "overloaded_error"), (529, "overloaded_error"), (502, "api_error")],
)
def test_failures_e194_e199(status, kind):
    writer = AnthropicWriter(REPLY)
    out = b"".join(
        writer.feed(event)
        for event in (Start(), Opened(index=0, block=Text(text="")), Delta(index=0, text="par"))
    )
    out += writer.feed(Failed(fault=Fault(status, "c", "broke")))
    told = frames(out)
    assert told[-1] == {"type": "error", "error": {"type": kind, "message": "broke"}}
    assert [one["type"] for one in told] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "error",
    ]
    assert writer.feed(Ended()) == writer.feed(Delta(index=0, text="x")) == b""
    with pytest.raises(anthropic.APIStatusError):
        played(out)


def test_nothing_after_the_end():
    writer = AnthropicWriter(REPLY)
    assert writer.feed(Ended())
    assert writer.feed(Ended()) == writer.feed(Failed(fault=Fault(502, "c", "m"))) == b""


def test_refusals_e154():
    refusal = [Opened(index=0, block=Refusal(text="")), Delta(index=0, text="No."), Closed(index=0)]
    told = frames(written(*refusal, *end()))
    assert told[-2]["delta"] == {
        "stop_reason": "refusal",
        "stop_sequence": None,
        "stop_details": {"type": "refusal", "explanation": "No.", "category": None},
    }
    assert played(written(*refusal, *end())).content[0].text == "No."
    blocked = played(written(*refusal, *end("content_filter")))
    assert (blocked.content, blocked.stop_reason, blocked.stop_details.explanation) == ([], "refusal", "No.")


def test_stop_sequence():
    told = frames(written(*text(0, "x"), *end("stop_sequence", stop_sequence="END")))
    assert told[-2]["delta"] == {"stop_reason": "stop_sequence", "stop_sequence": "END"}


def test_redacted_thinking():
    redacted = Thinking(redacted=True)
    own = Signature(origin="anthropic", value="ENC")
    raw = written(Opened(index=0, block=redacted), Signed(index=0, signature=own), Closed(index=0), *end())
    assert played(raw).content[0].data == "ENC"
    foreign = Signature(origin="openai_responses", value="ENC", id="rs_1")
    raw = written(
        Opened(index=0, block=redacted), Signed(index=0, signature=foreign), Closed(index=0), *end()
    )
    sealed = unseal(played(raw).content[0].data, "anthropic")
    assert sealed.signature == foreign and sealed.redacted


def test_gemini_signatures_stand_in_front_of_calls_and_behind_text():
    signature = Signature(origin="gemini", value="c2ln")
    opened, *rest = call(0, "a", "{}")
    raw = written(
        opened,
        Signed(index=0, signature=signature),
        *rest,
        Opened(index=1, block=Text(text="")),
        Delta(index=1, text="x"),
        Signed(index=1, signature=signature),
        Closed(index=1),
        *end(),
    )
    content = played(raw).content
    assert [block.type for block in content] == ["thinking", "tool_use", "text", "thinking"]
    before, after = unseal(content[0].signature, "anthropic"), unseal(content[3].signature, "anthropic")
    assert before.signature == after.signature == signature
    assert before.call and not after.call


def test_citations():
    citation = Citation(url="https://x", title="X", cited="c", start=0, end=1)
    opened, delta, closed = text(0, "a")
    raw = written(opened, delta, Annotated(index=0, citations=(citation,)), closed, *end())
    assert played(raw).content[0].citations[0].url == "https://x"
    late = written(opened, delta, closed, Annotated(index=0, citations=(citation,)), *end())
    assert played(late).content[0].citations is None


def test_blocks_in_one_piece():
    raw = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}}
    opaque = Opaque(origin="anthropic", kind="server_tool_use", raw=raw)
    foreign = Opaque(origin="openai_responses", kind="web_search_call", raw={})
    image = Media(kind="image", source=Base64("AAAA"), media_type="image/png")
    events = [
        one
        for index, block in enumerate((opaque, foreign, image))
        for one in (Opened(index=index, block=block), Closed(index=index))
    ]
    content = played(written(*events, *text(3, "x"), *end())).content
    assert content[0].input == {"query": "q"}
    assert [block.text for block in content[1:]] == ["![image](data:image/png;base64,AAAA)", "x"]


def test_free_text_calls_become_an_object():
    block = ToolCall(id="c", name="patch", arguments="", custom=True)
    raw = written(
        Opened(index=0, block=block),
        Delta(index=0, text="*** "),
        Delta(index=0, text="End"),
        Closed(index=0),
        *end(),
    )
    assert played(raw).content[0].input == {"input": "*** End"}


def test_other_choices_and_logprobs_are_not_shown():
    raw = written(Opened(index=0, block=Text(text=""), choice=1), Logprobs(tokens=()), *end())
    assert [one["type"] for one in frames(raw)] == ["message_start", "message_delta", "message_stop"]


# Any order of opening, feeding and closing: (block kind) × what it says, mixed.
scripts = st.lists(st.tuples(st.sampled_from(["text", "thinking", "call"]), st.integers(0, 3)), max_size=5)


@given(scripts, st.randoms(use_true_random=False), st.booleans())
def test_every_block_is_closed_and_none_runs_beside_another(script, chance, whole):
    made = {
        "text": Text(text=""),
        "thinking": Thinking(),
        "call": ToolCall(id="c", name="f", arguments=""),
    }
    queues = [
        [Opened(index=i, block=made[kind]), *[Delta(index=i, text="x")] * count, Closed(index=i)]
        for i, (kind, count) in enumerate(script)
    ]
    events = []
    while any(queues):
        events.append(chance.choice([queue for queue in queues if queue]).pop(0))
    ending = [Finished(finish="stop"), Ended()] if whole else [Failed(fault=Fault(502, "c", "m"))]
    opened = None
    expected = 0
    for frame in frames(written(*events, *ending)):
        if frame["type"] == "content_block_start":
            assert opened is None and frame["index"] == expected
            opened, expected = frame["index"], expected + 1
        elif frame["type"] == "content_block_delta":
            assert frame["index"] == opened
        elif frame["type"] == "content_block_stop":
            assert frame["index"] == opened
            opened = None
    assert opened is None
    assert (b"message_stop" in written(*events, *ending)) is whole
