"""A whole answer, ``chat.completion``, in both directions.

https://platform.openai.com/docs/api-reference/chat/object; carriers of reasoning in ``reasoning``, copies' departures
(content as parts, ``message.images``, words of their own for the finish) as they were met.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from dragoman.core.conversation import (
    Answer,
    Block,
    Choice,
    Conversation,
    Finish,
    Function,
    Json,
    Media,
    Opaque,
    Refusal,
    Text,
    Thinking,
    TokenLogprob,
    ToolCall,
)
from dragoman.core.envelope import BAD_JSON
from dragoman.core.faults import upstream_garbage
from dragoman.core.usage import Usage
from dragoman.dialects.base import Reply, mapping, named
from dragoman.dialects.openai_chat.failure import broken, failure, is_failure
from dragoman.dialects.openai_chat.members import ORIGIN
from dragoman.dialects.openai_chat.parts import linked_media, thinking_part
from dragoman.dialects.openai_chat.prose import Prose, read_citations, write_citations
from dragoman.dialects.openai_chat.reasoning import assembled, call_signature, carried, details, extra_content
from dragoman.dialects.openai_chat.usage import read_usage

_FINISHES: Final[Mapping[str, Finish]] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    # Words of vendors that copy chat.
    "eos": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_length": "length",
    "model_context_window_exceeded": "context_length",
    "sensitive": "content_filter",
    "safety": "content_filter",
    "refusal": "refusal",
    "error": "error",
    "network_error": "error",
    "insufficient_system_resource": "error",
}
FINISH_WORDS: Final[Mapping[Finish, str]] = {
    "stop": "stop",
    "stop_sequence": "stop",
    "pause": "stop",
    "length": "length",
    "context_length": "length",
    "tool_calls": "tool_calls",
    "refusal": "content_filter",
    "content_filter": "content_filter",
    "error": "stop",
}
"""Strict clients know five words only; the fifth is the old ``function_call``."""
_TIERS: Final = frozenset({"auto", "default", "flex", "scale", "priority", "fast"})


# --- reading ----------------------------------------------------------------------------------------------


def read_answer(body: bytes) -> Answer:
    """The body of a 200. Fault (owner upstream) for an error inside it and for what is no answer."""
    try:
        raw = msgspec.json.decode(body)
    except BAD_JSON:
        raise upstream_garbage() from None
    if not isinstance(raw, dict):
        raise upstream_garbage()
    if is_failure(raw):
        raise failure(raw, body)
    listed = raw.get("choices")
    rows = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    if not rows:
        raise upstream_garbage()
    if all(type(one.get("index")) is int for one in rows):
        rows.sort(key=lambda one: one["index"])
    choices = [_choice(one) for one in rows]
    for one, choice in zip(rows, choices, strict=True):
        fault = broken(one)
        if fault is not None and (one.get("error") or not choice.blocks):
            raise fault
    created = raw.get("created")
    return Answer(
        choices=tuple(choices),
        usage=usage_in(raw),
        model=named(raw.get("model")),
        id=named(raw.get("id")),
        created=created if type(created) is int else 0,
        service_tier=named(raw.get("service_tier")),
    )


def usage_in(raw: Mapping[str, Any]) -> Usage | None:
    """The usage of a body or chunk, from wherever copies of chat put it."""
    found = raw.get("usage") or mapping(raw.get("x_groq")).get("usage")
    if not found:
        listed = raw.get("choices")
        first = listed[0] if isinstance(listed, list) and listed else None
        found = mapping(first).get("usage")
    return read_usage(found) if found else None


def _choice(raw: dict[str, Any]) -> Choice:
    message = mapping(raw.get("message")) or mapping(raw.get("delta"))
    content = read_said(message)
    calls = read_calls(message)
    blocks = assembled(carried(message), content, calls)
    if any(isinstance(block, Thinking) for block in content):  # Mistral: reasoning among the parts
        blocks = tuple(sorted(blocks, key=lambda block: not isinstance(block, Thinking)))
    finish = finish_of(raw.get("finish_reason"), calls=bool(calls))
    return Choice(blocks=blocks, finish=finish, logprobs=read_logprobs(raw.get("logprobs")))


def finish_of(word: object, *, calls: bool) -> Finish:
    """The vendor's word; "stop" with calls is "tool_calls", and the reverse."""
    finish = _FINISHES.get(word.lower() if type(word) is str else "", "stop")
    if finish in ("stop", "tool_calls"):
        return "tool_calls" if calls else "stop"
    return finish


def read_said(message: Mapping[str, Any]) -> list[Block]:
    """Text, refusal, images and audio of a message, in that order; what is odd is left out."""
    blocks = read_pieces(message.get("content"))
    cited = message.get("annotations")
    if cited:
        blocks = _cited(blocks, cited)
    refusal = message.get("refusal")
    if type(refusal) is str and refusal:
        blocks.append(Refusal(text=refusal))
    blocks.extend(read_images(message.get("images")))
    audio = message.get("audio")
    if isinstance(audio, dict):
        transcript = audio.get("transcript")
        text = transcript if type(transcript) is str else ""
        blocks.append(Opaque(origin=ORIGIN, kind="audio", raw=audio, text=text))
    return blocks


def read_pieces(content: object) -> list[Block]:
    """The blocks of a content that is a string or, at some vendors, an array of parts."""
    if type(content) is str:
        return [Text(text=content)] if content else []
    blocks: list[Block] = []
    for part in content if isinstance(content, list) else ():
        seen = mapping(part)
        kind = seen.get("type")
        text = seen.get("text")
        if kind in ("text", "output_text") and type(text) is str and text:
            blocks.append(Text(text=text))
        elif kind == "refusal" and type(refusal := seen.get("refusal")) is str and refusal:
            blocks.append(Refusal(text=refusal))
        elif kind in ("thinking", "redacted_thinking") and (thought := thinking_part(seen)) is not None:
            blocks.append(thought)
        elif kind == "image_url":
            blocks.extend(read_images([seen]))
    return blocks


def read_images(images: object) -> list[Media]:
    """OpenRouter's ``images``: ``[{"type": "image_url", "image_url": {"url"}}]``."""
    found: list[Media] = []
    for image in images if isinstance(images, list) else ():
        inner = mapping(image).get("image_url")
        url = inner if type(inner) is str else mapping(inner).get("url")
        linked = linked_media(url, "image") if type(url) is str else None
        if linked is not None:
            kind, media_type, source = linked
            found.append(Media(kind=kind, source=source, media_type=media_type))  # type: ignore[arg-type]
    return found


def _cited(blocks: list[Block], cited: object) -> list[Block]:
    """Annotations count characters of the whole content; each goes to the text that it begins in."""
    out: list[Block] = []
    base = 0
    every = read_citations(cited)
    for block in blocks:
        if not isinstance(block, Text):
            out.append(block)
            continue
        end = base + len(block.text)
        first = not any(isinstance(earlier, Text) for earlier in out)
        mine = read_citations(cited, base)
        kept = tuple(
            one
            for one, whole in zip(mine, every, strict=True)
            if base <= whole.start < end or (first and whole.start < 0)
        )
        out.append(replace(block, citations=kept))
        base = end
    return out


def read_calls(message: Mapping[str, Any]) -> list[ToolCall]:
    """The calls of a message, old ``function_call`` included. Arguments stay as the model wrote them, if it wrote any; an
    id that another call has already counts as none."""
    listed = message.get("tool_calls")
    calls: list[ToolCall] = []
    for raw in listed if isinstance(listed, list) else ():
        call = _call(mapping(raw))
        if call is not None:
            taken = any(call.id == earlier.id for earlier in calls)
            calls.append(replace(call, id="") if taken else call)
    old = mapping(message.get("function_call"))
    name = named(old.get("name"))
    if name and not calls:
        calls.append(ToolCall(id="", name=name, arguments=arguments_text(old.get("arguments")) or "{}"))
    return calls


def _call(raw: Mapping[str, Any]) -> ToolCall | None:
    custom = mapping(raw.get("custom"))
    inner = custom or mapping(raw.get("function"))
    name = named(inner.get("name"))
    if not name:
        return None
    text = inner.get("input") if custom else arguments_text(inner.get("arguments")) or "{}"
    return ToolCall(
        id=named(raw.get("id")),
        name=name,
        arguments=text if type(text) is str else "",
        custom=bool(custom),
        signature=call_signature(raw),
    )


def arguments_text(value: object) -> str:
    """Arguments as text; some servers send the object itself. "null" says nothing."""
    if isinstance(value, dict):
        return msgspec.json.encode(value).decode()
    return value if type(value) is str and value.strip() not in ("", "null") else ""


def read_logprobs(value: object) -> tuple[TokenLogprob, ...]:
    """``logprobs.content`` (``refusal`` where the answer is one)."""
    seen = mapping(value)
    listed = seen.get("content") or seen.get("refusal")
    found: list[TokenLogprob] = []
    for entry in listed if isinstance(listed, list) else ():
        pair = _logprob(entry)
        if pair is not None:
            top = mapping(entry).get("top_logprobs")
            ranked = tuple(one for raw in top if (one := _logprob(raw))) if isinstance(top, list) else ()
            found.append(TokenLogprob(token=pair[0], logprob=pair[1], top=ranked))
    return tuple(found)


def _logprob(raw: object) -> tuple[str, float] | None:
    seen = mapping(raw)
    token, logprob = seen.get("token"), seen.get("logprob")
    if type(token) is not str or not isinstance(logprob, int | float):
        return None
    return token, float(logprob)


# --- writing ----------------------------------------------------------------------------------------------


def write_answer(answer: Answer, reply: Reply) -> bytes:
    """The body for a client of chat."""
    legacy = wants_function_call(reply.conversation)
    hidden = hides_reasoning(reply.conversation)
    choices: list[Json] = []
    for place, choice in enumerate(answer.choices):
        message = _message(choice, reply, place, legacy=legacy, hidden=hidden)
        choices.append(
            {
                "index": place,
                "message": message,
                "logprobs": write_logprobs(choice.logprobs) if choice.logprobs else None,
                "finish_reason": finish_word(choice.finish, legacy=legacy),
            }
        )
    body: dict[str, Any] = {
        "id": f"chatcmpl-{reply.response_id}",
        "object": "chat.completion",
        "created": reply.created,
        "model": reply.model,
        "choices": choices,
        "usage": write_usage(answer.usage),
    }
    if answer.service_tier in _TIERS:
        body["service_tier"] = answer.service_tier
    return msgspec.json.encode(body)


def wants_function_call(conversation: Conversation) -> bool:
    """The client declared its tools the old way and so knows only the old way of calling them."""
    return any(isinstance(tool, Function) and tool.legacy for tool in conversation.tools)


def hides_reasoning(conversation: Conversation) -> bool:
    """The client asked for reasoning that it does not want to read (OpenRouter's ``exclude``)."""
    asked = conversation.reasoning
    return asked is not None and asked.mode == "on" and not asked.visible


def finish_word(finish: Finish, *, legacy: bool) -> str:
    return "function_call" if legacy and finish == "tool_calls" else FINISH_WORDS[finish]


def _message(choice: Choice, reply: Reply, place: int, *, legacy: bool, hidden: bool) -> Json:
    content, cited = written_content(choice.blocks)
    calls = [block for block in choice.blocks if isinstance(block, ToolCall)]
    refusal = "".join(block.text for block in choice.blocks if isinstance(block, Refusal))
    message: dict[str, Any] = {
        "role": "assistant",
        "content": content if content or not (calls or refusal) else None,
    }
    if refusal:
        message["refusal"] = refusal
    if not hidden:
        thought = "".join(block.text for block in choice.blocks if isinstance(block, Thinking))
        if thought:
            message["reasoning_content"] = thought
        sealed = details(choice.blocks)
        if sealed:
            message["reasoning_details"] = sealed
    if cited:
        message["annotations"] = cited
    for block in choice.blocks:
        if isinstance(block, Opaque) and block.origin == ORIGIN and block.kind == "audio":
            message["audio"] = block.raw
    if calls and legacy:
        message["function_call"] = {"name": calls[0].name, "arguments": calls[0].arguments or "{}"}
    elif calls:
        message["tool_calls"] = [
            _written_call(call, made_id(reply.response_id, place, number))
            for number, call in enumerate(calls)
        ]
    return message


def made_id(response_id: str, choice: int, number: int) -> str:
    """The id of a call that came without one, the same in a stream and in a whole answer."""
    return f"call_{response_id}{number}" if choice == 0 else f"call_{response_id}c{choice}n{number}"


def written_content(blocks: Iterable[Block]) -> tuple[str, list[dict[str, Any]]]:
    """The content string and its annotations."""
    prose = Prose()
    pieces: list[str] = []
    cited: list[dict[str, Any]] = []
    for block in blocks:
        if isinstance(block, Media):
            pieces.append(prose.media(block))
        elif isinstance(block, Text | Opaque) and block.text:
            if isinstance(block, Opaque) and block.origin == ORIGIN:
                continue
            pieces.append(prose.begin())
            if isinstance(block, Text):
                cited.extend(write_citations(block.citations, prose.length, len(block.text)))
            pieces.append(prose.add(block.text))
    return "".join(pieces), cited


def _written_call(call: ToolCall, made: str) -> Json:
    out: dict[str, Any] = {"id": call.id or made, **call_body(call)}
    if call.signature is not None and call.signature.origin == "gemini":
        out["extra_content"] = extra_content(call.signature)
    return out


def call_body(call: ToolCall, *, opening: bool = False) -> dict[str, Json]:
    """``type`` and the call itself; at its opening in a stream without arguments yet."""
    if call.custom:
        return {"type": "custom", "custom": {"name": call.name, "input": call.arguments}}
    arguments = call.arguments if opening else call.arguments or "{}"
    return {"type": "function", "function": {"name": call.name, "arguments": arguments}}


def write_logprobs(tokens: Iterable[TokenLogprob]) -> Json:
    content = [
        {
            **_written_token(one.token, one.logprob),
            "top_logprobs": [_written_token(*pair) for pair in one.top],
        }
        for one in tokens
    ]
    return {"content": content, "refusal": None}


def _written_token(token: str, logprob: float) -> dict[str, Json]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode("utf-8", "surrogatepass"))}


def write_usage(usage: Usage | None) -> Json:
    """OpenAI's usage object. Its prompt holds what was read from and written to the cache, Anthropic's does not."""
    seen = usage or Usage()
    return {
        "prompt_tokens": seen.prompt,
        "completion_tokens": seen.output,
        "total_tokens": seen.total,
        "prompt_tokens_details": {
            "cached_tokens": seen.cached_input,
            "cache_write_tokens": seen.cache_write_5m + seen.cache_write_1h,
        },
        "completion_tokens_details": {"reasoning_tokens": seen.reasoning},
    }
