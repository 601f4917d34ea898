"""The last requests as they arrived, for tests to look at. Bounded in number and bytes."""

from __future__ import annotations

import base64
from collections import deque
from typing import Any, Literal

import msgspec

KEPT_REQUESTS = 200
KEPT_BYTES = 65_536  # of a body larger than LARGE_BYTES
LARGE_BYTES = 1 << 20


class Entry(msgspec.Struct, kw_only=True):
    """One request and what became of its answer."""

    serial: int
    method: str
    path: str
    query: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""
    body_bytes: int = 0
    status: int = 0
    frames: int = 0
    outcome: Literal["open", "complete", "cut", "client_gone", "dropped"] = "open"


class Journal:
    """A ring of entries."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=KEPT_REQUESTS)

    def add(self, entry: Entry) -> None:
        """Keeps an entry; the oldest leaves."""
        self._entries.append(entry)

    def clear(self) -> None:
        """Forgets all."""
        self._entries.clear()

    def listing(self) -> list[dict[str, Any]]:
        """Oldest first; bodies as base64, headers as [name, value] pairs, names in lower case."""
        return [
            {
                "serial": entry.serial,
                "method": entry.method,
                "path": entry.path,
                "query": entry.query.decode("latin-1"),
                "headers": [
                    [name.decode("latin-1"), value.decode("latin-1")] for name, value in entry.headers
                ],
                "body": base64.b64encode(entry.body).decode(),
                "body_bytes": entry.body_bytes,
                "status": entry.status,
                "frames": entry.frames,
                "outcome": entry.outcome,
            }
            for entry in self._entries
        ]


def kept(body: bytes) -> bytes:
    """The part of a body that an entry keeps."""
    return body if len(body) <= LARGE_BYTES else body[:KEPT_BYTES]
