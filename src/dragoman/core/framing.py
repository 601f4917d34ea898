"""Cutting byte streams into frames: server-sent events, a growing JSON array, AWS event stream.

Laws, for the two splitters: the concatenation of everything given back (``feed`` results, then
``finish``) is the input, byte for byte; a frame is given back with the chunk that completes it, never
later; the frames do not depend on where the chunks were cut. Only a frame above the limit is given back
in pieces as they come (``oversize`` is True meanwhile), so that memory stays bounded.

SSE: https://html.spec.whatwg.org/multipage/server-sent-events.html. AWS event stream (application/
vnd.amazon.eventstream): https://smithy.io/2.0/aws/amazon-eventstream.html.
"""

from __future__ import annotations

import re
import struct
import uuid
import zlib
from typing import Final

from msgspec import Struct

FRAME_LIMIT_BYTES: Final = 8 * 1024 * 1024
MESSAGE_LIMIT_BYTES: Final = 24 * 1024 * 1024

# A blank line after LF, CRLF or CR lines. Each alternative is complete in itself, so none of them has to
# wait for one more byte: CR CR LF ends a frame at the second CR and the LF leads the next one, where
# readers skip it.
_BLANK: Final = re.compile(rb"\n\r?\n|\r\r")
_BOM: Final = b"\xef\xbb\xbf"


class SseSplitter:
    """Splits an event stream at blank lines; a frame includes its terminator."""

    __slots__ = ("_limit", "_scan", "_tail", "oversize")

    def __init__(self, limit_bytes: int = FRAME_LIMIT_BYTES) -> None:
        self._limit = limit_bytes
        self._tail = bytearray()
        self._scan = 0
        self.oversize = False
        """True while a frame above the limit is passed through in pieces."""

    def feed(self, chunk: bytes) -> list[bytes]:
        """The frames that ``chunk`` completes."""
        if not self._tail:
            end = chunk.find(b"\n\n")
            # One whole frame in one chunk, the common case, is given back as it came.
            if end == len(chunk) - 2 and end >= 0 and b"\r" not in chunk:
                self.oversize = False
                return [chunk]
            return self._cut(chunk, 0)
        self._tail += chunk
        data = bytes(self._tail) if self._has_blank() else None
        if data is None:
            return self._relieve()
        start, self._scan = self._scan, 0
        self._tail.clear()
        return self._cut(data, start)

    def finish(self) -> bytes:
        """What is left of an unfinished frame."""
        tail = bytes(self._tail)
        self._tail.clear()
        self._scan = 0
        return tail

    def _has_blank(self) -> bool:
        if _BLANK.search(self._tail, self._scan) is not None:
            return True
        self._scan = max(0, len(self._tail) - 2)
        return False

    def _cut(self, data: bytes, scan: int) -> list[bytes]:
        frames: list[bytes] = []
        start = 0
        if b"\r" in data:
            for match in _BLANK.finditer(data, scan):
                frames.append(data[start : match.end()])
                start = match.end()
        else:
            end = data.find(b"\n\n", scan)
            while end >= 0:
                frames.append(data[start : end + 2])
                start = end + 2
                end = data.find(b"\n\n", start)
        if frames:
            self.oversize = False
        if start < len(data):
            self._tail += data[start:] if start else data
            self._scan = max(0, len(self._tail) - 2)
            frames += self._relieve()
        return frames

    def _relieve(self) -> list[bytes]:
        if len(self._tail) <= self._limit and not self.oversize:
            return []
        if len(self._tail) <= 2:
            return []
        # The last two bytes may be the beginning of a terminator.
        piece = bytes(self._tail[:-2])
        del self._tail[:-2]
        self._scan = 0
        self.oversize = True
        return [piece]


def sse_parts(frame: bytes) -> tuple[bytes, bytes]:
    """(event name, joined data) of a frame; empty where it has none."""
    if frame.startswith(b"data:"):
        end = frame.find(b"\n")
        if end == len(frame) - 2 and b"\r" not in frame:
            return b"", frame[6:end] if frame[5:6] == b" " else frame[5:end]
    if b"\r" in frame:
        frame = frame.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    event = b""
    data: list[bytes] = []
    for line in frame.removeprefix(_BOM).split(b"\n"):
        if line.startswith(b"data:"):
            data.append(line[6:] if line[5:6] == b" " else line[5:])
        elif line.startswith(b"event:"):
            event = line[7:] if line[6:7] == b" " else line[6:]
        elif line == b"data":
            data.append(b"")
    return event, data[0] if len(data) == 1 else b"\n".join(data)


def sse_data(frame: bytes) -> bytes:
    """The joined data of a frame, b"" if it has none (comments, keep-alives)."""
    return sse_parts(frame)[1]


def sse_event(frame: bytes) -> bytes:
    """The event name of a frame, b"" if it has none."""
    return sse_parts(frame)[0]


def sse(data: bytes, event: bytes | None = None) -> bytes:
    """One SSE frame."""
    head = b"event: " + event + b"\n" if event else b""
    if b"\n" in data or b"\r" in data:
        lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        return head + b"".join(b"data: " + line + b"\n" for line in lines) + b"\n"
    return head + b"data: " + data + b"\n\n"


_TOKEN: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?P<close>"?)|[{}\[\]]', re.DOTALL)
_STRING_REST: Final = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*(?P<close>"?)', re.DOTALL)


class JsonArraySplitter:
    """Splits a growing array of objects, ``[{…},\\r\\n{…}]``, at the end of each element.

    A piece is an element with what stands before it (``[`` or ``,`` and space); the closing ``]`` is a
    piece of its own, so no element waits for the next. An answer that is a bare object is one piece.
    """

    __slots__ = ("_base", "_depth", "_in_string", "_limit", "_scan", "_tail", "oversize")

    def __init__(self, limit_bytes: int = FRAME_LIMIT_BYTES) -> None:
        self._limit = limit_bytes
        self._tail = bytearray()
        self._scan = 0
        self._depth = 0
        self._base = -1
        self._in_string = False
        self.oversize = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """The pieces that ``chunk`` completes."""
        self._tail += chunk
        data = bytes(self._tail)
        pieces: list[bytes] = []
        start, position = 0, self._scan
        while position < len(data):
            if self._in_string:
                match = _STRING_REST.match(data, position)
            else:
                match = _TOKEN.search(data, position)
            if match is None:
                position = len(data)
                break
            position = match.end()
            if self._in_string or data[match.start()] == 0x22:
                self._in_string = not match["close"]
                if self._in_string:  # up to the end of the data, or to a lone backslash before it
                    break
            elif self._bracket(data[match.start()]):
                pieces.append(data[start:position])
                start = position
                self.oversize = False
        if start:
            del self._tail[:start]
        self._scan = position - start
        if len(self._tail) > self._limit or (self.oversize and self._tail):
            pieces.append(self._relieve())
        return pieces

    def _bracket(self, byte: int) -> bool:
        """Follow one bracket; True if it ends a piece."""
        if self._base < 0:
            self._base = 1 if byte == 0x5B else 0
        if byte in (0x7B, 0x5B):
            self._depth += 1
            return False
        self._depth -= 1
        return self._depth == self._base or (self._depth == 0 and byte == 0x5D)

    def _relieve(self) -> bytes:
        piece = bytes(self._tail[: self._scan])
        del self._tail[: self._scan]
        self._scan = 0
        self.oversize = True
        return piece

    def finish(self) -> bytes:
        """What is left: an unfinished element, or space after the end."""
        tail = bytes(self._tail)
        self._tail.clear()
        self._scan = 0
        return tail

    @staticmethod
    def element(piece: bytes) -> bytes:
        """The JSON object inside a piece, b"" if it is only punctuation."""
        return piece.strip(b" \t\r\n,[]")


class Message(Struct, frozen=True):
    """One AWS event stream message; header values of other types than string are given as text."""

    headers: dict[str, str]
    payload: bytes


_PRELUDE: Final = struct.Struct(">III")
# Header value types with a fixed width: struct code, or None for the two booleans.
_FIXED: Final = {
    2: struct.Struct(">b"),
    3: struct.Struct(">h"),
    4: struct.Struct(">i"),
    5: struct.Struct(">q"),
    8: struct.Struct(">q"),
}


class EventStreamDecoder:
    """Decodes ``application/vnd.amazon.eventstream``; both checksums are verified.

    ValueError on a damaged message, from the call after the last sound message has been given back.
    """

    __slots__ = ("_buffer", "_error", "_limit")

    def __init__(self, limit_bytes: int = MESSAGE_LIMIT_BYTES) -> None:
        self._limit = limit_bytes
        self._buffer = bytearray()
        self._error: ValueError | None = None

    def feed(self, chunk: bytes) -> list[Message]:
        """The messages that ``chunk`` completes."""
        if self._error is not None:
            raise self._error
        self._buffer += chunk
        messages: list[Message] = []
        try:
            while (message := self._next()) is not None:
                messages.append(message)
        except ValueError as error:
            self._error = error
            if not messages:
                raise
        return messages

    def finish(self) -> bytes:
        """What is left of an unfinished message. ValueError if a damaged message was seen."""
        if self._error is not None:
            raise self._error
        tail = bytes(self._buffer)
        self._buffer.clear()
        return tail

    def _next(self) -> Message | None:
        if len(self._buffer) < 12:
            return None
        total, header_bytes, prelude_crc = _PRELUDE.unpack_from(self._buffer)
        if zlib.crc32(self._buffer[:8]) != prelude_crc:
            raise ValueError("event stream: prelude checksum does not match")
        if total < 16 + header_bytes or total > self._limit:
            raise ValueError(f"event stream: impossible message length {total}")
        if len(self._buffer) < total:
            return None
        message = bytes(self._buffer[:total])
        del self._buffer[:total]
        if zlib.crc32(message[:-4]) != int.from_bytes(message[-4:], "big"):
            raise ValueError("event stream: message checksum does not match")
        return Message(_headers(message[12 : 12 + header_bytes]), message[12 + header_bytes : -4])


def _headers(block: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    position = 0
    try:
        while position < len(block):
            length = block[position]
            name = block[position + 1 : position + 1 + length].decode()
            kind = block[position + 1 + length]
            headers[name], position = _header_value(block, kind, position + 2 + length)
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise ValueError(f"event stream: damaged headers ({error})") from None
    return headers


def _header_value(block: bytes, kind: int, position: int) -> tuple[str, int]:
    if kind in (0, 1):
        return ("true" if kind == 0 else "false"), position
    if kind in _FIXED:
        layout = _FIXED[kind]
        return str(layout.unpack_from(block, position)[0]), position + layout.size
    if kind == 9:
        return str(uuid.UUID(bytes=block[position : position + 16])), position + 16
    if kind not in (6, 7):
        raise ValueError(f"event stream: unknown header type {kind}")
    end = position + 2 + int.from_bytes(block[position : position + 2], "big")
    if end > len(block):
        raise ValueError("event stream: header runs over its block")
    value = block[position + 2 : end]
    return (value.decode() if kind == 7 else value.hex()), end
