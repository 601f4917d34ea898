"""What every dialect's record must do as a whole: speak to itself."""

from __future__ import annotations

from dragoman.core.conversation import (
    Answer,
    Choice,
    Conversation,
    Ended,
    Event,
    Failed,
    Text,
    ToolCall,
    Turn,
)
from dragoman.core.facts import Facts
from dragoman.core.framing import SseSplitter, sse_parts
from dragoman.core.streams import Folded, events_of
from dragoman.core.usage import Usage
from dragoman.dialects.base import Dialect, Reply, Target

USER = Turn(role="user", blocks=(Text(text="hi"),))
SAID = Answer(
    choices=(Choice(blocks=(Text(text="Hello"), ToolCall(id="call_1", name="f", arguments='{"a":1}')), finish="tool_calls"),),
    usage=Usage(input=9, output=2),
)  # fmt: skip


def asked(dialect: Dialect) -> Conversation:
    """A conversation that went through the dialect's own request and back."""
    assert dialect.client is not None and dialect.upstream is not None
    conversation = Conversation(origin=dialect.name, turns=(USER,), max_output=64)  # type: ignore[arg-type]
    written = dialect.upstream.write_request(conversation, Target(model="m", facts=Facts()))
    assert written.losses == ()
    return dialect.client.read_request(written.body)


def content(answer: Answer) -> tuple[str, list[tuple[str, str]], str, int]:
    """(text, calls, finish, total tokens): what no dialect may lose."""
    (choice,) = answer.choices
    text = "".join(block.text for block in choice.blocks if isinstance(block, Text))
    calls = [(block.name, block.arguments) for block in choice.blocks if isinstance(block, ToolCall)]
    return text, calls, choice.finish, answer.usage.total if answer.usage else -1


def check(dialect: Dialect) -> None:
    """A request, a whole answer and a stream, each written and read by the same record."""
    conversation = asked(dialect)
    assert conversation.turns[0].role == "user" and conversation.turns[0].blocks[0].text == "hi"  # type: ignore[union-attr]
    assert conversation.max_output == 64
    assert dialect.client is not None and dialect.upstream is not None
    reply = Reply(model="m", response_id="abc", created=1, conversation=conversation, include_usage=True)
    assert content(dialect.upstream.read_answer(dialect.client.write_answer(SAID, reply))) == content(SAID)
    events = streamed(dialect, reply, events_of(SAID))
    assert isinstance(events[-1], Ended)
    folded = Folded()
    for event in events:
        folded.feed(event)
    assert content(folded.answer()) == content(SAID)
    assert isinstance(streamed(dialect, reply, events_of(SAID)[:3])[-1], Failed), "a cut stream is a failure"


def streamed(dialect: Dialect, reply: Reply, events: list[Event]) -> list[Event]:
    """The events as they come back from the dialect's own wire."""
    assert dialect.client is not None and dialect.upstream is not None
    writer, reader = dialect.client.write_stream(reply), dialect.upstream.read_stream()
    frames = SseSplitter().feed(b"".join(writer.feed(event) for event in events))
    out: list[Event] = []
    for frame in frames:
        event, data = sse_parts(frame)
        out += reader.feed(data, event) if data else []
    return out + reader.finish()
