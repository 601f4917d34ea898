"""The four frozen values that carry a request through the gateway: Call → Plan → Attempt → Outcome."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from dragoman.core.money import Price
from dragoman.core.usage import Usage
from dragoman.routing.keytable import KeyRecord
from dragoman.routing.snapshot import Channel


class Call(Struct, frozen=True, kw_only=True):
    """What the client asked for, read once from its request. Times are unix seconds."""

    request_id: str
    started_at: float
    operation: str
    dialect: str
    method: str
    path: str
    original_path: str
    query: str
    headers: list[tuple[bytes, bytes]]
    key: KeyRecord
    group: str
    model_asked: str
    model: str
    stream: bool
    max_output: int | None
    choices: int = 1
    resource_id: str = ""
    client_ip: str = ""
    client: str = ""
    vendor: str = ""
    pinned_channel: int | None = None
    include_usage: bool = False
    background: bool = False
    array: bool = False
    """Gemini: the client reads one growing JSON array (no ``alt=sse``)."""
    strict: bool = False
    """What a translation cannot carry is a 400, not a header."""


class Candidate(Struct, frozen=True):
    """One channel, one of its credentials (an index into the channel's list), and the operation to use there: "" for the
    call's own (relay lane), another one where the call is translated."""

    channel: Channel
    credential: int
    operation: str = ""


class Plan(Struct, frozen=True):
    """What may be tried, in order, and what the call may cost at most (nanos)."""

    candidates: tuple[Candidate, ...]
    price: Price
    multiplier_micros: int
    hold_nanos: int


class Attempt(Struct, frozen=True, kw_only=True):
    """One try at one channel, as it ended. ``status`` is the upstream's HTTP status, 0 when none arrived."""

    channel_id: int
    credential: int
    status: int
    latency_ms: int
    ended: str
    upstream_request_id: str = ""


Result = Literal["done", "failed", "client_gone", "cut"]


class Outcome(Struct, frozen=True, kw_only=True):
    """How a call ended, as the ledger and the log need to know it.

    ``usage`` is what the vendor reported (None: nothing arrived); ``output_bytes`` counts the generated text that was
    seen, the basis of the estimate when usage is missing; ``delivered`` tells that a successful answer began.
    """

    result: Result
    status: int
    usage: Usage | None = None
    output_bytes: int = 0
    delivered: bool = False
    complete: bool = False
    """The vendor had said everything: a client that leaves now pays for what was reported."""
    first_byte_ms: int = 0
    attempts: tuple[Attempt, ...] = ()
    error: str = ""
    translated_to: str = ""
    """The upstream's dialect where it is not the client's."""
    losses: tuple[str, ...] = ()
    """What the translation could not carry, as paths into the client's request."""
    broken: int = 0
    """Frames of the upstream's stream that could not be read and were left out."""
