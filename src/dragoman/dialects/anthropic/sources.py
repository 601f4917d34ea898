"""Images and documents as Anthropic takes them.

Facts (anthropic 2.11.0): an image source is base64 (jpeg, png, gif, webp), an https URL or a file id; a document source
is a base64 PDF, the URL of a PDF, plain text, or a file id. There is no audio and no video.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

from dragoman.core.conversation import Base64, Json, Media, Url, rejected
from dragoman.core.facts import Facts
from dragoman.core.faults import Fault
from dragoman.core.media import image_type

_IMAGES: Final = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_PDF: Final = "application/pdf"
_TEXTUAL: Final = frozenset(
    {
        "application/json",
        "application/xml",
        "application/yaml",
        "application/x-yaml",
        "application/javascript",
    }
)


def takes_url(media: Media, facts: Facts) -> bool:
    """Anthropic loads images and PDFs from https URLs itself."""
    if not isinstance(media.source, Url) or not media.source.url.lower().startswith("https://"):
        return False
    return media.kind == "image" or (media.kind == "document" and media.media_type in ("", _PDF))


def write_media(media: Media, origin: str) -> dict[str, Json]:
    """An image or document block. Fault 400 naming the client's part for what Anthropic cannot take."""
    source = media.source
    if media.kind not in ("image", "document"):
        raise _refused(media, origin, f"this model does not take {media.kind}")
    if isinstance(source, Url):
        written: dict[str, Json] = {"type": "url", "url": source.url}
    elif isinstance(source, Base64):
        written = _image(media, source, origin) if media.kind == "image" else _document(media, source, origin)
    elif source.family == "anthropic":
        written = {"type": "file", "file_id": source.id}
    else:
        raise _refused(media, origin, "a file id of another vendor cannot be used with this model")
    block: dict[str, Json] = {"type": media.kind, "source": written}
    if media.kind == "document" and media.name:
        block["title"] = media.name
    return block


def _image(media: Media, source: Base64, origin: str) -> dict[str, Json]:
    media_type = image_type(media.media_type, source.data)
    if media_type not in _IMAGES:
        raise _refused(media, origin, f"images of type {media_type or 'unknown'} are not taken by this model")
    return {"type": "base64", "media_type": media_type, "data": source.data}


def _document(media: Media, source: Base64, origin: str) -> dict[str, Json]:
    if media.media_type in (_PDF, "") or (
        media.media_type == "application/octet-stream" and source.data.startswith("JVBERi")  # %PDF-
    ):
        return {"type": "base64", "media_type": _PDF, "data": source.data}
    if not media.media_type.startswith("text/") and media.media_type not in _TEXTUAL:
        raise _refused(media, origin, f"documents of type {media.media_type} are not taken by this model")
    try:
        text = base64.b64decode(source.data).decode()
    except (binascii.Error, ValueError):
        text = ""
    if not text.strip():
        raise _refused(media, origin, "this text document is empty, or not base64 of UTF-8")
    return {"type": "text", "media_type": "text/plain", "data": text}


def _refused(media: Media, origin: str, why: str) -> Fault:
    return rejected(media.at, origin, why)
