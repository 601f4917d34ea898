"""Finding vendor-side ids in request bodies: the shared walk; each dialect says what to look for.

A body that names no such id must cost nearly nothing, so dialects test for marker bytes first
(``may_name``) and walk only when one is there. The walk keeps repeated keys: a decoder that drops
``{"file_id": theirs}`` because ``{"file_id": mine}`` follows would let a vendor that reads the first see
what was never checked. A key can also be spelled with ``\\u0066``-style escapes; a body with escaped
ASCII letters is always walked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Final

from dragoman.core.faults import invalid_request

ForeignId = tuple[str, str]
"""(kind, id)"""

_ESCAPED_ASCII: Final = re.compile(rb"\\u00[4-7]")


class Pairs(list[tuple[str, object]]):
    """A JSON object as its members in order, repetitions kept."""

    def all(self, name: str) -> Iterator[object]:
        """Every value that stands under ``name``."""
        return (value for key, value in self if key == name)

    def strings(self, name: str) -> Iterator[str]:
        return (value for value in self.all(name) if type(value) is str and value)

    def has(self, name: str) -> bool:
        return any(key == name for key, _ in self)


Visitor = Callable[[Pairs, str], Iterator[ForeignId]]
"""(object, the key it or its list stands under, "" for the body itself) → ids it names."""


def may_name(body: bytes, markers: tuple[bytes, ...]) -> bool:
    """Whether ``body`` can hold one of the keys or words whose quoted beginnings are ``markers``."""
    return any(marker in body for marker in markers) or hides_letters(body)


def hides_letters(body: bytes) -> bool:
    """Whether some ASCII letter is written as an escape."""
    return b"\\u00" in body and _ESCAPED_ASCII.search(body) is not None


def walk(body: bytes, visit: Visitor, skip: frozenset[str]) -> list[ForeignId]:
    """Every id that ``visit`` finds, top down, in order, once; values under keys in ``skip`` are not entered.

    Raises the ``invalid_request`` fault if the body cannot be read.
    """
    try:
        root: object = json.loads(
            body.decode("utf-8", "replace"),
            object_pairs_hook=Pairs,
            parse_int=_zero,
            parse_float=_zero,
            strict=False,
        )
    except (ValueError, RecursionError) as error:
        raise invalid_request(f"The request body is not valid JSON: {type(error).__name__}") from None
    found: dict[ForeignId, None] = {}
    stack: list[tuple[object, str]] = [(root, "")]
    while stack:
        node, under = stack.pop()
        if type(node) is Pairs:
            found.update(dict.fromkeys((kind, _sound(value)) for kind, value in visit(node, under)))
            stack.extend(
                (value, key) for key, value in reversed(node) if type(value) in _NESTS and key not in skip
            )
        elif type(node) is list:
            stack.extend((value, under) for value in reversed(node) if type(value) in _NESTS)
    return list(found)


_NESTS: Final = (Pairs, list)


def _sound(value: str) -> str:
    """An id that can be looked up: lone surrogates, which no vendor gives out, would break the database."""
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def _zero(_: str) -> int:
    return 0  # numbers are never ids, and Python's own conversion refuses very long ones


def id_strings(value: object) -> Iterator[str]:
    """The strings in a list of ids."""
    if type(value) is list:
        yield from (item for item in value if type(item) is str and item)


def id_or_object(value: object) -> Iterator[str]:
    """The ids of a member that is either an id or ``{"id": …}``."""
    if type(value) is str and value:
        yield value
    elif type(value) is Pairs:
        yield from value.strings("id")
