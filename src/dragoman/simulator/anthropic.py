"""POST /v1/messages and /v1/messages/count_tokens, as Anthropic answers them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from dragoman.simulator.openai_chat import halves
from dragoman.simulator.reply import (
    SIGNATURE_PREFIX,
    Ask,
    Reply,
    Tool,
    encode,
    prompt_tokens,
    signature,
    tokens,
)
from dragoman.simulator.wire import EVENT_STREAM, Answer, Call, Dialect, Fault, chars

_TYPES = {
    401: "authentication_error", 402: "billing_error", 403: "permission_error", 404: "not_found_error",
    413: "request_too_large", 429: "rate_limit_error", 504: "timeout_error", 529: "overloaded_error",
}  # fmt: skip
_STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}


def fault_body(call: Call | None, fault: Fault) -> bytes:
    """`{"type": "error", "error": {type, message}, "request_id"}`."""
    default = "invalid_request_error" if fault.status < 500 else "api_error"
    kind = fault.code if fault.code and fault.code.endswith("_error") else _TYPES.get(fault.status, default)
    serial = call.serial if call else 0
    body = {
        "type": "error",
        "error": {"type": kind, "message": fault.message},
        "request_id": f"req_sim{serial:08d}",
    }
    return encode(body)


def fault_frames(call: Call, fault: Fault, sent: int) -> bytes:
    """`event: error`, after which the stream ends."""
    return b"event: error\ndata: " + fault_body(call, fault) + b"\n\n"


def vendor_headers(serial: int) -> list[tuple[bytes, bytes]]:
    """What Anthropic adds, its organisation id included."""
    return [
        (b"request-id", b"req_sim%08d" % serial),
        (b"anthropic-organization-id", b"sim-organization"),
        (b"anthropic-ratelimit-requests-remaining", b"9999"),
    ]


DIALECT = Dialect(fault_body=fault_body, fault_frames=fault_frames, headers=vendor_headers)


class _Marks(msgspec.Struct):
    """Input characters up to the last cache_control of each lifetime."""

    five_minutes: int = 0
    one_hour: int = 0

    def note(self, block: dict[str, Any], ask: Ask) -> None:
        """Looks at a block that has just been counted."""
        control = block.get("cache_control")
        if not control:
            return
        if control.get("ttl") == "1h":
            self.one_hour = ask.input_chars
        else:
            self.five_minutes = ask.input_chars


def messages(call: Call) -> Answer:
    """POST /v1/messages."""
    body = call.body
    ask = _read(call)
    limit = _required(body, "max_tokens", int)
    thinking = body.get("thinking") or {}
    ask.reasoning = thinking.get("type") in ("enabled", "adaptive")
    if thinking.get("type") == "enabled" and _required(thinking, "budget_tokens", int) >= limit:
        raise Fault(400, "`max_tokens` must be greater than `thinking.budget_tokens`.")
    ask.max_tokens = limit
    reply = call.reply(ask)
    blocks = _blocks(call, reply, shown=thinking.get("display") != "omitted")
    head = {"id": call.new_id("msg_"), "type": "message", "role": "assistant", "model": ask.model}
    if body.get("stream"):
        return Answer(frames=_stream(call, head, blocks, reply), content_type=EVENT_STREAM)
    answer = head | {"content": blocks} | _stop(reply)
    if not call.wish.no_usage:
        answer["usage"] = _usage(reply)
    return Answer(body=encode(answer))


def count_tokens(call: Call) -> Answer:
    """POST /v1/messages/count_tokens: the formula of `reply.py`."""
    ask = _read(call)
    call.obey(ask.prompt)
    return Answer(
        body=encode({"input_tokens": call.wish.input if call.wish.input >= 0 else prompt_tokens(ask)})
    )


def _required(body: dict[str, Any], name: str, kind: type) -> Any:
    value = body.get(name)
    if value is None:
        raise Fault(400, f"{name}: Field required")
    if not isinstance(value, kind):
        raise Fault(400, f"{name}: Input should be a valid {kind.__name__}")
    return value


def _read(call: Call) -> Ask:
    body = call.body
    if b"anthropic-version" not in call.headers:
        raise Fault(400, "anthropic-version: header is required")
    ask = Ask(model=call.model or _required(body, "model", str))
    marks = _Marks()
    for tool in body.get("tools") or ():
        if "input_schema" in tool:
            ask.tools.append(Tool(tool["name"], tool["input_schema"]))
            ask.input_chars += (
                chars(tool["name"]) + chars(tool.get("description")) + chars(tool["input_schema"])
            )
        marks.note(tool, ask)
    _content(body.get("system"), ask, marks)
    turns = _required(body, "messages", list)
    if not turns:
        raise Fault(400, "messages: at least one message is required")
    for number, turn in enumerate(turns):
        role = turn.get("role")
        if role not in ("user", "assistant", "system"):
            raise Fault(400, f"messages.{number}.role: Input should be 'user' or 'assistant'")
        ask.tool_result = None
        text = _content(turn.get("content"), ask, marks)
        if role == "user" and (text or ask.tool_result is None):
            ask.prompt = text
    choice = body.get("tool_choice") or {}
    kind = choice.get("type")
    if kind in ("any", "tool"):
        ask.tool_mode, ask.forced = "required", choice.get("name", "")
    elif kind == "none":
        ask.tool_mode = "none"
    ask.parallel = choice.get("disable_parallel_tool_use") is False
    wanted = (body.get("output_config") or {}).get("format") or body.get("output_format") or {}
    if wanted.get("type") == "json_schema":
        ask.schema = wanted.get("schema") or {}
    ask.stop = body.get("stop_sequences") or []
    ask.cache_write_1h = tokens(marks.one_hour)
    ask.cache_write_5m = max(0, tokens(marks.five_minutes) - ask.cache_write_1h)
    return ask


def _content(content: Any, ask: Ask, marks: _Marks) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        ask.input_chars += len(content)
        return content
    texts = []
    for block in content:
        kind = block.get("type")
        if kind == "text":
            texts.append(block["text"])
            ask.input_chars += len(block["text"])
        elif kind in ("image", "document"):
            ask.media += 1
        elif kind == "tool_use":
            ask.input_chars += chars(block.get("name")) + chars(block.get("input"))
        elif kind == "tool_result":
            ask.tool_result = _content(block.get("content"), ask, marks)
        elif kind == "thinking":
            _check_signature(block)
            ask.input_chars += len(block.get("thinking", ""))
        marks.note(block, ask)
    return "".join(texts)


def _check_signature(block: dict[str, Any]) -> None:
    """Thinking must come back as it was sent; omitted thinking is proved by its signature."""
    proof, text = block.get("signature", ""), block.get("thinking", "")
    if not proof.startswith(SIGNATURE_PREFIX) or (text and proof != signature(text)):
        raise Fault(400, "messages: Invalid `signature` in `thinking` block")


def _blocks(call: Call, reply: Reply, *, shown: bool) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if reply.reasoning:
        text = reply.reasoning if shown else ""
        blocks.append({"type": "thinking", "thinking": text, "signature": signature(reply.reasoning)})
    if reply.text:
        blocks.append({"type": "text", "text": reply.text})
    for number, made in enumerate(reply.calls, start=1):
        block = {"type": "tool_use", "id": call.new_id("toolu_", number), "name": made.name}
        blocks.append(block | {"input": msgspec.json.decode(made.arguments)})
    return blocks


def _stop(reply: Reply) -> dict[str, Any]:
    if reply.stopped_by:
        return {"stop_reason": "stop_sequence", "stop_sequence": reply.stopped_by}
    return {"stop_reason": _STOP_REASONS[reply.finish], "stop_sequence": None}


def _usage(reply: Reply) -> dict[str, Any]:
    """Anthropic's disjoint counts: `input_tokens` are those neither read from the cache nor written to it."""
    written = reply.cache_write_5m + reply.cache_write_1h
    return {
        "input_tokens": reply.prompt_tokens - reply.cached_tokens - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": reply.cached_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": reply.cache_write_5m,
            "ephemeral_1h_input_tokens": reply.cache_write_1h,
        },
        "output_tokens": reply.output_tokens,
        "service_tier": "standard",
    }


def _event(payload: dict[str, Any]) -> bytes:
    return b"event: " + str(payload["type"]).encode() + b"\ndata: " + encode(payload) + b"\n\n"


def _stream(call: Call, head: dict[str, Any], blocks: list[dict[str, Any]], reply: Reply) -> Iterator[bytes]:
    counted = not call.wish.no_usage
    usage = _usage(reply)
    start = head | {"content": [], "stop_reason": None, "stop_sequence": None}
    if counted:
        start["usage"] = usage | {"output_tokens": min(1, reply.output_tokens)}
    yield _event({"type": "message_start", "message": start})
    for index, block in enumerate(blocks):
        at = {"index": index}
        empty: dict[str, dict[str, Any]] = {
            "thinking": {"thinking": "", "signature": ""},
            "text": {"text": ""},
            "tool_use": {"input": {}},
        }
        yield _event({"type": "content_block_start"} | at | {"content_block": block | empty[block["type"]]})
        if index == 0:
            yield _event({"type": "ping"})
        for delta in _deltas(block, reply):
            yield _event({"type": "content_block_delta"} | at | {"delta": delta})
        yield _event({"type": "content_block_stop"} | at)
    end: dict[str, Any] = {"type": "message_delta", "delta": _stop(reply)}
    if counted:
        names = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")
        end["usage"] = {name: usage[name] for name in names}
    yield _event(end)
    yield _event({"type": "message_stop"})


def _deltas(block: dict[str, Any], reply: Reply) -> Iterator[dict[str, Any]]:
    if block["type"] == "thinking":
        if block["thinking"]:
            for piece in halves(block["thinking"]):
                yield {"type": "thinking_delta", "thinking": piece}
        yield {"type": "signature_delta", "signature": block["signature"]}
    elif block["type"] == "text":
        for piece in reply.pieces():
            yield {"type": "text_delta", "text": piece}
    else:
        yield {"type": "input_json_delta", "partial_json": ""}
        for piece in halves(encode(block["input"]).decode()):
            yield {"type": "input_json_delta", "partial_json": piece}
