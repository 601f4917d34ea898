"""Tools and tool_choice of a Responses request.

Functions are flat here (``{"type":"function","name",…}``), free-text tools are ``custom``, and a ``namespace`` holds
functions and custom tools of its own. Everything else runs at the vendor and is bound to it, but for web search,
which other vendors have as well; Codex declares it in every request, hence it is optional.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct

from dragoman.core.conversation import Function, Json, Opaque, Path, Tool, ToolChoice, WebSearch
from dragoman.dialects.openai_responses.checked import (
    ORIGIN,
    entries,
    flag,
    listed,
    mapped,
    needed,
    refuse,
    string,
    word,
)

CHOICE_WORDS: Final = ("auto", "none", "required")


class Declared(Struct):
    """What a request declares. namespaces: name → description. bound: features of this vendor alone."""

    tools: list[Tool]
    namespaces: dict[str, str]
    bound: list[tuple[Path, str]]


def declared() -> Declared:
    return Declared([], {}, [])


def read_tools(value: Json, at: Path, into: Declared) -> None:
    for place, tool in entries(value, at):
        kind = needed(tool.get("type"), (*place, "type"))
        read = _READERS.get(kind) or (_web_search if kind.startswith("web_search") else None)
        if read is not None:
            read(tool, place, into)
        else:
            into.tools.append(Opaque(origin=ORIGIN, kind=kind, raw=tool, at=place))
            into.bound.append(((*place, "type"), kind.replace("_", " ")))


def _function(tool: dict[str, Any], at: Path, into: Declared, namespace: str = "") -> None:
    parameters = tool.get("parameters")
    into.tools.append(
        Function(
            name=needed(tool.get("name"), (*at, "name")),
            description=string(tool.get("description"), (*at, "description")),
            parameters=None if parameters is None else mapped(parameters, (*at, "parameters")),
            strict=flag(tool.get("strict"), (*at, "strict")),
            namespace=namespace,
            at=at,
        )
    )


def _custom(tool: dict[str, Any], at: Path, into: Declared, namespace: str = "") -> None:
    grammar = tool.get("format")
    into.tools.append(
        Function(
            name=needed(tool.get("name"), (*at, "name")),
            description=string(tool.get("description"), (*at, "description")),
            custom=True,
            format=None if grammar is None else mapped(grammar, (*at, "format")),
            namespace=namespace,
            at=at,
        )
    )


def _namespace(tool: dict[str, Any], at: Path, into: Declared) -> None:
    name = needed(tool.get("name"), (*at, "name"))
    into.namespaces[name] = string(tool.get("description"), (*at, "description"))
    for place, inner in entries(tool.get("tools"), (*at, "tools")):
        kind = needed(inner.get("type"), (*place, "type"))
        read = _IN_NAMESPACE.get(kind)
        if read is None:
            raise refuse((*place, "type"), "a namespace holds function and custom tools only")
        read(inner, place, into, name)


def _web_search(tool: dict[str, Any], at: Path, into: Declared) -> None:
    where = mapped(tool.get("user_location"), (*at, "user_location"))
    filters = mapped(tool.get("filters"), (*at, "filters"))
    domains = {
        name: tuple(
            needed(entry, (*at, "filters", name, number))
            for number, entry in enumerate(listed(filters.get(name), (*at, "filters", name)))
        )
        for name in ("allowed_domains", "blocked_domains")
    }
    into.tools.append(
        WebSearch(
            context_size=string(tool.get("search_context_size"), (*at, "search_context_size")),
            allowed_domains=domains["allowed_domains"],
            blocked_domains=domains["blocked_domains"],
            country=string(where.get("country"), (*at, "user_location", "country")),
            region=string(where.get("region"), (*at, "user_location", "region")),
            city=string(where.get("city"), (*at, "user_location", "city")),
            timezone=string(where.get("timezone"), (*at, "user_location", "timezone")),
            optional=True,
            at=at,
        )
    )


_READERS: Final[dict[str, Callable[[dict[str, Any], Path, Declared], None]]] = {
    "function": _function,
    "custom": _custom,
    "namespace": _namespace,
}
_IN_NAMESPACE: Final = {"function": _function, "custom": _custom}


def read_choice(value: Json) -> ToolChoice | None:
    """tool_choice; None if it is absent or names a tool that runs at the vendor (``hosted_choice``)."""
    at: Path = ("tool_choice",)
    if value is None:
        return None
    if type(value) is str:
        mode = word(value, at, CHOICE_WORDS)
        return ToolChoice(mode=mode) if mode else None  # type: ignore[arg-type]
    choice = mapped(value, at)
    kind = needed(choice.get("type"), (*at, "type"))
    if kind in ("function", "custom"):
        return ToolChoice(mode="tool", name=needed(choice.get("name"), (*at, "name")))
    if kind != "allowed_tools":
        return None
    mode = word(choice.get("mode"), (*at, "mode"), ("auto", "required")) or "auto"
    names = tuple(
        needed(tool["name"], (*place, "name"))
        for place, tool in entries(choice.get("tools"), (*at, "tools"))
        if tool.get("name") is not None
    )
    return ToolChoice(mode=mode, allowed=names)  # type: ignore[arg-type]


def hosted_choice(value: Json) -> str:
    """The type of the vendor's own tool that tool_choice forces; "" if it does not."""
    kind = value.get("type") if type(value) is dict else None
    return kind if type(kind) is str and kind not in ("function", "custom", "allowed_tools") else ""
