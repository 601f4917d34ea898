"""What whole answers and streams to Responses clients share: the response object, its usage, the forms of its items.

Facts: openai 3.52.0 ``types/responses/response.py`` and the item types beside it. Codex and other clients fail on a
missing member of ``usage``; the SDK fails if an item's identity differs between its events.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from dragoman.core.conversation import (
    NOTHING,
    Citation,
    Conversation,
    Finish,
    Media,
    Signature,
    Text,
    Thinking,
    TokenLogprob,
    ToolCall,
)
from dragoman.core.media import normalised
from dragoman.core.signatures import UNSIGNED, seal
from dragoman.core.usage import Usage
from dragoman.dialects.base import Reply
from dragoman.dialects.openai_responses.checked import ORIGIN
from dragoman.dialects.openai_responses.item_writer import annotation

Item = dict[str, Any]

_INCOMPLETE: Final[dict[Finish, str]] = {
    "length": "max_output_tokens",
    "context_length": "max_output_tokens",
    "content_filter": "content_filter",
    "refusal": "content_filter",
}


class Shell(Struct, frozen=True):
    """A response object without what it answers: the request's members and the API's defaults."""

    ids: str
    """What ids are made of."""
    members: Item

    @classmethod
    def of(cls, reply: Reply) -> Shell:
        members = {
            "id": f"resp_{reply.response_id}",
            "object": "response",
            "created_at": reply.created,
            "model": reply.model,
            **_echo(reply.conversation),
        }
        return cls(reply.response_id, members)

    def running(self) -> Item:
        return self._whole("in_progress", [], None)

    def finished(self, output: list[Item], finish: Finish, usage: Usage | None) -> Item:
        """Completed or incomplete; a stop, a pause and tool calls all are completions here."""
        whole = self._whole(status_of(finish), output, usage or Usage())
        reason = _INCOMPLETE.get(finish)
        if reason is not None:
            whole["incomplete_details"] = {"reason": reason}
        return whole

    def failed(self, output: list[Item], code: str, message: str, usage: Usage | None) -> Item:
        whole = self._whole("failed", output, usage)
        whole["error"] = {"code": code or "server_error", "message": message}
        return whole

    def _whole(self, status: str, output: list[Item], usage: Usage | None) -> Item:
        return {
            **self.members,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "output": output,
            "usage": None if usage is None else usage_object(usage),
        }


def _echo(asked: Conversation) -> Item:
    """What a response repeats of its request. tools, tool_choice and text come in the client's own words."""
    echo: Mapping[str, Any] = asked.extras.get("$echo", NOTHING)
    instructions = "\n\n".join(block.text for block in asked.system if isinstance(block, Text))
    reasoning = asked.reasoning
    effort = None
    if reasoning is not None:
        effort = "none" if reasoning.mode == "off" else reasoning.effort or None
    by_user = asked.fields.get("user") == ("user",)
    return {
        "background": False,
        "instructions": instructions or None,
        "max_output_tokens": asked.max_output,
        "max_tool_calls": asked.extras.get("max_tool_calls"),
        "metadata": dict(asked.metadata),
        "parallel_tool_calls": asked.parallel_tools is not False,
        "previous_response_id": asked.previous_id or echo.get("previous_response_id"),
        "prompt_cache_key": asked.cache_key or None,
        "reasoning": {"effort": effort, "summary": (reasoning.summary or None) if reasoning else None},
        "safety_identifier": None if by_user else asked.user or None,
        "service_tier": asked.service_tier or "default",
        "store": asked.store is not False,
        "temperature": 1.0 if asked.temperature is None else asked.temperature,
        "text": {"format": {"type": "text"}} | echo.get("text", {}),
        "tool_choice": echo.get("tool_choice", "auto"),
        "tools": echo.get("tools", []),
        "top_logprobs": asked.top_logprobs or 0,
        "top_p": 1.0 if asked.top_p is None else asked.top_p,
        "truncation": asked.extras.get("truncation", "disabled"),
        "user": (asked.user or None) if by_user else None,
    }


def status_of(finish: Finish) -> str:
    return "incomplete" if finish in _INCOMPLETE else "completed"


def usage_object(usage: Usage) -> Item:
    """Complete, with zeros. ``input_tokens`` includes what was cached, ``output_tokens`` the reasoning."""
    return {
        "input_tokens": usage.prompt,
        "input_tokens_details": {
            "cached_tokens": usage.cached_input,
            "cache_write_tokens": usage.cache_write_5m + usage.cache_write_1h,
        },
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.total,
    }


# -- items ---------------------------------------------------------------------------------------------------


def message_item(item_id: str, status: str, content: list[Item]) -> Item:
    return {"type": "message", "id": item_id, "status": status, "role": "assistant", "content": content}


def text_part(text: str, notes: list[Item], logprobs: list[Item]) -> Item:
    part: Item = {"type": "output_text", "text": text, "annotations": notes}
    return part | {"logprobs": logprobs} if logprobs else part


def refusal_part(text: str) -> Item:
    return {"type": "refusal", "refusal": text}


def notes_of(citations: tuple[Citation, ...], length: int) -> list[Item]:
    return [note for note in (annotation(citation, length) for citation in citations) if note]


def logprob_objects(tokens: tuple[TokenLogprob, ...]) -> list[Item]:
    return [
        {
            "token": token.token,
            "bytes": _bytes(token.token),
            "logprob": token.logprob,
            "top_logprobs": [
                {"token": top, "bytes": _bytes(top), "logprob": logprob} for top, logprob in token.top
            ],
        }
        for token in tokens
    ]


def _bytes(token: str) -> list[int]:
    return list(token.encode("utf-8", "surrogatepass"))


def reasoning_item(item_id: str, text: str, signature: Signature | None, *, redacted: bool) -> Item:
    """Without any ``encrypted_content`` a vendor, and this gateway, would look a replayed item up by its id."""
    if signature is None and text:
        signature = UNSIGNED
    return {
        "type": "reasoning",
        "id": item_id,
        "summary": [{"type": "summary_text", "text": text}] if text else [],
        "encrypted_content": None if signature is None else encrypted(signature, item_id, redacted=redacted),
    }


def encrypted(signature: Signature, item_id: str, *, redacted: bool = False) -> str:
    """``encrypted_content``: bare if the vendor can take it back with this item's id, else sealed. (The vendor
    checks that the content belongs to the id of its item.)"""
    if signature.origin == ORIGIN and signature.id in ("", item_id):
        return signature.value
    return seal(signature, redacted=redacted)


def reasoning_id(block: Thinking, made: str) -> str:
    """The id of a reasoning item: the vendor's own where its signature is known, because both belong together."""
    signature = block.signature
    return signature.id if signature is not None and signature.origin == ORIGIN and signature.id else made


def call_seal(signature: Signature, item_id: str, *, call_id: str = "") -> Item:
    """The item that carries the signature of the call behind it; of call ``call_id``, if it comes too late for that."""
    signed = replace(signature, id=call_id)
    return {
        "type": "reasoning",
        "id": item_id,
        "summary": [],
        "encrypted_content": seal(signed, call=True),
    }


def call_item(item_id: str, call: ToolCall, call_id: str, arguments: str, status: str) -> Item:
    item: Item = {
        "type": "custom_tool_call" if call.custom else "function_call",
        "id": item_id,
        "call_id": call_id,
        "name": call.name,
        "input" if call.custom else "arguments": arguments,
        "status": status,
    }
    return item | {"namespace": call.namespace} if call.namespace else item


def image_item(item_id: str, media: Media, data: str) -> Item:
    """An image that the model made, as the API's own image tool gives it."""
    form = normalised(media.media_type).partition("/")[2] or "png"
    return {
        "type": "image_generation_call",
        "id": item_id,
        "status": "completed",
        "output_format": form,
        "result": data,
    }
