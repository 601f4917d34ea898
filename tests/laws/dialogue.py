"""What the laws of the dialects speak with: strategies for answers, and reading and writing through any dialect.

A dialect's own writers stand in for the vendor and for the client: its client side writes the answers that its upstream
side reads.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable
from typing import Any

from hypothesis import strategies as st

from dragoman.core.conversation import (
    Answer,
    Block,
    Choice,
    Closed,
    Conversation,
    Delta,
    Ended,
    Event,
    Failed,
    Finished,
    Opened,
    Reasoning,
    Refusal,
    Signature,
    Text,
    Thinking,
    ToolCall,
    Turn,
)
from dragoman.core.facts import Facts
from dragoman.core.framing import JsonArraySplitter, SseSplitter, sse_parts
from dragoman.core.signatures import MARK
from dragoman.core.streams import Folded
from dragoman.core.usage import Usage
from dragoman.dialects import DIALECTS
from dragoman.dialects.base import ClientSide, Reply, UpstreamSide

NAMES = ("openai_chat", "openai_responses", "anthropic", "gemini")
PAIRS = [(vendor, client) for vendor in NAMES for client in NAMES]
# Chat has no signatures of its own; its details name who signed.
SIGNERS = {name: name for name in NAMES} | {"openai_chat": "anthropic"}
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
    turns = (Turn(role="user", blocks=(Text(text="?"),)),)
    asked = Conversation(origin=origin, turns=turns, reasoning=Reasoning(visible=True))  # type: ignore[arg-type]
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
SEALS = (
    st.binary(min_size=3, max_size=12)
    .map(lambda data: b64encode(data).decode())
    .filter(lambda text: not text.startswith(MARK))
)


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
def answers(draw: st.DrawFn, origin: str = "", signed: bool = False) -> Answer:
    """Thinking, text and tool calls, as a vendor would order them, and a finish that fits. origin: who signed; signed:
    somebody did, and something was said."""
    blocks: list[Block] = []
    if signed:
        seal = Signature(origin=origin, value=draw(SEALS))  # type: ignore[arg-type]
        blocks = [Thinking(text=draw(LINES), signature=seal), Text(text=draw(LINES))]
    elif draw(st.booleans()):
        signature = Signature(origin=origin, value=draw(SEALS)) if origin and draw(st.booleans()) else None  # type: ignore[arg-type]
        blocks.append(Thinking(text=draw(LINES), signature=signature))
    if not signed and draw(st.booleans()):
        blocks.append(Text(text=draw(LINES)))
    made = draw(calls())
    blocks += made
    if not made and not signed and draw(st.integers(0, 9)) == 0:
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
