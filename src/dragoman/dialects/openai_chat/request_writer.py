"""A conversation as a Chat Completions request for an upstream.

OpenAI answers 400 to a member that it does not know, so only chat's own members are written; vendors' additions go out
where a fact says so. https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from dragoman.core.conversation import Conversation, Json, Loss, OutputFormat, Text
from dragoman.core.facts import Facts, effort_of, nearest_effort
from dragoman.core.tools import WireNames, wire_id
from dragoman.dialects.base import Target, Written
from dragoman.dialects.openai_chat.members import ORIGIN
from dragoman.dialects.openai_chat.message_writer import Writing, write_messages
from dragoman.dialects.openai_chat.tools import write_tools

_STOPS: Final = 4
_USER_LIMIT: Final = 64
_UNKNOWN_LIMIT: Final = Facts().max_output
"""What ``Facts`` says of a model that nobody knows: no reason to cut what the client asked for."""
_OPENAI: Final = frozenset({"openai_chat", "openai_responses"})
_SILENT: Final = frozenset({"safeguards"})
"""Extras that say something about the client's machine and go to their own vendor or nowhere."""
SHARED: Final = frozenset({"prompt_cache_retention", "prompt_cache_options"})
"""Members of the same name and meaning in Responses, beside those that are modelled."""
_THINKING: Final = "$thinking"
_SAMPLING: Final = ("temperature", "top_p")
_PENALTIES: Final = ("frequency_penalty", "presence_penalty")
_WORDS: Final = (("verbosity", "verbosity"), ("cache_key", "prompt_cache_key"))


def write_request(conversation: Conversation, target: Target) -> Written:
    """The body, deterministic to the byte. Fault 400 naming the client's member for what must not be dropped."""
    facts = target.facts
    losses: list[Loss] = []
    names = WireNames(conversation.tools)
    writing = Writing(conversation, facts, names, losses)
    messages = write_messages(writing)
    if _needs_the_word(conversation):
        messages.insert(0, {"role": "system", "content": "Answer in JSON."})
    body: dict[str, Any] = {"model": target.model, "messages": messages}
    tools = write_tools(conversation, facts, names, losses)
    body.update(tools)
    body.update(_limits(conversation, facts, losses))
    body.update(_sampling(conversation, facts, losses))
    body.update(_output(conversation))
    body.update(_reasoning(conversation, facts, bool(tools.get("tools")), losses))
    body.update(_caller(conversation, facts, losses))
    body.update(_extras(conversation, facts, losses, frozenset(body)))
    if target.stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    return Written(msgspec.json.encode(body), tuple(losses), names.back)


def _extras(
    conversation: Conversation, facts: Facts, losses: list[Loss], said: frozenset[str]
) -> dict[str, Json]:
    """Members that nobody modelled: chat's own go on, of those of Responses what OpenAI takes in both."""
    out: dict[str, Json] = {}
    own = conversation.origin == ORIGIN
    for name, value in conversation.extras.items():
        shared = conversation.origin in _OPENAI and facts.developer_role and name in SHARED
        if name == _THINKING and own:
            out["thinking"] = value
        elif name.startswith("$"):  # a reader's notes for its own writers
            continue
        elif own or shared:
            if name not in said:
                out[name] = value
        elif name not in _SILENT:
            losses.append(Loss((name,), "the upstream does not know it"))
    return out


def _limits(conversation: Conversation, facts: Facts, losses: list[Loss]) -> dict[str, Json]:
    out: dict[str, Json] = {}
    if conversation.max_output is not None:
        name = "max_completion_tokens" if facts.max_completion_tokens else "max_tokens"
        known = facts.max_output != _UNKNOWN_LIMIT
        out[name] = min(conversation.max_output, facts.max_output) if known else conversation.max_output
    if conversation.choices > 1:
        out["n"] = conversation.choices
    if conversation.stop:
        out["stop"] = list(conversation.stop[:_STOPS])
    if len(conversation.stop) > _STOPS:
        losses.append(Loss(conversation.where("stop"), f"the upstream takes {_STOPS} stop sequences"))
    return out


def _sampling(conversation: Conversation, facts: Facts, losses: list[Loss]) -> dict[str, Json]:
    out: dict[str, Json] = {}
    for name in _SAMPLING:
        value = getattr(conversation, name)
        if value is None:
            continue
        if facts.sampling:
            out[name] = value
        elif value != 1:  # the default: nothing is lost
            losses.append(Loss(conversation.where(name), "the upstream model takes no sampling parameters"))
    if conversation.top_k is not None:
        losses.append(Loss(conversation.where("top_k"), "Chat Completions has no top_k"))
    for name in _PENALTIES:
        value = getattr(conversation, name)
        if value is not None and (facts.sampling or conversation.origin == ORIGIN):
            out[name] = value
        elif value is not None:
            losses.append(Loss(conversation.where(name), "the upstream model takes no sampling parameters"))
    if conversation.seed is not None:
        out["seed"] = conversation.seed
    if conversation.logit_bias:
        out["logit_bias"] = dict(conversation.logit_bias)
    if conversation.logprobs:
        out["logprobs"] = True
        if conversation.top_logprobs is not None:
            out["top_logprobs"] = conversation.top_logprobs
    return out


# --- output -----------------------------------------------------------------------------------------------


def _output(conversation: Conversation) -> dict[str, Json]:
    out: dict[str, Json] = {}
    if conversation.output_format is not None:
        out["response_format"] = _format(conversation.output_format, conversation.origin)
    for field, name in _WORDS:
        value = getattr(conversation, field)
        if value:
            out[name] = value
    if conversation.origin == ORIGIN and conversation.modalities:
        out["modalities"] = list(conversation.modalities)
    return out


def _format(asked: OutputFormat, origin: str) -> Json:
    if asked.kind == "json_object" or asked.schema is None:
        return {"type": "json_object"}
    schema: dict[str, Json] = {"name": wire_id(asked.name) if asked.name else "response"}
    if asked.description:
        schema["description"] = asked.description
    schema["schema"] = asked.schema
    strict = asked.strict
    if strict is None and origin not in _OPENAI:
        strict = is_strict(asked.schema)
    if strict is not None:
        schema["strict"] = strict
    return {"type": "json_schema", "json_schema": schema}


def is_strict(schema: Json) -> bool:
    """Whether OpenAI takes the schema as strict: every object requires all its properties and forbids others."""
    if isinstance(schema, list):
        return all(is_strict(inner) for inner in schema)
    if not isinstance(schema, Mapping):
        return True
    kind = schema.get("type")
    properties = schema.get("properties")
    if kind == "object" or (isinstance(kind, list) and "object" in kind) or isinstance(properties, Mapping):
        names = set(properties) if isinstance(properties, Mapping) else set()
        required = schema.get("required")
        listed = {name for name in required if isinstance(name, str)} if isinstance(required, list) else set()
        if schema.get("additionalProperties") is not False or listed != names:
            return False
    nested = [
        inner
        for name in ("properties", "$defs", "definitions")
        if isinstance(group := schema.get(name), Mapping)
        for inner in group.values()
    ]
    nested.extend(
        schema[name] for name in ("items", "anyOf", "allOf", "oneOf", "prefixItems") if name in schema
    )
    return all(is_strict(inner) for inner in nested)


def _needs_the_word(conversation: Conversation) -> bool:
    """OpenAI refuses json_object when no message says "json"; Gemini's clients need not say it."""
    asked = conversation.output_format
    if asked is None or (asked.kind != "json_object" and asked.schema is not None):
        return False
    if conversation.origin in _OPENAI:
        return False
    blocks = [*conversation.system, *(block for turn in conversation.turns for block in turn.blocks)]
    return not any(isinstance(block, Text) and "json" in block.text.lower() for block in blocks)


# --- reasoning --------------------------------------------------------------------------------------------


def _reasoning(conversation: Conversation, facts: Facts, tools: bool, losses: list[Loss]) -> dict[str, Json]:
    asked = conversation.reasoning
    if asked is None or (conversation.origin == ORIGIN and _THINKING in conversation.extras):
        return {}
    if asked.mode == "off":
        return {"reasoning_effort": "none"} if facts.reasoning and "none" in facts.efforts else {}
    wanted = asked.effort or (
        effort_of(asked.budget) if asked.budget is not None and asked.budget > 0 else ""
    )
    if not facts.reasoning:
        losses.append(Loss(conversation.where("reasoning"), "the upstream model does not reason"))
        return {}
    if not wanted:
        return {}
    if facts.tools_need_responses and tools:
        losses.append(
            Loss(conversation.where("reasoning"), "the upstream model takes no effort beside tools")
        )
        return {}
    effort = nearest_effort(wanted, facts.efforts)
    return {"reasoning_effort": effort} if effort else {}


# --- who calls --------------------------------------------------------------------------------------------


def _caller(conversation: Conversation, facts: Facts, losses: list[Loss]) -> dict[str, Json]:
    out: dict[str, Json] = {}
    if conversation.user:
        out["safety_identifier" if facts.developer_role else "user"] = short_user(conversation.user)
    if conversation.service_tier:
        if conversation.origin in _OPENAI:
            out["service_tier"] = conversation.service_tier
        else:
            losses.append(Loss(conversation.where("service_tier"), "the upstream has other tiers"))
    own = conversation.origin == ORIGIN
    if own and conversation.store is not None:
        out["store"] = conversation.store
    if conversation.metadata:
        # OpenAI takes metadata only of answers that it stores.
        if own:
            out["metadata"] = dict(conversation.metadata)
        else:
            losses.append(Loss(conversation.where("metadata"), "the upstream keeps no metadata"))
    return out


def short_user(user: str) -> str:
    """The caller's name for a user, a stable hash of it where it is longer than vendors take."""
    if len(user) <= _USER_LIMIT:
        return user
    return hashlib.sha256(user.encode("utf-8", "surrogatepass")).hexdigest()
