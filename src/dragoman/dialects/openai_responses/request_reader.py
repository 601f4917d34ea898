"""A Responses request → Conversation.

Facts: openai 3.52.0 ``types/responses/response_create_params.py``. What answers repeat of the request in the client's
own words is kept as raw JSON in ``extras["$echo"]``; the descriptions of namespaces, which no tool carries, in
``extras["$namespaces"]``. Members that say what is the rule anyway (``truncation: "disabled"``, ``background: false``,
``service_tier: "auto"``) count as not said.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from dragoman.core import envelope
from dragoman.core.conversation import Conversation, Json, OutputFormat, Path, Reasoning, Text
from dragoman.core.facts import EFFORTS
from dragoman.core.faults import invalid_request
from dragoman.dialects.openai_responses.checked import (
    ORIGIN,
    flag,
    listed,
    mapped,
    needed,
    not_too_deep,
    number,
    refuse,
    string,
    whole,
    word,
)
from dragoman.dialects.openai_responses.item_reader import ItemReader
from dragoman.dialects.openai_responses.tool_reader import (
    Declared,
    declared,
    hosted_choice,
    read_choice,
    read_tools,
)

ENCRYPTED: Final = "reasoning.encrypted_content"
LOGPROBS: Final = "message.output_text.logprobs"
_STEERING: Final = ("model", "stream", "stream_options")
_MODELLED: Final = frozenset(
    {
        *_STEERING,
        "include",
        "input",
        "instructions",
        "max_output_tokens",
        "metadata",
        "parallel_tool_calls",
        "previous_response_id",
        "prompt_cache_key",
        "reasoning",
        "safety_identifier",
        "service_tier",
        "store",
        "temperature",
        "text",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
    }
)
_FIELDS: Final[dict[str, Path]] = {
    "system": ("instructions",),
    "tools": ("tools",),
    "tool_choice": ("tool_choice",),
    "parallel_tools": ("parallel_tool_calls",),
    "max_output": ("max_output_tokens",),
    "temperature": ("temperature",),
    "top_p": ("top_p",),
    "logprobs": ("include",),
    "top_logprobs": ("top_logprobs",),
    "output_format": ("text", "format"),
    "verbosity": ("text", "verbosity"),
    "reasoning": ("reasoning",),
    "user": ("safety_identifier",),
    "metadata": ("metadata",),
    "cache_key": ("prompt_cache_key",),
    "service_tier": ("service_tier",),
    "previous_id": ("previous_response_id",),
    "store": ("store",),
}
_AS_EVER: Final[dict[str, Json]] = {"truncation": "disabled", "background": False}
_BOUND: Final = {
    "conversation": "stored conversation",
    "prompt": "stored prompt",
    "background": "background response",
}
_ECHOED: Final = ("tools", "tool_choice", "text", "previous_response_id")


def read_request(body: bytes) -> Conversation:
    """The conversation that ``body`` asks to go on. Fault 400 naming the member for what is no Responses request."""
    request = _decoded(body)
    if request.get("previous_response_id") is not None and request.get("conversation") is not None:
        raise refuse(
            ("previous_response_id",), "it cannot be given together with conversation; use one of them"
        )
    into = declared()
    read_tools(request.get("tools"), ("tools",), into)
    items = ItemReader(into)
    _need_input(request)
    items.read(request.get("input") if request.get("input") is not None else [])
    extras = _extras(request, into)
    instructions = string(request.get("instructions"), ("instructions",))
    wanted = _Wanted.of(request)
    shape = mapped(request.get("text"), ("text",))
    tier = string(request.get("service_tier"), ("service_tier",))
    user = string(request.get("safety_identifier"), ("safety_identifier",))
    fields = {name: at for name, at in _FIELDS.items() if _given(request, at)}
    if not user and request.get("user") is not None:
        user = string(extras.pop("user"), ("user",))
        fields["user"] = ("user",)
    return Conversation(
        origin=ORIGIN,
        turns=tuple(items.turns),
        system=(Text(text=instructions, at=("instructions",)),) if instructions else (),
        tools=tuple(into.tools),
        tool_choice=read_choice(request.get("tool_choice")),
        parallel_tools=flag(request.get("parallel_tool_calls"), ("parallel_tool_calls",)),
        max_output=whole(request.get("max_output_tokens"), ("max_output_tokens",), least=1),
        temperature=number(request.get("temperature"), ("temperature",)),
        top_p=number(request.get("top_p"), ("top_p",)),
        logprobs=wanted.logprobs,
        top_logprobs=wanted.top_logprobs,
        output_format=_format(shape.get("format")),
        verbosity=string(shape.get("verbosity"), ("text", "verbosity")),
        reasoning=_reasoning(request.get("reasoning")),
        user=user,
        metadata=mapped(request.get("metadata"), ("metadata",)),
        cache_key=string(request.get("prompt_cache_key"), ("prompt_cache_key",)),
        service_tier="" if tier == "auto" else tier,
        previous_id=string(request.get("previous_response_id"), ("previous_response_id",)),
        store=flag(request.get("store"), ("store",)),
        bound=tuple(into.bound),
        extras=extras,
        fields=fields,
    )


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        request = msgspec.json.decode(body)
    except envelope.BAD_JSON:
        envelope.members(body)
        raise invalid_request("The request body is not valid JSON, or it is nested too deeply") from None
    if type(request) is not dict:
        raise invalid_request("The request body must be a JSON object")
    not_too_deep(request)
    return request


def _need_input(request: dict[str, Any]) -> None:
    others = ("previous_response_id", "conversation", "prompt")
    if request.get("input") is None and all(request.get(name) is None for name in others):
        raise refuse(("input",), "a string or an array of items is required")


def _given(request: dict[str, Any], at: Path) -> bool:
    value: Json = request
    for step in at:
        value = value.get(step) if type(value) is dict else None
    return value is not None


class _Wanted(Struct, frozen=True):
    """What ``include`` and ``top_logprobs`` ask for. others: the entries that nobody modelled."""

    logprobs: bool
    top_logprobs: int | None
    others: tuple[str, ...]

    @classmethod
    def of(cls, request: dict[str, Any]) -> _Wanted:
        at: Path = ("include",)
        names = [needed(name, (*at, place)) for place, name in enumerate(listed(request.get("include"), at))]
        top = whole(request.get("top_logprobs"), ("top_logprobs",))
        others = tuple(name for name in names if name not in (ENCRYPTED, LOGPROBS))
        return cls(LOGPROBS in names or bool(top), top, others)


def _extras(request: dict[str, Any], into: Declared) -> dict[str, Json]:
    """The members that are no fields; those that bind the request to its vendor are noted in ``into.bound``."""
    extras = {
        name: value
        for name, value in request.items()
        if name not in _MODELLED and value is not None and (name not in _AS_EVER or _AS_EVER[name] != value)
    }
    flag(request.get("background"), ("background",))
    into.bound.extend(((name,), what) for name, what in _BOUND.items() if name in extras)
    if others := _Wanted.of(request).others:
        extras["include"] = list(others)
    choice = request.get("tool_choice")
    if kind := hosted_choice(choice):
        extras["tool_choice"] = choice
        into.bound.append((("tool_choice", "type"), f"forced {kind.replace('_', ' ')}"))
    echo = {name: request[name] for name in _ECHOED if request.get(name) is not None}
    if echo:
        extras["$echo"] = echo
    if into.namespaces:
        extras["$namespaces"] = dict(into.namespaces)
    return extras


def _format(value: Json) -> OutputFormat | None:
    at: Path = ("text", "format")
    shape = mapped(value, at)
    kind = word(shape.get("type"), (*at, "type"), ("text", "json_object", "json_schema"))
    if shape and not kind:
        raise refuse((*at, "type"), "text, json_object or json_schema is required")
    if kind == "json_object":
        return OutputFormat(kind="json_object")
    if kind != "json_schema":
        return None
    schema = shape.get("schema")
    if schema is None:
        raise refuse((*at, "schema"), "an object is required")
    return OutputFormat(
        kind="json_schema",
        name=needed(shape.get("name"), (*at, "name")),
        description=string(shape.get("description"), (*at, "description")),
        schema=mapped(schema, (*at, "schema")),
        strict=flag(shape.get("strict"), (*at, "strict")),
    )


def _reasoning(value: Json) -> Reasoning | None:
    """A summary alone asks to see what the model thinks as it likes: adaptive. ``generate_summary`` is the old name."""
    at: Path = ("reasoning",)
    asked = mapped(value, at)
    effort = word(asked.get("effort"), (*at, "effort"), EFFORTS)
    name = "summary" if asked.get("summary") is not None else "generate_summary"
    summary = word(asked.get(name), (*at, name), ("auto", "concise", "detailed", "none"))
    summary = "" if summary == "none" else summary
    if effort == "none":
        return Reasoning(mode="off", summary=summary, visible=bool(summary))
    if not effort and not summary:
        return None
    return Reasoning(
        mode="on" if effort else "adaptive", effort=effort, summary=summary, visible=bool(summary)
    )
