"""Streams of the four dialects: what scripted upstreams send, and strict readers of what a client got.

A reader folds a stream as the vendor's own SDK does and asserts on the way whatever that SDK, or a strict client, relies
on: names, numbering, identity, one ending. It gives the folded answer; ``error`` is set where the stream ended as a
failure. ``like`` compares with a fixture, in which ids stand for any ids of the same kind, used consistently.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tests.conformance.world import AM, CC, GM, RS
from tests.world.harness import Exchange, Script

Json = Any


# --- frames of an upstream --------------------------------------------------------------------------------


def data(value: Json) -> bytes:
    """One SSE frame without a name."""
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


def event(value: Mapping[str, Json]) -> bytes:
    """One SSE frame named by its ``type``."""
    return b"event: " + str(value["type"]).encode() + b"\n" + data(value)


DONE = b"data: [DONE]\n\n"


def chunk(delta: Json = None, finish: str | None = None, *, index: int = 0, **fields: Json) -> bytes:
    """One chunk of Chat Completions with one choice."""
    choice = {"index": index, "delta": delta if delta is not None else {}, "finish_reason": finish}
    head = {"id": "chatcmpl-up", "object": "chat.completion.chunk", "created": 7, "model": "vendor-model"}
    return data({**head, "choices": [choice], **fields})


ROLE = chunk({"role": "assistant", "content": ""})


def chat_usage(prompt: int, completion: int, **fields: Json) -> bytes:
    """The closing chunk with the usage and no choices."""
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        **fields,
    }
    head = {"id": "chatcmpl-up", "object": "chat.completion.chunk", "created": 7, "model": "vendor-model"}
    return data({**head, "choices": [], "usage": usage})


def call(
    index: int | None, name: str = "", arguments: str | None = None, call_id: str = ""
) -> dict[str, Json]:
    """A chat delta that begins a tool call (with a name) or goes on with it."""
    function: dict[str, Json] = {}
    if name:
        function["name"] = name
    if arguments is not None:
        function["arguments"] = arguments
    piece: dict[str, Json] = {"function": function}
    if index is not None:
        piece["index"] = index
    if name:
        piece |= {"id": call_id or f"call_{name}", "type": "function"}
    return {"tool_calls": [piece]}


def message_start(**usage: int) -> bytes:
    """Anthropic's first event."""
    message = {
        "id": "msg_up", "type": "message", "role": "assistant", "model": "vendor-model", "content": [],
        "stop_reason": None, "stop_sequence": None,
        "usage": {"input_tokens": 5, "output_tokens": 1, **usage},
    }  # fmt: skip
    return event({"type": "message_start", "message": message})


def block(index: int, start: Mapping[str, Json], *deltas: Mapping[str, Json]) -> bytes:
    """A whole content block: start, deltas, stop."""
    frames = [event({"type": "content_block_start", "index": index, "content_block": start})]
    frames += [event({"type": "content_block_delta", "index": index, "delta": delta}) for delta in deltas]
    frames.append(event({"type": "content_block_stop", "index": index}))
    return b"".join(frames)


def text_block(index: int, *texts: str) -> bytes:
    return block(index, {"type": "text", "text": ""}, *({"type": "text_delta", "text": t} for t in texts))


def tool_block(index: int, tool_id: str, name: str, *pieces: str) -> bytes:
    start = {"type": "tool_use", "id": tool_id, "name": name, "input": {}}
    return block(index, start, *({"type": "input_json_delta", "partial_json": p} for p in pieces))


def message_end(stop_reason: str | None = "end_turn", output: int = 3, **usage: int) -> bytes:
    """``message_delta`` and ``message_stop``."""
    delta = {"stop_reason": stop_reason, "stop_sequence": None}
    closing = {"type": "message_delta", "delta": delta, "usage": {"output_tokens": output, **usage}}
    return event(closing) + event({"type": "message_stop"})


def gemini(*parts: Mapping[str, Json], finish: str = "", usage: Json = None, **fields: Json) -> bytes:
    """One chunk of Gemini with one candidate (without content, if there are no parts)."""
    candidate: dict[str, Json] = {"index": 0}
    if parts:
        candidate["content"] = {"role": "model", "parts": list(parts)}
    if finish:
        candidate["finishReason"] = finish
    body: dict[str, Json] = {"candidates": [candidate], "modelVersion": "vendor-model", "responseId": "up"}
    if usage is not None:
        body["usageMetadata"] = usage
    return data({**body, **fields}).replace(b"\n\n", b"\r\n\r\n")


class Numbered:
    """Makes the events of a Responses upstream, numbered."""

    def __init__(self) -> None:
        self._number = -1
        self.output: list[dict[str, Json]] = []

    def _event(self, kind: str, **fields: Json) -> bytes:
        self._number += 1
        return event({"type": kind, "sequence_number": self._number, **fields})

    def _response(self, status: str, **fields: Json) -> dict[str, Json]:
        return {
            "id": "resp_up", "object": "response", "created_at": 7, "status": status, "model": "vendor-model",
            "output": self.output if status != "in_progress" else [], "error": None, "incomplete_details": None,
            "instructions": None, "metadata": {}, "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
            "usage": None, **fields,
        }  # fmt: skip

    def created(self) -> bytes:
        first = self._event("response.created", response=self._response("in_progress"))
        return first + self._event("response.in_progress", response=self._response("in_progress"))

    def text(self, *texts: str, kind: str = "output_text", annotations: Iterable[Json] = ()) -> bytes:
        """A message item with one part. kind: output_text or refusal."""
        at, item_id = len(self.output), f"msg_up{len(self.output)}"
        member = "text" if kind == "output_text" else "refusal"
        extra = {"annotations": []} if kind == "output_text" else {}
        logprobs: dict[str, Json] = {"logprobs": []} if extra else {}
        head = {"type": "message", "id": item_id, "role": "assistant"}
        where = {"item_id": item_id, "output_index": at, "content_index": 0}
        out = self._event(
            "response.output_item.added",
            output_index=at,
            item={**head, "status": "in_progress", "content": []},
        )
        out += self._event("response.content_part.added", **where, part={"type": kind, member: "", **extra})
        for text in texts:
            out += self._event(f"response.{kind}.delta", **where, delta=text, **logprobs)
        notes = list(annotations)
        for number, note in enumerate(notes):
            out += self._event(
                "response.output_text.annotation.added", **where, annotation_index=number, annotation=note
            )
        part = {"type": kind, member: "".join(texts), **({"annotations": notes} if extra else {})}
        out += self._event(f"response.{kind}.done", **where, **{member: "".join(texts)}, **logprobs)
        out += self._event("response.content_part.done", **where, part=part)
        return out + self._done(at, {**head, "status": "completed", "content": [part]})

    def reasoning(self, *texts: str, encrypted: str = "") -> bytes:
        at, item_id = len(self.output), f"rs_up{len(self.output)}"
        head: dict[str, Json] = {"type": "reasoning", "id": item_id}
        where = {"item_id": item_id, "output_index": at, "summary_index": 0}
        out = self._event("response.output_item.added", output_index=at, item={**head, "summary": []})
        whole = {"type": "summary_text", "text": "".join(texts)}
        if texts:
            out += self._event(
                "response.reasoning_summary_part.added", **where, part={"type": "summary_text", "text": ""}
            )
            for text in texts:
                out += self._event("response.reasoning_summary_text.delta", **where, delta=text)
            out += self._event("response.reasoning_summary_text.done", **where, text="".join(texts))
            out += self._event("response.reasoning_summary_part.done", **where, part=whole)
        item = {**head, "summary": [whole] if texts else [], "status": "completed"}
        return out + self._done(at, {**item, "encrypted_content": encrypted} if encrypted else item)

    def call(self, name: str, *pieces: str, call_id: str = "") -> bytes:
        at, item_id = len(self.output), f"fc_up{len(self.output)}"
        head = {"type": "function_call", "id": item_id, "call_id": call_id or f"call_{name}", "name": name}
        added = {**head, "arguments": "", "status": "in_progress"}
        out = self._event("response.output_item.added", output_index=at, item=added)
        for piece in pieces:
            out += self._event(
                "response.function_call_arguments.delta", item_id=item_id, output_index=at, delta=piece
            )
        whole = "".join(pieces)
        out += self._event(
            "response.function_call_arguments.done",
            item_id=item_id,
            output_index=at,
            arguments=whole,
            name=name,
        )
        return out + self._done(at, {**head, "arguments": whole, "status": "completed"})

    def _done(self, at: int, item: dict[str, Json]) -> bytes:
        self.output.append(item)
        return self._event("response.output_item.done", output_index=at, item=item)

    def end(self, status: str = "completed", **fields: Json) -> bytes:
        """The terminal event; usage 9 + 2 unless given."""
        usage = {
            "input_tokens": 9, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 2,
            "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 11,
        }  # fmt: skip
        return self._event(
            f"response.{status}", response=self._response(status, **{"usage": usage, **fields})
        )


def plays(*frames: bytes, whole: bool = True, content_type: str = "text/event-stream") -> Script:
    """A script that streams the frames, each as one chunk; not ``whole``: the connection breaks after the last."""

    def play(exchange: Exchange) -> None:
        exchange.start_stream(content_type=content_type)
        for frame in frames:
            exchange.chunk(frame)
        if whole:
            exchange.end_stream()
        else:
            exchange.sock.shutdown(socket.SHUT_RDWR)

    return play


def replies(body: bytes | Mapping[str, Json], status: int = 200, **headers: str) -> Script:
    """A script that gives one whole answer with these headers."""
    return lambda exchange: exchange.reply(status, body, {n.replace("_", "-"): v for n, v in headers.items()})


# --- reading what the client got --------------------------------------------------------------------------


def frames(body: bytes) -> list[tuple[str, Json]]:
    """(event name, data) of every SSE frame; "[DONE]" stays text. Comments are left out."""
    out: list[tuple[str, Json]] = []
    text = body.decode().replace("\r\n", "\n")
    assert text == "" or text.endswith("\n\n"), f"the last frame has no end: {text[-200:]!r}"
    for raw in text.split("\n\n"):
        lines = [line for line in raw.split("\n") if line and not line.startswith(":")]
        if not lines:
            continue
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("event:")]
        payload = "\n".join(
            line.partition(":")[2].removeprefix(" ") for line in lines if line.startswith("data:")
        )
        out.append((names[0] if names else "", payload if payload == "[DONE]" else json.loads(payload)))
    return out


class Folded:
    """A folded stream. ``value`` is the dialect's whole answer as far as it came; ``error`` the failure it ended in."""

    def __init__(self, events: list[Json]) -> None:
        self.events = events
        self.value: dict[str, Json] = {}
        self.error: Json = None

    @property
    def types(self) -> list[str]:
        return [str(e.get("type")) for e in self.events]


def messages(body: bytes) -> Folded:
    """An Anthropic stream, as the strictest client reads it."""
    named = frames(body)
    assert all(name == value["type"] for name, value in named), [name for name, _ in named]
    folded = Folded([value for _, value in named if value["type"] != "ping"])
    blocks: list[dict[str, Json]] = []
    opened: int | None = None
    partial = ""
    signed = 0
    for number, e in enumerate(folded.events):
        kind = e["type"]
        assert folded.error is None, f"something after the error: {e}"
        assert (number == 0) == (kind == "message_start") or kind == "error", f"{kind} at {number}"
        if kind == "message_start":
            folded.value = dict(e["message"])
            _fresh_message(folded.value)
        elif kind == "content_block_start":
            assert opened is None, "a block begins while another is open"
            assert e["index"] == len(blocks), "block indexes run 0, 1, 2 …"
            assert "message_delta" not in folded.types[:number]
            opened, partial, signed = e["index"], "", 0
            blocks.append(dict(e["content_block"]))
        elif kind == "content_block_delta":
            assert e["index"] == opened, f"a delta for a block that is not open: {e}"
            partial, signed = _message_delta(blocks[-1], e["delta"], partial, signed)
        elif kind == "content_block_stop":
            assert e["index"] == opened
            opened = None
            if blocks[-1]["type"] == "tool_use" and partial:
                blocks[-1]["input"] = _given(partial)
        elif kind == "message_delta":
            assert opened is None and folded.types.count("message_delta") == 1
            folded.value |= e["delta"]
            folded.value["usage"] = {**folded.value["usage"], **e["usage"]}
        elif kind == "error":
            folded.error = e["error"]
            assert isinstance(e["error"]["type"], str) and e["error"]["message"]
        else:
            assert kind == "message_stop", kind
    if folded.error is None:
        assert folded.types[-2:] == ["message_delta", "message_stop"], folded.types
        assert opened is None
        assert all(isinstance(b["input"], dict) for b in blocks if b["type"] == "tool_use")
    else:
        assert "message_stop" not in folded.types and "message_delta" not in folded.types
    folded.value["content"] = blocks
    return folded


def _given(partial: str) -> Json:
    """The input of a call; the text itself if it was cut, which only a failed stream may leave behind."""
    try:
        return json.loads(partial)
    except ValueError:
        return partial


def _fresh_message(message: dict[str, Json]) -> None:
    assert message["content"] == [] and message["stop_reason"] is None and message["role"] == "assistant"
    assert message["type"] == "message" and re.fullmatch(r"msg_\w+", message["id"])
    assert all(type(message["usage"][name]) is int for name in ("input_tokens", "output_tokens"))


def _message_delta(open_block: dict[str, Json], delta: Json, partial: str, signed: int) -> tuple[str, int]:
    """Adds a delta; (argument text so far, signatures so far)."""
    kind, of = delta["type"], open_block["type"]
    if kind == "text_delta":
        assert of == "text"
        open_block["text"] += delta["text"]
    elif kind == "thinking_delta":
        assert of == "thinking"
        open_block["thinking"] += delta["thinking"]
    elif kind == "signature_delta":
        assert of == "thinking" and signed == 0, "the SDK keeps only the last signature_delta"
        open_block["signature"] = delta["signature"]
        return partial, signed + 1
    elif kind == "citations_delta":
        assert of == "text"
        open_block["citations"] = [*(open_block.get("citations") or []), delta["citation"]]
    else:
        assert (kind, of) == ("input_json_delta", "tool_use"), (kind, of)
        return partial + delta["partial_json"], signed
    return partial, signed


def chat(body: bytes) -> Folded:
    """A Chat Completions stream with any number of choices; ``value`` is ``{index: message …, "usage": …}``."""
    named = frames(body)
    done = [value for _, value in named if value == "[DONE]"]
    folded = Folded([value for _, value in named if value != "[DONE]"])
    assert not any(name for name, _ in named if name != "error"), "chat frames have no names"
    chunks = [e for e in folded.events if "error" not in e]
    errors = [e for e in folded.events if "error" in e]
    for name in ("id", "created", "model", "object"):
        assert len({json.dumps(c[name]) for c in chunks}) <= 1, f"{name} changes inside the stream"
    assert all(c["object"] == "chat.completion.chunk" and c["id"].startswith("chatcmpl-") for c in chunks)
    choices: dict[int, dict[str, Json]] = {}
    for c in chunks:
        for choice in c["choices"]:
            _chat_choice(choices, choice)
    usages = [c["usage"] for c in chunks if c.get("usage")]
    assert len(usages) <= 1
    if usages:
        assert chunks[-1]["choices"] == [] and chunks[-1]["usage"] == usages[0]
    if errors:
        assert folded.events[-1] == errors[0] and len(errors) == 1, "something after the error"
        assert not done, "[DONE] after an error marks success"
        folded.error = errors[0]["error"]
        assert (
            isinstance(folded.error, dict)
            and folded.error["message"]
            and isinstance(folded.error["type"], str)
        )
    else:
        assert len(done) == 1 and named[-1][1] == "[DONE]"
        assert all(message["finish_reason"] for message in choices.values())
    folded.value = {"choices": choices, "usage": usages[0] if usages else None}
    return folded


FINISH = {"stop", "length", "tool_calls", "content_filter", "function_call"}


def _chat_choice(choices: dict[int, dict[str, Json]], choice: Json) -> None:
    first = choice["index"] not in choices
    message = choices.setdefault(
        choice["index"],
        {"content": None, "tool_calls": [], "finish_reason": None, "carrier": [], "chunks": 0},
    )
    delta = choice["delta"]
    assert message["finish_reason"] is None or not any(delta.values()), "text after the finish"
    assert (delta.get("role") == "assistant") if first else not delta.get("role"), (
        "the role comes once, first"
    )
    if first:
        assert delta.get("content") is not None or "content" not in delta or delta.get("tool_calls")
    for name in ("content", "reasoning_content", "refusal"):
        if delta.get(name) is not None:
            message[name] = (message.get(name) or "") + delta[name]
    for piece in delta.get("tool_calls") or []:
        calls = message["tool_calls"]
        if piece["index"] == len(calls):
            assert piece["id"] and piece["type"] == "function" and piece["function"]["name"]
            calls.append({"id": piece["id"], "name": piece["function"]["name"], "arguments": ""})
        else:
            assert piece["index"] < len(calls), "a call's index is its ordinal among the calls"
            assert not piece.get("id") and not piece["function"].get("name"), "id and name come once"
        calls[piece["index"]]["arguments"] += piece["function"].get("arguments") or ""
        if piece.get("extra_content"):
            calls[piece["index"]]["extra_content"] = piece["extra_content"]
    message["carrier"] += delta.get("reasoning_details") or []
    message.setdefault("annotations", []).extend(delta.get("annotations") or [])
    if choice["finish_reason"] is not None:
        assert choice["finish_reason"] in FINISH and message["finish_reason"] is None
        message["finish_reason"] = choice["finish_reason"]


def only_choice(folded: Folded) -> dict[str, Json]:
    """The one choice of a chat stream."""
    assert list(folded.value["choices"]) == [0], folded.value["choices"]
    found: dict[str, Json] = folded.value["choices"][0]
    return found


TERMINALS = ("response.completed", "response.incomplete", "response.failed")


def responses(body: bytes) -> Folded:
    """A Responses stream; ``value`` is the terminal event's response, ``error`` that of a failed one."""
    named = frames(body)
    assert all(value != "[DONE]" for _, value in named), "Responses streams have no [DONE]"
    assert all(name == value["type"] for name, value in named)
    folded = Folded([value for _, value in named])
    assert [e["sequence_number"] for e in folded.events] == list(range(len(folded.events)))
    assert folded.types[:2] == ["response.created", "response.in_progress"], folded.types
    items: dict[int, dict[str, Json]] = {}
    finished: dict[int, dict[str, Json]] = {}
    lifecycle = [e["response"] for e in folded.events if "response" in e]
    for name in ("id", "created_at", "model", "object"):
        assert len({json.dumps(r[name]) for r in lifecycle}) == 1, f"{name} changes"
    for e in folded.events:
        kind = e["type"]
        if kind == "response.output_item.added":
            assert e["output_index"] == len(items), "output indexes run 0, 1, 2 …"
            items[e["output_index"]] = {**e["item"], "_text": {}, "_open": set(), "_said": set()}
            assert e["item"]["id"] and e["item"].get("status", "in_progress") == "in_progress"
        elif kind == "response.output_item.done":
            assert e["output_index"] not in finished and not items[e["output_index"]]["_open"]
            _same_item(items[e["output_index"]], e["item"])
            finished[e["output_index"]] = e["item"]
        elif "output_index" in e:
            assert e["output_index"] not in finished, f"{kind} after its item was done"
            assert e["item_id"] == items[e["output_index"]]["id"], f"{kind} names another item"
            _item_event(items[e["output_index"]], e)
    last = folded.events[-1]
    assert last["type"] in (*TERMINALS, "error"), last["type"]
    assert [t for t in folded.types if t in (*TERMINALS, "error")] == [last["type"]]
    if last["type"] == "error":
        folded.error = {"code": last["code"], "message": last["message"]}
        return folded
    folded.value = last["response"]
    assert folded.value["status"] == last["type"].removeprefix("response.")
    if last["type"] == "response.failed":
        folded.error = folded.value["error"]
        assert folded.error["code"] and folded.error["message"]
    else:
        assert sorted(finished) == sorted(items), "items without an end"
        assert folded.value["output"] == [finished[n] for n in sorted(finished)]
        complete_usage(folded.value["usage"])
    return folded


def _same_item(opened: dict[str, Json], done: dict[str, Json]) -> None:
    assert (done["id"], done["type"], done.get("call_id")) == (
        opened["id"],
        opened["type"],
        opened.get("call_id"),
    )
    texts = opened["_text"]
    if done["type"] == "message":
        assert [p.get("text", p.get("refusal")) for p in done["content"]] == [texts[n] for n in sorted(texts)]
        assert done["role"] == "assistant" and done["status"] in ("completed", "incomplete")
    elif done["type"] == "function_call":
        assert "arguments" in opened["_said"], "function_call_arguments.done is missing"
        assert (
            done["arguments"] == (texts.get("arguments") or done["arguments"])
            and done["name"] == opened["name"]
        )
    elif done["type"] == "reasoning":
        assert [p["text"] for p in done["summary"]] == [texts[n] for n in sorted(texts)]


def _item_event(item: dict[str, Json], e: Json) -> None:
    """Deltas only inside an open part, and every ``done`` repeats what the deltas said."""
    kind = e["type"].removeprefix("response.")
    texts, still = item["_text"], item["_open"]
    key: Json = e.get("content_index", e.get("summary_index", "arguments"))
    if kind.endswith("part.added"):
        assert key == len(texts)
        texts[key] = ""
        still.add(key)
    elif kind.endswith(".delta"):
        assert key in still or key == "arguments", f"{kind} before its part was added"
        texts[key] = texts.get(key, "") + e["delta"]
        if kind == "output_text.delta":
            assert isinstance(e["logprobs"], list)
    elif kind in ("output_text.done", "reasoning_summary_text.done", "refusal.done"):
        assert e.get("text", e.get("refusal")) == texts[key]
        item["_said"].add(key)
    elif kind == "function_call_arguments.done":
        assert e["arguments"] == (texts.get(key) or e["arguments"])
        assert isinstance(json.loads(e["arguments"]), dict)
        item["_said"].add(key)
    elif kind.endswith("part.done"):
        assert e["part"].get("text", e["part"].get("refusal")) == texts[key]
        assert key in item["_said"], f"{kind} without the done of its text"
        still.remove(key)


def complete_usage(usage: Json) -> None:
    """E167: the Responses usage object is whole, with integers everywhere."""
    assert set(usage) >= {
        "input_tokens",
        "input_tokens_details",
        "output_tokens",
        "output_tokens_details",
        "total_tokens",
    }
    details = usage["input_tokens_details"]
    numbers = [
        usage["input_tokens"], usage["output_tokens"], usage["total_tokens"], details["cached_tokens"],
        details["cache_write_tokens"], usage["output_tokens_details"]["reasoning_tokens"],
    ]  # fmt: skip
    assert all(type(n) is int and n >= 0 for n in numbers), usage
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


def generated(body: bytes, *, array: bool = False) -> Folded:
    """A Gemini stream; ``value``: parts (neighbouring texts joined), finish, usage and the raw chunks."""
    if array:
        chunks = json.loads(body)
        assert isinstance(chunks, list)
    else:
        named = frames(body)
        assert not any(name for name, _ in named) and all(value != "[DONE]" for _, value in named)
        chunks = [value for _, value in named]
    folded = Folded(chunks)
    parts: list[dict[str, Json]] = []
    finish: list[str] = []
    usage = None
    for c in chunks:
        assert folded.error is None, "something after the error"
        if "error" in c:
            folded.error = c["error"]
            assert type(c["error"]["code"]) is int and c["error"]["status"] and c["error"]["message"]
            continue
        for candidate in c.get("candidates") or []:
            assert not finish or not candidate.get("content", {}).get("parts"), "content after the finish"
            parts += (candidate.get("content") or {}).get("parts") or []
            finish += [candidate["finishReason"]] if candidate.get("finishReason") else []
        usage = c.get("usageMetadata") or usage
    assert len(finish) <= 1
    if folded.error is None and not any((c.get("promptFeedback") or {}).get("blockReason") for c in chunks):
        assert finish, "a Gemini stream ends with a finishReason"
    if folded.error is not None:
        assert not finish, "a failed stream has no finishReason"
    folded.value = {"parts": _joined_parts(parts), "finish": finish[0] if finish else None, "usage": usage}
    return folded


def _joined_parts(parts: list[dict[str, Json]]) -> list[dict[str, Json]]:
    out: list[dict[str, Json]] = []
    for part in parts:
        plain = set(part) <= {"text", "thought"}
        if (
            plain
            and out
            and set(out[-1]) <= {"text", "thought"}
            and out[-1].get("thought") == part.get("thought")
        ):
            out[-1] = {**out[-1], "text": out[-1]["text"] + part["text"]}
        elif part.get("text") != "" or len(part) > 1:
            out.append(part)
    return out


FOLD: dict[str, Callable[[bytes], Folded]] = {
    CC: chat,
    RS: responses,
    AM: messages,
    GM: generated,
}
"""Client surface → reader of its streams."""


# --- fixtures ---------------------------------------------------------------------------------------------

_MADE_ID = re.compile(r"(resp|msg|rs|fc)_\d+")


def fixture(text: str) -> list[Json]:
    """The events of a fixture in the notation of the case file."""
    return [value for _, value in frames(text.strip().encode() + b"\n\n")]


def joined(events: Iterable[Json]) -> list[Json]:
    """Neighbouring deltas of one block or part as one delta: how a stream is cut does not count."""
    out: list[Json] = []
    for e in events:
        last = out[-1] if out else None
        if last is not None and _same_stream(last, e):
            out[-1] = _added(last, e)
        else:
            out.append(e)
    for number, e in enumerate(out):
        if "sequence_number" in e:
            out[number] = {**e, "sequence_number": number}
    return out


def _same_stream(one: Json, other: Json) -> bool:
    if (
        not str(one.get("type")).endswith("delta")
        or one["type"] != other["type"]
        or one["type"] == "message_delta"
    ):
        return False
    if any(
        one.get(name) != other.get(name)
        for name in ("index", "output_index", "content_index", "summary_index")
    ):
        return False
    return not isinstance(one["delta"], dict) or one["delta"]["type"] == other["delta"]["type"]


def _added(one: Json, other: Json) -> Json:
    if isinstance(one["delta"], str):
        return {**one, "delta": one["delta"] + other["delta"]}
    member = next(name for name in ("text", "partial_json", "thinking", "signature") if name in one["delta"])
    return {**one, "delta": {**one["delta"], member: one["delta"][member] + other["delta"][member]}}


def like(expected: Json, actual: Json, free: Iterable[str] = ()) -> None:
    """Asserts that ``actual`` says what ``expected`` says. ``free``: dotted paths (``*`` for a list index) whose value
    only needs the same type. Members that the fixture does not have must be empty, but for those of ``response``."""
    _like(expected, actual, "", frozenset(free), {})


def _like(expected: Json, actual: Json, at: str, free: frozenset[str], ids: dict[str, str]) -> None:
    if at.lstrip(".") in free:
        assert type(actual) is type(expected), f"{at}: {actual!r}"
        return
    if isinstance(expected, dict):
        assert isinstance(actual, dict), f"{at}: {actual!r}"
        for name, value in expected.items():
            assert name in actual or value is None, f"{at}.{name} is missing in {actual!r}"
            _like(value, actual.get(name), f"{at}.{name}", free, ids)
        if not at.endswith(".response"):
            extra = {n: v for n, v in actual.items() if n not in expected and v not in (None, 0, "", [], {})}
            assert not extra, f"{at}: unexpected {extra}"
    elif isinstance(expected, list):
        assert isinstance(actual, list) and len(actual) == len(expected), f"{at}: {actual!r}"
        for wanted, got in zip(expected, actual, strict=True):
            _like(wanted, got, f"{at}.*", free, ids)
    elif isinstance(expected, str) and _MADE_ID.fullmatch(expected):
        assert isinstance(actual, str) and actual.startswith(expected.split("_")[0] + "_"), (
            f"{at}: {actual!r}"
        )
        assert ids.setdefault(expected, actual) == actual, f"{at}: {actual!r} is not {ids[expected]!r}"
    else:
        assert actual == expected, f"{at}: {actual!r} is not {expected!r}"
