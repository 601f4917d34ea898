"""Laws of translation, the same for all four dialects.

Cut anywhere, a stream gives the same events; cut off anywhere, it closes what it opened and ends as a failure, through every
pair of dialects; what one side wrote the other reads back; text, tool calls, finish and usage survive every pair; and no
input whatever raises anything but the client's own fault.

A dialect's own writers stand in for the vendor and for the client: its client side writes the answers that its upstream
side reads.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

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
    Finished,
    Function,
    Media,
    Opened,
    OutputFormat,
    Refusal,
    Signature,
    Text,
    Thinking,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
    Url,
)
from dragoman.core.facts import Facts
from dragoman.core.faults import Fault
from dragoman.core.framing import JsonArraySplitter, SseSplitter, sse_parts
from dragoman.core.streams import Folded, events_of
from dragoman.core.usage import Usage
from dragoman.dialects import DIALECTS
from dragoman.dialects.base import ClientSide, Reply, Target, UpstreamSide

NAMES = ("openai_chat", "openai_responses", "anthropic", "gemini")
PAIRS = [(vendor, client) for vendor in NAMES for client in NAMES]
# Each dialect at its most capable, so that little is lost for want of a fact.
FACTS = {
    "openai_chat": Facts(
        max_completion_tokens=True, developer_role=True, reasoning_details=True, cache_control=True
    ),
    "openai_responses": Facts(efforts=("none", "minimal", "low", "medium", "high", "xhigh", "max")),
    "anthropic": Facts(max_output=64_000, system_turns=True),
    "gemini": Facts(max_output=65_536, least_budget=0, call_ids=True),
}


def client(name: str) -> ClientSide:
    side = DIALECTS[name].client
    assert side is not None
    return side


def upstream(name: str) -> UpstreamSide:
    side = DIALECTS[name].upstream
    assert side is not None
    return side


def reply(origin: str, array: bool = False) -> Reply:
    asked = Conversation(origin=origin, turns=(Turn(role="user", blocks=(Text(text="?"),)),))  # type: ignore[arg-type]
    return Reply(
        model="m", response_id="0a1b2c", created=1, conversation=asked, include_usage=True, array=array
    )


# --- what is generated -----------------------------------------------------------------------------------------------

WORDS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12).filter(str.strip)
LINES = st.one_of(
    WORDS,
    st.sampled_from(["Grüße 你好 😀", 'a "quoted" \\ back\nslash', "data: x\n\n", "  indented", "end\n"]),
)
NUMBERS = st.one_of(
    st.integers(-(10**25), 10**25),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([12345678901234567890, 1.0]),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, LINES),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(WORDS, inner, max_size=3)),
    max_leaves=6,
)
ARGUMENTS = st.dictionaries(WORDS, VALUES, max_size=3).map(
    lambda value: json.dumps(value, ensure_ascii=False)
)
TOOL_NAMES = st.sampled_from(["get_weather", "f", "search-web", "a" * 60])
CALL_IDS = st.integers(0, 10**6).map(lambda number: f"call_{number}")
# Bare signatures of every dialect are base64; this one is valid for Gemini too.
SEALS = st.binary(min_size=3, max_size=12).map(lambda data: __import__("base64").b64encode(data).decode())


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    counts = st.integers(0, 10**6)
    output = draw(counts)
    return Usage(
        input=draw(counts), cached_input=draw(counts), output=output, reasoning=draw(st.integers(0, output))
    )


@st.composite
def calls(draw: st.DrawFn, most: int = 3) -> tuple[ToolCall, ...]:
    ids = draw(st.lists(CALL_IDS, max_size=most, unique=True))
    return tuple(ToolCall(id=call_id, name=draw(TOOL_NAMES), arguments=draw(ARGUMENTS)) for call_id in ids)


@st.composite
def answers(draw: st.DrawFn, origin: str = "") -> Answer:
    """Thinking, text and tool calls, as a vendor would order them, and a finish that fits. origin: who signed."""
    blocks: list[Block] = []
    if draw(st.booleans()):
        signature = Signature(origin=origin, value=draw(SEALS)) if origin and draw(st.booleans()) else None  # type: ignore[arg-type]
        blocks.append(Thinking(text=draw(LINES), signature=signature))
    if draw(st.booleans()):
        blocks.append(Text(text=draw(LINES)))
    made = draw(calls())
    blocks += made
    if not made and draw(st.integers(0, 9)) == 0:
        blocks, finish = [Refusal(text=draw(LINES))], "refusal"
    elif made:
        finish = draw(st.sampled_from(["tool_calls", "tool_calls", "length"]))
    else:
        finish = draw(st.sampled_from(["stop", "stop", "length", "content_filter"]))
    choice = Choice(blocks=tuple(blocks), finish=finish)  # type: ignore[arg-type]
    return Answer(choices=(choice,), usage=draw(usages()), model="m", id="x", created=1)


# --- reading back ----------------------------------------------------------------------------------------------------


def frames(name: str, pieces: Iterable[bytes], array: bool = False) -> list[tuple[bytes, bytes]]:
    """(data, event name) of every frame in a byte stream, what is left over at its end included."""
    splitter = JsonArraySplitter() if array else SseSplitter()
    cut = [frame for piece in pieces for frame in splitter.feed(piece)] + [splitter.finish()]
    if array:
        return [(data, b"") for data in map(JsonArraySplitter.element, cut) if data]
    return [(data, event) for event, data in map(sse_parts, cut) if data]


def read_stream(name: str, pieces: Iterable[bytes], array: bool = False) -> list[Event]:
    reader = upstream(name).read_stream()
    events: list[Event] = []
    for data, event in frames(name, pieces, array):
        events += reader.feed(data, event)
    return events + reader.finish()


def write_stream(name: str, events: Iterable[Event], array: bool = False) -> bytes:
    writer = client(name).write_stream(reply(name, array))
    return b"".join([writer.feed(event) for event in events])


def lawful(events: list[Event]) -> None:
    """The grammar of a stream: blocks are numbered, opened, filled and closed; one ending, and nothing behind it."""
    opened: dict[tuple[int, int], bool] = {}
    finished: set[int] = set()
    for event in events:
        match event:
            case Opened(index=index, choice=choice):
                assert index == sum(key[0] == choice for key in opened), "blocks are numbered without gaps"
                opened[choice, index] = True
            case Delta(index=index, choice=choice):
                assert opened[choice, index], "text for a closed block"
            case Closed(index=index, choice=choice):
                assert opened[choice, index], "closed twice"
                opened[choice, index] = False
            case Finished(choice=choice):
                assert choice not in finished, "finished twice"
                finished.add(choice)
            case _:
                pass
    assert not any(opened.values()), "a block is left open"
    assert [type(event) for event in events if isinstance(event, Ended | Failed)] == [type(events[-1])]
    if isinstance(events[-1], Ended):
        assert finished, "ended without a finish"


def folded(events: Iterable[Event]) -> Answer:
    fold = Folded()
    for event in events:
        fold.feed(event)
    return fold.answer()


def said(blocks: Iterable[Block]) -> dict[str, Any]:
    """What a person or an agent gets out of the blocks: text, reasoning, calls in order with parsed arguments."""
    out: dict[str, Any] = {"text": "", "thinking": "", "calls": []}
    for block in blocks:
        if isinstance(block, Text | Refusal):
            out["text"] += block.text
        elif isinstance(block, Thinking):
            out["thinking"] += block.text
        elif isinstance(block, ToolCall):
            out["calls"].append((block.id, block.name, json.loads(block.arguments)))
    return out


def counted(usage: Usage | None) -> tuple[int, int, int, int]:
    assert usage is not None
    return usage.prompt, usage.cached_input, usage.output, usage.total


# What a dialect makes of a finish word, on its way out and in again.
HOLDS = {
    "openai_chat": {"refusal": "content_filter"},
    "openai_responses": {"refusal": "content_filter"},
    "anthropic": {"content_filter": "refusal"},
    "gemini": {"refusal": "content_filter"},
}


def finish_through(finish: str, *path: str) -> str:
    for name in path:
        finish = HOLDS[name].get(finish, finish)
    return finish


# --- answers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_an_answer_is_read_as_it_was_written(name: str, data: st.DataObject) -> None:
    answer = data.draw(answers(name))
    written = client(name).write_answer(answer, reply(name))
    assert client(name).write_answer(answer, reply(name)) == written
    read = upstream(name).read_answer(written)
    (before,), (after,) = answer.choices, read.choices
    assert said(after.blocks) == said(before.blocks)
    assert after.finish == finish_through(before.finish, name)
    assert counted(read.usage) == counted(answer.usage)
    assert read.model == "m"
    signed = [(b.text, b.signature.value) for b in before.blocks if isinstance(b, Thinking) and b.signature]
    assert [
        (b.text, b.signature.value) for b in after.blocks if isinstance(b, Thinking) and b.signature
    ] == signed


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_a_stream_says_what_the_whole_answer_says(name: str, data: st.DataObject) -> None:
    answer = data.draw(answers(name))
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


# --- cut streams -----------------------------------------------------------------------------------------------------

STREAMS = [(name, False) for name in NAMES] + [("gemini", True)]


def cuts(data: st.DataObject, raw: bytes) -> list[bytes]:
    places = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=12)))
    return [raw[start:end] for start, end in zip([0, *places], [*places, len(raw)], strict=True)]


@pytest.mark.parametrize(("name", "array"), STREAMS)
@given(data=st.data())
def test_any_cut_gives_the_same_events(name: str, array: bool, data: st.DataObject) -> None:
    raw = write_stream(name, events_of(data.draw(answers(name))), array)
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
    answer = data.draw(answers(vendor))
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
    events = read_stream(vendor, [write_stream(vendor, events_of(data.draw(answers(vendor))))])[:-1]
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
    answer = data.draw(answers(vendor))
    (choice,) = answer.choices
    signed = [(b.text, b.signature) for b in choice.blocks if isinstance(b, Thinking) and b.signature]
    assume(signed and len(choice.blocks) > 1)
    body = next_request(spoken, client(spoken).write_answer(answer, reply(spoken)))
    read = client(spoken).read_request(body)
    back = [b for turn in read.turns for b in turn.blocks if isinstance(b, Thinking) and b.signature]
    assert [(b.text, b.signature.origin, b.signature.value) for b in back if b.signature] == [
        (text, signature.origin, signature.value) for text, signature in signed
    ]
    value = signed[0][1].value
    for name in NAMES:
        written = upstream(name).write_request(read, Target(model="m", facts=FACTS[name])).body.decode()
        if name == vendor:
            assert value in json.dumps(json.loads(written))
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
)


class Deep:
    """Stands for a value nested this deep; written by hand because json has a limit of its own."""

    def __init__(self, depth: int) -> None:
        self.depth = depth

    def __repr__(self) -> str:
        return f"Deep({self.depth})"


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
        assert (fault.status, fault.owner) == (400, "client"), fault
        return
    for vendor in NAMES:
        try:
            written = upstream(vendor).write_request(conversation, Target(model="m", facts=FACTS[vendor]))
        except Fault as fault:
            assert (fault.status, fault.owner) == (400, "client"), fault
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
        assert (fault.status, fault.owner) == (400, "client")


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_no_answer_raises_anything_but_the_vendors_fault(name: str, data: st.DataObject) -> None:
    written = client(name).write_answer(data.draw(answers(name)), reply(name))
    body = data.draw(st.one_of(st.binary(max_size=60), st.just(mutated(data, json.loads(written)))))
    try:
        answer = upstream(name).read_answer(body)
    except Fault as fault:
        assert fault.owner == "upstream", fault
        return
    for spoken in NAMES:
        json.loads(client(spoken).write_answer(answer, reply(spoken)))


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_no_frame_raises(name: str, data: st.DataObject) -> None:
    """Frames broken, mutated, doubled or out of order: the reader goes on, and what it says stays lawful for all."""
    good = frames(name, [write_stream(name, events_of(data.draw(answers(name))))])
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
        assert type(told[-1]) is type(events[-1])


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
