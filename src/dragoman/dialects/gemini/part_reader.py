"""The parts of a client's ``contents`` → blocks.

What Gemini's parts are: https://ai.google.dev/api/caching#Part. A part of a kind that is not modelled becomes ``Opaque``
as it was written; one that holds nothing is skipped.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any, Final

import msgspec

from dragoman.core.conversation import (
    Base64,
    Block,
    FileId,
    Media,
    Opaque,
    Path,
    Signature,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Url,
    rejected,
)
from dragoman.core.media import image_type, kind_of, normalised, type_of_name
from dragoman.dialects.gemini.ids import file_name
from dragoman.dialects.gemini.members import Members
from dragoman.dialects.gemini.signature import from_client, standard

_DETAILS: Final = {
    "MEDIA_RESOLUTION_LOW": "low",
    "MEDIA_RESOLUTION_HIGH": "high",
    "MEDIA_RESOLUTION_ULTRA_HIGH": "high",
}
_RESOLUTIONS: Final = ("", "MEDIA_RESOLUTION_LOW", "", "MEDIA_RESOLUTION_HIGH", "MEDIA_RESOLUTION_ULTRA_HIGH")
_ATTRIBUTES: Final = frozenset(
    {
        "thought",
        "thoughtSignature",
        "videoMetadata",
        "mediaResolution",
        "partMetadata",
        "mediaProcessing",
        "documentMetadata",
        "audioMetadata",
        "spreadsheetMetadata",
        "speechMetadata",
    }
)
"""Members that describe a part and are none themselves."""


def read_part(value: Any, at: Path) -> Block | None:
    """One part; None if it holds nothing. Fault 400 for what cannot be a part."""
    part = Members(value, at)
    for name, read in _READERS.items():
        if part.has(name):
            return read(part)
    signature = _signature(part)
    if part.flag("thought"):
        return _thinking(part, "")
    if signature is not None:
        return Text(text="", signature=signature, at=at)
    kind = next(iter(part.others(_ATTRIBUTES)), "")
    return Opaque(origin="gemini", kind=kind, raw=value, at=at) if kind else None


def _text(part: Members) -> Block | None:
    text = part.text("text")
    if part.flag("thought"):
        return _thinking(part, text)
    signature = _signature(part)
    return Text(text=text, signature=signature, at=part.at) if text or signature else None


def _thinking(part: Members, text: str) -> Block | None:
    sealed = from_client(part.text("thoughtSignature"))
    if sealed is None:
        return Thinking(text=text, at=part.at) if text else None
    return Thinking(text=text, signature=sealed.signature, redacted=sealed.redacted, at=part.at)


def _signature(part: Members) -> Signature | None:
    sealed = from_client(part.text("thoughtSignature"))
    return None if sealed is None else sealed.signature


def _inline(part: Members) -> Block | None:
    blob = Members(part.get("inlineData"), part.path("inlineData"))
    data = standard(blob.text("data"))
    media_type = normalised(blob.text("mimeType"))
    if not media_type:
        raise blob.refuse("mimeType", "the type of the data is needed")
    if media_type.startswith("text/"):
        text = _plain_text(data)
        if text is None:
            raise blob.refuse("data", "base64 of UTF-8 text is expected")
        return Text(text=text, signature=_signature(part), at=part.at) if text else None
    kind = kind_of(media_type)
    return Media(
        kind=kind,
        source=Base64(data),
        media_type=image_type(media_type, data) if kind == "image" else media_type,
        name=blob.text("displayName"),
        detail=_detail(part),
        signature=_signature(part),
        at=part.at,
    )


def _plain_text(data: str) -> str | None:
    try:
        return base64.b64decode(data + "=" * (-len(data) % 4), validate=True).decode()
    except (binascii.Error, ValueError):
        return None


def _file(part: Members) -> Block:
    file = Members(part.get("fileData"), part.path("fileData"))
    uri = file.text("fileUri")
    if not uri:
        raise file.refuse("fileUri", "the address of the file is needed")
    media_type = normalised(file.text("mimeType")) or type_of_name(uri)
    return Media(
        kind=kind_of(media_type) if media_type else "video" if is_youtube(uri) else "document",
        source=FileId("google", uri) if file_name(uri) else Url(uri),
        media_type=media_type,
        name=file.text("displayName"),
        detail=_detail(part),
        signature=_signature(part),
        at=part.at,
    )


def is_youtube(url: str) -> bool:
    """Gemini watches YouTube's public videos by their address."""
    scheme, _, rest = url.partition("://")
    host = rest.partition("/")[0].lower()
    return scheme.lower() in ("http", "https") and (
        host in ("youtu.be", "youtube.com") or host.endswith(".youtube.com")
    )


def _detail(part: Members) -> str:
    resolution = part.get("mediaResolution")
    if isinstance(resolution, dict):
        return _DETAILS.get(Members(resolution, part.path("mediaResolution")).word("level", _RESOLUTIONS), "")
    return _DETAILS.get(part.word("mediaResolution", _RESOLUTIONS), "")


def _call(part: Members) -> Block:
    call = Members(part.get("functionCall"), part.path("functionCall"))
    name = call.text("name")
    if not name:
        raise call.refuse("name", "the function's name is needed")
    args = call.child("args")
    return ToolCall(
        id=call.text("id"),
        name=name,
        arguments=json_text(args.value) if args else "{}",
        signature=_signature(part),
        at=part.at,
    )


def _result(part: Members) -> Block:
    result = Members(part.get("functionResponse"), part.path("functionResponse"))
    response = result.child("response")
    structured, text, is_error = read_response({} if response is None else dict(response.value))
    content: list[Text | Media | Opaque] = [Text(text=text, at=part.at)] if text else []
    for value, at in result.each("parts"):
        block = read_part(value, at)
        if isinstance(block, (Text, Media, Opaque)):
            content.append(block)
    return ToolResult(
        call_id=result.text("id"),
        name=result.text("name"),
        content=tuple(content),
        structured=structured,
        is_error=is_error,
        at=part.at,
    )


def read_response(response: dict[str, Any]) -> tuple[dict[str, Any] | None, str, bool]:
    """(the object if it says more than one text, its text for other dialects, is it an error) of a function's answer.

    Google: "use the "output" key to specify function output and the "error" key to specify error details".
    """
    if len(response) == 1:
        ((key, value),) = response.items()
        if isinstance(value, str) and key in ("result", "output", "error"):
            return None, value, key == "error"
        if key == "error":
            return response, json_text(value), True
    return response, json_text(response) if response else "", False


def _code(part: Members) -> Block:
    code = Members(part.get("executableCode"), part.path("executableCode"))
    language = code.word("language", ("", "PYTHON")).lower().removesuffix("language_unspecified")
    return Opaque(
        origin="gemini",
        kind="executableCode",
        raw=part.value,
        text=f"\n```{language}\n{code.text('code').rstrip()}\n```\n",
        at=part.at,
    )


def _code_result(part: Members) -> Block:
    result = Members(part.get("codeExecutionResult"), part.path("codeExecutionResult"))
    output = result.text("output")
    text = f"\n```\n{output.rstrip()}\n```\n" if output else ""
    return Opaque(origin="gemini", kind="codeExecutionResult", raw=part.value, text=text, at=part.at)


def json_text(value: Any) -> str:
    return msgspec.json.encode(value).decode()


_READERS: Final[dict[str, Callable[[Members], Block | None]]] = {
    "functionCall": _call,
    "functionResponse": _result,
    "inlineData": _inline,
    "fileData": _file,
    "executableCode": _code,
    "codeExecutionResult": _code_result,
    "text": _text,
}


def read_instruction(value: Any, at: Path) -> tuple[Block, ...]:
    """``systemInstruction``: a text, a content with parts, or bare parts."""
    if isinstance(value, str):
        return (Text(text=value, at=at),) if value else ()
    if isinstance(value, list):
        return _blocks([(item, (*at, number)) for number, item in enumerate(value)])
    content = Members(value, at)
    if not content.has("parts"):
        block = read_part(value, at) if content.has("text") else None
        return (block,) if block is not None else ()
    return _blocks(content.each("parts"))


def _blocks(parts: list[tuple[Any, Path]]) -> tuple[Block, ...]:
    told = [
        Text(text=value, at=at) if isinstance(value, str) else read_part(value, at) for value, at in parts
    ]
    return tuple(block for block in told if block is not None)


def read_parts(content: Members) -> tuple[Block, ...]:
    """The blocks of one content."""
    for value, at in content.each("parts"):
        if not isinstance(value, (dict, str)):
            raise rejected(at, "gemini", "a part is an object")
    return _blocks(content.each("parts"))
