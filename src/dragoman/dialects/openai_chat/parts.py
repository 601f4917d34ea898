"""Content parts of a message: text, images, audio, files, video; reading a client's and writing for an upstream.

https://platform.openai.com/docs/api-reference/chat/create: ``text``, ``image_url``, ``input_audio``, ``file`` and, in
assistants' messages, ``refusal``. ``video_url`` is what vLLM, Qwen and OpenRouter added; ``thinking`` Mistral.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec.structs import replace

from dragoman.core.conversation import (
    Base64,
    Block,
    Cache,
    FileId,
    Json,
    Loss,
    Media,
    Opaque,
    Origin,
    Path,
    Refusal,
    Signature,
    Text,
    Thinking,
    Url,
    rejected,
)
from dragoman.core.facts import Facts
from dragoman.core.media import (
    data_url,
    file_name,
    image_type,
    kind_of,
    normalised,
    parse_data_url,
    type_of_name,
)
from dragoman.dialects.openai_chat.members import ORIGIN, expected, needed, record, string, wrong

Bound = list[tuple[Path, str]]

_AUDIO_TYPES: Final[Mapping[str, str]] = {"mp3": "audio/mpeg", "wav": "audio/wav"}
_AUDIO_FORMATS: Final[Mapping[str, str]] = {
    "audio/mpeg": "mp3",
    "audio/wav": "wav",
    "audio/flac": "flac",
    "audio/ogg": "ogg",
    "audio/opus": "opus",
    "audio/aac": "aac",
    "audio/mp4": "m4a",
    "audio/aiff": "aiff",
}


# --- reading ----------------------------------------------------------------------------------------------


def cache_mark(raw: Mapping[str, Any], at: Path) -> Cache | None:
    """A ``cache_control`` mark (OpenRouter, LiteLLM), or OpenAI's ``prompt_cache_breakpoint``, whose times Anthropic does
    not have."""
    mark = raw.get("cache_control")
    if mark is None:
        return Cache() if isinstance(raw.get("prompt_cache_breakpoint"), dict) else None
    if not isinstance(mark, dict):
        raise expected((*at, "cache_control"), "an object", mark)
    ttl = string(mark, "ttl", (*at, "cache_control")) or ""
    if ttl not in ("", "5m", "1h"):
        raise wrong((*at, "cache_control", "ttl"), "must be 5m or 1h")
    return Cache(ttl=ttl)


def read_content(content: Json, at: Path, bound: Bound) -> list[Block]:
    """The blocks of a ``content`` that is a string or an array of parts; empty texts say nothing and are left out."""
    if type(content) is str:
        return [Text(text=content, at=at)] if content else []
    if not isinstance(content, list):
        raise expected(at, "a string or an array of parts", content)
    blocks: list[Block] = []
    for place, raw in enumerate(content):
        spot: Path = (*at, place)
        if type(raw) is str:  # some clients write bare strings into the array
            raw = {"type": "text", "text": raw}
        if not isinstance(raw, dict):
            raise expected(spot, "an object", raw)
        block = _part(raw, spot, bound)
        if block is not None:
            blocks.append(block)
    return blocks


def _part(raw: dict[str, Any], at: Path, bound: Bound) -> Block | None:
    kind = needed(raw, "type", at)
    reader = _PARTS.get(kind)
    if reader is None:
        text = raw.get("text")
        return Opaque(origin=ORIGIN, kind=kind, raw=raw, text=text if type(text) is str else "", at=at)
    return reader(raw, at, bound)


def _text(raw: dict[str, Any], at: Path, bound: Bound) -> Block | None:
    text = string(raw, "text", at)
    if text is None:
        raise wrong((*at, "text"), "a string is required")
    return Text(text=text, cache=cache_mark(raw, at), at=at) if text else None


def _refusal(raw: dict[str, Any], at: Path, bound: Bound) -> Block | None:
    text = string(raw, "refusal", at)
    return Refusal(text=text, at=at) if text else None


def _image(raw: dict[str, Any], at: Path, bound: Bound) -> Block | None:
    return _linked(raw, at, "image_url")


def _video(raw: dict[str, Any], at: Path, bound: Bound) -> Block | None:
    return _linked(raw, at, "video_url")


def _linked(raw: dict[str, Any], at: Path, member: str) -> Block | None:
    """``{member: {"url"}}``; a bare string is what many clients write."""
    inner = raw.get(member)
    spot: Path = (*at, member)
    if type(inner) is str:
        inner = {"url": inner}
    if not isinstance(inner, dict):
        raise expected(spot, "an object", inner)
    url = needed(inner, "url", spot)
    detail = string(inner, "detail", spot) or ""
    cache = cache_mark(raw, at)
    found = linked_media(url, "image" if member == "image_url" else "video")
    if found is None:
        raise wrong((*spot, "url"), "an https URL or a base64 data URL is expected")
    kind, media_type, source = found
    return Media(kind=kind, source=source, media_type=media_type, detail=detail, cache=cache, at=at)  # type: ignore[arg-type]


def _input_image(raw: dict[str, Any], at: Path, bound: Bound) -> Block | None:
    """The part of Responses: a bare link, ``detail`` beside it."""
    if type(raw.get("image_url")) is not str:
        return Opaque(origin=ORIGIN, kind="input_image", raw=raw, at=at)
    return _linked({"image_url": {"url": raw.get("image_url"), "detail": raw.get("detail")}}, at, "image_url")


def _source(raw: dict[str, Any], at: Path, bound: Bound) -> Block | None:
    """Anthropic's image: ``{"source": {"type": "base64", "media_type", "data"} | {"type": "url", "url"}}``."""
    spot: Path = (*at, "source")
    source = raw.get("source")
    if not isinstance(source, dict):
        return Opaque(origin=ORIGIN, kind="image", raw=raw, at=at)
    link = string(source, "url", spot)
    if link is None:
        link = data_url(string(source, "media_type", spot) or "image/png", needed(source, "data", spot))
    return _linked({**raw, "image_url": link}, at, "image_url")


def linked_media(url: str, kind: str) -> tuple[str, str, Base64 | Url] | None:
    """(kind, MIME type, source) of a link; None if it is neither a web address nor a data URL.

    The kind follows the type of a data URL: PDF in ``image_url`` is what some clients send.
    """
    inline = parse_data_url(url)
    if inline is not None:
        declared, data = inline
        media_type = image_type(declared, data) if kind_of(declared) == "image" else declared
        return kind_of(media_type), media_type, Base64(data)
    if url[:8].lower().startswith(("https://", "http://")):
        return kind, type_of_name(url), Url(url)
    return None


def _audio(raw: dict[str, Any], at: Path, bound: Bound) -> Block | None:
    inner = record(raw, "input_audio", at) or {}
    spot: Path = (*at, "input_audio")
    data = needed(inner, "data", spot)
    inline = parse_data_url(data)
    if inline is not None:
        data = inline[1]
    format_ = (string(inner, "format", spot) or "wav").lower()
    media_type = _AUDIO_TYPES.get(format_, normalised(f"audio/{format_}"))
    return Media(kind="audio", source=Base64(data), media_type=media_type, cache=cache_mark(raw, at), at=at)


def _file(raw: dict[str, Any], at: Path, bound: Bound) -> Block | None:
    inner = record(raw, "file", at) or {}
    spot: Path = (*at, "file")
    name = string(inner, "filename", spot) or ""
    cache = cache_mark(raw, at)
    data = string(inner, "file_data", spot)
    if data:
        inline = parse_data_url(data)
        media_type, data = inline or (type_of_name(name) or "application/pdf", data)
        if media_type in ("application/octet-stream", "text/plain"):
            media_type = type_of_name(name) or media_type
        kind = kind_of(media_type)
        return Media(kind=kind, source=Base64(data), media_type=media_type, name=name, cache=cache, at=at)
    file_id = string(inner, "file_id", spot)
    if not file_id:
        raise wrong(spot, "file_data or file_id is required")
    bound.append(((*spot, "file_id"), "uploaded file"))
    return Media(kind="document", source=FileId("openai", file_id), name=name, cache=cache, at=at)


def _thinking(raw: dict[str, Any], at: Path, bound: Bound) -> Block | None:
    return thinking_part(raw, at)


def thinking_part(raw: Mapping[str, Any], at: Path = ()) -> Block | None:
    """Reasoning among the parts: Anthropic's block (text and signature) or Mistral's (a list of text parts)."""
    if raw.get("type") == "redacted_thinking":
        data = raw.get("data")
        if type(data) is not str or not data:
            return None
        return Thinking(signature=Signature(origin="anthropic", value=data), redacted=True, at=at)
    inner = raw.get("thinking")
    if isinstance(inner, list):
        pieces = [piece.get("text") for piece in inner if isinstance(piece, dict)]
        inner = "".join(piece for piece in pieces if type(piece) is str)
    text = inner if type(inner) is str else ""
    value = raw.get("signature")
    signed = Signature(origin="anthropic", value=value) if type(value) is str and value else None
    return Thinking(text=text, signature=signed, at=at) if text or signed else None


_PARTS: Final = {
    "text": _text,
    # Not chat's own, but what clients write that speak several dialects.
    "input_text": _text,
    "output_text": _text,
    "input_image": _input_image,
    "image": _source,
    "refusal": _refusal,
    "image_url": _image,
    "video_url": _video,
    "input_audio": _audio,
    "file": _file,
    "thinking": _thinking,
    "redacted_thinking": _thinking,
}


# --- writing ----------------------------------------------------------------------------------------------


def takes_url(media: Media, facts: Facts) -> bool:
    """Chat takes images by web address, vendors other than OpenAI videos too; files and audio only as data."""
    if not isinstance(media.source, Url) or not media.source.url[:8].lower().startswith(
        ("https://", "http://")
    ):
        return False
    return media.kind == "image" or (media.kind == "video" and not facts.developer_role)


def write_media(media: Media, origin: Origin, facts: Facts) -> dict[str, Any]:
    """The part of a medium. Fault 400 naming the client's part for what chat has no form for; never dropped."""
    source = media.source
    if isinstance(source, FileId):
        if source.family != "openai" or media.kind != "document":
            raise rejected(media.at, origin, "an uploaded file of another vendor cannot be used here")
        named = {"filename": media.name} if media.name else {}
        return {"type": "file", "file": {**named, "file_id": source.id}}
    if isinstance(source, Url) and not takes_url(media, facts):
        raise rejected(media.at, origin, f"the upstream takes a {media.kind} as data only")
    if media.kind == "image":
        image = {"url": _link(media)}
        if media.detail:
            image["detail"] = media.detail
        return {"type": "image_url", "image_url": image}
    if media.kind == "video":
        if facts.developer_role:
            raise rejected(media.at, origin, "the upstream takes no video")
        return {"type": "video_url", "video_url": {"url": _link(media)}}
    assert isinstance(source, Base64)
    if media.kind == "audio":
        format_ = _AUDIO_FORMATS.get(media.media_type)
        if format_ is None:
            raise rejected(media.at, origin, f"the upstream takes no audio of type {media.media_type}")
        return {"type": "input_audio", "input_audio": {"data": source.data, "format": format_}}
    if not facts.files:
        raise rejected(media.at, origin, "the upstream takes no documents")
    media_type = media.media_type or "application/pdf"
    name = file_name(replace(media, media_type=media_type))
    return {"type": "file", "file": {"filename": name, "file_data": data_url(media_type, source.data)}}


def _link(media: Media) -> str:
    if isinstance(media.source, Base64):
        return data_url(media.media_type or f"{media.kind}/*", media.source.data)
    return media.source.url if isinstance(media.source, Url) else ""


def lost_cache(block: Text | Media, facts: Facts, losses: list[Loss]) -> Cache | None:
    """The block's cache mark if this upstream takes it; else it is a loss."""
    if block.cache is None or facts.cache_control:
        return block.cache
    losses.append(Loss((*block.at, "cache_control"), "the upstream takes no cache marks"))
    return None
