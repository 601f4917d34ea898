"""Input items of a Responses request → turns; one item, one turn.

Items are messages (also without ``type``), calls of the client's tools and their outputs, reasoning, and what only
the vendor understands (``Opaque``). Facts: openai 3.52.0 ``types/responses/response_input_item_param.py``; an item
with an id but neither type nor role is an item reference.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any, Final

from msgspec.structs import replace

from dragoman.core.conversation import (
    Base64,
    Block,
    Citation,
    FileId,
    Json,
    Media,
    Opaque,
    Path,
    Refusal,
    Signature,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
    Url,
)
from dragoman.core.media import image_type, kind_of, normalised, parse_data_url, type_of_name
from dragoman.core.signatures import UNSIGNED, Sealed, unseal
from dragoman.dialects.openai_responses.checked import (
    ORIGIN,
    entries,
    mapped,
    needed,
    refuse,
    string,
)
from dragoman.dialects.openai_responses.tool_reader import Declared, read_tools

Part = Text | Media | Refusal | Opaque
_ROLES: Final = ("user", "assistant", "system", "developer")
_AUDIO_TYPES: Final = {"mp3": "audio/mpeg", "wav": "audio/wav"}
_ALONE: Final = {"item_reference": "item reference", "compaction": "compacted context"}


class ItemReader:
    """Reads the items of one request. ``turns`` is the result; declared tools and bound features go into ``into``."""

    def __init__(self, into: Declared) -> None:
        self.turns: list[Turn] = []
        self._into = into
        self._calls: dict[str, int] = {}  # call id → place of its turn
        self._sealed: Signature | None = None  # the signature of the call that comes next

    def read(self, value: Json) -> None:
        at: Path = ("input",)
        if type(value) is str:
            self._turn("user", (Text(text=value, at=at),) if value else (), at)
            return
        for place, item in entries(value, at):
            self._item(item, place)

    def _item(self, item: dict[str, Any], at: Path) -> None:
        kind = string(item.get("type"), (*at, "type"))
        if not kind:
            if item.get("role") is None and type(item.get("id")) is not str:
                raise refuse(at, "an item needs a type or a role")
            kind = "message" if item.get("role") is not None else "item_reference"
        read = _ITEMS.get(kind)
        if read is not None:
            read(self, item, at)
            return
        if kind in _ALONE:
            self._into.bound.append(((*at, "type"), _ALONE[kind]))
        role = "user" if kind.endswith("_output") else "assistant"
        self._turn(role, (Opaque(origin=ORIGIN, kind=kind, raw=item, at=at),), at)

    def _turn(self, role: str, blocks: tuple[Block, ...], at: Path, **more: str) -> None:
        if blocks:
            self.turns.append(Turn(role=role, blocks=blocks, at=at, **more))  # type: ignore[arg-type]

    def _message(self, item: dict[str, Any], at: Path) -> None:
        role = item.get("role")
        if role not in _ROLES:
            raise refuse((*at, "role"), f"one of {', '.join(_ROLES)} is expected")
        blocks = tuple(self.parts(item.get("content"), (*at, "content")))
        self._turn(role, blocks, at, id=_text(item, "id", at), phase=_text(item, "phase", at))

    def _function_call(self, item: dict[str, Any], at: Path) -> None:
        text = string(item.get("arguments"), (*at, "arguments"))
        self._call(item, at, "{}" if text.strip() in ("", "null") else text, custom=False)

    def _custom_call(self, item: dict[str, Any], at: Path) -> None:
        self._call(item, at, string(item.get("input"), (*at, "input")), custom=True)

    def _call(self, item: dict[str, Any], at: Path, arguments: str, *, custom: bool) -> None:
        call = ToolCall(
            id=needed(item.get("call_id"), (*at, "call_id")),
            name=needed(item.get("name"), (*at, "name")),
            arguments=arguments,
            custom=custom,
            namespace=_text(item, "namespace", at),
            signature=self._sealed,
            at=at,
        )
        self._sealed = None
        self._calls[call.id] = len(self.turns)
        self._turn("assistant", (call,), at, id=_text(item, "id", at))

    def _output(self, item: dict[str, Any], at: Path) -> None:
        content = tuple(
            Text(text=part.text, at=part.at) if isinstance(part, Refusal) else part
            for part in self.parts(item.get("output"), (*at, "output"))
        )
        result = ToolResult(
            call_id=needed(item.get("call_id"), (*at, "call_id")),
            name=_text(item, "name", at),
            content=content,
            custom=item["type"] == "custom_tool_call_output",
            at=at,
        )
        self._turn("user", (result,), at, id=_text(item, "id", at))

    def _reasoning(self, item: dict[str, Any], at: Path) -> None:
        shown = [
            "\n\n".join(string(part.get("text"), (*place, "text")) for place, part in entries(*parts))
            for parts in ((item.get(name), (*at, name)) for name in ("summary", "content"))
        ]
        text = shown[0] or shown[1]
        sealed = unseal(string(item.get("encrypted_content"), (*at, "encrypted_content")), ORIGIN)
        if sealed is None or sealed.signature == UNSIGNED:
            if text:
                self._turn("assistant", (Thinking(text=text, at=at),), at)
            return
        if sealed.call:
            self._sign_call(sealed.signature)
            return
        thinking = Thinking(text=text, signature=_own_id(sealed, item, at), redacted=sealed.redacted, at=at)
        self._turn("assistant", (thinking,), at)

    def _sign_call(self, signature: Signature) -> None:
        """A call's signature stands before its call; one that came too late for that names the call by its id."""
        place = self._calls.get(signature.id)
        if place is None:
            self._sealed = replace(signature, id="")
            return
        turn = self.turns[place]
        signed = (replace(block, signature=replace(signature, id="")) for block in turn.blocks)
        self.turns[place] = replace(turn, blocks=tuple(signed))

    def _more_tools(self, item: dict[str, Any], at: Path) -> None:
        read_tools(item.get("tools"), (*at, "tools"), self._into)

    # -- parts ---------------------------------------------------------------------------------------------

    def parts(self, value: Json, at: Path) -> list[Part]:
        """Content of a message or output: a string or a list of parts. Empty texts are left out."""
        if type(value) is str:
            return [Text(text=value, at=at)] if value else []
        found: list[Part] = []
        for place, part in entries(value, at):
            kind = needed(part.get("type"), (*place, "type"))
            read = _PARTS.get(kind)
            if read is None:
                found.append(Opaque(origin=ORIGIN, kind=kind, raw=part, at=place))
            else:
                block = read(self, part, place)
                if not isinstance(block, Text | Refusal) or block.text:
                    found.append(block)
        return found

    def _text(self, part: dict[str, Any], at: Path) -> Part:
        citations = tuple(
            read_citation(note) for _, note in entries(part.get("annotations"), (*at, "annotations"))
        )
        return Text(text=string(part.get("text"), (*at, "text")), citations=citations, at=at)

    def _refusal(self, part: dict[str, Any], at: Path) -> Part:
        return Refusal(text=string(part.get("refusal"), (*at, "refusal")), at=at)

    def _image(self, part: dict[str, Any], at: Path) -> Part:
        detail = _text(part, "detail", at)
        if part.get("file_id") is not None:
            return Media(kind="image", source=self._file_id(part, at), detail=detail, at=at)
        url = needed(part.get("image_url"), (*at, "image_url"))
        inline = parse_data_url(url)
        if inline is not None:
            media_type, data = inline
            return Media(
                kind="image",
                source=Base64(data),
                media_type=image_type(media_type, data),
                detail=detail,
                at=at,
            )
        if url.startswith("data:"):
            raise refuse((*at, "image_url"), "a data URL must be base64")
        return Media(kind="image", source=Url(url), media_type=type_of_name(url), detail=detail, at=at)

    def _file(self, part: dict[str, Any], at: Path) -> Part:
        name, detail = _text(part, "filename", at), _text(part, "detail", at)
        if part.get("file_id") is not None:
            return Media(kind="document", source=self._file_id(part, at), name=name, detail=detail, at=at)
        if part.get("file_url") is not None:
            url = needed(part["file_url"], (*at, "file_url"))
            media_type = type_of_name(name) or type_of_name(url)
            return Media(
                kind=kind_of(media_type),
                source=Url(url),
                media_type=media_type,
                name=name,
                detail=detail,
                at=at,
            )
        text = needed(part.get("file_data"), (*at, "file_data"))
        if text.startswith("data:") and parse_data_url(text) is None:
            raise refuse((*at, "file_data"), "a data URL must be base64")
        media_type, data = parse_data_url(text) or (type_of_name(name) or "application/pdf", text)
        if media_type.startswith("text/"):
            return _plain_document(data, name, (*at, "file_data"))
        if kind_of(media_type) == "image":
            media_type = image_type(media_type, data)
        return Media(
            kind=kind_of(media_type),
            source=Base64(data),
            media_type=media_type,
            name=name,
            detail=detail,
            at=at,
        )

    def _audio(self, part: dict[str, Any], at: Path) -> Part:
        audio = mapped(part.get("input_audio"), (*at, "input_audio"))
        data = needed(audio.get("data"), (*at, "input_audio", "data"))
        form = needed(audio.get("format"), (*at, "input_audio", "format"))
        media_type = _AUDIO_TYPES.get(form) or normalised(f"audio/{form}")
        return Media(kind="audio", source=Base64(data), media_type=media_type, at=at)

    def _file_id(self, part: dict[str, Any], at: Path) -> FileId:
        self._into.bound.append(((*at, "file_id"), "file id"))
        return FileId("openai", needed(part["file_id"], (*at, "file_id")))


def read_citation(note: dict[str, Any]) -> Citation:
    """An annotation of an output text; those of other kinds than web pages stay as they are."""
    if note.get("type") != "url_citation" or type(note.get("url")) is not str:
        return Citation(extra=note, origin=ORIGIN)
    title, start, end = note.get("title"), note.get("start_index"), note.get("end_index")
    return Citation(
        url=note["url"],
        title=title if type(title) is str else "",
        start=start if type(start) is int and start >= 0 else -1,
        end=end if type(end) is int and end >= 0 else -1,
    )


def _own_id(sealed: Sealed, item: dict[str, Any], at: Path) -> Signature:
    """A bare signature belongs to its item's id; a sealed one brings the id it had."""
    signature = sealed.signature
    if signature.origin == ORIGIN and not signature.id:
        return replace(signature, id=_text(item, "id", at))
    return signature


def _plain_document(data: str, name: str, at: Path) -> Text:
    """A document of plain text, its name in front."""
    try:
        text = base64.b64decode(data, validate=True).decode()
    except (binascii.Error, ValueError):
        raise refuse(at, "base64 of UTF-8 text is expected") from None
    return Text(text=f"{name}\n\n{text}" if name else text, at=at[:-1])


def _text(source: dict[str, Any], name: str, at: Path) -> str:
    return string(source.get(name), (*at, name))


_ITEMS: Final[dict[str, Callable[[ItemReader, dict[str, Any], Path], None]]] = {
    "message": ItemReader._message,
    "function_call": ItemReader._function_call,
    "custom_tool_call": ItemReader._custom_call,
    "function_call_output": ItemReader._output,
    "custom_tool_call_output": ItemReader._output,
    "reasoning": ItemReader._reasoning,
    "additional_tools": ItemReader._more_tools,
}
_PARTS: Final[dict[str, Callable[[ItemReader, dict[str, Any], Path], Part]]] = {
    "input_text": ItemReader._text,
    "output_text": ItemReader._text,
    "text": ItemReader._text,
    "summary_text": ItemReader._text,
    "refusal": ItemReader._refusal,
    "input_image": ItemReader._image,
    "input_file": ItemReader._file,
    "input_audio": ItemReader._audio,
}
