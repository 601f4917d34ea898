"""Tools, the choice among them and web search, between chat's nested form and the IR, in both directions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from dragoman.core.conversation import (
    Conversation,
    Function,
    Json,
    Loss,
    Opaque,
    Path,
    Tool,
    ToolChoice,
    WebSearch,
    rejected,
)
from dragoman.core.facts import Facts
from dragoman.core.tools import CUSTOM_PARAMETERS, WireNames
from dragoman.dialects.openai_chat.members import (
    ORIGIN,
    array,
    expected,
    flag,
    needed,
    record,
    string,
    strings,
    whole,
    wrong,
)
from dragoman.dialects.openai_chat.parts import cache_mark

_SEARCHES: Final = ("web_search", "web_search_preview")
_MODES: Final[Mapping[str, str]] = {"auto": "auto", "none": "none", "required": "required", "any": "required"}

_ROOTS: Final = ("anyOf", "oneOf", "allOf", "$ref")


# --- reading ----------------------------------------------------------------------------------------------


def read_tools(body: dict[str, Any]) -> tuple[Tool, ...]:
    """``tools``, then the old ``functions``, then ``web_search_options``."""
    tools: list[Tool] = []
    for place, raw in enumerate(array(body, "tools") or ()):
        at: Path = ("tools", place)
        if not isinstance(raw, dict):
            raise expected(at, "an object", raw)
        tools.append(_tool(raw, at))
    for place, raw in enumerate(array(body, "functions") or ()):
        at = ("functions", place)
        if not isinstance(raw, dict):
            raise expected(at, "an object", raw)
        tools.append(_function(raw, at, at, legacy=True))
    options = record(body, "web_search_options")
    if options is not None:
        tools.append(_web_search(options, ("web_search_options",), optional=False))
    return tuple(tools)


def _tool(raw: dict[str, Any], at: Path) -> Tool:
    kind = string(raw, "type", at) or ("function" if "function" in raw else "")
    if kind == "function":
        inner = record(raw, "function", at)
        if inner is not None:
            return _function(inner, (*at, "function"), at, cache_from=raw)
        if "name" not in raw:
            raise wrong((*at, "function"), "an object is required")
        return _function(raw, at, at)  # flat, as Responses has it: Cursor and others mix the two
    if kind == "custom":
        inner = record(raw, "custom", at)
        if inner is None:
            raise wrong((*at, "custom"), "an object is required")
        return Function(
            name=needed(inner, "name", (*at, "custom")),
            description=string(inner, "description", (*at, "custom")) or "",
            custom=True,
            format=_flat_format(record(inner, "format", (*at, "custom"))),
            at=at,
        )
    if kind in _SEARCHES:
        return _web_search(raw, at, optional=True)
    if not kind:
        raise wrong((*at, "type"), "a tool needs a type")
    return Opaque(origin=ORIGIN, kind=kind, raw=raw, at=at)


def _function(
    raw: dict[str, Any],
    path: Path,
    at: Path,
    *,
    legacy: bool = False,
    cache_from: dict[str, Any] | None = None,
) -> Function:
    return Function(
        name=needed(raw, "name", path),
        description=string(raw, "description", path) or "",
        parameters=record(raw, "parameters", path),
        strict=flag(raw, "strict", path),
        legacy=legacy,
        cache=cache_mark(cache_from or raw, at) or cache_mark(raw, path),
        at=at,
    )


def _flat_format(format_: dict[str, Any] | None) -> Json:
    """Chat puts the grammar of a free-text tool one level deeper than Responses, whose form the IR keeps."""
    inner = format_.get("grammar") if format_ else None
    return {"type": "grammar", **inner} if isinstance(inner, dict) else format_


def _web_search(raw: dict[str, Any], at: Path, *, optional: bool) -> WebSearch:
    location = record(raw, "user_location", at) or {}
    place_at: Path = (*at, "user_location")
    if "approximate" in location:
        location = record(location, "approximate", place_at) or {}
        place_at = (*place_at, "approximate")
    filters = record(raw, "filters", at) or {}
    return WebSearch(
        context_size=string(raw, "search_context_size", at) or "",
        allowed_domains=strings(filters, "allowed_domains", (*at, "filters")) or (),
        blocked_domains=strings(filters, "blocked_domains", (*at, "filters")) or (),
        max_uses=whole(raw, "max_uses", at),
        country=string(location, "country", place_at) or "",
        region=string(location, "region", place_at) or "",
        city=string(location, "city", place_at) or "",
        timezone=string(location, "timezone", place_at) or "",
        optional=optional,
        at=at,
    )


def read_choice(body: dict[str, Any]) -> ToolChoice | None:
    """``tool_choice``, or the old ``function_call`` where it is absent."""
    choice = body.get("tool_choice")
    if choice is None or choice == "":
        return _old_choice(body.get("function_call"))
    at: Path = ("tool_choice",)
    if type(choice) is str:
        mode = _MODES.get(choice)
        if mode is None:
            raise wrong(at, "must be auto, none, required or an object")
        return ToolChoice(mode=mode)  # type: ignore[arg-type]
    if not isinstance(choice, dict):
        raise expected(at, "a string or an object", choice)
    kind = string(choice, "type", at) or ("function" if "function" in choice else "")
    if kind in ("function", "custom"):
        if kind not in choice and "name" in choice:  # flat, as Responses has it
            return ToolChoice(mode="tool", name=needed(choice, "name", at))
        return ToolChoice(mode="tool", name=needed(record(choice, kind, at) or {}, "name", (*at, kind)))
    if kind in _MODES:
        return ToolChoice(mode=_MODES[kind])  # type: ignore[arg-type]
    if kind == "allowed_tools":
        return _allowed(record(choice, "allowed_tools", at) or {}, (*at, "allowed_tools"))
    raise wrong((*at, "type"), "must be function, custom or allowed_tools")


def _old_choice(choice: object) -> ToolChoice | None:
    at: Path = ("function_call",)
    if choice is None:
        return None
    if isinstance(choice, dict):
        return ToolChoice(mode="tool", name=needed(choice, "name", at))
    if choice == "auto" or choice == "none":
        return ToolChoice(mode="auto" if choice == "auto" else "none")
    raise wrong(at, "must be auto, none or an object with a name")


def _allowed(raw: dict[str, Any], at: Path) -> ToolChoice:
    mode = string(raw, "mode", at) or "auto"
    if mode not in ("auto", "required"):
        raise wrong((*at, "mode"), "must be auto or required")
    names: list[str] = []
    for place, tool in enumerate(array(raw, "tools", at) or ()):
        spot: Path = (*at, "tools", place)
        if not isinstance(tool, dict):
            raise expected(spot, "an object", tool)
        kind = "custom" if "custom" in tool else "function"
        names.append(needed(record(tool, kind, spot) or tool, "name", (*spot, kind)))
    return ToolChoice(mode="auto" if mode == "auto" else "required", allowed=tuple(names))


# --- writing ----------------------------------------------------------------------------------------------


def write_tools(
    conversation: Conversation, facts: Facts, names: WireNames, losses: list[Loss]
) -> dict[str, Any]:
    """``tools``, ``tool_choice``, ``parallel_tool_calls`` and ``web_search_options`` for the body.

    Fault 400 for a tool that only its own dialect knows. Without a tool there is no choice either: OpenAI refuses
    "tool_choice is only allowed when 'tools' are specified".
    """
    out: dict[str, Any] = {}
    native = facts.developer_role or conversation.origin == ORIGIN
    choice = conversation.tool_choice
    only = frozenset(choice.allowed) if choice is not None and not native else frozenset()
    tools = conversation.tools
    if only and any(isinstance(tool, Function) and tool.name in only for tool in tools):
        tools = tuple(tool for tool in tools if not isinstance(tool, Function) or tool.name in only)
    written: list[Json] = []
    for tool in tools:
        if isinstance(tool, Function):
            written.append(_written_function(tool, conversation.origin, facts, names, losses))
        elif isinstance(tool, WebSearch):
            _write_search(tool, conversation.origin, facts, out, losses)
        elif tool.origin == ORIGIN:
            written.append(tool.raw)
        else:
            raise rejected(_tool_path(tool.at, tool.kind, conversation.origin), conversation.origin, _UNKNOWN)
    if not written:
        return out
    out["tools"] = written
    if choice is not None:
        out["tool_choice"] = _written_choice(choice, conversation.tools, names, native=native)
    if conversation.parallel_tools is not None:
        out["parallel_tool_calls"] = conversation.parallel_tools
    return out


_UNKNOWN: Final = "this tool cannot be served by a Chat Completions upstream"


def _tool_path(at: Path, kind: str, origin: str) -> Path:
    """Where the client wrote the kind of a tool: in its ``type``, in Gemini as the member's name."""
    if at and isinstance(at[-1], int):
        return (*at, kind if origin == "gemini" else "type")
    return at


def _written_function(
    tool: Function, origin: str, facts: Facts, names: WireNames, losses: list[Loss]
) -> Json:
    function: dict[str, Any] = {"name": names.wire(tool.name, tool.namespace)}
    if tool.description:
        function["description"] = tool.description
    parameters = CUSTOM_PARAMETERS if tool.custom else tool.parameters
    if parameters is not None:
        function["parameters"] = parameters if origin == ORIGIN else with_properties(parameters)
    if tool.strict is not None:
        function["strict"] = tool.strict
    if tool.custom and tool.format is not None and tool.format != {"type": "text"}:
        losses.append(Loss((*tool.at, "format"), "the upstream takes no grammar for a tool"))
    out: dict[str, Any] = {"type": "function", "function": function}
    if tool.cache is not None:
        if facts.cache_control:
            out["cache_control"] = cache_control(tool.cache.ttl)
        else:
            losses.append(Loss((*tool.at, "cache_control"), "the upstream takes no cache marks"))
    return out


def with_properties(schema: Mapping[str, Json]) -> Mapping[str, Json]:
    """A tool's schema with what OpenAI demands of its root: an object's type and its properties, if only empty ones."""
    kind = schema.get("type", "object")
    if kind != "object" or "properties" in schema or any(name in schema for name in _ROOTS):
        return schema
    return {"type": "object", **schema, "properties": {}}


def cache_control(ttl: str) -> Json:
    """Anthropic's mark, as OpenRouter takes it."""
    return {"type": "ephemeral", "ttl": ttl} if ttl else {"type": "ephemeral"}


def _write_search(
    tool: WebSearch, origin: str, facts: Facts, out: dict[str, Any], losses: list[Loss]
) -> None:
    if not facts.web_search:
        at = _tool_path(tool.at, "googleSearch", origin)
        why = "the upstream model has no web search"
        if not tool.optional:
            raise rejected(at, origin, why)
        losses.append(Loss(tool.at, why))
        return
    options: dict[str, Any] = {}
    if tool.context_size:
        options["search_context_size"] = tool.context_size
    place = {
        name: value for name in ("country", "region", "city", "timezone") if (value := getattr(tool, name))
    }
    if place:
        options["user_location"] = {"type": "approximate", "approximate": place}
    for name in ("allowed_domains", "blocked_domains", "max_uses"):
        if getattr(tool, name):
            losses.append(Loss((*tool.at, name), "web_search_options cannot say this"))
    out["web_search_options"] = options


def _written_choice(choice: ToolChoice, tools: tuple[Tool, ...], names: WireNames, *, native: bool) -> Json:
    if choice.mode == "tool":
        return {"type": "function", "function": {"name": _wire_name(choice.name, tools, names)}}
    if choice.allowed and native and choice.mode != "none":
        allowed = [
            {"type": "function", "function": {"name": _wire_name(name, tools, names)}}
            for name in choice.allowed
        ]
        return {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode, "tools": allowed}}
    return choice.mode


def _wire_name(name: str, tools: tuple[Tool, ...], names: WireNames) -> str:
    """The wire name of the declared tool of this name, with the namespace that it was declared in."""
    found = next((tool for tool in tools if isinstance(tool, Function) and tool.name == name), None)
    return names.wire(name, found.namespace if found is not None else "")
