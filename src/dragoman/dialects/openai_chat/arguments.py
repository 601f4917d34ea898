"""Where the JSON object of a tool call's arguments ends, while it streams."""

from __future__ import annotations

import re
from typing import Final

_OUTSIDE: Final = re.compile(r'["{}\[\]]')
_INSIDE: Final = re.compile(r'["\\]')


class Arguments:
    """Follows the text of one JSON value piece by piece and keeps none of it.

    started: there was something that is not white space. complete: the outermost object or array is closed.
    """

    __slots__ = ("_depth", "_escaped", "_in_string", "complete", "started")

    def __init__(self) -> None:
        self.started = False
        self.complete = False
        self._depth = 0
        self._in_string = False
        self._escaped = False

    def feed(self, text: str) -> None:
        self.started = self.started or bool(text.strip())
        position, end = 0, len(text)
        while position < end and not self.complete:
            if self._escaped:
                self._escaped = False
                position += 1
            elif self._in_string:
                position = self._string(text, position)
            else:
                position = self._structure(text, position)

    def _string(self, text: str, position: int) -> int:
        found = _INSIDE.search(text, position)
        if found is None:
            return len(text)
        if found[0] == '"':
            self._in_string = False
        else:
            self._escaped = True
        return found.end()

    def _structure(self, text: str, position: int) -> int:
        found = _OUTSIDE.search(text, position)
        if found is None:
            return len(text)
        if found[0] == '"':
            self._in_string = True
        elif found[0] in "{[":
            self._depth += 1
        else:
            self._depth -= 1
            self.complete = self._depth <= 0
        return found.end()
