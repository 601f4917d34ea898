"""One scripted conversation with tools, as vendors of the four dialects play it, and what each of them is told of it.

Turn 1: a signed thought, "Let me look.", two calls at once. Turn 2: a signed thought and a call without arguments.
Turn 3: the answer. Turn 4: a last word. Every vendor signs in its own way and must get its signatures back where it put them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from tests.conformance import bodies
from tests.conformance.streams import (
    DONE,
    ROLE,
    Numbered,
    block,
    call,
    chat_usage,
    chunk,
    gemini,
    message_end,
    message_start,
    text_block,
    tool_block,
)
from tests.conformance.world import AM, CC, GM, RS

QUESTION, LOOK, ANSWER, THANKS, WELCOME = "Weather?", "Let me look.", "Sun, rain, noon.", "Thanks", "Welcome."
SIGNATURES: Final = ("U0lHLW9uZQ==", "U0lHLXR3bw==")
PARIS, ROME = {"city": "Paris", "n": 12345678901234567890}, {"city": "Röm"}
CALLS: Final = ([("weather", PARIS), ("weather", ROME)], [("time", {})])
RESULTS: Final = ("sunny in Paris", "rain in Röm", "it is noon")

Told = tuple[Any, ...]
"""("user", text) · ("text", text) · ("signed", signature) · ("call", name, arguments) · ("result", number of the call, text)."""


def history(upstream: str, turn: int) -> list[Told]:
    """What the upstream must be told in this turn, in order."""
    signed: list[Told] = [("signed", s) for s in SIGNATURES]
    calls: list[list[Told]] = [[("call", n, a) for n, a in several] for several in CALLS]
    # Gemini signs the first call of a step; the others sign the thought in front of everything.
    look = [("text", LOOK), signed[0]] if upstream == GM else [signed[0], ("text", LOOK)]
    steps: list[list[Told]] = [
        [("user", QUESTION)],
        [*look, *calls[0], ("result", 0, RESULTS[0]), ("result", 1, RESULTS[1])],
        [signed[1], *calls[1], ("result", 2, RESULTS[2])],
        [("text", ANSWER), ("user", THANKS)],
    ]
    return [told for step in steps[:turn] for told in step]


# --- what a vendor answers --------------------------------------------------------------------------------


def _chat_details(turn: int) -> list[dict[str, Any]]:
    head = {"type": "reasoning.text", "format": "anthropic-claude-v1", "index": 0}
    return [{**head, "text": "hm", "signature": SIGNATURES[turn - 1]}]


def _chat(turn: int, *, stream: bool) -> Any:
    calls = (
        [(f"call_{turn}{i}", n, json.dumps(a)) for i, (n, a) in enumerate(CALLS[turn - 1])]
        if turn < 3
        else []
    )
    text = {1: LOOK, 2: None, 3: ANSWER, 4: WELCOME}[turn]
    finish = "tool_calls" if calls else "stop"
    if not stream:
        details = {"reasoning": "hm", "reasoning_details": _chat_details(turn)} if calls else {}
        return bodies.completion(text, calls=calls, finish=finish, **details)
    frames = [ROLE]
    if calls:
        head = {"type": "reasoning.text", "format": "anthropic-claude-v1", "index": 0}
        frames.append(chunk({"reasoning": "hm", "reasoning_details": [{**head, "text": "hm"}]}))
        frames.append(chunk({"reasoning_details": [{**head, "signature": SIGNATURES[turn - 1]}]}))
    if text:
        frames.append(chunk({"content": text}))
    for number, (call_id, name, arguments) in enumerate(calls):
        frames += [chunk(call(number, name, "", call_id)), chunk(call(number, arguments=arguments))]
    return [*frames, chunk({}, finish), chat_usage(9, 2), DONE]


def _messages(turn: int, *, stream: bool) -> Any:
    calls = [(f"toolu_{turn}{i}", n, a) for i, (n, a) in enumerate(CALLS[turn - 1])] if turn < 3 else []
    text = {1: LOOK, 2: None, 3: ANSWER, 4: WELCOME}[turn]
    reason = "tool_use" if calls else "end_turn"
    thought = {"type": "thinking", "thinking": "hm", "signature": SIGNATURES[turn - 1]} if calls else None
    if not stream:
        content = [*([thought] if thought else []), *([bodies.text(text)] if text else [])]
        return bodies.message(*content, *(bodies.tool_use(*c) for c in calls), stop_reason=reason)
    made: list[Callable[[int], bytes]] = []
    if thought:
        deltas = (
            {"type": "thinking_delta", "thinking": "hm"},
            {"type": "signature_delta", "signature": thought["signature"]},
        )
        made.append(lambda at: block(at, {"type": "thinking", "thinking": "", "signature": ""}, *deltas))
    if text:
        made.append(lambda at: text_block(at, text))
    for tool_id, name, given in calls:
        pieces = [json.dumps(given)[:5], json.dumps(given)[5:]] if given else []
        made.append(lambda at, i=tool_id, n=name, p=pieces: tool_block(at, i, n, *p))  # type: ignore[misc]
    return [message_start(), *(make(at) for at, make in enumerate(made)), message_end(reason)]


def _generated(turn: int, *, stream: bool) -> Any:
    text = {1: LOOK, 2: None, 3: ANSWER, 4: WELCOME}[turn]
    parts: list[dict[str, Any]] = [{"text": "hm", "thought": True}] if turn < 3 else []
    parts += [{"text": text}] if text else []
    if turn < 3:
        parts += [bodies.function_call(n, a) for n, a in CALLS[turn - 1]]
        first = next(p for p in parts if "functionCall" in p)
        first["thoughtSignature"] = SIGNATURES[turn - 1]
    if not stream:
        return bodies.generation(*parts)
    usage = {"promptTokenCount": 9, "candidatesTokenCount": 2, "totalTokenCount": 11}
    return [*(gemini(part) for part in parts), gemini(finish="STOP", usage=usage)]


def _response(turn: int, *, stream: bool) -> Any:
    calls = (
        [(f"call_{turn}{i}", n, json.dumps(a)) for i, (n, a) in enumerate(CALLS[turn - 1])]
        if turn < 3
        else []
    )
    text = {1: LOOK, 2: None, 3: ANSWER, 4: WELCOME}[turn]
    up = Numbered()
    if stream:
        frames = [up.created()]
        frames += [up.reasoning("hm", encrypted=SIGNATURES[turn - 1])] if calls else []
        frames += [up.text(text)] if text else []
        frames += [up.call(name, arguments, call_id=call_id) for call_id, name, arguments in calls]
        return [*frames, up.end()]
    summary = [{"type": "summary_text", "text": "hm"}]
    items: list[dict[str, Any]] = []
    if calls:
        items.append(
            {
                "type": "reasoning",
                "id": f"rs_{turn}",
                "summary": summary,
                "encrypted_content": SIGNATURES[turn - 1],
            }
        )
    items += [bodies.said(text)] if text else []
    return bodies.response(*items, *(bodies.called(i, n, a) for i, n, a in calls))


SAYS: Final[dict[str, Callable[..., Any]]] = {CC: _chat, AM: _messages, GM: _generated, RS: _response}
"""``SAYS[dialect](turn, stream=…)``: a whole body, or the frames of a stream."""


# --- what a vendor was told -------------------------------------------------------------------------------


class _Calls:
    """Numbers the calls of a history and finds the call that a result answers."""

    def __init__(self) -> None:
        self._open: list[tuple[str, str, int]] = []
        self._count = 0

    def made(self, call_id: str, name: str, given: Any) -> Told:
        self._open.append((call_id, name, self._count))
        self._count += 1
        return ("call", name, given)

    def answered(self, call_id: str, name: str, text: str) -> Told:
        """By id, or else the oldest open call of the name."""
        found = next(c for c in self._open if (c[0] == call_id if call_id else c[1] == name))
        self._open.remove(found)
        return ("result", found[2], text)


def _flat(content: Any) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(part.get("text", "") for part in content)


def _read_chat(body: Any) -> list[Told]:
    calls, out = _Calls(), []
    for message in body["messages"]:
        text = _flat(message.get("content"))
        if message["role"] == "tool":
            out.append(calls.answered(message["tool_call_id"], "", text))
            continue
        out += [
            ("signed", d["signature"]) for d in message.get("reasoning_details") or [] if d.get("signature")
        ]
        out += [("user" if message["role"] == "user" else "text", text)] if text else []
        for made in message.get("tool_calls") or []:
            out.append(
                calls.made(made["id"], made["function"]["name"], json.loads(made["function"]["arguments"]))
            )
    return out


def _read_messages(body: Any) -> list[Told]:
    assert [m["role"] for m in body["messages"]] == ["user", "assistant"] * (len(body["messages"]) // 2) + [
        "user"
    ]
    calls, out = _Calls(), []
    for message in body["messages"]:
        content = message["content"]
        for part in [bodies.text(content)] if isinstance(content, str) else content:
            if part["type"] == "thinking":
                out.append(("signed", part["signature"]))
            elif part["type"] == "text":
                out.append(("user" if message["role"] == "user" else "text", part["text"]))
            elif part["type"] == "tool_use":
                out.append(calls.made(part["id"], part["name"], part["input"]))
            else:
                assert part["type"] == "tool_result", part
                out.append(calls.answered(part["tool_use_id"], "", _flat(part["content"])))
    return out


def _read_generated(body: Any) -> list[Told]:
    calls, out = _Calls(), []
    for content in body["contents"]:
        for part in content["parts"]:
            if "functionCall" in part:
                made = part["functionCall"]
                out += [("signed", part["thoughtSignature"])] if part.get("thoughtSignature") else []
                out.append(calls.made(made.get("id", ""), made["name"], made.get("args") or {}))
            elif "functionResponse" in part:
                given = part["functionResponse"]
                text = "".join(v for v in given["response"].values() if isinstance(v, str))
                out.append(calls.answered(given.get("id", ""), given["name"], text))
            elif not part.get("thought"):
                out.append(("user" if content["role"] == "user" else "text", part["text"]))
    return out


def _read_response(body: Any) -> list[Told]:
    calls, out = _Calls(), []
    items = body["input"] if isinstance(body["input"], list) else [{"role": "user", "content": body["input"]}]
    for item in items:
        kind = item.get("type", "message")
        if kind == "reasoning":
            out += [("signed", item["encrypted_content"])] if item.get("encrypted_content") else []
        elif kind == "function_call":
            out.append(calls.made(item["call_id"], item["name"], json.loads(item["arguments"])))
        elif kind == "function_call_output":
            out.append(calls.answered(item["call_id"], "", _flat(item["output"])))
        else:
            out.append(("user" if item["role"] == "user" else "text", _flat(item["content"])))
    return out


READS: Final[dict[str, Callable[[Any], list[Told]]]] = {
    CC: _read_chat,
    AM: _read_messages,
    GM: _read_generated,
    RS: _read_response,
}


def told(upstream: str, body: Any) -> list[Told]:
    """What a request of this dialect tells the vendor. A result may be wrapped in JSON: its text is what counts."""
    out = []
    for entry in READS[upstream](body):
        if entry[0] == "result":
            entry = (*entry[:2], next((r for r in RESULTS if r in _unwrapped(entry[2])), entry[2]))
        out.append(entry)
    return out


def _unwrapped(text: str) -> str:
    """The text inside a JSON object of one string, as clients of Gemini give results."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return " ".join(v for v in value.values() if isinstance(v, str)) if isinstance(value, dict) else text
