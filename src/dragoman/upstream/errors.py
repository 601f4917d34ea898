"""The one exception that leaves the upstream package."""

from __future__ import annotations

from typing import Literal

ErrorKind = Literal[
    "connect",
    "dns",
    "tls",
    "refused",
    "connect_timeout",
    "first_byte_timeout",
    "idle_timeout",
    "total_timeout",
    "protocol",
    "closed",
    "limit",
    "egress",
    "proxy",
]


class UpstreamError(Exception):
    """An exchange with an upstream that failed.

    kind: what went wrong, see `ErrorKind`.
    sent: True when bytes of the request may have reached the peer, so that doing it again may do it twice.
    The message names origins and addresses but never credentials.
    """

    def __init__(self, kind: ErrorKind, message: str, *, sent: bool = False) -> None:
        super().__init__(message)
        self.kind: ErrorKind = kind
        self.message = message
        self.sent = sent

    def __repr__(self) -> str:
        return f"UpstreamError({self.kind!r}, {self.message!r}, sent={self.sent})"


class StaleConnection(UpstreamError):
    """The peer closed a reused connection without answering a single byte.  Never leaves the package
    on a first attempt: `client` sends the request once more on a fresh connection."""
