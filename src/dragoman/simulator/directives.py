"""Misbehaviour on request: the `x-sim` header or `[[sim …]]` in the last user text.

`x-sim: status=429;retry_after=2`, `[[sim slow_frame=50;frames=20]]`. Keys are separated by `;`, `,` or
blanks; unknown ones are an error (400), so that a typing mistake does not look like a passing test. The
header wins over the text.

    status=N         answer with this HTTP error in the dialect's shape
    code=S           the error's code               message=S        its message (`_` for a blank)
    retry_after=N    seconds, as a Retry-After header
    slow_first=MS    wait before the first byte     slow_frame=MS    wait before every stream frame
    frames=N         the text is N words of exactly one token, one frame each
    cut=N            stream: close the socket after N frames; otherwise after half of the body
    cut_bytes=N      close the socket after N bytes of the body
    drop=1           close the socket without any answer
    malformed=1      200 with a body, or a second frame, that is not JSON
    malformed=http   bytes that are not HTTP
    error_frame=N    stream: the dialect's in-band error after N frames
    no_usage=1       leave usage out
    empty=1          nothing generated, zero output tokens
    input=N output=N cached=N cache_write=N reasoning=N    these token counts in usage
    calls=N          N parallel tool calls          id=S             fixed ids
    polls=N          background responses: N polls say in_progress first
    times=N          only the first N requests with these directives obey
    only_key=S       only requests with this credential obey
"""

from __future__ import annotations

import re

import msgspec

_MAGIC = re.compile(r"\[\[sim\s+([^\]]*)\]\]\s?")
_SEPARATOR = re.compile(r"[;,\s]+")


class BadDirective(ValueError):
    """An unknown key or a value that is no number."""


class Directives(msgspec.Struct, kw_only=True):
    """One request's wishes; -1 and "" mean "not asked"."""

    status: int = -1
    retry_after: int = -1
    code: str = ""
    message: str = ""
    slow_first: int = 0
    slow_frame: int = 0
    frames: int = -1
    cut: int = -1
    cut_bytes: int = -1
    drop: int = 0
    malformed: str = ""
    error_frame: int = -1
    no_usage: int = 0
    empty: int = 0
    input: int = -1
    output: int = -1
    cached: int = -1
    cache_write: int = -1
    reasoning: int = -1
    calls: int = -1
    id: str = ""
    polls: int = 0
    times: int = -1
    only_key: str = ""


NONE = Directives()
_TEXT_KEYS = {"code", "message", "malformed", "id", "only_key"}


def parse(text: str) -> Directives:
    """`status=429;retry_after=2` -> Directives. Raises BadDirective."""
    found = Directives()
    for item in _SEPARATOR.split(text.strip()):
        if not item:
            continue
        key, _, value = item.partition("=")
        if key not in Directives.__struct_fields__:
            raise BadDirective(f"x-sim: unknown key {key!r}")
        if key in _TEXT_KEYS:
            setattr(found, key, value.replace("_", " ") if key == "message" else value)
        elif value.isdigit():
            setattr(found, key, int(value))
        else:
            raise BadDirective(f"x-sim: {key} needs a whole number, not {value!r}")
    return found


def in_text(prompt: str) -> tuple[str, str]:
    """The prompt without its directives, and what they say ("" if there are none)."""
    if "[[sim" not in prompt:
        return prompt, ""
    return _MAGIC.sub("", prompt).strip(), ";".join(_MAGIC.findall(prompt))
