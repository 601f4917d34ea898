"""Conversation → a Responses request for an upstream that keeps nothing.

Translated conversations are stateless: ``store`` is false and reasoning comes back encrypted. A function's ``strict``
is said even where the client did not say it, because the API's own rule (strict if the schema allows it) is not that
of the other dialects. Names of tools and ids have 64 characters, user ids and cache keys too; longer ones are hashed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from dragoman.core.conversation import (
    NOTHING,
    Conversation,
    Function,
    Loss,
    Media,
    Opaque,
    OutputFormat,
    Reasoning,
    Text,
    Tool,
    Url,
    WebSearch,
    rejected,
)
from dragoman.core.facts import Facts, effort_of, nearest_effort
from dragoman.core.tools import WireNames, wire_id
from dragoman.dialects.base import Target, Written
from dragoman.dialects.openai_responses.checked import ORIGIN
from dragoman.dialects.openai_responses.item_writer import ItemWriter
from dragoman.dialects.openai_responses.request_reader import ENCRYPTED, LOGPROBS

LEAST_OUTPUT: Final = 16
"""The API refuses a smaller max_output_tokens."""
_KEY_LIMIT: Final = 64
_TIERS: Final = frozenset({"auto", "default", "flex", "scale", "priority", "fast"})
_KIN: Final = ("openai_responses", "openai_chat")
_SILENT: Final = frozenset({"safeguards"})
_SHARED: Final = frozenset({"prompt_cache_retention", "prompt_cache_options"})
"""Members of the same name and meaning in chat, beside those that are modelled."""
_UNKNOWN_LIMIT: Final = Facts().max_output
"""What ``Facts`` says of a model that nobody knows: no reason to cut what the client asked for."""
_ROOTS: Final = ("anyOf", "oneOf", "allOf", "$ref")
_UNKNOWN: Final = (
    "top_k",
    "frequency_penalty",
    "presence_penalty",
    "seed",
    "logit_bias",
)
_JSON_WORD: Final = [{"type": "input_text", "text": "Answer in JSON."}]
_NO_PARAMETERS: Final = {"type": "object", "properties": {}}


def write_request(conversation: Conversation, target: Target) -> Written:
    """The request body. Fault 400 for stop sequences and several choices, which the API lacks and which must not be
    dropped, and for other vendors' tools."""
    if conversation.stop:
        raise rejected(
            conversation.where("stop"),
            conversation.origin,
            "stop sequences are not known to the Responses API",
        )
    if conversation.choices > 1:
        raise rejected(
            conversation.where("choices"), conversation.origin, "the Responses API gives one choice only"
        )
    writer = _RequestWriter(conversation, target.facts)
    body = writer.body(target)
    return Written(msgspec.json.encode(body), tuple(writer.losses), writer.names.back)


def takes_url(media: Media, facts: Facts) -> bool:
    """The API loads images and files from the web itself; audio and video it does not take by URL."""
    source = media.source
    return (
        media.kind in ("image", "document")
        and isinstance(source, Url)
        and source.url.startswith(("https://", "http://"))
    )


class _RequestWriter:
    def __init__(self, conversation: Conversation, facts: Facts) -> None:
        self._asked = conversation
        self._facts = facts
        self._own = conversation.origin == ORIGIN
        self.names = WireNames(conversation.tools, custom=True, namespaces=self._own)
        continued = self._own and bool(conversation.previous_id or "conversation" in conversation.extras)
        self._items = ItemWriter(conversation.origin, self.names, continued=continued)
        self.losses = self._items.losses

    def body(self, target: Target) -> dict[str, Any]:
        asked = self._asked
        body: dict[str, Any] = {"model": target.model}
        if instructions := self._items.instructions(asked.system):
            body["instructions"] = instructions
        self._items.write(asked.turns)
        body["input"] = self._items.items
        if self._needs_the_word():
            body["input"] = [{"type": "message", "role": "system", "content": _JSON_WORD}, *body["input"]]
        body |= self._tools()
        body |= self._limits()
        body |= self._text()
        body |= self._names_of_ours()
        body |= self._rest()
        body["store"] = False
        include = [ENCRYPTED] if self._facts.reasoning else []
        if asked.logprobs or asked.top_logprobs:
            include.append(LOGPROBS)
        extra = asked.extras.get("include") if self._own else None
        if include or extra:
            body["include"] = include + (extra or [])
        if target.stream:
            body["stream"] = True
        return body

    def _needs_the_word(self) -> bool:
        """The API refuses json_object when no message says "json"; instructions do not count. Gemini's clients need not
        say it."""
        asked = self._asked.output_format
        if asked is None or asked.schema is not None or self._asked.origin in _KIN:
            return False
        blocks = (block for turn in self._asked.turns for block in turn.blocks)
        return not any(isinstance(block, Text) and "json" in block.text.lower() for block in blocks)

    # -- tools -----------------------------------------------------------------------------------------------

    def _tools(self) -> dict[str, Any]:
        asked = self._asked
        tools: list[dict[str, Any]] = []
        spaces: dict[str, list[dict[str, Any]]] = {}
        for tool in asked.tools:
            written = self._tool(tool)
            space = tool.namespace if isinstance(tool, Function) and self._own else ""
            if not space:
                tools.append(written)
            elif space in spaces:
                spaces[space].append(written)
            else:
                spaces[space] = [written]
                tools.append(self._namespace(space, spaces[space]))
        if not tools:
            return {}
        out: dict[str, Any] = {"tools": tools}
        choice = self._choice()
        if choice is not None:
            out["tool_choice"] = choice
        if asked.parallel_tools is not None:
            out["parallel_tool_calls"] = asked.parallel_tools
        return out

    def _namespace(self, name: str, tools: list[dict[str, Any]]) -> dict[str, Any]:
        described: Mapping[str, str] = self._asked.extras.get("$namespaces", NOTHING)
        return {
            "type": "namespace",
            "name": name,
            "description": described.get(name, ""),
            "tools": tools,
        }

    def _tool(self, tool: Tool) -> dict[str, Any]:
        if isinstance(tool, Function):
            return self._function(tool)
        if isinstance(tool, WebSearch):
            return self._web_search(tool)
        return self._vendors_tool(tool)

    def _function(self, tool: Function) -> dict[str, Any]:
        if tool.cache is not None:
            self.losses.append(Loss((*tool.at, "cache_control"), "cache marks are not known here"))
        named: dict[str, Any] = {
            "type": "custom" if tool.custom else "function",
            "name": self.names.wire(tool.name, tool.namespace),
        }
        if tool.description:
            named["description"] = tool.description
        if tool.custom:
            return named | ({"format": tool.format} if tool.format is not None else {})
        parameters = tool.parameters
        if not self._own:
            parameters = _NO_PARAMETERS if parameters is None else with_properties(parameters)
        if tool.strict is None and self._own:
            return named | {"parameters": parameters}
        return named | {"parameters": parameters, "strict": bool(tool.strict)}

    def _web_search(self, tool: WebSearch) -> dict[str, Any]:
        written: dict[str, Any] = {"type": "web_search"}
        filters = {
            name: list(domains)
            for name, domains in (
                ("allowed_domains", tool.allowed_domains),
                ("blocked_domains", tool.blocked_domains if self._own else ()),
            )
            if domains
        }
        if filters:
            written["filters"] = filters
        if tool.context_size:
            written["search_context_size"] = tool.context_size
        where = {
            name: value
            for name, value in (
                ("country", tool.country),
                ("region", tool.region),
                ("city", tool.city),
                ("timezone", tool.timezone),
            )
            if value
        }
        if where:
            written["user_location"] = {"type": "approximate"} | where
        if tool.max_uses is not None:
            self.losses.append(Loss((*tool.at, "max_uses"), "the number of searches cannot be limited here"))
        if tool.blocked_domains and not self._own:
            self.losses.append(Loss((*tool.at, "blocked_domains"), "domains cannot be blocked here"))
        return written

    def _vendors_tool(self, tool: Opaque) -> dict[str, Any]:
        if tool.origin == ORIGIN:
            return dict(tool.raw)
        member = tool.kind if tool.origin == "gemini" else "type"
        raise rejected(
            (*tool.at, member),
            self._asked.origin,
            f"{tool.kind} runs at another vendor and is not available here",
        )

    def _choice(self) -> object:
        asked = self._asked
        choice = asked.tool_choice
        if choice is None:
            return asked.extras.get("tool_choice") if self._own else None
        functions = {tool.name: tool for tool in asked.tools if isinstance(tool, Function)}
        if choice.mode == "tool":
            if choice.name not in functions and any(isinstance(tool, WebSearch) for tool in asked.tools):
                return "required"  # the search itself was meant, and it has no name here
            return self._named(choice.name, functions)
        allowed = [self._named(name, functions) for name in choice.allowed if name in functions]
        if allowed and choice.mode != "none":
            return {"type": "allowed_tools", "mode": choice.mode, "tools": allowed}
        return choice.mode

    def _named(self, name: str, functions: Mapping[str, Function]) -> dict[str, str]:
        tool = functions.get(name)
        if tool is None:
            return {"type": "function", "name": self.names.wire(name)}
        return {
            "type": "custom" if tool.custom else "function",
            "name": self.names.wire(name, tool.namespace),
        }

    # -- members ---------------------------------------------------------------------------------------------

    def _lost(self, field: str, why: str) -> None:
        self.losses.append(Loss(self._asked.where(field), why))

    def _limits(self) -> dict[str, Any]:
        asked = self._asked
        out: dict[str, Any] = {}
        if reasoning := self._reasoning():
            out["reasoning"] = reasoning
        if asked.max_output is not None:
            known = self._facts.max_output != _UNKNOWN_LIMIT
            limit = min(asked.max_output, self._facts.max_output) if known else asked.max_output
            out["max_output_tokens"] = max(limit, LEAST_OUTPUT)
        for name, value in (("temperature", asked.temperature), ("top_p", asked.top_p)):
            if value is None:
                continue
            if self._facts.sampling:
                out[name] = value
            elif value != 1:  # the default: nothing is lost
                self._lost(name, "this model takes no sampling parameters")
        if asked.top_logprobs is not None:
            out["top_logprobs"] = asked.top_logprobs
        for name in _UNKNOWN:
            if getattr(asked, name) not in (None, NOTHING):
                self._lost(name, "not known to the Responses API")
        if any(word.lower() != "text" for word in asked.modalities):
            self._lost("modalities", "the Responses API answers with text")
        return out

    def _reasoning(self) -> dict[str, Any]:
        wanted = self._asked.reasoning
        if wanted is None:
            return {}
        if not self._facts.reasoning:
            if wanted.mode != "off":
                self._lost("reasoning", "this model does not reason")
            return {}
        effort = _effort(wanted, self._facts)
        out = {"effort": effort} if effort else {}
        if wanted.mode == "off" and not effort:
            self._lost("reasoning", "reasoning cannot be switched off on this model")
        summary = wanted.summary or ("auto" if wanted.visible and wanted.mode != "off" else "")
        return out | ({"summary": summary} if summary else {})

    def _text(self) -> dict[str, Any]:
        asked = self._asked
        text: dict[str, Any] = {}
        if asked.output_format is not None:
            text["format"] = self._format(asked.output_format)
        if asked.verbosity:
            text["verbosity"] = asked.verbosity
        return {"text": text} if text else {}

    def _format(self, shape: OutputFormat) -> dict[str, Any]:
        if shape.kind == "json_object" or shape.schema is None:
            return {"type": "json_object"}
        out: dict[str, Any] = {"type": "json_schema", "name": wire_id(shape.name or "response")}
        if shape.description:
            out["description"] = shape.description
        out["schema"] = shape.schema
        strict = shape.strict
        if strict is None and self._asked.origin not in _KIN:
            strict = is_strict(shape.schema)
        return out if strict is None else out | {"strict": strict}

    def _names_of_ours(self) -> dict[str, Any]:
        """Who asks and what for: user, cache key, service tier, metadata."""
        asked = self._asked
        out: dict[str, Any] = {}
        if asked.user:
            own_name = self._own and asked.fields.get("user") == ("user",)
            out["user" if own_name else "safety_identifier"] = _short(asked.user)
        if asked.cache_key:
            out["prompt_cache_key"] = _short(asked.cache_key)
        if asked.service_tier:
            if asked.service_tier in _TIERS and asked.origin in _KIN:
                out["service_tier"] = asked.service_tier
            else:
                self._lost("service_tier", "a service tier of another vendor")
        if asked.metadata:
            if asked.origin in _KIN:
                out["metadata"] = asked.metadata
            else:
                self._lost("metadata", "not known to the Responses API")
        return out

    def _rest(self) -> dict[str, Any]:
        """Members that nobody modelled: our own go on, others are lost; names with "$" are notes of a reader."""
        asked = self._asked
        rest = {name: value for name, value in asked.extras.items() if not name.startswith("$")}
        if self._own:
            if asked.previous_id:
                rest["previous_response_id"] = asked.previous_id
            return {name: value for name, value in rest.items() if name not in ("tool_choice", "include")}
        for name in rest:
            if asked.origin in _KIN and name in _SHARED:
                continue
            if name not in _SILENT:
                self.losses.append(Loss((name,), "not known to the Responses API"))
        return {name: value for name, value in rest.items() if asked.origin in _KIN and name in _SHARED}


def with_properties(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """A tool's schema with what the API demands of its root: an object's type and its properties, if only empty ones."""
    kind = schema.get("type", "object")
    if kind != "object" or "properties" in schema or any(name in schema for name in _ROOTS):
        return schema
    return {"type": "object", **schema, "properties": {}}


def _effort(wanted: Reasoning, facts: Facts) -> str:
    if wanted.mode == "off":
        return "none" if "none" in facts.efforts else ""
    word = wanted.effort or (
        effort_of(wanted.budget) if wanted.budget is not None and wanted.budget > 0 else ""
    )
    return nearest_effort(word, facts.efforts) if word else ""


def is_strict(schema: object) -> bool:
    """May the schema be sent as strict: every object requires all its properties and allows no others."""
    level: list[object] = [schema]
    while level:
        node = level.pop()
        if isinstance(node, list):
            level.extend(node)
        elif isinstance(node, dict):
            properties = node.get("properties")
            if isinstance(properties, dict) or node.get("type") == "object":
                required = node.get("required")
                required = required if isinstance(required, list) else []
                names = set(properties) if isinstance(properties, dict) else set()
                if node.get("additionalProperties") is not False:
                    return False
                if not names <= {name for name in required if isinstance(name, str)}:
                    return False
            level.extend(node.values())
    return True


def _short(name: str) -> str:
    """``name``, or a stable hash of it where it is too long for the API."""
    if len(name) <= _KEY_LIMIT:
        return name
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
