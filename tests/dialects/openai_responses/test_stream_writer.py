"""Events → the SSE of a Responses stream: order, numbering, identities; and what the official SDK makes of it."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import msgspec
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    Finish,
    Finished,
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
from dragoman.core.signatures import unseal
from dragoman.core.usage import Usage
from dragoman.dialects.base import Reply
from dragoman.dialects.openai_responses.answer import write_answer
from dragoman.dialects.openai_responses.stream_reader import ResponsesReader
from dragoman.dialects.openai_responses.stream_writer import ResponsesWriter

Frame = dict[str, Any]
REPLY = Reply(
    model="m", response_id="r1", created=1, conversation=Conversation(origin="openai_responses", turns=())
)
START = Start(model="vendor-model", id="x", created=9)
USAGE = UsageSeen(usage=Usage(input=9, output=2))
END: list[Event] = [Finished(finish="stop"), USAGE, Ended()]
HELLO: list[Event] = [
    START,
    Opened(index=0, block=Text(text="")),
    Delta(index=0, text="Hel"),
    Delta(index=0, text="lo"),
    Closed(index=0),
    *END,
]
RESPONSE = {
    "id": "resp_r1",
    "object": "response",
    "created_at": 1,
    "model": "m",
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "error": None,
    "incomplete_details": None,
    "instructions": None,
    "metadata": {},
}


def written(events: list[Event], reply: Reply = REPLY) -> bytes:
    writer = ResponsesWriter(reply)
    return b"".join(writer.feed(event) for event in events)


def frames(events: list[Event], reply: Reply = REPLY) -> list[Frame]:
    """The decoded frames; every event's name is its type and the numbering has no gap."""
    splitter = SseSplitter()
    found = []
    for frame in splitter.feed(written(events, reply)):
        name, data = sse_parts(frame)
        decoded = json.loads(data)
        assert name.decode() == decoded["type"]
        found.append(decoded)
    assert [frame["sequence_number"] for frame in found] == list(range(len(found)))
    return found


def kinds(found: list[Frame]) -> list[str]:
    return [frame["type"].removeprefix("response.") for frame in found]


def call(index: int, name: str, call_id: str, *deltas: str, custom: bool = False) -> list[Event]:
    block = ToolCall(id=call_id, name=name, arguments="", custom=custom)
    return [
        Opened(index=index, block=block),
        *(Delta(index=index, text=text) for text in deltas),
        Closed(index=index),
    ]


def sdk_client(body: bytes) -> openai.OpenAI:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=body)

    transport = httpx2.Client(transport=httpx2.MockTransport(answer))
    return openai.OpenAI(api_key="k", base_url="http://gateway/v1", http_client=transport, max_retries=0)


def through_sdk(events: list[Event], reply: Reply = REPLY) -> Any:
    """The final response of the SDK's accumulator; ``create(stream=True)`` reads the same bytes to their end."""
    body = written(events, reply)
    client = sdk_client(body)
    raw = list(client.responses.create(model="m", input="hi", stream=True))
    assert raw[-1].type in ("response.completed", "response.incomplete", "response.failed")
    with client.responses.stream(model="m", input="hi") as stream:
        seen = list(stream)
        assert len(seen) == len(raw)
        return stream.get_final_response() if raw[-1].type == "response.completed" else seen[-1].response


def test_text_word_for_word() -> None:  # E230
    running = RESPONSE | {"status": "in_progress", "output": [], "usage": None}
    at = {"item_id": "msg_r10", "output_index": 0, "content_index": 0}
    done = {"type": "output_text", "text": "Hello", "annotations": []}
    message = {"type": "message", "id": "msg_r10", "role": "assistant"}
    whole = message | {"status": "completed", "content": [done]}
    usage = {
        "input_tokens": 9,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 2,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 11,
    }
    expected: list[Frame] = [
        {"type": "response.created", "response": running},
        {"type": "response.in_progress", "response": running},
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": message | {"status": "in_progress", "content": []},
        },
        {"type": "response.content_part.added", **at, "part": done | {"text": ""}},
        {"type": "response.output_text.delta", **at, "delta": "Hel", "logprobs": []},
        {"type": "response.output_text.delta", **at, "delta": "lo", "logprobs": []},
        {"type": "response.output_text.done", **at, "text": "Hello", "logprobs": []},
        {"type": "response.content_part.done", **at, "part": done},
        {"type": "response.output_item.done", "output_index": 0, "item": whole},
        {
            "type": "response.completed",
            "response": RESPONSE | {"status": "completed", "output": [whole], "usage": usage},
        },
    ]
    found = frames(HELLO)
    for number, frame in enumerate(expected):
        seen = found[number]
        if "response" in frame:
            seen = seen | {"response": {name: seen["response"][name] for name in frame["response"]}}
        assert seen == frame | {"sequence_number": number}
    assert len(found) == len(expected)
    assert b"[DONE]" not in written(HELLO)  # E247


def test_text_goes_out_with_its_event() -> None:
    writer = ResponsesWriter(REPLY)
    writer.feed(START)
    writer.feed(Opened(index=0, block=Text(text="")))
    assert b'"delta":"Hel"' in writer.feed(Delta(index=0, text="Hel"))
    assert writer.feed(Logprobs(tokens=(), choice=1)) == b""


def test_sdk_reads_text() -> None:
    final = through_sdk(HELLO)
    assert (final.output_text, final.id, final.usage.total_tokens) == ("Hello", "resp_r1", 11)


def test_reasoning_then_text() -> None:  # E232
    events: list[Event] = [
        START,
        Opened(index=0, block=Thinking()),
        Delta(index=0, text="hm"),
        Delta(index=0, text="m"),
        Signed(index=0, signature=Signature(origin="anthropic", value="U0lH")),
        Closed(index=0),
        Opened(index=1, block=Text(text="")),
        Delta(index=1, text="42"),
        Closed(index=1),
        *END,
    ]
    found = frames(events)
    assert kinds(found)[2:9] == [
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
    ]
    assert found[2]["item"] == {"type": "reasoning", "id": "rs_r10", "summary": []}
    assert all((f["item_id"], f["summary_index"], f["output_index"]) == ("rs_r10", 0, 0) for f in found[3:8])
    done = found[8]["item"]
    assert done["summary"] == [{"type": "summary_text", "text": "hmm"}]
    sealed = unseal(done["encrypted_content"], "openai_responses")
    assert sealed is not None
    assert sealed.signature == Signature(origin="anthropic", value="U0lH")
    assert found[9]["item"]["id"] == "msg_r11"
    final = through_sdk(events)
    assert [item.type for item in final.output] == ["reasoning", "message"]
    assert final.output[0].encrypted_content == done["encrypted_content"]


def test_hidden_and_empty_reasoning() -> None:
    redacted = Signature(origin="anthropic", value="RDD")
    found = frames(
        [
            START,
            Opened(index=0, block=Thinking(redacted=True, signature=redacted)),
            Closed(index=0),
            Opened(index=1, block=Thinking()),
            Closed(index=1),
            *END,
        ]
    )
    assert kinds(found)[2:] == ["output_item.added", "output_item.done", "completed"]
    sealed = unseal(found[2]["item"]["encrypted_content"], "openai_responses")
    assert sealed is not None
    assert (sealed.redacted, sealed.signature) == (True, redacted)


def test_own_signature_keeps_the_id_that_it_belongs_to() -> None:
    """The vendor checks encrypted_content against its item's id; ours is another one, so both travel in a seal."""
    own = Signature(origin="openai_responses", value="gAAA", id="rs_vendor")
    events: list[Event] = [
        START, Opened(index=0, block=Thinking()), Signed(index=0, signature=own), Closed(index=0), *END
    ]  # fmt: skip
    item = frames(events)[-1]["response"]["output"][0]
    sealed = unseal(item["encrypted_content"], "openai_responses")
    assert sealed is not None
    assert sealed.signature == own


def test_interleaved_calls() -> None:  # E234
    events: list[Event] = [
        START,
        Opened(index=0, block=ToolCall(id="call_a", name="a", arguments="")),
        Opened(index=1, block=ToolCall(id="call_b", name="b", arguments="")),
        Delta(index=0, text='{"x":'),
        Delta(index=1, text='{"y":'),
        Delta(index=0, text="1}"),
        Delta(index=1, text="2}"),
        Closed(index=0),
        Closed(index=1),
        Finished(finish="tool_calls"),
        Ended(),
    ]
    found = frames(events)
    deltas = [
        (f["output_index"], f["item_id"], f["delta"])
        for f in found
        if f["type"] == "response.function_call_arguments.delta"
    ]
    assert deltas == [
        (0, "fc_r10", '{"x":'),
        (1, "fc_r11", '{"y":'),
        (0, "fc_r10", "1}"),
        (1, "fc_r11", "2}"),
    ]
    assert kinds(found)[-1] == "completed"
    final = through_sdk(events)
    assert [(c.id, c.call_id, c.name, c.arguments, c.status) for c in final.output] == [
        ("fc_r10", "call_a", "a", '{"x":1}', "completed"),
        ("fc_r11", "call_b", "b", '{"y":2}', "completed"),
    ]


def test_call_without_arguments_or_id() -> None:  # E249
    events = [START, *call(0, "f", ""), Finished(finish="tool_calls"), Ended()]
    found = frames(events)
    assert kinds(found)[2:5] == ["output_item.added", "function_call_arguments.done", "output_item.done"]
    assert found[3]["arguments"] == "{}"
    ids = {frame["item"]["call_id"] for frame in found if "item" in frame}
    assert ids == {"call_r10"}
    assert through_sdk(events).output[0].arguments == "{}"


def test_free_text_call() -> None:  # E040
    events = [START, *call(0, "apply_patch", "c1", "*** Begin", custom=True), Ended()]
    found = frames(events)
    assert kinds(found)[2:6] == [
        "output_item.added",
        "custom_tool_call_input.delta",
        "custom_tool_call_input.done",
        "output_item.done",
    ]
    assert found[4]["input"] == "*** Begin"
    item = through_sdk(events).output[0]
    assert (item.type, item.id, item.input) == ("custom_tool_call", "ctc_r10", "*** Begin")


def test_call_signed_before_and_after() -> None:
    google = Signature(origin="gemini", value="R0dH")
    early = Opened(index=0, block=ToolCall(id="c1", name="f", arguments="", signature=google))
    found = frames([START, early, Delta(index=0, text="{}"), Closed(index=0), Ended()])
    output = found[-1]["response"]["output"]
    assert [item["type"] for item in output] == ["reasoning", "function_call"]
    sealed = unseal(output[0]["encrypted_content"], "openai_responses")
    assert sealed is not None
    assert (sealed.call, sealed.signature) == (True, google)
    late = [
        START,
        *call(0, "f", "c1", "{}")[:-1],
        Signed(index=0, signature=google),
        Closed(index=0),
        Ended(),
    ]
    output = frames(late)[-1]["response"]["output"]
    assert [item["type"] for item in output] == ["function_call", "reasoning"]
    sealed = unseal(output[1]["encrypted_content"], "openai_responses")
    assert sealed is not None
    assert sealed.signature.id == "c1"


def test_refusal() -> None:  # E237
    events: list[Event] = [
        START,
        Opened(index=0, block=Refusal(text="")),
        Delta(index=0, text="No"),
        Delta(index=0, text="."),
        Closed(index=0),
        *END,
    ]
    found = frames(events)
    assert kinds(found)[2:] == [
        "output_item.added",
        "content_part.added",
        "refusal.delta",
        "refusal.delta",
        "refusal.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert found[3]["part"] == {"type": "refusal", "refusal": ""}
    assert found[6]["refusal"] == "No."
    assert through_sdk(events).output[0].content[0].refusal == "No."


@pytest.mark.parametrize(
    ("finish", "status", "reason"),
    [
        ("stop", "completed", None),
        ("stop_sequence", "completed", None),
        ("tool_calls", "completed", None),
        ("pause", "completed", None),
        ("length", "incomplete", "max_output_tokens"),
        ("context_length", "incomplete", "max_output_tokens"),
        ("refusal", "incomplete", "content_filter"),
        ("content_filter", "incomplete", "content_filter"),
    ],
)
def test_how_it_ended(finish: Any, status: str, reason: str | None) -> None:  # E147
    events = [*HELLO[:-3], Finished(finish=finish), USAGE, Ended()]
    last = frames(events)[-1]
    assert last["type"] == f"response.{status}"
    assert last["response"]["status"] == status
    assert last["response"]["output"][0]["status"] == status
    assert last["response"]["incomplete_details"] == ({"reason": reason} if reason else None)
    assert through_sdk(events).status == status


def test_block_without_text_leaves_no_trace() -> None:
    found = frames([START, Opened(index=0, block=Text(text="")), Closed(index=0), *END])
    assert kinds(found) == ["created", "in_progress", "completed"]


def test_neighbouring_texts_are_parts_of_one_message() -> None:
    events: list[Event] = [START]
    for index, text in enumerate(("One. ", "Two.")):
        events += [
            Opened(index=index, block=Text(text="")),
            Delta(index=index, text=text),
            Closed(index=index),
        ]
    events[4:4] = [
        Opened(index=7, block=Opaque(origin="anthropic", kind="server_tool_use", raw={})),
        Closed(index=7),
    ]
    events += END
    found = frames(events)
    assert kinds(found).count("output_item.added") == 1
    assert [part["text"] for part in found[-1]["response"]["output"][0]["content"]] == ["One. ", "Two."]
    assert through_sdk(events).output_text == "One. Two."


def test_text_after_a_call_is_a_new_item() -> None:
    events = [*HELLO[:5], *call(1, "f", "c1", "{}"), Opened(index=2, block=Text(text=""))]
    events += [Delta(index=2, text="more"), Closed(index=2), *END]
    final = through_sdk(events)
    assert [(item.type, item.id) for item in final.output] == [
        ("message", "msg_r10"),
        ("function_call", "fc_r11"),
        ("message", "msg_r12"),
    ]


def test_citations() -> None:
    page = Citation(url="https://x/", title="X", start=0, end=3)
    everything = Citation(url="https://y/", title="Y")
    events = [
        *HELLO[:3],
        Annotated(index=0, citations=(page, everything)),
        Delta(index=0, text="lo"),
        Closed(index=0),
        *END,
    ]
    found = frames(events)
    notes = [f for f in found if f["type"] == "response.output_text.annotation.added"]
    assert [(n["annotation_index"], n["content_index"], n["item_id"]) for n in notes] == [
        (0, 0, "msg_r10"),
        (1, 0, "msg_r10"),
    ]
    expected = [
        {"type": "url_citation", "start_index": 0, "end_index": 3, "title": "X", "url": "https://x/"},
        {"type": "url_citation", "start_index": 0, "end_index": 5, "title": "Y", "url": "https://y/"},
    ]
    assert [n["annotation"] for n in notes] == expected
    part_done = next(f for f in found if f["type"] == "response.content_part.done")
    assert part_done["part"]["annotations"] == expected
    assert [note.url for note in through_sdk(events).output[0].content[0].annotations] == [
        "https://x/",
        "https://y/",
    ]


def test_citations_that_come_late_are_in_the_last_event() -> None:
    page = Citation(url="https://x/", title="X")
    late = Annotated(index=0, citations=(page,))
    found = frames([*HELLO[:5], *call(1, "f", "c1", "{}"), late, *END])
    note = found[-1]["response"]["output"][0]["content"][0]["annotations"][0]
    assert (note["start_index"], note["end_index"]) == (0, 5)


def test_logprobs() -> None:
    token = TokenLogprob(token="é", logprob=-0.5, top=(("e", -1.0),))
    found = frames([*HELLO[:2], Logprobs(tokens=(token,)), *HELLO[2:]])
    expected = [
        {
            "token": "é",
            "bytes": [195, 169],
            "logprob": -0.5,
            "top_logprobs": [{"token": "e", "bytes": [101], "logprob": -1.0}],
        }
    ]
    deltas = [f["logprobs"] for f in found if f["type"] == "response.output_text.delta"]
    assert deltas == [expected, []]
    assert found[-1]["response"]["output"][0]["content"][0]["logprobs"] == expected


def test_image() -> None:
    media = Media(kind="image", source=Base64("iVBO"), media_type="image/png")
    item = frames([START, Opened(index=0, block=media), Closed(index=0), *END])[-1]["response"]["output"][0]
    assert (item["type"], item["id"], item["result"]) == ("image_generation_call", "ig_r10", "iVBO")


def test_failure_before_anything_is_an_error_event() -> None:
    found = frames([Failed(fault=Fault(429, "rate_limit_exceeded", "slow down", owner="upstream"))])
    assert found == [
        {
            "type": "error",
            "code": "rate_limit_exceeded",
            "message": "slow down",
            "param": None,
            "sequence_number": 0,
        }
    ]


def test_failure_in_the_middle() -> None:  # E246
    writer = ResponsesWriter(REPLY)
    events = [*HELLO[:3], Failed(fault=Fault(502, "upstream_cut", "cut", owner="upstream"))]
    found = frames(events)
    assert kinds(found)[-2:] == ["output_item.done", "failed"]
    last = found[-1]["response"]
    assert (last["status"], last["error"]) == ("failed", {"code": "server_error", "message": "cut"})
    assert last["output"][0]["status"] == "incomplete"
    assert found[-1]["response"]["id"] == found[0]["response"]["id"]
    assert through_sdk(events).error.message == "cut"
    for event in events:
        writer.feed(event)
    assert writer.feed(Ended()) == b""  # nothing is said after the end


def test_error_finish_is_no_success() -> None:
    last = frames([*HELLO[:-3], Finished(finish="error"), Ended()])[-1]
    assert (last["type"], last["response"]["status"]) == ("response.failed", "failed")


def test_the_request_is_repeated() -> None:
    tools = [{"type": "function", "name": "f", "parameters": {}, "strict": None}]
    asked = Conversation(
        origin="openai_responses",
        turns=(),
        system=(Text(text="Be brief"),),
        parallel_tools=False,
        max_output=100,
        temperature=0.5,
        reasoning=Reasoning(effort="high", summary="auto", visible=True),
        user="u",
        metadata={"k": "v"},
        store=False,
        previous_id="resp_0",
        extras={
            "truncation": "auto",
            "$echo": {
                "tools": tools,
                "tool_choice": {"type": "function", "name": "f"},
                "text": {"verbosity": "low"},
            },
        },
    )
    reply = Reply(model="alias", response_id="r2", created=7, conversation=asked)
    for frame in (frames(HELLO, reply)[0], frames(HELLO, reply)[-1]):
        response = frame["response"]
        expected = {
            "model": "alias",
            "created_at": 7,
            "instructions": "Be brief",
            "tools": tools,
            "tool_choice": {"type": "function", "name": "f"},
            "text": {"format": {"type": "text"}, "verbosity": "low"},
            "parallel_tool_calls": False,
            "max_output_tokens": 100,
            "temperature": 0.5,
            "top_p": 1.0,
            "reasoning": {"effort": "high", "summary": "auto"},
            "metadata": {"k": "v"},
            "store": False,
            "truncation": "auto",
            "previous_response_id": "resp_0",
            "safety_identifier": "u",
        }
        assert {name: response[name] for name in expected} == expected
    assert through_sdk(HELLO, reply).instructions == "Be brief"


def test_every_open_block_is_closed_at_the_end() -> None:
    events: list[Event] = [
        START,
        Opened(index=0, block=ToolCall(id="c1", name="f", arguments="")),
        Delta(index=0, text='{"a"'),
        Opened(index=1, block=Thinking()),
        Delta(index=1, text="hm"),
        Ended(),
    ]
    found = frames(events)
    added = [f["output_index"] for f in found if f["type"] == "response.output_item.added"]
    done = [f["output_index"] for f in found if f["type"] == "response.output_item.done"]
    assert sorted(added) == sorted(done) == [0, 1]


_WORDS = st.text(min_size=1, max_size=6)
_BLOCKS = st.one_of(
    st.builds(lambda text: Text(text=text), _WORDS),
    st.builds(lambda text: Text(text=text, citations=(Citation(url="u", title="t"),)), _WORDS),
    st.builds(lambda text: Refusal(text=text), _WORDS),
    st.builds(
        lambda text: Thinking(text=text, signature=Signature(origin="anthropic", value="U0lH")), _WORDS
    ),
    st.just(Thinking(redacted=True, signature=Signature(origin="anthropic", value="RDD"))),
    st.just(Thinking()),
    st.just(
        ToolCall(id="c1", name="f", arguments='{"a":1}', signature=Signature(origin="gemini", value="x"))
    ),
    st.just(ToolCall(id="", name="p", arguments="raw", custom=True)),
    st.just(Opaque(origin="anthropic", kind="server_tool_use", raw={})),
)


@given(st.lists(_BLOCKS, max_size=6), st.sampled_from(["stop", "length", "tool_calls"]), st.integers(1, 3))
def test_stream_and_whole_answer_say_the_same(blocks: list[Block], finish: Finish, cut: int) -> None:
    """The last event of a stream holds what ``write_answer`` gives; its reader finds the texts again."""
    events: list[Event] = [START]
    for index, block in enumerate(blocks):
        text = block.arguments if isinstance(block, ToolCall) else getattr(block, "text", "")
        bare = msgspec.structs.replace(
            block, **({"arguments": ""} if isinstance(block, ToolCall) else {"text": ""} if text else {})
        )
        if isinstance(bare, Text):
            bare = msgspec.structs.replace(bare, citations=())
        events.append(Opened(index=index, block=bare))
        events += [Delta(index=index, text=text[i : i + cut]) for i in range(0, len(text), cut)]
        if isinstance(block, Text) and block.citations:
            events.append(Annotated(index=index, citations=block.citations))
        events.append(Closed(index=index))
    events += [Finished(finish=finish), USAGE, Ended()]
    last = frames(events)[-1]
    answer = Answer(choices=(Choice(blocks=tuple(blocks), finish=finish),), usage=USAGE.usage)
    assert last["response"] == json.loads(write_answer(answer, REPLY))
    reader = ResponsesReader()
    seen = [e for frame in frames(events) for e in reader.feed(json.dumps(frame).encode())]
    texts = [b.arguments if isinstance(b, ToolCall) else b.text for b in blocks if not isinstance(b, Opaque)]
    assert "".join(event.text for event in seen if isinstance(event, Delta)) == "".join(texts)
    assert seen[-2:][1:] == [Ended()]
    assert reader.broken == 0


@pytest.mark.parametrize("count", range(len(frames(HELLO))))
def test_a_stream_cut_anywhere_is_a_failure_to_its_reader(count: int) -> None:
    reader = ResponsesReader()
    seen = [e for frame in frames(HELLO)[:count] for e in reader.feed(json.dumps(frame).encode())]
    seen += reader.finish()
    assert isinstance(seen[-1], Failed)
    assert sum(isinstance(e, Opened) for e in seen) == sum(isinstance(e, Closed) for e in seen)
