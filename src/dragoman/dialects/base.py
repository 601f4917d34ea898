"""The record of functions that a dialect is, and the values that pass between a dialect and the lanes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from msgspec import Struct

from dragoman.core.conversation import NOTHING, Answer, Conversation, Event, Function, Loss, Media
from dragoman.core.facts import Facts
from dragoman.core.faults import Fault
from dragoman.core.usage import Usage
from dragoman.core.wishes import Wish


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
    explicit: bool = False
    """The body has a code of its own; otherwise ``code`` repeats its type or status word."""

    def out_of_credit(self, status: int) -> bool:
        """The vendor refuses because *our* account has no money: the channel's trouble, not the caller's.

        A 429 that only its type calls a matter of quota, without a code and without saying so, stays a 429.
        """
        words = {self.code, self.type} if status != 429 or self.explicit else set()
        if words & _OUT_OF_CREDIT_CODES:
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


class Target(Struct, frozen=True, kw_only=True):
    """The upstream that a request is written for. model: its own id of the model."""

    model: str
    facts: Facts
    stream: bool = False


class Written(Struct, frozen=True):
    """A request in the upstream's dialect. losses: what it could not carry. back: wire name → tool, where a tool had to
    be renamed (``core.tools.WireNames.back``)."""

    body: bytes
    losses: tuple[Loss, ...] = ()
    back: Mapping[str, Function] = NOTHING
    answer_tool: str = ""
    """Name of the tool that only exists so that its arguments are the answer (a schema for a model without formats)."""


class Reply(Struct, frozen=True, kw_only=True):
    """What an answer needs to know about the request that it answers.

    Stream writers take from it what they need and do not keep it: ``conversation`` holds the whole history.
    response_id: the id that the answer gets, without prefix (``[a-z0-9]+``); ids of items are made from it. created:
    unix seconds. include_usage: chat only. array: Gemini without ``alt=sse``.
    """

    model: str
    response_id: str
    created: int
    conversation: Conversation
    include_usage: bool = False
    array: bool = False


class StreamReader(Protocol):
    """Frames of an upstream's stream in, events out. Never raises, whatever the vendor sends: a frame that cannot be
    read is skipped and counted. After Ended or Failed it gives nothing more."""

    broken: int
    """Frames that could not be read."""

    def feed(self, data: bytes, event: bytes = b"") -> list[Event]:
        """One SSE data payload with its event name, or one element of a JSON array."""

    def finish(self) -> list[Event]:
        """The upstream's bytes are at their end: Ended if the dialect's terminal was seen, else Failed. Open blocks are
        closed first in both cases."""


class StreamWriter(Protocol):
    """Events in, framed bytes for the client out (b"" where nothing is to be said yet).

    Ended and Failed write the dialect's own ending; nothing is written after them. A Failed is never a normal stop.
    """

    def feed(self, event: Event) -> bytes: ...


class ClientSide(Struct, frozen=True):
    """What a dialect needs to be spoken by clients of the translate lane."""

    read_request: Callable[[bytes], Conversation]
    """Request body → Conversation. Fault 400 naming the member for what cannot be a request of this dialect."""
    write_answer: Callable[[Answer, Reply], bytes]
    write_stream: Callable[[Reply], StreamWriter]


class Counter(Struct, frozen=True):
    """Counting tokens in this dialect. read: the body of a count request (Fault 400). write: (tokens, warning) → the
    answer; the warning is "" or a sentence about what was not counted."""

    read: Callable[[bytes], Conversation]
    write: Callable[[int, str], bytes]


class UpstreamSide(Struct, frozen=True):
    """What a dialect needs to be spoken to upstreams of the translate lane."""

    write_request: Callable[[Conversation, Target], Written]
    """Fault 400 (``conversation.rejected``) naming the client's member for what must not be dropped."""
    read_answer: Callable[[bytes], Answer]
    """A whole 200 body. Fault (owner upstream) for an error inside it and for what is no answer."""
    read_stream: Callable[[], StreamReader]
    takes_url: Callable[[Media, Facts], bool]
    """Can this upstream load the media's URL itself? Otherwise it is loaded here and sent as base64."""


class Dialect(Struct, frozen=True):
    """A wire format: pure functions, nothing to inherit. ``client`` and ``upstream`` are None where the format takes no
    part in translation."""

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
    with_wish: Callable[[bytes, Wish], bytes] = lambda body, wish: body
    """Request body with a wish for reasoning that stood in the model's name, unless the body says something itself."""
    without_seals: Callable[[bytes], bytes] = bytes
    """Relay lane: a request body without the reasoning that other vendors signed (``core.signatures``); called only when
    the body holds ``signatures.MARK``. The body itself if nothing of it is a seal."""
    client: ClientSide | None = None
    counter: Counter | None = None
    upstream: UpstreamSide | None = None


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
