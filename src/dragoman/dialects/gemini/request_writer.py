"""Conversation → the body of ``generateContent`` for Google.

Members: https://ai.google.dev/api/generate-content. The bytes depend on the conversation and the target alone: no clock,
no chance, tools and schema properties in the client's order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from dragoman.core.conversation import (
    Conversation,
    Function,
    Loss,
    Media,
    Opaque,
    OutputFormat,
    Reasoning,
    Url,
    WebSearch,
    rejected,
)
from dragoman.core.facts import EFFORTS, Facts, budget_of, effort_of
from dragoman.core.tools import CUSTOM_PARAMETERS, WireNames
from dragoman.dialects.base import Target, Written
from dragoman.dialects.gemini.content_writer import ContentWriter
from dragoman.dialects.gemini.part_reader import is_youtube
from dragoman.dialects.gemini.schema import SchemaTooLarge, cleaned, without_members
from dragoman.dialects.gemini.schema_reader import json_schema

_MAX_STOPS: Final = 5
_SILENT_EXTRAS: Final = frozenset({"safeguards"})
_SAMPLING: Final = (("temperature", "temperature"), ("top_p", "topP"), ("top_k", "topK"))
_PENALTIES: Final = (("presence_penalty", "presencePenalty"), ("frequency_penalty", "frequencyPenalty"))
_LACKING: Final = (
    ("verbosity", "Gemini has no such setting"),
    ("logit_bias", "Gemini cannot weigh tokens"),
    ("service_tier", "Gemini has no service tiers here"),
    ("user", "Gemini takes no user id"),
    ("metadata", "Gemini takes no metadata"),
    ("cache_key", "Gemini caches by itself"),
)
_PARAMETERS: Final[Mapping[str, tuple[str, ...]]] = {
    "openai_chat": ("function", "parameters"),
    "openai_responses": ("parameters",),
    "anthropic": ("input_schema",),
    "gemini": ("parameters",),
}
"""Where a client's dialect keeps a function's schema, below the tool."""
_NOTHING: Final[tuple[Any, ...]] = ("", {}, "auto", "default")
"""Values of these that mean nothing (of service_tier: as ever)."""
_MODES: Final = {"auto": "AUTO", "none": "NONE", "required": "ANY", "tool": "ANY"}


class _Names(WireNames):
    """Google: a function's name begins with a letter or an underscore."""

    def wire(self, name: str, namespace: str = "") -> str:
        told = super().wire(name, namespace)
        return told if told[0].isalpha() or told[0] == "_" else super().wire(f"_{told}")


def takes_url(media: Media, facts: Facts) -> bool:
    """Only videos of YouTube; everything else is loaded by the gateway and sent as data."""
    return isinstance(media.source, Url) and is_youtube(media.source.url)


def write_request(conversation: Conversation, target: Target) -> Written:
    """Fault 400 naming the client's member for a foreign file, a foreign tool of the vendor's or damaged arguments."""
    return _Writer(conversation, target.facts).written()


class _Writer:
    def __init__(self, conversation: Conversation, facts: Facts) -> None:
        self._conversation = conversation
        self._own = conversation.origin == "gemini"
        self._facts = facts
        self._names = _Names(conversation.tools)
        self._losses: list[Loss] = []

    def written(self) -> Written:
        conversation = self._conversation
        history = ContentWriter(conversation, self._facts, self._names)
        system, contents = history.written()
        body: dict[str, Any] = {}
        if system:
            body["systemInstruction"] = {"parts": system}
        body["contents"] = contents
        tools = self._tools()
        if tools:
            body["tools"] = tools
        calling = self._calling(tools)
        if calling:
            body["toolConfig"] = {"functionCallingConfig": calling}
        config = self._config()
        if config:
            body["generationConfig"] = config
        self._lacking()
        self._extras(body)
        return Written(msgspec.json.encode(body), (*history.losses, *self._losses), self._names.back)

    def _lose(self, field: str, why: str) -> None:
        self._losses.append(Loss(self._conversation.where(field), why))

    # -- tools -----------------------------------------------------------------------------------------------

    def _tools(self) -> list[dict[str, Any]]:
        """One tool with every function (some models take only one), then the vendor's own."""
        functions = [tool for tool in self._conversation.tools if isinstance(tool, Function)]
        declared: list[dict[str, Any]] = []
        known: set[str] = set()
        for function in self._allowed(functions):
            if (name := self._names.wire(function.name, function.namespace)) in known:
                self._losses.append(Loss(function.at, "two functions cannot have one name"))
                continue
            known.add(name)
            declared.append(self._declaration(function))
        out: list[dict[str, Any]] = [{"functionDeclarations": declared}] if declared else []
        for tool in self._conversation.tools:
            if isinstance(tool, WebSearch):
                if tool.optional and declared:
                    self._losses.append(Loss(tool.at, "Gemini does not search while it has functions"))
                else:
                    excluded = {"excludeDomains": list(tool.blocked_domains)} if tool.blocked_domains else {}
                    out.append({"googleSearch": excluded if self._own else {}})
            elif isinstance(tool, Opaque):
                if tool.origin != "gemini":
                    raise rejected((*tool.at, "type"), self._conversation.origin, "Gemini has no such tool")
                out.append(tool.raw)
        return out

    def _allowed(self, functions: list[Function]) -> list[Function]:
        """Gemini names allowed functions only where one must be called; otherwise the others are not declared."""
        choice = self._conversation.tool_choice
        if choice is None or choice.mode != "auto" or not choice.allowed:
            return functions
        return [tool for tool in functions if tool.name in choice.allowed] or functions

    def _declaration(self, tool: Function) -> dict[str, Any]:
        if tool.cache is not None:
            self._losses.append(Loss((*tool.at, "cache_control"), "Gemini has no cache marks"))
        out: dict[str, Any] = {"name": self._names.wire(tool.name, tool.namespace)}
        if tool.description:
            out["description"] = tool.description
        given = CUSTOM_PARAMETERS if tool.custom else tool.parameters
        if given is None:
            return out
        try:
            parameters = cleaned(given)
        except SchemaTooLarge as error:
            below = ("parameters",) if tool.legacy else _PARAMETERS[self._conversation.origin]
            at = (*tool.at, *below)
            raise rejected(at, self._conversation.origin, str(error)) from None
        if self._own and json_schema(parameters, ()) != given:
            out["parametersJsonSchema"] = given
        elif not without_members(parameters):
            out["parameters"] = parameters
        return out

    def _calling(self, tools: list[dict[str, Any]]) -> dict[str, Any]:
        conversation = self._conversation
        if not any("functionDeclarations" in tool for tool in tools):
            return {}
        if conversation.parallel_tools is False:
            self._lose("parallel_tools", "Gemini decides itself how many functions it calls")
        choice = conversation.tool_choice
        if choice is None:
            return {}
        out: dict[str, Any] = {"mode": _MODES[choice.mode]}
        if choice.mode == "tool":
            out["allowedFunctionNames"] = [self._wire_name(choice.name)]
        elif choice.mode == "required" and choice.allowed:
            declared = [tool for tool in conversation.tools if isinstance(tool, Function)]
            names = [self._wire_name(tool.name) for tool in declared if tool.name in choice.allowed]
            if names:
                out["allowedFunctionNames"] = names
        return out

    def _wire_name(self, name: str) -> str:
        tools = self._conversation.tools
        tool = next((t for t in tools if isinstance(t, Function) and t.name == name), None)
        return self._names.wire(name, tool.namespace if tool else "")

    # -- generationConfig ------------------------------------------------------------------------------------

    def _config(self) -> dict[str, Any]:
        conversation, facts = self._conversation, self._facts
        out: dict[str, Any] = {}
        for field, name in _SAMPLING:
            value = getattr(conversation, field)
            if value is not None and facts.sampling:
                out[name] = value
            elif value is not None:
                self._lose(field, "this model does not take it")
        if conversation.max_output is not None:
            out["maxOutputTokens"] = min(conversation.max_output, facts.max_output)
        if conversation.choices > 1:
            out["candidateCount"] = conversation.choices
        stop = [text for text in conversation.stop if text]
        if stop:
            out["stopSequences"] = stop[:_MAX_STOPS]
        for number in range(_MAX_STOPS, len(conversation.stop)):
            self._losses.append(Loss((*conversation.where("stop"), number), "Gemini takes five at most"))
        if conversation.seed is not None:
            out["seed"] = _int32(conversation.seed)
        for field, name in _PENALTIES:
            if getattr(conversation, field) is not None:
                out[name] = getattr(conversation, field)
        if conversation.logprobs:
            out["responseLogprobs"] = True
            if conversation.top_logprobs is not None:
                out["logprobs"] = conversation.top_logprobs
        if conversation.output_format is not None:
            out |= self._format(conversation.output_format)
        thinking = self._thinking(conversation.reasoning) if conversation.reasoning is not None else {}
        if thinking:
            out["thinkingConfig"] = thinking
        if conversation.modalities and self._own:
            out["responseModalities"] = [name.upper() for name in conversation.modalities]
        elif {*conversation.modalities} - {"text"}:
            self._lose("modalities", "only text is asked of Gemini here")
        return out

    def _format(self, wanted: OutputFormat) -> dict[str, Any]:
        out: dict[str, Any] = {"responseMimeType": "application/json"}
        if wanted.schema is None:
            return out
        try:
            schema = cleaned(wanted.schema, ordered=True)
        except SchemaTooLarge as error:
            raise rejected(
                self._conversation.where("output_format"), self._conversation.origin, str(error)
            ) from None
        if self._own and json_schema(schema, ()) != wanted.schema:
            out["responseJsonSchema"] = wanted.schema
        elif not without_members(schema):
            out["responseSchema"] = schema
        return out

    def _thinking(self, wanted: Reasoning) -> dict[str, Any]:
        facts = self._facts
        if facts.thinking not in ("budget", "level"):
            if wanted.mode != "off":
                self._lose("reasoning", "this model does not think aloud")
            return {}
        told = _budget(wanted, facts) if facts.thinking == "budget" else _level(wanted, facts)
        if wanted.visible and not _off(wanted):  # Google refuses it where thinking is off
            told["includeThoughts"] = True
        return told

    # -- the rest --------------------------------------------------------------------------------------------

    def _lacking(self) -> None:
        for field, why in _LACKING:
            if getattr(self._conversation, field) not in _NOTHING:
                self._lose(field, why)

    def _extras(self, body: dict[str, Any]) -> None:
        """Google's own members go back where they were (``toolConfig.retrievalConfig``); others are lost."""
        for name, value in self._conversation.extras.items():
            if not self._own:
                if name not in _SILENT_EXTRAS and not name.startswith("$"):
                    self._losses.append(Loss((name,), "Gemini has no such member"))
                continue
            outer, dot, inner = name.partition(".")
            if dot:
                body.setdefault(_CAMEL.get(outer, outer), {})[inner] = value
            else:
                body[name] = value


_CAMEL: Final[Mapping[str, str]] = {"generation_config": "generationConfig", "tool_config": "toolConfig"}


def _int32(seed: int) -> int:
    """Google takes 32 bits; of a larger seed the low 31 count."""
    return seed if -(2**31) <= seed < 2**31 else seed & 0x7FFF_FFFF


def _off(wanted: Reasoning) -> bool:
    return wanted.mode == "off" or wanted.effort == "none" or (not wanted.effort and wanted.budget == 0)


def _budget(wanted: Reasoning, facts: Facts) -> dict[str, Any]:
    if _off(wanted):
        return {"thinkingBudget": 0 if facts.thinking_off else facts.least_budget}
    budget = wanted.budget
    if budget is None and wanted.effort:
        budget = budget_of(wanted.effort)
    if budget is None:
        return {}
    return {
        "thinkingBudget": budget if budget < 0 else max(facts.least_budget, min(budget, facts.most_budget))
    }


def _level(wanted: Reasoning, facts: Facts) -> dict[str, Any]:
    """The word itself, else the next higher one that the model lists, else its highest; off is its lowest."""
    listed = [word for word in facts.efforts if word != "none"]
    if not listed:
        return {}
    if _off(wanted):
        return {"thinkingLevel": listed[0].upper()}
    budget = wanted.budget or 0
    effort = wanted.effort or (effort_of(budget) if budget > 0 else "")
    if not effort:
        return {}
    rank = EFFORTS.index(effort) if effort in EFFORTS else EFFORTS.index("medium")
    higher = [word for word in listed if EFFORTS.index(word) >= rank]
    return {"thinkingLevel": (higher[0] if higher else listed[-1]).upper()}
