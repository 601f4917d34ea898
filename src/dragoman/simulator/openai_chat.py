"""POST /v1/chat/completions, as OpenAI answers it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dragoman.simulator.reply import CREATED, Ask, Reply, Tool, encode
from dragoman.simulator.wire import EVENT_STREAM, Answer, Call, Dialect, Fault, chars, need

DONE = b"data: [DONE]\n\n"
_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_CODES = {401: "invalid_api_key", 429: "rate_limit_exceeded"}


def fault_body(call: Call | None, fault: Fault) -> bytes:
    """`{"error": {message, type, param, code}}`."""
    kind = _TYPES.get(fault.status, "invalid_request_error" if fault.status < 500 else "server_error")
    if fault.code == "insufficient_quota":
        kind = "insufficient_quota"
    code = fault.code or _CODES.get(fault.status)
    return encode({"error": {"message": fault.message, "type": kind, "param": fault.param, "code": code}})


def fault_frames(call: Call, fault: Fault, sent: int) -> bytes:
    """An error chunk; what an OpenAI-compatible server sends when generation breaks, [DONE] included."""
    return b"data: " + fault_body(call, fault) + b"\n\n" + DONE


def vendor_headers(serial: int) -> list[tuple[bytes, bytes]]:
    """What OpenAI adds, organisation and cookie included: a gateway must not let those through."""
    return [
        (b"x-request-id", b"req_sim%08d" % serial),
        (b"openai-organization", b"sim-organization"),
        (b"openai-processing-ms", b"7"),
        (b"openai-version", b"2020-10-01"),
        (b"x-ratelimit-remaining-requests", b"9999"),
        (b"set-cookie", b"__sim=1; path=/; HttpOnly"),
    ]


DIALECT = Dialect(fault_body=fault_body, fault_frames=fault_frames, headers=vendor_headers)


def chat(call: Call) -> Answer:
    """POST /v1/chat/completions."""
    body = call.body
    ask = _read(body, call.model)
    reply = call.reply(ask)
    choices = body.get("n") or 1
    if body.get("stream"):
        options = body.get("stream_options") or {}
        asked = bool(options.get("include_usage")) and not call.wish.no_usage
        return Answer(frames=_stream(call, ask, reply, choices, asked), content_type=EVENT_STREAM)
    answer: dict[str, Any] = {
        "id": call.new_id("chatcmpl-"),
        "object": "chat.completion",
        "created": CREATED,
        "model": ask.model,
        "choices": [
            {
                "index": i,
                "message": _message(call, body, reply),
                "logprobs": None,
                "finish_reason": reply.finish,
            }
            for i in range(choices)
        ],
    }
    if not call.wish.no_usage:
        answer["usage"] = usage(reply, choices)
    answer["system_fingerprint"] = "fp_simulated"
    return Answer(body=encode(answer))


def usage(reply: Reply, choices: int = 1) -> dict[str, Any]:
    """OpenAI's usage: cached tokens are part of the prompt's, reasoning tokens of the completion's."""
    completion = reply.output_tokens * choices
    return {
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": completion,
        "total_tokens": reply.prompt_tokens + completion,
        "prompt_tokens_details": {"cached_tokens": reply.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": reply.reasoning_tokens * choices,
            "audio_tokens": 0,
        },
    }


def _read(body: dict[str, Any], model: str) -> Ask:
    ask = Ask(model=model or need(body, "model", str, "a string"))
    messages = need(body, "messages", list, "an array")
    if not messages:
        raise Fault(
            400,
            "Invalid 'messages': empty array. Expected at least 1 message.",
            code="empty_array",
            param="messages",
        )
    for message in messages:
        if not isinstance(message, dict) or "role" not in message:
            raise Fault(400, "Missing required parameter: 'messages[0].role'.", param="messages")
        text = _content(message.get("content"), ask)
        for made in message.get("tool_calls") or ():
            ask.input_chars += chars(made["function"]["name"]) + chars(made["function"]["arguments"])
        if message["role"] == "user":
            ask.prompt = text
        ask.tool_result = text if message["role"] in ("tool", "function") else None
    for tool in body.get("tools") or ():
        function = tool.get("function")
        if tool.get("type") == "function" and isinstance(function, dict):
            ask.tools.append(Tool(function["name"], function.get("parameters")))
            ask.input_chars += (
                chars(function["name"])
                + chars(function.get("description"))
                + chars(function.get("parameters"))
            )
    choice = body.get("tool_choice")
    if choice in ("none", "required"):
        ask.tool_mode = choice
    elif isinstance(choice, dict):
        ask.forced = (choice.get("function") or {}).get("name", "")
    ask.parallel = body.get("parallel_tool_calls") is True
    _read_options(body, ask)
    return ask


def _read_options(body: dict[str, Any], ask: Ask) -> None:
    wanted = body.get("response_format") or {}
    if wanted.get("type") == "json_schema":
        ask.schema = (wanted.get("json_schema") or {}).get("schema") or {}
    ask.json_object = wanted.get("type") == "json_object"
    ask.reasoning = body.get("reasoning_effort") not in (None, "none")
    limit = body.get("max_completion_tokens")
    ask.max_tokens = limit if limit is not None else body.get("max_tokens")
    stop = body.get("stop") or []
    ask.stop = [stop] if isinstance(stop, str) else stop
    if body.get("prompt_cache_key"):
        ask.cached_tokens = ask.input_chars // 8  # half of the prompt, by the token formula


def _content(content: Any, ask: Ask) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        ask.input_chars += len(content)
        return content
    texts = []
    for part in content:
        kind = part.get("type")
        if kind in ("text", "refusal"):
            texts.append(part.get(kind, ""))
        elif kind in ("image_url", "input_audio", "file", "video_url"):
            ask.media += 1
        else:
            raise Fault(400, f"Invalid value: '{kind}'.", code="invalid_value", param="messages.content.type")
    text = "".join(texts)
    ask.input_chars += len(text)
    return text


def _message(call: Call, body: dict[str, Any], reply: Reply) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": reply.text, "refusal": None, "annotations": []}
    if reply.reasoning:
        message["reasoning_content"] = reply.reasoning
    if reply.calls:
        message["content"] = None
        message["tool_calls"] = [
            {
                "id": call.new_id("call_", i + 1),
                "type": "function",
                "function": {"name": c.name, "arguments": c.arguments},
            }
            for i, c in enumerate(reply.calls)
        ]
    elif body.get("web_search_options") is not None:
        message["annotations"] = [{"type": "url_citation", "url_citation": citation(len(reply.text))}]
    return message


def citation(end: int) -> dict[str, Any]:
    """The one page that the simulated web has."""
    return {"start_index": 0, "end_index": end, "url": "https://example.com/", "title": "Example"}


def _stream(call: Call, ask: Ask, reply: Reply, choices: int, with_usage: bool) -> Iterator[bytes]:
    base: dict[str, Any] = {
        "id": call.new_id("chatcmpl-"),
        "object": "chat.completion.chunk",
        "created": CREATED,
    }
    base |= {"model": ask.model, "system_fingerprint": "fp_simulated", "choices": []}
    if with_usage:
        base["usage"] = None

    def chunk(index: int, delta: dict[str, Any], finish: str | None = None) -> bytes:
        base["choices"] = [{"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}]
        return b"data: " + encode(base) + b"\n\n"

    for index in range(choices):
        yield chunk(index, {"role": "assistant", "content": None if reply.calls else "", "refusal": None})
        if reply.reasoning:
            yield chunk(index, {"reasoning_content": reply.reasoning})
        for piece in reply.pieces():
            yield chunk(index, {"content": piece})
        for number, made in enumerate(reply.calls):
            opening = {"index": number, "id": call.new_id("call_", number + 1), "type": "function"}
            yield chunk(index, {"tool_calls": [opening | {"function": {"name": made.name, "arguments": ""}}]})
            for piece in halves(made.arguments):
                yield chunk(index, {"tool_calls": [{"index": number, "function": {"arguments": piece}}]})
        yield chunk(index, {}, reply.finish)
    if with_usage:
        base["choices"] = []
        base["usage"] = usage(reply, choices)
        yield b"data: " + encode(base) + b"\n\n"
    yield DONE


def halves(text: str) -> tuple[str, ...]:
    """JSON arguments in two fragments, so that nobody can get away with parsing each."""
    middle = len(text) // 2
    return (text[:middle], text[middle:]) if middle else (text,)
