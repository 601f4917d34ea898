"""POST /v1/responses and the stored responses behind it, as OpenAI answers them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dragoman.simulator.openai_chat import citation, fault_body, halves, vendor_headers
from dragoman.simulator.reply import CREATED, Ask, Reply, Tool, encode, signature
from dragoman.simulator.wire import EVENT_STREAM, Answer, Call, Dialect, Fault, StoredResponse, chars, need

# Members of the request that every response repeats, with OpenAI's defaults.
_ECHOED: dict[str, Any] = {
    "instructions": None, "max_output_tokens": None, "metadata": {}, "parallel_tool_calls": True,
    "previous_response_id": None, "service_tier": "default", "store": True, "temperature": 1.0,
    "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [],
    "top_p": 1.0, "truncation": "disabled", "background": False, "user": None,
}  # fmt: skip
_MEDIA = ("input_image", "input_file", "input_audio")


def fault_frames(call: Call, fault: Fault, sent: int) -> bytes:
    """`response.failed`, which closes a Responses stream."""
    failed = _shell(call, Ask(model=call.body.get("model", "")), "failed")
    failed["error"] = {"code": fault.code or "server_error", "message": fault.message}
    return _event({"type": "response.failed", "sequence_number": sent, "response": failed})


DIALECT = Dialect(fault_body=fault_body, fault_frames=fault_frames, headers=vendor_headers)


def create(call: Call) -> Answer:
    """POST /v1/responses; stored unless `store` is false."""
    body = call.body
    items = _items(need(body, "input", (str, list), "a string or an array"))
    ask = _read(call, items)
    reply = call.reply(ask)
    done = _finished(call, ask, reply)
    background = bool(body.get("background"))
    if background and body.get("store") is False:
        raise Fault(400, "Background mode requires store=true.", param="store")
    if body.get("store") is not False:
        context = ask.input_chars + len(reply.text)
        status = "queued" if background else done["status"]
        stored = StoredResponse(
            body=done,
            reply=reply,
            input_items=items,
            context_chars=context,
            status=status,
            polls=call.wish.polls,
        )
        call.state.store(done["id"], stored)
    if body.get("stream"):
        return Answer(frames=_stream(call, done, reply, 0), content_type=EVENT_STREAM)
    return Answer(body=encode(_unfinished(done, "queued") if background else done))


def retrieve(call: Call) -> Answer:
    """GET /v1/responses/{id}; `stream=true` replays the events. Background work is done at the first poll."""
    stored = _stored(call)
    if call.query.get("stream") == "true":
        _settle(stored)
        after = int(call.query.get("starting_after") or -1)
        call.body = {"background": stored.body["background"], "model": stored.body["model"]}
        return Answer(frames=_stream(call, stored.body, stored.reply, after + 1), content_type=EVENT_STREAM)
    if stored.status in ("queued", "in_progress"):
        if stored.polls > 0:
            stored.polls -= 1
            stored.status = "in_progress"
            return Answer(body=encode(_unfinished(stored.body, "in_progress")))
        _settle(stored)
    if stored.status == "cancelled":
        return Answer(body=encode(_unfinished(stored.body, "cancelled")))
    return Answer(body=encode(stored.body))


def delete(call: Call) -> Answer:
    """DELETE /v1/responses/{id}."""
    _stored(call)
    del call.state.responses[call.resource]
    return Answer(body=encode({"id": call.resource, "object": "response", "deleted": True}))


def cancel(call: Call) -> Answer:
    """POST /v1/responses/{id}/cancel: only background responses can be cancelled."""
    stored = _stored(call)
    if not stored.body["background"]:
        raise Fault(
            400, "Only responses created with background=true can be cancelled.", code="invalid_request"
        )
    if stored.status in ("queued", "in_progress"):
        stored.status = "cancelled"
    return Answer(
        body=encode(_unfinished(stored.body, "cancelled") if stored.status == "cancelled" else stored.body)
    )


def input_items(call: Call) -> Answer:
    """GET /v1/responses/{id}/input_items, newest first unless order=asc."""
    stored = _stored(call)
    data: list[dict[str, Any]] = [
        {"id": f"item_{call.resource[5:]}_{number}"} | item for number, item in enumerate(stored.input_items)
    ]
    if call.query.get("order", "desc") == "desc":
        data.reverse()
    limit = int(call.query.get("limit") or 20)
    names = [item["id"] for item in data]
    start = names.index(call.query["after"]) + 1 if call.query.get("after") in names else 0
    page = data[start : start + limit]
    more = start + limit < len(data)
    ends = {"first_id": page[0]["id"] if page else None, "last_id": page[-1]["id"] if page else None}
    return Answer(body=encode({"object": "list", "data": page, "has_more": more} | ends))


def _stored(call: Call) -> StoredResponse:
    call.fail_if_asked()
    found = call.state.responses.get(call.resource)
    if found is None:
        raise Fault(404, f"Response with id '{call.resource}' not found.")
    return found


def _settle(stored: StoredResponse) -> None:
    if stored.status in ("queued", "in_progress"):
        stored.status = stored.body["status"]


def _items(given: str | list[Any]) -> list[dict[str, Any]]:
    if isinstance(given, str):
        return [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": given}]}]
    items = []
    for item in given:
        if not isinstance(item, dict):
            raise Fault(
                400, "Invalid type for 'input[0]': expected an object.", code="invalid_type", param="input[0]"
            )
        items.append({"type": "message"} | item)
    return items


def _read(call: Call, items: list[dict[str, Any]]) -> Ask:
    body = call.body
    ask = Ask(model=call.model or need(body, "model", str, "a string"))
    previous = body.get("previous_response_id")
    if previous is not None:
        found = call.state.responses.get(previous)
        if found is None:
            message = f"Previous response with id '{previous}' not found."
            raise Fault(400, message, code="previous_response_not_found", param="previous_response_id")
        ask.input_chars += found.context_chars
    ask.input_chars += chars(body.get("instructions"))
    for item in items:
        _read_item(item, ask)
    for tool in _functions(body.get("tools") or []):
        ask.tools.append(Tool(tool["name"], tool.get("parameters")))
        ask.input_chars += (
            chars(tool["name"]) + chars(tool.get("description")) + chars(tool.get("parameters"))
        )
    choice = body.get("tool_choice")
    if choice in ("none", "required"):
        ask.tool_mode = choice
    elif isinstance(choice, dict):
        ask.forced = choice.get("name", "")
    ask.parallel = body.get("parallel_tool_calls") is True
    wanted = (body.get("text") or {}).get("format") or {}
    if wanted.get("type") == "json_schema":
        ask.schema = wanted.get("schema") or {}
    ask.json_object = wanted.get("type") == "json_object"
    ask.reasoning = _effort(body) != "none" and body.get("reasoning") is not None
    ask.max_tokens = body.get("max_output_tokens")
    if body.get("prompt_cache_key"):
        ask.cached_tokens = ask.input_chars // 8  # half of the prompt, by the token formula
    return ask


def _effort(body: dict[str, Any]) -> Any:
    return (body.get("reasoning") or {}).get("effort")


def _functions(tools: list[Any]) -> Iterator[dict[str, Any]]:
    for tool in tools:
        if tool.get("type") == "function":
            yield tool
        elif tool.get("type") == "namespace":
            yield from _functions(tool.get("tools") or [])


def _read_item(item: dict[str, Any], ask: Ask) -> None:
    kind = item["type"]
    ask.tool_result = None
    if kind == "message":
        text = _content(item.get("content"), ask)
        if item.get("role") == "user":
            ask.prompt = text
    elif kind == "function_call":
        ask.input_chars += chars(item.get("name")) + chars(item.get("arguments"))
    elif kind in ("function_call_output", "custom_tool_call_output"):
        ask.tool_result = _content(item.get("output"), ask)
    elif kind == "reasoning":
        for part in item.get("summary") or ():
            ask.input_chars += chars(part.get("text"))


def _content(content: Any, ask: Ask) -> str:
    if isinstance(content, str):
        ask.input_chars += len(content)
        return content
    texts = []
    for part in content or ():
        kind = part.get("type")
        if kind in ("input_text", "output_text"):
            texts.append(part.get("text", ""))
        elif kind in _MEDIA:
            ask.media += 1
        elif kind != "refusal":
            raise Fault(
                400, f"Invalid value: '{kind}'.", code="invalid_value", param="input[0].content[0].type"
            )
    text = "".join(texts)
    ask.input_chars += len(text)
    return text


def _shell(call: Call, ask: Ask, status: str) -> dict[str, Any]:
    body = call.body
    shell: dict[str, Any] = {
        "id": call.new_id("resp_"),
        "object": "response",
        "created_at": CREATED,
        "status": status,
    }
    shell |= {"error": None, "incomplete_details": None, "model": ask.model, "output": []}
    for name, default in _ECHOED.items():
        value = body.get(name)
        shell[name] = default if value is None else value
    shell["reasoning"] = {"effort": None, "summary": None} | (body.get("reasoning") or {})
    conversation = body.get("conversation")
    if conversation is not None:
        shell["conversation"] = {"id": conversation} if isinstance(conversation, str) else conversation
    shell["usage"] = None
    return shell


def _finished(call: Call, ask: Ask, reply: Reply) -> dict[str, Any]:
    cut_short = reply.finish == "length"
    done = _shell(call, ask, "incomplete" if cut_short else "completed")
    if cut_short:
        done["incomplete_details"] = {"reason": "max_output_tokens"}
    done["output"] = _output(call, reply, done["status"])
    if not call.wish.no_usage:
        done["usage"] = {
            "input_tokens": reply.prompt_tokens,
            "input_tokens_details": {"cached_tokens": reply.cached_tokens},
            "output_tokens": reply.output_tokens,
            "output_tokens_details": {"reasoning_tokens": reply.reasoning_tokens},
            "total_tokens": reply.prompt_tokens + reply.output_tokens,
        }
    return done


def _output(call: Call, reply: Reply, status: str) -> list[dict[str, Any]]:
    body = call.body
    output: list[dict[str, Any]] = []
    if reply.reasoning:
        summary = (body.get("reasoning") or {}).get("summary")
        item: dict[str, Any] = {"id": call.new_id("rs_"), "type": "reasoning", "summary": []}
        if summary:
            item["summary"] = [{"type": "summary_text", "text": reply.reasoning}]
        if "reasoning.encrypted_content" in (body.get("include") or ()):
            item["encrypted_content"] = signature(reply.reasoning)
        output.append(item)
    searched = any(str(tool.get("type", "")).startswith("web_search") for tool in body.get("tools") or ())
    if searched and reply.text:
        action = {"type": "search", "query": "simulated"}
        output.append(
            {"id": call.new_id("ws_"), "type": "web_search_call", "status": "completed", "action": action}
        )
    for number, made in enumerate(reply.calls, start=1):
        item = {"id": call.new_id("fc_", number), "type": "function_call", "status": "completed"}
        output.append(
            item | {"call_id": call.new_id("call_", number), "name": made.name, "arguments": made.arguments}
        )
    if reply.text:
        notes = [{"type": "url_citation"} | citation(len(reply.text))] if searched else []
        part = {"type": "output_text", "text": reply.text, "annotations": notes, "logprobs": []}
        message = {"id": call.new_id("msg_"), "type": "message", "status": status, "role": "assistant"}
        output.append(message | {"content": [part]})
    return output


def _unfinished(done: dict[str, Any], status: str) -> dict[str, Any]:
    return done | {"status": status, "output": [], "usage": None, "incomplete_details": None}


def _event(payload: dict[str, Any]) -> bytes:
    return b"event: " + str(payload["type"]).encode() + b"\ndata: " + encode(payload) + b"\n\n"


def _stream(call: Call, done: dict[str, Any], reply: Reply, first: int) -> Iterator[bytes]:
    """The events from sequence number `first` on; numbering starts at 0."""
    for number, event in enumerate(_events(call, done, reply)):
        if number >= first:
            yield _event({"type": event["type"], "sequence_number": number} | event)


def _events(call: Call, done: dict[str, Any], reply: Reply) -> Iterator[dict[str, Any]]:
    begun = _unfinished(done, "in_progress")
    if call.body.get("background"):
        queued = begun | {"status": "queued"}
        yield {"type": "response.created", "response": queued}
        yield {"type": "response.queued", "response": queued}
    else:
        yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    for index, item in enumerate(done["output"]):
        opened: dict[str, Any] = {"status": "in_progress"} if "status" in item else {}
        empty: dict[str, dict[str, Any]] = {
            "message": {"content": []},
            "function_call": {"arguments": ""},
            "reasoning": {"summary": []},
        }
        opened |= empty.get(item["type"], {})
        yield {"type": "response.output_item.added", "output_index": index, "item": item | opened}
        yield from _item_events(item, {"item_id": item["id"], "output_index": index}, reply)
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    yield {"type": f"response.{done['status']}", "response": done}


def _item_events(item: dict[str, Any], place: dict[str, Any], reply: Reply) -> Iterator[dict[str, Any]]:
    if item["type"] == "message":
        part = item["content"][0]
        at = place | {"content_index": 0}
        yield {"type": "response.content_part.added", "part": part | {"text": "", "annotations": []}} | at
        for piece in reply.pieces():
            yield {"type": "response.output_text.delta", "delta": piece, "logprobs": []} | at
        for number, note in enumerate(part["annotations"]):
            yield {
                "type": "response.output_text.annotation.added",
                "annotation_index": number,
                "annotation": note,
            } | at
        yield {"type": "response.output_text.done", "text": part["text"], "logprobs": []} | at
        yield {"type": "response.content_part.done", "part": part} | at
    elif item["type"] == "function_call":
        for piece in halves(item["arguments"]):
            yield {"type": "response.function_call_arguments.delta", "delta": piece} | place
        end = {"name": item["name"], "arguments": item["arguments"]}
        yield {"type": "response.function_call_arguments.done"} | end | place
    elif item["type"] == "web_search_call":
        for step in ("in_progress", "searching", "completed"):
            yield {"type": f"response.web_search_call.{step}"} | place
    elif item["summary"]:
        text = item["summary"][0]["text"]
        at = place | {"summary_index": 0}
        yield {
            "type": "response.reasoning_summary_part.added",
            "part": {"type": "summary_text", "text": ""},
        } | at
        for piece in halves(text):
            yield {"type": "response.reasoning_summary_text.delta", "delta": piece} | at
        yield {"type": "response.reasoning_summary_text.done", "text": text} | at
        yield {"type": "response.reasoning_summary_part.done", "part": item["summary"][0]} | at
