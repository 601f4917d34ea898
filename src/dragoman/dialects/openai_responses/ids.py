"""Vendor-side ids that a Responses request refers to.

``previous_response_id``, ``conversation`` (id or object), files and images by ``file_id``, containers and
their ``file_ids``, vector stores, and items by reference. An input item is a reference if its type says
so, if it has an ``id`` but neither type nor role (OpenAI's schema makes the type optional), or if it is a
reasoning item without ``encrypted_content``, which OpenAI looks up by its id.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec import Struct

from dragoman.core.envelope import BAD_JSON
from dragoman.dialects.foreign import ForeignId, Pairs, hides_letters, id_or_object, id_strings, walk

_NESTED: Final = (b'"file_id', b'"container', b'"vector_store_ids"', b'"item_reference"')
_TOP: Final = (b'"previous_response_id"', b'"conversation"')
# Echoes of earlier answers (citations, search results) are not looked up; schemas and metadata are the
# caller's own.
_SKIP: Final = frozenset({"annotations", "results", "metadata", "parameters", "schema", "logprobs"})


class _Item(Struct):
    type: Any = None
    role: Any = None
    id: Any = None
    encrypted_content: msgspec.Raw = msgspec.Raw()


class _Top(Struct):
    previous_response_id: Any = None
    conversation: Any = None
    input: str | list[_Item | str] | None = None


_DECODER: Final = msgspec.json.Decoder(_Top)


def foreign_ids(body: bytes) -> list[ForeignId]:
    """(kind, id) of everything the request refers to. Fault ``invalid_request`` if the body cannot be
    read."""
    tops = [body.count(marker) for marker in (*_TOP, b'"input"')]
    nested = any(marker in body for marker in _NESTED) or hides_letters(body)
    if not nested and not any(tops[:-1]) and b'"id"' not in body:
        return []
    if not nested and max(tops) <= 1:
        quick = _quick(body)
        if quick is not None:
            return quick
    return walk(body, _visit, _SKIP)


def _quick(body: bytes) -> list[ForeignId] | None:
    """The common follow-up call, whose only id is a top-level one; None if the body has to be walked."""
    try:
        top = _DECODER.decode(body)
    except BAD_JSON:
        return None
    if type(top.input) is list and any(type(item) is _Item and _refers(item) for item in top.input):
        return None
    if top.conversation is not None and type(top.conversation) is not str:
        return None
    found: list[ForeignId] = []
    if type(top.previous_response_id) is str and top.previous_response_id:
        found.append(("response", top.previous_response_id))
    if top.conversation:
        found.append(("conversation", top.conversation))
    return found


def _refers(item: _Item) -> bool:
    if type(item.id) is not str:
        return False
    if item.type == "reasoning":
        return bytes(item.encrypted_content) in (b"", b"null", b'""')
    return item.type == "image_generation_call" or (item.type is None and item.role is None)


def _visit(node: Pairs, under: str) -> Iterator[ForeignId]:
    if under == "":
        yield from (("response", value) for value in node.strings("previous_response_id"))
        for value in node.all("conversation"):
            yield from (("conversation", found) for found in id_or_object(value))
    elif under == "input":
        yield from _references(node)
    elif under == "tools":
        yield from (("container", value) for value in node.strings("container"))
    yield from (("file", value) for value in node.strings("file_id"))
    yield from (("container", value) for value in node.strings("container_id"))
    for value in node.all("file_ids"):
        yield from (("file", found) for found in id_strings(value))
    for value in node.all("vector_store_ids"):
        yield from (("vector_store", found) for found in id_strings(value))


def _references(node: Pairs) -> Iterator[ForeignId]:
    types = [value for value in node.all("type") if value is not None]
    bare = not types and not any(value is not None for value in node.all("role"))
    resumed = "reasoning" in types and not any(node.all("encrypted_content"))
    # an image made earlier is looked up by its id unless the request brings it along
    resumed = resumed or ("image_generation_call" in types and not any(node.all("result")))
    if "item_reference" in types or bare or resumed:
        yield from (("item", value) for value in node.strings("id"))
