"""The vendor's part of the task, in each of the four dialects: "let me look" and a call, then the word that was read.

A request that offers one of the wanted tools is a turn of the task; anything else an agent asks on the side (titles,
probes, "who speaks next") gets a harmless answer of its dialect. What a vendor would refuse in the second turn is noted
in ``wrong``: a result without its call, reasoning without which it takes no result, a file that was not read; and a
history that does not continue the one of the first turn, for prompt caches live on that.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.conformance import bodies, streams
from tests.conformance.streams import Numbered
from tests.conformance.world import AM, CC, GM, RS
from tests.world.harness import Exchange

CALL_ID: Final = {CC: "call_look01", RS: "call_look01", AM: "toolu_look01", GM: "look0001"}
LOOK, THOUGHT = "Let me look.", "The user wants a word."
SIGNATURE: Final = "U2lnbmVkQnlUaGVWZW5kb3I="
"""Stands for whatever a vendor signs its reasoning with; DeepSeek wants the text itself back."""


def dialect_at(target: str) -> str:
    """The dialect of a request to this path."""
    path = target.partition("?")[0]
    endings = {"/chat/completions": CC, "/responses": RS, "/messages": AM, "enerateContent": GM}
    return next(dialect for ending, dialect in endings.items() if path.endswith(ending))


@dataclass
class Told:
    """What one request says. calls: id → name; results: id → (name, text); back: reasoning that came back.

    thinks: the answer may hold reasoning. needs: the vendor refuses a call in the history without reasoning.
    """

    offered: list[str] = field(default_factory=list)
    calls: dict[str, str] = field(default_factory=dict)
    results: dict[str, tuple[str, str]] = field(default_factory=dict)
    back: list[str] = field(default_factory=list)
    thinks: bool = False
    needs: bool = False


def _flat(content: Any) -> str:
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)


def _read_chat(body: Any) -> Told:
    told = Told([t["function"]["name"] for t in body.get("tools", [])], thinks=True, needs=True)
    for message in body["messages"]:
        told.back += [message["reasoning_content"]] if "reasoning_content" in message else []
        for call in message.get("tool_calls") or []:
            told.calls[call["id"]] = call["function"]["name"]
        if message["role"] == "tool":
            told.results[message["tool_call_id"]] = ("", _flat(message["content"]))
    return told


def _read_responses(body: Any) -> Told:
    told = Told([t["name"] for t in body.get("tools", []) if "name" in t])
    told.thinks = "reasoning.encrypted_content" in (body.get("include") or [])
    for item in body["input"] if isinstance(body["input"], list) else []:
        if item.get("type") == "function_call":
            told.calls[item["call_id"]] = item["name"]
        elif item.get("type") == "function_call_output":
            told.results[item["call_id"]] = ("", _flat(item["output"]))
        elif item.get("type") == "reasoning":
            told.back.append(item.get("encrypted_content", ""))
    return told


def _read_messages(body: Any) -> Told:
    told = Told([t["name"] for t in body.get("tools", [])])
    thinking = (body.get("thinking") or {}).get("type")
    told.thinks, told.needs = thinking in ("enabled", "adaptive"), thinking == "enabled"
    for message in body["messages"]:
        for block in message["content"] if isinstance(message["content"], list) else []:
            if block["type"] == "tool_use":
                told.calls[block["id"]] = block["name"]
            elif block["type"] == "tool_result":
                told.results[block["tool_use_id"]] = ("", _flat(block["content"]))
            elif block["type"] == "thinking":
                told.back.append(block["signature"])
    return told


def _read_contents(body: Any) -> Told:
    told = Told([d["name"] for t in body.get("tools", []) for d in t.get("functionDeclarations", [])])
    told.thinks = told.needs = True
    for part in (part for content in body["contents"] for part in content["parts"]):
        if "functionCall" in part:
            call = part["functionCall"]
            told.calls[call.get("id") or CALL_ID[GM]] = call["name"]
            told.back += [part["thoughtSignature"]] if "thoughtSignature" in part else []
        elif "functionResponse" in part:
            result = part["functionResponse"]
            told.results[result.get("id") or CALL_ID[GM]] = (result["name"], _flat(result["response"]))
    return told


READS: Final[Mapping[str, Callable[[Any], Told]]] = {
    CC: _read_chat,
    RS: _read_responses,
    AM: _read_messages,
    GM: _read_contents,
}


HISTORY: Final = {CC: "messages", RS: "input", AM: "messages", GM: "contents"}
"""Where a dialect keeps the conversation."""


def _unmarked(value: Any) -> Any:
    """Without cache marks, which agents move to the newest turn."""
    if isinstance(value, list):
        return [_unmarked(item) for item in value]
    if isinstance(value, dict):
        return {name: _unmarked(item) for name, item in value.items() if name != "cache_control"}
    return value


def _call(dialect: str, name: str, arguments: dict[str, Any], *, thinks: bool) -> list[bytes]:
    """The frames of the first turn: a thought, a sentence, a call in pieces."""
    given, call_id = json.dumps(arguments), CALL_ID[dialect]
    first, second = given[:7], given[7:]
    if dialect == CC:
        thought = streams.chunk({"reasoning_content": THOUGHT})
        said = streams.chunk({"content": LOOK})
        calls = [streams.call(0, name, "", call_id), *(streams.call(0, arguments=p) for p in (first, second))]
        end = [streams.chunk({}, "tool_calls"), streams.chat_usage(900, 20), streams.DONE]
        return [streams.ROLE, thought, said, *(streams.chunk(delta) for delta in calls), *end]
    if dialect == RS:
        up = Numbered()
        thinking = [up.reasoning(THOUGHT, encrypted=SIGNATURE)] if thinks else []
        made = [up.text(LOOK), up.call(name, first, second, call_id=call_id)]
        return [up.created(), *thinking, *made, up.end()]
    if dialect == AM:
        at = int(thinks)
        deltas = (
            {"type": "thinking_delta", "thinking": THOUGHT},
            {"type": "signature_delta", "signature": SIGNATURE},
        )
        thought = streams.block(0, {"type": "thinking", "thinking": "", "signature": ""}, *deltas)
        made = [streams.text_block(at, LOOK), streams.tool_block(at + 1, call_id, name, first, second)]
        return [
            streams.message_start(),
            *([thought] if thinks else []),
            *made,
            streams.message_end("tool_use"),
        ]
    usage = {"promptTokenCount": 900, "candidatesTokenCount": 20, "totalTokenCount": 920}
    call = {"functionCall": {"id": call_id, "name": name, "args": arguments}, "thoughtSignature": SIGNATURE}
    parts = ({"text": THOUGHT, "thought": True}, {"text": LOOK}, call)
    return [*(streams.gemini(part) for part in parts), streams.gemini(finish="STOP", usage=usage)]


def _say(dialect: str, *texts: str) -> list[bytes]:
    """The frames of an answer that only says something."""
    if dialect == CC:
        end = [streams.chunk({}, "stop"), streams.chat_usage(950, 9), streams.DONE]
        return [streams.ROLE, *(streams.chunk({"content": text}) for text in texts), *end]
    if dialect == RS:
        up = Numbered()
        return [up.created(), up.text(*texts), up.end()]
    if dialect == AM:
        return [streams.message_start(), streams.text_block(0, *texts), streams.message_end()]
    usage = {"promptTokenCount": 950, "candidatesTokenCount": 9, "totalTokenCount": 959}
    return [
        *(streams.gemini({"text": text}) for text in texts),
        streams.gemini(finish="STOP", usage=usage),
    ]


@dataclass
class Play:
    """A script for ``Vendor``. tools: name → arguments of the call to make; word: what the file says.

    keeps_thoughts: the agent sends reasoning back. turns, aside: the bodies of the task's requests and of all others.
    """

    dialect: str
    tools: Mapping[str, dict[str, Any]]
    word: str
    keeps_thoughts: bool = True
    turns: list[Any] = field(default_factory=list)
    aside: list[Any] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def __call__(self, exchange: Exchange) -> None:
        request = exchange.request
        dialect = dialect_at(request.target)
        if dialect != self.dialect:
            self.wrong.append(f"{dialect} was spoken to an upstream that speaks {self.dialect}")
        body = request.json
        told = READS[dialect](body)
        name = next((name for name in self.tools if name in told.offered), None)
        if name is None:
            self.aside.append(body)
            self._answer(exchange, body, _say(dialect, "{}"), "{}")
            return
        self.turns.append(body)
        if told.results:
            self._check(told, name)
            self._answer(exchange, body, _say(dialect, "The word is ", self.word, "."), self.word)
        else:
            self._answer(exchange, body, _call(dialect, name, self.tools[name], thinks=told.thinks), "")

    def _check(self, told: Told, name: str) -> None:
        """What a vendor of this dialect checks, and that the tool did what it was asked for."""
        first, second = (_unmarked(turn[HISTORY[self.dialect]]) for turn in (self.turns[0], self.turns[-1]))
        if second[: len(first)] != first:
            self.wrong.append(f"the history began as {first[-1]}, now as {second[: len(first)][-1]}")
        call_id = CALL_ID[self.dialect]
        if told.calls != {call_id: name}:
            self.wrong.append(f"calls {told.calls} instead of {call_id}: {name}")
        given, text = told.results.get(call_id, ("", ""))
        if list(told.results) != [call_id] or self.word not in text:
            self.wrong.append(f"results {told.results} instead of one for {call_id} with {self.word}")
        if given not in ("", name):
            self.wrong.append(f"the result names {given}, the call {name}")
        wanted = THOUGHT if self.dialect == CC else SIGNATURE
        if told.needs and not told.back:
            self.wrong.append("the call came back without reasoning, which this vendor refuses")
        if self.keeps_thoughts and told.thinks and told.back != [wanted]:
            self.wrong.append(f"reasoning came back as {told.back} instead of {wanted!r}")

    def _answer(self, exchange: Exchange, body: Any, frames: list[bytes], text: str) -> None:
        streaming = body.get("stream") is True or "streamGenerateContent" in exchange.request.target
        if not streaming:
            exchange.reply(200, bodies.hello(self.dialect, text))
            return
        exchange.start_stream()
        for frame in frames:
            exchange.chunk(frame)
        exchange.end_stream()
