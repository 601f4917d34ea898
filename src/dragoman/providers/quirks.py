"""What single vendors reject or demand in a body, as small pure edits.

A quirk is ``(body, upstream model) -> body``, applied to the operations and models its record names, and
only when the body holds what it is about: a body that needs nothing keeps its bytes. Every quirk names
where the fact comes from.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from dragoman.core import envelope
from dragoman.core.faults import invalid_request

Edit = Callable[[bytes, str], bytes]

CHAT = frozenset({"chat"})


class Quirk(Struct, frozen=True, kw_only=True):
    """One known deviation. ``models`` is searched in the upstream model id and in the public one; None
    means all.
    """

    name: str
    ops: frozenset[str]
    fn: Edit
    source: str
    models: re.Pattern[str] | None = None

    def applies(self, op: str, model: str, public_model: str) -> bool:
        """Does this quirk concern the operation and the model (under either of its names)?"""
        if op not in self.ops:
            return False
        return self.models is None or bool(self.models.search(model) or self.models.search(public_model))


def rename(old: str, new: str) -> Edit:
    """Edit: member ``old`` becomes ``new``; if the body has both, ``new`` stays and ``old`` goes."""
    mark = b'"' + old.encode() + b'"'

    def edit(body: bytes, model: str) -> bytes:
        return envelope.edit(body, {}, renames={old: new}) if mark in body else body

    return edit


def drop(*names: str) -> Edit:
    """Edit: the named top-level members are removed."""
    marks = [b'"' + name.encode() + b'"' for name in names]

    def edit(body: bytes, model: str) -> bytes:
        return envelope.edit(body, {}, drops=names) if any(mark in body for mark in marks) else body

    return edit


class _RawMessages(Struct):
    messages: Raw | UnsetType = UNSET


def _edit_messages(body: bytes, fn: Callable[[bytes], bytes]) -> bytes:
    """Apply ``fn`` to each message; the array is rebuilt only if one of them changed."""
    seen = envelope.peek(body, _RawMessages).messages
    if seen is UNSET or not bytes(seen).startswith(b"["):
        return body
    messages = [bytes(message) for message in msgspec.json.decode(seen, type=list[Raw])]
    edited = [fn(message) if message.startswith(b"{") else message for message in messages]
    if edited == messages:
        return body
    return envelope.edit(body, {"messages": b"[" + b",".join(edited) + b"]"})


# Members that openai-python replays from an answer as explicit nulls (C14). ``content`` may be null and
# stays.
_REPLAYED = ("tool_calls", "function_call", "audio", "refusal", "reasoning_content", "annotations")
_NULL_MEMBER = re.compile(rb'"(?:' + "|".join(_REPLAYED).encode() + rb')"\s*:\s*null')


def drop_null_members(body: bytes, model: str) -> bytes:
    """Edit: null ``tool_calls``, ``function_call``, ``audio``, ``refusal``, … leave the messages (C14)."""
    # The plain search first: it is many times faster on bodies that hold megabytes of base64.
    return _edit_messages(body, _without_nulls) if b"null" in body and _NULL_MEMBER.search(body) else body


def _without_nulls(message: bytes) -> bytes:
    if not _NULL_MEMBER.search(message):
        return message
    members = msgspec.json.decode(message, type=dict[str, Raw])
    nulls = [name for name in _REPLAYED if name in members and bytes(members[name]) == b"null"]
    return envelope.edit(message, {}, drops=nulls) if nulls else message


def drop_message_members(*names: str) -> Edit:
    """Edit: the named members leave every message, whatever their value."""
    marks = [b'"' + name.encode() + b'"' for name in names]

    def strip(message: bytes) -> bytes:
        return envelope.edit(message, {}, drops=names) if any(mark in message for mark in marks) else message

    def edit(body: bytes, model: str) -> bytes:
        return _edit_messages(body, strip) if any(mark in body for mark in marks) else body

    return edit


_UNSIGNED = re.compile(rb'"signature"\s*:\s*""')


class _Content(Struct):
    content: Raw | UnsetType = UNSET


class _Thought(Struct):
    type: object = None
    signature: object = None


def drop_unsigned_thinking(body: bytes, model: str) -> bytes:
    """Edit: thinking blocks with an empty signature leave the messages. Clients have them from turns that a vendor which
    does not sign answered through this gateway; Claude answers 400 to them."""
    return _edit_messages(body, _without_unsigned) if _UNSIGNED.search(body) else body


def _without_unsigned(message: bytes) -> bytes:
    if not _UNSIGNED.search(message):
        return message
    content = envelope.peek(message, _Content).content
    if content is UNSET or not bytes(content).startswith(b"["):
        return message
    blocks = [bytes(block) for block in msgspec.json.decode(content, type=list[Raw])]
    kept = [block for block in blocks if not (_UNSIGNED.search(block) and _is_unsigned(block))]
    if len(kept) in (0, len(blocks)):
        return message
    return envelope.edit(message, {"content": b"[" + b",".join(kept) + b"]"})


def _is_unsigned(block: bytes) -> bool:
    if not block.startswith(b"{"):
        return False
    seen = msgspec.json.decode(block, type=_Thought)
    return seen.type == "thinking" and seen.signature == ""


class _StreamOptions(Struct):
    stream_options: Raw | UnsetType = UNSET


def ask_usage(body: bytes) -> bytes:
    """Make a streamed chat or completions answer end with its usage: ``stream_options.include_usage`` true.

    Other members of ``stream_options`` stay. Whoever calls this owes the client a stream without the extra
    chunk if the client did not ask for it itself.
    """
    seen = envelope.peek(body, _StreamOptions).stream_options
    if seen is UNSET or not bytes(seen).startswith(b"{"):
        return envelope.edit(body, {"stream_options": b'{"include_usage":true}'})
    options = bytes(seen)
    edited = envelope.edit(options, {"include_usage": b"true"})
    return body if edited == options else envelope.edit(body, {"stream_options": edited})


class _GeminiModels(Struct):
    model: Raw | UnsetType = UNSET
    requests: Raw | UnsetType = UNSET
    generateContentRequest: Raw | UnsetType = UNSET  # noqa: N815 - the wire's name


def gemini_inner_models(body: bytes, model: str) -> bytes:
    """Edit: the model that Gemini repeats inside count and embed bodies follows the model of the path.

    ``model`` (embedContent), ``requests[].model`` (batchEmbedContents) and ``generateContentRequest.model``
    (countTokens); Google answers 400 when they differ from the path. A member that is absent stays absent.
    """
    if b'"model"' not in body:
        return body
    name = msgspec.json.encode("models/" + model.removeprefix("models/"))
    seen = envelope.peek(body, _GeminiModels)
    sets: dict[str, bytes] = {}
    if seen.model is not UNSET and bytes(seen.model) != name:
        sets["model"] = name
    if seen.generateContentRequest is not UNSET:
        inner = bytes(seen.generateContentRequest)
        edited = _set_inner_model(inner, name)
        if edited != inner:
            sets["generateContentRequest"] = edited
    if seen.requests is not UNSET and bytes(seen.requests).startswith(b"["):
        requests = [bytes(item) for item in msgspec.json.decode(seen.requests, type=list[Raw])]
        renamed = [_set_inner_model(item, name) for item in requests]
        if renamed != requests:
            sets["requests"] = b"[" + b",".join(renamed) + b"]"
    return envelope.edit(body, sets) if sets else body


def _set_inner_model(item: bytes, name: bytes) -> bytes:
    if b'"model"' not in item or not item.startswith(b"{"):
        return item
    seen = envelope.peek(item, _GeminiModels).model
    return item if seen is UNSET or bytes(seen) == name else envelope.edit(item, {"model": name})


# --- the records that catalog.py hands out ----------------------------------------------------------------


class _Thinking(Struct):
    thinking: object = None
    max_tokens: object = None
    output_config: object = None


def claude_thinking(body: bytes, model: str) -> bytes:
    """Edit: ``thinking`` with a budget, in the form that the model takes.

    The budget must be below ``max_tokens`` (Fault 400). Models that think adaptively get ``adaptive`` with an effort of
    the budget's size (up to 2 000 low, up to 16 000 medium, else high); for others a budget below 1 024 is raised to
    that, and ``max_tokens`` by as much.
    """
    if b'"thinking"' not in body:
        return body
    seen = envelope.peek(body, _Thinking)
    wanted, most = seen.thinking, seen.max_tokens
    if (
        not isinstance(wanted, dict)
        or wanted.get("type") != "enabled"
        or type(wanted.get("budget_tokens")) is not int
    ):
        return body
    budget = wanted["budget_tokens"]
    if type(most) is int and budget >= most:
        raise invalid_request("thinking.budget_tokens must be less than max_tokens", "thinking.budget_tokens")
    if ADAPTIVE_MODELS.search(model):
        effort = "low" if budget <= 2_000 else "medium" if budget <= 16_000 else "high"
        config = seen.output_config if isinstance(seen.output_config, dict) else {}
        adaptive = {"type": "adaptive", "display": wanted.get("display", "summarized")}
        return envelope.edit(
            body,
            {
                "thinking": msgspec.json.encode(adaptive),
                "output_config": msgspec.json.encode({"effort": effort, **config}),
            },
        )
    if budget >= LEAST_BUDGET:
        return body
    sets = {"thinking": msgspec.json.encode({**wanted, "budget_tokens": LEAST_BUDGET})}
    if type(most) is int:
        sets["max_tokens"] = str(most + LEAST_BUDGET - budget).encode()
    return envelope.edit(body, sets)


LEAST_BUDGET = 1024
ADAPTIVE_MODELS = re.compile(r"claude-(?:opus-4-(?:[7-9]|\d\d)(?!\d)|(?:opus|sonnet|haiku)-[5-9])")
REASONING_MODELS = re.compile(r"(?:^|[/.])(?:gpt-[5-9]|gpt-\d\d|o\d+(?:-|$))")

MAX_COMPLETION_TOKENS = Quirk(
    name="max_tokens_to_max_completion_tokens",
    ops=CHAT,
    models=REASONING_MODELS,
    fn=rename("max_tokens", "max_completion_tokens"),
    source="OpenAI API reference, chat/create: max_tokens is not compatible with reasoning models (C30)",
)
NULL_MEMBERS = Quirk(
    name="drop_null_members",
    ops=CHAT,
    fn=drop_null_members,
    source="openai/openai-python#1351: None is not of type 'array' for messages.N.tool_calls (C14)",
)
NO_REASONING_CONTENT = Quirk(
    name="drop_reasoning_content",
    ops=CHAT,
    fn=drop_message_members("reasoning_content"),
    source="Groq: 400 property 'reasoning_content' is unsupported (janhq/jan#8136); Mistral: extra_forbidden",
)
MISTRAL_MAX_TOKENS = Quirk(
    name="max_completion_tokens_to_max_tokens",
    ops=CHAT,
    fn=rename("max_completion_tokens", "max_tokens"),
    source="Mistral answers 422 extra_forbidden for max_completion_tokens (editor-code-assistant/eca#231)",
)
MISTRAL_STRICT = Quirk(
    name="drop_unknown_to_mistral",
    ops=CHAT,
    fn=drop("stream_options", "store", "user"),
    source="Mistral answers 422 extra_forbidden (avante.nvim#2347, openclaude#739); its streams end with usage",
)
GEMINI_INNER_MODELS = Quirk(
    name="gemini_inner_models",
    ops=frozenset({"gemini_count", "gemini_embed", "gemini_batch_embed"}),
    fn=gemini_inner_models,
    source="ai.google.dev/api/embeddings: model must match the model of the path",
)
UNSIGNED_THINKING = Quirk(
    name="drop_unsigned_thinking",
    ops=frozenset({"messages", "count_tokens"}),
    models=re.compile("claude"),
    fn=drop_unsigned_thinking,
    source="platform.claude.com extended thinking: a thinking block goes back with the signature that it came with",
)
CLAUDE_THINKING = Quirk(
    name="claude_thinking",
    ops=frozenset({"messages", "count_tokens"}),
    models=re.compile("claude"),
    fn=claude_thinking,
    source="platform.claude.com extended thinking: at least 1024, below max_tokens; Opus 4.7 takes adaptive only (C6)",
)
