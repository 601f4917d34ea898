"""Typed looks into a decoded request body. What is wrong there is a 400 that names the member as the client wrote it.

Every reader takes (object, member name, path of the object) and gives None for an absent or null member.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from dragoman.core.conversation import Origin, Path, rejected
from dragoman.core.envelope import BAD_JSON, members
from dragoman.core.faults import Fault, invalid_request

ORIGIN: Final[Origin] = "openai_chat"
DEPTH_LIMIT: Final = 200
"""Nested arrays and objects in one body; a schema that is really used has some ten."""

_KINDS: Final = {type(None): "null", bool: "a boolean", int: "a number", float: "a number", str: "a string"}


def decoded(body: bytes) -> dict[str, Any]:
    """The body as an object. Fault ``invalid_request`` for bad JSON, other values and nesting above the limit."""
    try:
        value = msgspec.json.decode(body)
    except BAD_JSON:
        members(body)  # raises the fault that says what is wrong
        raise invalid_request("The request body is not valid JSON") from None
    if not isinstance(value, dict):
        raise invalid_request("The request body must be a JSON object")
    if body.count(b"{") + body.count(b"[") > DEPTH_LIMIT and _too_deep(value):
        raise invalid_request("The request body is nested too deeply")
    return value


def _too_deep(value: object) -> bool:
    level = [value]
    for _ in range(DEPTH_LIMIT + 1):
        below: list[object] = []
        for node in level:
            if isinstance(node, dict):
                below.extend(inner for inner in node.values() if isinstance(inner, dict | list))
            elif isinstance(node, list):
                below.extend(inner for inner in node if isinstance(inner, dict | list))
        if not below:
            return False
        level = below
    return True


def wrong(at: Path, why: str) -> Fault:
    """The 400 that names the member at ``at``."""
    return rejected(at, ORIGIN, why)


def expected(at: Path, what: str, value: object) -> Fault:
    """The 400 for a value of another type."""
    kind = _KINDS.get(type(value), "an array" if isinstance(value, list) else "an object")
    return wrong(at, f"expected {what}, got {kind}")


def string(source: dict[str, Any], name: str, at: Path = ()) -> str | None:
    value = source.get(name)
    if value is None or type(value) is str:
        return value
    raise expected((*at, name), "a string", value)


def needed(source: dict[str, Any], name: str, at: Path = ()) -> str:
    """A string that must be there and not be empty."""
    value = string(source, name, at)
    if not value:
        raise wrong((*at, name), "a non-empty string is required")
    return value


def number(source: dict[str, Any], name: str, at: Path = ()) -> float | None:
    value = source.get(name)
    if value is None or type(value) in (int, float):
        return value
    raise expected((*at, name), "a number", value)


def whole(source: dict[str, Any], name: str, at: Path = ()) -> int | None:
    """An integer; ``5.0`` is one, as JSON has only numbers."""
    value = source.get(name)
    if type(value) is float and value == int(value):
        return int(value)
    if value is None or type(value) is int:
        return value
    raise expected((*at, name), "an integer", value)


def positive(source: dict[str, Any], name: str, at: Path = ()) -> int | None:
    """An integer of at least 1."""
    value = whole(source, name, at)
    if value is not None and value < 1:
        raise wrong((*at, name), "must be at least 1")
    return value


def flag(source: dict[str, Any], name: str, at: Path = ()) -> bool | None:
    value = source.get(name)
    if value is None or type(value) is bool:
        return value
    raise expected((*at, name), "a boolean", value)


def record(source: dict[str, Any], name: str, at: Path = ()) -> dict[str, Any] | None:
    value = source.get(name)
    if value is None or isinstance(value, dict):
        return value
    raise expected((*at, name), "an object", value)


def array(source: dict[str, Any], name: str, at: Path = ()) -> list[Any] | None:
    value = source.get(name)
    if value is None or isinstance(value, list):
        return value
    raise expected((*at, name), "an array", value)


def strings(source: dict[str, Any], name: str, at: Path = ()) -> tuple[str, ...] | None:
    values = array(source, name, at)
    if values is None:
        return None
    for place, value in enumerate(values):
        if type(value) is not str:
            raise expected((*at, name, place), "a string", value)
    return tuple(values)
