"""Whole answers of the four dialects, as scripted upstreams give them, and the smallest requests of the four clients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from tests.conformance.world import AM, CC, GM, RS

Json = Any

ASK: Final[Mapping[str, dict[str, Json]]] = {
    CC: {"messages": [{"role": "user", "content": "hi"}]},
    RS: {"input": "hi"},
    AM: {"messages": [{"role": "user", "content": "hi"}]},
    GM: {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
}
"""The smallest request of each client."""

PATHS: Final[Mapping[str, str]] = {
    CC: "/v1/chat/completions",
    RS: "/v1/responses",
    AM: "/v1/messages",
}


def request_of(
    client: str, model: str, body: Mapping[str, Json], *, stream: bool = False
) -> tuple[str, dict[str, Json]]:
    """Path and body of a call by this client."""
    if client == GM:
        verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
        return f"/v1beta/models/{model}:{verb}", dict(body)
    steering = {
        "model": model,
        **({"max_tokens": 99} if client == AM else {}),
        **({"stream": True} if stream else {}),
    }
    return PATHS[client], {**steering, **body}


_PARAMETERS: Final = {"type": "object", "properties": {"a": {"type": "integer"}}}


def tools(client: str, *names: str) -> dict[str, Json]:
    """The ``tools`` member of a client that declares these functions."""
    declared: list[Json] = [{"name": n, "description": n, "parameters": _PARAMETERS} for n in names]
    made = {
        CC: [{"type": "function", "function": d} for d in declared],
        RS: [{"type": "function", "strict": False, **d} for d in declared],
        AM: [{"name": n, "description": n, "input_schema": _PARAMETERS} for n in names],
        GM: [{"functionDeclarations": [{"name": n, "description": n, "parametersJsonSchema": _PARAMETERS} for n in names]}],
    }  # fmt: skip
    return {"tools": made[client]}


def completion(
    content: str | None = None,
    *,
    finish: str | None = "stop",
    usage: Json = None,
    calls: Iterable[Json] = (),
    **message: Json,
) -> dict[str, Json]:
    """A chat completion. calls: (id, name, arguments)."""
    told: dict[str, Json] = {"role": "assistant", "content": content, **message}
    made = [{"id": i, "type": "function", "function": {"name": n, "arguments": a}} for i, n, a in calls]
    if made:
        told["tool_calls"] = made
    body: dict[str, Json] = {
        "id": "chatcmpl-up", "object": "chat.completion", "created": 7, "model": "vendor-model",
        "choices": [{"index": 0, "message": told, "finish_reason": finish}],
    }  # fmt: skip
    if usage is not ...:
        body["usage"] = usage or {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
    return body


def message(
    *content: Json, stop_reason: str | None = "end_turn", usage: Json = None, **fields: Json
) -> dict[str, Json]:
    """An Anthropic message."""
    body: dict[str, Json] = {
        "id": "msg_up", "type": "message", "role": "assistant", "model": "vendor-model", "content": list(content),
        "stop_reason": stop_reason, "stop_sequence": None, **fields,
    }  # fmt: skip
    if usage is not ...:
        body["usage"] = usage or {"input_tokens": 9, "output_tokens": 2}
    return body


def text(said: str) -> dict[str, Json]:
    """A text block (Anthropic)."""
    return {"type": "text", "text": said}


def tool_use(tool_id: str, name: str, given: Json = None) -> dict[str, Json]:
    """A tool call (Anthropic)."""
    return {"type": "tool_use", "id": tool_id, "name": name, "input": given or {}}


def generation(
    *parts: Json, finish: str | None = "STOP", usage: Json = None, **candidate: Json
) -> dict[str, Json]:
    """A Gemini answer with one candidate, without content if there are no parts."""
    told: dict[str, Json] = {"index": 0, **candidate}
    if parts:
        told["content"] = {"role": "model", "parts": list(parts)}
    if finish is not None:
        told["finishReason"] = finish
    body: dict[str, Json] = {"candidates": [told], "modelVersion": "vendor-model", "responseId": "up"}
    if usage is not ...:
        body["usageMetadata"] = usage or {
            "promptTokenCount": 9,
            "candidatesTokenCount": 2,
            "totalTokenCount": 11,
        }
    return body


def function_call(name: str, args: Json = None, **part: Json) -> dict[str, Json]:
    """A tool call (Gemini)."""
    return {"functionCall": {"name": name, "args": args or {}}, **part}


def response(*output: Json, status: str = "completed", usage: Json = None, **fields: Json) -> dict[str, Json]:
    """A Responses object."""
    body: dict[str, Json] = {
        "id": "resp_up", "object": "response", "created_at": 7, "status": status, "model": "vendor-model",
        "output": list(output), "error": None, "incomplete_details": None, "instructions": None, "metadata": {},
        "parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "temperature": 1, "top_p": 1, **fields,
    }  # fmt: skip
    if usage is not ...:
        plain = {"input_tokens": 9, "output_tokens": 2, "total_tokens": 11}
        details = {
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0},
        }
        body["usage"] = usage or {**plain, **details}
    return body


def said(text: str, *, kind: str = "output_text", annotations: Iterable[Json] = ()) -> dict[str, Json]:
    """A message item (Responses)."""
    part: dict[str, Json] = {"type": "refusal", "refusal": text}
    if kind == "output_text":
        part = {"type": "output_text", "text": text, "annotations": list(annotations)}
    return {"type": "message", "id": "msg_up", "role": "assistant", "status": "completed", "content": [part]}


def called(call_id: str, name: str, arguments: str = "{}") -> dict[str, Json]:
    """A function call item (Responses)."""
    head = {"type": "function_call", "id": f"fc_{call_id}", "status": "completed"}
    return {**head, "call_id": call_id, "name": name, "arguments": arguments}


def hello(upstream: str, said_text: str = "Hello") -> dict[str, Json]:
    """A whole answer that only says this."""
    made = {
        CC: lambda: completion(said_text),
        RS: lambda: response(said(said_text)),
        AM: lambda: message(text(said_text)),
        GM: lambda: generation({"text": said_text}),
    }
    return made[upstream]()


def text_of(client: str, answer: Json) -> str:
    """The text that a client of this dialect reads in a whole answer."""
    if client == CC:
        return str(answer["choices"][0]["message"].get("content") or "")
    if client == RS:
        parts = [p for item in answer["output"] if item["type"] == "message" for p in item["content"]]
        return "".join(p.get("text", "") for p in parts)
    if client == AM:
        return "".join(b["text"] for b in answer["content"] if b["type"] == "text")
    parts = answer["candidates"][0].get("content", {}).get("parts", [])
    return "".join(p["text"] for p in parts if "text" in p and not p.get("thought"))
