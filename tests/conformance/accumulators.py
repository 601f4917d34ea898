"""The official SDKs' own stream accumulators in front of the running gateway.

Each ``run`` sends a body as its SDK would, reads the stream to its end and gives (text, tool calls, finish) as the SDK
understood them; it raises whatever the SDK raises on a stream that failed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import anthropic
import openai
import pytest
from anthropic.types import RawMessageStreamEvent
from google import genai
from google.genai import errors, types
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from tests.conformance import streams
from tests.conformance.world import AM, CC, GM, MODEL, RS, Stage
from tests.world.harness import KEY

Heard = tuple[str, list[tuple[str, Any]], str]
"""Text, (name, arguments) of the tool calls, the dialect's finish word."""


def openai_client(url: str) -> openai.OpenAI:
    return openai.OpenAI(api_key=KEY, base_url=f"{url}/v1", max_retries=0)


def anthropic_client(url: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(api_key=KEY, base_url=url, max_retries=0)


def genai_client(url: str) -> genai.Client:
    return genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=url))


def run_chat(url: str, model: str, body: Mapping[str, Any]) -> Heard:
    """``create(stream=True)`` folded by the SDK's own state machine (``stream`` itself wants strict tools)."""
    state: ChatCompletionStreamState[Any] = ChatCompletionStreamState()
    with openai_client(url) as client:
        for chunk in client.chat.completions.create(model=model, stream=True, **body):
            state.handle_chunk(chunk)
    # Not get_final_completion: that refuses answers that were cut or filtered, as good as they are.
    choice = state.current_completion_snapshot.choices[0]
    calls = [(c.function.name, json.loads(c.function.arguments)) for c in choice.message.tool_calls or []]
    return choice.message.content or "", calls, choice.finish_reason


def run_responses(url: str, model: str, body: Mapping[str, Any]) -> Heard:
    with openai_client(url) as client, client.responses.stream(model=model, **body) as stream:
        last = None
        for event in stream:
            last = event
        assert last is not None
        if last.type == "response.incomplete":  # the SDK keeps completed responses only
            final: Any = last.response
        else:
            final = stream.get_final_response()
    calls = [(i.name, json.loads(i.arguments)) for i in final.output if i.type == "function_call"]
    return final.output_text, calls, final.status


def run_messages(url: str, model: str, body: Mapping[str, Any]) -> Heard:
    asked: dict[str, Any] = {"model": model, "max_tokens": 1024, **body}
    with anthropic_client(url) as client, client.messages.stream(**asked) as stream:
        final = stream.get_final_message()
    text = "".join(b.text for b in final.content if b.type == "text")
    calls = [(b.name, b.input) for b in final.content if b.type == "tool_use"]
    return text, calls, str(final.stop_reason)


def run_gemini(url: str, model: str, body: Mapping[str, Any]) -> Heard:
    config: dict[str, Any] = {"automatic_function_calling": {"disable": True}}
    config |= {"tools": body["tools"]} if "tools" in body else {}
    text, calls, finish = "", [], ""
    with genai_client(url) as client:
        for chunk in client.models.generate_content_stream(
            model=model, contents=body["contents"], config=config
        ):
            for candidate in chunk.candidates or []:
                parts = (candidate.content.parts if candidate.content else None) or []
                text += "".join(p.text for p in parts if p.text and not p.thought)
                calls += [(p.function_call.name, p.function_call.args) for p in parts if p.function_call]
                finish = candidate.finish_reason.value if candidate.finish_reason else finish
    return text, calls, finish


RUN: dict[str, Callable[[str, str, Mapping[str, Any]], Heard]] = {
    CC: run_chat,
    RS: run_responses,
    AM: run_messages,
    GM: run_gemini,
}
RAISES: dict[str, tuple[type[Exception], ...]] = {
    CC: (openai.APIError,),
    RS: (openai.APIError, RuntimeError),  # response.failed: "Didn't receive a `response.completed` event."
    AM: (anthropic.APIError,),
    GM: (errors.APIError,),
}


def _schemas() -> dict[str, Callable[[Any], Any]]:
    """The SDKs' own types; they demand every member that the vendor's schema requires."""
    return {
        CC: ChatCompletionChunk.model_validate,
        RS: TypeAdapter(ResponseStreamEvent).validate_python,
        AM: TypeAdapter(RawMessageStreamEvent).validate_python,
        GM: types.GenerateContentResponse.model_validate,
    }


SCHEMA = _schemas()


def understood(client: str, folded: streams.Folded) -> Heard:
    """The same three things out of a stream that ``streams`` folded."""
    value = folded.value
    if client == CC:
        choice = streams.only_choice(folded)
        calls = [(c["name"], json.loads(c["arguments"])) for c in choice["tool_calls"]]
        return choice["content"] or "", calls, choice["finish_reason"]
    if client == RS:
        parts = [p for i in value["output"] if i["type"] == "message" for p in i["content"]]
        calls = [
            (i["name"], json.loads(i["arguments"])) for i in value["output"] if i["type"] == "function_call"
        ]
        return "".join(p.get("text", "") for p in parts), calls, value["status"]
    if client == AM:
        calls = [(b["name"], b["input"]) for b in value["content"] if b["type"] == "tool_use"]
        return (
            "".join(b["text"] for b in value["content"] if b["type"] == "text"),
            calls,
            value["stop_reason"],
        )
    parts = value["parts"]
    calls = [
        (p["functionCall"]["name"], p["functionCall"].get("args") or {}) for p in parts if "functionCall" in p
    ]
    return "".join(p["text"] for p in parts if p.get("text") and not p.get("thought")), calls, value["finish"]


def streamed(
    stage: Stage,
    client: str,
    upstream: str,
    *frames: bytes,
    body: Mapping[str, Any],
    whole: bool = True,
    model: str = "",
    headers: Mapping[str, str] | None = None,
) -> streams.Folded:
    """One stream, read twice: strictly by ``streams`` (the result), and by the client's own SDK, which must understand the
    same or, where the stream is a failure, raise."""
    heard = stage.ask(
        client,
        upstream,
        body,
        model=model,
        answer=streams.plays(*frames, whole=whole),
        stream=True,
        headers=headers,
    )
    assert heard.reply.status == 200, f"{heard.reply.status} {heard.reply.body[:1500]!r}"
    folded = streams.FOLD[client](heard.reply.body)
    name = model or MODEL[upstream]
    for event in folded.events:
        if "error" not in event and event.get("type") not in ("error", "response.failed"):
            SCHEMA[client](event)
    if folded.error is None:
        assert RUN[client](stage.gateway.url, name, body) == understood(client, folded)
    else:
        with pytest.raises(RAISES[client]):
            RUN[client](stage.gateway.url, name, body)
    return folded
