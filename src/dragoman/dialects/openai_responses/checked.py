"""Reading a client's request member by member: every wrong type is a 400 that names the member.

``null`` counts as absent everywhere. ``at`` is the member's path in the client's body.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from dragoman.core.conversation import Origin, Path, rejected
from dragoman.core.faults import Fault, invalid_request

ORIGIN: Final[Origin] = "openai_responses"
MOST_DEPTH: Final = 200


def refuse(at: Path, why: str) -> Fault:
    return rejected(at, ORIGIN, why)


def string(value: Any, at: Path, default: str = "") -> str:
    if value is None:
        return default
    if type(value) is not str:
        raise refuse(at, "a string is expected")
    return value


def needed(value: Any, at: Path) -> str:
    """A string that must be there and hold something."""
    if type(value) is not str or not value:
        raise refuse(at, "a non-empty string is required")
    return value


def word(value: Any, at: Path, words: Collection[str]) -> str:
    """One of ``words``, "" if absent."""
    text = string(value, at)
    if text and text not in words:
        raise refuse(at, f"{text[:64]!r} is not one of {', '.join(words)}")
    return text


def flag(value: Any, at: Path) -> bool | None:
    if value is None or type(value) is bool:
        return value
    raise refuse(at, "a boolean is expected")


def whole(value: Any, at: Path, least: int = 0) -> int | None:
    if value is None:
        return None
    if type(value) is float and value == int(value):
        value = int(value)
    if type(value) is not int or value < least:
        raise refuse(at, f"an integer of at least {least} is expected")
    return value


def number(value: Any, at: Path) -> float | None:
    if value is None:
        return None
    if type(value) not in (int, float):
        raise refuse(at, "a number is expected")
    return float(value)


def mapped(value: Any, at: Path) -> dict[str, Any]:
    """An object, empty if absent."""
    if value is None:
        return {}
    if type(value) is not dict:
        raise refuse(at, "an object is expected")
    return value


def listed(value: Any, at: Path) -> list[Any]:
    """An array, empty if absent."""
    if value is None:
        return []
    if type(value) is not list:
        raise refuse(at, "an array is expected")
    return value


def entries(value: Any, at: Path) -> list[tuple[Path, dict[str, Any]]]:
    """(path, object) of every entry of an array of objects."""
    found = []
    for number_, entry in enumerate(listed(value, at)):
        place = (*at, number_)
        if type(entry) is not dict:
            raise refuse(place, "an object is expected")
        found.append((place, entry))
    return found


def not_too_deep(body: Any) -> None:
    """Fault if arrays and objects stand in one another more than ``MOST_DEPTH`` levels deep."""
    level = [body]
    for _ in range(MOST_DEPTH):
        level = [
            child
            for node in level
            for child in (node.values() if type(node) is dict else node)
            if type(child) is dict or type(child) is list
        ]
        if not level:
            return
    raise invalid_request("The request body is nested too deeply")
