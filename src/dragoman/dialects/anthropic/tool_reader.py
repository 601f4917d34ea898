"""Tools of a Messages request and the choice among them.

Facts (anthropic 2.11.0 ``ToolUnionParam``): a tool without ``type`` or of type ``custom`` is the client's own; every
other type is a tool of Anthropic's, named with a date (``web_search_20250305``). ``web_search`` alone exists elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal

from dragoman.core.conversation import Function, Json, Opaque, Path, Tool, ToolChoice, WebSearch
from dragoman.dialects.anthropic.content_reader import Bound, read_cache
from dragoman.dialects.anthropic.members import ORIGIN, Members, refused, shallow

_DATE: Final = re.compile(r"_\d{8}$")
_MODES: Final[Mapping[str, Literal["auto", "none", "required", "tool"]]] = {
    "auto": "auto",
    "none": "none",
    "any": "required",
    "tool": "tool",
}


def read_tools(top: Members, bound: Bound) -> tuple[Tool, ...]:
    """``tools``; what only Anthropic can run goes to ``bound``."""
    return tuple(_tool(value, at, bound) for value, at in top.each("tools"))


def _tool(value: Json, at: Path, bound: Bound) -> Tool:
    tool = Members(value, at)
    kind = tool.text("type")
    if kind in ("", "custom"):
        return _function(tool)
    if kind.startswith("web_search_"):
        return _web_search(tool)
    bound.append((tool.path("type"), f"the {_DATE.sub('', kind).replace('_', ' ')} tool"))
    return Opaque(origin=ORIGIN, kind=kind, raw=shallow(tool.value, at), at=at)


def _function(tool: Members) -> Function:
    schema = tool.under("input_schema")
    if schema is None:
        raise refused(tool.path("input_schema"), "is required")
    return Function(
        name=tool.needed_text("name"),
        description=tool.text("description"),
        parameters=shallow(schema.value, schema.at),
        strict=tool.flag("strict"),
        cache=read_cache(tool),
        at=tool.at,
    )


def _web_search(tool: Members) -> WebSearch:
    place = tool.under("user_location") or Members({}, tool.at)
    return WebSearch(
        allowed_domains=tool.strings("allowed_domains"),
        blocked_domains=tool.strings("blocked_domains"),
        max_uses=tool.whole("max_uses"),
        country=place.text("country"),
        region=place.text("region"),
        city=place.text("city"),
        timezone=place.text("timezone"),
        at=tool.at,
    )


def read_choice(top: Members) -> tuple[ToolChoice | None, bool | None]:
    """``tool_choice`` as (choice, parallel tools): parallel is False where it is forbidden, else None."""
    choice = top.under("tool_choice")
    if choice is None:
        return None, None
    mode = _MODES[choice.word("type", tuple(_MODES)) or choice.needed_text("type")]
    single = choice.flag("disable_parallel_tool_use") and mode != "none"
    name = choice.needed_text("name") if mode == "tool" else ""
    return ToolChoice(mode=mode, name=name), False if single else None
