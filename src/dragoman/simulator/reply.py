"""What the simulated model says: a neutral question in, a neutral reply out. Pure; the dialects wrap it.

Input characters are: every text in messages, instructions, prompts and tool results; the names and JSON of
tool calls in the history; each tool's name, description and compact JSON schema. Output characters are the
text, and of each call its name and its arguments. tokens = ceil(characters / 4); each image, sound or file
counts MEDIA_TOKENS; a prompt counts at least 1. Reasoning counts its own tokens, which are part of the output
and come first out of `max_tokens`.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from dragoman.simulator.directives import Directives
from dragoman.simulator.schema import sample

CREATED = 1_767_225_600  # unix seconds of every answer: 2026-01-01T00:00:00Z
MEDIA_TOKENS = 85
ECHO_LIMIT = 2_000  # characters of a prompt that come back
_WORDS = (
    "all ",
    "are ",
    "but ",
    "can ",
    "day ",
    "for ",
    "get ",
    "her ",
)  # four characters each: one token a frame
_PIECE = re.compile(r"\S+\s*|\s+")
_ONLY_OK = re.compile(
    r"(?:reply|answer|respond|say)(?: with)?(?: only| just)?(?: with)? ['\"]?OK['\"]?(?: only)?[.!]?\s*$",
    re.I,
)

encode = msgspec.json.Encoder().encode


class Tool(msgspec.Struct, frozen=True):
    """A function that the model may call."""

    name: str
    parameters: Any


class Ask(msgspec.Struct, kw_only=True):
    """One question, whatever dialect it came in."""

    model: str
    prompt: str = ""  # the last user text
    input_chars: int = 0
    media: int = 0
    tools: list[Tool] = []
    tool_mode: Literal["auto", "none", "required"] = "auto"
    forced: str = ""
    parallel: bool = False
    tool_result: str | None = None  # set when the conversation ends with a tool's result
    schema: Any = None
    json_object: bool = False
    reasoning: bool = False
    max_tokens: int | None = None
    stop: list[str] = []
    cached_tokens: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0


class ToolCall(msgspec.Struct, frozen=True):
    """A call the model makes; `arguments` is JSON text."""

    name: str
    arguments: str


class Reply(msgspec.Struct, kw_only=True):
    """The answer and its counts: `prompt_tokens` include the cached ones, `output_tokens` the reasoning."""

    text: str = ""
    reasoning: str = ""
    calls: list[ToolCall] = []
    finish: Literal["stop", "length", "tool_calls"] = "stop"
    stopped_by: str = ""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0

    def pieces(self) -> Iterator[str]:
        """The text, word by word: one stream frame each."""
        return (match.group() for match in _PIECE.finditer(self.text))


def tokens(characters: int) -> int:
    """ceil(characters / 4)."""
    return (characters + 3) // 4


def prompt_tokens(ask: Ask) -> int:
    """The formula for input, without overrides."""
    return max(1, tokens(ask.input_chars) + MEDIA_TOKENS * ask.media)


def signature(text: str) -> str:
    """The opaque proof that goes with reasoning; base64, the same for the same text."""
    return base64.b64encode(b"simulated:" + hashlib.sha256(text.encode()).digest()).decode()


SIGNATURE_PREFIX = base64.b64encode(b"simulated").decode()  # nine bytes: whole base64 groups


def compose(ask: Ask, wish: Directives) -> Reply:
    """The reply to `ask` under the request's directives."""
    reply = Reply()
    if not wish.empty:
        _generate(ask, wish, reply)
    _limit(ask, reply)
    _count(ask, wish, reply)
    return reply


def _generate(ask: Ask, wish: Directives, reply: Reply) -> None:
    if ask.reasoning:
        reply.reasoning = f"Thinking about: {ask.prompt[:60]}"
    if wish.frames >= 0:
        count = len(_WORDS)
        reply.text = ("".join(_WORDS) * (wish.frames // count + 1))[: wish.frames * 4]
    elif ask.tool_result is not None:
        reply.text = f"The tool answered: {ask.tool_result[:ECHO_LIMIT]}"
    elif ask.tools and ask.tool_mode != "none":
        reply.calls = _calls(ask, wish)
        reply.finish = "tool_calls"
    elif ask.schema is not None:
        reply.text = encode(sample(ask.schema)).decode()
    elif ask.json_object:
        reply.text = encode({"echo": ask.prompt[:ECHO_LIMIT]}).decode()
    elif len(ask.prompt) < 100 and _ONLY_OK.search(ask.prompt):
        reply.text = "OK"
    else:
        reply.text = f"Echo: {ask.prompt[:ECHO_LIMIT]}"


def _calls(ask: Ask, wish: Directives) -> list[ToolCall]:
    usable = [tool for tool in ask.tools if tool.name == ask.forced] or ask.tools
    count = wish.calls if wish.calls > 0 else (max(2, len(usable)) if ask.parallel else 1)
    made = []
    for number in range(min(count, 64)):
        tool = usable[number % len(usable)]
        arguments = sample(tool.parameters or {}, "value", number // len(usable))
        made.append(ToolCall(tool.name, encode(arguments).decode()))
    return made


def _limit(ask: Ask, reply: Reply) -> None:
    for stop in ask.stop:
        at = reply.text.find(stop) if stop else -1
        if at >= 0:
            reply.text, reply.stopped_by = reply.text[:at], stop
    if ask.max_tokens is None:
        return
    room = max(0, ask.max_tokens) * 4
    if len(reply.reasoning) > room:
        reply.reasoning = reply.reasoning[:room]
        reply.finish, reply.text, reply.calls = "length", "", []
    room = max(0, ask.max_tokens - tokens(len(reply.reasoning))) * 4
    if len(reply.text) > room:
        reply.text, reply.finish, reply.stopped_by = reply.text[:room], "length", ""


def _count(ask: Ask, wish: Directives, reply: Reply) -> None:
    reply.reasoning_tokens = wish.reasoning if wish.reasoning >= 0 else tokens(len(reply.reasoning))
    written = len(reply.text) + sum(len(call.name) + len(call.arguments) for call in reply.calls)
    reply.output_tokens = wish.output if wish.output >= 0 else tokens(written) + reply.reasoning_tokens
    reply.prompt_tokens = wish.input if wish.input >= 0 else prompt_tokens(ask)
    reply.cached_tokens = min(wish.cached if wish.cached >= 0 else ask.cached_tokens, reply.prompt_tokens)
    room = reply.prompt_tokens - reply.cached_tokens
    reply.cache_write_5m = min(wish.cache_write if wish.cache_write >= 0 else ask.cache_write_5m, room)
    reply.cache_write_1h = min(ask.cache_write_1h, room - reply.cache_write_5m)
