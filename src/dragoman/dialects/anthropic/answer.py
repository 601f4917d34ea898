"""Whole Messages answers, read from an upstream and written for a client.

Facts (anthropic 2.11.0 ``Message``): content holds text, thinking, tool_use and the traces of server tools; citations
stand on text blocks and hold for the whole of them; a refusal is text with ``stop_reason`` "refusal" and its words in
``stop_details``. There are no images in answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw

from dragoman.core.conversation import (
    Answer,
    Base64,
    Block,
    Choice,
    Citation,
    Json,
    Media,
    Opaque,
    Refusal,
    Signature,
    Text,
    Thinking,
    ToolCall,
    Url,
)
from dragoman.core.envelope import BAD_JSON
from dragoman.core.faults import upstream_garbage
from dragoman.core.media import data_url, normalised
from dragoman.core.signatures import seal
from dragoman.core.tools import is_object, wrapped
from dragoman.dialects.anthropic.content_reader import read_citations
from dragoman.dialects.anthropic.members import ORIGIN
from dragoman.dialects.anthropic.usage import read_usage
from dragoman.dialects.anthropic.words import (
    read_explanation,
    read_finish,
    stop_details,
    stop_reason,
    text_of,
    vendor_failure,
    write_usage,
)
from dragoman.dialects.base import Reply, mapping

# --- reading ----------------------------------------------------------------------------------------------


def read_answer(body: bytes) -> Answer:
    """A 200 body. Fault (owner upstream) for an error inside it and for what is no message."""
    try:
        message = mapping(msgspec.json.decode(body))
    except BAD_JSON:
        raise upstream_garbage() from None
    content = message.get("content")
    if message.get("type") == "error" or (message.get("error") and type(content) is not list):
        raise vendor_failure(body)
    if type(content) is not list:
        raise upstream_garbage()
    blocks = [block for value in content if (block := _read_block(mapping(value))) is not None]
    finish = read_finish(message.get("stop_reason"), calls=any(isinstance(b, ToolCall) for b in blocks))
    if finish == "refusal":
        blocks = _with_refusal(blocks, read_explanation(message.get("stop_details")))
    choice = Choice(blocks=tuple(blocks), finish=finish, stop_sequence=text_of(message.get("stop_sequence")))
    return Answer(
        choices=(choice,),
        usage=read_usage(message.get("usage")),
        model=text_of(message.get("model")),
        id=text_of(message.get("id")),
    )


def _with_refusal(blocks: list[Block], explanation: str) -> list[Block]:
    """The words of a refusal as a refusal, once."""
    if not explanation:
        return blocks
    return [b for b in blocks if not (isinstance(b, Text) and b.text == explanation)] + [
        Refusal(text=explanation)
    ]


def _read_block(raw: Mapping[str, Json]) -> Block | None:
    read = _READERS.get(text_of(raw.get("type")))
    if read is not None:
        return read(raw)
    return read_opaque(raw)


def read_opaque(raw: Mapping[str, Json]) -> Opaque | None:
    """A block that only Anthropic understands; None if it has no type."""
    kind = text_of(raw.get("type"))
    return Opaque(origin=ORIGIN, kind=kind, raw=dict(raw)) if kind else None


def _read_text(raw: Mapping[str, Json]) -> Block | None:
    text = text_of(raw.get("text"))
    return Text(text=text, citations=read_citations(raw.get("citations"), len(text))) if text else None


def _read_thinking(raw: Mapping[str, Json]) -> Block:
    return Thinking(text=text_of(raw.get("thinking")), signature=read_signature(raw.get("signature")))


def _read_redacted(raw: Mapping[str, Json]) -> Block:
    return Thinking(signature=read_signature(raw.get("data")), redacted=True)


def _read_call(raw: Mapping[str, Json]) -> Block:
    given = raw.get("input")
    arguments = msgspec.json.encode(given if type(given) is dict else {}).decode()
    return ToolCall(id=text_of(raw.get("id")), name=text_of(raw.get("name")), arguments=arguments)


def read_signature(value: Json) -> Signature | None:
    """A signature as the vendor gave it, None if it is empty."""
    return Signature(origin=ORIGIN, value=value) if type(value) is str and value else None


_READERS: Final[Mapping[str, Callable[[Mapping[str, Json]], Block | None]]] = {
    "text": _read_text,
    "thinking": _read_thinking,
    "redacted_thinking": _read_redacted,
    "tool_use": _read_call,
}

# --- writing ----------------------------------------------------------------------------------------------


def write_answer(answer: Answer, reply: Reply) -> bytes:
    """The message for a client; of several choices the first."""
    choice = answer.choices[0] if answer.choices else Choice(blocks=())
    content: list[dict[str, Json]] = []
    for number, block in enumerate(choice.blocks):
        if isinstance(block, Refusal) and choice.finish == "content_filter":
            continue  # the filter's own words, not the model's: they explain, they are no content (E151)
        content.extend(write_block(block, f"toolu_{reply.response_id}{number}"))
    refused = any(isinstance(block, Refusal) for block in choice.blocks)
    reason = stop_reason(choice.finish, refused=refused)
    message: dict[str, Json] = {
        "id": f"msg_{reply.response_id}",
        "type": "message",
        "role": "assistant",
        "model": reply.model,
        "content": content,
        "stop_reason": reason,
        "stop_sequence": (choice.stop_sequence or None) if reason == "stop_sequence" else None,
    }
    if reason == "refusal":
        message["stop_details"] = stop_details(explanation_of(choice.blocks))
    message["usage"] = write_usage(answer.usage)
    return msgspec.json.encode(message)


def explanation_of(blocks: Iterable[Block]) -> str:
    """The words of all refusals."""
    return "\n".join(block.text for block in blocks if isinstance(block, Refusal) and block.text)


def write_block(block: Block, call_id: str) -> list[dict[str, Json]]:
    """The content blocks that show one block. call_id: the id of a call that has none."""
    write = _WRITERS.get(type(block))
    return write(block, call_id) if write else []


def carrier(signature: Signature | None, *, call: bool) -> list[dict[str, Json]]:
    """A thinking block that only carries a signature to and fro; it stands in front of the block it belongs to."""
    if signature is None:
        return []
    value = seal(signature, call=call) if call or signature.origin != ORIGIN else signature.value
    return [{"type": "thinking", "thinking": "", "signature": value}]


def write_signature(signature: Signature | None, *, redacted: bool = False) -> str:
    """Our own signature bare, another vendor's sealed."""
    if signature is None or signature.origin == ORIGIN:
        return signature.value if signature else ""
    return seal(signature, redacted=redacted)


def write_citation(citation: Citation, text: str) -> dict[str, Json] | None:
    """A citation of a text block; None for what has no address here."""
    if citation.origin == ORIGIN and citation.extra:
        return dict(citation.extra)
    if not citation.url:
        return None
    within = 0 <= citation.start < citation.end <= len(text)
    return {
        "type": "web_search_result_location",
        "url": citation.url,
        "title": citation.title or None,
        "cited_text": citation.cited or (text[citation.start : citation.end] if within else ""),
        "encrypted_index": "",
    }


def picture(media: Media) -> str:
    """An image in an answer as text, since there is no block for it; "" for other media."""
    if media.kind != "image":
        return ""
    if isinstance(media.source, Base64):
        return f"![image]({data_url(normalised(media.media_type), media.source.data)})"
    return f"![image]({media.source.url})" if isinstance(media.source, Url) else ""


def _write_text(block: Text, call_id: str) -> list[dict[str, Json]]:
    front = carrier(block.signature, call=False)
    if not block.text:
        return front
    written: dict[str, Json] = {"type": "text", "text": block.text}
    citations = [told for one in block.citations if (told := write_citation(one, block.text)) is not None]
    if citations:
        written["citations"] = citations
    return [*front, written]


def _write_thinking(block: Thinking, call_id: str) -> list[dict[str, Json]]:
    if block.redacted and block.signature is not None and not block.text:
        return [{"type": "redacted_thinking", "data": write_signature(block.signature, redacted=True)}]
    if not block.text and block.signature is None:
        return []
    return [
        {"type": "thinking", "thinking": block.text, "signature": write_signature(block.signature)},
    ]


def _write_call(block: ToolCall, call_id: str) -> list[dict[str, Json]]:
    arguments = wrapped(block.arguments) if block.custom else block.arguments
    # A call that was cut off has no input that could be run.
    given = Raw(arguments.encode()) if is_object(arguments) else Raw(b"{}")
    written = {"type": "tool_use", "id": block.id or call_id, "name": block.name, "input": given}
    return [*carrier(block.signature, call=True), written]


def _write_refusal(block: Refusal, call_id: str) -> list[dict[str, Json]]:
    return [{"type": "text", "text": block.text}] if block.text else []


def _write_media(block: Media, call_id: str) -> list[dict[str, Json]]:
    text = picture(block)
    return [{"type": "text", "text": text}] if text else []


def _write_opaque(block: Opaque, call_id: str) -> list[dict[str, Json]]:
    if block.origin == ORIGIN:
        return [block.raw]
    return [{"type": "text", "text": block.text}] if block.text else []


_WRITERS: Final[Mapping[type, Callable[[Any, str], list[dict[str, Json]]]]] = {
    Text: _write_text,
    Thinking: _write_thinking,
    ToolCall: _write_call,
    Refusal: _write_refusal,
    Media: _write_media,
    Opaque: _write_opaque,
}
