"""A conversation as a Messages request. The same conversation gives the same bytes, always.

Facts (anthropic 2.11.0 ``MessageCreateParams``; platform.claude.com): ``max_tokens`` is required; temperature is 0 to 1;
with thinking no temperature and no top_k, and top_p only from 0.95 on; stop sequences are not blank; one answer only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec

from dragoman.core.conversation import NOTHING, Conversation, Json, Loss, OutputFormat, rejected
from dragoman.core.facts import Facts
from dragoman.core.history import paired, with_ids
from dragoman.core.tools import WireNames
from dragoman.dialects.anthropic.marks import Marks
from dragoman.dialects.anthropic.members import ORIGIN
from dragoman.dialects.anthropic.schema import cleaned, expressible
from dragoman.dialects.anthropic.sources import takes_url
from dragoman.dialects.anthropic.thinking import Plan, plan
from dragoman.dialects.anthropic.tool_writer import NAME_LIMIT, remembered_tools, write_choice, write_tools
from dragoman.dialects.anthropic.turn_writer import TurnWriter
from dragoman.dialects.base import Target, Written

__all__ = ["takes_url", "write_request"]

_USER_LIMIT: Final = 256
_JSON_ONLY: Final = "Answer with one valid JSON object and nothing else: no prose around it, no code fence."
_SCHEMA_ONLY: Final = (
    "Answer with JSON that is valid under the following JSON Schema and with nothing else: "
    "no prose around it, no code fence.\n"
)
# Fields that have no place here; their values that mean nothing are no loss.
_DROPPED: Final[tuple[tuple[str, tuple[Json, ...]], ...]] = (
    ("frequency_penalty", (None, 0)),
    ("presence_penalty", (None, 0)),
    ("seed", (None,)),
    ("logit_bias", ({},)),
    ("verbosity", ("",)),
    ("cache_key", ("",)),
    ("service_tier", ("", "auto", "default")),
    ("modalities", ((), ("text",))),
)
_LEAST_TOP_P: Final = 0.95


def write_request(conversation: Conversation, target: Target) -> Written:
    """The body for ``target``. Fault 400 for what must not be dropped: several choices, logprobs, a prefill that the
    model does not take, media and tools of other vendors, arguments that are no object."""
    _refuse(conversation)
    facts, losses, marks = target.facts, _losses(conversation), Marks()
    turns = paired(with_ids(conversation.turns))
    names = WireNames(conversation.tools, limit=NAME_LIMIT)
    tools = write_tools(conversation, names, marks, losses)
    choice = write_choice(conversation, names) if tools else None
    if not tools:
        # The client declares no tools, so none may be called; the vendor wants to know those of the history.
        tools = remembered_tools(turns, names)
        choice = {"type": "none"} if tools else None
    forced = choice is not None and choice["type"] in ("any", "tool")
    if choice is not None and forced and not facts.forced_tools:
        losses.append(Loss(conversation.where("tool_choice"), "this model cannot be forced to call a tool"))
        choice, forced = _loosened(choice), False
    thought = plan(conversation, facts, turns, forced=forced)
    losses.extend(thought.losses)
    if choice is not None and thought.loosen:
        choice = _loosened(choice)
    writer = TurnWriter(conversation, facts, names, marks, losses)
    config, told = _output(conversation, facts, thought)
    answer = _answer_tool(conversation, names) if told and not tools else None
    if answer is not None:
        tools = [answer]
        # a model that thinks cannot be forced to call a tool (E107), some never: they are told in words as well
        free = thought.on or not facts.forced_tools
        choice, told = ({"type": "auto"}, told) if free else ({"type": "tool", "name": answer["name"]}, [])
    system = [*writer.system(conversation.system, turns), *told]
    body: dict[str, Json] = {"model": target.model, "max_tokens": thought.max_tokens}
    body.update({"system": system} if system else {})
    body["messages"] = writer.messages(turns)
    body.update({"tools": tools} if tools else {})
    body.update({"tool_choice": choice} if choice else {})
    body.update({"thinking": thought.thinking} if thought.thinking else {})
    body.update(_sampling(conversation, facts, thought, losses))
    body.update(_rest(conversation, config, losses))
    if target.stream:
        body["stream"] = True
    losses.extend(marks.settle())
    return Written(msgspec.json.encode(body), tuple(losses), names.back, answer["name"] if answer else "")


def _loosened(choice: dict[str, Json]) -> dict[str, Json]:
    """The choice that leaves it to the model whether to call a tool."""
    return {"type": "auto", **{name: choice[name] for name in choice if name.startswith("disable")}}


def _refuse(conversation: Conversation) -> None:
    def refuse(field: str, why: str) -> None:
        raise rejected(conversation.where(field), conversation.origin, why)

    if conversation.choices > 1:
        refuse("choices", "this model gives one answer a request")
    if conversation.logprobs:
        refuse("logprobs", "this model gives no log probabilities")
    if conversation.temperature is not None and conversation.temperature < 0:
        refuse("temperature", "must not be negative")
    least = 0 if conversation.origin == ORIGIN else 1  # 0 fills the cache; only our own clients can mean it
    if conversation.max_output is not None and conversation.max_output < least:
        refuse("max_output", f"must be at least {least}")


def _losses(conversation: Conversation) -> list[Loss]:
    """Fields and members of the client's dialect that do not exist here."""
    lost = [
        Loss(conversation.where(field), "this model has no such parameter")
        for field, nothing in _DROPPED
        if getattr(conversation, field) not in nothing
    ]
    if conversation.origin != ORIGIN:
        extras = [name for name in conversation.extras if not name.startswith("$")]
        lost.extend(Loss((name,), "this model has no such parameter") for name in extras)
        if conversation.metadata:
            lost.append(Loss(conversation.where("metadata"), "this model keeps no metadata"))
    return lost


def _output(
    conversation: Conversation, facts: Facts, thought: Plan
) -> tuple[dict[str, Json], list[dict[str, Json]]]:
    """(``output_config``, instructions for the system prompt where the model takes no format)."""
    extras = conversation.extras if conversation.origin == ORIGIN else NOTHING
    config: dict[str, Json] = dict(extras.get("output_config", {}))
    if thought.effort:
        config["effort"] = thought.effort
    wanted = conversation.output_format
    if wanted is None:
        return config, []
    if wanted.kind == "json_schema" and wanted.schema and facts.schema_output:
        own = conversation.origin == ORIGIN
        if own or expressible(wanted.schema):
            schema = wanted.schema if own else cleaned(wanted.schema)
            config["format"] = {"type": "json_schema", "schema": schema}
            return config, []
    return config, [{"type": "text", "text": _instruction(wanted)}]


def _answer_tool(conversation: Conversation, names: WireNames) -> dict[str, Json] | None:
    """A tool whose arguments are the answer, for a model without output formats; None where the schema is not one of
    an object, which arguments always are."""
    wanted = conversation.output_format
    if wanted is None or wanted.kind != "json_schema" or not wanted.schema:
        return None
    if wanted.schema.get("type") != "object":
        return None
    described = wanted.description or "Gives the answer in the form that is asked for."
    return {
        "name": names.wire(wanted.name or "answer"),
        "description": described,
        "input_schema": wanted.schema,
    }


def _instruction(wanted: OutputFormat) -> str:
    if not wanted.schema:
        return _JSON_ONLY
    return _SCHEMA_ONLY + msgspec.json.encode(wanted.schema).decode()


def _sampling(conversation: Conversation, facts: Facts, thought: Plan, losses: list[Loss]) -> dict[str, Json]:
    """temperature, top_p, top_k as far as the model takes them. A value of 1, which is the default, is never missed."""
    wanted: dict[str, float | int | None] = {
        "temperature": conversation.temperature,
        "top_p": conversation.top_p,
        "top_k": conversation.top_k,
    }
    said = {name: value for name, value in wanted.items() if value is not None}
    if "temperature" in said and conversation.origin != ORIGIN:
        said["temperature"] = min(said["temperature"], 1.0)
    if not facts.sampling:
        return _dropped(conversation, said, said, "this model takes no sampling parameters", losses)
    if thought.on:
        kept = "top_p" if said.get("top_p", 0) >= _LEAST_TOP_P else ""
        return _dropped(
            conversation,
            said,
            [name for name in said if name != kept],
            "it does not go with thinking",
            losses,
        )
    if "temperature" in said and "top_p" in said and conversation.origin != ORIGIN:
        # Clients send defaults by habit; of two that mean something the temperature counts more.
        spare = next((name for name in ("top_p", "temperature") if said[name] == 1), "")
        if not spare and not facts.both_sampling:
            return _dropped(
                conversation, said, ["top_p"], "this model takes it without temperature only", losses
            )
        said.pop(spare, None)
    return said


def _dropped(
    conversation: Conversation,
    said: dict[str, float | int],
    names: Sequence[str] | dict[str, float | int],
    why: str,
    losses: list[Loss],
) -> dict[str, Json]:
    losses.extend(Loss(conversation.where(name), why) for name in names if name == "top_k" or said[name] != 1)
    return {name: value for name, value in said.items() if name not in names}


def _rest(conversation: Conversation, config: dict[str, Json], losses: list[Loss]) -> dict[str, Json]:
    """Stop sequences, output_config, metadata, and what our own clients said besides."""
    body: dict[str, Json] = {}
    stop = [text for text in conversation.stop if text.strip()]
    if len(stop) < len(conversation.stop):
        losses.append(Loss(conversation.where("stop"), "blank stop sequences are refused by this model"))
    if stop:
        body["stop_sequences"] = stop
    if config:
        body["output_config"] = config
    own = conversation.origin == ORIGIN
    metadata: dict[str, Json] = dict(conversation.metadata) if own else {}
    if conversation.user:
        metadata["user_id"] = _user(conversation.user)
    if metadata:
        body["metadata"] = metadata
    if own:
        body.update({name: value for name, value in conversation.extras.items() if name not in body})
    return body


def _user(user: str) -> str:
    """A user's id; one that is too long becomes a hash of itself."""
    return user if len(user) <= _USER_LIMIT else hashlib.sha256(user.encode()).hexdigest()
