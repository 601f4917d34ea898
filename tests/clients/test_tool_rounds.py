"""Conversations with tools, four turns long: each official SDK against each upstream dialect, streamed and not.

The scripted vendor (``tool_upstreams``) looks at the history of every turn: all calls and results in order, each result
with its call, every signature back with the vendor that made it. The client sends back what its SDK gave it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Protocol

import pytest
from google.genai import types
from openai.lib.streaming.chat import ChatCompletionStreamState
from tests.clients import tool_upstreams as script
from tests.conformance.accumulators import anthropic_client, genai_client, openai_client
from tests.conformance.world import AM, CC, DIALECTS, GEMINI_3, GM, REASONER, ROUTED, RS, Stage, open_stage
from tests.world.harness import Exchange

MODELS = {CC: ROUTED, RS: REASONER[RS], AM: "claude-haiku-4-5", GM: GEMINI_3}
"""Models that sign their reasoning, by the dialect of their upstream."""
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "n": {"type": "integer"}},
    "required": ["city"],
}
NOTHING: dict[str, Any] = {"type": "object", "properties": {}}
TOOLS = [("weather", "The weather", CITY), ("time", "The time", NOTHING)]

Call = tuple[str, str, Any]
"""Id, name, arguments."""


class Talk(Protocol):
    """A conversation as a user of one SDK holds it."""

    def say(self, text: str) -> None: ...

    def ask(self) -> tuple[str, list[Call]]:
        """The model's next turn: (text, calls); it is kept in the history as the SDK gave it."""

    def give(self, results: list[tuple[Call, str]]) -> None: ...

    def close(self) -> None: ...


class ChatTalk:
    def __init__(self, url: str, model: str, stream: bool) -> None:
        self._client, self._model, self._stream = openai_client(url), model, stream
        self._messages: list[Any] = []
        self._tools: list[Any] = [
            {"type": "function", "function": {"name": n, "description": d, "parameters": p}}
            for n, d, p in TOOLS
        ]

    def say(self, text: str) -> None:
        self._messages.append({"role": "user", "content": text})

    def ask(self) -> tuple[str, list[Call]]:
        asked: dict[str, Any] = {"model": self._model, "messages": self._messages, "tools": self._tools}
        asked["reasoning_effort"] = "low"
        if self._stream:
            state: ChatCompletionStreamState[Any] = ChatCompletionStreamState()
            for chunk in self._client.chat.completions.create(**asked, stream=True):
                state.handle_chunk(chunk)
            message: Any = state.get_final_completion().choices[0].message
        else:
            message = self._client.chat.completions.create(**asked).choices[0].message
        self._messages.append(message.to_dict())
        made = message.tool_calls or []
        return message.content or "", [
            (c.id, c.function.name, json.loads(c.function.arguments)) for c in made
        ]

    def give(self, results: list[tuple[Call, str]]) -> None:
        self._messages += [{"role": "tool", "tool_call_id": c[0], "content": text} for c, text in results]

    def close(self) -> None:
        self._client.close()


class ResponsesTalk:
    def __init__(self, url: str, model: str, stream: bool) -> None:
        self._client, self._model, self._stream = openai_client(url), model, stream
        self._items: list[Any] = []
        self._tools: list[Any] = [
            {"type": "function", "name": n, "description": d, "parameters": p, "strict": False}
            for n, d, p in TOOLS
        ]

    def say(self, text: str) -> None:
        self._items.append({"role": "user", "content": text})

    def ask(self) -> tuple[str, list[Call]]:
        asked: dict[str, Any] = {
            "model": self._model, "input": self._items, "tools": self._tools, "store": False,
            "include": ["reasoning.encrypted_content"], "reasoning": {"effort": "low", "summary": "auto"},
        }  # fmt: skip
        if self._stream:
            with self._client.responses.stream(**asked) as stream:
                response: Any = stream.get_final_response()
        else:
            response = self._client.responses.create(**asked)
        # What the SDK parsed for its user is not part of the item.
        items = [
            {n: v for n, v in item.to_dict().items() if n != "parsed_arguments"} for item in response.output
        ]
        for item in items:
            for part in item.get("content") or []:
                part.pop("parsed", None)
        self._items += items
        made = [i for i in response.output if i.type == "function_call"]
        return response.output_text, [(i.call_id, i.name, json.loads(i.arguments)) for i in made]

    def give(self, results: list[tuple[Call, str]]) -> None:
        self._items += [
            {"type": "function_call_output", "call_id": c[0], "output": text} for c, text in results
        ]

    def close(self) -> None:
        self._client.close()


class MessagesTalk:
    def __init__(self, url: str, model: str, stream: bool) -> None:
        self._client, self._model, self._stream = anthropic_client(url), model, stream
        self._messages: list[Any] = []
        self._tools: list[Any] = [{"name": n, "description": d, "input_schema": p} for n, d, p in TOOLS]

    def say(self, text: str) -> None:
        self._messages.append({"role": "user", "content": text})

    def ask(self) -> tuple[str, list[Call]]:
        asked: dict[str, Any] = {
            "model": self._model, "messages": self._messages, "tools": self._tools, "max_tokens": 4096,
            "thinking": {"type": "enabled", "budget_tokens": 1024},
        }  # fmt: skip
        if self._stream:
            with self._client.messages.stream(**asked) as stream:
                message: Any = stream.get_final_message()
        else:
            message = self._client.messages.create(**asked)
        self._messages.append({"role": "assistant", "content": message.content})
        text = "".join(b.text for b in message.content if b.type == "text")
        assert (message.stop_reason == "tool_use") == any(b.type == "tool_use" for b in message.content)
        return text, [(b.id, b.name, b.input) for b in message.content if b.type == "tool_use"]

    def give(self, results: list[tuple[Call, str]]) -> None:
        content = [{"type": "tool_result", "tool_use_id": c[0], "content": text} for c, text in results]
        self._messages.append({"role": "user", "content": content})

    def close(self) -> None:
        self._client.close()


class GeminiTalk:
    def __init__(self, url: str, model: str, stream: bool) -> None:
        self._client, self._model, self._stream = genai_client(url), model, stream
        self._contents: list[types.Content] = []
        declared = [
            types.FunctionDeclaration(name=n, description=d, parameters_json_schema=p) for n, d, p in TOOLS
        ]
        self._config = types.GenerateContentConfig(
            tools=[types.Tool(function_declarations=declared)],
            thinking_config=types.ThinkingConfig(include_thoughts=True),
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        )

    def say(self, text: str) -> None:
        self._contents.append(types.Content(role="user", parts=[types.Part(text=text)]))

    def ask(self) -> tuple[str, list[Call]]:
        asked: dict[str, Any] = {"model": self._model, "contents": self._contents, "config": self._config}
        models = self._client.models
        answers = (
            list(models.generate_content_stream(**asked))
            if self._stream
            else [models.generate_content(**asked)]
        )
        parts: list[types.Part] = []
        for answer in answers:
            for candidate in answer.candidates or []:
                parts += (candidate.content.parts if candidate.content else None) or []
        self._contents.append(types.Content(role="model", parts=parts))
        text = "".join(p.text for p in parts if p.text and not p.thought)
        made = [p.function_call for p in parts if p.function_call]
        return text, [(c.id or "", c.name or "", c.args or {}) for c in made]

    def give(self, results: list[tuple[Call, str]]) -> None:
        parts = []
        for (call_id, name, _), text in results:
            given = types.FunctionResponse(id=call_id or None, name=name, response={"result": text})
            parts.append(types.Part(function_response=given))
        self._contents.append(types.Content(role="user", parts=parts))

    def close(self) -> None:
        self._client.close()


TALKS: dict[str, type[Any]] = {CC: ChatTalk, RS: ResponsesTalk, AM: MessagesTalk, GM: GeminiTalk}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    yield from open_stage(tmp_path_factory.mktemp("rounds"))


def plays(upstream: str, stage: Stage, told: list[Any]) -> Any:
    """The vendor's part: it notes what it is told in each turn and answers with the turn's line."""

    def play(exchange: Exchange) -> None:
        body = exchange.request.json
        told.append(body)
        streaming = body.get("stream") is True or "streamGenerateContent" in exchange.request.target
        answer = script.SAYS[upstream](len(told), stream=streaming)
        if not streaming:
            exchange.reply(200, answer)
            return
        exchange.start_stream()
        for frame in answer:
            exchange.chunk(frame)
        exchange.end_stream()

    return play


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("upstream", DIALECTS)
@pytest.mark.parametrize("client", DIALECTS)
def test_four_turns_with_tools(stage: Stage, client: str, upstream: str, stream: bool) -> None:
    received: list[Any] = []
    stage.vendor.script = plays(upstream, stage, received)
    talk: Talk = TALKS[client](stage.gateway.url, MODELS[upstream], stream)
    try:
        talk.say(script.QUESTION)
        text, calls = talk.ask()
        assert text == script.LOOK
        assert [(n, a) for _, n, a in calls] == script.CALLS[0] and len({c[0] for c in calls}) in (1, 2)
        talk.give(list(zip(calls, script.RESULTS[:2], strict=True)))
        text, calls = talk.ask()
        assert (text, [(n, a) for _, n, a in calls]) == ("", script.CALLS[1])
        talk.give([(calls[0], script.RESULTS[2])])
        assert talk.ask() == (script.ANSWER, [])
        talk.say(script.THANKS)
        assert talk.ask() == (script.WELCOME, [])
    finally:
        talk.close()
    for turn, body in enumerate(received, 1):
        assert script.told(upstream, body) == script.history(upstream, turn), (
            f"turn {turn}: {json.dumps(body)[:3000]}"
        )
    if upstream == AM:
        assert all(body["thinking"]["type"] == "enabled" for body in received), (
            "thinking stays on in the whole tool loop"
        )
    assert len(received) == 4
