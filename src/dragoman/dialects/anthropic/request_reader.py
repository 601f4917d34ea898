"""A client's Messages request as a conversation.

Facts (anthropic 2.11.0 ``MessageCreateParams``, and what Claude Code sends): ``max_tokens`` is required, but not by
``count_tokens``; ``system`` is a string or text blocks; a message of role ``system`` may stand among ``messages``;
``thinking`` and ``output_config.effort`` steer reasoning apart from each other. Members nobody modelled are extras.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from dragoman.core import envelope
from dragoman.core.conversation import Conversation, Json, OutputFormat, Path, Reasoning, Turn
from dragoman.core.faults import invalid_request
from dragoman.dialects.anthropic.content_reader import Bound, read_content, read_system
from dragoman.dialects.anthropic.members import ORIGIN, Members, refused, shallow
from dragoman.dialects.anthropic.tool_reader import read_choice, read_tools

_EFFORTS: Final = ("low", "medium", "high", "xhigh", "max")
_THINKING: Final = ("enabled", "disabled", "adaptive", "between_tools")
_ROLES: Final[Mapping[str, Literal["system", "user", "assistant"]]] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
}
# Members that are fields of the conversation, or steer the gateway only.
_KNOWN: Final = frozenset(
    {
        "model",
        "stream",
        "messages",
        "system",
        "max_tokens",
        "temperature",
        "top_p",
        "top_k",
        "stop_sequences",
        "tools",
        "tool_choice",
        "thinking",
        "output_config",
        "output_format",
        "metadata",
    }
)
_BOUND: Final[Mapping[str, str]] = {"container": "a container", "mcp_servers": "MCP servers"}
_FIELDS: Final[Mapping[str, Path]] = {
    "system": ("system",),
    "max_output": ("max_tokens",),
    "temperature": ("temperature",),
    "top_p": ("top_p",),
    "top_k": ("top_k",),
    "stop": ("stop_sequences",),
    "tools": ("tools",),
    "tool_choice": ("tool_choice",),
    "parallel_tools": ("tool_choice", "disable_parallel_tool_use"),
    "user": ("metadata", "user_id"),
    "metadata": ("metadata",),
}


def read_request(body: bytes, *, counting: bool = False) -> Conversation:
    """The conversation in a body of /v1/messages, or (``counting``) of /v1/messages/count_tokens, which states no
    ``max_tokens``. Fault 400 naming the member for what cannot be such a request."""
    top = Members(_decoded(body), ())
    bound: Bound = []
    turns = _turns(top, bound)
    system = read_system(top.get("system"), ("system",), bound)
    tools = read_tools(top, bound)
    choice, parallel = read_choice(top)
    limit = _limit(top, counting, bound)
    reasoning, thought_at = _reasoning(top, None if counting else limit)
    output_format, format_at = _output_format(top)
    metadata = top.under("metadata") or Members({}, ("metadata",))
    return Conversation(
        origin=ORIGIN,
        turns=turns,
        system=system,
        tools=tools,
        tool_choice=choice,
        parallel_tools=parallel,
        max_output=limit,
        temperature=top.number("temperature"),
        top_p=top.number("top_p"),
        top_k=top.whole("top_k"),
        stop=top.strings("stop_sequences"),
        output_format=output_format,
        reasoning=reasoning,
        user=metadata.text("user_id"),
        metadata={name: value for name, value in metadata.value.items() if name != "user_id"},
        bound=(*bound, *(((name,), what) for name, what in _BOUND.items() if top.get(name) is not None)),
        extras=_extras(top),
        fields={
            **{name: at for name, at in _FIELDS.items() if top.get(str(at[0])) is not None},
            **({"reasoning": thought_at} if reasoning is not None else {}),
            **({"output_format": format_at} if output_format is not None else {}),
        },
    )


def _decoded(body: bytes) -> Json:
    try:
        return msgspec.json.decode(body)
    except envelope.BAD_JSON:
        envelope.members(body)  # says what is wrong with the JSON
        raise invalid_request("The request body holds a number or a nesting that cannot be read") from None


def _turns(top: Members, bound: Bound) -> tuple[Turn, ...]:
    turns: list[Turn] = []
    listed = top.each("messages")
    if not listed:
        raise refused(("messages",), "at least one message is required")
    for value, at in listed:
        message = Members(value, at)
        role = message.needed_text("role")
        if role not in _ROLES:
            raise refused(message.path("role"), f"must be one of {', '.join(_ROLES)}")
        blocks = read_content(message.get("content"), message.path("content"), role, bound)
        turns.append(Turn(role=_ROLES[role], blocks=blocks, at=at))
    return tuple(turns)


def _limit(top: Members, counting: bool, bound: Bound) -> int | None:
    limit = top.whole("max_tokens")
    if limit is None:
        if not counting:
            raise refused(("max_tokens",), "is required")
        return None
    if limit < 0:
        raise refused(("max_tokens",), "must not be negative")
    if limit == 0:
        bound.append((("max_tokens",), "a request that only fills the prompt cache"))
    return limit


def _reasoning(top: Members, limit: int | None) -> tuple[Reasoning | None, Path]:
    """``thinking`` and ``output_config.effort``; an effort alone leaves it to the model whether to think."""
    config = top.under("output_config")
    effort = config.word("effort", _EFFORTS) if config else ""
    thinking = top.under("thinking")
    if thinking is None:
        alone = Reasoning(mode="adaptive", effort=effort) if effort else None
        return alone, ("output_config", "effort")
    kind = thinking.word("type", _THINKING) or thinking.needed_text("type")
    if kind == "disabled":
        return Reasoning(mode="off", effort=effort), ("thinking",)
    visible = thinking.word("display", ("summarized", "omitted")) != "omitted"
    if kind != "enabled":
        return Reasoning(mode="adaptive", effort=effort, visible=visible), ("thinking",)
    budget = thinking.whole("budget_tokens")
    if budget is None or budget < 1:
        raise refused(thinking.path("budget_tokens"), "a positive integer is required")
    if limit is not None and budget >= limit:
        raise refused(thinking.path("budget_tokens"), "must be less than max_tokens")
    return Reasoning(mode="on", effort=effort, budget=budget, visible=visible), ("thinking",)


def _output_format(top: Members) -> tuple[OutputFormat | None, Path]:
    """``output_config.format``, or ``output_format`` as the beta had it."""
    config = top.under("output_config")
    wanted = (config.under("format") if config else None) or top.under("output_format")
    if wanted is None:
        return None, ()
    wanted.word("type", ("json_schema",))
    wanted.needed_text("type")
    schema = wanted.under("schema")
    if schema is None:
        raise refused(wanted.path("schema"), "is required")
    return OutputFormat(kind="json_schema", schema=shallow(schema.value, schema.at)), wanted.at


def _extras(top: Members) -> dict[str, Json]:
    extras = {
        name: shallow(value, (name,))
        for name, value in top.value.items()
        if name not in _KNOWN and value is not None
    }
    config = top.under("output_config")
    rest = {
        name: shallow(value, ("output_config", name))
        for name, value in (config.value.items() if config else ())
        if name not in ("effort", "format") and value is not None
    }
    return {**extras, "output_config": rest} if rest else extras
