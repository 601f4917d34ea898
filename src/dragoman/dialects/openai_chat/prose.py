"""The one string that a chat answer is: texts one behind the other, media as Markdown, citations counted in it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from dragoman.core.conversation import Base64, Citation, Media, Url
from dragoman.core.media import data_url
from dragoman.dialects.base import mapping

_GAP: Final = "\n\n"


def markdown(media: Media) -> str:
    """A link to a medium that a Markdown reader shows: ``![image](data:…)``. "" for files that only a vendor has."""
    if isinstance(media.source, Base64):
        url = data_url(media.media_type, media.source.data)
    elif isinstance(media.source, Url):
        url = media.source.url
    else:
        return ""
    mark = "!" if media.kind == "image" else ""
    return f"{mark}[{media.name or media.kind}]({url})"


class Prose:
    """Where a growing answer stands. Its length is counted in characters, as citations do; the text is not kept."""

    __slots__ = ("_after_media", "length")

    def __init__(self) -> None:
        self.length = 0
        self._after_media = False

    def begin(self) -> str:
        """What separates a text that begins now from what stands before it."""
        if not self._after_media:
            return ""
        self._after_media = False
        self.length += len(_GAP)
        return _GAP

    def add(self, text: str) -> str:
        self.length += len(text)
        return text

    def media(self, media: Media) -> str:
        """The medium as a paragraph of its own."""
        link = markdown(media)
        if not link:
            return ""
        self._after_media = True
        return self.add(_GAP + link if self.length else link)


def write_citations(citations: Iterable[Citation], base: int, length: int) -> list[dict[str, Any]]:
    """``message.annotations`` for the citations of a text that stands ``base`` characters into the answer.

    A citation without a place is one of the whole text of ``length`` characters; one without a URL has no form here.
    """
    return [
        {
            "type": "url_citation",
            "url_citation": {
                "start_index": base + (one.start if one.start >= 0 else 0),
                "end_index": base + (one.end if one.end >= 0 else length),
                "title": one.title,
                "url": one.url,
            },
        }
        for one in citations
        if one.url
    ]


def read_citations(value: object, base: int = 0) -> tuple[Citation, ...]:
    """The URL citations of ``annotations``, relative to a text that begins at ``base``; what is odd is left out."""
    found: list[Citation] = []
    for entry in value if isinstance(value, list) else ():
        seen = mapping(entry)
        cited = mapping(seen.get("url_citation"))
        url, title = cited.get("url"), cited.get("title")
        if seen.get("type") != "url_citation" or type(url) is not str:
            continue
        start, end = cited.get("start_index"), cited.get("end_index")
        placed = type(start) is int and type(end) is int and 0 <= start - base <= end - base
        found.append(
            Citation(
                url=url,
                title=title if type(title) is str else "",
                start=start - base if placed and type(start) is int else -1,
                end=end - base if placed and type(end) is int else -1,
            )
        )
    return tuple(found)
