"""Typed access to the members of one JSON object of a client's request, in both spellings.

Protobuf's JSON rule (https://protobuf.dev/programming-guides/json/): names are camelCase or snake_case, null is absent,
whole numbers may be text, enums may be numbers. A wrong type is the 400 that names the member as the client spelled it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from functools import cache
from typing import Any, Final

from dragoman.core.conversation import Path, rejected

_HUMP: Final = re.compile(r"(?<=[a-z0-9])([A-Z])")
MAX_DEPTH: Final = 200


@cache
def snake(name: str) -> str:
    """``generationConfig`` → ``generation_config``. Only for names of the contract: the cache never forgets."""
    return _HUMP.sub(lambda found: "_" + found[1].lower(), name)


def too_deep(value: Any, body: bytes) -> bool:
    """Is the decoded body nested deeper than ``MAX_DEPTH``?"""
    if body.count(b"{") + body.count(b"[") <= MAX_DEPTH:
        return False
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return False
    return True


class Members:
    """One object and where it stands. ``name`` is always the camelCase name of the contract."""

    __slots__ = ("at", "value")

    def __init__(self, value: Any, at: Path) -> None:
        if not isinstance(value, dict):
            raise rejected(at, "gemini", "an object is expected")
        self.value: Mapping[str, Any] = value
        self.at = at

    def path(self, name: str) -> Path:
        """Where the client wrote the member."""
        spelled = name if self.value.get(name) is not None or snake(name) not in self.value else snake(name)
        return (*self.at, spelled)

    def get(self, name: str) -> Any:
        value = self.value.get(name)
        return self.value.get(snake(name)) if value is None else value

    def has(self, name: str) -> bool:
        return self.get(name) is not None

    def refuse(self, name: str, why: str) -> Exception:
        return rejected(self.path(name), "gemini", why)

    def text(self, name: str) -> str:
        """ "" if it is absent."""
        value = self.get(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self.refuse(name, "a string is expected")
        return value

    def flag(self, name: str) -> bool | None:
        value = self.get(name)
        if value is not None and not isinstance(value, bool):
            raise self.refuse(name, "true or false is expected")
        return value

    def number(self, name: str) -> float | None:
        value = self.get(name)
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                raise self.refuse(name, "a number is expected") from None
        if value is None:
            return None
        if type(value) not in (int, float) or not math.isfinite(value):
            raise self.refuse(name, "a number is expected")
        return value  # type: ignore[no-any-return]

    def integer(self, name: str) -> int | None:
        value = self.number(name)
        if value is None or type(value) is int:
            return value
        if value != int(value):
            raise self.refuse(name, "a whole number is expected")
        return int(value)

    def child(self, name: str) -> Members | None:
        value = self.get(name)
        return None if value is None else Members(value, self.path(name))

    def each(self, name: str) -> list[tuple[Any, Path]]:
        """The items of a list with their places; a single object counts as a list of one."""
        value = self.get(name)
        if value is None:
            return []
        at = self.path(name)
        if isinstance(value, dict):
            return [(value, at)]
        if not isinstance(value, list):
            raise self.refuse(name, "a list is expected")
        return [(item, (*at, number)) for number, item in enumerate(value)]

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of strings; one string counts as a list of one."""
        value = self.get(name)
        if value is None:
            return ()
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            raise self.refuse(name, "a list of strings is expected")
        return tuple(items)

    def word(self, name: str, numbers: tuple[str, ...] = ()) -> str:
        """An enum's name in upper case, "" if it is absent; ``numbers`` gives the names by their protobuf number."""
        value = self.get(name)
        if value is None:
            return ""
        if type(value) is int and 0 <= value < len(numbers):
            return numbers[value]
        if not isinstance(value, str):
            raise self.refuse(name, "an enum name is expected")
        return value.upper()

    def others(self, known: Collection[str]) -> dict[str, Any]:
        """The members that are not in ``known`` (in either spelling), under the client's names; null is absent."""
        names = {*known, *map(snake, known)}
        return {name: value for name, value in self.value.items() if name not in names and value is not None}
