"""Vendor-side ids that a Messages request refers to: files (``source`` of type file, container uploads)
and the container, given as an id or as ``{"id", "skills"}``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dragoman.dialects.foreign import ForeignId, Pairs, id_or_object, may_name, walk

_MARKERS: Final = (b'"file_id"', b'"container"')
# `input` is what a model said to a tool, schemas and metadata are the caller's own words.
_SKIP: Final = frozenset({"input", "input_schema", "schema", "metadata", "citations"})


def foreign_ids(body: bytes) -> list[ForeignId]:
    """(kind, id), kinds file and container. Fault ``invalid_request`` if the body cannot be read."""
    return walk(body, _visit, _SKIP) if may_name(body, _MARKERS) else []


def _visit(node: Pairs, under: str) -> Iterator[ForeignId]:
    if under == "":
        for value in node.all("container"):
            yield from (("container", found) for found in id_or_object(value))
    # `code_execution_output` and its like echo what an earlier answer made; the vendor does not look it up.
    if not any(value.endswith("_output") for value in node.strings("type")):
        yield from (("file", value) for value in node.strings("file_id"))
