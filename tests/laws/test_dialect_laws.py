"""Laws of translation, the same for all four dialects.

Cut anywhere, a stream gives the same events; cut off anywhere, it closes what it opened and ends as a failure, through every
pair of dialects; what one side wrote the other reads back; text, tool calls, finish and usage survive every pair; a vendor
gets its signature back through every client, and nobody else does; and no input whatever raises anything but the fault of
who sent it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.laws.dialogue import (
    FACTS,
    LINES,
    NAMES,
    PAIRS,
    SIGNERS,
    TOOL_NAMES,
    VALUES,
    WORDS,
    answers,
    calls,
    client,
    counted,
    finish_through,
    folded,
    frames,
    lawful,
    read_stream,
    reply,
    said,
    upstream,
    usages,
    write_stream,
)

from dragoman.core.conversation import (
    Answer,
    Base64,
    Block,
    Choice,
    Closed,
    Conversation,
    Delta,
    Ended,
    Event,
    Failed,
    Function,
    Media,
    Opened,
    OutputFormat,
    Text,
    Thinking,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from dragoman.core.faults import Fault
from dragoman.core.streams import events_of
from dragoman.core.tools import is_object
from dragoman.core.usage import Usage
from dragoman.dialects.base import Target

# --- answers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_an_answer_is_read_as_it_was_written(name: str, data: st.DataObject) -> None:
    answer = data.draw(answers(SIGNERS[name]))
    written = client(name).write_answer(answer, reply(name))
    assert client(name).write_answer(answer, reply(name)) == written
    read = upstream(name).read_answer(written)
    (before,), (after,) = answer.choices, read.choices
    assert said(after.blocks) == said(before.blocks)
    assert after.finish == finish_through(before.finish, name)
    assert counted(read.usage) == counted(answer.usage)
    assert read.model == "m"
    signed = [(b.text, b.signature.value) for b in before.blocks if isinstance(b, Thinking) and b.signature]
    back = [(b.text, b.signature.value) for b in after.blocks if isinstance(b, Thinking) and b.signature]
    assert back == signed or not signed  # Responses seals unsigned reasoning, so that its text comes back


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_a_stream_says_what_the_whole_answer_says(name: str, data: st.DataObject) -> None:
    answer = data.draw(answers(SIGNERS[name]))
    events = read_stream(name, [write_stream(name, events_of(answer))])
    lawful(events)
    assert isinstance(events[-1], Ended)
    (before,), streamed = answer.choices, folded(events)
    (after,) = streamed.choices
    assert said(after.blocks) == said(before.blocks)
    assert after.finish == finish_through(before.finish, name)
    assert counted(streamed.usage) == counted(answer.usage)


@pytest.mark.parametrize(("vendor", "spoken"), PAIRS)
@given(data=st.data())
def test_an_answer_survives_every_pair(vendor: str, spoken: str, data: st.DataObject) -> None:
    answer = data.draw(answers())
    through = upstream(vendor).read_answer(client(vendor).write_answer(answer, reply(vendor)))
    seen = upstream(spoken).read_answer(client(spoken).write_answer(through, reply(spoken)))
    events = read_stream(vendor, [write_stream(vendor, events_of(answer))])
    streamed = read_stream(spoken, [write_stream(spoken, events)])
    lawful(streamed)
    (before,) = answer.choices
    for result in (seen, folded(streamed)):
        (after,) = result.choices
        assert said(after.blocks) == said(before.blocks)
        assert after.finish == finish_through(before.finish, vendor, spoken)
        assert counted(result.usage) == counted(answer.usage)


@st.composite
def interleaved(draw: st.DrawFn) -> tuple[Answer, list[Event]]:
    """Several tool calls whose argument text comes in turns, and the whole answer that it makes."""
    made = draw(calls(4).filter(lambda found: len(found) > 1))
    answer = Answer(
        choices=(Choice(blocks=made, finish="tool_calls"),),
        usage=draw(usages()),
        model="m",
        id="x",
        created=1,
    )
    start, *rest = [event for event in events_of(answer) if not isinstance(event, Opened | Delta | Closed)]
    left = {index: list(call.arguments) for index, call in enumerate(made)}
    opens = [Opened(index=index, block=replace(call, arguments="")) for index, call in enumerate(made)]
    events: list[Event] = [start, *opens]
    while any(left.values()):
        index = draw(st.sampled_from([index for index, letters in left.items() if letters]))
        size = draw(st.integers(1, 8))
        events.append(Delta(index=index, text="".join(left[index][:size])))
        del left[index][:size]
    return answer, [*events, *(Closed(index=opened.index) for opened in opens), *rest]


@pytest.mark.parametrize(("vendor", "spoken"), PAIRS)
@given(data=st.data())
def test_interleaved_calls_do_not_mix(vendor: str, spoken: str, data: st.DataObject) -> None:
    answer, events = data.draw(interleaved())
    read = read_stream(vendor, [write_stream(vendor, events)])
    lawful(read)
    told = read_stream(spoken, [write_stream(spoken, read)])
    lawful(told)
    assert said(folded(told).choices[0].blocks) == said(answer.choices[0].blocks)
    assert folded(told).choices[0].finish == "tool_calls"


# --- cut streams -----------------------------------------------------------------------------------------------------

STREAMS = [(name, False) for name in NAMES] + [("gemini", True)]


def cuts(data: st.DataObject, raw: bytes) -> list[bytes]:
    places = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=12)))
    return [raw[start:end] for start, end in zip([0, *places], [*places, len(raw)], strict=True)]


@pytest.mark.parametrize(("name", "array"), STREAMS)
@given(data=st.data())
def test_any_cut_gives_the_same_events(name: str, array: bool, data: st.DataObject) -> None:
    raw = write_stream(name, events_of(data.draw(answers(SIGNERS[name]))), array)
    whole = read_stream(name, [raw], array)
    assert read_stream(name, cuts(data, raw), array) == whole


FULL = Answer(
    choices=(
        Choice(
            blocks=(
                Thinking(text="hm, größer"),
                Text(text="Grüße 你好\n😀"),
                ToolCall(id="call_1", name="f", arguments='{"a":"ü"}'),
                ToolCall(id="call_2", name="g", arguments="{}"),
            ),
            finish="tool_calls",
        ),
    ),
    usage=Usage(input=5, cached_input=2, output=9, reasoning=1),
    model="m",
    id="x",
    created=1,
)


def check_truncated(name: str, events: list[Event], whole: list[Event]) -> None:
    """A stream that was cut off ends Failed; if it ends well all the same, then nothing that it says is missing."""
    lawful(events)
    if isinstance(events[-1], Ended):
        assert said(folded(events).choices[0].blocks) == said(folded(whole).choices[0].blocks)
        assert folded(events).choices[0].finish == folded(whole).choices[0].finish
    else:
        assert isinstance(events[-1], Failed)
        assert events[-1].fault.status >= 500
        assert events[-1].fault.owner == "upstream"


@pytest.mark.parametrize(("name", "array"), STREAMS)
def test_cut_at_every_byte(name: str, array: bool) -> None:
    raw = write_stream(name, events_of(FULL), array)
    whole = read_stream(name, [raw], array)
    assert isinstance(whole[-1], Ended)
    ended = []
    for place in range(len(raw)):
        assert read_stream(name, [raw[:place], raw[place:]], array) == whole
        events = read_stream(name, [raw[:place]], array)
        check_truncated(name, events, whole)
        ended.append(isinstance(events[-1], Ended))
    assert not any(ended[: len(raw) // 2])
    assert ended == sorted(ended), "a longer stream cannot be less finished"


@pytest.mark.parametrize(("vendor", "spoken"), PAIRS)
@given(data=st.data())
def test_a_truncated_stream_is_a_failure_for_every_client(
    vendor: str, spoken: str, data: st.DataObject
) -> None:
    answer = data.draw(answers(SIGNERS[vendor]))
    raw = write_stream(vendor, events_of(answer))
    whole = read_stream(vendor, [raw])
    events = read_stream(vendor, [raw[: data.draw(st.integers(0, len(raw)))]])
    check_truncated(vendor, events, whole)
    told = read_stream(spoken, [write_stream(spoken, events)])
    lawful(told)
    assert type(told[-1]) is type(events[-1])


@pytest.mark.parametrize(("vendor", "spoken"), PAIRS)
@given(data=st.data())
def test_a_failure_in_the_middle_reaches_every_client(vendor: str, spoken: str, data: st.DataObject) -> None:
    events = read_stream(vendor, [write_stream(vendor, events_of(data.draw(answers(SIGNERS[vendor]))))])[:-1]
    kept = events[: data.draw(st.integers(0, len(events)))]
    still_open = [event for event in kept if isinstance(event, Opened)]
    closed = {(event.choice, event.index) for event in kept if isinstance(event, Closed)}
    kept += [Closed(index=o.index, choice=o.choice) for o in still_open if (o.choice, o.index) not in closed]
    fault = Fault(503, "overloaded_error", "Overloaded", type="overloaded_error", owner="upstream")
    told = read_stream(spoken, [write_stream(spoken, [*kept, Failed(fault=fault)])])
    lawful(told)
    assert isinstance(told[-1], Failed)
    assert told[-1].fault.status >= 500


# --- requests --------------------------------------------------------------------------------------------------------

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "description": "where"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
MEDIA = st.sampled_from(
    [
        Media(kind="image", source=Base64(data=PNG), media_type="image/png"),
        Media(kind="document", source=Base64(data="JVBERi0="), media_type="application/pdf", name="r.pdf"),
    ]
)


@st.composite
def conversations(draw: st.DrawFn, origin: str) -> Conversation:
    """Turns in any order, tool calls with their results, tools and the fields that every dialect knows."""
    turns: list[Turn] = [Turn(role="user", blocks=(Text(text=draw(LINES)),))]
    numbers = iter(range(100))
    for _ in range(draw(st.integers(0, 3))):
        made = tuple(replace(call, id=f"call_{next(numbers)}") for call in draw(calls(2)))
        blocks: tuple[Block, ...] = (Text(text=draw(LINES)),) if draw(st.booleans()) or not made else ()
        turns.append(Turn(role="assistant", blocks=blocks + made))
        answered = tuple(
            ToolResult(call_id=call.id, name=call.name, content=(Text(text=draw(LINES)),)) for call in made
        )
        rest = draw(
            st.lists(
                st.one_of(LINES.map(lambda text: Text(text=text)), MEDIA),
                min_size=0 if made else 1,
                max_size=2,
            )
        )
        turns.append(Turn(role="user", blocks=answered + tuple(rest)))
    names = sorted(
        {b.name for t in turns for b in t.blocks if isinstance(b, ToolCall)}
        | set(draw(st.lists(TOOL_NAMES, max_size=1)))
    )
    tools = tuple(Function(name=name, description="d", parameters=SCHEMA) for name in names)
    choices = [ToolChoice(mode="auto"), ToolChoice(mode="none"), ToolChoice(mode="required"), None]
    picked = (
        draw(st.sampled_from([*choices, *(ToolChoice(mode="tool", name=tool.name) for tool in tools)]))
        if tools
        else None
    )
    system = (Text(text=draw(LINES)),) if draw(st.booleans()) else ()
    if origin == "openai_chat" and system:
        turns, system = [Turn(role="system", blocks=system), *turns], ()
    return Conversation(
        origin=origin,  # type: ignore[arg-type]
        turns=tuple(turns),
        system=system,
        tools=tools,
        tool_choice=picked,
        max_output=draw(st.integers(16, 4096)),
        temperature=draw(st.sampled_from([None, 0.0, 0.7, 1.0])),
        top_p=draw(st.sampled_from([None, 0.5, 1.0])),
        stop=draw(st.sampled_from([(), ("END",), ("a", "b")])) if origin != "openai_responses" else (),
        output_format=draw(
            st.sampled_from([None, OutputFormat(kind="json_schema", name="r", schema=SCHEMA, strict=True)])
        ),
    )


def asked(conversation: Conversation) -> dict[str, Any]:
    """What a model is told, whatever the dialect: instructions, who says what in which order, results by call."""
    instructions = [block.text for block in conversation.system if isinstance(block, Text)]
    order: list[Any] = []
    ids: dict[str, int] = {}
    for turn in conversation.turns:
        for block in turn.blocks:
            match block:
                case Text() if turn.role in ("system", "developer"):
                    instructions.append(block.text)
                case Text():
                    order.append((turn.role, block.text))
                case Media():
                    order.append((turn.role, block.kind, block.media_type, block.source))
                case ToolCall():
                    ids[block.id] = len(ids)
                    order.append(("call", ids[block.id], block.name, json.loads(block.arguments)))
                case ToolResult():
                    text = "".join(part.text for part in block.content if isinstance(part, Text))
                    order.append(("result", ids.get(block.call_id, block.call_id), text))
                case _:
                    pass
    tools = [(tool.name, tool.description) for tool in conversation.tools if isinstance(tool, Function)]
    return {
        "instructions": "\n\n".join(instructions),
        "order": order,
        "tools": tools,
        "choice": conversation.tool_choice,
    }


def bare(conversation: Conversation) -> Conversation:
    """Without the places in the client's body."""

    def at(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(at(item) for item in value)
        fields = getattr(value, "__struct_fields__", ())
        if not fields:
            return value
        kept = {name: at(getattr(value, name)) for name in fields if name != "at"}
        return replace(value, **kept, **({"at": ()} if "at" in fields else {}))

    return replace(at(conversation), fields={}, bound=())  # type: ignore[no-any-return]


def write_request(name: str, conversation: Conversation) -> tuple[bytes, tuple[str, ...]]:
    written = upstream(name).write_request(conversation, Target(model="m", facts=FACTS[name]))
    return written.body, tuple(loss.why for loss in written.losses)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_a_request_is_read_as_it_was_written(name: str, data: st.DataObject) -> None:
    made = data.draw(conversations(name))
    body, losses = write_request(name, made)
    assert losses == ()
    once = client(name).read_request(body)
    again, losses = write_request(name, once)
    assert losses == ()
    assert bare(client(name).read_request(again)) == bare(once)
    assert asked(once) == asked(made)
    for field in ("max_output", "temperature", "top_p", "stop"):
        assert getattr(once, field) == getattr(made, field), field
    assert (once.output_format is None) == (made.output_format is None)
    assert write_request(name, once)[0] == again, "the same conversation has the same bytes"


@pytest.mark.parametrize(("origin", "vendor"), [pair for pair in PAIRS if pair[0] != pair[1]])
@given(data=st.data())
def test_a_request_survives_every_pair(origin: str, vendor: str, data: st.DataObject) -> None:
    made = data.draw(conversations(origin))
    assume(not (vendor == "openai_responses" and made.stop))  # it has no stop: refused, by E093
    if vendor == "gemini" or origin == "gemini":
        made = replace(made, output_format=None)
    body, _ = write_request(origin, made)
    read = client(origin).read_request(body)
    written, losses = write_request(vendor, read)
    assert losses == ()
    assert asked(client(vendor).read_request(written)) == asked(made)
    assert bare(client(origin).read_request(body)) == bare(read), "writing changed the conversation"


# --- reasoning on its way through a client ---------------------------------------------------------------------------


def next_request(name: str, answer: bytes) -> bytes:
    """What an SDK's user sends next: the answer appended to the history, word for word."""
    body = json.loads(answer)
    history: dict[str, Any] = {
        "openai_chat": lambda: {
            "messages": [{"role": "user", "content": "?"}, body["choices"][0]["message"]]
        },
        "openai_responses": lambda: {"input": [{"role": "user", "content": "?"}, *body["output"]]},
        "anthropic": lambda: {
            "max_tokens": 9,
            "messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": body["content"]}],
        },
        "gemini": lambda: {
            "contents": [{"role": "user", "parts": [{"text": "?"}]}, body["candidates"][0]["content"]]
        },
    }[name]()
    return json.dumps({"model": "m", **history}).encode()


@pytest.mark.parametrize(("vendor", "spoken"), PAIRS)
@given(data=st.data())
def test_a_vendor_gets_its_signature_back(vendor: str, spoken: str, data: st.DataObject) -> None:
    """Through a client of any dialect, and nobody else gets it."""
    signer = SIGNERS[vendor]
    answer = data.draw(answers(signer, signed=True))
    (choice,) = answer.choices
    signed = [(b.text, b.signature) for b in choice.blocks if isinstance(b, Thinking) and b.signature]
    body = next_request(spoken, client(spoken).write_answer(answer, reply(spoken)))
    read = client(spoken).read_request(body)
    back = [b for turn in read.turns for b in turn.blocks if isinstance(b, Thinking) and b.signature]
    assert [(b.text, b.signature.origin, b.signature.value) for b in back if b.signature] == [
        (text, signature.origin, signature.value) for text, signature in signed
    ]
    value = signed[0][1].value
    for name in NAMES:
        written = upstream(name).write_request(read, Target(model="m", facts=FACTS[name])).body.decode()
        if name == signer:
            assert f'"{value}"' in written
        elif name != "openai_chat":  # chat's details name their maker themselves
            assert f'"{value}"' not in written


# --- nothing else is ever raised -------------------------------------------------------------------------------------

BODIES: dict[str, list[dict[str, Any]]] = {
    "openai_chat": [
        {
            "model": "m",
            "messages": [
                {"role": "system", "content": "s"},
                {"role": "developer", "content": [{"type": "text", "text": "d"}]},
                {"role": "user", "name": "bob", "content": [{"type": "text", "text": "t"}, {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "low"}}, {"type": "file", "file": {"filename": "r.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}}]},
                {"role": "assistant", "content": None, "reasoning_content": "hm", "reasoning_details": [{"type": "reasoning.text", "text": "hm", "signature": "U0lH", "format": "anthropic-claude-v1", "index": 0}], "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}]},
                {"role": "tool", "tool_call_id": "call_1", "content": "r"},
                {"role": "user", "content": "u"},
            ],
            "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA, "strict": True}}, {"type": "web_search"}],
            "tool_choice": {"type": "function", "function": {"name": "f"}},
            "parallel_tool_calls": False, "max_tokens": 100, "temperature": 0.5, "top_p": 0.9, "n": 1, "stop": ["X"], "seed": 7,
            "presence_penalty": 0.1, "frequency_penalty": 0.1, "logit_bias": {"1": 2}, "logprobs": True, "top_logprobs": 2, "user": "u",
            "response_format": {"type": "json_schema", "json_schema": {"name": "r", "schema": SCHEMA, "strict": True}},
            "reasoning_effort": "high", "web_search_options": {"search_context_size": "low", "user_location": {"type": "approximate", "approximate": {"country": "DE"}}},
            "metadata": {"a": "b"}, "service_tier": "auto", "stream_options": {"include_usage": True}, "modalities": ["text"],
        },
        {"model": "m", "messages": [{"role": "user", "content": "x"}], "functions": [{"name": "f", "parameters": {}}], "function_call": {"name": "f"}},
    ],
    "openai_responses": [
        {
            "model": "m", "instructions": "i",
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "t"}, {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "low"}, {"type": "input_file", "filename": "r.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}]},
                {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "U0lH"},
                {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "call_1", "output": [{"type": "input_text", "text": "r"}]},
                {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [{"type": "output_text", "text": "a", "annotations": []}]},
            ],
            "tools": [{"type": "function", "name": "f", "parameters": SCHEMA, "strict": False}, {"type": "custom", "name": "p", "format": {"type": "text"}}, {"type": "web_search", "filters": {"allowed_domains": ["a.b"]}}, {"type": "namespace", "name": "ns", "tools": [{"type": "function", "name": "g", "parameters": {}}]}],
            "tool_choice": {"type": "function", "name": "f"}, "reasoning": {"effort": "low", "summary": "auto"}, "max_output_tokens": 50,
            "text": {"format": {"type": "json_schema", "name": "r", "schema": SCHEMA, "strict": True}, "verbosity": "low"},
            "include": ["reasoning.encrypted_content"], "store": False, "previous_response_id": "resp_1", "metadata": {}, "truncation": "auto",
            "temperature": 0.5, "top_p": 0.5, "parallel_tool_calls": True, "service_tier": "auto", "prompt_cache_key": "k", "safety_identifier": "u",
        },
        {"model": "m", "input": "x"},
    ],
    "anthropic": [
        {
            "model": "m", "max_tokens": 2000, "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "t"}, {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}, {"type": "document", "title": "r.pdf", "source": {"type": "url", "url": "https://x/r.pdf"}}]},
                {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": "U0lH"}, {"type": "redacted_thinking", "data": "QUFB"}, {"type": "text", "text": "a"}, {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}}]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "is_error": True, "content": [{"type": "text", "text": "r"}]}]},
            ],
            "tools": [{"name": "f", "description": "d", "input_schema": SCHEMA, "strict": True}, {"type": "web_search_20250305", "name": "web_search", "max_uses": 2}],
            "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True}, "thinking": {"type": "enabled", "budget_tokens": 1024},
            "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": SCHEMA}}, "metadata": {"user_id": "u"},
            "stop_sequences": ["X"], "temperature": 0.5, "top_p": 0.9, "top_k": 5, "service_tier": "auto", "context_management": {"edits": []},
        },
        {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]},
    ],
    "gemini": [
        {
            "systemInstruction": {"parts": [{"text": "s"}]},
            "contents": [
                {"parts": [{"text": "t"}, {"inlineData": {"mimeType": "image/png", "data": PNG}}, {"fileData": {"mimeType": "video/mp4", "fileUri": "https://x/v.mp4"}}]},
                {"role": "model", "parts": [{"text": "hm", "thought": True, "thoughtSignature": "U0lH"}, {"functionCall": {"id": "1", "name": "f", "args": {"a": 1}}, "thoughtSignature": "U0lH"}]},
                {"role": "user", "parts": [{"functionResponse": {"id": "1", "name": "f", "response": {"result": "r"}}}]},
            ],
            "tools": [{"functionDeclarations": [{"name": "f", "description": "d", "parameters": {"type": "OBJECT", "properties": {"a": {"type": "INTEGER", "nullable": True}}}}]}, {"googleSearch": {}}],
            "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
            "generationConfig": {"maxOutputTokens": 50, "temperature": 0.5, "topP": 0.9, "topK": 5, "stopSequences": ["X"], "candidateCount": 1, "seed": 3, "responseMimeType": "application/json", "responseSchema": {"type": "OBJECT", "properties": {}}, "thinkingConfig": {"thinkingBudget": 100, "includeThoughts": True}, "presencePenalty": 0.1},
            "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
        },
        {"contents": [{"parts": [{"text": "x"}]}]},
    ],
}  # fmt: skip

STRANGE = st.one_of(
    VALUES,
    st.sampled_from(
        [
            None,
            True,
            0,
            -1,
            1e308,
            "\ud800",
            10**40,
            "",
            "x",
            "\x00",
            [],
            {},
            [[]],
            [None],
            {"type": None},
            {"type": "x"},
            {"type": "text"},
            "[DONE]",
        ]
    ),
    st.sampled_from([150, 400, 3000]).map(lambda depth: Deep(depth)),
).map(deepcopy)  # sampled lists would be shared by the examples


class Deep:
    """Stands for a value nested this deep; written by hand because json has a limit of its own."""

    def __init__(self, depth: int) -> None:
        self.depth = depth

    def __repr__(self) -> str:
        return f"Deep({self.depth})"


def blames(fault: Fault, owner: str) -> None:
    assert fault.owner == owner, fault
    assert owner == "upstream" or fault.status == 400, fault


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


def mutated(data: st.DataObject, body: Any) -> bytes:
    """The body with up to three of its members replaced, removed, doubled or renamed."""
    body = json.loads(json.dumps(body))
    marks: dict[str, Deep] = {}
    for number in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(places(body)[1:] or [()]))
        if not path:
            break
        *way, last = path
        holder = body
        for step in way:
            holder = holder[step]
        kind = data.draw(st.sampled_from(["replace", "replace", "remove", "double", "rename"]))
        if kind == "replace":
            value = data.draw(STRANGE)
            if isinstance(value, Deep):
                marks[f"deep-{number}"] = value
                value = f"deep-{number}"
            holder[last] = value
        elif kind == "remove":
            del holder[last]
        elif kind == "double" and isinstance(holder, list):
            holder.insert(last, holder[last])
        elif isinstance(holder, dict):
            holder[data.draw(WORDS)] = holder.pop(last)
    text = json.dumps(body)
    for mark, deep in marks.items():
        text = text.replace(f'"{mark}"', "[" * deep.depth + "]" * deep.depth)
    return text.encode()


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_no_request_raises_anything_but_the_clients_fault(name: str, data: st.DataObject) -> None:
    body = mutated(data, data.draw(st.sampled_from(BODIES[name])))
    try:
        conversation = client(name).read_request(body)
    except Fault as fault:
        blames(fault, "client")
        return
    for vendor in NAMES:
        try:
            written = upstream(vendor).write_request(conversation, Target(model="m", facts=FACTS[vendor]))
        except Fault as fault:
            blames(fault, "client")
        else:
            assert isinstance(json.loads(written.body), dict)


@pytest.mark.parametrize("name", NAMES)
@given(
    body=st.one_of(
        st.binary(max_size=60),
        STRANGE.filter(lambda value: not isinstance(value, Deep)).map(
            lambda value: json.dumps(value).encode()
        ),
    )
)
def test_no_bytes_raise_anything_but_the_clients_fault(name: str, body: bytes) -> None:
    try:
        client(name).read_request(body)
    except Fault as fault:
        blames(fault, "client")


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_no_answer_raises_anything_but_the_vendors_fault(name: str, data: st.DataObject) -> None:
    written = client(name).write_answer(data.draw(answers(SIGNERS[name])), reply(name))
    body = data.draw(st.one_of(st.binary(max_size=60), st.just(mutated(data, json.loads(written)))))
    try:
        answer = upstream(name).read_answer(body)
    except Fault as fault:
        blames(fault, "upstream")
        return
    for spoken in NAMES:
        json.loads(client(spoken).write_answer(answer, reply(spoken)))


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_no_frame_raises(name: str, data: st.DataObject) -> None:
    """Frames broken, mutated, doubled or out of order: the reader goes on, and what it says stays lawful for all."""
    good = frames(name, [write_stream(name, events_of(data.draw(answers(SIGNERS[name]))))])
    reader = upstream(name).read_stream()
    events: list[Event] = []
    for frame, event in data.draw(st.one_of(st.just(good), st.permutations(good))):
        if data.draw(st.integers(0, 3)) == 0:
            try:
                frame = mutated(data, json.loads(frame))
            except ValueError:
                frame = data.draw(st.binary(max_size=20))
        events += reader.feed(frame, event)
    events += reader.finish()
    assert reader.finish() == []
    lawful_whatever(events)
    for spoken in NAMES:
        told = read_stream(spoken, [write_stream(spoken, events)])
        if type(told[-1]) is not type(
            events[-1]
        ):  # half arguments are no call for a client that gets calls whole (E225)
            assert isinstance(told[-1], Failed)
            assert any(not is_object(arguments) for arguments in written_arguments(events))


def written_arguments(events: Iterable[Event]) -> list[str]:
    return [
        b.arguments for choice in folded(events).choices for b in choice.blocks if isinstance(b, ToolCall)
    ]


def lawful_whatever(events: list[Event]) -> None:
    """The grammar, for a vendor that breaks its own."""
    still_open: set[tuple[int, int]] = set()
    for event in events:
        match event:
            case Opened(index=index, choice=choice):
                still_open.add((choice, index))
            case Delta(index=index, choice=choice):
                assert (choice, index) in still_open, "text for a closed block"
            case Closed(index=index, choice=choice):
                assert (choice, index) in still_open, "closed twice"
                still_open.discard((choice, index))
            case _:
                pass
    assert not still_open
    assert isinstance(events[-1], Ended | Failed)
    assert sum(isinstance(event, Ended | Failed) for event in events) == 1
