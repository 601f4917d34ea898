"""Tools and the choice among them for Anthropic.

Facts (anthropic 2.11.0): names match ``[a-zA-Z0-9_-]{1,64}``; ``input_schema`` is required and of type object; a request
with tool blocks in its history must declare tools; ``disable_parallel_tool_use`` stands in ``tool_choice`` and is not
known beside ``none``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from dragoman.core.conversation import (
    Conversation,
    Function,
    Json,
    Loss,
    Opaque,
    Tool,
    ToolCall,
    Turn,
    WebSearch,
    rejected,
)
from dragoman.core.tools import CUSTOM_PARAMETERS, WireNames
from dragoman.dialects.anthropic.marks import Marks
from dragoman.dialects.anthropic.schema import input_schema

NAME_LIMIT: Final = 64
_WEB_SEARCH: Final = "web_search"
_MODES: Final[Mapping[str, str]] = {"auto": "auto", "none": "none", "required": "any", "tool": "tool"}


def chosen(conversation: Conversation) -> tuple[Tool, ...]:
    """The tools to declare: all, or those that ``allowed`` names (all again if it names none of them)."""
    choice = conversation.tool_choice
    if choice is None or not choice.allowed:
        return conversation.tools
    allowed = tuple(tool for tool in conversation.tools if _name(tool) in choice.allowed)
    return allowed or conversation.tools


def _name(tool: Tool) -> str:
    if isinstance(tool, Function):
        return tool.name
    return _WEB_SEARCH if isinstance(tool, WebSearch) else tool.kind


def write_tools(
    conversation: Conversation, names: WireNames, marks: Marks, losses: list[Loss]
) -> list[dict[str, Json]]:
    """``tools``. Fault 400 for a tool that only its own vendor has."""
    written: list[dict[str, Json]] = []
    known: set[str] = set()
    for tool in chosen(conversation):
        if isinstance(tool, Function):
            block = _function(tool, names)
            if block["name"] in known:
                losses.append(Loss(tool.at, "two tools cannot have one name"))
                continue
            known.add(block["name"])
            marks.put(block, tool.cache, tool.at)
            written.append(block)
        elif isinstance(tool, Opaque):
            if tool.origin != "anthropic":
                member = tool.kind if tool.origin == "gemini" else "type"
                raise rejected((*tool.at, member), conversation.origin, f"this model has no {tool.kind} tool")
            written.append(tool.raw)
        elif tool.optional and _WEB_SEARCH in known:
            losses.append(Loss(tool.at, "a function has the name of the web search tool"))
        else:
            written.append(_web_search(tool))
    return written


def _function(tool: Function, names: WireNames) -> dict[str, Json]:
    block: dict[str, Json] = {"name": names.wire(tool.name, tool.namespace)}
    if tool.description:
        block["description"] = tool.description
    block["input_schema"] = CUSTOM_PARAMETERS if tool.custom else input_schema(tool.parameters)
    if tool.strict is not None and not tool.custom:
        block["strict"] = tool.strict
    return block


def _web_search(tool: WebSearch) -> dict[str, Json]:
    block: dict[str, Json] = {"type": "web_search_20250305", "name": _WEB_SEARCH}
    if tool.max_uses is not None:
        block["max_uses"] = tool.max_uses
    if tool.allowed_domains:  # not both lists
        block["allowed_domains"] = tool.allowed_domains
    elif tool.blocked_domains:
        block["blocked_domains"] = tool.blocked_domains
    place = {
        "city": tool.city,
        "region": tool.region,
        "country": tool.country,
        "timezone": tool.timezone,
    }
    said = {name: value for name, value in place.items() if value}
    if said:
        block["user_location"] = {"type": "approximate", **said}
    return block


def remembered_tools(turns: Sequence[Turn], names: WireNames) -> list[dict[str, Json]]:
    """A declaration of every tool that the history calls, for a client that declares none any more."""
    called = {
        names.wire(block.name, block.namespace): None
        for turn in turns
        for block in turn.blocks
        if isinstance(block, ToolCall)
    }
    return [{"name": name, "input_schema": input_schema(None)} for name in called]


def write_choice(conversation: Conversation, names: WireNames) -> dict[str, Json] | None:
    """``tool_choice``, None where nothing was said."""
    choice = conversation.tool_choice
    single = conversation.parallel_tools is False
    if choice is None:
        return {"type": "auto", "disable_parallel_tool_use": True} if single else None
    written: dict[str, Json] = {"type": _MODES[choice.mode]}
    if choice.mode == "tool":
        written["name"] = _wire_name(choice.name, conversation.tools, names)
    if single and choice.mode != "none":
        written["disable_parallel_tool_use"] = True
    return written


def _wire_name(name: str, tools: Sequence[Tool], names: WireNames) -> str:
    """The wire name of the function with this name, whatever its namespace."""
    found = next((tool for tool in tools if isinstance(tool, Function) and tool.name == name), None)
    return names.wire(name, found.namespace if found else "")
