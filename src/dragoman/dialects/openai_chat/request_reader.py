"""A Chat Completions request as a conversation.

https://platform.openai.com/docs/api-reference/chat/create, plus what common clients add: OpenRouter's ``reasoning``,
``top_k``, cache marks, carriers of reasoning (``reasoning``), the old ``functions``. Members nobody models are extras.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from dragoman.core.conversation import Conversation, Json, OutputFormat, Path, Reasoning
from dragoman.core.facts import EFFORTS
from dragoman.dialects.openai_chat.members import (
    ORIGIN,
    decoded,
    expected,
    flag,
    needed,
    number,
    positive,
    record,
    string,
    strings,
    whole,
    wrong,
)
from dragoman.dialects.openai_chat.message_reader import read_turns
from dragoman.dialects.openai_chat.parts import Bound
from dragoman.dialects.openai_chat.tools import read_choice, read_tools

_CHOICES_LIMIT: Final = 128
Member = Callable[[dict[str, Any], str], Any]


def read_request(body: bytes) -> Conversation:
    """The body of ``POST /v1/chat/completions``. Fault 400 naming the member for what cannot be one."""
    raw = decoded(body)
    bound: Bound = []
    turns = read_turns(raw, bound)
    said, fields = read_members(raw, MEMBERS)
    tools = read_tools(raw)
    choice = read_choice(raw)
    reasoning, reasoning_at = _reasoning(raw)
    if tools:
        fields["tools"] = ("tools",)
    if choice is not None:
        fields["tool_choice"] = ("tool_choice" if raw.get("tool_choice") is not None else "function_call",)
    if reasoning is not None:
        fields["reasoning"] = reasoning_at
    if "audio" in said.get("modalities", ()):
        bound.append((("modalities",), "audio output"))
    if record(raw, "audio") is not None:
        bound.append((("audio",), "audio output"))
    extras = {name: value for name, value in raw.items() if name not in _READ and value is not None}
    if reasoning is not None and reasoning_at == ("thinking",):
        extras["$thinking"] = extras.pop("thinking")
    if raw.get("user") and raw.get("safety_identifier") and raw["user"] != raw["safety_identifier"]:
        extras["user"] = raw["user"]
    return Conversation(
        origin=ORIGIN,
        turns=turns,
        tools=tools,
        tool_choice=choice,
        reasoning=reasoning,
        bound=tuple(bound),
        extras=extras,
        fields=fields,
        **said,
    )


def read_members(
    raw: dict[str, Any], table: Iterable[tuple[str, str, Member]]
) -> tuple[dict[str, Any], dict[str, Path]]:
    """IR field → value, and IR field → path, of every member of the table that is given; later rows win."""
    said: dict[str, Any] = {}
    fields: dict[str, Path] = {}
    for name, field, reader in table:
        value = reader(raw, name)
        if value is not None:
            said[field] = value
            fields[field] = (name,)
    return said, fields


# --- single members ---------------------------------------------------------------------------------------


def read_stop(raw: dict[str, Any], name: str) -> tuple[str, ...] | None:
    """A string or an array of strings; empty ones stop nothing."""
    value = raw.get(name)
    words = (value,) if type(value) is str else strings(raw, name)
    return tuple(word for word in words if word) or None if words is not None else None


def read_bias(raw: dict[str, Any], name: str) -> Mapping[str, float] | None:
    bias = record(raw, name)
    for token in bias or ():
        number(bias or {}, token, (name,))
    return bias or None


def read_choices(raw: dict[str, Any], name: str) -> int | None:
    count = positive(raw, name)
    if count is not None and count > _CHOICES_LIMIT:
        raise wrong((name,), f"must be at most {_CHOICES_LIMIT}")
    return count


def _top(raw: dict[str, Any], name: str) -> int | None:
    count = whole(raw, name)
    if count is not None and not 0 <= count <= 20:
        raise wrong((name,), "must be from 0 to 20")
    return count


def read_metadata(raw: dict[str, Any], name: str) -> Mapping[str, Json] | None:
    return record(raw, name) or None


def read_word(raw: dict[str, Any], name: str) -> str | None:
    return string(raw, name) or None


def _format(raw: dict[str, Any], name: str) -> OutputFormat | None:
    value = record(raw, name)
    if value is None:
        return None
    at: Path = (name,)
    kind = needed(value, "type", at)
    if kind == "text":
        return None
    if kind == "json_object":
        return OutputFormat(kind="json_object")
    if kind != "json_schema":
        raise wrong((*at, "type"), "must be text, json_object or json_schema")
    inner = record(value, "json_schema", at)
    if inner is None:
        raise wrong((*at, "json_schema"), "an object is required")
    spot: Path = (*at, "json_schema")
    return OutputFormat(
        kind="json_schema",
        name=string(inner, "name", spot) or "",
        description=string(inner, "description", spot) or "",
        schema=record(inner, "schema", spot),
        strict=flag(inner, "strict", spot),
    )


SAMPLING: Final[tuple[tuple[str, str, Member], ...]] = (
    ("temperature", "temperature", number),
    ("top_p", "top_p", number),
    ("frequency_penalty", "frequency_penalty", number),
    ("presence_penalty", "presence_penalty", number),
    ("seed", "seed", whole),
    ("stop", "stop", read_stop),
    ("logit_bias", "logit_bias", read_bias),
    ("n", "choices", read_choices),
    ("user", "user", read_word),
)
"""(member, IR field, reader) of what the chat and the old completions endpoint share."""

MEMBERS: Final[tuple[tuple[str, str, Member], ...]] = (
    *SAMPLING,
    ("top_k", "top_k", whole),
    ("max_tokens", "max_output", positive),
    ("max_completion_tokens", "max_output", positive),
    ("logprobs", "logprobs", flag),
    ("top_logprobs", "top_logprobs", _top),
    ("parallel_tool_calls", "parallel_tools", flag),
    ("response_format", "output_format", _format),
    ("verbosity", "verbosity", read_word),
    ("safety_identifier", "user", read_word),
    ("metadata", "metadata", read_metadata),
    ("prompt_cache_key", "cache_key", read_word),
    ("service_tier", "service_tier", read_word),
    ("modalities", "modalities", strings),
    ("store", "store", flag),
)
_STEERING: Final = ("model", "stream", "stream_options")
_READ: Final = frozenset(
    {
        *_STEERING,
        *(row[0] for row in MEMBERS),
        *("messages", "tools", "tool_choice", "functions", "function_call", "web_search_options"),
        *("reasoning_effort", "reasoning"),
    }
)


def _reasoning(raw: dict[str, Any]) -> tuple[Reasoning | None, Path]:
    """``reasoning_effort``, or OpenRouter's ``reasoning: {effort | max_tokens | enabled, exclude}``, with its path."""
    effort = _effort(raw, "reasoning_effort", ())
    if effort is not None:
        return _by_effort(effort), ("reasoning_effort",)
    spec = record(raw, "reasoning")
    at: Path = ("reasoning",)
    if spec is None:
        return _thinking(raw.get("thinking")), ("thinking",)
    visible = flag(spec, "exclude", at) is not True
    effort = _effort(spec, "effort", at)
    if effort is not None:
        asked = _by_effort(effort)
        return (asked if visible else Reasoning(mode=asked.mode, effort=asked.effort)), at
    budget = whole(spec, "max_tokens", at)
    enabled = flag(spec, "enabled", at)
    if enabled is False or budget == 0:
        return Reasoning(mode="off"), at
    if budget is not None and budget < 0:
        raise expected((*at, "max_tokens"), "a positive integer", budget)
    if budget is None and enabled is None:
        return None, at
    return Reasoning(mode="on", budget=budget, visible=visible), at


def _thinking(value: object) -> Reasoning | None:
    """Anthropic's member on a chat request, which DeepSeek and GLM know without a budget; None for what is neither."""
    asked = value if isinstance(value, dict) else {}
    budget = asked.get("budget_tokens")
    match asked.get("type"):
        case "disabled":
            return Reasoning(mode="off")
        case "adaptive":
            return Reasoning(mode="adaptive", visible=True)
        case "enabled":
            given = budget if type(budget) is int and budget > 0 else None
            return Reasoning(mode="on", budget=given, visible=True)
    return None


def _by_effort(effort: str) -> Reasoning:
    if effort == "none":
        return Reasoning(mode="off")
    return Reasoning(mode="on", effort=effort, visible=True)


def _effort(source: dict[str, Any], name: str, at: Path) -> str | None:
    effort = string(source, name, at) or None
    if effort is not None and effort not in EFFORTS:
        raise wrong((*at, name), f"must be one of {', '.join(EFFORTS)}")
    return effort
