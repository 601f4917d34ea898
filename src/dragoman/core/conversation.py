"""The superset of four dialects: what a model is asked, what it answers, and how the answer streams. One page.

Readers (``dialects.*.request``, ``response``, ``stream``) make these values out of a wire format, writers make a wire
format out of them; no dialect knows another. Invariants:

* Everything is frozen: a failed attempt leaves the conversation as it was for the next one.
* Order is meaning: turns, blocks inside a turn and tools keep the order in which the client sent them.
* What only its own dialect understands is ``Opaque``; members that nobody modelled are ``extras`` under their origin.
  A writer of another dialect leaves both out and says so with a ``Loss``; it never guesses.
* JSON that passes through (tool arguments) stays text; schemas stay decoded objects in the sender's member order.
* ``at`` is where the client wrote the thing, as a path into *its* body; errors and losses name that path.
* Who signed a piece of reasoning is part of the signature; a signature goes back to its own kind only.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Literal

from msgspec import Struct

from dragoman.core.faults import Fault, invalid_request
from dragoman.core.usage import Usage

Origin = Literal["openai_chat", "openai_responses", "anthropic", "gemini"]
Path = tuple[str | int, ...]
Json = Any  # a decoded JSON value
NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class Loss(Struct, frozen=True):
    """Something that the target cannot carry: where the client wrote it, and why it does not go on."""

    at: Path
    why: str


# --- blocks -----------------------------------------------------------------------------------------------


class Signature(Struct, frozen=True, kw_only=True):
    """A vendor's seal on reasoning: opaque to everybody but the kind of vendor that made it.

    value: Anthropic ``signature`` or ``redacted_thinking.data``, Gemini ``thoughtSignature`` (base64), Responses
    ``encrypted_content``. id: the Responses item's ``rs_…`` id, else "".
    """

    origin: Origin
    value: str
    id: str = ""


class Cache(Struct, frozen=True):
    """A prompt-cache breakpoint after this block. ttl: "5m" or "1h", "" for the vendor's default."""

    ttl: str = ""


class Citation(Struct, frozen=True, kw_only=True):
    """Where a piece of text comes from. start, end: CHARACTER offsets into the text of its block, -1 if unknown."""

    url: str = ""
    title: str = ""
    cited: str = ""
    start: int = -1
    end: int = -1
    extra: Mapping[str, Json] = NOTHING
    """Members only the origin understands, as it wrote them (``origin`` names it)."""
    origin: str = ""


class Text(Struct, frozen=True, kw_only=True):
    text: str
    citations: tuple[Citation, ...] = ()
    signature: Signature | None = None
    """Gemini signs text parts too; an empty text with a signature only carries it."""
    cache: Cache | None = None
    at: Path = ()


class Base64(Struct, frozen=True):
    data: str


class Url(Struct, frozen=True):
    url: str


class FileId(Struct, frozen=True):
    """A file at the vendor. family: "openai", "anthropic" or "google": whose id it is."""

    family: str
    id: str


class Media(Struct, frozen=True, kw_only=True):
    """An image, document, audio or video. A plain-text document is ``Text`` (its title goes in front of it).

    media_type: normalised MIME type, "" if the client did not say and a URL does not tell. name: file name or title.
    detail: "low", "high", "auto" or "original"; "" if not given.
    """

    kind: Literal["image", "document", "audio", "video"]
    source: Base64 | Url | FileId
    media_type: str = ""
    name: str = ""
    detail: str = ""
    signature: Signature | None = None
    cache: Cache | None = None
    at: Path = ()


class Thinking(Struct, frozen=True, kw_only=True):
    """Reasoning. text: "" where it is hidden. redacted: the signature holds all of it (Anthropic redacted_thinking)."""

    text: str = ""
    signature: Signature | None = None
    redacted: bool = False
    at: Path = ()


class ToolCall(Struct, frozen=True, kw_only=True):
    """The model calls a tool of the client's.

    id: what the result refers to; "" where the dialect has none (Gemini). arguments: the text of a JSON object, never
    empty; for ``custom`` tools any text. namespace: the Responses namespace of the tool, else "".
    """

    id: str
    name: str
    arguments: str = "{}"
    custom: bool = False
    namespace: str = ""
    signature: Signature | None = None
    cache: Cache | None = None
    at: Path = ()


class ToolResult(Struct, frozen=True, kw_only=True):
    """What the tool gave. call_id: the call's ``id``, "" where the dialect has none; name: "" if not said.

    content: Text, Media and Opaque blocks. structured: Gemini's ``response`` object where it is more than text.
    """

    call_id: str
    name: str = ""
    content: tuple[Text | Media | Opaque, ...] = ()
    structured: Json = None
    is_error: bool = False
    custom: bool = False
    cache: Cache | None = None
    at: Path = ()


class Refusal(Struct, frozen=True, kw_only=True):
    """The model declines, in its own words."""

    text: str
    at: Path = ()


class Opaque(Struct, frozen=True, kw_only=True):
    """A block, tool or item that only ``origin`` understands, as it was written.

    kind: its ``type`` (or member name in Gemini). text: what a person may read of it in another dialect, "" if nothing.
    """

    origin: Origin
    kind: str
    raw: Json
    text: str = ""
    at: Path = ()


Block = Text | Media | Thinking | ToolCall | ToolResult | Refusal | Opaque


# --- a request --------------------------------------------------------------------------------------------


class Turn(Struct, frozen=True, kw_only=True):
    """One message. ``system`` and ``developer`` turns may stand anywhere. Readers keep the client's cuts; writers merge
    or split as their dialect demands (``core.history``)."""

    role: Literal["system", "developer", "user", "assistant"]
    blocks: tuple[Block, ...]
    name: str = ""
    phase: str = ""
    id: str = ""
    at: Path = ()


class Function(Struct, frozen=True, kw_only=True):
    """A tool of the client's. parameters: its JSON Schema, None if it takes none.

    custom: takes free text; ``format`` is the Responses grammar then. legacy: declared in chat's old ``functions``.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Json] | None = None
    strict: bool | None = None
    custom: bool = False
    format: Json = None
    namespace: str = ""
    legacy: bool = False
    cache: Cache | None = None
    at: Path = ()


class WebSearch(Struct, frozen=True, kw_only=True):
    """The vendor's own web search. optional: a client that declares it by habit; it may be left out (with a Loss),
    while one that was asked for on purpose and cannot be had is an error."""

    context_size: str = ""
    allowed_domains: tuple[str, ...] = ()
    blocked_domains: tuple[str, ...] = ()
    max_uses: int | None = None
    country: str = ""
    region: str = ""
    city: str = ""
    timezone: str = ""
    optional: bool = False
    at: Path = ()


Tool = Function | WebSearch | Opaque


class ToolChoice(Struct, frozen=True, kw_only=True):
    """mode "tool": exactly ``name``. allowed: only these names may be called (empty: all); goes with auto and required."""

    mode: Literal["auto", "none", "required", "tool"]
    name: str = ""
    allowed: tuple[str, ...] = ()


class Reasoning(Struct, frozen=True, kw_only=True):
    """How much to think and what to show of it. At most one of effort and budget is what the client said.

    mode: "off", "on" (a budget or effort) or "adaptive". effort: none minimal low medium high xhigh max, "" if not said.
    budget: tokens, -1 for "as the model likes". visible: the client wants to read the reasoning. summary: the Responses
    word (auto, concise, detailed), "" elsewhere.
    """

    mode: Literal["off", "on", "adaptive"] = "on"
    effort: str = ""
    budget: int | None = None
    visible: bool = False
    summary: str = ""


class OutputFormat(Struct, frozen=True, kw_only=True):
    """json_object: any JSON. json_schema: this schema; name "" where the dialect has none."""

    kind: Literal["json_object", "json_schema"]
    name: str = ""
    description: str = ""
    schema: Mapping[str, Json] | None = None
    strict: bool | None = None


class Conversation(Struct, frozen=True, kw_only=True):
    """Everything a model is asked. None, "" and () mean: not said, leave it to the vendor.

    system: the dialect's own place for instructions (Anthropic ``system``, Gemini ``systemInstruction``, Responses
    ``instructions``); chat's system messages are turns. fields: IR field name → where the client wrote it, for losses.
    bound: (path, what) of every feature that no other dialect can serve; a channel of the same dialect is needed then.
    """

    origin: Origin
    turns: tuple[Turn, ...]
    system: tuple[Block, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tools: bool | None = None
    max_output: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    choices: int = 1
    logprobs: bool = False
    top_logprobs: int | None = None
    logit_bias: Mapping[str, float] = NOTHING
    output_format: OutputFormat | None = None
    verbosity: str = ""
    reasoning: Reasoning | None = None
    user: str = ""
    metadata: Mapping[str, Json] = NOTHING
    cache_key: str = ""
    service_tier: str = ""
    modalities: tuple[str, ...] = ()
    previous_id: str = ""
    store: bool | None = None
    bound: tuple[tuple[Path, str], ...] = ()
    extras: Mapping[str, Json] = NOTHING
    """Members that nobody modelled, name → value. Names beginning with "$" are notes of the origin's reader for its own
    writers (Responses: ``$echo``, what answers repeat of the request); they were never on the wire, so that a writer of
    another dialect leaves them out without a ``Loss``."""
    fields: Mapping[str, Path] = NOTHING

    def where(self, field: str) -> Path:
        """The client's path of an IR field; the field's own name if the reader did not note it."""
        return self.fields.get(field, (field,))


# --- an answer --------------------------------------------------------------------------------------------

Finish = Literal[
    "stop",
    "stop_sequence",
    "length",
    "context_length",
    "tool_calls",
    "refusal",
    "content_filter",
    "pause",
    "error",
]


class TokenLogprob(Struct, frozen=True, kw_only=True):
    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


class Choice(Struct, frozen=True, kw_only=True):
    """One answer. ``finish`` is what the vendor said; "tool_calls" is also true where a block calls a tool and the
    vendor said "stop" (readers normalise this). stop_sequence: the one that was met, if told."""

    blocks: tuple[Block, ...]
    finish: Finish = "stop"
    stop_sequence: str = ""
    logprobs: tuple[TokenLogprob, ...] = ()


class Answer(Struct, frozen=True, kw_only=True):
    """A whole answer. usage None: the vendor sent none. model, id, created: the vendor's own, "" and 0 if not said."""

    choices: tuple[Choice, ...]
    usage: Usage | None = None
    model: str = ""
    id: str = ""
    created: int = 0
    service_tier: str = ""


# --- a stream: Start, then per choice blocks of Opened Delta* Closed, Finished; UsageSeen anywhere; Ended or Failed ----


class Start(Struct, frozen=True, kw_only=True):
    model: str = ""
    id: str = ""
    created: int = 0
    usage: Usage | None = None


class Opened(Struct, frozen=True, kw_only=True):
    """A block begins. ``index`` numbers the blocks of one choice from 0 without gaps; blocks of tool calls may be open
    together, others are alone. ``block`` is the block as known now: text and arguments empty ("" and "")."""

    index: int
    block: Block
    choice: int = 0


class Delta(Struct, frozen=True, kw_only=True):
    """More of an open block: text of Text, Thinking or Refusal, argument text of ToolCall."""

    index: int
    text: str
    choice: int = 0


class Annotated(Struct, frozen=True, kw_only=True):
    """Citations of an open or closed text block, offsets into the block's whole text."""

    index: int
    citations: tuple[Citation, ...]
    choice: int = 0


class Signed(Struct, frozen=True, kw_only=True):
    """The whole signature of an open block; comes at most once a block, before it closes."""

    index: int
    signature: Signature
    choice: int = 0


class Logprobs(Struct, frozen=True, kw_only=True):
    tokens: tuple[TokenLogprob, ...]
    choice: int = 0


class Closed(Struct, frozen=True, kw_only=True):
    index: int
    choice: int = 0


class Finished(Struct, frozen=True, kw_only=True):
    finish: Finish
    stop_sequence: str = ""
    choice: int = 0


class UsageSeen(Struct, frozen=True, kw_only=True):
    """The counts so far; a later one replaces an earlier one."""

    usage: Usage


class Ended(Struct, frozen=True, kw_only=True):
    """The vendor said that this is the end. Every block is closed, every choice finished."""


class Failed(Struct, frozen=True, kw_only=True):
    """The stream ends as a failure: the vendor said so, or it ended without its end. Nothing comes after."""

    fault: Fault


Event = (
    Start | Opened | Delta | Annotated | Signed | Logprobs | Closed | Finished | UsageSeen | Ended | Failed
)


# --- paths ------------------------------------------------------------------------------------------------


def dotted(at: Path) -> str:
    """``("tools", 0, "type")`` → ``tools.0.type``, as Anthropic names members."""
    return ".".join(str(step) for step in at)


def bracketed(at: Path) -> str:
    """``("messages", 0, "content")`` → ``messages[0].content``, as OpenAI and Google name members."""
    out = ""
    for step in at:
        out += f"[{step}]" if isinstance(step, int) else f".{step}" if out else step
    return out


def path_text(at: Path, origin: str) -> str:
    """A path in the words of the client's dialect."""
    return dotted(at) if origin == "anthropic" else bracketed(at)


def rejected(at: Path, origin: str, why: str) -> Fault:
    """The 400 for a member that cannot be served; its message begins with the path in the client's own notation."""
    path = path_text(at, origin)
    return invalid_request(f"{path}: {why}" if path else why, path or None)
