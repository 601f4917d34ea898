"""How an Anthropic model is asked to think, and what that does to ``max_tokens``.

Facts (platform.claude.com, thinking): a budget is at least 1 024 and below ``max_tokens``; adaptive models refuse a
budget and take effort words; thinking goes with no forced tool choice and no prefill; on budget models the last
assistant message of a running tool loop must begin with a thinking block.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from dragoman.core.conversation import (
    Block,
    Conversation,
    Json,
    Loss,
    Reasoning,
    Text,
    Thinking,
    ToolCall,
    Turn,
)
from dragoman.core.facts import EFFORTS, Facts, budget_of, effort_of, nearest_effort

LEAST_BUDGET: Final = 1024
# Chat's word for how much to think says nothing about showing it (E115).
_EFFORT_ONLY: Final = ("reasoning_effort",)


class Plan(Struct, frozen=True, kw_only=True):
    """thinking: the member, None for none. effort: ``output_config.effort``, "" for none. on: the model will think.
    loosen: a forced tool choice has to become "auto"."""

    max_tokens: int
    thinking: Json = None
    effort: str = ""
    on: bool = False
    loosen: bool = False
    losses: tuple[Loss, ...] = ()


def plan(conversation: Conversation, facts: Facts, turns: Sequence[Turn], *, forced: bool) -> Plan:
    """What to send. turns: the history as it will be written. forced: some tool must be called."""
    limit = _limit(conversation, facts)
    wanted = conversation.reasoning
    if wanted is None:
        return Plan(max_tokens=limit)
    if facts.thinking == "none":
        return Plan(max_tokens=limit, losses=_lost(conversation, "this model does not think"))
    if wanted.mode == "off" or wanted.effort == "none" or wanted.budget == 0:
        return _off(conversation, facts, limit)
    if conversation.where("reasoning")[:1] == ("output_config",):  # our own client's effort, without thinking
        return Plan(max_tokens=limit, effort=_effort(wanted, facts))
    adaptive = facts.thinking == "adaptive"
    why_not = _obstacle(turns, adaptive=adaptive, forced=forced)
    if why_not and adaptive and not facts.thinking_off:
        lost = (Loss(conversation.where("tool_choice"), why_not),)
        return _adaptive(conversation, facts, limit, loosen=True, losses=lost)
    if why_not:
        off = {"type": "disabled"} if adaptive else None
        effort = _quiet(_effort(wanted, facts), facts) if adaptive else ""
        return Plan(max_tokens=limit, thinking=off, effort=effort, losses=_lost(conversation, why_not))
    return _adaptive(conversation, facts, limit) if adaptive else _budget(conversation, facts, limit)


def _limit(conversation: Conversation, facts: Facts) -> int:
    """``max_tokens``: what was asked, at most what the model can; its own limit if nothing was asked."""
    asked = conversation.max_output
    return facts.max_output if asked is None else min(asked, facts.max_output)


def _lost(conversation: Conversation, why: str) -> tuple[Loss, ...]:
    """A reasoning that was asked for and is not had."""
    wanted = conversation.reasoning
    if wanted is None or wanted.mode == "off" or wanted.effort == "none" or wanted.budget == 0:
        return ()
    return (Loss(conversation.where("reasoning"), why),)


def _off(conversation: Conversation, facts: Facts, limit: int) -> Plan:
    if facts.thinking_off:
        return Plan(
            max_tokens=limit,
            thinking={"type": "disabled"},
            effort=_quiet(_own_effort(conversation, facts), facts),
        )
    effort = nearest_effort("low", facts.efforts) if facts.thinking == "adaptive" else ""
    return Plan(max_tokens=limit, effort=effort)


def _effort(wanted: Reasoning, facts: Facts) -> str:
    """The model's word for what was asked; "" if nothing was."""
    word = wanted.effort or (effort_of(wanted.budget) if wanted.budget and wanted.budget > 0 else "")
    return nearest_effort(word, facts.efforts) if word else ""


def _quiet(effort: str, facts: Facts) -> str:
    """An effort that may stand beside thinking that is switched off: above "high" newer models refuse that."""
    loud = effort in EFFORTS and EFFORTS.index(effort) > EFFORTS.index("high")
    return nearest_effort("high", facts.efforts) if loud else effort


def _own_effort(conversation: Conversation, facts: Facts) -> str:
    """An effort that the client put beside a budget or beside "disabled"; only this dialect can say that."""
    wanted = conversation.reasoning
    if wanted is None or conversation.origin != "anthropic" or not wanted.effort:
        return ""
    return nearest_effort(wanted.effort, facts.efforts)


def _adaptive(
    conversation: Conversation,
    facts: Facts,
    limit: int,
    *,
    loosen: bool = False,
    losses: tuple[Loss, ...] = (),
) -> Plan:
    wanted = conversation.reasoning or Reasoning()
    thinking: dict[str, Json] = {"type": "adaptive"}
    if wanted.visible and conversation.where("reasoning") != _EFFORT_ONLY:
        thinking["display"] = "summarized"  # newer models leave the text out unless asked
    elif conversation.origin == "anthropic":
        thinking["display"] = "omitted"
    effort = _effort(wanted, facts)
    return Plan(max_tokens=limit, thinking=thinking, effort=effort, on=True, loosen=loosen, losses=losses)


def _budget(conversation: Conversation, facts: Facts, limit: int) -> Plan:
    """A budget below ``max_tokens``: the limit is raised to hold both if the model can, else the budget shrinks."""
    wanted = conversation.reasoning or Reasoning()
    said = wanted.budget if wanted.budget and wanted.budget > 0 else budget_of(wanted.effort or "medium")
    budget = max(LEAST_BUDGET, facts.least_budget, min(said, facts.most_budget))
    if budget >= limit and conversation.max_output is None:
        budget = limit // 2
    elif budget >= limit:
        budget = min(budget, facts.max_output - limit)
        limit += max(budget, 0)
    if budget < LEAST_BUDGET:
        why = f"max_tokens leaves no room to think: at least {LEAST_BUDGET} tokens are needed"
        return Plan(max_tokens=_limit(conversation, facts), losses=_lost(conversation, why))
    thinking: dict[str, Json] = {"type": "enabled", "budget_tokens": budget}
    if conversation.origin == "anthropic" and not wanted.visible:
        thinking["display"] = "omitted"
    return Plan(max_tokens=limit, thinking=thinking, effort=_own_effort(conversation, facts), on=True)


def _obstacle(turns: Sequence[Turn], *, adaptive: bool, forced: bool) -> str:
    """Why the model must not think now, "" if it may."""
    if forced:
        return "thinking does not go with a forced tool call"
    if adaptive:
        return ""
    if turns and turns[-1].role == "assistant":
        return "thinking does not go with the beginning of an answer"
    return "" if _loop_is_signed(turns) else "the running tool calls carry no signed thinking of this vendor"


def _loop_is_signed(turns: Sequence[Turn]) -> bool:
    """Does the assistant turn that the last results answer begin with thinking of Anthropic's? True if there is none."""
    last = next((turn for turn in reversed(turns) if turn.role == "assistant"), None)
    if last is None or not any(isinstance(block, ToolCall) for block in last.blocks):
        return True
    return isinstance(next(block for block in last.blocks if is_written(block)), Thinking)


def is_written(block: Block) -> bool:
    """Blank text is refused, and so is thinking that Anthropic did not sign."""
    if isinstance(block, Text):
        return bool(block.text.strip())
    if isinstance(block, Thinking):
        return block.signature is not None and block.signature.origin == "anthropic"
    return True
