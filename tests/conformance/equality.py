"""How a conversion's result is compared with what the case demands. The rules of the conformance list, in one place.

JSON-semantic, key order free; an absent optional member ≡ ``null``; in Chat and Messages a string content ≡ one text part;
``arguments`` strings are compared as the JSON they hold; ids that the gateway makes match by pattern and by consistency.
In an expectation: ``ABSENT`` (must not be there), ``ANY`` (must be there), ``OneOf``, ``Like`` (a pattern; the same name must
stand for the same text everywhere), ``Where`` (a predicate), and a member ``...: ...`` (further members are irrelevant).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final


class _Absent:
    def __repr__(self) -> str:
        return "ABSENT"


class _Any:
    def __repr__(self) -> str:
        return "ANY"


ABSENT: Final = _Absent()
ANY: Final = _Any()


class Like:
    """A string that matches the whole pattern. Two with one ``name`` must be the same string."""

    def __init__(self, pattern: str, name: str = "") -> None:
        self.pattern, self.name = pattern, name

    def __repr__(self) -> str:
        return f"Like({self.pattern!r}{', ' + self.name if self.name else ''})"


class OneOf:
    """Any of these."""

    def __init__(self, *choices: Any) -> None:
        self.choices = choices

    def __repr__(self) -> str:
        return f"OneOf{self.choices!r}"


class Where:
    """A value for which ``test`` is true. ``what`` says in words what it demands."""

    def __init__(self, what: str, test: Callable[[Any], bool]) -> None:
        self.what, self.test = what, test

    def __repr__(self) -> str:
        return f"Where({self.what})"


def same(got: Any, expected: Any) -> None:
    """``got`` is what the case demands; else an AssertionError that names the first place that differs."""
    problem = _differs(got, expected, "$", {})
    assert problem is None, (
        f"{problem}\n got: {json.dumps(got, ensure_ascii=False)[:3000]}\nwant: {expected!r}"[:6000]
    )


def is_same(got: Any, expected: Any) -> bool:
    """Like ``same``, as a yes or no."""
    return _differs(got, expected, "$", {}) is None


_TEXT_MEMBERS: Final = frozenset({"content", "system"})


def _parts(value: Any) -> Any:
    """A string content as the one text part that it stands for; an empty one is no content."""
    return [{"type": "text", "text": value}] if isinstance(value, str) else value


def _arguments(value: Any) -> Any:
    """The JSON inside an arguments string; the string itself if it holds none."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _special(got: Any, want: Any, at: str, names: dict[str, str]) -> str | None:
    """The first difference where ``want`` is one of the marks above."""
    if isinstance(want, _Any):
        return f"{at}: missing" if got is None else None
    if isinstance(want, _Absent):
        return f"{at}: must be absent" if got is not None else None
    if isinstance(want, OneOf):
        return (
            None
            if any(_differs(got, c, at, dict(names)) is None for c in want.choices)
            else f"{at}: is none of {want!r}"
        )
    if isinstance(want, Where):
        return None if want.test(got) else f"{at}: {got!r} is not {want.what}"
    if not isinstance(got, str) or re.fullmatch(want.pattern, got) is None:
        return f"{at}: {got!r} does not match {want.pattern!r}"
    if want.name and names.setdefault(want.name, got) != got:
        return f"{at}: {got!r} is not the same id as before ({names[want.name]!r})"
    return None


def _differs(got: Any, want: Any, at: str, names: dict[str, str]) -> str | None:
    if isinstance(want, _Any | _Absent | OneOf | Where | Like):
        return _special(got, want, at, names)
    if isinstance(want, Mapping):
        return _mapping_differs(got, want, at, names)
    if isinstance(want, list | tuple):
        if not isinstance(got, list):
            return f"{at}: {got!r} is not a list"
        if len(got) != len(want):
            return f"{at}: {len(got)} elements instead of {len(want)}"
        return next(
            (d for i, w in enumerate(want) if (d := _differs(got[i], w, f"{at}[{i}]", names)) is not None),
            None,
        )
    if isinstance(want, bool) or isinstance(got, bool):
        return None if got is want else f"{at}: {got!r} instead of {want!r}"
    return None if got == want else f"{at}: {got!r} instead of {want!r}"


def _mapping_differs(got: Any, want: Mapping[Any, Any], at: str, names: dict[str, str]) -> str | None:
    if not isinstance(got, dict):
        return f"{at}: {got!r} is not an object"
    is_open = ... in want
    members = {k: v for k, v in want.items() if k is not ...}
    for name in [n for n in got if n not in members]:
        if not is_open and got[name] is not None:
            return f"{at}.{name}: unexpected member {got[name]!r}"
    for name, inner in members.items():
        value = got.get(name)
        if name in _TEXT_MEMBERS and not isinstance(inner, _Any | _Absent | OneOf | Where | Like):
            value, inner = _parts(value), _parts(inner)
        if name == "arguments" and isinstance(inner, str):
            value, inner = _arguments(value), _arguments(inner)
        if inner is None and value is None:
            continue
        if (found := _differs(value, inner, f"{at}.{name}", names)) is not None:
            return found
    return None
