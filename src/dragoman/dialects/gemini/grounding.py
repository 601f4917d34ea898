"""Google's grounding ⇄ citations.

Google counts a segment in UTF-8 bytes (https://ai.google.dev/api/generate-content#Segment), everybody else in characters.
A segment with ``partIndex`` counts inside that part, one without counts in the answer's whole text: a stream cuts the
text into other parts than the ones that were meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from dragoman.core.conversation import Citation
from dragoman.core.usage import count
from dragoman.dialects.base import mapping

MAX_RUNS: Final = 100_000
"""Changes of character width kept per text; behind the last one, offsets are unknown."""
_WIDTHS: Final = re.compile(r"([\0-\x7f]+)|([\x80-\u07ff]+)|([\u0800-\uffff]+)|([\U00010000-\U0010ffff]+)")
"""Runs of characters of one width in UTF-8; each group holds one width."""
_SOURCES: Final = ("web", "retrievedContext", "maps", "image")


class Offsets:
    """Bytes ↔ characters of a text that came in pieces, without the text: runs of characters of one width.

    Memory grows with the changes of width, not with the text, and is bounded by ``MAX_RUNS``.
    """

    __slots__ = ("_runs", "characters", "size")

    def __init__(self, text: str = "") -> None:
        self.size = 0
        """UTF-8 bytes so far."""
        self.characters = 0
        self._runs: list[list[int]] = []  # [width of each character in bytes, number of characters]
        self.add(text)

    def add(self, text: str) -> None:
        if text.isascii():
            self._run(1, len(text))
            return
        for one, two, three, four in _WIDTHS.findall(text):
            if one:
                self._run(1, len(one))
            elif two:
                self._run(2, len(two))
            else:
                self._run(3 if three else 4, len(three or four))

    def _run(self, width: int, number: int) -> None:
        if not number:
            return
        self.size += width * number
        self.characters += number
        if self._runs and self._runs[-1][0] == width:
            self._runs[-1][1] += number
        elif len(self._runs) < MAX_RUNS:
            self._runs.append([width, number])

    def character(self, byte: int) -> int:
        """The number of characters in front of a byte (of a byte inside a character: in front of it); -1 if unknown."""
        seen = characters = 0
        for width, number in self._runs:
            if byte < seen + width * number:
                return characters + max(0, byte - seen) // width
            seen += width * number
            characters += number
        return (
            characters if byte <= seen and seen == self.size else self.characters if byte >= self.size else -1
        )

    def byte(self, character: int) -> int:
        """The number of bytes in front of a character; -1 if unknown."""
        seen = size = 0
        for width, number in self._runs:
            if character < seen + number:
                return size + max(0, character - seen) * width
            seen += number
            size += width * number
        return (
            size
            if character <= seen and seen == self.characters
            else -1
            if character < self.characters
            else self.size
        )


def read_citations(metadata: object, texts: Sequence[Offsets]) -> list[tuple[int, Citation]]:
    """(number of the text, citation) for every support of ``groundingMetadata`` and every source it names."""
    grounding = mapping(metadata)
    chunks = _objects(grounding.get("groundingChunks"))
    out: list[tuple[int, Citation]] = []
    for support in _objects(grounding.get("groundingSupports")):
        number, start, end = _place(mapping(support.get("segment")), texts)
        cited = mapping(support.get("segment")).get("text")
        indices = support.get("groundingChunkIndices")
        for index in indices if isinstance(indices, list) else ():
            if type(index) is not int or not 0 <= index < len(chunks):
                continue
            url, title = _source(chunks[index])
            if url:
                citation = Citation(
                    url=url, title=title, cited=cited if isinstance(cited, str) else "", start=start, end=end
                )
                out.append((number, citation))
    return out


def _place(segment: Mapping[str, Any], texts: Sequence[Offsets]) -> tuple[int, int, int]:
    """(text, first character, character behind the last) of a segment; -1, -1 if it lies nowhere."""
    start, end = count(segment.get("startIndex")) or 0, count(segment.get("endIndex"))
    part = count(segment.get("partIndex")) or 0
    if not texts or end is None or end < start:
        return 0, -1, -1
    if not 0 < part < len(texts):
        part = 0
        while part + 1 < len(texts) and start >= texts[part].size:
            start, end = start - texts[part].size, end - texts[part].size
            part += 1
    if start > texts[part].size:
        return part, -1, -1
    return part, texts[part].character(start), texts[part].character(min(end, texts[part].size))


def _source(chunk: Mapping[str, Any]) -> tuple[str, str]:
    """(address, title) of a grounding chunk."""
    for name in _SOURCES:
        source = mapping(chunk.get(name))
        url = source.get("uri") or source.get("sourceUri")
        if isinstance(url, str) and url:
            title = source.get("title")
            return url, title if isinstance(title, str) else ""
    return "", ""


def _objects(value: object) -> list[dict[str, Any]]:
    return [mapping(item) for item in value] if isinstance(value, list) else []


def write_grounding(placed: Iterable[tuple[Citation, Offsets, int]]) -> dict[str, Any]:
    """``groundingMetadata`` of (citation, offsets of its block, bytes of text in front of that block); {} for none.

    A citation without a place counts for its whole block.
    """
    chunks: list[dict[str, Any]] = []
    known: dict[tuple[str, str], int] = {}
    supports: dict[tuple[int, int], dict[str, Any]] = {}
    for citation, offsets, before in placed:
        if not citation.url:
            continue
        source = (citation.url, citation.title)
        if source not in known:
            known[source] = len(chunks)
            web = {"uri": citation.url} | ({"title": citation.title} if citation.title else {})
            chunks.append({"web": web})
        start = offsets.byte(citation.start) if citation.start >= 0 else 0
        end = offsets.byte(citation.end) if citation.end >= 0 else offsets.size
        if start < 0 or end < start:
            continue
        segment: dict[str, Any] = {"startIndex": before + start, "endIndex": before + end}
        if citation.cited:
            segment["text"] = citation.cited
        support = supports.setdefault(
            (before + start, before + end), {"segment": segment, "groundingChunkIndices": []}
        )
        if known[source] not in support["groundingChunkIndices"]:
            support["groundingChunkIndices"].append(known[source])
    if not chunks:
        return {}
    return {"groundingChunks": chunks, "groundingSupports": list(supports.values())}
