"""The numbers that bound an exchange and a pool."""

from __future__ import annotations

from msgspec import Struct


class Timeouts(Struct, frozen=True):
    """Seconds; each must be positive.

    connect_s: from the call to a usable connection: wait for a pool slot, DNS, TCP, proxy, TLS.
    first_byte_s: from the last byte of the request handed to the socket to the end of the answer's head.
    idle_s: longest silence while somebody waits for more body, and longest stall of an upload.  A slow
        reader on our side is not the upstream's silence and does not count.
    total_s: the entire exchange, from the call to the last byte of the answer.
    """

    connect_s: float = 10.0
    first_byte_s: float = 600.0
    idle_s: float = 300.0
    total_s: float = 3600.0


class PoolLimits(Struct, frozen=True):
    """per_origin: connections, being opened or open; further calls wait.
    idle_per_origin, idle_total: kept-alive connections held unused; more are closed.
    idle_expiry_s: how long an unused connection is kept; must stay below the vendors' own limit
        (most drop after 60 to 120 s), or the race with their close becomes common.
    header_bytes: the answer's head, and also any run of framing bytes (interim answers, trailers,
        chunk extensions) that brings no body.
    body_bytes: one answer's body.
    buffer_bytes: body held unread before the socket is no longer read; one read (up to 256 KiB)
        may come on top.
    """

    per_origin: int = 4096
    idle_per_origin: int = 256
    idle_total: int = 2048
    idle_expiry_s: float = 60.0
    header_bytes: int = 65536
    body_bytes: int = 1 << 30
    buffer_bytes: int = 65536
