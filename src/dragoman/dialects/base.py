"""The record of functions that a dialect is, and the values that pass between a dialect and the lanes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from dragoman.core.faults import Fault
from dragoman.core.usage import Usage


class StreamPoint(Struct, frozen=True):
    """Where a running stream stands when the gateway has to end it as a failure."""

    started: bool = False
    """At least one whole frame reached the client."""
    array: bool = False
    """Gemini only: the client reads a growing JSON array, not SSE."""
    sequence: int = -1
    """Responses only: the last ``sequence_number`` sent."""
    response_id: str = ""
    model: str = ""
    created_at: int = 0


class Tap(Protocol):
    """The relay lane's ear on one answer. It never raises, whatever the vendor sends, and never changes a
    byte.

    Call ``frame`` for each SSE data payload or array element of a stream, or ``body`` once.
    """

    output_bytes: int
    """UTF-8 bytes of generated text, reasoning and tool arguments seen; the input of the estimate."""
    complete: bool
    """The dialect's terminal frame was seen, or the body was a whole answer."""
    failed: bool
    """An error frame or a failed status came inside the answer."""
    pending: bool
    """A background Response that the vendor is still working on; False in the other dialects."""
    response_id: str | None
    """The id of a stored Response; None in the other dialects."""

    @property
    def usage(self) -> Usage | None:
        """The usage seen so far, merged; None if none arrived."""

    @property
    def ids(self) -> list[tuple[str, str]]:
        """(kind, id) of every id of the vendor's side in the answer, in order, without repetition.

        Kinds: response, conversation, container, file, item.
        """

    def frame(self, data: bytes, event: bytes = b"") -> None: ...

    def body(self, data: bytes) -> None: ...

    def usage_only(self, data: bytes) -> bool:
        """The frame is chat's closing usage chunk (``choices: []``), which a client must have asked for."""

    def point(self, *, array: bool = False) -> StreamPoint:
        """Where the stream stands now."""


class UpstreamFault(Struct, frozen=True):
    """What a vendor's error body says, redacted and shortened; empty strings where it says nothing."""

    message: str
    code: str
    type: str

    @property
    def out_of_credit(self) -> bool:
        """The vendor refuses because *our* account has no money: the channel's trouble, not the caller's."""
        if {self.code, self.type} & _OUT_OF_CREDIT_CODES:
            return True
        text = self.message.lower()
        return any(phrase in text for phrase in _OUT_OF_CREDIT_PHRASES)


_OUT_OF_CREDIT_CODES = frozenset(
    {
        "insufficient_quota",
        "insufficient_user_quota",
        "insufficient_balance",
        "insufficient_credits",
        "billing_error",
        "billing_not_active",
        "billing_hard_limit_reached",
        "Arrearage",
    }
)
_OUT_OF_CREDIT_PHRASES = (
    "insufficient quota",
    "insufficient balance",
    "insufficient credit",
    "insufficient account balance",
    "credit balance is too low",
    "exceeded your current quota",
    "requires more credits",
    "account is in arrears",
)


class Dialect(Struct, frozen=True):
    """A wire format: pure functions, nothing to inherit."""

    name: str
    tap: Callable[[], Tap]
    write_fault: Callable[[Fault, str], bytes]
    """(fault, request id) → JSON body in this dialect's error shape."""
    write_stream_fault: Callable[[Fault, str, StreamPoint], bytes]
    """(fault, request id, where) → the bytes that end a running stream as a failure."""
    read_fault: Callable[[int, bytes], UpstreamFault]
    """(status, body) → what the vendor's error says."""
    foreign_ids: Callable[[bytes], list[tuple[str, str]]]
    """Request body → (kind, id) of every vendor-side id it refers to. Fault ``invalid_request`` on bad JSON.

    Kinds: response, conversation, file, container, cached_content, vector_store, item.
    """


def text_bytes(value: object) -> int:
    """UTF-8 length of a string, 0 for anything else."""
    if type(value) is not str:
        return 0
    return len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass"))


def content_bytes(value: object) -> int:
    """Bytes of text in a content that is a string or a list of parts with ``text``, ``thinking``,
    ``refusal``."""
    if type(value) is str:
        return text_bytes(value)
    if type(value) is dict:
        total = 0
        for name in ("text", "thinking", "refusal", "transcript"):
            inner = value.get(name)
            total += text_bytes(inner) if type(inner) is str else content_bytes(inner)
        return total
    if type(value) is list:
        return sum(content_bytes(part) for part in value if type(part) is dict)
    return 0


def mapping(value: object) -> dict[str, object]:
    """``value`` if it is a JSON object, else an empty one."""
    return value if type(value) is dict else {}


def named(value: object) -> str:
    """``value`` if it is a usable id (a non-empty string of at most 512 characters), else ""."""
    return value if type(value) is str and 0 < len(value) <= 512 else ""
