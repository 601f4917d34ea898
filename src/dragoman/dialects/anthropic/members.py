"""Members of a client's body, each read with the type it must have; the 400 names the member's path."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from dragoman.core.conversation import Json, Path, rejected
from dragoman.core.faults import Fault

ORIGIN: Final = "anthropic"
DEPTH_LIMIT: Final = 200


def refused(at: Path, why: str) -> Fault:
    """The 400 for the member at ``at``, in Anthropic's notation (``messages.0.content``)."""
    return rejected(at, ORIGIN, why)


def shallow(value: Json, at: Path) -> Json:
    """``value`` itself; Fault 400 if its objects and lists are nested more than ``DEPTH_LIMIT`` deep."""
    level = [value]
    for _ in range(DEPTH_LIMIT):
        inner: list[Json] = []
        for node in level:
            if type(node) is dict:
                inner.extend(node.values())
            elif type(node) is list:
                inner.extend(node)
        if not inner:
            return value
        level = inner
    raise refused(at, "is nested too deeply")


class Members:
    """A JSON object of the body and where it stands. ``null`` is the same as absent."""

    __slots__ = ("at", "value")

    def __init__(self, value: Json, at: Path) -> None:
        if type(value) is not dict:
            raise refused(at, "must be an object" if at else "The request body must be a JSON object")
        self.value: dict[str, Json] = value
        self.at = at

    def get(self, name: str) -> Json:
        return self.value.get(name)

    def path(self, name: str) -> Path:
        return (*self.at, name)

    def text(self, name: str) -> str:
        """A string, "" if absent."""
        value = self.value.get(name)
        if value is None:
            return ""
        if type(value) is not str:
            raise refused(self.path(name), "must be a string")
        return value

    def needed_text(self, name: str) -> str:
        """A string that must be there and must not be empty."""
        value = self.text(name)
        if not value:
            raise refused(self.path(name), "a non-empty string is required")
        return value

    def word(self, name: str, words: Collection[str]) -> str:
        """One of ``words``, "" if absent."""
        value = self.text(name)
        if value and value not in words:
            raise refused(self.path(name), f"must be one of {', '.join(words)}")
        return value

    def whole(self, name: str) -> int | None:
        value = self.value.get(name)
        if value is not None and type(value) is not int:
            raise refused(self.path(name), "must be an integer")
        return value

    def number(self, name: str) -> float | None:
        value = self.value.get(name)
        if value is not None and type(value) not in (int, float):
            raise refused(self.path(name), "must be a number")
        return value

    def flag(self, name: str) -> bool | None:
        value = self.value.get(name)
        if value is not None and type(value) is not bool:
            raise refused(self.path(name), "must be true or false")
        return value

    def under(self, name: str) -> Members | None:
        """The object that stands under ``name``."""
        value = self.value.get(name)
        return None if value is None else Members(value, self.path(name))

    def each(self, name: str) -> list[tuple[Json, Path]]:
        """The elements of a list with their paths, empty if absent."""
        value = self.value.get(name)
        if value is None:
            return []
        if type(value) is not list:
            raise refused(self.path(name), "must be a list")
        return [(element, (*self.at, name, number)) for number, element in enumerate(value)]

    def strings(self, name: str) -> tuple[str, ...]:
        """A list of strings, empty if absent."""
        for element, at in self.each(name):
            if type(element) is not str:
                raise refused(at, "must be a string")
        return tuple(element for element, _ in self.each(name))
