"""Google's Gemini API: generateContent, streamGenerateContent (SSE, array), countTokens, embeddings.

Member names are accepted in both of protobuf's JSON spellings, enums as names or numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from dragoman.simulator.openai_plain import vector
from dragoman.simulator.reply import Ask, Reply, Tool, encode, prompt_tokens, signature
from dragoman.simulator.wire import Answer, Call, Dialect, Fault, chars

_STATUS = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
    409: "ABORTED", 429: "RESOURCE_EXHAUSTED", 499: "CANCELLED", 501: "UNIMPLEMENTED", 503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}  # fmt: skip
_MODES = {1: "AUTO", 2: "ANY", 3: "NONE"}
_CACHED_CONTENT_TOKENS = 64


def fault_body(call: Call | None, fault: Fault) -> bytes:
    """`{"error": {code, message, status}}`; in an array where a stream without alt=sse was asked for."""
    status = _STATUS.get(fault.status, "INTERNAL" if fault.status >= 500 else "INVALID_ARGUMENT")
    body = encode({"error": {"code": fault.status, "message": fault.message, "status": status}})
    return b"[" + body + b"]" if call is not None and _as_array(call) else body


def fault_frames(call: Call, fault: Fault, sent: int) -> bytes:
    """The error object in place of the next chunk."""
    if _as_array(call):
        return (b",\r\n" if sent else b"[") + fault_body(call, fault)[1:]
    return b"data: " + fault_body(call, fault) + b"\r\n\r\n"


def vendor_headers(serial: int) -> list[tuple[bytes, bytes]]:
    """What Google adds."""
    return [
        (b"vary", b"X-Origin"),
        (b"server-timing", b"gfet4t7; dur=7"),
        (b"x-frame-options", b"SAMEORIGIN"),
    ]


DIALECT = Dialect(fault_body=fault_body, fault_frames=fault_frames, headers=vendor_headers)


def _as_array(call: Call) -> bool:
    return call.operation == "gemini_stream" and call.query.get("alt") != "sse"


def generate(call: Call) -> Answer:
    """models/{model}:generateContent."""
    ask, config = _read(call, call.body)
    reply = call.reply(ask)
    parts = _parts(reply, _thoughts_shown(config))
    return Answer(
        body=encode(_chunk(call, reply, parts, choices=_get(config, "candidateCount") or 1, last=True))
    )


def stream(call: Call) -> Answer:
    """models/{model}:streamGenerateContent: `data:` frames with alt=sse, else one growing array."""
    ask, config = _read(call, call.body)
    reply = call.reply(ask)
    chunks = _chunks(call, reply, _thoughts_shown(config))
    if _as_array(call):
        return Answer(frames=_array(chunks), content_type=b"application/json; charset=UTF-8")
    return Answer(
        frames=(b"data: " + encode(chunk) + b"\r\n\r\n" for chunk in chunks),
        content_type=b"text/event-stream",
    )


def count(call: Call) -> Answer:
    """models/{model}:countTokens, of `contents` or of a whole `generateContentRequest`."""
    ask, _ = _read(call, _get(call.body, "generateContentRequest") or call.body)
    call.obey(ask.prompt)
    total = call.wish.input if call.wish.input >= 0 else prompt_tokens(ask)
    return Answer(
        body=encode(
            {"totalTokens": total, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": total}]}
        )
    )


def embed(call: Call) -> Answer:
    """models/{model}:embedContent."""
    return Answer(body=encode({"embedding": {"values": _embedding(call, call.body)}}))


def batch_embed(call: Call) -> Answer:
    """models/{model}:batchEmbedContents."""
    wanted = call.body.get("requests")
    if not isinstance(wanted, list) or not wanted:
        raise Fault(400, "* BatchEmbedContentsRequest.requests: at least one request is required")
    return Answer(body=encode({"embeddings": [{"values": _embedding(call, item)} for item in wanted]}))


def _embedding(call: Call, item: dict[str, Any]) -> list[float]:
    content = item.get("content")
    if not isinstance(content, dict):
        raise Fault(400, "* EmbedContentRequest.content: contents is not specified")
    text = call.obey("".join(str(part.get("text", "")) for part in content.get("parts") or ()))
    config = _get(item, "embedContentConfig") or item
    return vector(text, _get(config, "outputDimensionality") or 768)


def _get(body: dict[str, Any], name: str) -> Any:
    """A member by its camelCase name, or by its snake_case twin."""
    if name in body:
        return body[name]
    return body.get("".join("_" + c.lower() if c.isupper() else c for c in name))


def _read(call: Call, body: dict[str, Any]) -> tuple[Ask, dict[str, Any]]:
    ask = Ask(model=call.model)
    contents = body.get("contents")
    if not isinstance(contents, list) or not contents:
        raise Fault(400, "* GenerateContentRequest.contents: contents is not specified")
    system = _get(body, "systemInstruction")
    if system:
        _content(system if isinstance(system, dict) else {"parts": [{"text": system}]}, ask)
    for content in contents:
        ask.tool_result = None
        text = _content(content, ask)
        if content.get("role") in (None, "", "user") and (text or ask.tool_result is None):
            ask.prompt = text
    _read_tools(body, ask)
    config: dict[str, Any] = _get(body, "generationConfig") or {}
    if _get(config, "responseMimeType") == "application/json":
        ask.schema = _get(config, "responseSchema") or _get(config, "responseJsonSchema")
        ask.json_object = ask.schema is None
    thinking = _get(config, "thinkingConfig")
    ask.reasoning = thinking is not None and _get(thinking, "thinkingBudget") != 0
    ask.max_tokens = _get(config, "maxOutputTokens")
    ask.stop = _get(config, "stopSequences") or []
    if _get(body, "cachedContent"):
        ask.cached_tokens = _CACHED_CONTENT_TOKENS
        ask.input_chars += 4 * _CACHED_CONTENT_TOKENS
    return ask, config


def _read_tools(body: dict[str, Any], ask: Ask) -> None:
    tools = body.get("tools") or []
    for tool in tools if isinstance(tools, list) else [tools]:
        for function in _get(tool, "functionDeclarations") or ():
            parameters = _get(function, "parameters") or _get(function, "parametersJsonSchema")
            ask.tools.append(Tool(function["name"], parameters))
            ask.input_chars += (
                chars(function["name"]) + chars(function.get("description")) + chars(parameters)
            )
    calling = _get(_get(body, "toolConfig") or {}, "functionCallingConfig") or {}
    mode = _MODES.get(calling.get("mode", 0), calling.get("mode"))
    if mode == "NONE":
        ask.tool_mode = "none"
    elif mode == "ANY":
        ask.tool_mode = "required"
        ask.forced = next(iter(_get(calling, "allowedFunctionNames") or ()), "")


def _content(content: dict[str, Any], ask: Ask) -> str:
    texts = []
    for part in content.get("parts") or ():
        if isinstance(part.get("text"), str):
            if not part.get("thought"):
                texts.append(part["text"])
            ask.input_chars += len(part["text"])
        elif _get(part, "inlineData") or _get(part, "fileData"):
            ask.media += 1
        elif _get(part, "functionCall"):
            made = _get(part, "functionCall")
            ask.input_chars += chars(made.get("name")) + chars(made.get("args"))
        elif _get(part, "functionResponse"):
            result = _get(part, "functionResponse").get("response")
            ask.tool_result = encode(result).decode()
            ask.input_chars += len(ask.tool_result)
    return "".join(texts)


def _thoughts_shown(config: dict[str, Any]) -> bool:
    return bool(_get(_get(config, "thinkingConfig") or {}, "includeThoughts"))


def _parts(reply: Reply, shown: bool) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = (
        [{"text": reply.reasoning, "thought": True}] if reply.reasoning and shown else []
    )
    if reply.text:
        parts.append({"text": reply.text})
    parts += [
        {"functionCall": {"name": c.name, "args": msgspec.json.decode(c.arguments)}} for c in reply.calls
    ]
    if reply.reasoning and (reply.text or reply.calls):
        first = next(part for part in parts if not part.get("thought"))
        first["thoughtSignature"] = signature(reply.reasoning)
    return parts


def _chunk(
    call: Call, reply: Reply, parts: list[dict[str, Any]], *, choices: int = 1, last: bool
) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}}
    if last:
        candidate["finishReason"] = "MAX_TOKENS" if reply.finish == "length" else "STOP"
    chunk: dict[str, Any] = {"candidates": [candidate | {"index": index} for index in range(choices)]}
    if not call.wish.no_usage:
        chunk["usageMetadata"] = _usage(reply, choices, last)
    return chunk | {"modelVersion": call.model, "responseId": call.new_id("")}


def _usage(reply: Reply, choices: int, last: bool) -> dict[str, Any]:
    """Google's counts: candidates and thoughts are disjoint, cached content is part of the prompt."""
    usage: dict[str, Any] = {"promptTokenCount": reply.prompt_tokens}
    visible = (reply.output_tokens - reply.reasoning_tokens) * choices
    thoughts = reply.reasoning_tokens * choices
    if last:
        usage["candidatesTokenCount"] = visible
    usage["totalTokenCount"] = reply.prompt_tokens + (visible + thoughts if last else 0)
    if reply.cached_tokens:
        usage["cachedContentTokenCount"] = reply.cached_tokens
    usage["promptTokensDetails"] = [{"modality": "TEXT", "tokenCount": reply.prompt_tokens}]
    if thoughts and last:
        usage["thoughtsTokenCount"] = thoughts
    return usage


def _chunks(call: Call, reply: Reply, shown: bool) -> Iterator[dict[str, Any]]:
    """One chunk per word; the finish reason rides on the last one, as Google does it."""
    waiting: list[dict[str, Any]] | None = None
    for part in _parts(reply, shown):
        split = (
            [{"text": piece} for piece in reply.pieces()]
            if "text" in part and not part.get("thought")
            else [part]
        )
        if "thoughtSignature" in part and split[0] is not part:
            split[-1]["thoughtSignature"] = part["thoughtSignature"]
        for piece in split:
            if waiting is not None:
                yield _chunk(call, reply, waiting, last=False)
            waiting = [piece]
    yield _chunk(call, reply, waiting or [], last=True)


def _array(chunks: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    """`[{…}`, `,\\r\\n{…}`, …, `]`."""
    opening = b"["
    for chunk in chunks:
        yield opening + encode(chunk)
        opening = b",\r\n"
    yield b"]"
