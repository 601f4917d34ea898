"""Vendor-side ids that a Chat Completions request refers to: uploaded files (``{"file": {"file_id"}}``)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dragoman.dialects.foreign import ForeignId, Pairs, may_name, walk

_MARKERS: Final = (b'"file_id"',)
# Echoes of answers, and places where the caller's own vocabulary stands.
_SKIP: Final = frozenset({"annotations", "metadata", "parameters", "schema", "json_schema", "logit_bias"})


def foreign_ids(body: bytes) -> list[ForeignId]:
    """(``file``, id) for each file part. Fault ``invalid_request`` if the body cannot be read."""
    return walk(body, _visit, _SKIP) if may_name(body, _MARKERS) else []


def _visit(node: Pairs, under: str) -> Iterator[ForeignId]:
    for value in node.strings("file_id"):
        yield "file", value
