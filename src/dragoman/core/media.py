"""Data URLs and MIME types of images, documents, audio and video. Megabytes of base64 are sliced, never decoded."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Final, Literal

from dragoman.core.conversation import Media

Kind = Literal["image", "document", "audio", "video"]

_DATA_URL: Final = re.compile(r"data:(?P<type>[^;,]*)(?P<options>(?:;[^;,]*)*),", re.IGNORECASE)
_ALIASES: Final[Mapping[str, str]] = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
    "audio/x-wav": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/mp3": "audio/mpeg",
    "application/x-pdf": "application/pdf",
}
_HEADS: Final = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)
_ENDINGS: Final[Mapping[str, str]] = {
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "png": "image/png",
    "gif": "image/gif",
    "webp": "image/webp",
    "pdf": "application/pdf",
    "txt": "text/plain",
    "md": "text/markdown",
    "html": "text/html",
    "csv": "text/csv",
    "json": "application/json",
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "opus": "audio/opus",
    "aac": "audio/aac",
    "mp4": "video/mp4",
    "mov": "video/quicktime",
    "webm": "video/webm",
    "mpeg": "video/mpeg",
}


def normalised(media_type: str) -> str:
    """A MIME type in lower case, without parameters, under its registered name."""
    plain = media_type.partition(";")[0].strip().lower()
    return _ALIASES.get(plain, plain)


def parse_data_url(url: str) -> tuple[str, str] | None:
    """(MIME type, base64) of a ``data:…;base64,`` URL; None for every other text. An empty type is "text/plain"."""
    found = _DATA_URL.match(url)
    if found is None or ";base64" not in found["options"].lower():
        return None
    return normalised(found["type"]) or "text/plain", url[found.end() :]


def data_url(media_type: str, data: str) -> str:
    return f"data:{media_type or 'application/octet-stream'};base64,{data}"


def image_type(declared: str, data: str) -> str:
    """The MIME type that the first bytes of base64 ``data`` tell; what was declared where they tell nothing.

    Vendors refuse an image whose bytes are not what its type says.
    """
    try:
        head = base64.b64decode(data[:32] + "=" * (-len(data[:32]) % 4))
    except (binascii.Error, ValueError):
        return normalised(declared)
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "image/webp"
    return next((name for mark, name in _HEADS if head.startswith(mark)), normalised(declared))


def kind_of(media_type: str) -> Kind:
    """What a MIME type is for a model: everything that is no image, audio or video is a document."""
    family = media_type.partition("/")[0]
    return family if family in ("image", "audio", "video") else "document"  # type: ignore[return-value]


def type_of_name(name: str) -> str:
    """The MIME type that a file name or URL ends in; "" if it tells none."""
    path = name.partition("?")[0].partition("#")[0]
    return _ENDINGS.get(path.rpartition(".")[2].lower(), "") if "." in path else ""


def file_name(media: Media, default: str = "") -> str:
    """The file's own name or title; else ``default``; else the kind with the usual ending ("document.pdf")."""
    if media.name or default:
        return media.name or default
    ending = next((end for end, name in _ENDINGS.items() if name == media.media_type), "")
    return f"{media.kind}.{ending}" if ending else media.kind
