"""Looking into a JSON body and editing its top level without re-encoding it.

The relay lane promises "same dialect means same bytes": a body is a sequence of members of one object, and an
edit replaces, drops, renames or adds single members while every other value keeps its bytes (odd whitespace,
23-digit integers, ``1.50``). Members are located exactly, never guessed: a decoder that only slices gives
each member's raw value, and a walk over the text checks that the bytes at each member's place are that
value. Where this fails the object has a key twice, and is rebuilt with one value per key (the last, as
every decoder here reads it), so that an upstream which reads the first can never see a value that we did
not look at.

Errors: every function raises the ``invalid_request`` fault for what is not a JSON object.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from typing import Final, NamedTuple, TypeVar, cast

import msgspec

from dragoman.core.faults import Fault, invalid_request

BAD_JSON: Final = (msgspec.DecodeError, ValueError, RecursionError)
"""What decoding hostile JSON with msgspec can raise (``ValidationError`` is a ``DecodeError``)."""

_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_SPACE: Final = re.compile(rb"[ \t\r\n]*")
_KEY: Final = re.compile(rb'[ \t\r\n]*("[^"\\]*(?:\\.[^"\\]*)*")[ \t\r\n]*:[ \t\r\n]*', re.DOTALL)
_ESCAPED_LETTER: Final = re.compile(rb"\\u00[3-7]")
_BOM: Final = b"\xef\xbb\xbf"
# Up to here searching the whole text for a key is cheaper than walking its members; above, every search costs more.
_SEARCHED_BYTES: Final = 65_536

S = TypeVar("S", bound=msgspec.Struct)


class _Span(NamedTuple):
    """Where one member stands: its quoted key and its value, as offsets into the body."""

    name: str
    key: int
    key_end: int
    value: int
    end: int


@cache
def _decoder(fields: type[msgspec.Struct]) -> msgspec.json.Decoder[msgspec.Struct]:
    return msgspec.json.Decoder(fields)


def peek(body: bytes, fields: type[S]) -> S:
    """Decode only the members that ``fields`` names; the rest is checked for syntax and skipped."""
    try:
        return cast(S, _decoder(fields).decode(body))
    except BAD_JSON as error:
        raise _bad_body(body, error) from None


def members(body: bytes) -> dict[str, bytes]:
    """The raw value of every top-level member (of a key that is there twice, the last)."""
    return {name: bytes(raw) for name, raw in _members(body).items()}


def _members(body: bytes) -> dict[str, msgspec.Raw]:
    try:
        return _MEMBERS.decode(body)
    except BAD_JSON as error:
        raise _bad_body(body, error) from None


def _bad_body(body: bytes, error: Exception) -> Fault:
    if not body.strip():
        return invalid_request("The request body is empty; a JSON object is expected")
    if isinstance(error, RecursionError):
        return invalid_request("The request body is nested too deeply")
    if body.startswith(_BOM):
        return invalid_request("The request body starts with a byte order mark; plain UTF-8 JSON is expected")
    text = str(error)
    if isinstance(error, msgspec.ValidationError):
        detail, _, path = text.partition(" - at `$")
        if not path:
            return invalid_request(f"The request body must be a JSON object ({detail})")
        param = path.rstrip("`").lstrip(".")
        return invalid_request(f"Invalid value for {param}: {detail}", param=param)
    if "truncated" in text:
        text = f"JSON ends unexpectedly (byte {len(body)})"
    return invalid_request(f"The request body is not valid JSON: {text}")


# -- locating -----------------------------------------------------------------------------------------------


def _spans(body: bytes, raws: Mapping[str, msgspec.Raw]) -> list[_Span] | None:
    """Every member's place in order, or None if some key stands there more than once.

    ``raws`` is the decoded view, so ``body`` is known to be valid JSON. A value that is not followed by
    ``,`` or ``}`` after the decoded bytes is another value with the same key.
    """
    spans: list[_Span] = []
    position = body.index(b"{") + 1
    while True:
        match = _KEY.match(body, position)
        if match is None:  # an empty object
            return spans
        quoted = match[1]
        name = quoted[1:-1].decode() if b"\\" not in quoted else msgspec.json.decode(quoted, type=str)
        raw = bytes(raws[name])
        value = match.end()
        end = value + len(raw)
        if not body.startswith(raw, value):
            return None
        after = _skip_space(body, end)
        follower = body[after : after + 1]
        if follower not in (b",", b"}"):
            return None
        spans.append(_Span(name, match.start(1), match.end(1), value, end))
        if follower == b"}":
            return spans if len(spans) == len(raws) else None
        position = after + 1


def _skip_space(body: bytes, position: int) -> int:
    match = _SPACE.match(body, position)
    return position if match is None else match.end()


def _rebuilt(raws: Mapping[str, msgspec.Raw]) -> bytes:
    return (
        b"{" + b",".join(msgspec.json.encode(name) + b":" + bytes(raw) for name, raw in raws.items()) + b"}"
    )


def canonical(body: bytes, names: Collection[str]) -> bytes:
    """``body`` itself if each of ``names`` is a top-level key at most once, else rebuilt without
    duplicates."""
    small = len(body) < _SEARCHED_BYTES
    if small and not _hides_letters(body) and not any(_may_repeat(body, name) for name in names):
        _members(body)
        return body
    raws = _members(body)
    if _spans(body, raws) is not None:
        return body
    seen: set[str] = set()
    repeated: set[str] = set()
    for name in _key_sequence(body):
        (repeated if name in seen else seen).add(name)
    return _rebuilt(raws) if repeated.intersection(names) else body


def _hides_letters(body: bytes) -> bool:
    """Whether some ASCII letter or digit, and so perhaps a key, is written as an escape."""
    return b"\\u00" in body and _ESCAPED_LETTER.search(body) is not None


def _plain(name: str) -> bool:
    """Whether the name has only one spelling in a body that hides no letters."""
    return name.isascii() and name.isidentifier()


def _may_repeat(body: bytes, name: str) -> bool:
    if not _plain(name):
        return True
    needle = f'"{name}"'.encode()
    first = body.find(needle)
    return first >= 0 and body.find(needle, first + len(needle)) >= 0


def _key_sequence(body: bytes) -> Iterator[str]:
    """Top-level keys in order, repetitions included (slow; only for bodies that do repeat something)."""
    tokens = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"(?P<key>[ \t\r\n]*:)?|[{}\[\]]', re.DOTALL)
    depth = 0
    for match in tokens.finditer(body):
        head = match[0][:1]
        if head in b"{[":
            depth += 1
        elif head in b"}]":
            depth -= 1
        elif depth == 1 and match["key"] is not None:
            yield msgspec.json.decode(match[0][: match.start("key") - match.start()], type=str)


# -- editing ------------------------------------------------------------------------------------------------


def edit(
    body: bytes,
    sets: Mapping[str, bytes],
    drops: Collection[str] = (),
    renames: Mapping[str, str] | None = None,
) -> bytes:
    """``body`` with top-level members set (raw JSON; added in front if absent), dropped and renamed.

    Renames come first: ``{"max_tokens": "max_completion_tokens"}`` moves the value; where the new name is
    there already, its value stays and the old member is dropped. Every untouched value keeps its bytes,
    and so does the space around it unless the object had a key twice. A name both set and dropped is
    dropped. Keys that repeat without being edited are ``canonical``'s business.
    """
    if len(sets) == 1 and not drops and not renames and len(body) < _SEARCHED_BYTES:
        quick = _set_one(body, *next(iter(sets.items())))
        if quick is not None:
            return quick
    raws = _members(body)
    spans = _spans(body, raws)
    if spans is None:
        body = _rebuilt(raws)
        spans = _spans(body, raws)
        assert spans is not None
    return _splice(body, spans, sets, set(drops), renames or {})


def _set_one(body: bytes, name: str, raw: bytes) -> bytes | None:
    """The common edit, one member with a scalar value: found by a single text search, proved by the
    decoder."""
    needle = f'"{name}"'.encode()
    at = body.find(needle)
    if at < 0 or body.find(needle, at + len(needle)) >= 0 or not _plain(name) or _hides_letters(body):
        return None
    old = _members(body).get(name)
    if old is None:
        return None
    # The name is a key of the object and its text stands here only, so this is its key.
    match = _KEY.match(body, at)
    if match is None or not body.startswith(bytes(old), match.end()):
        return None
    value = match.end()
    return b"".join((body[:value], raw, body[value + len(bytes(old)) :]))


def _splice(
    body: bytes, spans: list[_Span], sets: Mapping[str, bytes], drops: set[str], renames: Mapping[str, str]
) -> bytes:
    present = {span.name for span in spans}
    pieces: list[bytes] = []
    kept = 0
    position = first = body.index(b"{") + 1
    for span in spans:
        name = span.name
        new = renames.get(name, name)
        gone = new in drops or name in drops or (new != name and new in present)
        start, position = position, span.end
        separator_end = start
        if start != first:
            separator_end = body.index(b",", start) + 1
        if gone:
            continue
        # The first member that stays loses the comma before it, every later one keeps its own.
        pieces.append(body[start if kept else separator_end : span.key])
        pieces.append(body[span.key : span.key_end] if new == name else msgspec.json.encode(new))
        pieces.append(body[span.key_end : span.value])
        pieces.append(sets[new] if new in sets else body[span.value : span.end])
        present.add(new)
        kept += 1
    standing = {renames.get(name, name) for name in present}
    added = [
        msgspec.json.encode(name) + b":" + raw
        for name, raw in sets.items()
        if name not in drops and (name not in standing or name in renames)
    ]
    front = b",".join(added) + (b"," if added and kept else b"")
    return b"".join((body[:first], front, *pieces, body[position:]))


def edit_path(body: bytes, path: tuple[str, ...], raw: bytes) -> bytes:
    """``body`` with the nested member at ``path`` set to ``raw`` (("response", "model") in a Responses
    frame).

    Unchanged if a parent is absent or is no object; the last name is added to its parent if absent.
    """
    if len(path) == 1:
        return edit(body, {path[0]: raw})
    inner = _members(body).get(path[0])
    if inner is None or not bytes(inner).lstrip().startswith(b"{"):
        return body
    return edit(body, {path[0]: edit_path(bytes(inner), path[1:], raw)})
