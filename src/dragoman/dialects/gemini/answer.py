"""A whole ``GenerateContentResponse``, read from Google and written for Gemini clients.

https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from dragoman.core.conversation import (
    Answer,
    Base64,
    Block,
    Choice,
    Citation,
    Conversation,
    Finish,
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
from dragoman.core.faults import Fault, upstream_garbage
from dragoman.core.tools import is_object, wrapped
from dragoman.core.usage import Usage
from dragoman.dialects.base import Reply, mapping
from dragoman.dialects.gemini.candidate import (
    BROKEN,
    blocked,
    candidates_of,
    finish_of,
    read_blocks,
    read_logprobs,
    write_logprobs,
)
from dragoman.dialects.gemini.failure import failure, unusable
from dragoman.dialects.gemini.grounding import Offsets, read_citations, write_grounding
from dragoman.dialects.gemini.signature import for_client
from dragoman.dialects.gemini.usage import read_usage

Part = dict[str, Any]

GROUNDING: Final = "groundingMetadata"
"""The kind of the block that keeps what Google says about its search."""
_FINISH_REASONS: Final[Mapping[Finish, str]] = {
    "length": "MAX_TOKENS",
    "context_length": "MAX_TOKENS",
    "refusal": "SAFETY",
    "content_filter": "SAFETY",
    "error": "OTHER",
}


# --- reading ----------------------------------------------------------------------------------------------


def read_answer(body: bytes) -> Answer:
    """Fault (owner upstream) for an error inside the body, for broken output, and for what is no answer."""
    try:
        value = msgspec.json.decode(body)
    except BAD_JSON:
        raise upstream_garbage() from None
    if isinstance(value, list) and len(value) == 1:
        value = value[0]  # Google wraps errors of the streaming method
    if not isinstance(value, dict):
        raise upstream_garbage()
    if value.get("error"):
        raise failure(value, body)
    candidates = candidates_of(value)
    refusal = blocked(value)
    if candidates:
        choices = _choices(candidates)
    elif refusal is not None:
        choices = (Choice(blocks=(refusal,), finish="content_filter"),)
    else:
        raise upstream_garbage()
    return Answer(
        choices=choices,
        usage=read_usage(value.get("usageMetadata")),
        model=_text(value.get("modelVersion")),
        id=_text(value.get("responseId")),
    )


def _choices(candidates: list[dict[str, Any]]) -> tuple[Choice, ...]:
    choices = tuple(_choice(candidate) for candidate in candidates)
    reasons = [candidate.get("finishReason") for candidate in candidates]
    broken = [reason for reason in reasons if isinstance(reason, str) and reason in BROKEN]
    if broken and not any(_usable(choice.blocks) for choice in choices):
        raise unusable(broken[0])
    return choices


def _usable(blocks: Iterable[Block]) -> bool:
    return any(
        not isinstance(block, Thinking) and (not isinstance(block, Text) or block.text) for block in blocks
    )


def _choice(candidate: Mapping[str, Any]) -> Choice:
    blocks = _grounded(read_blocks(candidate), candidate.get(GROUNDING))
    calls = any(isinstance(block, ToolCall) for block in blocks)
    return Choice(
        blocks=tuple(blocks),
        finish=finish_of(candidate.get("finishReason"), calls=calls),
        logprobs=read_logprobs(candidate.get("logprobsResult")),
    )


def _grounded(blocks: list[Block], metadata: object) -> list[Block]:
    """The blocks with their citations, and behind them what Google says about its search."""
    if not mapping(metadata):
        return blocks
    places = [number for number, block in enumerate(blocks) if isinstance(block, Text)]
    offsets = [Offsets(block.text) for block in blocks if isinstance(block, Text)]
    found: dict[int, list[Citation]] = {}
    for number, citation in read_citations(metadata, offsets):
        if number < len(places):
            found.setdefault(places[number], []).append(citation)
    out: list[Block] = []
    for number, block in enumerate(blocks):
        cited = found.get(number)
        out.append(replace(block, citations=tuple(cited)) if cited and isinstance(block, Text) else block)
    return [*out, Opaque(origin="gemini", kind=GROUNDING, raw=metadata)]


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


# --- writing ----------------------------------------------------------------------------------------------


def write_answer(answer: Answer, reply: Reply) -> bytes:
    """Fault (owner upstream) if the upstream's tool arguments are no JSON object: half a call is worse than none."""
    shown = shows_thoughts(reply.conversation)
    value: dict[str, Any] = {
        "candidates": [_candidate(choice, number, shown) for number, choice in enumerate(answer.choices)],
        "usageMetadata": write_usage(answer.usage),
        "modelVersion": reply.model,
        "responseId": reply.response_id,
    }
    return msgspec.json.encode(value)


def _candidate(choice: Choice, number: int, shown: bool) -> dict[str, Any]:
    parts, grounding = _parts(choice.blocks, shown)
    out: dict[str, Any] = {
        "content": {"parts": parts, "role": "model"},
        "finishReason": finish_reason(choice.finish),
        "index": number,
    }
    if grounding:
        out[GROUNDING] = grounding
    if choice.logprobs:
        out["avgLogprobs"] = sum(one.logprob for one in choice.logprobs) / len(choice.logprobs)
        out["logprobsResult"] = write_logprobs(choice.logprobs)
    return out


def _parts(blocks: Iterable[Block], shown: bool) -> tuple[list[Part], dict[str, Any]]:
    """(parts, groundingMetadata). Neighbouring texts become one part: clients cut the answer's whole text at the
    segments' offsets."""
    parts: list[Part] = []
    placed: list[tuple[Citation, Offsets, int]] = []
    own: dict[str, Any] = {}
    before = 0
    for block in blocks:
        if isinstance(block, Text):
            offsets = Offsets(block.text)
            placed += [(citation, offsets, before) for citation in block.citations]
            before += offsets.size
        if is_grounding(block):
            own = mapping(block.raw) if isinstance(block, Opaque) else {}
            continue
        part = write_part(block, shown)
        if part is None:
            continue
        last = parts[-1] if parts else {}
        if list(part) == ["text"] and list(last) == ["text"]:
            parts[-1] = {"text": last["text"] + part["text"]}
        else:
            parts.append(part)
    return parts, own or write_grounding(placed)


def is_grounding(block: Block) -> bool:
    return isinstance(block, Opaque) and block.origin == "gemini" and block.kind == GROUNDING


def write_part(block: Block, shown: bool) -> Part | None:
    """One part of the answer; None for what a Gemini client cannot see. shown: it asked for thoughts."""
    if isinstance(block, Text):
        return _signed({"text": block.text}, block.signature) if block.text or block.signature else None
    if isinstance(block, Refusal):
        return {"text": block.text} if block.text else None
    if isinstance(block, Thinking):
        return write_thought(block.text if shown else "", block.signature, redacted=block.redacted)
    if isinstance(block, ToolCall):
        return write_call(block)
    if isinstance(block, Media):
        return _media(block)
    if isinstance(block, Opaque):
        return block.raw if block.origin == "gemini" else {"text": block.text} if block.text else None
    return None


def write_thought(text: str, signature: Signature | None, *, redacted: bool = False) -> Part | None:
    """A thought; only its signature if there is no text."""
    part = _signed({"text": text, "thought": True}, signature, redacted=redacted)
    return part if text or "thoughtSignature" in part else None


def write_call(block: ToolCall) -> Part:
    """Fault (owner upstream) for arguments that are no JSON object. An id is given where the upstream has one."""
    arguments = wrapped(block.arguments) if block.custom else block.arguments.strip() or "{}"
    if not is_object(arguments):
        raise broken_call()
    call: dict[str, Any] = {"name": block.name, "args": msgspec.Raw(arguments.encode())}
    if block.id:
        call["id"] = block.id
    return _signed({"functionCall": call}, block.signature, call=True)


def broken_call() -> Fault:
    return unusable("the arguments of a function call are not a JSON object")


def _media(block: Media) -> Part | None:
    if isinstance(block.source, Base64):
        part: Part = {"inlineData": {"mimeType": block.media_type or "image/png", "data": block.source.data}}
    elif isinstance(block.source, Url):
        file = {"mimeType": block.media_type} if block.media_type else {}
        part = {"fileData": file | {"fileUri": block.source.url}}
    else:
        return None
    return _signed(part, block.signature)


def _signed(part: Part, signature: Signature | None, *, redacted: bool = False, call: bool = False) -> Part:
    if told := for_client(signature, redacted=redacted, call=call):
        part["thoughtSignature"] = told
    return part


def shows_thoughts(conversation: Conversation) -> bool:
    """Thoughts are shown only to a client that asked for them (``includeThoughts``)."""
    return conversation.reasoning is not None and conversation.reasoning.visible


def finish_reason(finish: Finish) -> str:
    return _FINISH_REASONS.get(finish, "STOP")


def write_usage(usage: Usage | None) -> dict[str, int]:
    """``usageMetadata``, complete; thoughts are counted beside the candidates, cached tokens inside the prompt."""
    seen = usage or Usage()
    return {
        "promptTokenCount": seen.prompt,
        "candidatesTokenCount": seen.output - seen.reasoning,
        "thoughtsTokenCount": seen.reasoning,
        "cachedContentTokenCount": seen.cached_input,
        "totalTokenCount": seen.total,
    }
