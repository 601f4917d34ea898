"""Turns → input items of a Responses request, for an upstream that keeps nothing.

Assistant text goes as ``output_text`` (the API refuses ``input_text`` there), a call's output carries text, images
and files in place, and an output whose call does not stand before it becomes a user message. Ids of items are sent
only where the client gave them; reasoning goes only if this kind of vendor made it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from dragoman.core.conversation import (
    Base64,
    Block,
    Citation,
    FileId,
    Loss,
    Media,
    Opaque,
    Origin,
    Path,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
    Url,
    rejected,
)
from dragoman.core.history import answered, with_ids
from dragoman.core.media import data_url, image_type
from dragoman.core.tools import WireNames, wire_id
from dragoman.dialects.openai_responses.checked import ORIGIN

ID_LIMIT: Final = 64
_AUDIO_FORMATS: Final = {"audio/mpeg": "mp3", "audio/wav": "wav"}
_FILE_NAMES: Final = {"application/pdf": "document.pdf"}
_BILLING: Final = "x-anthropic-billing-header:"

Item = dict[str, Any]


class ItemWriter:
    """Writes the items of one request; ``items`` and ``losses`` are the result. origin: the client's dialect.
    continued: the vendor keeps what came before, so that calls may stand there."""

    def __init__(self, origin: Origin, names: WireNames, *, continued: bool = False) -> None:
        self.items: list[Item] = []
        self.losses: list[Loss] = []
        self._origin = origin
        self._own = origin == ORIGIN
        self._names = names
        self._continued = continued
        self._called: dict[str, bool] = {}  # id of every call so far → it is a free-text one

    def write(self, turns: Sequence[Turn]) -> None:
        named = with_ids(turns)
        for turn in named if self._own else answered(named):
            self._turn(turn)

    def instructions(self, system: Iterable[Block]) -> str:
        """``Conversation.system`` as one text."""
        texts = []
        for block in system:
            self._mark(block)
            text = block.text if isinstance(block, Text | Opaque) else ""
            if not text:
                self.losses.append(Loss(block.at, "instructions are text only"))
            elif self._own or not text.startswith(_BILLING):
                texts.append(text)
        return "\n\n".join(texts)

    # -- turns -----------------------------------------------------------------------------------------------

    def _turn(self, turn: Turn) -> None:
        if turn.name:
            self.losses.append(Loss((*turn.at, "name"), "messages have no name here"))
        parts: list[Item] = []
        first = len(self.items)
        for block in turn.blocks:
            self._mark(block)
            item = self._item(block)
            if item is None:
                parts.extend(self._part(block, turn.role))
                continue
            self._message(turn, parts)
            parts = []
            self.items.extend(item)
        self._message(turn, parts)
        if self._own and turn.id and len(self.items) == first + 1:
            self.items[first] = {"id": turn.id, **self.items[first]}

    def _message(self, turn: Turn, parts: list[Item]) -> None:
        if not parts:
            return
        item: Item = {"type": "message", "role": turn.role, "content": parts}
        if turn.phase and turn.role == "assistant":
            item["phase"] = turn.phase
        self.items.append(item)

    def _item(self, block: Block) -> list[Item] | None:
        """The items that stand for a block of its own; None for what is a part of a message."""
        if isinstance(block, ToolCall):
            return [self._call(block)]
        if isinstance(block, ToolResult):
            known = self._continued or block.call_id in self._called
            return self._result(block) if known else self._lone_result(block)
        if isinstance(block, Thinking):
            return self._reasoning(block)
        if isinstance(block, Opaque) and block.origin == ORIGIN and not _is_part(block):
            return [block.raw]
        return None

    def _call(self, call: ToolCall) -> Item:
        self._called[call.id] = call.custom
        item: Item = {
            "type": "custom_tool_call" if call.custom else "function_call",
            "call_id": wire_id(call.id, ID_LIMIT),
            "name": self._names.wire(call.name, call.namespace),
            "input" if call.custom else "arguments": call.arguments,
        }
        if call.namespace:
            item["namespace"] = call.namespace
        return item

    def _result(self, result: ToolResult) -> list[Item]:
        custom = result.custom or self._called.get(result.call_id, False)
        item: Item = {
            "type": "custom_tool_call_output" if custom else "function_call_output",
            "call_id": wire_id(result.call_id, ID_LIMIT),
            "output": self._output(result),
        }
        if self._own and result.name:
            item["name"] = result.name
        return [item]

    def _output(self, result: ToolResult) -> str | list[Item]:
        """One text as a string, everything else as parts. A failure is marked in front, there is no flag for it."""
        parts = [part for block in result.content for part in self._result_part(block)]
        if result.structured is not None and not any(isinstance(block, Text) for block in result.content):
            parts.insert(0, _input_text(msgspec.json.encode(result.structured).decode()))
        if result.is_error:
            if parts and parts[0]["type"] == "input_text":
                parts[0] = _input_text(f"Error: {parts[0]['text']}")
            else:
                parts.insert(0, _input_text("Error"))
        if not parts:
            return ""
        alone = parts[0]["text"] if len(parts) == 1 and parts[0]["type"] == "input_text" else None
        return parts if alone is None else alone

    def _result_part(self, block: Block) -> list[Item]:
        self._mark(block)
        return self._part(block, "user")

    def _lone_result(self, result: ToolResult) -> list[Item]:
        """The API refuses an output without its call."""
        output = self._output(result)
        if isinstance(output, str):
            parts = [_input_text(f"Tool result: {output}")] if output else []
        else:
            parts = [_input_text("Tool result:"), *output]
        return [{"type": "message", "role": "user", "content": parts}] if parts else []

    def _reasoning(self, block: Thinking) -> list[Item]:
        signature = block.signature
        if signature is None or signature.origin != ORIGIN or not signature.value:
            if self._own and signature is None:
                self.losses.append(Loss(block.at, "reasoning goes back only with its encrypted_content"))
            return []
        item: Item = {"type": "reasoning"}
        if signature.id:
            item["id"] = signature.id
        item["summary"] = [{"type": "summary_text", "text": block.text}] if block.text else []
        return [item | {"encrypted_content": signature.value}]

    # -- parts -----------------------------------------------------------------------------------------------

    def _part(self, block: Block, role: str) -> list[Item]:
        if isinstance(block, Opaque):
            return self._opaque(block, role)
        if isinstance(block, Media):
            if role == "assistant":
                self.losses.append(Loss(block.at, "an assistant message holds text only"))
                return []
            return [media_part(block, self._origin)]
        if isinstance(block, Refusal):
            if role == "assistant":
                return [{"type": "refusal", "refusal": block.text}]
            return [_input_text(block.text)] if block.text else []
        if not isinstance(block, Text) or not block.text:
            return []
        if role != "assistant":
            return [_input_text(block.text)]
        notes = [note for note in (annotation(c, len(block.text)) for c in block.citations) if note]
        return [{"type": "output_text", "text": block.text, "annotations": notes}]

    def _opaque(self, block: Opaque, role: str) -> list[Item]:
        if block.origin == ORIGIN:
            return [block.raw]
        if block.text:
            return self._part(Text(text=block.text, at=block.at), role)
        self.losses.append(Loss(block.at, f"{block.kind} is not known to this vendor"))
        return []

    def _mark(self, block: Block) -> None:
        if not isinstance(block, Thinking | Refusal | Opaque) and block.cache is not None:
            self.losses.append(Loss((*block.at, "cache_control"), "cache marks are not known here"))


def media_part(media: Media, origin: Origin) -> Item:
    """An input part. Fault 400 for what the API does not take: audio but mp3 and wav, video, other vendors' files."""
    write = _MEDIA.get(media.kind)
    if write is None:
        raise rejected(media.at, origin, f"{media.kind} is not an input that this model's API takes")
    return write(media, origin)


def _image(media: Media, origin: Origin) -> Item:
    source = media.source
    part: Item = {"type": "input_image"}
    if isinstance(source, Url):
        part["image_url"] = source.url
    elif isinstance(source, Base64):
        part["image_url"] = data_url(image_type(media.media_type or "image/png", source.data), source.data)
    else:
        part["file_id"] = _own_file(source, media.at, origin)
    return part | {"detail": media.detail} if media.detail else part


def _document(media: Media, origin: Origin) -> Item:
    source = media.source
    part: Item = {"type": "input_file"}
    if isinstance(source, FileId):
        return part | {"file_id": _own_file(source, media.at, origin)}
    if isinstance(source, Url):
        if media.name:
            part["filename"] = media.name
        part["file_url"] = source.url
    else:
        media_type = media.media_type or "application/pdf"
        part["filename"] = media.name or _FILE_NAMES.get(media_type, "document")
        part["file_data"] = data_url(media_type, source.data)
    return part | {"detail": media.detail} if media.detail else part


def _audio(media: Media, origin: Origin) -> Item:
    form = _AUDIO_FORMATS.get(media.media_type)
    if form is None or not isinstance(media.source, Base64):
        raise rejected(media.at, origin, "audio is taken inline only, as mp3 or wav")
    return {"type": "input_audio", "input_audio": {"data": media.source.data, "format": form}}


_MEDIA: Final[dict[str, Callable[[Media, Origin], Item]]] = {
    "image": _image,
    "document": _document,
    "audio": _audio,
}


def _own_file(source: FileId, at: Path, origin: Origin) -> str:
    if source.family != "openai":
        raise rejected(at, origin, "the file is stored at another vendor")
    return source.id


def annotation(citation: Citation, length: int) -> Item | None:
    """A citation as an annotation of its text, ``length`` characters long; None if it names no web page."""
    if not citation.url:
        return dict(citation.extra) if citation.origin == ORIGIN and citation.extra else None
    return {
        "type": "url_citation",
        "start_index": max(citation.start, 0),
        "end_index": citation.end if citation.end >= 0 else length,
        "title": citation.title,
        "url": citation.url,
    }


def _input_text(text: str) -> Item:
    return {"type": "input_text", "text": text}


def _is_part(block: Opaque) -> bool:
    """Unknown parts stand inside a message, at ``input[n].content[m]`` or ``input[n].output[m]``."""
    return len(block.at) > 2
