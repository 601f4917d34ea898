"""Content of a Messages request: blocks of messages, of tool results and of ``system``.

Facts (anthropic 2.11.0 ``ContentBlockParam``): ``content`` is a string or a list of blocks; ``thinking`` and
``tool_use`` belong to the assistant, ``tool_result`` to the user; a ``document`` holds base64, a URL, a file id, plain
text, or content of its own. Blocks that only Anthropic understands (server tools, search results …) are ``Opaque``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, cast

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from dragoman.core.conversation import (
    Base64,
    Block,
    Cache,
    Citation,
    FileId,
    Json,
    Media,
    Opaque,
    Path,
    Signature,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Url,
)
from dragoman.core.media import normalised, type_of_name
from dragoman.core.signatures import unseal
from dragoman.dialects.anthropic.members import ORIGIN, Members, refused, shallow

Bound = list[tuple[Path, str]]


class _Seal(Struct, frozen=True):
    """A signature that travelled in a thinking block of its own and belongs to the block behind it."""

    signature: Signature
    call: bool
    at: Path


Read = list[Block | _Seal]


def read_content(value: Json, at: Path, role: str, bound: Bound) -> tuple[Block, ...]:
    """The content of a message of ``role``. ``bound`` gets what only Anthropic can serve."""
    if value is None:
        raise refused(at, "is required")
    if type(value) is str:
        return (Text(text=value, at=at),) if value else ()
    found: Read = []
    for block in _blocks(value, at):
        kind = block.needed_text("type")
        owner = _ONLY_IN.get(kind, role)
        if owner != role:
            raise refused(block.at, f"{kind} blocks can only be in {owner} messages")
        found.extend(_READERS.get(kind, _opaque)(block, bound))
    return _attached(found)


def read_system(value: Json, at: Path, bound: Bound) -> tuple[Block, ...]:
    """``system``: a string or text blocks."""
    if value is None:
        return ()
    for block in _blocks(value, at) if type(value) is not str else ():
        if block.needed_text("type") != "text":
            raise refused((*block.at, "type"), "only text blocks can be in a system prompt")
    return read_content(value, at, "system", bound)


def read_cache(block: Members) -> Cache | None:
    """``cache_control``: {"type": "ephemeral", "ttl": "5m" | "1h"}."""
    mark = block.under("cache_control")
    if mark is None:
        return None
    mark.word("type", ("ephemeral",))
    return Cache(ttl=mark.word("ttl", ("5m", "1h")))


def read_citations(value: Json, length: int) -> tuple[Citation, ...]:
    """Citations of a text block of ``length`` characters; they hold for the whole of it. What is no citation is
    skipped: this reads answers as well."""
    if type(value) is not list:
        return ()
    return tuple(_citation(one, length) for one in value if type(one) is dict)


def _citation(raw: Mapping[str, Json], length: int) -> Citation:
    def text(*names: str) -> str:
        return next((raw[name] for name in names if type(raw.get(name)) is str), "")

    return Citation(
        url=text("url", "source"),
        title=text("title", "document_title"),
        cited=text("cited_text"),
        start=0,
        end=length,
        extra=dict(raw),
        origin=ORIGIN,
    )


def _blocks(value: Json, at: Path) -> Iterable[Members]:
    if type(value) is not list:
        raise refused(at, "must be a string or a list of blocks")
    return (Members(element, (*at, number)) for number, element in enumerate(value))


def _attached(found: Read) -> tuple[Block, ...]:
    """Signatures in blocks of their own go to the tool call (or, Gemini's, the text) behind them."""
    out: list[Block] = []
    waiting: _Seal | None = None
    for block in found:
        seal, waiting = waiting, None
        if isinstance(block, _Seal):
            out.extend(_carrier(seal))
            waiting = block
            continue
        if seal is not None and isinstance(block, ToolCall if seal.call else Text):
            block = replace(block, signature=seal.signature)
        else:
            out.extend(_carrier(seal))
        out.append(block)
    out.extend(_carrier(waiting))
    return tuple(out)


def _carrier(seal: _Seal | None) -> list[Block]:
    """A text's signature without its text; a call's signature is worth nothing without the call."""
    return [] if seal is None or seal.call else [Text(text="", signature=seal.signature, at=seal.at)]


# --- blocks -----------------------------------------------------------------------------------------------


def _text(block: Members, bound: Bound) -> Read:
    text = block.text("text")
    if not text:
        return []
    citations = read_citations([one for one, _ in block.each("citations")], len(text))
    return [Text(text=text, citations=citations, cache=read_cache(block), at=block.at)]


def _image(block: Members, bound: Bound) -> Read:
    source = _source(block)
    kind = source.needed_text("type")
    if kind not in ("base64", "url", "file"):
        raise refused(source.path("type"), "must be base64, url or file")
    media = _media(source, "image", kind, bound)
    return [replace(media, cache=read_cache(block), at=block.at)]


def _document(block: Members, bound: Bound) -> Read:
    """Plain text becomes text under its title, unless passages of it are to be cited: that is Anthropic's alone."""
    source = _source(block)
    kind = source.needed_text("type")
    title, cache = block.text("title"), read_cache(block)
    if kind == "text":
        told = _titled(title, source.text("data"))
        citing = block.under("citations")
        if citing is not None and citing.flag("enabled"):
            return [Opaque(origin=ORIGIN, kind="document", raw=block.value, text=told, at=block.at)]
        return [Text(text=told, cache=cache, at=block.at)] if told else []
    if kind == "content":
        return _inner_content(block, source, title, cache, bound)
    if kind not in ("base64", "url", "file"):
        raise refused(source.path("type"), "must be base64, url, text, content or file")
    media = _media(source, "document", kind, bound)
    return [replace(media, name=title, cache=cache, at=block.at)]


def _inner_content(block: Members, source: Members, title: str, cache: Cache | None, bound: Bound) -> Read:
    """A document made of text and image blocks: these blocks, the title in front, the mark on the last."""
    inner = read_content(source.get("content"), source.path("content"), "user", bound)
    blocks: list[Block] = [Text(text=title, at=block.path("title")), *inner] if title else list(inner)
    if cache is not None and blocks and isinstance(blocks[-1], Text | Media):
        blocks[-1] = replace(blocks[-1], cache=cache)
    return list(blocks)


def _titled(title: str, text: str) -> str:
    return f"{title}\n\n{text}" if title and text else text


def _source(block: Members) -> Members:
    source = block.under("source")
    if source is None:
        raise refused(block.path("source"), "is required")
    return source


def _media(source: Members, kind: str, source_type: str, bound: Bound) -> Media:
    made: Base64 | Url | FileId
    if source_type == "base64":
        made = Base64(data=source.needed_text("data"))
        media_type = normalised(source.needed_text("media_type"))
    elif source_type == "url":
        made = Url(url=source.needed_text("url"))
        # A document by URL is always a PDF (URLPDFSource).
        media_type = type_of_name(made.url) if kind == "image" else "application/pdf"
    else:
        made = FileId(family=ORIGIN, id=source.needed_text("file_id"))
        media_type = ""
        bound.append((source.path("file_id"), "a file id"))
    return Media(kind="image" if kind == "image" else "document", source=made, media_type=media_type)


def _thinking(block: Members, bound: Bound) -> Read:
    text, sealed = block.text("thinking"), unseal(block.text("signature"), ORIGIN)
    if sealed is None:
        return [Thinking(text=text, at=block.at)]
    signature = sealed.signature
    if not text and not sealed.redacted and (sealed.call or signature.origin == "gemini"):
        return [_Seal(signature, sealed.call, block.at)]
    return [Thinking(text=text, signature=signature, redacted=sealed.redacted, at=block.at)]


def _redacted(block: Members, bound: Bound) -> Read:
    sealed = unseal(block.needed_text("data"), ORIGIN)
    return [] if sealed is None else [Thinking(signature=sealed.signature, redacted=True, at=block.at)]


def _call(block: Members, bound: Bound) -> Read:
    given = block.get("input")
    if given is not None and type(given) is not dict:
        raise refused(block.path("input"), "must be an object")
    arguments = msgspec.json.encode(shallow(given or {}, block.path("input"))).decode()
    return [
        ToolCall(
            id=block.needed_text("id"),
            name=block.needed_text("name"),
            arguments=arguments,
            cache=read_cache(block),
            at=block.at,
        )
    ]


def _result(block: Members, bound: Bound) -> Read:
    value = block.get("content")
    inner: tuple[Block, ...] = ()
    if value is not None:
        for one in _blocks(value, block.path("content")) if type(value) is not str else ():
            if one.needed_text("type") == "tool_result":
                raise refused((*one.at, "type"), "a tool_result cannot be in a tool_result")
        inner = read_content(value, block.path("content"), "user", bound)
    return [
        ToolResult(
            call_id=block.needed_text("tool_use_id"),
            content=cast("tuple[Text | Media | Opaque, ...]", inner),
            is_error=bool(block.flag("is_error")),
            cache=read_cache(block),
            at=block.at,
        )
    ]


def _opaque(block: Members, bound: Bound) -> Read:
    kind = block.needed_text("type")
    if kind == "container_upload":
        bound.append((block.at, "a file of a container"))
    shallow(block.value, block.at)
    read = _OPAQUE_TEXTS.get(kind)
    return [Opaque(origin=ORIGIN, kind=kind, raw=block.value, text=read(block) if read else "", at=block.at)]


def _search_result(block: Members) -> str:
    texts = [Members(one, at).text("text") for one, at in block.each("content")]
    return "\n".join(line for line in (block.text("title"), block.text("source"), *texts) if line)


def _tool_reference(block: Members) -> str:
    name = block.text("tool_name")
    return f"Tool available: {name}" if name else ""


_READERS: Final[Mapping[str, Callable[[Members, Bound], Read]]] = {
    "text": _text,
    "image": _image,
    "document": _document,
    "thinking": _thinking,
    "redacted_thinking": _redacted,
    "tool_use": _call,
    "tool_result": _result,
}
_OPAQUE_TEXTS: Final[Mapping[str, Callable[[Members], str]]] = {
    "search_result": _search_result,
    "tool_reference": _tool_reference,
}
_ONLY_IN: Final[Mapping[str, str]] = {
    "thinking": "assistant",
    "redacted_thinking": "assistant",
    "tool_use": "assistant",
    "tool_result": "user",
}
