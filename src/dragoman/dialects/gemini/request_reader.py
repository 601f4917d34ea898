"""A client's ``generateContent`` body → Conversation.

The model and whether to stream stand in the path, not here. Facts: https://ai.google.dev/api/generate-content; the
spellings and enums of older clients: ``members``. Results without an id are paired with their calls by the writers
(``core.history.with_ids``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from dragoman.core import envelope
from dragoman.core.conversation import (
    Block,
    Conversation,
    FileId,
    Function,
    Media,
    Opaque,
    OutputFormat,
    Path,
    Reasoning,
    Tool,
    ToolChoice,
    ToolResult,
    Turn,
    WebSearch,
    rejected,
)
from dragoman.core.faults import invalid_request
from dragoman.dialects.gemini.members import MAX_DEPTH, Members, too_deep
from dragoman.dialects.gemini.part_reader import read_instruction, read_parts
from dragoman.dialects.gemini.schema_reader import json_schema

_ROLES: Final = {
    "": "user",
    "user": "user",
    "function": "user",
    "tool": "user",
    "model": "assistant",
    "assistant": "assistant",
    "system": "system",
}
_MODES: Final = ("", "AUTO", "ANY", "NONE", "VALIDATED")
"""FunctionCallingConfig.Mode by number."""
_LEVELS: Final = ("", "LOW", "HIGH", "MEDIUM", "MINIMAL")
"""ThinkingLevel by number."""
_MODALITIES: Final = ("", "TEXT", "IMAGE", "AUDIO", "VIDEO")
_TOP: Final = frozenset(
    {"contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "model", "stream"}
)
_CONFIG: Final = frozenset(
    {
        "temperature",
        "topP",
        "topK",
        "maxOutputTokens",
        "candidateCount",
        "stopSequences",
        "seed",
        "presencePenalty",
        "frequencyPenalty",
        "responseLogprobs",
        "logprobs",
        "responseMimeType",
        "responseSchema",
        "responseJsonSchema",
        "_responseJsonSchema",
        "responseFormat",
        "thinkingConfig",
        "responseModalities",
    }
)
_BOUND_CONFIG: Final = {
    "speechConfig": "speech",
    "imageConfig": "image generation",
    "translationConfig": "translation",
}
_BOUND_TOOLS: Final = {
    "codeExecution": "code execution",
    "urlContext": "URL context",
    "googleMaps": "Google Maps",
    "fileSearch": "file search",
    "computerUse": "computer use",
    "mcpServers": "MCP servers",
}
_SEARCHES: Final = ("googleSearch", "googleSearchRetrieval", "enterpriseWebSearch")


def read_request(body: bytes) -> Conversation:
    """Fault 400 ``invalid_request`` naming the member for what cannot be a request."""
    try:
        value = msgspec.json.decode(body)
    except envelope.BAD_JSON:
        envelope.members(body)  # says where it is wrong
        raise invalid_request("The request body cannot be read as JSON") from None
    if not isinstance(value, dict):
        envelope.members(body)
    if too_deep(value, body):
        raise invalid_request(f"The request body is nested deeper than {MAX_DEPTH} levels")
    return _Reader(Members(value, ())).conversation()


class _Reader:
    def __init__(self, top: Members) -> None:
        self._top = top
        self._bound: list[tuple[Path, str]] = []
        self._fields: dict[str, Path] = {}
        self._extras: dict[str, Any] = top.others(_TOP)

    def conversation(self) -> Conversation:
        top = self._top
        turns = self._turns()
        system: tuple[Block, ...] = ()
        if top.has("systemInstruction"):
            system = read_instruction(top.get("systemInstruction"), top.path("systemInstruction"))
        tools = self._tools()
        choice = self._tool_choice()
        if top.has("cachedContent"):
            self._bound.append((top.path("cachedContent"), "cached content"))
        config = top.child("generationConfig") or Members({}, ("generationConfig",))
        told = self._config(config)
        return Conversation(
            origin="gemini",
            turns=turns,
            system=system,
            tools=tools,
            tool_choice=choice,
            bound=tuple(self._bound),
            extras=self._extras,
            fields=self._fields,
            **told,
        )

    # -- contents --------------------------------------------------------------------------------------------

    def _turns(self) -> tuple[Turn, ...]:
        contents = self._top.each("contents")
        if not contents:
            raise self._top.refuse("contents", "at least one content is needed")
        turns: list[Turn] = []
        for value, at in contents:
            content = Members(value, at)
            word = content.text("role")
            role = _ROLES.get(word.lower())
            if role is None:
                raise content.refuse("role", f"unknown role {word!r:.80}; user and model are known")
            blocks = read_parts(content)
            for block in blocks:
                self._bind_files(block)
            turns.append(Turn(role=role, blocks=blocks, at=at))  # type: ignore[arg-type]
        return tuple(turns)

    def _bind_files(self, block: Block) -> None:
        inner = block.content if isinstance(block, ToolResult) else (block,)
        for one in inner:
            if isinstance(one, Media) and isinstance(one.source, FileId):
                self._bound.append(((*one.at, "fileData"), "an uploaded file"))

    # -- tools -----------------------------------------------------------------------------------------------

    def _tools(self) -> tuple[Tool, ...]:
        out: list[Tool] = []
        for value, at in self._top.each("tools"):
            tool = Members(value, at)
            for inner, place in tool.each("functionDeclarations"):
                out.append(_function(Members(inner, place)))
            for name in _SEARCHES:
                if tool.has(name):
                    search = tool.child(name) or Members({}, at)
                    out.append(WebSearch(blocked_domains=search.texts("excludeDomains"), at=at))
            for name, inner in tool.others({"functionDeclarations", *_SEARCHES}).items():
                camel = next((known for known in _BOUND_TOOLS if tool.path(known)[-1] == name), name)
                self._bound.append(((*at, name), _BOUND_TOOLS.get(camel, f"the tool {name}")))
                out.append(Opaque(origin="gemini", kind=camel, raw={name: inner}, at=at))
        return tuple(out)

    def _tool_choice(self) -> ToolChoice | None:
        config = self._top.child("toolConfig")
        if config is None:
            return None
        for name, value in config.others({"functionCallingConfig"}).items():
            self._extras[f"toolConfig.{name}"] = value
        calling = config.child("functionCallingConfig")
        if calling is None:
            return None
        self._fields["tool_choice"] = calling.at
        mode = calling.word("mode", _MODES)
        names = calling.texts("allowedFunctionNames")
        if mode == "NONE":
            return ToolChoice(mode="none")
        if mode == "ANY":
            if len(names) == 1:
                return ToolChoice(mode="tool", name=names[0])
            return ToolChoice(mode="required", allowed=names)
        if mode in ("AUTO", "VALIDATED"):
            return ToolChoice(mode="auto", allowed=names)
        if mode in ("", "MODE_UNSPECIFIED"):
            return None
        raise calling.refuse("mode", f"unknown mode {mode!r:.80}; AUTO, ANY, NONE and VALIDATED are known")

    # -- generationConfig ------------------------------------------------------------------------------------

    def _config(self, config: Members) -> dict[str, Any]:
        told: dict[str, Any] = {}
        for field, (name, read) in _SCALARS.items():
            value = read(config, name)
            if value is not None and value != () and value is not False:
                told[field] = value
                self._fields[field] = config.path(name)
        self._limits(config, told)
        formatted = self._output_format(config)
        if formatted is not None:
            told["output_format"] = formatted
        reasoning = _reasoning(config)
        if reasoning is not None:
            told["reasoning"] = reasoning
            self._fields["reasoning"] = config.path("thinkingConfig")
        modalities = tuple(_modality(config, item, at) for item, at in _list(config, "responseModalities"))
        if modalities:
            told["modalities"] = modalities
            self._fields["modalities"] = config.path("responseModalities")
            if {"image", "audio", "video"} & set(modalities):
                self._bound.append((config.path("responseModalities"), "image or audio output"))
        for name, what in _BOUND_CONFIG.items():
            if config.has(name):
                self._bound.append((config.path(name), what))
        for name, value in config.others(_CONFIG).items():
            self._extras[f"{config.at[-1]}.{name}"] = value
        return told

    def _limits(self, config: Members, told: dict[str, Any]) -> None:
        for field, least in (("max_output", 1), ("choices", 1), ("top_k", 0)):
            if field in told and told[field] < least:
                raise config.refuse(_SCALARS[field][0], f"at least {least} is expected")

    def _output_format(self, config: Members) -> OutputFormat | None:
        mime = config.text("responseMimeType")
        schema: Any = None
        name = next((n for n in ("responseJsonSchema", "_responseJsonSchema") if config.has(n)), "")
        if name:
            schema = _raw_schema(config, name)
        elif config.has("responseSchema"):
            name = "responseSchema"
            schema = json_schema(config.get(name), config.path(name))
        for value, at in config.each("responseFormat"):
            text = Members(value, at).child("text")
            if text is not None:
                name, mime = "responseFormat", text.text("mimeType") or "application/json"
                schema = _raw_schema(text, "schema") if text.has("schema") else schema
        if mime.lower() in ("", "text/plain") and schema is None:
            return None
        self._fields["output_format"] = config.path(name or "responseMimeType")
        if schema is None and mime.lower() in ("application/json", "application_json"):
            return OutputFormat(kind="json_object")
        if schema is None or mime.lower() == "text/x.enum":
            # A bare word out of an enum, or YAML and the like: no other dialect can promise it.
            for member in ("responseMimeType", "responseSchema"):
                if config.has(member):
                    self._extras[f"{config.at[-1]}.{config.path(member)[-1]}"] = config.get(member)
            return None
        return OutputFormat(kind="json_schema", schema=schema)


def _function(declaration: Members) -> Function:
    name = declaration.text("name")
    if not name:
        raise declaration.refuse("name", "the function's name is needed")
    parameters: Any = None
    if declaration.has("parametersJsonSchema"):
        parameters = _raw_schema(declaration, "parametersJsonSchema")
    elif declaration.has("parameters"):
        parameters = json_schema(declaration.get("parameters"), declaration.path("parameters"))
    return Function(
        name=name, description=declaration.text("description"), parameters=parameters, at=declaration.at
    )


def _raw_schema(source: Members, name: str) -> Any:
    return Members(source.get(name), source.path(name)).value


def _reasoning(config: Members) -> Reasoning | None:
    thinking = config.child("thinkingConfig")
    if thinking is None:
        return None
    budget = thinking.integer("thinkingBudget")
    level = thinking.word("thinkingLevel", _LEVELS).lower().removesuffix("thinking_level_unspecified")
    visible = thinking.flag("includeThoughts") is True
    if budget is not None and budget < -1:
        raise thinking.refuse("thinkingBudget", "a number of tokens, 0 or -1 is expected")
    if budget == 0:
        return Reasoning(mode="off")
    if budget is None and not level and not visible:
        return None
    if level:
        return Reasoning(mode="on", effort=level, visible=visible)
    # Without a budget, and with -1, the model thinks as much as it likes.
    return Reasoning(mode="adaptive" if (budget or -1) < 0 else "on", budget=budget, visible=visible)


def _list(config: Members, name: str) -> list[tuple[Any, Path]]:
    value = config.get(name)
    return [(value, config.path(name))] if isinstance(value, (str, int)) else config.each(name)


def _modality(config: Members, item: Any, at: Path) -> str:
    if type(item) is int and 0 <= item < len(_MODALITIES):
        return _MODALITIES[item].lower()
    if not isinstance(item, str):
        raise rejected(at, "gemini", "the name of a modality is expected")
    return item.lower()


_SCALARS: Final[dict[str, tuple[str, Callable[[Members, str], Any]]]] = {
    "max_output": ("maxOutputTokens", Members.integer),
    "temperature": ("temperature", Members.number),
    "top_p": ("topP", Members.number),
    "top_k": ("topK", Members.integer),
    "frequency_penalty": ("frequencyPenalty", Members.number),
    "presence_penalty": ("presencePenalty", Members.number),
    "seed": ("seed", Members.integer),
    "stop": ("stopSequences", Members.texts),
    "choices": ("candidateCount", Members.integer),
    "logprobs": ("responseLogprobs", Members.flag),
    "top_logprobs": ("logprobs", Members.integer),
}
