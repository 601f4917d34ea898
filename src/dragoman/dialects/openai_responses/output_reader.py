"""Output items of a response → blocks. Never raises, whatever the vendor sends: what has an odd type counts as absent.

Facts: openai 3.52.0 ``types/responses/response_output_item.py``. Reasoning has a summary (parts of ``summary_text``) or,
from open models, its text (``content`` of ``reasoning_text``).
"""

from __future__ import annotations

from typing import Any, Final

from dragoman.core.conversation import (
    Block,
    Citation,
    Finish,
    Opaque,
    Refusal,
    Signature,
    Text,
    Thinking,
    TokenLogprob,
    ToolCall,
)
from dragoman.dialects.base import mapping
from dragoman.dialects.openai_responses.checked import ORIGIN
from dragoman.dialects.openai_responses.item_reader import read_citation

JOINT: Final = "\n\n"
CALLS: Final = {"function_call": "arguments", "custom_tool_call": "input"}
"""Type of a call's item → the member with its argument text."""
_INCOMPLETE: Final[dict[str, Finish]] = {"content_filter": "content_filter"}


def objects(value: object) -> list[dict[str, Any]]:
    """The objects in an array."""
    return [entry for entry in value if type(entry) is dict] if type(value) is list else []


def text_of(source: dict[str, Any], name: str) -> str:
    value = source.get(name)
    return value if type(value) is str else ""


def read_item(item: dict[str, Any]) -> list[Block]:
    kind = text_of(item, "type")
    if kind == "message":
        return [block for part in objects(item.get("content")) for block in _part(part)]
    if kind == "reasoning":
        thinking = Thinking(text=reasoning_text(item), signature=signature_of(item))
        return [thinking] if thinking.text or thinking.signature else []
    if kind in CALLS:
        return [called(item)]
    return [Opaque(origin=ORIGIN, kind=kind, raw=item)] if kind else []


def _part(part: dict[str, Any]) -> list[Block]:
    if part.get("type") == "refusal":
        refusal = text_of(part, "refusal")
        return [Refusal(text=refusal)] if refusal else []
    text = text_of(part, "text")
    return [Text(text=text, citations=citations_of(part))] if text else []


def citations_of(part: dict[str, Any]) -> tuple[Citation, ...]:
    return tuple(read_citation(note) for note in objects(part.get("annotations")))


def called(item: dict[str, Any]) -> ToolCall:
    """A call with its whole argument text. Its ``call_id`` is what the result refers to."""
    kind = text_of(item, "type")
    arguments = text_of(item, CALLS[kind])
    custom = kind == "custom_tool_call"
    return ToolCall(
        id=text_of(item, "call_id") or text_of(item, "id"),
        name=text_of(item, "name"),
        arguments=arguments if custom or arguments.strip() else "{}",
        custom=custom,
        namespace=text_of(item, "namespace"),
    )


def reasoning_text(item: dict[str, Any]) -> str:
    shown = (
        JOINT.join(text for part in objects(item.get(name)) if (text := text_of(part, "text")))
        for name in ("summary", "content")
    )
    return next((text for text in shown if text), "")


def signature_of(item: dict[str, Any]) -> Signature | None:
    sealed = text_of(item, "encrypted_content")
    return Signature(origin=ORIGIN, value=sealed, id=text_of(item, "id")) if sealed else None


def read_logprobs(value: object) -> tuple[TokenLogprob, ...]:
    return tuple(
        TokenLogprob(
            token=text_of(entry, "token"),
            logprob=_number(entry.get("logprob")),
            top=tuple(
                (text_of(top, "token"), _number(top.get("logprob")))
                for top in objects(entry.get("top_logprobs"))
            ),
        )
        for entry in objects(value)
    )


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def seconds(value: object) -> int:
    """A time stamp as the vendor sent it; 0 for what is none."""
    return int(value) if isinstance(value, int | float) and 0 <= value < 2**53 else 0


def finish_of(response: dict[str, Any], *, calls: bool) -> Finish:
    """How a response ended. A call makes "stop" to "tool_calls". A refusal is a part of a completed response and stays a
    stop, as in chat: openai-python's ``parse`` raises on "content_filter" instead of showing the refusal."""
    reason = text_of(mapping(response.get("incomplete_details")), "reason")
    if text_of(response, "status") == "incomplete" or reason:
        return _INCOMPLETE.get(reason, "length")
    return "tool_calls" if calls else "stop"
