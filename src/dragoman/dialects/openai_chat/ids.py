"""Vendor-side ids that a Chat Completions request refers to: uploaded files (``{"file": {"file_id"}}``), and the spoken
output of an earlier answer (``messages[].audio.id``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dragoman.dialects.foreign import ForeignId, Pairs, may_name, walk

_MARKERS: Final = (b'"file_id"', b'"audio"')
# Echoes of answers, and places where the caller's own vocabulary stands.
_SKIP: Final = frozenset({"annotations", "metadata", "parameters", "schema", "json_schema", "logit_bias"})


def foreign_ids(body: bytes) -> list[ForeignId]:
    """(``file``, id) for each file part, (``audio``, id) for each message that names its audio.

    Fault ``invalid_request`` if the body cannot be read.
    """
    return walk(body, _visit, _SKIP) if may_name(body, _MARKERS) else []


def _visit(node: Pairs, under: str) -> Iterator[ForeignId]:
    for value in node.strings("file_id"):
        yield "file", value
    if under == "messages":
        for audio in node.all("audio"):
            if type(audio) is Pairs:
                yield from (("audio", value) for value in audio.strings("id"))
